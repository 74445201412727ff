"""Runtime from scan to scan: loads, steps, weak and reversed units, parallel strings, and every kind of bad input."""

import pickle
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from analytics.runtime.follow import RuntimeMemory, follow_runtime
from analytics.runtime.loads import LoadFrom
from analytics.runtime.words import clock, runtime_sentence
from cellkeeper.contract.physical import Quality
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from runtime_room import Room

BLOCK = "generic-vrla-12v-100ah.toml"
UNITS = 24
LOAD: dict[str, Any] = {"amps": 60.0, "cell_v": 1.98}


@pytest.fixture
def room() -> Room:
    return Room.of(BLOCK, units=UNITS)


def discharge(room: Room, seconds: int, step_s: int = 5, **scan: Any) -> list[float]:
    """Count the charge down as an estimator would while a constant load is on; return what was told of the bus."""
    told = []
    for _ in range(0, seconds, step_s):
        room.believed.soc_frac[:] -= scan.get("amps", 60.0) * step_s / 3600.0 / 100.0
        told.append(float(room.after(step_s, "discharge", **(LOAD | scan)).bus_left_s[0]))
    return told


def test_without_any_load_nothing_is_told_and_said_so(room: Room):
    runtime = room.after(1.0)
    assert np.isnan(runtime.bus_left_s[0])
    assert np.isnan(runtime.unit_left_s[0])
    assert runtime.cell[0] == 0
    assert "write load_w" in runtime_sentence("s0", runtime, 0)


def test_the_configured_load_then_the_measured_then_the_last(room: Room):
    sources = [room.after(1.0).load[0]]
    sources.append(room.after(1.0, "discharge", **LOAD).load[0])
    runtime = room.after(61.0)
    assert [*sources, runtime.load[0]] == [LoadFrom.UNKNOWN, LoadFrom.MEASURED, LoadFrom.LAST_DISCHARGE]
    assert runtime.power_w[0] == pytest.approx(60.0 * 1.98 * 6 * UNITS)
    room.rules.nominal_w[:] = 30_000.0
    assert room.after(1.0).load[0] == LoadFrom.CONFIGURED


def test_what_cables_may_take_is_counted_and_is_in_the_bar_where_the_ups_stops_on_its_own_volts():
    without = Room.of(BLOCK, units=UNITS)
    ups_v = float(without.rules.bus_end_v[0])
    behind = Room.of(BLOCK, units=UNITS, ups_v=ups_v)
    for each in (without, behind):
        each.rules.nominal_w[:] = 300.0 * each.rules.cells
    own, ups = without.after(1.0), behind.after(1.0)
    amps = 300.0 * 6 * UNITS / ups_v
    drop_v = behind.rules.wiring_ohm[0] * amps
    assert drop_v == pytest.approx(0.005 * ups_v * amps / 200.0)
    assert without.rules.wiring_ohm[0] == 0.0
    assert ups.bus_left_s[0] < own.bus_left_s[0]
    assert ups.bus_left_sd_s[0] / ups.bus_left_s[0] > own.bus_left_sd_s[0] / own.bus_left_s[0]
    assert ups.unit_left_s[0] == own.unit_left_s[0]


def test_wiring_that_site_toml_tells_takes_the_place_of_the_guess_and_narrows_the_bar():
    ups_v = float(Room.of(BLOCK, units=UNITS).rules.bus_end_v[0])
    guessed = Room.of(BLOCK, units=UNITS, ups_v=ups_v)
    guess_ohm = float(guessed.rules.wiring_ohm[0])
    ohms = [times * guess_ohm for times in (0.0, 0.5, 1.0, 2.0)]
    rooms = [guessed, *(Room.of(BLOCK, units=UNITS, ups_v=ups_v, wiring_ohm=ohm) for ohm in ohms)]
    for room in rooms:
        room.rules.nominal_w[:] = 300.0 * room.rules.cells
    guess, *told = (room.after(1.0) for room in rooms)
    assert [float(room.rules.wiring_ohm[0]) for room in rooms[1:]] == ohms
    bus_s = [float(each.bus_left_s[0]) for each in told]
    assert all(less > more for less, more in pairwise(bus_s))
    assert bus_s[2] == float(guess.bus_left_s[0])
    assert told[2].bus_left_sd_s[0] < guess.bus_left_sd_s[0]
    assert {float(each.unit_left_s[0]) for each in told} == {float(guess.unit_left_s[0])}


def test_the_weakest_unit_is_named_and_decides(room: Room):
    room.rules.nominal_w[:] = 200.0 * room.rules.cells
    healthy = room.after(1.0)
    room.believed.soh_frac[16] = 0.7
    weak = room.after(60.0)
    assert weak.cell[0] == 17
    assert weak.unit_left_s[0] < 0.8 * healthy.unit_left_s[0]
    assert weak.unit_left_s[0] < weak.bus_left_s[0] < healthy.bus_left_s[0]
    told = runtime_sentence("s0", weak, 0)
    assert "string s0 reaches cut-off in" in told
    assert "because of cell 17" in told
    assert " ± " in told


def test_time_counts_down_between_judgements_and_no_faster(room: Room):
    told = discharge(room, 200, step_s=1)
    steps = -np.diff(told)
    assert np.median(steps) == pytest.approx(1.0, abs=0.01)
    assert np.max(np.abs(steps)) < 0.1 * told[0]


def test_a_step_of_the_load_counts_at_once(room: Room):
    before = discharge(room, 120)[-1]
    room.believed.soc_frac[:] -= 0.001
    stepped = float(room.after(1.0, "discharge", amps=120.0, cell_v=1.90).bus_left_s[0])
    assert stepped < 0.6 * before


def test_losses_that_are_larger_than_the_tables_shorten_and_smaller_ones_lengthen():
    ends = {}
    for cell_v in (2.03, 1.98, 1.93):
        room = Room.of(BLOCK, units=UNITS)
        ends[cell_v] = discharge(room, 600, amps=150.0, cell_v=cell_v)[-1]
    assert ends[2.03] > ends[1.98] > ends[1.93]


def test_the_dip_when_the_load_comes_is_not_taken_for_losses_nor_for_an_end(room: Room):
    plain = Room.of(BLOCK, units=UNITS)
    told = discharge(room, 10, step_s=1, cell_v=1.60)
    usual = discharge(plain, 10, step_s=1)
    assert told[-1] > usual[-1]  # the lower volts mean less power at these amperes
    assert float(room.after(1.0, "discharge", **LOAD).unit_left_s[0]) > 600.0


def test_a_reversed_unit_has_no_time_left(room: Room):
    discharge(room, 120)
    unit_v = np.full(UNITS, 1.98 * 6)
    read = unit_v.copy()
    unit_v[4], read[4] = np.nan, -0.8
    quality = np.zeros(UNITS, dtype=np.uint8)
    quality[4] = Quality.OUT_OF_RANGE
    room.at_s += 10.0
    runtime = room.follow(room.scan(amps=60.0, unit_v=unit_v, unit_v_as_read=read, quality=quality), "discharge")
    assert (float(runtime.unit_left_s[0]), int(runtime.cell[0])) == (0.0, 5)
    assert float(runtime.bus_left_s[0]) > 0.0
    assert "cell 5 is at its limit already" in runtime_sentence("s0", runtime, 0)


def test_an_implausible_low_reading_ends_nothing(room: Room):
    discharge(room, 120)
    read = np.full(UNITS, 1.98 * 6)
    read[4] = 1.0
    unit_v = np.where(read > 6.0, read, np.nan)
    quality = np.where(read > 6.0, 0, Quality.IMPLAUSIBLE).astype(np.uint8)
    room.at_s += 10.0
    runtime = room.follow(room.scan(amps=60.0, unit_v=unit_v, unit_v_as_read=read, quality=quality), "discharge")
    assert float(runtime.unit_left_s[0]) > 600.0


def test_parallel_strings_share_the_load_and_an_open_one_takes_none():
    room = Room.of(BLOCK, units=UNITS, strings=2, load_w=2 * 100.0 * 6 * UNITS)
    both = room.after(1.0)
    assert both.power_w == pytest.approx(np.full(2, 100.0 * 6 * UNITS))
    modes: Any = ["float", "open"]
    room.at_s += 60.0
    room.memory, alone = follow_runtime(room.memory, room.scan(), modes, room.believed, room.rules)
    assert float(alone.power_w[0]) == pytest.approx(2 * 100.0 * 6 * UNITS)
    assert float(alone.bus_left_s[0]) < 0.5 * float(both.bus_left_s[0])
    assert np.isnan(alone.bus_left_s[1])


def test_a_weak_string_hands_its_load_to_its_neighbour():
    room = Room.of(BLOCK, units=UNITS, strings=2, load_w=2 * 100.0 * 6 * UNITS)
    room.believed.soc_frac[:UNITS] = 0.7
    runtime = room.after(1.0)
    assert runtime.bus_left_s[0] == runtime.bus_left_s[1]
    own = room.memory.string_s
    assert min(own) < float(runtime.bus_left_s[0]) < max(own)


def test_repeated_and_late_scans_change_nothing(room: Room):
    discharge(room, 60)
    before = pickle.dumps(room.memory)
    last = room.scan(**LOAD)
    told = room.follow(last, "discharge")
    late = room.follow(replace(last, at_s=last.at_s - 20.0, discharge_a=np.array([500.0])), "float")
    assert pickle.dumps(room.memory) == before
    assert float(late.bus_left_s[0]) == float(told.bus_left_s[0])


def test_a_clock_that_was_set_back_begins_anew(room: Room):
    discharge(room, 60)
    room.at_s -= 7200.0
    runtime = room.after(1.0, "discharge", **LOAD)
    assert float(runtime.bus_left_s[0]) > 0.0
    assert float(room.memory.began_s[0]) == room.at_s


@pytest.mark.parametrize("amps", [float("nan"), -60.0, 0.0])
def test_a_discharge_without_a_discharging_current_has_no_measured_load(room: Room, amps: float):
    runtime = room.after(1.0, "discharge", amps=amps, cell_v=1.98)
    assert runtime.load[0] == LoadFrom.UNKNOWN
    assert np.isnan(runtime.bus_left_s[0])


def test_a_current_that_is_lost_for_a_moment_leaves_the_load_as_it_was(room: Room):
    before = discharge(room, 100)[-1]
    during = float(room.after(5.0, "discharge", amps=float("nan"), cell_v=1.98).bus_left_s[0])
    assert during == pytest.approx(before - 5.0, rel=0.1)
    assert room.after(120.0, "discharge", amps=float("nan"), cell_v=1.98).load[0] == LoadFrom.LAST_DISCHARGE


def test_a_mode_that_is_unknown_for_a_moment_forgets_nothing(room: Room):
    discharge(room, 100)
    began_s, learned = float(room.memory.began_s[0]), room.memory.learned.excess.copy()
    room.after(1.0, "unknown", **LOAD)
    assert float(room.memory.began_s[0]) == began_s
    assert np.array_equal(room.memory.learned.excess, learned)


def test_unknown_charge_is_unknown_and_a_single_gap_counts_as_the_emptiest(room: Room):
    room.rules.nominal_w[:] = 200.0 * room.rules.cells
    room.believed.soc_frac[:] = 0.9
    room.believed.soc_frac[3] = 0.8
    full_s = float(room.after(1.0).unit_left_s[0])
    room.believed.soc_frac[7] = np.nan
    one = room.after(60.0)
    assert float(one.unit_left_s[0]) == pytest.approx(full_s, rel=0.01)
    assert float(one.bus_left_s[0]) > full_s
    room.believed.soc_frac[:10] = np.nan
    assert np.isnan(room.after(60.0).bus_left_s[0])


def test_a_health_that_nobody_proved_counts_as_used_with_a_wide_bar(room: Room):
    room.rules.nominal_w[:] = 200.0 * room.rules.cells
    proven = room.after(1.0)
    room.believed.soh_frac[:] = np.nan
    unproven = room.after(60.0)
    assert unproven.unit_left_s[0] < proven.unit_left_s[0]
    relative = [float(each.unit_left_sd_s[0] / each.unit_left_s[0]) for each in (proven, unproven)]
    assert relative[1] > 1.2 * relative[0]


def test_a_restart_goes_on_without_a_jump(room: Room):
    discharge(room, 300)
    fields_of = pickle.loads(pickle.dumps(room.memory))
    other = Room.of(BLOCK, units=UNITS)
    other.memory, other.believed, other.at_s = fields_of, room.believed, room.at_s
    assert isinstance(other.memory, RuntimeMemory)
    a = room.after(1.0, "discharge", **LOAD)
    b = other.after(1.0, "discharge", **LOAD)
    assert float(a.bus_left_s[0]) == float(b.bus_left_s[0])


READING = st.one_of(st.floats(-50.0, 50.0), st.just(float("nan")), st.just(float("inf")))


# without shrinking: each example judges six scans of a string, and one that fails is short enough to read
@settings(max_examples=40, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    amps=st.lists(st.one_of(st.floats(-1000.0, 1000.0), st.just(float("nan"))), min_size=6, max_size=6),
    volts=st.lists(st.lists(READING, min_size=UNITS, max_size=UNITS), min_size=6, max_size=6),
    gaps=st.lists(st.floats(-400.0, 4000.0), min_size=6, max_size=6),
    modes=st.lists(st.sampled_from(["float", "discharge", "rest", "open", "unknown", "test"]), min_size=6, max_size=6),
    soc=st.lists(st.one_of(st.floats(-0.2, 1.2), st.just(float("nan"))), min_size=UNITS, max_size=UNITS),
)
def test_nothing_raises_and_nothing_is_negative(amps: Any, volts: Any, gaps: Any, modes: Any, soc: Any):
    room = PLAIN
    room.memory = RuntimeMemory.empty(room.rules)
    room.believed = replace(room.believed, soc_frac=np.array(soc))
    for amp, unit_v, gap, mode in zip(amps, volts, gaps, modes, strict=True):
        runtime = room.after(gap, mode, amps=amp, unit_v=np.array(unit_v))
        for each in (runtime.unit_left_s, runtime.bus_left_s, runtime.unit_left_sd_s, runtime.bus_left_sd_s):
            assert np.isnan(each[0]) or each[0] >= 0.0
        assert 0 <= runtime.cell[0] <= UNITS
        assert np.all(np.isfinite(room.memory.learned.excess))


PLAIN = Room.of(BLOCK, units=UNITS)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.0, "0:00"), (459.6, "7:40"), (3599.0, "59:59"), (3600.0, "1:00 h"), (1e6, "more than a day")],
)
def test_times_are_written_as_people_read_them(seconds: float, told: str):
    assert clock(seconds) == told
