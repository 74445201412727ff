"""A string of the twin that things go wrong with, and what must never follow from a scan of it, whatever goes wrong.

The rules are written here once more, from the documents and from what the twin knows to be true, so that a mistake in
the balancer's own code is not repeated by what looks for it.
"""

import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Literal

import numpy as np
from balancer.dispatch import WORTH_FRAC, SetPoints
from balancer.phase import PhaseMemory
from balancer.rules import PackRules
from balancer.string_loop import StringLoop
from cellkeeper.contract.chemistry import profiles
from cellkeeper.contract.physical import ModuleStatus, Quality
from cellkeeper.contract.scan_columns import ScanColumns
from twin.physics.physical_faults import FaultEvent
from twin.physics.room import Room
from twin.physics.room_spec import RoomSpec, StringSpec
from twin.physics.ups import DcBusSpec, Phase, UpsEvent
from twin.script.scenario import Scenario

START = datetime(2026, 1, 5, tzinfo=UTC)
AH = 100.0
HOLD_S = 60.0
STOP_DEGC = 45.0
WARMER_STOP_K = 5.0
SICK_UNIT_K = 2.0

type Chemistry = Literal["lfp", "vrla_agm"]


@cache
def _fresh_room(chemistry: Chemistry, units: int) -> Room:
    k = 6 if chemistry == "vrla_agm" else 1
    spec = RoomSpec(
        (StringSpec("s1", units, chemistry, AH, cells_per_unit=k, bleed_max_a=0.2),),
        (DcBusSpec("s1", float_v=3.45 if k == 1 else None),),
    )
    room = Room(spec, seed=units, start=START, scenario=Scenario("still", swing_k=0.0))
    if k == 1:
        room.bank.set_charge(1.0 + np.linspace(-0.006, 0.006, units))
    room.advance(7200.0)  # the tail of the charge dies away
    return room


def rules_of(chemistry: Chemistry, first: int, units: int, scan_s: float, **changes: object) -> PackRules:
    c = profiles()[chemistry]
    b, k = c.balance, 6 if chemistry == "vrla_agm" else 1
    values: dict[str, object] = {
        "string": "s1", "first": first, "units": units, "cells_per_unit": k, "rated_ah": AH, "strategy": b.strategy,
        "is_permitted": True, "float_v": c.float_v * k, "float_v_per_k": c.float_v_per_k * k,
        "floor_v": c.bleed_floor_v * k, "bleed_a": 0.2, "budget_w": 0.4 * k, "cooling_w_per_k": b.cooling_w_per_k * k,
        "stop_degc": STOP_DEGC, "enter_v": b.enter_v or 0.0, "leave_v": b.leave_v or 0.0,
        "bleed_above_v": b.bleed_above_v or 0.0, "start_v": b.start_v, "stop_v": b.stop_v, "plateau_v": b.plateau_v,
        "scan_s": scan_s,
    }  # fmt: skip
    return PackRules(**(values | changes))  # type: ignore[arg-type]


@dataclass
class FaultyString:
    """The string, its balancer as it comes out of a long quiet float, and what went wrong so far."""

    chemistry: Chemistry
    packs: tuple[PackRules, ...]
    room: Room = field(init=False)
    loop: StringLoop = field(init=False)
    in_force: np.ndarray = field(init=False)
    clock_s: float = 0.0
    sign: float = 1.0
    broken_since_s: float = -1e9
    last_at_s: float | None = None
    same: np.ndarray = field(init=False)
    last_said: tuple[np.ndarray, np.ndarray] | None = None
    bled: int = 0

    def __post_init__(self) -> None:
        self.room = copy.deepcopy(_fresh_room(self.chemistry, self.units))
        self.loop = StringLoop(self.packs)
        self.in_force = np.zeros(self.units)
        self.same = np.zeros(self.units, dtype=int)
        at_s = START.timestamp() + self.room.now_s
        quiet = PhaseMemory(
            phase="final" if self.chemistry == "lfp" else "float", since_s=at_s - 9e3, at_s=at_s, ready_s=at_s - 9e3,
            disturbed_s=at_s - 9e4,
        )  # fmt: skip
        for memory in self.loop.memories:
            object.__setattr__(memory, "phase", quiet)
        self.last_at_s = at_s

    @property
    def units(self) -> int:
        return sum(rules.units for rules in self.packs)

    def pass_time(self, seconds: float) -> None:
        self.room.set_bleed("s1", self.in_force)
        self.room.advance(self.room.now_s + seconds)

    def charger(self, act: str, load_c: float = 0.2) -> None:
        load = {"current_a": load_c * AH} if act == "outage" else {}
        self.room.command_ups(UpsEvent(0.0, act, **load))  # type: ignore[arg-type]

    def sensor_off(self, cell: int, off_v: float) -> None:
        self.room.inject(FaultEvent(0.0, "sensor_offset", cell, value=off_v))

    @property
    def is_on_battery(self) -> bool:
        """Whether the string truly delivers a load that is worth a name."""
        amps = float(self.room.bank.string_a[0])
        return amps < -0.011 * AH and int(self.room.ups.phase[0]) in {Phase.OUTAGE, Phase.TEST}

    def scan(self) -> ScanColumns:
        """Return an honest scan of now."""
        reading = self.room.reading("s1")
        n = self.units
        return ScanColumns(
            site="x", string="s1", stream="b7f2", seq=1, oldest_seq=0,
            measured_ms=round((START.timestamp() + self.room.now_s + self.clock_s) * 1000.0), clock="synced",
            cell_v=np.round(reading.v, 4), cell_degc=np.round(reading.degc, 2), bleed_frac=self.in_force.copy(),
            quality=np.zeros(n, np.uint8), degc_quality=np.zeros(n, np.uint8), status=np.zeros(n, np.uint8),
            scalars={"current_a": self.sign * reading.scalars.string_a},
        )  # fmt: skip

    def decide(self, scan: ScanColumns, *, mode_forbids: bool = False) -> None:
        """Give a scan to the balancer, do what it commands, and look for everything that must not be."""
        is_again = self.last_at_s == scan.measured_ms / 1000.0
        turn = self.loop.on_scan(scan, mode_forbids=mode_forbids)
        if turn.set_points is not None:
            self._obey(turn.set_points)
        if not is_again:
            self._watch_time(scan)
            self._watch_frozen(scan)
        assert self.loop.duty.shape == (self.units,)
        assert np.isfinite(self.loop.duty).all()
        assert (self.loop.duty >= 0.0).all()
        assert (self.loop.duty <= 1.0).all()
        self.bled += bool(self.loop.duty.any())
        must_be_off(self, scan, mode_forbids=mode_forbids)
        heat_stays_within(self, scan)
        assert (self.in_force[self.loop.duty == 0.0] == 0.0).all(), "a bleed goes on that nobody wants any more"
        assert (self.in_force <= self.loop.duty + WORTH_FRAC + 1e-3).all(), "more is asked than was decided"

    def _obey(self, set_points: SetPoints) -> None:
        assert len(set(set_points.cells)) == len(set_points.cells) == len(set_points.bleed_frac)
        for cell, duty in zip(set_points.cells, set_points.bleed_frac, strict=True):
            self.in_force[cell - 1] = duty
        self.loop.sent = self.loop.sent.applied()

    def _watch_time(self, scan: ScanColumns) -> None:
        at_s = scan.measured_ms / 1000.0
        gap_s = at_s - (self.last_at_s if self.last_at_s is not None else -1e9)
        if gap_s <= 0.0 or gap_s > max(10.0, 3.0 * self.packs[0].scan_s):
            self.broken_since_s = at_s
        self.last_at_s = at_s

    def _watch_frozen(self, scan: ScanColumns) -> None:
        said = (good(scan.cell_v, scan.quality), good(scan.cell_degc, scan.degc_quality))
        if self.last_said is not None:
            v, degc = (
                (now == was) | (np.isnan(now) & np.isnan(was))
                for now, was in zip(said, self.last_said, strict=True)
            )  # fmt: skip
            self.same = np.where(v & degc & ~np.isnan(said[0]), self.same + 1, 0)
        self.last_said = said

    def frozen(self) -> np.ndarray:
        return self.same >= max(30, 300.0 / self.packs[0].scan_s)


def good(values: np.ndarray, quality: np.ndarray) -> np.ndarray:
    return np.where((quality == Quality.GOOD) & np.isfinite(values), values, np.nan)


def must_be_off(string: FaultyString, scan: ScanColumns, *, mode_forbids: bool) -> None:
    """Fail when a unit is bled that must not be."""
    for rules in string.packs:
        span = slice(rules.first, rules.first + rules.units)
        duty = string.loop.duty[span]
        if not duty.any():
            continue
        for why, holds in _against_all(string, scan, rules, mode_forbids=mode_forbids).items():
            assert not holds, f"bled though: {why}"
        for why, flags in _against_a_unit(string, scan, rules).items():
            assert not (duty[flags] > 0.0).any(), f"a unit is bled: {why}"
        for place, each in string.loop.orders.forced.items():
            if place - rules.first in range(rules.units):
                assert duty[place - rules.first] <= each.bleed_frac + 1e-9


def _readings(string: FaultyString, scan: ScanColumns, rules: PackRules) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return volts and temperatures that are good, and which units are usable."""
    span = slice(rules.first, rules.first + rules.units)
    v, degc = good(scan.cell_v[span], scan.quality[span]), good(scan.cell_degc[span], scan.degc_quality[span])
    return v, degc, ~np.isnan(v) & ~_cut_off(scan, rules) & ~string.frozen()[span]


def _cut_off(scan: ScanColumns, rules: PackRules) -> np.ndarray:
    status = scan.status[rules.first : rules.first + rules.units]
    return (status & (ModuleStatus.FUSE_OPEN | ModuleStatus.DISCONNECTED)) != 0


def _against_all(string: FaultyString, scan: ScanColumns, rules: PackRules, *, mode_forbids: bool) -> dict[str, bool]:
    """Return what speaks against any bleed of a pack."""
    v, _, usable = _readings(string, scan, rules)
    at_s = scan.measured_ms / 1000.0
    amps, amps_quality = scan.scalars.get("current_a"), scan.scalar_quality.get("current_a", 0)
    quality = scan.quality[rules.first : rules.first + rules.units]
    return {
        "on battery": string.is_on_battery,
        "in test": bool((quality == Quality.IN_TEST).any()),
        "no current": amps is None or not np.isfinite(amps) or amps_quality != 0,
        "too few readings": usable.mean() < 0.8,
        "gap or older scan": at_s - string.broken_since_s < HOLD_S,
        "not permitted": not rules.is_permitted,
        "strategy none": rules.strategy == "none",
        "mode forbids": mode_forbids,
        "paused": string.loop.orders.paused_until_s > at_s,
        "no charger": bool(usable.any()) and float(np.mean(v[usable])) < 0.95 * rules.float_v,
    }


def _middle_degc(degc: np.ndarray, usable: np.ndarray) -> float:
    known_degc = degc[usable & ~np.isnan(degc)]
    return float(np.median(known_degc)) if len(known_degc) else 25.0


def _against_a_unit(string: FaultyString, scan: ScanColumns, rules: PackRules) -> dict[str, np.ndarray]:
    """Return what speaks against the bleed of which units."""
    v, degc, usable = _readings(string, scan, rules)
    middle = _middle_degc(degc, usable)
    unknown = np.isnan(v) | np.isnan(degc) | string.frozen()[rules.first : rules.first + rules.units]
    beside = np.zeros(rules.units, dtype=bool)
    beside[1:] |= unknown[:-1]
    beside[:-1] |= unknown[1:]
    return {
        "no reading, temperature, or life": unknown,
        "neighbour unknown": beside,
        "below floor": ~(v > rules.floor_v),
        "too hot": ~(degc < rules.stop_degc),
        "hotter than the others": degc - middle > WARMER_STOP_K,
        "cut off": _cut_off(scan, rules),
        "held out": np.isin(np.arange(rules.units), rules.held_out),
        "new battery": np.isin(np.arange(rules.units) + rules.first, list(string.loop.orders.spared)),
    }


def heat_stays_within(string: FaultyString, scan: ScanColumns) -> None:
    """Fail when modules may give off more than their budget, their unit's, or their neighbourhood's."""
    for rules in string.packs:
        span = slice(rules.first, rules.first + rules.units)
        v = np.nan_to_num(scan.cell_v[span], posinf=0.0, neginf=0.0)
        watts = string.loop.duty[span] * v * v * (rules.bleed_a / rules.float_v)
        most_w = rules.budget_w
        if rules.strategy == "float_pi":
            most_w = min(most_w, SICK_UNIT_K * rules.cooling_w_per_k)
        assert (watts <= most_w * (1.0 + 1e-9)).all(), "above the budget of a module"
        _, degc, usable = _readings(string, scan, rules)
        warmer_k = np.nan_to_num(np.maximum(degc - _middle_degc(degc, usable), 0.0))
        for at in range(rules.units - 4):
            budgets = np.interp(warmer_k[at : at + 5].mean(), [1.5, 3.5], [5.0, 3.0])  # where it is hot
            assert watts[at : at + 5].sum() <= budgets * rules.budget_w * (1.0 + 1e-9), "above that of a neighbourhood"
