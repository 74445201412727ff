"""Age of every unit at design temperature, and its chance to be below 80 % within 6 and 12 months; asked daily."""

from dataclasses import dataclass, replace
from math import isnan, nan
from typing import Final, Self

import numpy as np

from analytics.life.odds import Shown, odds
from analytics.life.rules import YEAR_S, LifeRules
from analytics.lives import Counts, begun, not_known
from analytics.readings import Codes, Flags, Floats, Layout, Readings
from analytics.soh.belief import Learned

AHEAD_YEARS: Final = (0.5, 1.0)
WARMTH_EVERY_S: Final = 60.0
LONGEST_STEP_S: Final = 3600.0  # over a longer gap the warmth before it says nothing; the usual pace is taken
PACE_S: Final = 30.0 * 86_400.0
EVERY_S: Final = 86_400.0
HAZARD_OF_STATE: Final = np.array([1.0, 1.0, 1.5, 3.0, 6.0])
"""By how much a hazard grows with the impedance's state; judgement, not fitted to any field data."""


@dataclass(frozen=True, slots=True)
class LifeMemory:
    """What the odds depend on.

    Attributes:
        years: (N,) at design temperature since the first scan of the unit's life.
        pace: (N,) mean of the last month: years at design temperature in one; NaN before the first temperature.
        born_s: (N,) begin of the unit's life where it was replaced; NaN where it was there from the first scan on.
        age_frac: (N,) age at design temperature over the design life; NaN where the age is unknown.
        first_s: (S,) first scan of each string; NaN before it.
        at_s: (S,) scan up to which `years` counts.
        asked_s: (S,) when the odds were found last; NaN while there is news of the string.
        news: (N,) event time of the newest discharge that the odds know of.
        state: (N,) of the impedances, as the odds know them.
        p_6m, p_12m: (N,) odds; NaN where nothing is known.
        lives: (N,) marks of the units that this is about; 0 before the first batch.
    """

    years: Floats
    pace: Floats
    born_s: Floats
    age_frac: Floats
    first_s: Floats
    at_s: Floats
    asked_s: Floats
    news: Floats
    state: Codes
    p_6m: Floats
    p_12m: Floats
    lives: Counts

    @classmethod
    def empty(cls, layout: Layout) -> Self:
        """Return the memory of strings that were never seen."""
        n, none, never = layout.units, np.full(layout.units, nan), np.full(len(layout.strings), nan)
        return cls(
            np.zeros(n),
            none,
            none,
            none,
            never,
            never,
            never,
            none,
            np.zeros(n, np.uint8),
            none,
            none,
            not_known(layout),
        )

    def begin_lives(self, units: Flags, born_s: Floats, now_s: float) -> "LifeMemory":
        """Return the memory after some units (N,) were replaced at a time (N,), which may have passed long ago."""
        passed_years = np.maximum(now_s - born_s, 0.0) / YEAR_S * np.nan_to_num(self.pace, nan=1.0)
        return replace(
            self,
            years=np.where(units, passed_years, self.years),
            age_frac=np.where(units, 0.0, self.age_frac),
            born_s=np.where(units, born_s, self.born_s),
            news=np.where(units, nan, self.news),
            p_6m=np.where(units, nan, self.p_6m),
            p_12m=np.where(units, nan, self.p_12m),
            asked_s=np.full_like(self.asked_s, nan),
        )


@dataclass(frozen=True, slots=True)
class LifeEstimate:
    """Odds of every unit, (N,); NaN where neither its age nor its capacity is known.

    Attributes:
        p_fail_6m_frac, p_fail_12m_frac: chance that its capacity is below 80 % of the rated one by then.
        age_frac: age at design temperature over the design life; NaN where the age is unknown.
        pace: years at design temperature that pass in one.
    """

    p_fail_6m_frac: Floats
    p_fail_12m_frac: Floats
    age_frac: Floats
    pace: Floats


def follow_life(
    memory: LifeMemory, readings: Readings, learned: Learned, state: Codes, rules: LifeRules
) -> tuple[LifeMemory, LifeEstimate]:
    """Return memory and odds after a batch of scans.

    Args:
        memory: of the batch before.
        readings: the batch.
        learned: what discharges have shown.
        state: (N,) of the impedances, codes as in `impedance/track.py`.
        rules: of the strings.
    """
    if memory.lives is not rules.lives:
        known_s = readings.at_s[~np.isnan(readings.at_s)]
        if len(known_s) == 0:
            return memory, LifeEstimate(memory.p_6m, memory.p_12m, memory.age_frac, memory.pace)
        memory = _of_those_there(memory, float(known_s.max()), rules)
    fresh = _is_new(learned.at_s, memory.news, rules.layout) | _is_new(state, memory.state, rules.layout)
    memory = replace(memory, news=learned.at_s, state=state)
    if fresh.any():
        memory = replace(memory, asked_s=np.where(fresh, nan, memory.asked_s))
    has_asked = False
    for place, now_s in enumerate(readings.at_s.tolist()):
        if isnan(now_s):
            continue
        if not now_s - float(memory.at_s[place]) < WARMTH_EVERY_S:
            memory = _aged(memory, readings, place, rules)
        # One string in a batch: none of them has to wait long, and no batch takes long.
        if not has_asked and not now_s - float(memory.asked_s[place]) < EVERY_S:
            memory, has_asked = _asked(memory, learned, now_s, place, rules), True
    return memory, LifeEstimate(memory.p_6m, memory.p_12m, memory.age_frac, memory.pace)


def _of_those_there(memory: LifeMemory, now_s: float, rules: LifeRules) -> LifeMemory:
    """Return the memory for the units that are there now; a replacement without a date happened now."""
    others = begun(memory.lives, rules.lives)
    if others.any():
        memory = memory.begin_lives(others, np.where(np.isfinite(rules.born_s), rules.born_s, now_s), now_s)
    return replace(memory, lives=rules.lives)


def _is_new(now: Floats | Codes, before: Floats | Codes, layout: Layout) -> Flags:
    """Return for which strings (S,) anything differs; at once where both are the same array."""
    if now is before:
        return np.zeros(len(layout.strings), np.bool_)
    differs = (now != before) & ~(np.isnan(now) & np.isnan(before))
    return np.add.reduceat(differs.astype(np.int64), layout.first[:-1]) > 0


def _aged(memory: LifeMemory, readings: Readings, place: int, rules: LifeRules) -> LifeMemory:
    """Return the memory with the warmth since the last time counted for the units of one string."""
    own, span, now_s = rules.strings[place], rules.layout.span(place), float(readings.at_s[place])
    degc = readings.degc[span]
    known = degc[~np.isnan(degc)]
    if len(known):
        degc = np.where(np.isnan(degc), known.mean(), degc)
        warm = np.exp2((np.clip(degc, -20.0, 80.0) - own.design_degc) / own.halving_k)
    else:
        warm = np.full(len(degc), nan)
    step_s = now_s - float(memory.at_s[place])
    usual = memory.pace[span]
    counted = np.where(np.isnan(warm) | (step_s > LONGEST_STEP_S), usual, warm)
    years, pace, at_s, first_s = memory.years.copy(), memory.pace.copy(), memory.at_s.copy(), memory.first_s.copy()
    if step_s > 0.0:
        years[span] += np.nan_to_num(counted, nan=1.0) * step_s / YEAR_S
        share = 1.0 - np.exp(-min(step_s, LONGEST_STEP_S) / PACE_S)
        moved = usual + share * (warm - usual)
        pace[span] = np.where(np.isnan(warm), usual, np.where(np.isnan(usual), warm, moved))
    else:  # the first scan, or a clock that was set back: nothing passed
        pace[span] = np.where(np.isnan(usual), warm, usual)
    at_s[place] = now_s
    first_s[place] = now_s if isnan(first_s[place]) else first_s[place]
    memory = replace(memory, years=years, pace=pace, at_s=at_s, first_s=first_s)
    age_frac = memory.age_frac.copy()
    age_frac[span] = _age_years(memory, place, rules) / own.design_years
    return replace(memory, age_frac=age_frac)


def _age_years(memory: LifeMemory, place: int, rules: LifeRules) -> Floats:
    """Return the age at design temperature of one string's units (n,); NaN where their beginning is unknown."""
    own, span = rules.strings[place], rules.layout.span(place)
    pace = np.nan_to_num(memory.pace[span], nan=1.0)
    before_s = max(float(memory.first_s[place]) - own.commissioned_s, 0.0)  # NaN stays NaN
    born = ~np.isnan(memory.born_s[span])
    # Of the time before the first scan nothing is known: the pace since then stands for it.
    return np.asarray(np.where(born, 0.0, before_s / YEAR_S * pace) + memory.years[span])


def _asked(memory: LifeMemory, learned: Learned, now_s: float, place: int, rules: LifeRules) -> LifeMemory:
    own, span = rules.strings[place], rules.layout.span(place)
    pace = np.nan_to_num(memory.pace[span], nan=1.0)
    before_years = np.maximum(now_s - learned.past_at_s[:, span], 0.0) / YEAR_S * pace
    shown = Shown(learned.past_frac[:, span], learned.past_sd_frac[:, span], before_years)
    chances = odds(_age_years(memory, place, rules), pace, shown, own.design_years, AHEAD_YEARS)
    chances = 1.0 - (1.0 - chances) ** HAZARD_OF_STATE[memory.state[span]]
    p_6m, p_12m, asked_s = memory.p_6m.copy(), memory.p_12m.copy(), memory.asked_s.copy()
    p_6m[span], p_12m[span], asked_s[place] = chances[0], chances[1], now_s
    return replace(memory, p_6m=p_6m, p_12m=p_12m, asked_s=asked_s)
