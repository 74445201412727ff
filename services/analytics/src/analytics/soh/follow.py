"""Capacity of every unit, learned from the discharges as they happen; costs next to nothing while there is none."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, isnan, nan
from typing import Final, Self

import numpy as np

from analytics.discharge.record import DischargeRecord
from analytics.lives import Counts, begun, not_known
from analytics.mode import ModeSaid
from analytics.readings import Codes, Floats, Layout, Readings
from analytics.soc.capacity_belief import UNPROVEN_SD_FRAC, CapacityBelief
from analytics.soh.belief import METHODS, Learned, learn
from analytics.soh.finding import CapacityFinding
from analytics.soh.full import capacity_from_full
from analytics.soh.rest import RestScan, Watched, follow_rest, nothing_from, watched
from analytics.soh.rules import SohRules

OFFSET_S: Final = 3600.0  # over which the current in float is a mean
ENOUGH_FRAC: Final = 0.5  # of the units: a full discharge that proves so many needs no rested end


@dataclass(frozen=True, slots=True)
class SohMemory:
    """What the capacities depend on.

    Attributes:
        learned: of all units.
        waiting: (S) discharges that wait for a rested end; None where none does.
        float_a: (S,) mean discharge current shown in float: the sensor's offset less the float current; NaN unknown.
        at_s: (S,) newest scan of each string; NaN before the first.
        now_s: event time of the newest scan of all; NaN before the first.
        lives: (N,) marks of the units that this is about; 0 before the first batch.
    """

    learned: Learned
    waiting: tuple[Watched | None, ...]
    float_a: Floats
    at_s: Floats
    now_s: float
    lives: Counts

    @classmethod
    def empty(cls, layout: Layout) -> Self:
        """Return the memory of units that were never discharged."""
        none = np.full(len(layout.strings), np.nan)
        waiting = tuple(None for _ in layout.strings)
        return cls(Learned.nothing(layout.units), waiting, none, none, nan, not_known(layout))

    def of_lives(self, lives: Counts, born_s: Floats) -> "SohMemory":
        """Return the memory for the units that are there now, (N,); other ones than before came at `born_s`."""
        units = begun(self.lives, lives)
        return replace(self, lives=lives, learned=self.learned.forget(units, born_s) if units.any() else self.learned)


@dataclass(frozen=True, slots=True)
class SohEstimate:
    """State of health of every unit, (N,): capacity at reference conditions over the rated one.

    Attributes:
        soh_frac: NaN where it is not proven.
        soh_sd_frac: its standard deviation; NaN with it.
        method: codes of `belief.METHODS`.
        at_s: event time of the newest discharge that counted; NaN without one.
    """

    soh_frac: Floats
    soh_sd_frac: Floats
    method: Codes
    at_s: Floats

    def belief(self, rated_ah: Floats) -> CapacityBelief:
        """Return the capacities for the state of charge: the rating where nothing is proven."""
        is_proven = ~np.isnan(self.soh_frac)
        ah = np.where(is_proven, self.soh_frac * rated_ah, rated_ah)
        with np.errstate(invalid="ignore"):
            sd_frac = np.where(is_proven, self.soh_sd_frac / self.soh_frac, UNPROVEN_SD_FRAC)
        return CapacityBelief(ah, sd_frac)


def method_names(method: Codes) -> list[str]:
    """Return the name of each code, as on the wire."""
    return [METHODS[code] for code in method.tolist()]


def follow_soh(
    memory: SohMemory,
    readings: Readings,
    modes: Sequence[ModeSaid],
    records: Sequence[DischargeRecord],
    rules: SohRules,
) -> tuple[SohMemory, SohEstimate, tuple[CapacityFinding, ...]]:
    """Return memory, estimate and findings after a batch of scans.

    Args:
        memory: of the batch before.
        readings: the batch.
        modes: (S) of this batch.
        records: discharges that this batch ended.
        rules: of the strings.
    """
    findings: list[CapacityFinding] = []
    memory = memory if memory.lives is rules.lives else memory.of_lives(rules.lives, rules.born_s)
    memory = _at_rest(memory, readings, modes, findings, rules)
    for record in records:
        memory = _ended(memory, record, findings, rules)
    learned = memory.learned
    for finding in findings:
        learned = learn(learned, finding, rules.layout.span(rules.layout.strings.index(finding.string)))
    memory = replace(memory, learned=learned)
    sd_frac = np.sqrt(learned.variance_at(memory.now_s))
    return memory, SohEstimate(learned.frac, sd_frac, learned.method, learned.at_s), tuple(findings)


def _ended(memory: SohMemory, record: DischargeRecord, findings: list[CapacityFinding], rules: SohRules) -> SohMemory:
    place = rules.layout.strings.index(record.string)
    string, span = rules.strings[place], rules.layout.span(place)
    full = capacity_from_full(record, rules.layout.cells_per_unit[span], string).only_sure()
    findings.append(full)
    watch: Watched | None = None
    if np.mean(~np.isnan(full.unit_frac)) < ENOUGH_FRAC:
        watch, why = watched(record, string)
        if watch is None:
            findings.append(nothing_from(record, why))
    waiting = (*memory.waiting[:place], watch, *memory.waiting[place + 1 :])
    return replace(memory, waiting=waiting)


def _at_rest(
    memory: SohMemory,
    readings: Readings,
    modes: Sequence[ModeSaid],
    findings: list[CapacityFinding],
    rules: SohRules,
) -> SohMemory:
    at_s, float_a, waiting = memory.at_s.tolist(), memory.float_a.tolist(), list(memory.waiting)
    for place, (mode, scan_s, current_a) in enumerate(
        zip(modes, readings.at_s.tolist(), readings.discharge_a.tolist(), strict=True)
    ):
        if isnan(scan_s) or mode.at_s != scan_s or scan_s <= at_s[place]:
            continue
        if mode.mode == "float" and not isnan(current_a):
            float_a[place] = _mean(float_a[place], current_a, scan_s - at_s[place])
        at_s[place] = scan_s
        watch = waiting[place]
        if watch is None:
            continue
        span = rules.layout.span(place)
        offset_a = 0.0 if isnan(float_a[place]) else float_a[place]
        cell_v = readings.unit_v[span] / rules.layout.cells_per_unit[span]
        scan = RestScan(scan_s, current_a - offset_a, cell_v, readings.degc[span])
        waiting[place], finding = follow_rest(watch, scan, mode, rules.layout.strings[place], rules.strings[place])
        if finding is not None:
            findings.append(finding.only_sure())
    now_s = max((each for each in at_s if not isnan(each)), default=nan)
    return SohMemory(memory.learned, tuple(waiting), np.array(float_a), np.array(at_s), now_s, memory.lives)


def _mean(old: float, new: float, dt_s: float) -> float:
    if isnan(old) or isnan(dt_s):
        return new
    return old + (1.0 - exp(-dt_s / OFFSET_S)) * (new - old)
