"""What was predicted in a discharge, held against what happened."""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from analytics.discharge.record import DischargeRecord, RuntimeSaid
from analytics.readings import Flags, Floats
from analytics.runtime.follow import dip_s

type Moment = Literal["onset", "half"]

BEHIND_CABLES_FRAC: Final = 0.01  # a UPS stops on the volts at its own terminals: cables and breaker take so much


@dataclass(frozen=True, slots=True)
class RuntimeScore:
    """One prediction against what happened; NaN where it was not known, or the discharge ended before.

    Attributes:
        moment: `onset`, the first one after the voltage had recovered from the load's coming; `half`, in the middle.
        at_s: since the load came.
        bus_s, unit_s: whole time from the load's coming until the bus was at the cut-off, the first unit at its limit.
        bus_said_s, unit_said_s: the same as predicted at that moment.
        bus_sd_s, unit_sd_s: of the prediction, as it was told.
        cell, said_cell: the unit that was first, and the one that was named; 1-based, 0 where none is known.
    """

    moment: Moment
    at_s: float
    bus_s: float
    bus_said_s: float
    bus_sd_s: float
    unit_s: float
    unit_said_s: float
    unit_sd_s: float
    cell: int
    said_cell: int

    @property
    def bus_error_frac(self) -> float:
        """Error of the whole time until cut-off, as part of it; positive: too much was promised."""
        return self.bus_said_s / self.bus_s - 1.0

    @property
    def bus_left_error_frac(self) -> float:
        """The same error as part of the time that was left."""
        return (self.bus_said_s - self.bus_s) / (self.bus_s - self.at_s)

    @property
    def unit_error_frac(self) -> float:
        """Error of the time until the first unit is at its limit, as part of it."""
        return self.unit_said_s / self.unit_s - 1.0


def score_runtime(record: DischargeRecord, end_v: float, bus_end_v: float) -> tuple[RuntimeScore, ...]:
    """Return the scores at onset and at half time; none when nothing was predicted or the cut-off was not reached.

    Args:
        record: of the discharge.
        end_v: limit of one unit.
        bus_end_v: at which the UPS stops, of the whole string.
    """
    said = [each for each in record.said if not np.isnan(each.bus_left_s) and each.at_s >= record.began_s]
    end_s = _bus_end_s(record, bus_end_v)
    if not said or np.isnan(end_s):
        return ()
    whole_s = end_s - record.began_s
    settled_s = record.began_s + dip_s(said[0].at_s - record.began_s + said[0].bus_left_s)
    onset = next((each for each in said if each.at_s >= settled_s), said[-1])
    half = min(said, key=lambda each: abs(each.at_s - record.began_s - 0.5 * whole_s))
    unit = _unit_end(record, end_v)
    began_s = record.began_s
    return _score("onset", began_s, onset, whole_s, unit), _score("half", began_s, half, whole_s, unit)


def _score(moment: Moment, began_s: float, said: RuntimeSaid, bus_s: float, unit: tuple[float, int]) -> RuntimeScore:
    at_s = said.at_s - began_s
    return RuntimeScore(
        moment=moment,
        at_s=at_s,
        bus_s=bus_s,
        bus_said_s=at_s + said.bus_left_s,
        bus_sd_s=said.bus_left_sd_s,
        unit_s=unit[0],
        unit_said_s=at_s + said.unit_left_s,
        unit_sd_s=said.unit_left_sd_s,
        cell=unit[1],
        said_cell=said.cell,
    )


def _watched(record: DischargeRecord) -> Flags:
    """Return the samples (T,) on load, after the voltage has recovered from its coming."""
    settled_s = record.began_s + dip_s(record.ended_s - record.began_s)
    return (record.at_s > settled_s) & (record.at_s <= record.ended_s)


def _bus_end_s(record: DischargeRecord, bus_end_v: float) -> float:
    """Return when the string was at the cut-off; NaN when the discharge ended before."""
    whole_v = record.string_v.astype(np.float64)
    whole_v = np.where(np.isnan(whole_v), record.unit_v.astype(np.float64).sum(axis=1), whole_v)
    with np.errstate(invalid="ignore"):
        below = _watched(record) & (whole_v < bus_end_v)
        near = _watched(record) & (whole_v < bus_end_v * (1.0 + BEHIND_CABLES_FRAC))
    if below.any():
        return float(record.at_s[np.argmax(below)])
    stopped = record.ended_by in ("rest", "open") and near.any() and near[np.flatnonzero(_watched(record))[-1]]
    return record.ended_s if stopped else float("nan")


def _unit_end(record: DischargeRecord, end_v: float) -> tuple[float, int]:
    """Return when, since the load came, the first unit was at its limit, and its number; NaN and 0 when none was."""
    unit_v: Floats = record.unit_v.astype(np.float64)
    with np.errstate(invalid="ignore"):
        below = _watched(record)[:, None] & (unit_v < end_v)
    rows = below.any(axis=1)
    if not rows.any():
        return float("nan"), 0
    first = int(np.argmax(rows))
    lowest = int(np.nanargmin(np.where(below[first], unit_v[first], np.nan)))
    return float(record.at_s[first] - record.began_s), lowest + 1
