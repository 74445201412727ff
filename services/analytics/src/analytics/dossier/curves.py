"""The course of one discharge as arrays over the kept samples: what is measured, and what follows from it directly."""

from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np

from analytics.discharge.record import DischargeRecord
from analytics.readings import Flags, Floats

type VoltageSource = Literal["measured", "sum of the units", "estimated, units unread", "none"]

OFF_FRAC: Final = 0.1  # of the middle current: below it the load is off
SWITCHED_S: Final = 2.0
CLOSE_S: Final = 60.0
CLOSE_FRAC: Final = 0.05  # a long discharge is kept in fewer samples
ENOUGH_FRAC: Final = 0.9  # of the units: their mean stands for the string, and the dossier says so


@dataclass(frozen=True, slots=True)
class Curves:
    """One discharge over time; T kept samples, n units.

    Attributes:
        t_s: (T,) seconds since the onset; negative before it.
        inside: (T,) whether the sample lies in the discharge; samples at its end in which the load was off do not.
        current_a: (T,) positive discharges; NaN without.
        string_v: (T,) NaN without.
        string_v_from: `measured` where a sensor gave it; the sum where every unit could be read, their mean times n
            where nearly all could.
        power_w: (T,) NaN without.
        ambient_degc: (T,) NaN without.
        unit_v, degc: (T, n) NaN without.
        spread_v: (T,) highest minus lowest unit; NaN with fewer than two readings.
    """

    t_s: Floats
    inside: Flags
    current_a: Floats
    string_v: Floats
    string_v_from: VoltageSource
    power_w: Floats
    ambient_degc: Floats
    unit_v: Floats
    degc: Floats
    spread_v: Floats

    @property
    def units(self) -> int:
        """Units of the string, n."""
        return int(self.unit_v.shape[1])


def finite(record: DischargeRecord) -> DischargeRecord:
    """Return a record in which everything that is no number is NaN."""

    def known(values: Any) -> Any:  # noqa: ANN401  # arrays of one and two dimensions
        return np.where(np.isfinite(values), values, np.nan)

    return replace(
        record,
        discharge_a=known(record.discharge_a),
        string_v=known(record.string_v),
        ambient_degc=known(record.ambient_degc),
        unit_v=known(record.unit_v),
        degc=known(record.degc),
    )


def curves_of(record: DischargeRecord) -> Curves:
    """Return the curves of a record; samples are put in order of time and repeated times dropped."""
    at_s, first = np.unique(record.at_s, return_index=True)
    keep = first[np.isfinite(at_s)]
    at_s = record.at_s[keep]
    current_a, measured_v = (np.asarray(each[keep], np.float64) for each in (record.discharge_a, record.string_v))
    unit_v, degc = (np.asarray(each[keep], np.float64) for each in (record.unit_v, record.degc))
    string_v, source = _string_voltage(measured_v, unit_v)
    return Curves(
        t_s=at_s - record.began_s,
        inside=_inside(at_s, current_a, record),
        current_a=current_a,
        string_v=string_v,
        string_v_from=source,
        power_w=string_v * current_a,
        ambient_degc=np.asarray(record.ambient_degc[keep], np.float64),
        unit_v=unit_v,
        degc=degc,
        spread_v=_spread(unit_v),
    )


def _inside(at_s: Floats, current_a: Floats, record: DischargeRecord) -> Flags:
    """Return which samples count: a slow source may show the voltage recover before its current is surely off."""
    inside = np.asarray((at_s >= record.began_s) & (at_s <= record.ended_s), np.bool_)
    known = inside & np.isfinite(current_a)
    if not known.any():
        return inside
    off = known & (current_a < OFF_FRAC * np.median(current_a[known]))
    loaded = np.flatnonzero(inside & ~off)
    return inside & (np.arange(len(at_s)) <= loaded[-1]) if len(loaded) else inside


def _string_voltage(measured_v: Floats, unit_v: Floats) -> tuple[Floats, VoltageSource]:
    if np.isfinite(measured_v).any():
        return measured_v, "measured"
    total_v = unit_v.sum(axis=1)
    if np.isfinite(total_v).any():
        return total_v, "sum of the units"
    known = np.isfinite(unit_v)
    enough = known.sum(axis=1) >= ENOUGH_FRAC * unit_v.shape[1]
    mean_v = np.where(known, unit_v, 0.0).sum(axis=1) / np.maximum(1, known.sum(axis=1))
    estimated_v = np.where(enough & known.any(axis=1), mean_v * unit_v.shape[1], np.nan)
    return estimated_v, "estimated, units unread" if np.isfinite(estimated_v).any() else "none"


def _spread(unit_v: Floats) -> Floats:
    known = np.isfinite(unit_v)
    high = np.where(known, unit_v, -np.inf).max(axis=1, initial=-np.inf)
    low = np.where(known, unit_v, np.inf).min(axis=1, initial=np.inf)
    return np.where(known.sum(axis=1) >= 2, high - low, np.nan)


def mean_over_time(t_s: Floats, values: Floats, inside: Flags) -> float:
    """Return the mean of a series weighted by time (trapezoids), NaN where fewer than one sample is known."""
    known = inside & np.isfinite(values)
    if known.sum() < 2:
        return float(values[known][0]) if known.any() else float("nan")
    return float(np.trapezoid(values[known], t_s[known]) / (t_s[known][-1] - t_s[known][0]))


def covered_share(t_s: Floats, inside: Flags, until_s: float) -> float:
    """Return the share of the time from the onset to a moment in which samples are close together."""
    known = t_s[inside & (t_s <= until_s)]
    if until_s <= 0.0 or len(known) < 2:
        return 0.0
    steps_s = np.diff(np.concatenate([[0.0], known, [until_s]]))
    close = steps_s <= max(CLOSE_S, CLOSE_FRAC * until_s)
    return float(steps_s[close].sum() / until_s)


def falls_below_s(t_s: Floats, values: Floats, inside: Flags, limit: float, slack: float = 0.0) -> float | None:
    """Return when a series falls to a limit for good, between two samples by a straight line; None when it does not.

    "For good" means that no later sample of the discharge is above: the dip of lead in the first minute is not the end.
    A last sample that is above the limit by no more than `slack` is there. Samples of the last two seconds may be of
    the moment in which the load went off: when they alone are above, they do not count.
    """
    known = np.flatnonzero(inside & np.isfinite(values))
    if not len(known):
        return None
    if values[known[-1]] > limit + slack:
        known = known[t_s[known] < t_s[known[-1]] - SWITCHED_S]
    if not len(known) or values[known[-1]] > limit + slack:
        return None
    if values[known[-1]] > limit:
        return float(t_s[known[-1]])
    above = np.flatnonzero(values[known] > limit)
    if not len(above):
        return float(t_s[known[0]])
    before, after = known[above[-1]], known[above[-1] + 1]
    share = (values[before] - limit) / (values[before] - values[after])
    return float(t_s[before] + share * (t_s[after] - t_s[before]))
