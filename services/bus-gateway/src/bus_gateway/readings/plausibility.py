"""What a reading's own history and its neighbours say about it. Pure: readings in, readings out, no clock.

A unit's change since its last believed value is compared with what the string does as a whole:

- what most units share is good at once, and so is what a step of the current explains: an outage or a recharge begins
  in one scan, and a weak unit moves several times as far as the others;
- a lone change waits (quality 2, published as read) until the next scan confirms it: the same value again, or further
  in the same direction; a single wrong sample never passes as good and does not disturb the one after it;
- a unit that falls by itself, faster and faster, is followed: each step may be up to three times the one before;
- without history (start, gap, replaced module) a value near the others' is good, any other waits for its confirmation.

A voltage out of the module's range keeps quality 3: that is data, and a cell's reversal is the most important of all.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from cellkeeper.contract.physical import Quality
from cellkeeper.contract.scan_columns import Codes, Floats
from cellkeeper.contract.site import StringTable
from numpy.typing import NDArray

from bus_gateway.driver import StringReadings

LONE_V: Final = 0.02  # per root of the cells in a unit; noise is below 1 mV, a bleed that starts moves a cell a few mV
PEERS_V: Final = 0.2  # per root of the cells in a unit: healthy units in float differ by ± 50 mV per cell
LONE_DEGC: Final = 1.5  # a pole of some kilograms does not change faster within a second
PEERS_DEGC: Final = 15.0
WEAK_UNIT: Final = 4.0  # a worn unit falls up to this many times the string's median step beyond it
STEP_C_PER_H: Final = 0.02  # a step of the current above this share of the rated capacity per hour is a load step
LONGEST_GAP_S: Final = 30.0  # after this a last value says nothing about the next
FEWEST_PEERS: Final = 3

type Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of one quantity.

    Attributes:
        lone: change of one unit alone within a second that needs no confirmation.
        peers: distance from the others that is good without history.
        lowest, highest: level that is good without history and without others.
        current_step: change that a step of the current explains in one unit alone.
    """

    lone: float
    peers: float
    lowest: float
    highest: float
    current_step: float = 0.0


class History:
    """The believed past of one quantity in all units of a string.

    Args:
        units: number of units.
        bounds: of the quantity.
    """

    __slots__ = ("_believed", "_bounds", "_doubted", "_seen_s", "_trend", "_waits")

    def __init__(self, units: int, bounds: Bounds) -> None:
        self._bounds = bounds
        self._believed: Floats = np.full(units, np.nan)
        self._trend: Floats = np.zeros(units)
        self._doubted: Floats = np.full(units, np.nan)
        self._seen_s: Floats = np.full(units, -np.inf)
        self._waits = True

    def doubts(self, values: Floats, usable: Flags | None, now_s: float, step_sign: float) -> Flags | None:
        """Return which values wait for their confirmation; None where all are believed.

        Args:
            values: (n,) this scan.
            usable: (n,) which of them were measured, None for all.
            now_s: event time of the scan.
            step_sign: -1 or 1 when the current made a step down or up since the last scan, else 0.
        """
        change = values - self._believed
        if usable is None and not self._waits and float(np.abs(change).max()) <= self._bounds.lone:
            self._believed, self._trend = values, change
            self._seen_s[:] = now_s
            return None
        if usable is None:
            usable = ~np.isnan(values)
        self._believed = np.where(now_s - self._seen_s > LONGEST_GAP_S, np.nan, self._believed)
        change = values - self._believed
        known = usable & ~np.isnan(change)
        shared = float(np.median(change[known])) if int(known.sum()) >= FEWEST_PEERS else 0.0
        fits = known & self._fits(change - shared, shared, now_s, step_sign)
        fits |= usable & ~known & self._is_like_others(values, usable)
        confirmed = usable & ~fits & self._is_confirmed(values, shared, known)
        doubted = usable & ~fits & ~confirmed
        self._learn(values, shared, fits | confirmed, doubted, now_s)
        self._waits = bool(doubted.any()) or not bool(usable.all())
        return doubted if doubted.any() else None

    def _fits(self, alone: Floats, shared: float, now_s: float, step_sign: float) -> Flags:
        """Tell which changes beside the shared one need no confirmation."""
        age_s = np.clip(now_s - self._seen_s, 1.0, LONGEST_GAP_S)
        lone = self._bounds.lone * np.sqrt(age_s)
        up = lone + np.maximum(2.0 * self._trend, 0.0) + (WEAK_UNIT * shared if shared > 0.0 else -shared)
        down = lone + np.maximum(-2.0 * self._trend, 0.0) + (-WEAK_UNIT * shared if shared < 0.0 else shared)
        up += self._bounds.current_step * max(step_sign, 0.0)
        down += self._bounds.current_step * max(-step_sign, 0.0)
        with np.errstate(invalid="ignore"):
            fits: Flags = (alone <= up) & (alone >= -down)
        return fits

    def _is_like_others(self, values: Floats, usable: Flags) -> Flags:
        """Tell which values need no history: near the median, or at a possible level where there are no others."""
        bounds = self._bounds
        with np.errstate(invalid="ignore"):
            if int(usable.sum()) < FEWEST_PEERS:
                alike: Flags = (values >= bounds.lowest) & (values <= bounds.highest)
            else:
                alike = np.abs(values - np.median(values[usable])) <= bounds.peers
        return alike

    def _is_confirmed(self, values: Floats, shared: float, known: Flags) -> Flags:
        """Tell which values repeat a doubted one, or go on from it in the same direction by no larger step."""
        with np.errstate(invalid="ignore"):
            onward = values - self._doubted - shared
            first = self._doubted - self._believed
            goes_on = known & (onward * first > 0.0) & (np.abs(onward) <= np.abs(first))
            confirmed: Flags = (np.abs(onward) <= self._bounds.lone) | goes_on
        return confirmed

    def _learn(self, values: Floats, shared: float, believed: Flags, doubted: Flags, now_s: float) -> None:
        with np.errstate(invalid="ignore"):
            onward = np.where(np.isnan(self._doubted), values - self._believed, values - self._doubted) - shared
        self._trend = np.where(believed & ~np.isnan(onward), onward, 0.0)
        self._believed = np.where(believed, values, self._believed + shared)
        self._doubted = np.where(doubted, values, np.nan)
        self._seen_s[believed] = now_s


class Plausibility:
    """Grades one string's readings scan by scan.

    Args:
        string: its table: chemistry, cells per unit, rating.
    """

    def __init__(self, string: StringTable) -> None:
        profile, per_unit = string.profile, string.cells_per_unit
        root = per_unit**0.5
        self._volts = History(
            string.cells,
            Bounds(
                lone=LONE_V * root,
                peers=PEERS_V * root,
                lowest=profile.lowest_v * per_unit,
                highest=profile.highest_v * per_unit,
                current_step=profile.step_v * per_unit,
            ),
        )
        self._degc = History(string.cells, Bounds(LONE_DEGC, PEERS_DEGC, lowest=-30.0, highest=80.0))
        self._step_a = STEP_C_PER_H * string.rated_ah
        self._current_a: float | None = None

    def judge(self, readings: StringReadings) -> StringReadings:
        """Return the readings with quality 2 where a value waits for its confirmation; call it once for each scan."""
        now_s = readings.measured_ms / 1000.0
        step_sign = self._step_sign(readings.scalars.get("current_a"))
        quality = _judged(self._volts, readings.cell_v, readings.quality, now_s, step_sign)
        degc_quality = _judged(self._degc, readings.cell_degc, readings.degc_quality, now_s, 0.0)
        if quality is readings.quality and degc_quality is readings.degc_quality:
            return readings
        return replace(readings, quality=quality, degc_quality=degc_quality)

    def _step_sign(self, current_a: float | None) -> float:
        before_a, self._current_a = self._current_a, current_a
        if before_a is None or current_a is None or abs(current_a - before_a) < self._step_a:
            return 0.0
        return 1.0 if current_a > before_a else -1.0


def _judged(history: History, values: Floats, quality: Codes, now_s: float, step_sign: float) -> Codes:
    """Return the quality with 2 where the history doubts; units in test are neither judged nor learnt from."""
    usable: Flags | None = None
    if quality.any():
        usable = ((quality == Quality.GOOD) | (quality == Quality.OUT_OF_RANGE)) & ~np.isnan(values)
        if not usable.any():
            return quality
    doubted = history.doubts(values, usable, now_s, step_sign)
    if doubted is None:
        return quality
    return np.where(doubted & (quality == Quality.GOOD), np.uint8(Quality.IMPLAUSIBLE), quality).astype(np.uint8)
