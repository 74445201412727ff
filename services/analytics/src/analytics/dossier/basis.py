"""What every capacity method starts from: current, charge and temperature of a discharge up to a moment. Pure."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from analytics.discharge.record import DischargeRecord
from analytics.dossier.curves import Curves, covered_share, mean_over_time
from analytics.readings import Flags

STEADY_FRAC: Final = 0.01  # IEC 60896: 1 % of the current for the test to count as one at constant current


@dataclass(frozen=True, slots=True)
class Basis:
    """The numbers; None where unknown.

    Attributes:
        until_s: seconds from the onset to the end voltage, or to the end of the discharge.
        current_a: mean over that time.
        steady_share: share of it with a current within 1 % of the median.
        counted_ah: charge drawn.
        degc: mean of the poles before the onset.
        covered: share of the time in which the current is known.
    """

    until_s: float
    current_a: float | None
    steady_share: float | None
    counted_ah: float | None
    degc: float | None
    covered: float

    @classmethod
    def of(cls, record: DischargeRecord, curves: Curves, until_s: float) -> "Basis":
        """Return the numbers of a discharge up to `until_s` after its onset."""
        counted = curves.inside & (curves.t_s <= until_s) & np.isfinite(curves.current_a)
        mean_a = mean_over_time(curves.t_s, curves.current_a, counted)
        known = np.isfinite(mean_a) and until_s > 0.0
        return cls(
            until_s=until_s,
            current_a=mean_a if known else None,
            steady_share=_steady_share(curves, counted) if known else None,
            counted_ah=_counted_ah(record, mean_a, until_s) if known else None,
            degc=start_degc(curves),
            covered=covered_share(curves.t_s, counted, until_s),
        )


def start_degc(curves: Curves) -> float | None:
    """Return the mean temperature of the poles before the discharge, at its very begin where nothing older is kept."""
    for rows in (curves.t_s <= 0.0, curves.inside & (curves.t_s <= 60.0)):
        known = curves.degc[rows]
        known = known[np.isfinite(known)]
        if len(known):
            return float(known.mean())
    return None


def _steady_share(curves: Curves, counted: Flags) -> float:
    """Return the share of time with a current within 1 % of the median of time."""
    t_s, current_a = curves.t_s[counted], curves.current_a[counted]
    if len(t_s) < 2:
        return 0.0
    weight = np.gradient(t_s)
    order = np.argsort(current_a)
    middle = current_a[order][np.searchsorted(np.cumsum(weight[order]), 0.5 * weight.sum())]
    steady = np.abs(current_a - middle) <= STEADY_FRAC * abs(middle)
    return float(weight[steady].sum() / weight.sum())


def _counted_ah(record: DischargeRecord, mean_a: float, until_s: float) -> float:
    """Return the charge up to a moment: of every scan to the end of the record, of the kept samples before it."""
    whole_s = record.ended_s - record.began_s
    if np.isfinite(record.moved_ah) and until_s >= whole_s:
        return record.moved_ah
    return mean_a * until_s / 3600.0
