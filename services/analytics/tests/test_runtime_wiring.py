"""Wiring between string and UPS, seen by a string-voltage sensor at the UPS: learned in a discharge, or left alone."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from analytics.runtime.follow import Runtime
from analytics.runtime.wiring import HELD_SD, with_wiring_seen
from cellkeeper.contract.site_string import SensorTable
from runtime_room import Room

BLOCK = "generic-vrla-12v-100ah.toml"
UNITS = 24
AMPS, CELL_V = 150.0, 1.93
SENSOR: dict[str, Any] = {"kind": "string_voltage", "bus": "b", "address": 900}


def room_of(*, at_ups: bool = True, **own: Any) -> Room:
    ups_v = float(Room.of(BLOCK, units=UNITS).rules.bus_end_v[0])
    return Room.of(BLOCK, units=UNITS, ups_v=ups_v, sensor=[SENSOR | {"at_ups": at_ups}], **own)


def in_a_discharge(room: Room, *, ohm: float, gain: float = 1.0, float_first: bool = True) -> Runtime:
    """Follow a string whose sensor at the UPS is off by a gain: at float, then 40 s into a load."""
    if float_first:
        room.after(1.0, string_v=np.array([2.27 * 6 * UNITS * gain]))
    for _ in range(8):
        ups_v = (CELL_V * 6 * UNITS - AMPS * ohm) * gain
        runtime = room.after(5.0, "discharge", amps=AMPS, cell_v=CELL_V, string_v=np.array([ups_v]))
    return runtime


def seen_ohm(room: Room, *, ohm: float, gain: float = 1.0) -> tuple[float, float]:
    """Return the wiring that a scan shows, and its sd."""
    ups_v = (CELL_V * 6 * UNITS - AMPS * ohm) * gain
    scan = room.scan(amps=AMPS, cell_v=CELL_V, string_v=np.array([ups_v]))
    rules = with_wiring_seen(room.rules, np.array([0]), scan, room.memory.held)
    return float(rules.wiring_ohm[0]), float(rules.wiring_ohm[0] * rules.wiring_sd_frac[0])


@pytest.mark.parametrize("times", [0.0, 0.3, 1.0, 2.5])
@pytest.mark.parametrize("gain", [0.995, 1.0, 1.005])
def test_what_a_sensor_at_the_ups_shows_is_the_wiring_whatever_its_gain(times: float, gain: float):
    room = room_of()
    ohm = times * float(room.rules.wiring_ohm[0])
    in_a_discharge(room, ohm=ohm, gain=gain)
    found, sd = seen_ohm(room, ohm=ohm, gain=gain)
    assert sd <= HELD_SD * CELL_V * 6 * UNITS / AMPS
    assert found == pytest.approx(ohm, abs=2.0 * sd)


def test_more_wiring_ends_earlier_and_the_bar_is_narrower_than_with_a_guess():
    guess_ohm = float(room_of().rules.wiring_ohm[0])
    little, alike, much = (in_a_discharge(room_of(), ohm=times * guess_ohm) for times in (0.2, 1.0, 2.0))
    guessed = in_a_discharge(room_of(at_ups=False), ohm=0.0)
    assert much.bus_left_s[0] < guessed.bus_left_s[0] < little.bus_left_s[0]
    assert alike.bus_left_s[0] == pytest.approx(guessed.bus_left_s[0], rel=0.01)
    assert alike.bus_left_sd_s[0] < guessed.bus_left_sd_s[0]
    assert little.power_w[0] == pytest.approx(AMPS * CELL_V * 6 * UNITS)  # what the string gives, not the UPS gets
    unit_s = [float(each.unit_left_s[0]) for each in (little, much, guessed)]
    assert unit_s == pytest.approx([unit_s[0]] * 3)


def test_instruments_that_were_never_held_together_say_less():
    known, fresh = room_of(), room_of()
    guess_ohm = float(known.rules.wiring_ohm[0])
    in_a_discharge(known, ohm=guess_ohm)
    in_a_discharge(fresh, ohm=guess_ohm, float_first=False)
    assert seen_ohm(known, ohm=guess_ohm)[1] < seen_ohm(fresh, ohm=guess_ohm)[1]
    assert seen_ohm(fresh, ohm=guess_ohm)[1] < guess_ohm * fresh.rules.wiring_sd_frac[0]


def test_a_sensor_at_the_strings_ends_says_nothing_of_the_wiring():
    room = room_of(at_ups=False)
    in_a_discharge(room, ohm=0.0)
    assert np.isnan(room.memory.held).all()
    assert seen_ohm(room, ohm=0.0)[0] == room.rules.wiring_ohm[0]


@pytest.mark.parametrize("ups_v", [np.nan, 0.0, 100.0, 1.05 * CELL_V * 6 * UNITS, -250.0])
def test_a_sensor_that_shows_no_wiring_changes_nothing(ups_v: float):
    room = room_of()
    room.after(1.0, string_v=np.array([2.27 * 6 * UNITS]))
    scan = room.scan(amps=AMPS, cell_v=CELL_V, string_v=np.array([ups_v]))
    rules = with_wiring_seen(room.rules, np.array([0]), scan, room.memory.held)
    assert rules.wiring_ohm[0] == room.rules.wiring_ohm[0]
    assert rules.wiring_sd_frac[0] == pytest.approx(room.rules.wiring_sd_frac[0])
    runtime = room.after(5.0, "discharge", amps=AMPS, cell_v=CELL_V, string_v=np.array([ups_v]))
    assert runtime.bus_left_s[0] > 0.0


def test_a_missing_unit_or_current_shows_no_wiring():
    room = room_of()
    room.after(1.0, string_v=np.array([2.27 * 6 * UNITS]))
    whole = room.scan(amps=AMPS, cell_v=CELL_V, string_v=np.array([CELL_V * 6 * UNITS]))
    unit_v = whole.unit_v.copy()
    unit_v[3] = np.nan
    for scan in (replace(whole, unit_v=unit_v), replace(whole, discharge_a=np.array([np.nan]))):
        rules = with_wiring_seen(room.rules, np.array([0]), scan, room.memory.held)
        assert rules.wiring_ohm[0] == room.rules.wiring_ohm[0]


def test_instruments_are_held_together_without_current_only_and_when_they_show_the_same_string():
    room = room_of()
    room.after(1.0, amps=-20.0, string_v=np.array([2.27 * 6 * UNITS + 0.5]))  # the charger's current has a drop too
    assert np.isnan(room.memory.held[0])
    room.after(60.0, string_v=np.array([1.1 * 2.27 * 6 * UNITS]))
    assert np.isnan(room.memory.held[0])
    room.after(60.0, string_v=np.array([1.002 * 2.27 * 6 * UNITS]))
    assert room.memory.held[0] == pytest.approx(1.0 / 1.002)


def test_only_volts_are_measured_at_the_ups():
    with pytest.raises(ValueError, match="leave it out of the current sensor"):
        SensorTable.model_validate({"kind": "current", "bus": "b", "address": 900, "at_ups": True})
