"""One string of the twin's physics, discharged, with the product's own chain behind it: mode, recorder, capacity.

What a capacity is held against is a second discharge of the same cells with perfect instruments, at constant current
down to the end voltage. Between the twin and the estimates are instruments with noise, offset and gain, and modules
that round. The chain knows nothing of the twin's parameters; the charge before an outage is given as the full anchor
of the state-of-charge estimate gives it: 100 % with a standard deviation of 1 %.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
from analytics.believed import Believed
from analytics.discharge.record import DischargeRecord
from analytics.discharge.recorder import RecorderMemory, follow_recorder
from analytics.mode import ModeMemory, ModeSaid, follow_mode
from analytics.mode_rules import ModeRules
from analytics.readings import Layout, Readings
from analytics.soh.finding import CapacityFinding
from analytics.soh.follow import SohEstimate, SohMemory, follow_soh
from analytics.soh.rules import RestedCurve, SohRules, StringSohRules
from cellkeeper.contract.chemistry import profiles
from numpy.typing import NDArray
from twin.physics.room import Room
from twin.physics.room_spec import RoomSpec, StringSpec
from twin.physics.sensors import PERFECT, SensorErrors
from twin.physics.ups import UpsEvent
from twin.script.scenario import Scenario

START = datetime(2026, 1, 5, tzinfo=UTC)
RATED_AH = 100.0
FULL_SD = 0.01
SCAN_S = 10.0
RESOLUTION_V = {1: 1e-4, 6: 5e-4}

type Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Kind:
    """What is discharged: chemistry, cells per unit, end voltage per cell, rated hours."""

    chemistry: str = "vrla_agm"
    cells_per_unit: int = 6
    end_v: float = 1.80
    rate_h: float = 10.0
    units: int = 12

    @property
    def rated_a(self) -> float:
        return RATED_AH / self.rate_h


@dataclass(slots=True)
class Chain:
    """A room and everything that estimates from its scans; scans each ten seconds."""

    room: Room
    kind: Kind
    rules: SohRules
    modes: ModeRules
    layout: Layout
    mode_memory: ModeMemory
    recorder: RecorderMemory
    soh: SohMemory
    said: list[tuple[float, ModeSaid]] = field(default_factory=list)
    records: list[DischargeRecord] = field(default_factory=list)
    findings: list[CapacityFinding] = field(default_factory=list)
    estimate: SohEstimate | None = None

    @classmethod
    def of(
        cls, kind: Kind, *, seed: int, degc: float = 20.0, rules: StringSohRules | None = None,
        soh_frac: Floats | None = None, errors: SensorErrors | None = None,
    ) -> "Chain":  # fmt: skip
        room = room_of(kind, seed=seed, degc=degc, soh_frac=soh_frac, errors=errors)
        layout = Layout.of({"s1": kind.units}, {"s1": kind.cells_per_unit})
        own = rules or rules_of(kind)
        return cls(
            room, kind, SohRules.of(layout, {"s1": own}),
            ModeRules.of(layout, {"s1": profiles()[kind.chemistry]}, {"s1": RATED_AH}, scan_s=SCAN_S), layout,
            ModeMemory.empty(layout), RecorderMemory.empty(layout), SohMemory.empty(layout),
        )  # fmt: skip

    def run(self, hours: float, until: Callable[[Readings], bool] | None = None) -> None:
        """Let hours pass, or less when `until` is true of a scan."""
        end_s = self.room.now_s + hours * 3600.0
        while self.room.now_s < end_s - 1e-6:
            self.room.advance(self.room.now_s + SCAN_S)
            readings = self.scan()
            if until is not None and until(readings):
                return

    def scan(self) -> Readings:
        """Let one scan pass through the chain."""
        n, reading = self.kind.units, self.room.reading("s1")
        resolution = RESOLUTION_V[self.kind.cells_per_unit]
        v = np.round(reading.v / resolution) * resolution
        s = reading.scalars
        readings = Readings(
            np.array([START.timestamp() + self.room.now_s]), np.array([-s.string_a]), np.array([s.string_v]),
            np.array([s.float_a]), np.array([s.ambient_degc]), v, v, np.round(reading.degc, 2), np.zeros(n),
            np.zeros(n, np.uint8),
        )  # fmt: skip
        self.mode_memory, said = follow_mode(self.mode_memory, readings, self.modes)
        known = np.full(n, 1.0 if said[0].mode == "float" else np.nan)
        nothing = np.full(n, np.nan)
        beliefs = Believed(known, known * FULL_SD, nothing, nothing)
        self.recorder, records = follow_recorder(self.recorder, readings, said, beliefs, [None], self.layout)
        self.soh, self.estimate, findings = follow_soh(self.soh, readings, said, records, self.rules)
        if not self.said or self.said[-1][1].mode != said[0].mode:
            self.said.append((self.room.now_s, said[0]))
        self.records += records
        self.findings += findings
        return readings

    def proven(self, method: str) -> CapacityFinding:
        """Return what the newest discharge proved by a method, or why it did not."""
        return [each for each in self.findings if each.method == method][-1]

    def act(self, name: str, **how: float) -> None:
        """Let the UPS do something."""
        self.room.command_ups(UpsEvent(0.0, name, **how))  # type: ignore[arg-type]


def room_of(
    kind: Kind, *, seed: int, degc: float, soh_frac: Floats | None = None, errors: SensorErrors | None = None
) -> Room:
    """Return a room with one settled string whose units have lost capacity as told."""
    spec = RoomSpec((StringSpec("s1", kind.units, kind.chemistry, RATED_AH, cells_per_unit=kind.cells_per_unit),))
    scenario = Scenario("still", swing_k=0.0, ambient_degc=degc)
    room = Room(spec, seed=seed, start=START, scenario=scenario, max_step_s=SCAN_S, errors=errors)
    if soh_frac is not None:
        room.bank.elements.q_ah *= soh_frac
    return room


def true_capacity_ah(kind: Kind, *, seed: int, degc: float, soh_frac: Floats | None = None) -> Floats:
    """Return what each unit gives at the rated current down to its end voltage, by perfect instruments (n,).

    The current is forced through all of them until the last one is there; what weaker ones show by then is not asked.
    """
    room = room_of(kind, seed=seed, degc=degc, soh_frac=soh_frac, errors=PERFECT)
    room.advance(600.0)
    bank, end_v = room.bank, kind.end_v * kind.cells_per_unit
    found, before_v, ah = np.full(kind.units, np.nan), bank.v.copy(), 0.0
    per_step_ah = kind.rated_a * SCAN_S / 3600.0
    while np.isnan(found).any() and ah < 2.0 * RATED_AH:
        bank.step(SCAN_S, np.array([-kind.rated_a]), np.zeros(kind.units), np.array([degc]))
        part = (before_v - end_v) / np.maximum(before_v - bank.v, 1e-9)
        found = np.where(np.isnan(found) & (bank.v < end_v), ah + part * per_step_ah, found)
        before_v, ah = bank.v.copy(), ah + per_step_ah
    return found


def rules_of(kind: Kind, curve: RestedCurve | None = None, **changes: object) -> StringSohRules:
    """Return the rules of a string of this kind; changes by name."""
    rules = StringSohRules(kind.chemistry, RATED_AH, kind.rate_h, 20.0, kind.end_v, curve=curve)
    return replace(rules, **changes)  # type: ignore[arg-type]


def commissioned_curve(kind: Kind, *, seed: int, steps: int = 8) -> RestedCurve:
    """Return the rested curve as a commissioning test of another string would find it, by its own instruments.

    The string is discharged in steps with two hours of rest after each, then down to its end voltage; charge and
    capacity are those that its own sensors show, the voltages are means over its units.
    """
    chain = Chain.of(kind, seed=seed)
    chain.run(0.2)
    points = []
    drawn_ah = 0.0
    for _ in range(steps):
        drawn_ah += _draw(chain, RATED_AH / (steps + 1.0))
        chain.act("rest")
        chain.run(2.0)
        points.append((drawn_ah, float(chain.scan().unit_v.mean()) / kind.cells_per_unit))
    drawn_ah += _draw(chain, RATED_AH)
    full_v = 2.0 * points[0][1] - points[1][1]  # the rested voltage of a full one cannot be had within hours
    soc = np.array([1.0, *(1.0 - ah / drawn_ah for ah, _ in points)])
    volts = np.array([full_v, *(v for _, v in points)])
    # Below the last step nothing was measured: the last slope goes on.
    slope = (volts[-2] - volts[-1]) / (soc[-2] - soc[-1])
    soc, volts = np.append(soc, 0.0), np.append(volts, volts[-1] - slope * soc[-1])
    return RestedCurve(soc[::-1].copy(), volts[::-1].copy(), np.full(len(soc), 2e-4), 0.003, 8.0 * 3600.0)


def _draw(chain: Chain, most_ah: float) -> float:
    """Draw the rated current for a charge or down to the end voltage; return what the sensor counted."""
    kind, counted = chain.kind, [0.0, 0.0]
    chain.act("outage", current_a=kind.rated_a)
    end_v = kind.end_v * kind.cells_per_unit

    def is_over(readings: Readings) -> bool:
        counted[0] += float(readings.discharge_a[0]) * SCAN_S / 3600.0
        return counted[0] >= most_ah or bool(readings.unit_v.mean() < end_v)

    chain.run(30.0, until=is_over)
    return counted[0]
