"""What days of scans say about single units: a leak, a weak cell, a sensor, one that dries out. Pure; arrays (n,).

Every scan adds the charge that modules took; once a minute of event time it is booked and the slower questions are
asked. A finding is for a person to look at: it takes a unit out of the reference or ends its bleed, and never begins
one.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np

from balancer.limits import Reason, Reasons
from balancer.pack_stats import PackStats, middle
from balancer.pack_view import Flags, Floats
from balancer.rules import PackRules
from balancer.seen import Seen

LOOK_S: Final = 60.0
DAY_S: Final = 86_400.0
SIGMA_OF_MAD: Final = 1.4826
LIFT_DUTY_FRAC: Final = 0.5  # of what is asked at most: peers that bleed more than half …
LIFT_S: Final = 7 * DAY_S  # … for so long lift a unit that dries out or has a short
LIFT_SIGMA: Final = 4.0
LIFT_V: Final = 0.010  # per cell, grows with the root: the lowest of a healthy string is nearer
GUARD_FRAC_PER_DAY: Final = 0.01  # of capacity: more is no imbalance but a fault
GUARD_S: Final = 7 * DAY_S
GUARD_AFTER_FRAC: Final = 0.75  # of its memory: from the tenth day; a new string may move many percent in the first
LEAK_AFTER_S: Final = 2 * DAY_S
LEAK_MEMORY_S: Final = 30 * DAY_S
BLIND_S: Final = 1 * DAY_S  # what leaks in a longer gap would be taken for a leak of the days after it
LEAK_A: Final = 0.005
LEAK_SIGMA: Final = 4.0
EVEN_BANDS: Final = 3.0  # times start_v: above it the string is still being evened out, and bleeds tell of that
WEAK_V: Final = 0.06  # per cell, in discharge, below the middle
SENSOR_V: Final = 0.015  # off the middle on a plateau, where all units read alike
PLATEAU_A_PER_AH: Final = 0.01  # above it resistances show
LEAVE_FRAC: Final = 0.5  # a finding ends below this part of what began it: one at the border is told once
DEVIATION_SIGMA: Final = 5.0
DEVIATION_AFTER_S: Final = 900.0
DEVIATION_TAU_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Findings:
    """Sums over time per unit, and what follows from them.

    Attributes:
        moved_ah, heat_wh: taken from the unit and given off by its module since the run began.
        pending_ah, pending_wh, pending_s: since the last look.
        week_ah, week_s: the same with a memory of a week.
        even_ah, even_s: the same since the string was even, with a memory of a month: the leaks of the other units.
        lift_s: how long the peers have had to lift it.
        plateau_v, plateau_s: mean deviation from the middle on the plateau of a flat curve.
        discharge_v, discharge_s: mean deviation from the middle in discharge.
        reason: (n,) finding per unit, EVEN without one.
    """

    moved_ah: Floats
    heat_wh: Floats
    pending_ah: Floats
    pending_wh: Floats
    pending_s: float
    week_ah: Floats
    week_s: float
    even_ah: Floats
    even_s: float
    lift_s: Floats
    plateau_v: Floats
    plateau_s: float
    discharge_v: Floats
    discharge_s: float
    reason: Reasons

    @classmethod
    def none(cls, units: int) -> Self:
        """Return the findings of units that nobody has watched yet."""
        zeros = np.zeros(units)
        return cls(
            zeros, zeros, zeros, zeros, 0.0, zeros, 0.0, zeros, 0.0, zeros, zeros, 0.0, zeros, 0.0,
            np.zeros(units, dtype=np.int8),
        )  # fmt: skip

    @property
    def not_a_reference(self) -> Flags:
        """Units that the others are not brought to (n,)."""
        return np.asarray((self.reason == Reason.DRYING_OUT) | (self.reason == Reason.SENSOR))

    @property
    def not_to_bleed(self) -> Flags:
        """Units whose bleed would feed a fault or hide it (n,)."""
        return np.asarray(self.not_a_reference | (self.reason == Reason.PERSISTENT))

    @property
    def leak_a(self) -> Floats:
        """Inferred leak of each unit above the median unit's (n,), amperes; NaN while it cannot be told."""
        if self.even_s < LEAK_AFTER_S:
            return np.full(len(self.even_ah), np.nan)
        rate_a = self.even_ah * 3600.0 / self.even_s
        return np.asarray(np.median(rate_a) - rate_a)

    def observe(self, seen: Seen, asked: Floats, spared: Collection[int], rules: PackRules) -> Self:
        """Return the findings after a scan.

        Args:
            seen: the scan.
            asked: (n,) duty of the decision before.
            spared: places of new units, which are not bled.
            rules: of the string.
        """
        view, dt_s = seen.view, seen.dt_s
        if dt_s == 0.0:
            if abs(seen.gap_s) <= BLIND_S or self.even_s == 0.0:
                return self
            return replace(self, even_ah=np.zeros(view.units), even_s=0.0)  # until it is even again
        # `fmax` takes the number beside a NaN: a module that says nothing moves nothing that we know of.
        done = np.fmax(view.bleed_frac, 0.0) * (dt_s / 3600.0)
        watched = replace(
            self,
            pending_ah=self.pending_ah + done * seen.known_v * (rules.bleed_a / rules.float_v),
            pending_wh=self.pending_wh + done * seen.full_w,
            pending_s=self.pending_s + dt_s,
        )
        return watched if watched.pending_s < LOOK_S else watched.look(seen, asked, spared, rules)

    def new_run(self) -> Self:
        """Return the findings with charge and heat counted from now."""
        zeros = np.zeros(len(self.moved_ah))
        return replace(self, moved_ah=zeros, heat_wh=zeros)

    def forgotten(self) -> Self:
        """Return the findings with every verdict open again: a person has looked."""
        fresh = type(self).none(len(self.moved_ah))
        return replace(fresh, moved_ah=self.moved_ah, heat_wh=self.heat_wh)

    def look(self, seen: Seen, asked: Floats, spared: Collection[int], rules: PackRules) -> Self:
        """Return the findings after the slower questions, over the time since they were asked last."""
        view, stats, dt_s = seen.view, seen.stats, self.pending_s
        off_v = view.cell_v - stats.median_v
        fade, leak_fade = float(np.exp(-dt_s / GUARD_S)), float(np.exp(-dt_s / LEAK_MEMORY_S))
        was_even = self.even_s > 0.0 or _is_even(seen, rules)
        looked = replace(
            self,
            moved_ah=self.moved_ah + self.pending_ah,
            heat_wh=self.heat_wh + self.pending_wh,
            pending_ah=np.zeros(view.units),
            pending_wh=np.zeros(view.units),
            pending_s=0.0,
            week_ah=self.week_ah * fade + self.pending_ah,
            week_s=self.week_s * fade + dt_s,
            even_ah=self.even_ah * leak_fade + self._comparable_ah(seen, spared, rules) if was_even else self.even_ah,
            even_s=self.even_s * leak_fade + dt_s if was_even else 0.0,
            lift_s=_lift_s(self.lift_s, np.nan_to_num(off_v), stats, asked, dt_s, rules),
        )
        if seen.phase == "discharge":
            mean_v = _mean(self.discharge_v, self.discharge_s, off_v, dt_s)
            looked = replace(looked, discharge_v=mean_v, discharge_s=self.discharge_s + dt_s)
        elif _is_on_plateau(seen, rules):
            mean_v = _mean(self.plateau_v, self.plateau_s, off_v, dt_s)
            looked = replace(looked, plateau_v=mean_v, plateau_s=self.plateau_s + dt_s)
        return replace(looked, reason=looked.verdicts(rules))

    def verdicts(self, rules: PackRules) -> Reasons:
        """Return what the sums say of each unit (n,)."""
        was, reason = self.reason, np.zeros(len(self.moved_ah), dtype=np.int8)
        leak_a = np.nan_to_num(self.leak_a)
        reason[_above(leak_a, max(LEAK_A, LEAK_SIGMA * _sigma(leak_a)), was == Reason.LEAK)] = Reason.LEAK
        if self.discharge_s >= LOOK_S:
            weak_v = max(WEAK_V, DEVIATION_SIGMA * _sigma(self.discharge_v))
            reason[_above(-self.discharge_v, weak_v, was == Reason.WEAK)] = Reason.WEAK
        if self.plateau_s >= DEVIATION_AFTER_S:
            off_v = max(SENSOR_V * rules.cells_per_unit, DEVIATION_SIGMA * _sigma(self.plateau_v))
            reason[_above(np.abs(self.plateau_v), off_v, was == Reason.SENSOR)] = Reason.SENSOR
        # Latched until a person has looked: once a unit is left out, nothing tells of it any more.
        is_heavy = np.zeros(len(reason), dtype=np.bool_)
        if rules.strategy == "top" and self.week_s >= GUARD_AFTER_FRAC * GUARD_S:
            is_heavy = self.week_ah * DAY_S / self.week_s > GUARD_FRAC_PER_DAY * rules.rated_ah
        reason[is_heavy | (was == Reason.PERSISTENT)] = Reason.PERSISTENT
        reason[(self.lift_s >= LIFT_S) | (was == Reason.DRYING_OUT)] = Reason.DRYING_OUT
        return reason

    def _comparable_ah(self, seen: Seen, spared: Collection[int], rules: PackRules) -> Floats:
        """Return what was taken from each unit (n,); one that nobody bleeds counts like the middle of the others."""
        left_out = self.not_to_bleed | ~seen.stats.usable
        left_out[[*rules.held_out, *spared]] = True
        others_ah = self.pending_ah[~left_out]
        middle_ah = float(np.median(others_ah)) if len(others_ah) else 0.0
        return np.where(left_out, middle_ah, self.pending_ah)


def _is_even(seen: Seen, rules: PackRules) -> bool:
    """Whether a string that is balanced at the top stands there and is even."""
    spread_v = seen.stats.spread_v
    is_top = rules.strategy == "top" and spread_v is not None and seen.stats.highest_v > rules.bleed_above_v
    return is_top and spread_v is not None and spread_v <= EVEN_BANDS * rules.start_v


def _is_on_plateau(seen: Seen, rules: PackRules) -> bool:
    """Whether all units should read alike: a flat curve, charged, at rest."""
    current_a = seen.view.current_a
    if rules.plateau_v is None or seen.phase != "idle" or current_a is None:
        return False
    return (
        abs(current_a) <= PLATEAU_A_PER_AH * rules.rated_ah and rules.plateau_v <= seen.stats.median_v < rules.leave_v
    )


def _lift_s(lift_s: Floats, off_v: Floats, stats: PackStats, asked: Floats, dt_s: float, rules: PackRules) -> Floats:
    """Return for how long each unit has been low while its peers bled to lift it; falls as fast as it rises."""
    if rules.strategy != "float_pi" or len(off_v) < 3 or not stats.usable.any():
        return lift_s
    peers = (float(asked.sum()) - asked) / (len(asked) - 1)
    most = max(float(asked.max()), 1e-9)
    low_v = max(LIFT_SIGMA * _sigma(off_v[stats.usable]), LIFT_V * rules.cells_per_unit**0.5)
    lifted = (peers > LIFT_DUTY_FRAC * most) & (asked == 0.0) & (off_v < -low_v)
    return np.clip(lift_s + np.where(lifted, dt_s, -dt_s), 0.0, LIFT_S)


def _mean(before_v: Floats, before_s: float, now_v: Floats, dt_s: float) -> Floats:
    """Return the mean over what was seen so far, later with a memory; units without a reading keep theirs (n,)."""
    part = max(dt_s / (before_s + dt_s), 1.0 - float(np.exp(-dt_s / DEVIATION_TAU_S)))
    return np.where(np.isnan(now_v), before_v, before_v + (now_v - before_v) * part)


def _above(values: Floats, border: float, was_above: Flags) -> Flags:
    return np.asarray(values > np.where(was_above, LEAVE_FRAC * border, border))


def _sigma(values: Floats) -> float:
    return SIGMA_OF_MAD * middle(np.sort(np.abs(values - middle(np.sort(values))))) if len(values) else 0.0
