"""When a string begins to carry its load: voltage and current have to agree, and the voltage dates the moment.

A current alone is not believed: its column may begin before the load does, its sensor may hang or be mounted the wrong
way round. A fall of the voltage alone is not either: an opened breaker lets it fall too. Plain Python per string.
"""

from dataclasses import replace
from itertools import pairwise
from math import isnan, nan
from typing import Final, Literal, NamedTuple

from analytics.checked_frozen import checked_frozen
from analytics.mode_rules import StringModeRules

WINDOW_S: Final = 60.0  # a load shows in the voltage within this; surface charge moves less than 1 mV per cell in it
SPACING_S: Final = 0.95  # of the remembered samples; fast scans are not all needed
HELD_S: Final = 2.0
LEAST_FALL_V: Final = 0.002  # per cell; ten times the noise of a string's mean
FALL_OHM_AH: Final = 0.03  # per cell: the least resistance times capacity that a stationary cell has
SLOW_TIMES: Final = 3.0  # a fall over longer than the window has to be that much more
BELOW_FLOAT_FRAC: Final = 0.02
ALONE_FALL_V: Final = 0.02  # per cell, without a current sensor
AGAINST_FALL_V: Final = 0.01  # per cell, against what the current says

type Dating = Literal["", "step", "current", "first scan"]
type Remembered = tuple[float, float, float]


class Sight(NamedTuple):
    """One string in one scan: time, volts per electrochemical cell, discharge current (NaN without), temperature."""

    at_s: float
    cell_v: float
    discharge_a: float
    degc: float


@checked_frozen
class OnsetMemory:
    """What the next scan is held against.

    Attributes:
        recent: (time, volts per cell, discharge current) of the last minute, about a second apart.
        over_s: since when the current says discharge; NaN while it does not.
        over_v: volts per cell just before that moment; NaN when nobody saw it.
        quiet_s: since when a discharge under way shows no current; NaN while it does.
        began_s: onset of the discharge under way; NaN while there is none.
        lowest_v: per cell, of the discharge under way.
        dated_by: what dated the onset.
        against_s: since when current and voltage contradict each other; NaN while they do not.
    """

    recent: tuple[Remembered, ...] = ()
    over_s: float = nan
    over_v: float = nan
    quiet_s: float = nan
    began_s: float = nan
    lowest_v: float = nan
    dated_by: Dating = ""
    against_s: float = nan

    @property
    def is_discharging(self) -> bool:
        """Whether the string carries its load."""
        return not isnan(self.began_s)

    def with_recent(self, recent: tuple[Remembered, ...]) -> "OnsetMemory":
        """Return the memory with other samples; several times as fast as `replace`, and asked in every scan."""
        return OnsetMemory(
            recent, self.over_s, self.over_v, self.quiet_s, self.began_s, self.lowest_v, self.dated_by, self.against_s
        )


def follow_onset(memory: OnsetMemory, sight: Sight, rules: StringModeRules) -> OnsetMemory:
    """Return the memory after one scan with a usable voltage, which is newer than the last."""
    if memory.is_discharging:
        after = _during(memory, sight, rules)
    elif isnan(sight.discharge_a):
        after = _from_voltage_alone(memory, sight, rules)
    else:
        after = _watching(memory, sight, rules)
    recent = _remembered(memory.recent, sight)
    return after if recent is after.recent else after.with_recent(recent)


def after_gap(memory: OnsetMemory) -> OnsetMemory:
    """Return what is left after a time in which nobody looked: a discharge under way, and no samples to compare."""
    return OnsetMemory(began_s=memory.began_s, lowest_v=memory.lowest_v, dated_by=memory.dated_by)


def fall_needed_v(discharge_a: float, rules: StringModeRules) -> float:
    """Return by how much the voltage per cell has to fall for a current to be believed."""
    return max(LEAST_FALL_V, FALL_OHM_AH * abs(discharge_a) / rules.rated_ah)


def _during(memory: OnsetMemory, sight: Sight, rules: StringModeRules) -> OnsetMemory:
    lowest_v = sight.cell_v if isnan(memory.lowest_v) else min(memory.lowest_v, sight.cell_v)
    risen_v = sight.cell_v - lowest_v
    a = sight.discharge_a
    if isnan(a):
        return OnsetMemory() if risen_v >= ALONE_FALL_V else replace(memory, lowest_v=lowest_v, quiet_s=nan)
    if a > rules.rest_a:
        if _is_charged_again(sight, risen_v, rules):
            return OnsetMemory(over_s=memory.over_s, over_v=memory.over_v, against_s=sight.at_s)
        is_same = lowest_v == memory.lowest_v and isnan(memory.quiet_s)
        return memory if is_same else replace(memory, lowest_v=lowest_v, quiet_s=nan)
    quiet_s = sight.at_s if isnan(memory.quiet_s) else memory.quiet_s
    is_over = a < -rules.rest_a or sight.at_s - quiet_s >= HELD_S
    return OnsetMemory() if is_over else replace(memory, lowest_v=lowest_v, quiet_s=quiet_s)


def _is_charged_again(sight: Sight, risen_v: float, rules: StringModeRules) -> bool:
    """Whether the voltage is back at float after a discharge although the current still says load."""
    back_v = rules.float_at_v(sight.degc) * (1.0 - rules.enter_frac) - rules.slack_v(sight.degc)
    return risen_v >= ALONE_FALL_V and sight.cell_v >= back_v


def _watching(memory: OnsetMemory, sight: Sight, rules: StringModeRules) -> OnsetMemory:
    a = sight.discharge_a
    is_low = sight.cell_v < rules.float_at_v(sight.degc) * (1.0 - BELOW_FLOAT_FRAC)
    if not (a > rules.discharge_a or (is_low and a > rules.rest_a)):
        against_s = _against_s(memory, sight, rules)
        is_calm = isnan(memory.over_s) and isnan(memory.against_s) and isnan(against_s)
        return memory if is_calm else replace(memory, over_s=nan, over_v=nan, against_s=against_s)
    over_s, over_v = memory.over_s, memory.over_v
    if isnan(over_s):
        over_s, over_v = sight.at_s, memory.recent[-1][1] if memory.recent else nan
    held = sight.at_s - over_s >= HELD_S
    by, began_s = _dated(memory.recent, sight, over_s, over_v, rules)
    if not by and isnan(over_v) and is_low and held:  # it may have been going on before anybody looked
        by, began_s = "first scan", over_s
    # At once only where all three agree: level, fall, and a current that was not there before.
    if by and (held or (is_low and memory.recent[-1][2] < a)):
        return OnsetMemory(began_s=began_s, lowest_v=sight.cell_v, dated_by=by)
    return replace(memory, over_s=over_s, over_v=over_v, against_s=nan)


def _dated(
    recent: tuple[Remembered, ...], sight: Sight, over_s: float, over_v: float, rules: StringModeRules
) -> tuple[Dating, float]:
    """Return what dates the onset and when it was; an empty string while the voltage does not confirm one."""
    need_v = fall_needed_v(sight.discharge_a, rules)
    window = [*(each for each in recent if sight.at_s - each[0] <= WINDOW_S), sight]
    if max(each[1] for each in window) - sight.cell_v >= need_v:
        falls = [(before[1] - after[1], after[0]) for before, after in pairwise(window)]
        largest_v, at_s = max(falls)
        return ("step", at_s) if largest_v >= 0.5 * need_v else ("current", over_s)
    if over_v - sight.cell_v >= SLOW_TIMES * need_v:
        return "current", over_s
    return "", nan


def _against_s(memory: OnsetMemory, sight: Sight, rules: StringModeRules) -> float:
    """Return since when a growing charge current comes with a falling voltage, as from a sensor mounted in reverse."""
    a = sight.discharge_a
    if abs(a) < rules.rest_a:
        return nan
    if not isnan(memory.against_s):
        return memory.against_s
    window = [each for each in memory.recent if sight.at_s - each[0] <= WINDOW_S and not isnan(each[2])]
    if a > -rules.discharge_a or not window:
        return nan
    was_v, was_a = max((each[1], each[2]) for each in window)
    fell = was_v - sight.cell_v >= max(AGAINST_FALL_V, fall_needed_v(a, rules))
    return sight.at_s if fell and was_a - a > rules.discharge_a else nan


def _from_voltage_alone(memory: OnsetMemory, sight: Sight, rules: StringModeRules) -> OnsetMemory:
    calm = replace(memory, over_s=nan, over_v=nan, against_s=nan)
    low_v = rules.float_at_v(sight.degc) * (1.0 - 2.0 * BELOW_FLOAT_FRAC) - rules.slack_v(sight.degc)
    if sight.cell_v >= low_v or not memory.recent:
        return calm
    window = [*(each for each in memory.recent if sight.at_s - each[0] <= WINDOW_S), sight]
    falls = [(before[1] - after[1], after[0]) for before, after in pairwise(window)]
    if max(each[1] for each in window) - sight.cell_v < ALONE_FALL_V:
        return calm
    return OnsetMemory(began_s=max(falls)[1], lowest_v=sight.cell_v, dated_by="step")


def _remembered(recent: tuple[Remembered, ...], sight: Sight) -> tuple[Remembered, ...]:
    if recent and sight.at_s - recent[-1][0] < SPACING_S:
        return recent
    first = 0
    while first < len(recent) and sight.at_s - recent[first][0] > WINDOW_S:
        first += 1
    return (*recent[first:], (sight.at_s, sight.cell_v, sight.discharge_a))
