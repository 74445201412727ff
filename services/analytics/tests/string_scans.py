"""Scans of a few strings that a test writes by hand, and what follows from playing them."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from analytics.believed import Believed
from analytics.discharge.record import DischargeRecord
from analytics.discharge.recorder import RecorderMemory, follow_recorder
from analytics.mode import NOTHING_TOLD, ModeMemory, ModeSaid, Told, follow_mode
from analytics.mode_rules import ModeRules
from analytics.readings import Layout, Readings
from cellkeeper.contract.chemistry import profiles

NOW_S = 1_795_237_200.0
NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Scan:
    """One scan of one string: time, volts per electrochemical cell, discharge current, and what else a test sets."""

    at_s: float
    cell_v: float
    discharge_a: float = 0.0
    degc: float = 25.0
    string: int = 0
    quality: dict[int, int] = field(default_factory=dict)
    missing: float = 0.0


def layout_of(strings: int = 1, units: int = 24, cells_per_unit: int = 6) -> Layout:
    names = [f"s{number + 1}" for number in range(strings)]
    return Layout.of(dict.fromkeys(names, units), dict.fromkeys(names, cells_per_unit))


def rules_of(layout: Layout, chemistry: str = "vrla_agm", rated_ah: float = 100.0, **how: object) -> ModeRules:
    profile = profiles()[chemistry]
    strings = layout.strings
    return ModeRules.of(layout, dict.fromkeys(strings, profile), dict.fromkeys(strings, rated_ah), **how)  # type: ignore[arg-type]


def readings_of(layout: Layout, *scans: Scan) -> Readings:
    s, n = len(layout.strings), layout.units
    at_s, amps = np.full(s, NAN), np.full(s, NAN)
    v, degc, quality = np.full(n, NAN), np.full(n, NAN), np.full(n, 4, np.uint8)
    for scan in scans:
        span = layout.span(scan.string)
        at_s[scan.string], amps[scan.string] = scan.at_s, scan.discharge_a
        v[span] = scan.cell_v * layout.cells_per_unit[span]
        count = span.stop - span.start
        v[span.stop - round(scan.missing * count) : span.stop] = NAN
        degc[span], quality[span] = scan.degc, 0
        for cell, code in scan.quality.items():
            quality[span.start + cell - 1] = code
    return Readings(
        at_s, amps, np.full(s, NAN), np.full(s, NAN), np.full(s, NAN), v, v, degc, np.zeros(n), quality
    )  # fmt: skip


@dataclass(slots=True)
class Player:
    """Plays scans through mode and recorder."""

    layout: Layout = field(default_factory=layout_of)
    rules: ModeRules | None = None
    told: Told = NOTHING_TOLD
    memory: ModeMemory | None = None
    recorder: RecorderMemory | None = None
    soc_frac: float = 1.0
    said: list[tuple[ModeSaid, ...]] = field(default_factory=list)
    records: list[DischargeRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rules = self.rules or rules_of(self.layout)
        self.memory = self.memory or ModeMemory.empty(self.layout)
        self.recorder = self.recorder or RecorderMemory.empty(self.layout)

    def batch(self, *scans: Scan, idle_s: float = 0.0) -> tuple[ModeSaid, ...]:
        assert self.rules is not None
        assert self.memory is not None
        assert self.recorder is not None
        readings = readings_of(self.layout, *scans)
        self.memory, said = follow_mode(self.memory, readings, self.rules, self.told, idle_s)
        known = np.full(self.layout.units, self.soc_frac)
        beliefs = Believed(known, 0.01 * known, np.full(self.layout.units, NAN), np.full(self.layout.units, NAN))
        nothing = [None] * len(self.layout.strings)
        self.recorder, records = follow_recorder(self.recorder, readings, said, beliefs, nothing, self.layout)
        self.said.append(said)
        self.records += records
        return said

    def play(self, scans: Iterable[Scan]) -> ModeSaid:
        for scan in scans:
            self.batch(scan)
        return self.said[-1][0]

    def modes(self) -> list[str]:
        """Return the modes of the first string in order, each once until it changes."""
        found: list[str] = []
        for said in self.said:
            if not found or found[-1] != said[0].mode:
                found.append(said[0].mode)
        return found


def steady(begin_s: float, seconds: float, cell_v: float, discharge_a: float = 0.0, step_s: float = 1.0, **how: object):
    """Return scans of a string at which nothing changes; the last one is `seconds` after the first."""
    return [
        Scan(begin_s + place * step_s, cell_v, discharge_a, **how)  # type: ignore[arg-type]
        for place in range(round(seconds / step_s) + 1)
    ]


def sagging(begin_s: float, seconds: float, from_v: float, to_v: float, discharge_a: float, step_s: float = 1.0):
    """Return scans of a string whose voltage falls evenly under a load."""
    count = round(seconds / step_s)
    return [
        Scan(begin_s + place * step_s, from_v + (to_v - from_v) * place / count, discharge_a)
        for place in range(count + 1)
    ]
