"""What the maker's table says comes out again: interpolation, end voltages, health, charge, temperature."""

import numpy as np
import pytest
from analytics.runtime.calibration import calibrate
from analytics.runtime.cell_shape import cell_shape
from analytics.runtime.pchip import pchip
from analytics.runtime.power_curve import PowerCurve, PowerCurves
from cellkeeper.contract.battery_type import shipped_battery_types
from hypothesis import given, settings
from hypothesis import strategies as st
from runtime_room import Room, site_of

BLOCK, LFP = "generic-vrla-12v-100ah.toml", "generic-lfp-100ah.toml"
# hours of a gel cell of 17 Ah to 1.80 V at parts of its capacity per hour, from a porous-electrode model
GEL_RATE = np.array([0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0])
GEL_H = np.array([24.8, 12.1, 5.78, 2.11, 0.942, 0.392, 0.222])
SOME = st.floats(0.05, 5.0, allow_nan=False)


@given(st.lists(st.tuples(SOME, SOME), min_size=3, max_size=12), st.floats(0.0, 1.0))
def test_between_points_a_rising_curve_rises_and_never_overshoots(steps: list[tuple[float, float]], part: float):
    x, y = np.cumsum([step[0] for step in steps]), np.cumsum([step[1] for step in steps])
    assert pchip(x, y, x) == pytest.approx(y)
    grid = np.linspace(x[0], x[-1], 200)
    found = pchip(x, y, grid)
    assert np.all(np.diff(found) >= -1e-9)
    k = int(part * (len(x) - 2))
    inside = pchip(x, y, np.linspace(x[k], x[k + 1], 20))
    assert np.all((inside >= y[k] - 1e-9) & (inside <= y[k + 1] + 1e-9))


def test_a_point_left_out_of_a_measured_shape_is_found_within_one_and_a_half_percent():
    ln_rate, ln_h = np.log(GEL_RATE), np.log(GEL_H)
    for out in range(1, len(GEL_H) - 1):
        kept = np.arange(len(GEL_H)) != out
        found = pchip(ln_rate[kept], ln_h[kept], ln_rate[out : out + 1])
        assert float(np.exp(found[0]) / GEL_H[out]) == pytest.approx(1.0, abs=0.015)


@pytest.mark.parametrize("name", shipped_battery_types())
def test_a_healthy_full_battery_lasts_as_its_table_says(name: str):
    battery = shipped_battery_types()[name]
    row = battery.power.row[0]
    room = Room.of(name, chemistry_override={"cutoff_v": row.end_v})
    cells = room.rules.cells[0]
    for minutes, cell_w in zip(battery.power.minutes, battery.cell_w(row), strict=True):
        room.rules.nominal_w[:] = cell_w * cells
        runtime = room.after(60.0)
        assert float(runtime.unit_left_s[0]) == pytest.approx(minutes * 60.0, rel=0.03)
        assert float(runtime.bus_left_s[0]) == pytest.approx(minutes * 60.0, rel=0.03)


def test_an_aged_battery_is_a_healthy_one_at_more_power():
    room = Room.of(BLOCK, load_w=100.0)
    for cell_w in (330.0, 217.0, 54.0):
        found = []
        for health, load in ((0.8, 0.8), (1.0, 1.0)):
            room.believed.soh_frac[:] = health
            room.rules.nominal_w[:] = cell_w * load * room.rules.cells
            found.append(float(room.after(60.0).unit_left_s[0]))
        assert found[0] == pytest.approx(found[1], rel=0.02)  # but for its mass, which warms more slowly


def test_times_of_an_end_voltage_between_two_rows_lie_between_them():
    battery = shipped_battery_types()[BLOCK]
    curves = {end_v: PowerCurve.of_type(battery, end_v) for end_v in (1.60, 1.64, 1.67)}
    assert np.all(curves[1.64].ln_s <= curves[1.60].ln_s + 1e-12)
    assert np.all(curves[1.64].ln_s >= curves[1.67].ln_s - 1e-12)
    assert PowerCurve.of_type(battery, 1.50).ln_s == pytest.approx(curves[1.60].ln_s)


def test_a_curve_is_wider_beyond_its_table_and_for_generic_types():
    battery = shipped_battery_types()[BLOCK]
    curves = PowerCurves.stacked(
        [PowerCurve.of_type(each, 1.67) for each in (battery, battery.model_copy(update={"is_generic": False}))]
    )
    first = np.zeros(2, dtype=np.intp)
    inside, beyond = curves.relative_sd(first, np.array([100.0, 1000.0]))
    assert beyond > inside > curves.relative_sd(first + 1, np.array([100.0]))[0]


def test_without_a_type_the_rated_point_holds_and_the_bar_is_wide():
    string = site_of(1, shipped_battery_types()[BLOCK], 24).string[0]
    curves = PowerCurves.stacked([PowerCurve.of_rating(string)])
    rated_w = string.rated_ah / string.rate_h * string.profile.nominal_v
    watts, first = np.array([rated_w, 50.0 * rated_w]), np.zeros(2, dtype=np.intp)
    seconds, exponent = curves.seconds(first, watts)
    assert seconds[0] == pytest.approx(36_000.0, rel=0.01)
    assert exponent[1] > exponent[0] > 1.0
    bars = curves.relative_sd(first, watts)
    assert bars[0] == pytest.approx(0.2)
    assert bars[1] > 2.0 * bars[0]  # minutes, where it is a guess


def test_cold_shortens_and_too_much_power_ends_at_once():
    room = Room.of(BLOCK, load_w=225.0 * 6 * 24)
    warm_s = float(room.after(60.0).unit_left_s[0])
    cold = room.rules.curves.ref_degc[room.rules.layout.string_of] - 15.0
    cold_s = float(room.after(60.0, degc=cold).unit_left_s[0])
    assert 0.7 * warm_s < cold_s < 0.95 * warm_s
    room.rules.nominal_w[:] = 5000.0 * room.rules.cells
    assert float(room.after(60.0).unit_left_s[0]) < 60.0


@settings(max_examples=40)
@given(soc=st.floats(0.0, 1.0), more=st.floats(0.0, 0.3), load=st.floats(20.0, 500.0))
def test_more_charge_never_lasts_shorter(soc: float, more: float, load: float):
    found = []
    for charge in (soc, min(soc + more, 1.0)):
        ROOM.believed.soc_frac[:] = charge
        ROOM.rules.nominal_w[:] = load * ROOM.rules.cells
        found.append(float(ROOM.after(60.0).bus_left_s[0]))
    assert found[1] >= found[0] - 1.0


def test_flat_curves_say_little_about_losses_and_steep_ones_much():
    found = {}
    for name in (BLOCK, LFP):
        battery = shipped_battery_types()[name]
        end_v = battery.power.row[-1].end_v
        fit = calibrate(PowerCurve.of_type(battery, end_v), cell_shape(battery.chemistry), battery.rated_ah, end_v)
        found[name] = fit.ohm_sd_ln
    assert found[LFP] > 0.3 > found[BLOCK]


ROOM = Room.of(BLOCK, load_w=100.0)
