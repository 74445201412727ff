"""The physics of the cells: what goes in is stored, gassed, lost or heat; float, hysteresis, reversal, step widths."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twin.errors import TwinUseError
from twin.physics.cell_step import KELVIN, REF_DEGC
from twin.physics.cells import UnitBank
from twin.physics.electrode import ElectrodeStep, move
from twin.physics.parameter_sets import shipped_parameter_sets
from twin.physics.population import StringBuild
from twin.physics.settling import rest_at, settle_at_float
from twin.physics.tables import POINTS_PER_SOC, ROWS, SOC_MIN, Column, monotone_cubic

SETS = shipped_parameter_sets()
LEAD = ("vrla", "vented")
NAMES = sorted({parameters.name for parameters in SETS.values()})


def bank_of(name: str, units: int = 24, cells_per_unit: int = 1, *, seed: int = 7, spread: bool = True) -> UnitBank:
    parameters = SETS[name]
    if not spread:
        zero = {field.name: 0.0 for field in fields(parameters.spread)}
        parameters = replace(parameters, spread=replace(parameters.spread, **zero))
    return UnitBank([StringBuild("s1", parameters, units, cells_per_unit, 100.0, 0.3)], seed=seed)


def run(bank: UnitBank, amperes: float, seconds: float, dt_s: float, degc: float = 25.0) -> None:
    for _ in range(round(seconds / dt_s)):
        bank.step(dt_s, np.array([amperes]), np.zeros(bank.size), np.array([degc]))


@given(
    name=st.sampled_from(NAMES),
    soc=st.floats(0.0, 1.0),
    legs=st.lists(st.tuples(st.floats(-150.0, 40.0), st.sampled_from([0.05, 1.0, 10.0, 60.0])), min_size=1, max_size=6),
)
@settings(max_examples=60, deadline=None)
def test_charge_is_stored_gassed_or_lost_and_nothing_else(name, soc, legs):
    bank = bank_of(name, 5)
    bank.elements.self_discharge_a[:] = 0.0
    rest_at(bank, 0, soc, 1)
    before = bank.state.soc_frac.copy()
    through_ah = 0.0
    for amperes, dt_s in legs:
        run(bank, amperes, 5 * dt_s, dt_s)
        through_ah += amperes * 5 * dt_s / 3600.0
    state = bank.state
    np.testing.assert_allclose(state.stored_ah + state.gassed_ah + state.lost_ah, through_ah, atol=1e-6)
    np.testing.assert_allclose(state.stored_ah, (state.soc_frac - before) * bank.elements.q_ah, atol=1e-6)
    assert np.all(np.isfinite(bank.v))
    assert np.all(np.isfinite(bank.core_degc))


@pytest.mark.parametrize("name", ["vrla", "nmc", "lfp"])
def test_energy_at_the_terminals_is_chemistry_plus_heat(name):
    bank = bank_of(name, 3, spread=False)
    bank.units.ha_w_per_k[:] = 1e-9  # adiabatic: the heat stays where a thermometer finds it
    bank.elements.capacity_frac_per_k[:] = 0.0
    bank.elements.self_discharge_a[:] = 0.0
    bank.elements.hysteresis_v[:] = 0.0
    bank.forget_decays()
    rest_at(bank, 0, 0.9, 1)
    start, core = bank.state.soc_frac[0], bank.core_degc[0]
    out_j = 0.0
    for amperes, seconds in ((-80.0, 900.0), (0.0, 7200.0)):
        for _ in range(round(seconds / 0.5)):
            bank.step(0.5, np.array([amperes]), np.zeros(3), np.array([25.0]))
            out_j -= amperes * float(bank.state.v[0]) * 0.5
    soc = SOC_MIN + np.arange(ROWS) / POINTS_PER_SOC
    enthalpy_v = bank.rows[:ROWS, Column.OCV_V] - (REF_DEGC + KELVIN) * bank.rows[:ROWS, Column.OCV_V_PER_K]
    between = np.linspace(bank.state.soc_frac[0], start, 20_000)
    chemical_j = np.trapezoid(np.interp(between, soc, enthalpy_v), between) * 360_000.0
    heat_j = (bank.core_degc[0] - core) * bank.units.heat_j_per_k[0]
    assert heat_j > 0.0
    assert out_j + heat_j == pytest.approx(chemical_j, rel=3e-4)


@pytest.mark.parametrize(
    ("name", "low_v", "high_v"), [("vrla", 2.25, 2.27), ("vented", 2.2, 2.25), ("nicd", 1.4, 1.42)]
)
def test_float_current_sets_each_voltage_by_its_own_tafel_line(name, low_v, high_v):
    bank = bank_of(name, 240)
    float_v = SETS[name].charger.float_v
    float_a = settle_at_float(bank, 0, float_v, 1)
    before = bank.v.copy()
    run(bank, float_a, 6 * 3600.0, 60.0)
    assert low_v <= bank.v.mean() <= high_v
    assert bank.v.mean() == pytest.approx(float_v, abs=0.002)
    assert 0.004 < bank.v.std() < 0.02
    np.testing.assert_allclose(bank.v, before, atol=0.004)  # settled means settled
    assert 0.1e-3 < float_a / 100.0 < 1e-3
    gassier = np.argsort(bank.elements.gas_a)
    assert bank.v[gassier[:40]].mean() > bank.v[gassier[-40:]].mean()


def test_float_heat_of_a_healthy_cell_is_a_tenth_of_a_watt():
    bank = bank_of("vrla", 24)
    float_a = settle_at_float(bank, 0, 2.265, 1)
    for _ in range(2000):
        bank.step(120.0, np.array([float_a]), np.zeros(24), np.array([25.0]))
    over_k = float(np.mean(bank.core_degc - 25.0 - bank.units.place_k))
    assert 0.03 < over_k * float(bank.units.ha_w_per_k.mean()) < 0.2


def test_lfp_hysteresis_is_above_after_charge_and_below_after_discharge():
    above, below = bank_of("lfp", 1, spread=False), bank_of("lfp", 1, spread=False)
    rest_at(above, 0, 0.3, 1)
    rest_at(below, 0, 0.7, 1)
    run(above, 50.0, 0.2 * 7200.0, 5.0)
    run(below, -50.0, 0.2 * 7200.0, 5.0)
    for bank in (above, below):
        run(bank, 0.0, 3 * 3600.0, 10.0)
    assert above.soc_frac[0] == pytest.approx(below.soc_frac[0], abs=2e-3)
    assert above.state.hysteresis[0] > 0.5
    assert below.state.hysteresis[0] < -0.5
    assert 0.012 < above.v[0] - below.v[0] < 0.023


def test_bleed_empties_only_its_own_unit_and_warms_it():
    bank = bank_of("nmc", 4, spread=False)
    rest_at(bank, 0, 0.8, 1)
    duty = np.array([0.0, 1.0, 0.0, 0.5])
    for _ in range(1440):
        bank.step(10.0, np.zeros(1), duty, np.array([25.0]))
    taken = 0.8 - bank.soc_frac - (0.8 - bank.soc_frac[0])
    expected = 0.3 * 4.0 / 100.0 * (3.96 / 4.1)  # 0.3 A at float voltage, a resistor below it
    assert taken[1] == pytest.approx(expected, rel=0.02)
    assert taken[3] == pytest.approx(expected / 2, rel=0.02)
    assert bank.v[1] < bank.v[3] < bank.v[2]
    assert bank.degc[1] - bank.degc[0] > 0.2
    assert bank.degc[2] == pytest.approx(bank.degc[0])


def test_a_weak_cell_reverses_while_its_string_discharges():
    bank = bank_of("vrla", 6)
    settle_at_float(bank, 0, 2.265, 1)
    bank.elements.q_ah[2] *= 0.3
    run(bank, -60.0, 2400.0, 1.0)
    assert bank.v[2] < -0.3
    assert np.all(np.delete(bank.v, 2) > 1.8)
    run(bank, 10.0, 1800.0, 1.0)
    assert bank.v[2] > 1.5


@pytest.mark.parametrize("cells_per_unit", [3, 6])
def test_one_dead_cell_takes_two_volts_off_a_block(cells_per_unit):
    bank = bank_of("vrla", 4, cells_per_unit)
    settle_at_float(bank, 0, 2.265, 1)
    run(bank, 0.04, 60.0, 1.0)
    before = bank.v.copy()
    cell = bank.split_cell(1)
    bank.elements.alive[cell] = 0.0
    run(bank, 0.04, 60.0, 1.0)
    assert before[1] - bank.v[1] == pytest.approx(before[1] / cells_per_unit, abs=0.02)
    np.testing.assert_allclose(np.delete(bank.v, 1), np.delete(before, 1), atol=2e-3)


def test_splitting_a_cell_off_changes_nothing_by_itself():
    whole, split = bank_of("vrla", 4, 6), bank_of("vrla", 4, 6)
    split.split_cell(2)
    for bank in (whole, split):
        run(bank, -30.0, 300.0, 5.0)
    np.testing.assert_allclose(whole.v, split.v, rtol=1e-12)
    np.testing.assert_allclose(whole.impedance_ohm(0.1), split.impedance_ohm(0.1), rtol=1e-12)


@given(
    name=st.sampled_from(NAMES),
    soc=st.floats(0.3, 0.95),
    legs=st.lists(
        st.tuples(st.floats(-40.0, 20.0), st.sampled_from([60.0, 300.0, 600.0])),
        min_size=1,
        max_size=3,
    ),
)
@settings(max_examples=25, deadline=None)
def test_the_step_width_does_not_matter(name, soc, legs):
    fine, coarse = bank_of(name, 4), bank_of(name, 4)
    for bank in (fine, coarse):
        rest_at(bank, 0, soc, 1)
    for amperes, seconds in legs:
        run(fine, amperes, seconds, 0.5)
        run(coarse, amperes, seconds, 10.0)
    np.testing.assert_allclose(coarse.state.soc_frac, fine.state.soc_frac, atol=5e-4)
    np.testing.assert_allclose(coarse.v, fine.v, atol=6e-3)
    np.testing.assert_allclose(coarse.core_degc, fine.core_degc, atol=0.05)


@pytest.mark.parametrize("dt_s", [0.05, 10.0, 300.0])
@pytest.mark.parametrize("amperes", [-200.0, 0.0, 30.0])
@pytest.mark.parametrize("name", NAMES)
def test_no_step_width_makes_it_unstable(name, amperes, dt_s):
    bank = bank_of(name, 3)
    run(bank, amperes, 200 * dt_s, dt_s)
    assert np.all(np.abs(bank.v) < 20.0)
    assert np.all(bank.state.soc_frac >= SOC_MIN)


def test_the_closed_form_is_the_limit_of_small_steps():
    dt_s, amperes, fold, stiffness = 600.0, 2.0, 0.05, 1e-4
    ones = np.ones(1)

    def step(width_s: float, gas_a: float) -> ElectrodeStep:
        return ElectrodeStep((stiffness * ones, stiffness * ones), 0.0 * ones, gas_a * ones, fold * ones, width_s)

    whole = float(move(step(dt_s, 0.5), amperes * ones).du_v[0])
    u_v = 0.0
    for _ in range(60_000):
        u_v += stiffness * (amperes - 0.5 * np.exp(u_v / fold)) * dt_s / 60_000
    assert whole == pytest.approx(u_v, abs=1e-5)


@given(amperes=st.floats(-300.0, 300.0), gas_a=st.floats(1e-9, 5.0), dt_s=st.sampled_from([0.05, 1.0, 60.0]))
def test_the_slope_is_the_derivative(amperes, gas_a, dt_s):
    ones = np.ones(1)
    step = ElectrodeStep((3e-4 * ones, 3e-4 * ones), 0.0 * ones, gas_a * ones, 0.05 * ones, dt_s)
    middle = move(step, amperes * ones)
    low, high = (move(step, (amperes + side) * ones).du_v[0] for side in (-1e-3, 1e-3))
    assert middle.du_ohm[0] == pytest.approx((high - low) / 2e-3, rel=1e-3, abs=1e-7)


def test_impedance_falls_with_warmth_and_rises_towards_empty_and_with_age():
    warm, cold, empty = bank_of("vrla", 8), bank_of("vrla", 8), bank_of("vrla", 8)
    cold.core_degc[:] -= 15.0
    rest_at(empty, 0, 0.1, 1)
    base = warm.impedance_ohm(0.1)
    per_k = np.log(cold.impedance_ohm(0.1) / base) / 15.0
    assert np.all((per_k > 0.007) & (per_k < 0.012))
    assert np.all(empty.impedance_ohm(0.1) > 1.3 * base)
    for _ in range(365):
        warm.step(86_400.0, np.array([0.04]), np.zeros(8), np.array([35.0]))
    grown = warm.elements.r0_ohm / cold.elements.r0_ohm
    assert np.all((grown > 1.03) & (grown < 1.08))  # 2.5 % a year at 25 °C, twice that at 35 °C


def test_the_same_seed_draws_the_same_cells_and_another_seed_others():
    one, same, other = bank_of("vrla", seed=1), bank_of("vrla", seed=1), bank_of("vrla", seed=2)
    np.testing.assert_array_equal(one.elements.q_ah, same.elements.q_ah)
    assert not np.array_equal(one.elements.q_ah, other.elements.q_ah)


def test_a_string_keeps_its_cells_when_another_comes():
    build = StringBuild("s1", SETS["lfp"], 10, 1, 100.0, 0.1)
    alone = UnitBank([build], seed=5)
    joined = UnitBank([replace(build, id="s0"), build], seed=5)
    np.testing.assert_array_equal(alone.elements.r0_ohm, joined.elements.r0_ohm[10:])


def test_impossible_calls_are_refused():
    bank = bank_of("vrla", 2)
    with pytest.raises(TwinUseError, match="width above zero"):
        bank.begin(0.0)
    with pytest.raises(TwinUseError, match=r"0\.\.1"):
        bank.split_cell(2)


@given(points=st.lists(st.integers(-10_000, 50_000), min_size=2, max_size=12))
def test_the_curve_meets_its_points_and_overshoots_nowhere(points):
    y = np.sort(np.array(points)) * 1e-4  # volts as the files give them, four decimals
    x = np.arange(len(y), dtype=np.float64)
    np.testing.assert_allclose(monotone_cubic(x, y, x), y, atol=1e-9)
    dense = monotone_cubic(x, y, np.linspace(0.0, x[-1], 200))
    assert np.all(np.diff(dense) >= -1e-9)
