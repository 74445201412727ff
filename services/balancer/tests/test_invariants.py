"""What must never happen, over thousands of short runs of the twin in which things go wrong together."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from balancer.orders import Forced
from cellkeeper.contract.physical import ModuleStatus, Quality
from cellkeeper.contract.scan_columns import ScanColumns
from faulty_string import Chemistry, FaultyString, rules_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

RUNS = 1000  # of each chemistry
FAST = settings(max_examples=RUNS, deadline=None, suppress_health_check=list(HealthCheck))
type Change = Callable[[ScanColumns, int, np.random.Generator], ScanColumns]


def _at(values: np.ndarray, places: object, value: object) -> np.ndarray:
    changed = values.copy()
    changed[places] = value  # type: ignore[index]
    return changed


def swapped(scan: ScanColumns, unit: int, _: np.random.Generator) -> ScanColumns:
    other = (unit + 2) % scan.cells
    order = np.arange(scan.cells)
    order[[unit, other]] = other, unit
    return replace(scan, cell_v=scan.cell_v[order], cell_degc=scan.cell_degc[order])


def silent(scan: ScanColumns, unit: int, _: np.random.Generator) -> ScanColumns:
    return replace(
        scan, cell_v=_at(scan.cell_v, unit, np.nan), cell_degc=_at(scan.cell_degc, unit, np.nan),
        quality=_at(scan.quality, unit, Quality.SILENT), degc_quality=_at(scan.degc_quality, unit, Quality.SILENT),
    )  # fmt: skip


def half_silent(scan: ScanColumns, unit: int, _: np.random.Generator) -> ScanColumns:
    half = slice(0, scan.cells // 2) if unit % 2 else slice(None, None, 2)
    return replace(scan, cell_v=_at(scan.cell_v, half, np.nan), quality=_at(scan.quality, half, Quality.SILENT))


def implausible(scan: ScanColumns, unit: int, rng: np.random.Generator) -> ScanColumns:
    code = int(rng.choice([1, 2, 3, 5, 7, 8]))
    return replace(scan, quality=_at(scan.quality, unit, code))


def open_temperature(scan: ScanColumns, unit: int, rng: np.random.Generator) -> ScanColumns:
    if rng.random() < 0.5:
        return replace(scan, cell_degc=_at(scan.cell_degc, unit, np.nan))
    return replace(scan, degc_quality=_at(scan.degc_quality, unit, Quality.OUT_OF_RANGE))


def hot(scan: ScanColumns, unit: int, rng: np.random.Generator) -> ScanColumns:
    return replace(scan, cell_degc=_at(scan.cell_degc, unit, scan.cell_degc[unit] + rng.uniform(2.0, 30.0)))


def hot_room(scan: ScanColumns, _: int, rng: np.random.Generator) -> ScanColumns:
    return replace(scan, cell_degc=scan.cell_degc + rng.uniform(10.0, 30.0))


def low(scan: ScanColumns, unit: int, rng: np.random.Generator) -> ScanColumns:
    return replace(scan, cell_v=_at(scan.cell_v, unit, scan.cell_v[unit] * rng.uniform(-0.2, 0.95)))


def floor_high(scan: ScanColumns, unit: int, rng: np.random.Generator) -> ScanColumns:
    return replace(scan, cell_v=_at(scan.cell_v, unit, scan.cell_v[unit] * rng.uniform(1.0, 1.2)))


def cut_off(scan: ScanColumns, unit: int, rng: np.random.Generator) -> ScanColumns:
    bit = int(rng.choice([ModuleStatus.FUSE_OPEN, ModuleStatus.DISCONNECTED]))
    return replace(scan, status=_at(scan.status, unit, bit))


def in_test(scan: ScanColumns, unit: int, _: np.random.Generator) -> ScanColumns:
    return replace(scan, quality=_at(scan.quality, unit, Quality.IN_TEST))


def no_current(scan: ScanColumns, unit: int, rng: np.random.Generator) -> ScanColumns:
    if unit % 3 == 0:
        return replace(scan, scalars={})
    if unit % 3 == 1:
        return replace(scan, scalar_quality={"current_a": int(rng.integers(1, 9))})
    return replace(scan, scalars={"current_a": float(rng.choice([np.nan, np.inf, -np.inf]))})


def nonsense(scan: ScanColumns, unit: int, rng: np.random.Generator) -> ScanColumns:
    """A value that is no number, in any column, said to be good."""
    what, value = rng.integers(4), float(rng.choice([np.nan, np.inf, -np.inf]))
    if what == 3:
        return replace(scan, scalars={**scan.scalars, "float_a": value})
    name = ("cell_v", "cell_degc", "bleed_frac")[what]
    return replace(scan, **{name: _at(getattr(scan, name), unit, value)})


CHANGES: tuple[Change, ...] = (
    swapped, silent, half_silent, implausible, open_temperature, hot, hot_room, low, floor_high, cut_off, in_test,
    no_current, nonsense,
)  # fmt: skip
EVENTS = (
    "outage", "light_load", "mains", "swinging", "gap", "long_gap", "back", "forward", "twice", "older", "wrong_sign",
    "right_sign", "mirrored", "sensor", "freeze", "mode", "force", "pause", "spare",
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """A run: how many scans, what goes wrong from which scan on, for how many, at which unit; and a forced duty of all.

    With a forced duty no rule is kept by chance, because a strategy would not have bled that unit anyway.
    """

    scans: int
    force_frac: float
    changes: list[tuple[Change, int, int, int]]
    events: list[tuple[str, int, int]]
    seed: int


UNITS = st.integers(4, 12)
STEPS = st.integers(0, 24)
PLANS = st.builds(
    Plan,
    scans=st.integers(20, 36),
    force_frac=st.sampled_from([0.0, 0.3, 1.0]),
    changes=st.lists(st.tuples(st.sampled_from(CHANGES), STEPS, st.integers(1, 20), st.integers(0, 11)), max_size=3),
    events=st.lists(st.tuples(st.sampled_from(EVENTS), STEPS, st.integers(0, 11)), max_size=5),
    seed=st.integers(0, 2**32 - 1),
)
ARRANGEMENTS = st.sampled_from(["whole", "whole", "tapped", "held", "forbidden", "none"])


def string_of(chemistry: Chemistry, units: int, arrangement: str, scan_s: float) -> FaultyString:
    changes: dict[str, object] = {}
    if arrangement == "held":
        changes["held_out"] = (1,)
    if arrangement == "forbidden":
        changes["is_permitted"] = False
    if arrangement == "none":
        changes["strategy"] = "none"
    if arrangement == "tapped":
        half = units // 2
        first = rules_of(chemistry, 0, half, scan_s)
        return FaultyString(chemistry, (first, rules_of(chemistry, half, units - half, scan_s)))
    return FaultyString(chemistry, (rules_of(chemistry, 0, units, scan_s, **changes),))


@dataclass
class Play:
    """A plan while it runs; one method for each kind of event."""

    string: FaultyString
    rng: np.random.Generator
    waits_s: float = 0.0
    deliveries: tuple[int, ...] = (0,)  # milliseconds by which each copy of a scan is older than it
    mode_forbids: bool = False
    frozen: int | None = None
    swings: int | None = None

    def outage(self, _: int) -> None:
        self.string.charger("outage", float(self.rng.uniform(0.1, 0.8)))

    def light_load(self, _: int) -> None:
        self.string.charger("outage", float(self.rng.uniform(0.015, 0.06)))

    def mirrored(self, unit: int) -> None:
        """A light load, and a current sensor that shows it as a charge."""
        self.wrong_sign(unit)
        self.light_load(unit)

    def mains(self, _: int) -> None:
        self.string.charger("mains")

    def swinging(self, _: int) -> None:
        self.swings = 0

    def gap(self, _: int) -> None:
        self.waits_s = float(self.rng.uniform(31.0, 800.0))

    def long_gap(self, _: int) -> None:
        self.waits_s = float(self.rng.uniform(900.0, 9000.0))

    def back(self, _: int) -> None:
        self.string.clock_s -= float(self.rng.uniform(1.0, 9000.0))

    def forward(self, _: int) -> None:
        self.string.clock_s += float(self.rng.uniform(1.0, 9000.0))

    def twice(self, _: int) -> None:
        self.deliveries = (0, 0)

    def older(self, _: int) -> None:
        self.deliveries = (0, 1500)

    def wrong_sign(self, _: int) -> None:
        self.string.sign = -1.0

    def right_sign(self, _: int) -> None:
        self.string.sign = 1.0

    def sensor(self, unit: int) -> None:
        self.string.sensor_off(unit + 1, 0.03)

    def freeze(self, unit: int) -> None:
        self.frozen = unit

    def mode(self, _: int) -> None:
        self.mode_forbids = not self.mode_forbids

    def force(self, unit: int) -> None:
        units = range(self.string.units) if self.rng.random() < 0.6 else (unit,)
        forced = dict.fromkeys(units, Forced(float(self.rng.uniform(0.1, 1.0)), self.string.loop.at_s + 600.0))
        self.string.loop.orders = replace(self.string.loop.orders, forced=forced)

    def pause(self, _: int) -> None:
        self.string.loop.orders = replace(self.string.loop.orders, paused_until_s=self.string.loop.at_s + 90.0)

    def spare(self, unit: int) -> None:
        self.string.loop.orders = replace(self.string.loop.orders, spared={unit: self.string.loop.at_s + 900.0})

    def step(self, step: int, plan: Plan) -> None:
        """Let a scan pass."""
        string = self.string
        self.waits_s, self.deliveries = string.packs[0].scan_s, (0,)
        for event, when, unit in plan.events:
            if when == step:
                getattr(self, event)(unit % string.units)
        if self.swings is not None:
            self.swings += 1
            string.charger("outage" if self.swings % 2 else "mains", load_c=0.05)
        string.pass_time(self.waits_s)
        scan = self._frozen(string.scan())
        for change, begins, lasts, unit in plan.changes:
            if begins <= step < begins + lasts:
                scan = change(scan, unit % scan.cells, self.rng)
        for older_ms in self.deliveries:
            string.decide(replace(scan, measured_ms=scan.measured_ms - older_ms), mode_forbids=self.mode_forbids)

    def _frozen(self, scan: ScanColumns) -> ScanColumns:
        at, said = self.frozen, self.string.last_said
        if at is None or said is None:
            return scan
        return replace(scan, cell_v=_at(scan.cell_v, at, said[0][at]), cell_degc=_at(scan.cell_degc, at, said[1][at]))


def run(string: FaultyString, plan: Plan) -> None:
    """Play a plan; every scan is looked at by `FaultyString.decide`."""
    play = Play(string, np.random.default_rng(plan.seed))
    if plan.force_frac > 0.0:
        forced = dict.fromkeys(
            range(string.units), Forced(plan.force_frac, string.loop.memories[0].phase.at_s + 7200.0)
        )
        string.loop.orders = replace(string.loop.orders, forced=forced)
    for step in range(plan.scans):
        play.step(step, plan)


@pytest.mark.timeout(900)
@FAST
@given(plan=PLANS, units=UNITS, arrangement=ARRANGEMENTS, scan_s=st.sampled_from([1.0, 10.0, 10.0]))
def test_lithium_is_never_bled_against_a_rule(plan: Plan, units: int, arrangement: str, scan_s: float):
    run(string_of("lfp", units, arrangement, scan_s), plan)


@pytest.mark.timeout(900)
@FAST
@given(plan=PLANS, units=UNITS, arrangement=ARRANGEMENTS, scan_s=st.sampled_from([1.0, 10.0, 10.0]))
def test_lead_is_never_bled_against_a_rule(plan: Plan, units: int, arrangement: str, scan_s: float):
    run(string_of("vrla_agm", units, arrangement, scan_s), plan)


def test_the_runs_do_bleed():
    """Where nothing goes wrong the strings are bled: rules that forbid everything would pass the tests above."""
    for chemistry in ("lfp", "vrla_agm"):
        string = string_of(chemistry, 8, "whole", 10.0)
        run(string, Plan(30, 0.0, [], [], 1))
        assert string.bled > 25
