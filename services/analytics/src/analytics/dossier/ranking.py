"""The units of a string in the order in which they gave way."""

from dataclasses import dataclass

import numpy as np

from analytics.dossier.curves import Curves, falls_below_s
from analytics.readings import Floats


@dataclass(frozen=True, slots=True)
class UnitRow:
    """One unit in one discharge; None where it could not be read.

    Attributes:
        cell: 1-based position.
        reached_end_s: seconds after the onset at which it was at its end voltage for good; None when it never was.
        before_end_s: how long before the end of the discharge that was; None likewise.
        end_v: last reading in the discharge.
        lowest_v: lowest reading in the discharge, signed.
        deviation_v: `end_v` minus the median of all units at that moment.
        start_degc, rise_k: temperature before the onset, and the largest rise above it.
        readings: how many kept samples of the discharge have one of it.
        reversed: whether it read below zero.
    """

    cell: int
    reached_end_s: float | None
    before_end_s: float | None
    end_v: float | None
    lowest_v: float | None
    deviation_v: float | None
    start_degc: float | None
    rise_k: float | None
    readings: int
    reversed: bool


def ranked_units(curves: Curves, duration_s: float, end_v: float) -> tuple[UnitRow, ...]:
    """Return a row per unit, the weakest first: who reached the end first, then who stood lowest, unread ones last.

    Args:
        curves: of the discharge.
        duration_s: from the onset to the end.
        end_v: volts of a unit at which it counts as empty.
    """
    rows = [_row(curves, at, duration_s, end_v) for at in range(curves.units)]

    def weakness(row: UnitRow) -> tuple[float, float, int]:
        reached = np.inf if row.reached_end_s is None else row.reached_end_s
        return (reached, np.inf if row.end_v is None else row.end_v, row.cell)

    return tuple(sorted(rows, key=weakness))


def _row(curves: Curves, at: int, duration_s: float, end_v: float) -> UnitRow:
    volts = curves.unit_v[:, at]
    known = np.flatnonzero(curves.inside & np.isfinite(volts))
    start_degc, rise_k = _warmth(curves, at)
    if not len(known):
        return UnitRow(at + 1, None, None, None, None, None, start_degc, rise_k, 0, reversed=False)
    last = int(known[-1])
    lowest_v = float(volts[known].min())
    reached_s = falls_below_s(curves.t_s, volts, curves.inside, end_v)
    return UnitRow(
        cell=at + 1,
        reached_end_s=reached_s,
        before_end_s=None if reached_s is None else max(0.0, duration_s - reached_s),
        end_v=float(volts[last]),
        lowest_v=lowest_v,
        deviation_v=float(volts[last] - np.nanmedian(curves.unit_v[last])),
        start_degc=start_degc,
        rise_k=rise_k,
        readings=len(known),
        reversed=lowest_v < 0.0,
    )


def _warmth(curves: Curves, at: int) -> tuple[float | None, float | None]:
    degc = curves.degc[:, at]
    known = np.isfinite(degc)
    start_degc = first_known(degc[known & (curves.t_s <= 0.0)][::-1], degc[known])
    rising = degc[known & curves.inside]
    return start_degc, None if start_degc is None or not len(rising) else float(rising.max() - start_degc)


def first_known(*choices: Floats) -> float | None:
    """Return the first value of the first array that has one."""
    return next((float(each[0]) for each in choices if len(each)), None)
