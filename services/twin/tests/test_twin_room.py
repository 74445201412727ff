"""A room on its clock: charger and load, parallel strings, temperature, faults, traces, determinism."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twin.errors import TwinFileError, TwinUseError
from twin.physics.physical_faults import DEFAULT_VALUE, FaultEvent
from twin.physics.room import Room
from twin.physics.room_spec import RoomSpec, StringSpec
from twin.physics.sensors import PERFECT, SensorErrors
from twin.physics.ups import WIRING_OHM_AH, DcBusSpec, Phase, UpsEvent
from twin.script.scenario import AmbientEvent, Scenario, shipped_scenario
from twin.script.traces import Trace, TracedUnits

START = datetime(2026, 1, 5, tzinfo=UTC)
OUTAGE = Scenario(name="t", ups=(UpsEvent(60.0, "outage"), UpsEvent(660.0, "mains")))


def room_of(
    chemistry: str = "vrla",
    cells: int = 24,
    scenario: Scenario | None = None,
    *,
    strings: int = 1,
    cells_per_unit: int = 1,
    seed: int = 3,
    errors: SensorErrors = PERFECT,
    buses: tuple[DcBusSpec, ...] = (),
    rated_ah: tuple[float, ...] = (100.0,),
    bleed_max_a: float = 0.1,
    max_step_s: float = 10.0,
) -> Room:
    specs = tuple(
        StringSpec(f"s{n + 1}", cells, chemistry, rated_ah[n % len(rated_ah)], cells_per_unit, "dc1", bleed_max_a)
        for n in range(strings)
    )
    quiet = Scenario(name="still", ambient_degc=25.0, swing_k=0.0)
    return Room(
        RoomSpec(specs, buses),
        seed=seed,
        start=START,
        scenario=scenario or quiet,
        errors=errors,
        max_step_s=max_step_s,
    )


@pytest.mark.parametrize("chemistry", ["vrla", "vented", "nicd", "nmc", "lfp", "lto", "na_ion", "nizn"])
def test_float_sums_to_the_charger_for_every_chemistry(chemistry):
    room = room_of(chemistry, strings=2)
    room.advance(7200.0)
    (bus,) = room.dcbus_states()
    assert bus.phase is Phase.FLOAT
    assert bus.v == pytest.approx(bus.set_v, abs=1e-3)
    for string in ("s1", "s2"):
        assert room.truth(string).string_v == pytest.approx(bus.set_v, abs=0.01)


@pytest.mark.parametrize("cells_per_unit", [1, 6])
def test_an_outage_drops_all_units_at_once_and_mains_brings_them_back(cells_per_unit):
    room = room_of("vrla", 40, OUTAGE, cells_per_unit=cells_per_unit)
    room.advance(60.0)
    before = room.truth("s1")
    room.advance(61.0)
    during = room.truth("s1")
    drop_v = (before.v - during.v) / cells_per_unit
    assert np.all((drop_v > 0.1) & (drop_v < 0.3))
    assert during.string_a < -100.0
    (bus,) = room.dcbus_states()
    assert bus.on_battery
    assert -bus.a * bus.v == pytest.approx(1.5 * 100.0 * 2.0 * 40 * cells_per_unit, rel=1e-4)
    room.advance(660.0)
    room.advance(665.0)
    (bus,) = room.dcbus_states()
    assert bus.phase is Phase.RECHARGE
    assert bus.a == pytest.approx(15.0, rel=1e-3)
    room.advance(86_400.0)
    (bus,) = room.dcbus_states()
    assert bus.phase is Phase.FLOAT
    np.testing.assert_allclose(room.truth("s1").v, before.v, atol=0.012 * cells_per_unit)
    assert np.all(room.truth("s1").soc_frac > 0.99)


def test_the_charger_lowers_its_set_point_in_a_warm_room():
    cool, warm = (room_of(scenario=Scenario(name="t", ambient_degc=t, swing_k=0.0)) for t in (15.0, 35.0))
    for room in (cool, warm):
        room.advance(3600.0)
    cool_v, warm_v = cool.dcbus_states()[0].v, warm.dcbus_states()[0].v
    assert (warm_v - cool_v) / 24 / 20.0 == pytest.approx(-0.003, rel=0.02)
    assert warm.truth("s1").string_a > cool.truth("s1").string_a  # warmth wins over the compensation


@pytest.mark.parametrize("load", [{"power_w": 8000.0}, {"current_a": 180.0}])
def test_parallel_strings_share_the_load(load):
    room = room_of(strings=3, rated_ah=(100.0, 100.0, 50.0))
    room.command_ups(UpsEvent(0.0, "test", **load))
    room.advance(120.0)
    (bus,) = room.dcbus_states()
    currents = [room.truth(f"s{n}").string_a for n in (1, 2, 3)]
    assert sum(currents) == pytest.approx(bus.a, rel=1e-9)
    asked_a = load.get("current_a") or load["power_w"] / bus.v
    assert -bus.a == pytest.approx(asked_a, rel=1e-4)
    assert currents[2] / currents[0] == pytest.approx(0.5, rel=0.1)
    assert currents[1] / currents[0] == pytest.approx(1.0, rel=0.05)
    room.command_ups(UpsEvent(0.0, "open", string="s2"))
    room.advance(180.0)
    assert room.truth("s2").string_a == 0.0
    assert room.truth("s1").string_a < 1.2 * currents[0]
    assert room.dcbus_states()[0].breaker_closed == {"s1": True, "s2": False, "s3": True}
    room.command_ups(UpsEvent(0.0, "close", string="s2"))
    room.advance(181.0)
    assert room.truth("s2").string_a < currents[1]  # the rested string takes more than its share


def test_the_ups_cuts_off_before_the_battery_is_ruined():
    room = room_of(scenario=Scenario(name="t", ups=(UpsEvent(10.0, "outage"),)))
    room.advance(2 * 3600.0)
    (bus,) = room.dcbus_states()
    assert bus.phase is Phase.REST
    assert bus.a == pytest.approx(0.0, abs=1e-6)
    assert np.all(room.truth("s1").v > 1.9)


def test_boost_raises_the_voltage_and_the_gassing():
    room = room_of()
    room.advance(600.0)
    floating = room.truth("s1")
    room.command_ups(UpsEvent(0.0, "boost"))
    room.advance(12 * 3600.0)
    boosted = room.truth("s1")
    assert boosted.v.mean() == pytest.approx(2.36, abs=0.01)
    assert boosted.string_a > 3.0 * floating.string_a


def test_bleeding_lowers_a_floating_unit_over_hours_and_warms_it():
    room = room_of("vrla", 24, cells_per_unit=6)
    room.advance(600.0)
    before = room.truth("s1")
    duty = np.zeros(24)
    duty[4] = 1.0
    room.set_bleed("s1", duty)
    room.advance(660.0)
    soon_v = room.truth("s1").v[4]
    room.advance(12 * 3600.0)
    after = room.truth("s1")
    assert before.v[4] - soon_v < 0.02
    assert before.v[4] - after.v[4] > 0.1
    assert np.all(np.delete(after.v - before.v, 4) > 0.0)  # the charger gives the others what this one loses
    warmer = after.degc - before.degc
    assert warmer[4] > np.delete(warmer, 4).max() + 0.02


def test_dry_out_raises_float_current_and_temperature():
    room = room_of("vrla", 4, cells_per_unit=6, max_step_s=120.0)
    room.advance(3600.0)
    before = room.truth("s1")
    for cell in (1, 2, 3, 4):
        room.inject(FaultEvent(0.0, "dry_out", cell, value=6.0))
    room.advance(4 * 86_400.0)
    after = room.truth("s1")
    assert after.string_a > 4.0 * before.string_a
    assert np.all(after.degc - before.degc > 1.0)
    assert np.all(room.impedance("s1").r_ohm > 2.0e-3)


def test_one_dry_block_sinks_among_healthy_ones():
    room = room_of("vrla", 40, max_step_s=120.0)
    room.advance(3600.0)
    before = room.truth("s1")
    room.inject(FaultEvent(0.0, "dry_out", 7, value=4.0))
    room.advance(3 * 86_400.0)
    moved = room.truth("s1").v - before.v
    assert moved[6] < -0.05
    assert np.all(np.delete(moved, 6) > 0.0)


def test_a_float_20_mv_too_high_warms_a_little_and_one_300_mv_too_high_runs_away():
    def peak_degc(float_v: float) -> float:
        room = room_of("vrla", 4, cells_per_unit=6, buses=(DcBusSpec("dc1", v_per_k=0.0),), max_step_s=120.0)
        room.command_ups(UpsEvent(0.0, "float", float_v=float_v))
        room.advance(5 * 86_400.0)
        return float(room.truth("s1").core_degc.max())

    assert peak_degc(2.285) < 28.0
    assert peak_degc(2.56) > 45.0


def test_a_weak_cell_reverses_in_an_outage_and_blocks_only_itself():
    room = room_of("vrla", 120, shipped_scenario("weak_cell"), errors=SensorErrors())
    room.advance(655.0)
    read = room.reading("s1")
    assert read.v[2] < 0.0
    assert np.all(np.delete(read.v, 2) > 1.5)
    assert room.truth("s1").v[3] < np.median(read.v) - 0.03  # the loose link, 0.4 mΩ at 150 A


def test_a_soft_short_sinks_slowly_and_an_offset_at_once():
    room = room_of("lfp", 16, shipped_scenario("imbalance"), max_step_s=120.0)
    room.advance(3599.0)
    before = room.reading("s1")
    room.advance(3601.0)
    after = room.reading("s1")
    assert after.v[6] - before.v[6] == pytest.approx(0.03, abs=1e-3)
    room.advance(5 * 86_400.0)
    lost_ah = 5 * 24 * 0.02
    soc = room.truth("s1").soc_frac
    assert np.median(soc) - soc[1] == pytest.approx(lost_ah / 100.0, abs=0.012)


@given(kind=st.sampled_from(sorted(DEFAULT_VALUE)), cells_per_unit=st.sampled_from([1, 6]))
@settings(max_examples=20, deadline=None)
def test_a_fault_that_is_cleared_leaves_its_unit_as_it_was(kind, cells_per_unit):
    room = room_of("vrla", 4, cells_per_unit=cells_per_unit)
    room.advance(10.0)
    ohm, v, degc = room.impedance("s1").r_ohm, room.reading("s1").v, room.reading("s1").degc
    number = room.inject(FaultEvent(0.0, kind, 2))
    room.advance(10.2)
    room.clear(number)
    room.clear(number)
    room.advance(12.0)
    np.testing.assert_allclose(room.impedance("s1").r_ohm, ohm, rtol=1e-3)
    np.testing.assert_allclose(room.reading("s1").v, v, atol=0.03)  # the charger pushed a little meanwhile
    np.testing.assert_allclose(room.reading("s1").degc, degc, atol=0.01)


def test_faults_grow_and_end_by_the_script():
    scenario = Scenario(
        name="t",
        ambient_degc=25.0,
        swing_k=0.0,
        fault=(
            FaultEvent(100.0, "loose_connector", 1, value=1e-3, over_s=1000.0),
            FaultEvent(100.0, "open_temperature_sensor", 2, for_s=50.0),
        ),
        ambient=(AmbientEvent(200.0, 40.0),),
    )
    room = room_of("vrla", 4, scenario)
    base = room.impedance("s1").r_ohm[0]
    room.advance(120.0)
    assert np.isnan(room.reading("s1").degc[1])
    assert np.isfinite(room.reading("s1").v[1])
    room.advance(151.0)
    assert np.isfinite(room.reading("s1").degc[1])
    room.advance(600.0)
    assert room.impedance("s1").r_ohm[0] - base == pytest.approx(0.5e-3, rel=0.02)
    room.advance(5000.0)
    assert room.impedance("s1").r_ohm[0] - base == pytest.approx(1e-3, rel=0.03)
    assert room.reading("s1").scalars.ambient_degc == pytest.approx(40.0)
    assert room.truth("s1").core_degc.mean() > 25.5


def test_sensors_show_noise_of_their_rating_and_shorter_windows_more():
    room = room_of("vrla", 400, errors=SensorErrors(v_offset_frac=0.0, v_gain_frac=0.0))
    truth = room.truth("s1").v
    assert np.std(room.reading("s1").v - truth) == pytest.approx(1e-4, rel=0.15)
    assert np.std(room.reading("s1", window_s=0.02).v - truth) == pytest.approx(1e-4 * 5**0.5, rel=0.15)


def test_a_float_sensor_says_nothing_about_a_discharge():
    room = room_of("vrla", 24, OUTAGE, errors=SensorErrors())
    room.advance(30.0)
    quiet = room.reading("s1").scalars
    assert quiet.float_a == pytest.approx(0.04, abs=0.02)
    room.advance(90.0)
    loaded = room.reading("s1").scalars
    assert np.isnan(loaded.float_a)
    assert loaded.string_a < -100.0
    assert loaded.ripple_a_rms > quiet.ripple_a_rms


def test_the_same_seed_and_calls_give_the_same_bits_and_another_seed_does_not():
    def life(seed: int) -> list[float]:
        room = room_of("lfp", 16, OUTAGE, seed=seed, errors=SensorErrors(), strings=2)
        seen: list[float] = []
        for moment in (30.0, 61.0, 100.0, 700.0, 5000.0):
            room.advance(moment)
            seen += [*room.reading("s2").v, *room.reading("s1").degc, *room.impedance("s1").r_ohm]
        return seen

    assert life(1) == life(1)
    assert life(1) != life(2)


@given(stops=st.lists(st.floats(0.1, 1500.0), min_size=1, max_size=8))
@settings(max_examples=10, deadline=None)
def test_how_often_one_looks_does_not_change_what_happens(stops):
    seldom, often = room_of("vrla", 12, OUTAGE), room_of("vrla", 12, OUTAGE)
    for stop in sorted(stops):
        often.advance(stop)
    seldom.advance(1500.0)
    often.advance(START + timedelta(seconds=1500.0))
    np.testing.assert_allclose(often.truth("s1").v, seldom.truth("s1").v, atol=4e-3)
    np.testing.assert_allclose(often.truth("s1").soc_frac, seldom.truth("s1").soc_frac, atol=3e-4)
    assert often.now == START + timedelta(seconds=1500.0)


@given(
    gaps=st.lists(st.floats(0.5, 500.0), min_size=1, max_size=30),
    volts=st.lists(st.floats(-1.0, 15.0), min_size=31, max_size=31),
)
@settings(max_examples=25, deadline=None)
def test_a_trace_is_shown_row_by_row_and_its_gaps_are_silent(gaps, volts):
    time_s = np.concatenate([[5.0], 5.0 + np.cumsum(gaps)])
    rows = len(time_s)
    v = np.array(volts[:rows])[:, np.newaxis]
    trace = Trace(time_s, v, v * 0.0 + 21.5, -np.arange(rows, dtype=np.float64), hold_s=60.0)
    room = room_of("vrla", 1, max_step_s=300.0, errors=SensorErrors())
    room.follow_trace(TracedUnits("s1", 1, trace))
    assert np.isnan(room.reading("s1").v[0])
    for row, moment in enumerate(time_s):
        room.advance(float(moment))
        read = room.reading("s1")
        assert (read.v[0], read.degc[0], read.scalars.string_a) == (v[row, 0], 21.5, -float(row))
        if row + 1 < rows and gaps[row] > 61.0:
            room.advance(float(moment) + 60.5)
            assert np.isnan(room.reading("s1").v[0])
            assert np.isnan(room.reading("s1").scalars.string_a)


def test_a_trace_of_one_unit_leaves_its_neighbours_to_the_physics():
    trace = Trace(np.array([0.0]), np.array([[2.5, 2.6]]), None, None, hold_s=1e9)
    room = room_of("vrla", 4)
    room.follow_trace(TracedUnits("s1", 2, trace))
    room.advance(10.0)
    read = room.reading("s1")
    assert list(read.v[1:3]) == [2.5, 2.6]
    assert np.all(np.isnan(read.degc[1:3]))
    np.testing.assert_allclose(read.v[[0, 3]], room.truth("s1").v[[0, 3]])
    assert read.scalars.string_v == pytest.approx(4 * 2.265, abs=0.05)
    with pytest.raises(TwinUseError, match="do not fit"):
        room.follow_trace(TracedUnits("s1", 4, trace))


def test_a_trace_that_cannot_be_one_is_refused():
    v = np.zeros((2, 1))
    with pytest.raises(TwinFileError, match="rise"):
        Trace(np.array([1.0, 1.0]), v, None, None, hold_s=1.0)
    with pytest.raises(TwinFileError, match="shape"):
        Trace(np.array([1.0, 2.0]), v, np.zeros((1, 1)), None, hold_s=1.0)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (RoomSpec(()), "needs strings"),
        (RoomSpec((StringSpec("a", 2, "peroxide", 100.0),)), "no parameter set 'peroxide'"),
        (RoomSpec((StringSpec("a", 0, "vrla", 100.0),)), "above zero"),
        (
            RoomSpec((StringSpec("a", 2, "vrla", 9.0, 1, "d"), StringSpec("b", 3, "vrla", 9.0, 1, "d"))),
            "different chemistry or length",
        ),
    ],
)
def test_a_description_that_makes_no_room_is_refused(spec, said):
    with pytest.raises(TwinUseError, match=said):
        Room(spec, seed=1, start=START)


def test_commands_that_name_what_is_not_there_are_refused():
    room = room_of()
    with pytest.raises(TwinUseError, match="'s9'"):
        room.reading("s9")
    with pytest.raises(TwinUseError, match="24 units"):
        room.inject(FaultEvent(0.0, "dead_cell", 25))
    with pytest.raises(TwinUseError, match="above zero"):
        room.inject(FaultEvent(0.0, "dry_out", 1, value=0.0))
    with pytest.raises(TwinUseError, match="dc bus 'x'"):
        room.command_ups(UpsEvent(0.0, "boost", dcbus="x"))
    with pytest.raises(TwinUseError, match="no such string"):
        room.command_ups(UpsEvent(0.0, "open"))
    with pytest.raises(TwinUseError, match="time zone"):
        Room(room.spec, seed=1, start=datetime(2026, 1, 1))  # noqa: DTZ001


def test_volts_that_are_measured_at_the_ups_lack_what_the_wiring_takes():
    at_ends = StringSpec("s1", 24, "vrla", 100.0)
    shown = []
    for spec in (at_ends, replace(at_ends, is_measured_at_ups=True)):
        quiet = Scenario(name="still", ambient_degc=25.0, swing_k=0.0)
        room = Room(RoomSpec((spec,)), seed=3, start=START, scenario=quiet, errors=PERFECT)
        room.advance(600.0)
        floated_v = room.reading("s1").scalars.string_v
        room.command_ups(UpsEvent(0.0, "outage", power_w=5000.0))
        room.advance(660.0)
        scalars = room.reading("s1").scalars
        shown.append((floated_v, scalars.string_v, -scalars.string_a, room.dcbus_states()[0].v))
    (ends_float_v, ends_v, amps, _), (ups_float_v, ups_v, same_a, bus_v) = shown
    assert ups_float_v == pytest.approx(ends_float_v, abs=1e-3)
    assert (amps, ups_v) == (same_a, bus_v)
    assert ends_v - ups_v == pytest.approx(WIRING_OHM_AH / 100.0 * amps, rel=1e-3)
