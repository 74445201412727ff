"""What a string does at the moment, since when, and why it is believed: from its scans, voltage and current together.

A published mode of discharge, test or unknown forbids balancing and tests elsewhere. So what cannot be told is unknown
at once where it may hide a discharge, and a healthy string at float does not flicker. Pure; time comes with the scans.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from math import isnan, nan
from typing import Final, Self

import numpy as np

from analytics.announced import Announcement
from analytics.checked_frozen import checked_frozen
from analytics.discharge.detect import OnsetMemory, Sight, after_gap, follow_onset
from analytics.mode_of_scan import LIVE, Aside, Wish, sentence, wished
from analytics.mode_rules import LONGEST_GAP_S, ModeRules, StringModeRules
from analytics.modes import Mode
from analytics.readings import Floats, Layout, Readings

HOLD_S: Final = 5.0  # what a charger does within seconds is no change of mode
CLOCK_BACK_S: Final = 300.0  # contract: a clock set back by more begins a new stream
SAME_AFTER_GAP_S: Final = 900.0  # a mode that is there again after a shorter gap is the one from before
MIN_COVERAGE_FRAC: Final = 0.8
IN_TEST: Final = 6

AT_ONCE: Final = frozenset[Mode]({"discharge", "test", "unknown"})
SAYS_AGAIN: Final = frozenset[Mode]({"test", "unknown"})  # what they mean differs with their reason


@checked_frozen
class StringModeMemory:
    """What the mode of one string depends on, beside its next scan.

    Attributes:
        mode: that holds.
        since_s: event time of its begin.
        why: in words, as of that begin.
        reason: the same without numbers.
        wish: what the last scans showed instead, while that has not held for long enough.
        wish_s: since when; NaN while they show nothing else.
        at_s: event time of the newest scan; NaN before the first.
        usable_s: of the newest one with enough voltages.
        site_s: progress of the site's scans at that one; who falls behind it is silent.
        was_mode, was_since_s: before the gap that made it unknown.
        onset: see `discharge/detect.py`.
    """

    mode: Mode = "unknown"
    since_s: float = nan
    why: str = "no scan yet"
    reason: str = "no scan yet"
    wish: Mode = "unknown"
    wish_s: float = nan
    at_s: float = nan
    usable_s: float = nan
    site_s: float = 0.0
    was_mode: Mode = "unknown"
    was_since_s: float = nan
    onset: OnsetMemory = field(default_factory=OnsetMemory)

    def at(self, at_s: float, usable_s: float, onset: OnsetMemory) -> "StringModeMemory":
        """Return the memory after a scan that changes no mode; several times as fast as `replace`, in every scan."""
        site_s = self.site_s + (at_s - self.at_s)
        return StringModeMemory(
            self.mode, self.since_s, self.why, self.reason, self.wish, self.wish_s, at_s, usable_s, site_s,
            self.was_mode, self.was_since_s, onset,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ModeMemory:
    """The memories of all strings, in the order of the layout."""

    strings: tuple[StringModeMemory, ...]

    @classmethod
    def empty(cls, layout: Layout) -> Self:
        """Return the memory of strings that were never seen."""
        return cls(tuple(StringModeMemory() for _ in layout.strings))


@checked_frozen
class ModeSaid:
    """The mode of one string.

    Attributes:
        mode: by the contract's names.
        since_s: event time of its begin; a discharge's is dated by the step of the voltage. NaN before the first scan.
        why: one sentence with the numbers of its begin.
        is_discharging: whether the string carries its load; in a test too.
        began_s: event time of the onset; NaN while it does not.
        dated_by: what dated the onset: `step`, `current` or `first scan`; empty while there is none.
        at_s: event time of the newest scan; NaN before the first.
        gap_s: longest time between two scans of this string over which anything is concluded.
        test: what was announced of it; None where nothing was.
    """

    mode: Mode
    since_s: float
    why: str
    is_discharging: bool
    began_s: float
    dated_by: str
    at_s: float
    gap_s: float = LONGEST_GAP_S
    test: Announcement | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What others say of strings, by id; scans show neither.

    Attributes:
        in_test: a person or the BMS has announced a test; each with who did.
        opened: the battery breaker reports that it is open.
    """

    in_test: Mapping[str, Announcement] = field(default_factory=dict)
    opened: Collection[str] = ()


NOTHING_TOLD: Final = Told()


def follow_mode(
    memory: ModeMemory, readings: Readings, rules: ModeRules, told: Told = NOTHING_TOLD, idle_s: float = 0.0
) -> tuple[ModeMemory, tuple[ModeSaid, ...]]:
    """Return the memory and the mode of every string after a batch of scans.

    Args:
        memory: of the batch before.
        readings: the batch; repeated and out-of-order scans of a string change nothing.
        rules: of the strings.
        told: what others say.
        idle_s: event time that passed without any scan of any string, as the caller's clock has it; with an empty
            batch it lets silent strings become unknown.

    Returns:
        The memory for the next batch, and S modes in the order of the layout.
    """
    sights, in_test_frac = _sights(readings, rules)
    bus_v = _bus_v(memory, sights, rules)
    after = []
    for place, (string, each) in enumerate(zip(rules.layout.strings, rules.strings, strict=True)):
        before, sight = memory.strings[place], sights[place]
        test = told.in_test.get(string)
        method = "" if test is None else test.method
        aside = Aside(method, string in told.opened, in_test_frac[place], bus_v.get(each.dcbus, nan))
        after.append(_step(before, sight, each, aside) if _is_new(before, sight) else before)
    site_s = max((each.site_s for each in after), default=0.0) + idle_s
    heard = tuple(
        _heard(each, sight, site_s, string) for each, sight, string in zip(after, sights, rules.strings, strict=True)
    )
    return ModeMemory(heard), tuple(
        _said(each, own.gap_s, told.in_test.get(string))
        for each, own, string in zip(heard, rules.strings, rules.layout.strings, strict=True)
    )


def _sights(readings: Readings, rules: ModeRules) -> tuple[list[Sight], list[float]]:
    """Return what each string's mean cell shows, and which part of its units is in test."""
    layout = rules.layout
    cells, total_v = _sums(readings.unit_v, layout.cells_per_unit, layout)
    warm_count, total_degc = _sums(readings.degc, np.ones(layout.units), layout)
    of_all = np.array([each.cells for each in rules.strings])
    with np.errstate(invalid="ignore", divide="ignore"):
        cell_v = np.where(cells >= MIN_COVERAGE_FRAC * of_all, total_v / cells, readings.string_v / of_all)
        degc = total_degc / warm_count
    in_test = readings.quality == IN_TEST
    in_test_frac = np.zeros(len(of_all))
    if in_test.any():
        in_test_frac = np.add.reduceat(in_test, layout.first[:-1], dtype=np.float64) / np.diff(layout.first)
    columns = (readings.at_s, cell_v, readings.discharge_a, degc)
    sights = [Sight(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]
    return sights, in_test_frac.tolist()


def _sums(values: Floats, weights: Floats, layout: Layout) -> tuple[Floats, Floats]:
    """Return for each string (S,) the weights (N,) and the values (N,) of the units whose value is known."""
    missing = np.isnan(values)
    if missing.any():
        weights, values = np.where(missing, 0.0, weights), np.where(missing, 0.0, values)
    return np.add.reduceat(weights, layout.first[:-1]), np.add.reduceat(values, layout.first[:-1])


def _bus_v(memory: ModeMemory, sights: list[Sight], rules: ModeRules) -> dict[str, float]:
    """Return the volts per cell of the live strings of each dc bus: of the highest, where they differ."""
    found: dict[str, float] = {}
    for before, sight, each in zip(memory.strings, sights, rules.strings, strict=True):
        if each.dcbus and before.mode in LIVE and not isnan(sight.cell_v):
            found[each.dcbus] = max(found.get(each.dcbus, 0.0), sight.cell_v)
    return found


def _is_new(before: StringModeMemory, sight: Sight) -> bool:
    if isnan(sight.at_s):
        return False
    return not sight.at_s <= before.at_s or before.at_s - sight.at_s > CLOCK_BACK_S


def _step(before: StringModeMemory, sight: Sight, rules: StringModeRules, aside: Aside) -> StringModeMemory:
    memory = _arrived(before, sight.at_s, rules)
    if isnan(sight.cell_v):
        if sight.at_s - memory.usable_s <= rules.gap_s:
            return memory.at(sight.at_s, memory.usable_s, memory.onset)
        lost = _lost(memory, sight.at_s, "too few readings of its units")
        return lost.at(sight.at_s, lost.usable_s, lost.onset)
    onset = follow_onset(memory.onset, sight, rules)
    wish = wished(memory.mode, onset, sight, rules, aside)
    now = memory.at(sight.at_s, sight.at_s, onset)
    if wish.mode != memory.mode:
        return _held(now, wish, sight, rules, aside)
    if wish.mode in SAYS_AGAIN and wish.reason not in {"", memory.reason}:
        return replace(now, wish_s=nan, reason=wish.reason, why=sentence(wish.reason, sight, rules, aside))
    return now if isnan(now.wish_s) else replace(now, wish_s=nan)


def _arrived(before: StringModeMemory, at_s: float, rules: StringModeRules) -> StringModeMemory:
    """Return the memory as a new scan finds it: after a gap there is nothing to compare with."""
    step_s = at_s - before.at_s
    if 0.0 < step_s <= rules.gap_s:
        return before
    if not 0.0 < step_s <= SAME_AFTER_GAP_S:
        return StringModeMemory(at_s=at_s, site_s=before.site_s)
    lost = before if before.mode == "unknown" else _lost(before, at_s, f"no scan for {step_s:.0f} s")
    return replace(lost, at_s=at_s, onset=after_gap(lost.onset))


def _lost(memory: StringModeMemory, at_s: float, why: str) -> StringModeMemory:
    if memory.mode == "unknown":
        return memory
    was, since_s = memory.mode, memory.since_s
    return replace(
        memory, mode="unknown", since_s=at_s, why=why, reason=why, wish_s=nan, was_mode=was, was_since_s=since_s,
        onset=after_gap(memory.onset),
    )  # fmt: skip


def _held(memory: StringModeMemory, wish: Wish, sight: Sight, rules: StringModeRules, aside: Aside) -> StringModeMemory:
    """Return the memory with the other mode that the scan shows, if that is to be believed already."""
    since_s = memory.onset.began_s if memory.onset.is_discharging else sight.at_s
    if memory.mode == "unknown" and memory.was_mode == wish.mode:
        since_s = memory.was_since_s
    if not (wish.mode in AT_ONCE or memory.mode in {"unknown", "test"}):
        if wish.mode != memory.wish or isnan(memory.wish_s):
            return replace(memory, wish=wish.mode, wish_s=sight.at_s)
        if sight.at_s - memory.wish_s < HOLD_S:
            return memory
        since_s = memory.wish_s
    return replace(
        memory, mode=wish.mode, since_s=since_s, reason=wish.reason, why=sentence(wish.reason, sight, rules, aside),
        wish_s=nan, was_mode="unknown", was_since_s=nan,
    )  # fmt: skip


def _heard(memory: StringModeMemory, sight: Sight, site_s: float, rules: StringModeRules) -> StringModeMemory:
    """Return the memory with the site's progress; a string that fell behind it is silent, and unknown."""
    if not isnan(sight.at_s):
        behind_s = site_s - memory.site_s
        return replace(memory, site_s=site_s) if behind_s > rules.gap_s else memory
    if site_s - memory.site_s <= rules.gap_s or isnan(memory.at_s):
        return memory
    lost = _lost(memory, memory.at_s + rules.gap_s, f"no scan for {rules.gap_s:.0f} s")
    return replace(lost, onset=OnsetMemory()) if site_s - memory.site_s > SAME_AFTER_GAP_S else lost


def _said(memory: StringModeMemory, gap_s: float, test: Announcement | None) -> ModeSaid:
    onset = memory.onset
    return ModeSaid(
        memory.mode, memory.since_s, memory.why, onset.is_discharging, onset.began_s, onset.dated_by, memory.at_s,
        gap_s, test,
    )  # fmt: skip
