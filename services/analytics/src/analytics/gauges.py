"""The figures of the analytics for `/metrics`."""

from typing import Final

import numpy as np
from cellkeeper.runtime.metrics import Metrics

from analytics.analytics import Analytics

MODES: Final = ("float", "boost", "recharge", "discharge", "rest", "open", "test", "unknown")


class Gauges:
    """Gauges that follow the analytics; `update` reads them.

    Args:
        metrics: where they are shown.
        analytics: whose work is counted.
    """

    def __init__(self, metrics: Metrics, analytics: Analytics) -> None:
        self._analytics = analytics
        names = {
            "analytics_scans": "live scans taken since the start",
            "analytics_left_out": "scans that came twice, late, in another size or of no string of this site",
            "analytics_batches": "batches estimated since the start",
            "analytics_dropped": "scans that had to be dropped because too many waited",
            "analytics_estimates": "estimates of strings told since the start",
            "analytics_cell_estimates": "estimates of single units told since the start",
            "analytics_unsent": "messages that the link did not take",
            "analytics_refused_messages": "messages that were no valid payload since the start",
            "analytics_records": "discharges recorded since the start",
            "analytics_dossiers": "dossiers made since the start",
            "analytics_dossiers_failed": "dossiers that could not be made since the start",
        }
        self._totals = {name: metrics.gauge(name, meaning) for name, meaning in names.items()}
        self._mode = metrics.gauge("analytics_mode", "1 for what the string does now", ["string", "mode"])
        self._known = metrics.gauge("analytics_known_units", "units with a state of charge", ["string"])
        self._lowest = metrics.gauge("analytics_lowest_soc_frac", "lowest of the string; NaN while unknown", ["string"])
        self._left = metrics.gauge("analytics_unit_left_s", "of the weakest unit; NaN while unknown", ["string"])

    def update(self) -> None:
        """Read every figure."""
        analytics, counts = self._analytics, self._analytics.intake.counts
        counters, papers = analytics.counters, analytics.papers.counters
        values = {
            "analytics_scans": counts["taken"],
            "analytics_left_out": sum(counts.values()) - counts["taken"],
            "analytics_batches": counters.batches,
            "analytics_dropped": counters.dropped,
            "analytics_estimates": counters.estimates,
            "analytics_cell_estimates": counters.cell_estimates,
            "analytics_unsent": counters.unsent,
            "analytics_refused_messages": analytics.refusals.count,
            "analytics_records": papers.records,
            "analytics_dossiers": papers.dossiers,
            "analytics_dossiers_failed": papers.failed,
        }
        for name, value in values.items():
            self._totals[name].set(value)
        self._update_strings()

    def _update_strings(self) -> None:
        told, layout = self._analytics.newest, self._analytics.engine.layout
        if told is None:
            return
        for place, string in enumerate(layout.strings):
            for mode in MODES:
                self._mode.labels(string, mode).set(told.modes[place].mode == mode)
            soc = told.units.soc_frac[layout.span(place)]
            known = soc[~np.isnan(soc)]
            self._known.labels(string).set(len(known))
            self._lowest.labels(string).set(known.min() if len(known) else np.nan)
            self._left.labels(string).set(float(told.runtime.unit_left_s[place]))
