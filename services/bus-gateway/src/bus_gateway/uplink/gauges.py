"""The gateway's metrics, copied from its parts about once a second."""

from cellkeeper.runtime.metrics import Metrics

from bus_gateway.gateway import Gateway
from bus_gateway.journal.scan_keeper import fill_of


class GatewayGauges:
    """Gauges of one gateway.

    Args:
        metrics: where they are registered.
        gateway: where the values come from.
    """

    def __init__(self, metrics: Metrics, gateway: Gateway) -> None:
        self._gateway = gateway
        self._gauges = {name: metrics.gauge(f"gateway_{name}", meaning) for name, meaning in _MEANINGS.items()}
        self._of_line = {
            name: metrics.gauge(f"gateway_line_{name}", meaning, ["bus"]) for name, meaning in LINE_MEANINGS.items()
        }

    def update(self) -> None:
        """Copy the values."""
        gateway = self._gateway
        loop, up, link = gateway.counters, gateway.uplink.counters, gateway.voice.session.counters
        values = {
            **fill_of(gateway.keeper),
            "journal_commits": gateway.keeper.commits,
            "journal_written_bytes": gateway.keeper.written_bytes,
            "foreign_receipts": gateway.keeper.book.foreign_receipts,
            "scans": loop.scans,
            "sweeps": loop.sweeps,
            "failed_sweeps": loop.failed_sweeps,
            "overruns": loop.overruns,
            "silent_scans": loop.silent_scans,
            "late_readings": loop.late_readings,
            "live_scans": up.live,
            "backfilled_scans": up.backfilled,
            "cell_messages": up.cells,
            "bad_receipts": up.bad_receipts,
            "link_connects": link.connects,
            "link_refused": link.refused,
            "refused_presences": gateway.showcase.register.refused,
        }
        for name, value in values.items():
            self._gauges[name].set(value)
        for path in gateway.paths:
            for bus, figures in path.driver.line_figures().items():
                for name, gauge in self._of_line.items():
                    gauge.labels(bus).set(figures[name])


_MEANINGS = {
    "journal_bytes": "bytes of all journal segments",
    "journal_waiting_scans": "scans that no receipt covers",
    "journal_dropped_scans": "scans that had to be dropped unstored",
    "journal_is_durable": "1 while scans go to disk, 0 while they live in memory",
    "journal_commits": "group commits since the start",
    "journal_written_bytes": "bytes written to the journal since the start",
    "foreign_receipts": "receipts for streams or numbers that this journal never gave",
    "scans": "scans taken since the start",
    "sweeps": "sweeps begun since the start",
    "failed_sweeps": "sweeps that ended with an error",
    "overruns": "sweeps that could not hold scan_s",
    "silent_scans": "scans made because a driver said nothing",
    "late_readings": "readings whose place in time was already taken",
    "live_scans": "scans published live",
    "backfilled_scans": "scans published on backfill",
    "cell_messages": "per-cell messages published",
    "bad_receipts": "receipts that could not be read",
    "link_connects": "connections to the broker",
    "link_refused": "messages that the link did not take",
    "refused_presences": "presences that could not be read, lied about their sender, or were one too many",
}

LINE_MEANINGS = {
    "is_open": "1 while the port is open",
    "devices": "rows of the line's plan: units, and pages of sensors",
    "silent_devices": "devices that did not answer in the newest sweep; all of them while the port is closed",
    "damaged_devices": "devices whose reply came damaged in the newest sweep, also when asked again",
    "sweep_s": "first request to last reply of the newest sweep, real seconds",
    "sweeps": "finished sweeps since the start",
    "requests": "requests sent since the start",
    "frames": "intact replies taken since the start",
    "retries": "requests and addresses asked again since the start",
    "timeouts": "transactions that ended by time since the start",
    "crc_errors": "replies that were damaged since the start",
    "unexpected": "intact frames that nobody had asked for since the start",
    "stray_bytes": "bytes outside of any transaction since the start",
    "bytes_in": "bytes received since the start",
    "bytes_out": "bytes sent since the start",
    "reopened": "how often the port was opened since the start",
}
"""Gauges by bus; the names of `Driver.line_figures`."""
