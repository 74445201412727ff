"""The estimators of the service on a whole file, row by row in event time: the same code, the same order. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from analytics.analyse.battery import Rules
from analytics.analyse.series import Series
from analytics.believed import Believed
from analytics.discharge.record import DischargeRecord
from analytics.discharge.recorder import RecorderMemory, follow_recorder
from analytics.mode import ModeMemory, ModeSaid, follow_mode
from analytics.modes import Mode
from analytics.readings import Codes, Flags, Floats, Readings
from analytics.soc.follow import follow_soc
from analytics.soc.memory import SocEstimate, SocMemory
from analytics.soh.finding import CapacityFinding
from analytics.soh.follow import SohEstimate, SohMemory, follow_soh

SILENT: Final = 4
GOOD: Final = 0
AFTER_THE_END_S: Final = 7200.0  # of silence: what is still under way has then ended for every estimator
TOLD_SD_FRAC: Final = 0.02


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the estimators made of a file; T rows, n units.

    Attributes:
        modes: (T) of the string.
        soc_frac, soc_sd_frac: (T, n) NaN while unknown.
        source: (T, n) codes of `soc.memory.Source`.
        sign_suspect: (T,) the current seems to have the other sign.
        records: discharges, in order.
        findings: what they prove of capacities.
        soh_frac, soh_sd_frac: (n,) at the end; NaN where not proven.
    """

    modes: tuple[Mode, ...]
    soc_frac: Floats
    soc_sd_frac: Floats
    source: Codes
    sign_suspect: Flags
    records: tuple[DischargeRecord, ...]
    findings: tuple[CapacityFinding, ...]
    soh_frac: Floats
    soh_sd_frac: Floats


@dataclass(frozen=True, slots=True)
class _Memory:
    mode: ModeMemory
    soc: SocMemory
    recorder: RecorderMemory
    soh: SohMemory
    health: SohEstimate


def estimated(
    series: Series, rules: Rules, *, soc_frac: float | None = None, told: Callable[[range], Iterable[int]] = iter
) -> Outcome:
    """Return what the estimators make of a file.

    Args:
        series: the file.
        rules: of its battery.
        soc_frac: charge at its first row where a person knows it; None for unknown.
        told: lets a person see how far it is.
    """
    rows, units = series.unit_v.shape
    memory = _begin(rules, soc_frac)
    soc, sd = np.full((rows, units), np.nan), np.full((rows, units), np.nan)
    source, suspect = np.zeros((rows, units), np.uint8), np.zeros(rows, np.bool_)
    modes: list[Mode] = []
    records: list[DischargeRecord] = []
    findings: list[CapacityFinding] = []
    for at in told(range(rows)):
        memory, said, estimate, ended, found = _step(memory, _readings(series, at), rules, 0.0)
        modes.append(said.mode)
        soc[at], sd[at], source[at] = estimate.soc_frac, estimate.soc_sd_frac, estimate.source
        suspect[at] = estimate.sign_suspect[0]
        records += ended
        findings += found
    memory, _, _, ended, found = _step(memory, _silence(units), rules, AFTER_THE_END_S)
    health = memory.health
    return Outcome(
        tuple(modes), soc, sd, source, suspect, (*records, *ended), (*findings, *found),
        health.soh_frac, np.where(np.isnan(health.soh_frac), np.nan, health.soh_sd_frac),
    )  # fmt: skip


def _begin(rules: Rules, soc_frac: float | None) -> _Memory:
    units = rules.layout.units
    nothing = np.full(units, np.nan)
    soc = SocMemory.empty(rules.soc)
    if soc_frac is not None:
        soc = SocMemory.told(rules.soc, np.full(units, soc_frac), np.full(units, TOLD_SD_FRAC))
    health = SohEstimate(nothing, nothing, np.zeros(units, np.uint8), nothing)
    return _Memory(
        ModeMemory.empty(rules.layout),
        soc,
        RecorderMemory.empty(rules.layout),
        SohMemory.empty(rules.layout),
        health,
    )


type _Turn = tuple[_Memory, ModeSaid, SocEstimate, tuple[DischargeRecord, ...], tuple[CapacityFinding, ...]]


def _step(memory: _Memory, readings: Readings, rules: Rules, idle_s: float) -> _Turn:
    mode, said = follow_mode(memory.mode, readings, rules.mode, idle_s=idle_s)
    health = memory.health
    modes = tuple(each.mode for each in said)
    soc, estimate = follow_soc(memory.soc, readings, modes, health.belief(rules.soc.rated_ah), rules.soc)
    beliefs = Believed(estimate.soc_frac, estimate.soc_sd_frac, health.soh_frac, health.soh_sd_frac)
    recorder, records = follow_recorder(memory.recorder, readings, said, beliefs, [None], rules.layout)
    soh, health, findings = follow_soh(memory.soh, readings, said, records, rules.soh)
    return _Memory(mode, soc, recorder, soh, health), said[0], estimate, records, findings


def _readings(series: Series, at: int) -> Readings:
    unit_v = series.unit_v[at]
    return Readings(
        at_s=series.at_s[at : at + 1],
        discharge_a=series.discharge_a[at : at + 1],
        string_v=series.string_v[at : at + 1],
        float_a=np.array([np.nan]),
        ambient_degc=np.array([np.nan]),
        unit_v=unit_v,
        unit_v_as_read=unit_v,
        degc=series.degc[at],
        bleed_a=np.zeros(len(unit_v)),
        quality=np.where(np.isnan(unit_v), SILENT, GOOD).astype(np.uint8),
    )


def _silence(units: int) -> Readings:
    nothing, none = np.full(units, np.nan), np.array([np.nan])
    return Readings(none, none, none, none, none, nothing, nothing, nothing, np.zeros(units),
                    np.full(units, SILENT, np.uint8))  # fmt: skip


def as_tests(outcome: Outcome) -> Outcome:
    """Return the outcome with every discharge as one that somebody prepared."""
    changed: dict[str, Any] = {"records": tuple(replace(record, kind="test") for record in outcome.records)}
    return replace(outcome, **changed)
