"""All estimators on one batch of scans, in the order in which they need each other. Pure.

Mode first: nothing is believed without it. Charge counts with the capacity of the batch before; runtime looks ahead
from the charge; a discharge that ends is a record, and what it proves of capacities and health serves the next batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import isnan
from typing import Self

import numpy as np
from cellkeeper.contract.estimate_state import Doubt

from analytics.announced import AnnouncedTests, Ended
from analytics.believed import Believed
from analytics.discharge.record import RuntimeSaid
from analytics.discharge.recorder import RecorderMemory, follow_recorder
from analytics.estimates import Estimates
from analytics.first_float import with_first_float
from analytics.impedance.follow import (
    ImpedanceEstimate,
    ImpedanceMemory,
    Refused,
    follow_impedance,
    impedance_estimate,
)
from analytics.impedance.sweep import Sweep
from analytics.life.follow import WARMTH_EVERY_S, LifeMemory, follow_life
from analytics.mode import NOTHING_TOLD, ModeMemory, ModeSaid, Told, follow_mode
from analytics.readings import Floats, Readings
from analytics.runtime.follow import Runtime, RuntimeMemory, follow_runtime
from analytics.site_rules import SiteRules
from analytics.soc.follow import follow_soc
from analytics.soc.memory import SocEstimate, SocMemory
from analytics.soh.follow import SohEstimate, SohMemory, follow_soh
from analytics.unit_estimates import UnitEstimates


@dataclass(frozen=True, slots=True)
class Memory:
    """Everything that the next batch starts from, and a restart: one part per estimator."""

    mode: ModeMemory
    soc: SocMemory
    runtime: RuntimeMemory
    recorder: RecorderMemory
    soh: SohMemory
    impedance: ImpedanceMemory
    life: LifeMemory
    announced: AnnouncedTests

    @classmethod
    def empty(cls, rules: SiteRules) -> Self:
        """Return the memory of a site that was never seen."""
        return cls(
            ModeMemory.empty(rules.layout),
            SocMemory.empty(rules.soc),
            RuntimeMemory.empty(rules.runtime),
            RecorderMemory.empty(rules.layout),
            SohMemory.empty(rules.layout),
            ImpedanceMemory.empty(rules.layout),
            LifeMemory.empty(rules.layout),
            AnnouncedTests(),
        )

    def with_recording(self, place: int, other: "Memory") -> "Memory":
        """Return the memory with what another one has recorded of the string at a place: mode, discharge, its rest."""

        def put[T](before: tuple[T, ...], now: tuple[T, ...]) -> tuple[T, ...]:
            return (*before[:place], now[place], *before[place + 1 :])

        return replace(
            self,
            mode=replace(self.mode, strings=put(self.mode.strings, other.mode.strings)),
            recorder=replace(self.recorder, strings=put(self.recorder.strings, other.recorder.strings)),
            soh=replace(self.soh, waiting=put(self.soh.waiting, other.soh.waiting)),
        )

    def without(self, strings: Sequence[str]) -> "Memory":
        """Return the memory without the impedances of strings that are described otherwise now."""
        tracks = tuple(each for each in self.impedance.tracks if each.string not in strings)
        return replace(self, impedance=replace(self.impedance, tracks=tracks))


@dataclass(frozen=True, slots=True)
class Standing:
    """What changes seldom and follows from the memory: found when it changes, and at the start.

    Attributes:
        soh: of all units.
        impedance: of all units.
        odds: (N,) to be below 80 % within 6 and within 12 months.
    """

    soh: SohEstimate
    impedance: ImpedanceEstimate
    odds: tuple[Floats, Floats]

    @classmethod
    def of(cls, memory: Memory, rules: SiteRules) -> Self:
        """Return what a memory says of capacities and impedances."""
        learned = memory.soh.learned
        soh = SohEstimate(learned.frac, np.sqrt(learned.variance_at(memory.soh.now_s)), learned.method, learned.at_s)
        trend = impedance_estimate(memory.impedance, rules.impedance)
        return cls(soh, trend, (memory.life.p_6m, memory.life.p_12m))


@dataclass(frozen=True, slots=True)
class Asked:
    """What comes beside a batch of scans.

    Attributes:
        told: what others say of the strings.
        idle_s: event time without any scan.
        sweeps: impedances that were measured since the last batch.
        ripple_a_rms: (S,) of the string currents; NaN where nobody measures it.
    """

    told: Told = NOTHING_TOLD
    idle_s: float = 0.0
    sweeps: tuple[Sweep, ...] = ()
    ripple_a_rms: Floats | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """What came of a batch.

    Attributes:
        memory, standing: for the next one.
        estimates: to tell.
        refused: sweeps that entered no trend.
        ended: announced tests that are over with this batch.
    """

    memory: Memory
    standing: Standing
    estimates: Estimates
    refused: tuple[Refused, ...] = field(default=())
    ended: tuple[Ended, ...] = field(default=())


def follow(memory: Memory, standing: Standing, readings: Readings, asked: Asked, rules: SiteRules) -> Turn:
    """Return what came of a batch of scans.

    Args:
        memory: of the batch before.
        standing: of the batch before.
        readings: the batch, at most one scan of each string.
        asked: what comes beside it.
        rules: of the site.
    """
    at_s = dict(zip(rules.layout.strings, readings.at_s.tolist(), strict=True))
    announced, late = memory.announced.late(at_s)
    mode, said = follow_mode(memory.mode, readings, rules.mode, _told(announced, asked), asked.idle_s)
    modes = tuple(each.mode for each in said)
    before = with_first_float(memory.soc, readings, said, rules.soc)
    soc_memory, soc = follow_soc(before, readings, modes, standing.soh.belief(rules.rated_ah), rules.soc)
    believed = Believed(soc.soc_frac, soc.soc_sd_frac, standing.soh.soh_frac, standing.soh.soh_sd_frac)
    runtime_memory, runtime = follow_runtime(memory.runtime, readings, modes, believed, rules.runtime)
    predicted = _predicted(runtime, said)
    recorder, records = follow_recorder(memory.recorder, readings, said, believed, predicted, rules.layout)
    soh_memory, soh, findings = follow_soh(memory.soh, readings, said, records, rules.soh)
    ripple = np.full(len(said), np.nan) if asked.ripple_a_rms is None else asked.ripple_a_rms
    impedance, refused = follow_impedance(memory.impedance, asked.sweeps, said, ripple, rules.impedance)
    trend = impedance_estimate(impedance, rules.impedance) if asked.sweeps else standing.impedance
    life, odds = memory.life, standing.odds
    if findings or asked.sweeps or _is_life_due(life, readings):
        life, told = follow_life(life, readings, soh_memory.learned, trend.state, rules.life)
        odds = told.p_fail_6m_frac, told.p_fail_12m_frac
    announced, done = announced.discharged([record.string for record in records])
    after = Memory(mode, soc_memory, runtime_memory, recorder, soh_memory, impedance, life, announced)
    estimates = Estimates(
        at_s=np.array([each.at_s for each in said]),
        modes=said,
        units=_units(soc, soh, trend, odds),
        runtime=runtime,
        doubts=_doubts(soc),
        records=records,
        findings=findings,
    )
    return Turn(after, Standing(soh, trend, odds), estimates, refused, (*late, *done))


def _told(announced: AnnouncedTests, asked: Asked) -> Told:
    """Return what others say of the strings, with the tests that are announced."""
    tests = announced.tests
    return replace(asked.told, in_test={test.string: test for test in tests}) if tests else asked.told


def _is_life_due(life: LifeMemory, readings: Readings) -> bool:
    """Whether a string's warmth has to be counted again; it costs more than it tells to look at each scan."""
    has_scan = ~np.isnan(readings.at_s)
    with np.errstate(invalid="ignore"):
        return bool((has_scan & ~(np.abs(readings.at_s - life.at_s) < WARMTH_EVERY_S)).any())


def _units(soc: SocEstimate, soh: SohEstimate, trend: ImpedanceEstimate, odds: tuple[Floats, Floats]) -> UnitEstimates:
    return UnitEstimates(
        soc_frac=soc.soc_frac,
        soc_sd_frac=soc.soc_sd_frac,
        soc_source=soc.source,
        anchor_age_h=soc.anchor_age_h,
        soh_frac=soh.soh_frac,
        soh_sd_frac=np.where(np.isnan(soh.soh_frac), np.nan, soh.soh_sd_frac),
        soh_source=soh.method,
        r_own_frac=trend.own_frac,
        r_state=trend.state,
        p_fail_6m_frac=odds[0],
        p_fail_12m_frac=odds[1],
    )


def _doubts(soc: SocEstimate) -> tuple[tuple[Doubt, ...], ...]:
    """Return what makes the estimates of each string (S) worse."""
    columns: tuple[tuple[Doubt, list[bool]], ...] = (
        ("sign_suspect", soc.sign_suspect.tolist()),
        ("no_current", soc.no_current.tolist()),
    )
    return tuple(tuple(word for word, holds in columns if holds[place]) for place in range(len(soc.no_current)))


def _predicted(runtime: Runtime, said: Sequence[ModeSaid]) -> list[RuntimeSaid | None]:
    """Return what a record of a discharge keeps of the predictions."""
    columns = (
        runtime.unit_left_s, runtime.unit_left_sd_s, runtime.cell, runtime.bus_left_s, runtime.bus_left_sd_s,
    )  # fmt: skip
    rows = zip(said, *(each.tolist() for each in columns), strict=True)
    return [
        None if isnan(unit_s) and isnan(bus_s) else RuntimeSaid(mode.at_s, unit_s, unit_sd_s, cell, bus_s, bus_sd_s)
        for mode, unit_s, unit_sd_s, cell, bus_s, bus_sd_s in rows
    ]
