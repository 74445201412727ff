"""What a discharge proves about capacities, how surely, and when it proves nothing."""

from dataclasses import replace

import numpy as np
import pytest
from analytics.mode import ModeSaid
from analytics.soh import norms
from analytics.soh.belief import HISTORY, METHODS, MONTH_S, Learned, learn
from analytics.soh.finding import CapacityFinding
from analytics.soh.follow import SohMemory, follow_soh, method_names
from analytics.soh.full import capacity_from_full
from analytics.soh.likeness import reached_ah
from analytics.soh.partial import capacity_from_part
from analytics.soh.rules import RestedCurve, SohRules, StringSohRules
from cellkeeper.contract.chemistry import profiles
from discharged_block import CELLS, END_V, cell_v, record_of
from hypothesis import given, settings
from hypothesis import strategies as st
from string_scans import NAN, NOW_S, Scan, layout_of, readings_of

RULES = StringSohRules("vrla_agm", 100.0, 10.0, 20.0, END_V)
CURVE = RestedCurve(np.linspace(0.0, 1.0, 11), np.linspace(1.94, 2.14, 11), np.zeros(11), 0.002, 8.0 * 3600.0)
EVEN = np.full(24, 100.0)
BLOCKS = np.full(24, CELLS)


def full(record, rules=RULES):
    return capacity_from_full(record, np.full(record.unit_v.shape[1], CELLS), rules)


def begun_at(record, soc_frac, sd_frac):
    """Return the record of a discharge that found all units at this charge."""
    n = record.unit_v.shape[1]
    return replace(
        record, soc_frac=np.stack([np.full(n, soc_frac), np.full(n, NAN)]),
        soc_sd_frac=np.stack([np.full(n, sd_frac), np.full(n, NAN)]),
    )  # fmt: skip


class TestNorms:
    def test_the_factor_is_a_straight_line_around_the_types_own_reference(self):
        assert norms.temperature_factor(20.0, 20.0, 0.006) == 1.0
        assert norms.temperature_factor(10.0, 25.0, 0.006) == pytest.approx(0.91)
        assert norms.temperature_factor(35.0, 25.0, 0.010) == pytest.approx(1.10)

    @pytest.mark.parametrize("degc", [4.9, 45.1, -30.0, NAN])
    def test_outside_of_5_to_45_nothing_is_determined(self, degc):
        assert norms.temperature_factor(degc, 20.0, 0.006) is None
        assert norms.rate_factor(degc, 20.0) is None

    def test_the_polynomial_is_of_the_rate_adjusted_method_alone(self):
        """Values of the IEEE 485 sizing factor; in the time formula they would score a healthy block wrongly."""
        for degc, factor in ((10.0, 1.19), (25.0, 1.00), (35.0, 0.925)):
            assert norms.rate_factor(degc, 25.0) == pytest.approx(factor, abs=0.006)
        assert norms.rate_factor(20.0, 20.0) == 1.0
        gives = {degc: norms.temperature_factor(degc, 25.0, 0.010) for degc in (10.0, 35.0)}
        assert gives[10.0] / norms.rate_factor(10.0, 25.0) == pytest.approx(0.71, abs=0.01)
        assert gives[35.0] / norms.rate_factor(35.0, 25.0) == pytest.approx(1.19, abs=0.01)

    def test_lambda_goes_from_the_slow_to_the_fast_figure(self):
        slow, mid, fast = (norms.capacity_per_k("vrla_agm", hours) for hours in (10.0, 2.0, 0.25))
        assert (slow, mid, fast) == (0.006, pytest.approx(0.008), 0.010)
        assert norms.capacity_per_k("nizn", 1.0) is None

    def test_published_rates_are_straight_in_logarithms_and_end_with_the_table(self):
        hours, amps = (0.25, 1.0, 10.0), (190.0, 62.0, 10.0)
        assert norms.published_hours(62.0, hours, amps) == pytest.approx(1.0)
        assert norms.published_current_a(10.0, hours, amps) == pytest.approx(10.0)
        assert norms.published_hours((190.0 * 62.0) ** 0.5, hours, amps) == pytest.approx(0.5)
        for amps_asked in (5.0, 300.0, 0.0, -3.0, NAN):
            assert norms.published_hours(amps_asked, hours, amps) is None
        assert norms.published_hours(10.0, (), ()) is None

    def test_far_from_the_rated_current_little_is_known_without_a_table(self):
        assert norms.charge_at_rate("vrla_agm", 10.2, 10.0) == (1.0, 0.0)
        frac, sd = norms.charge_at_rate("vrla_agm", 100.0, 10.0)
        assert 0.6 < frac < 0.85
        assert sd > 0.05
        assert norms.charge_at_rate("lfp", 100.0, 20.0)[1] < 0.03


class TestFull:
    @pytest.mark.parametrize("degc", [10.0, 25.0, 35.0])
    @pytest.mark.parametrize("ref_degc", [20.0, 25.0])
    def test_a_healthy_block_gives_100_percent(self, degc, ref_degc):
        gives = 100.0 * (1.0 + 0.006 * (degc - ref_degc))
        found = full(record_of(np.full(24, gives), degc=degc), replace(RULES, ref_degc=ref_degc))
        assert found.string_frac == pytest.approx(1.0, abs=0.01)
        assert found.unit_frac == pytest.approx(1.0, abs=0.01)

    def test_each_unit_by_its_own_curve(self):
        capacity = np.linspace(84.0, 104.0, 24)
        found = full(record_of(capacity, noise_v=0.0005))
        assert found.unit_frac == pytest.approx(capacity / 100.0, abs=0.01)
        assert (found.unit_sd_frac < 0.04).all()
        exact, fitted = capacity < 87.0, capacity > 100.0
        assert found.unit_sd_frac[exact].max() < found.unit_sd_frac[fitted].min()

    def test_a_resistance_of_its_own_is_no_lost_capacity(self):
        """Six blocks whose links cost 20 mV per cell at this current: as the others, within their deviation."""
        own_ohm = np.where(np.arange(24) % 4 == 0, 0.002, 0.0)
        capacity = np.where(np.arange(24) == 5, 90.0, 100.0)
        found = full(record_of(capacity, own_ohm=own_ohm, until_ah=92.0))
        assert found.unit_frac[5] == pytest.approx(0.90, abs=0.01)
        others = np.delete(np.arange(24), 5)
        assert found.unit_frac[others] == pytest.approx(1.0, abs=0.03)

    def test_each_unit_is_taken_at_its_own_temperature(self):
        degc = np.linspace(18.0, 24.0, 24)
        found = full(record_of(100.0 * (1.0 + 0.006 * (degc - 20.0)), degc=degc))
        assert found.unit_frac == pytest.approx(1.0, abs=0.01)

    def test_units_of_which_less_than_70_percent_was_drawn_are_not_determined(self):
        capacity = np.array([60.0, *([100.0] * 23)])
        found = full(record_of(capacity, until_ah=61.0))
        assert found.unit_frac[0] == pytest.approx(0.60, abs=0.01)
        assert np.isnan(found.unit_frac[1:]).all()
        assert np.isnan(found.string_frac)

    def test_a_discharge_that_ended_early_proves_nothing(self):
        found = full(record_of(EVEN, until_ah=70.0))
        assert not found.is_proven
        assert found.why.startswith("not proven: ended after 70.0 Ah")

    def test_the_second_of_two_outages_in_a_row_costs_no_capacity(self):
        found = full(begun_at(record_of(np.full(24, 60.0)), 0.60, 0.01))
        assert found.string_frac == pytest.approx(1.0, abs=0.01)
        assert found.unit_frac == pytest.approx(1.0, abs=0.01)
        assert (found.unit_sd_frac > 0.01 / 0.60).all(), "what is wrong about the begin is wrong about the capacity"
        assert found.string_sd_frac > 0.01 / 0.60
        assert found.why.endswith("begun at 60% of charge")
        assert not full(begun_at(record_of(np.full(24, 60.0)), 0.60, 0.04)).only_sure().is_proven

    @given(st.floats(0.3, 1.0), st.floats(0.8, 1.05), st.floats(8.0, 32.0))
    def test_a_healthy_unit_is_healthy_wherever_a_discharge_begins(self, soc_frac, capacity_frac, degc):
        """What a part leaves at that temperature is as much as the whole would: none of it in the part's favour."""
        factor = 1.0 + 0.006 * (degc - 20.0)
        gives = 100.0 * capacity_frac * (factor - 1.0 + soc_frac)
        record = begun_at(record_of(np.full(3, gives), degc=degc), soc_frac, 1e-6)
        found = full(record, replace(RULES, per_k=0.006))
        assert found.unit_frac == pytest.approx(capacity_frac, abs=0.01)

    def test_what_may_have_been_full_is_taken_for_full(self):
        """A string that was seen at float for the first time is told as 94 ± 4 %: no capacity is gained by that."""
        was_full = full(begun_at(record_of(EVEN), 1.0, 0.012))
        found = full(begun_at(record_of(EVEN), 0.94, 0.04))
        np.testing.assert_array_equal(found.unit_frac, was_full.unit_frac)
        assert found.unit_sd_frac == pytest.approx(np.hypot(was_full.unit_sd_frac, 0.04 * found.unit_frac))
        assert found.string_sd_frac == pytest.approx(np.hypot(was_full.string_sd_frac, 0.04 * found.string_frac))

    def test_what_began_at_a_charge_that_nobody_knew_proves_nothing(self):
        found = full(begun_at(record_of(EVEN), NAN, NAN))
        assert not found.is_proven
        assert "nobody knew the charge it began with" in found.why

    def test_a_unit_whose_charge_nobody_knew_is_not_determined_and_the_others_are(self):
        record = begun_at(record_of(EVEN), 1.0, 0.01)
        soc_frac = record.soc_frac.copy()
        soc_frac[0, 5] = NAN
        found = full(replace(record, soc_frac=soc_frac))
        assert np.flatnonzero(np.isnan(found.unit_frac)).tolist() == [5]
        assert found.string_frac == pytest.approx(1.0, abs=0.01)
        soc_frac[0, :12] = NAN
        assert np.isnan(full(replace(record, soc_frac=soc_frac)).string_frac), "half of its charge is a guess"

    def test_only_units_that_lacked_charge_are_put_right(self):
        capacity = np.where(np.arange(24) == 5, 90.0, 100.0)
        record = begun_at(record_of(capacity), 1.0, 0.01)
        soc_frac = record.soc_frac.copy()
        soc_frac[0, 5] = 0.90
        found = full(replace(record, soc_frac=soc_frac))
        assert found.unit_frac == pytest.approx(1.0, abs=0.01)

    def test_a_discharge_that_began_almost_empty_tells_nothing_of_the_whole(self):
        found = full(begun_at(record_of(np.full(24, 7.0)), 0.07, 0.001))
        assert not found.is_proven

    def test_a_ups_that_stops_a_little_early_is_continued_and_less_sure(self):
        down, early = full(record_of(EVEN)), full(record_of(EVEN, until_ah=99.2))
        assert early.string_frac == pytest.approx(1.0, abs=0.012)
        assert early.string_sd_frac > down.string_sd_frac

    def test_a_test_that_ends_for_its_weakest_unit_a_little_early_proves_them_all(self):
        """Whoever ends it has a meter of its own: the module still reads some millivolts above the end voltage."""
        capacity = np.array([90.0, *np.linspace(97.0, 103.0, 23)])
        down, early = (full(record_of(capacity, until_ah=until_ah)) for until_ah in (90.1, 89.8))
        assert down.unit_frac == pytest.approx(capacity / 100.0, abs=0.01)
        assert early.unit_frac == pytest.approx(capacity / 100.0, abs=0.015)
        assert (early.unit_sd_frac[1:] >= down.unit_sd_frac[1:]).all()
        assert not full(record_of(capacity, until_ah=86.0)).is_proven

    @pytest.mark.parametrize("degc", [3.0, 47.0, NAN])
    def test_outside_of_5_to_45_degrees_it_is_not_determined(self, degc):
        found = full(record_of(EVEN, degc=degc))
        assert not found.is_proven
        assert "not determined" in found.why

    def test_another_rate_needs_the_makers_table(self):
        record = record_of(np.full(24, 62.0), amps=62.0)
        with_table = full(record, replace(RULES, hours=(0.25, 1.0, 10.0), amps=(190.0, 62.0, 10.0)))
        assert with_table.string_frac == pytest.approx(1.0, abs=0.01)
        assert "by the maker's table" in with_table.why
        without = full(record).only_sure()
        assert not without.is_proven
        assert "5% is the limit" in without.why

    def test_a_chemistry_without_a_coefficient_asks_for_one(self):
        assert "give the battery type's own" in full(record_of(EVEN), replace(RULES, chemistry="nizn")).why
        assert full(record_of(EVEN), replace(RULES, chemistry="nizn", per_k=0.005)).is_proven

    def test_far_from_the_reference_a_typical_coefficient_is_doubted(self):
        near, far = (full(record_of(EVEN, degc=degc)).string_sd_frac for degc in (20.0, 35.0))
        assert far > 3.0 * near
        assert full(record_of(EVEN, degc=35.0), replace(RULES, per_k=0.006)).string_sd_frac < 0.01

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"moved_ah": NAN}, "the charge is unknown"),
            ({"moved_ah": 0.0}, "the charge is unknown"),
            ({"missing_s": 3600.0}, "without scans"),
            ({"ended_s": NOW_S + 30.0}, "too few samples"),
        ],
    )
    def test_what_a_record_lacks_is_said(self, changes, why):
        found = full(record_of(EVEN, **changes))
        assert not found.is_proven
        assert why in found.why

    def test_a_unit_without_readings_is_not_determined_and_disturbs_no_other(self):
        record = record_of(EVEN)
        v = record.unit_v.copy()
        v[:, 7] = NAN
        v[100:140, 9] = NAN
        found = full(replace(record, unit_v=v))
        assert np.isnan(found.unit_frac[7])
        assert found.unit_frac[[0, 1, 23]] == pytest.approx(1.0, abs=0.01)

    def test_the_charge_is_that_of_every_scan_not_of_the_kept_ones(self):
        record = record_of(EVEN)
        found = full(replace(record, moved_ah=0.97 * record.moved_ah))
        assert found.string_frac == pytest.approx(0.97, abs=0.005)
        assert found.unit_frac == pytest.approx(0.97, abs=0.01)

    def test_a_dip_at_the_beginning_is_not_the_end(self):
        ah = np.linspace(0.0, 10.0, 101)
        v = 2.0 - 0.03 * ah
        v[2:4] = 1.7
        assert reached_ah(ah, v[:, None], 1.8)[0] == pytest.approx(6.667, abs=0.01)
        assert np.isnan(reached_ah(ah, v[:, None], 1.5)[0])


MONTE_CARLO = {  # deviations of both ends, and what a Monte Carlo of such errors gave at several depths
    "both ends 0.5 %": (0.005, 0.005, {0.1: 0.072, 0.2: 0.036, 0.3: 0.024, 0.5: 0.015, 0.8: 0.010, 1.0: 0.009}),
    "a full one at 0.5 %, rested at 1 %": (0.005, 0.010, {0.2: 0.057, 0.3: 0.038, 0.5: 0.023, 0.8: 0.015}),
    "the plateau of LFP at 7 %": (0.005, 0.070, {0.5: 0.15, 0.8: 0.09, 1.0: 0.07}),
}


class TestPartial:
    @pytest.mark.parametrize(("first", "second", "expected"), MONTE_CARLO.values(), ids=MONTE_CARLO)
    def test_the_deviation_is_that_of_a_monte_carlo(self, first, second, expected):
        for depth, sd in expected.items():
            ends = (np.ones(1), np.full(1, 1.0 - depth))
            got = capacity_from_part(100.0 * depth, ends, (np.full(1, first), np.full(1, second)), 0.005)
            assert got[0] == pytest.approx(100.0)
            assert got[1] == pytest.approx(sd, rel=0.13)

    @settings(max_examples=30)
    @given(st.floats(0.3, 0.9), st.floats(0.002, 0.02), st.floats(0.002, 0.02), st.floats(0.0, 0.01))
    def test_drawn_errors_scatter_as_it_says(self, depth, first, second, gain):
        rng = np.random.default_rng(2)
        n = 4000
        ah = 100.0 * depth * (1.0 + gain * rng.standard_normal(n))
        ends = (1.0 + first * rng.standard_normal(n), 1.0 - depth + second * rng.standard_normal(n))
        got, sd = capacity_from_part(ah, ends, (np.full(n, first), np.full(n, second)), gain)
        assert np.std(got) == pytest.approx(100.0 * np.median(sd), rel=0.12)

    def test_too_little_or_the_wrong_direction_is_nothing(self):
        ends, sd = (np.array([1.0, 0.5, NAN]), np.array([0.97, 0.8, 0.5])), (np.full(3, 0.01), np.full(3, 0.01))
        assert np.isnan(capacity_from_part(10.0, ends, sd, 0.0)).all()


class Resting:
    """A string after a discharge, as `follow_soh` sees it: scans each ten seconds."""

    def __init__(self, rules: StringSohRules, *, ended_by: str = "rest", soc_frac: float = 1.0, **changes: object):
        self.layout = layout_of(units=4)
        self.rules = SohRules.of(self.layout, {"s1": rules})
        capacity = np.array([100.0, 90.0, 80.0, 70.0])
        soc = np.stack([np.full(4, soc_frac), np.full(4, NAN)])
        self.record = record_of(capacity, until_ah=40.0, ended_by=ended_by, soc_frac=soc, **changes)
        self.rested_v = np.interp(1.0 - 40.0 / capacity, CURVE.soc_frac, CURVE.ocv_v)
        self.memory, self.at_s = SohMemory.empty(self.layout), self.record.ended_s
        self.findings: list[CapacityFinding] = []

    def scan(
        self, mode: str, amps: float = 0.0, seconds: float = 10.0, records=(), degc: float = 20.0, is_discharging=False
    ) -> None:
        self.at_s += seconds
        readings = readings_of(self.layout, Scan(self.at_s, 2.0, amps, degc))
        readings = replace(readings, unit_v=self.rested_v * CELLS)
        said = ModeSaid(mode, self.at_s, "", is_discharging, NAN, "", self.at_s)
        self.memory, self.estimate, found = follow_soh(self.memory, readings, [said], records, self.rules)
        self.findings += found

    def rest(self, hours: float, amps: float = 0.0, mode: str = "rest", degc: float = 20.0) -> CapacityFinding:
        self.scan(mode, amps, records=(self.record,), degc=degc)
        for _ in range(round(hours * 60.0)):
            self.scan(mode, amps, 60.0, degc=degc)
        return self.findings[-1]


class TestRest:
    RULES = replace(RULES, curve=CURVE)

    def test_a_rested_end_proves_each_unit(self):
        found = Resting(self.RULES).rest(8.1)
        assert found.method == "partial_discharge"
        assert found.unit_frac == pytest.approx([1.0, 0.9, 0.8, 0.7], abs=0.005)
        assert (found.unit_sd_frac > 0.01).all()
        assert (found.unit_sd_frac < 0.05).all()
        assert found.at_s == Resting(self.RULES).record.ended_s

    @pytest.mark.parametrize("ended_by", ["recharge", "lost"])
    def test_a_recharge_at_once_proves_nothing(self, ended_by):
        found = Resting(self.RULES, ended_by=ended_by).rest(8.1, mode="recharge")
        assert not found.is_proven
        assert "a rest of 8 h has to follow" in found.why

    def test_a_rest_that_ends_too_early_proves_nothing(self):
        string = Resting(self.RULES)
        string.rest(7.5)
        string.scan("recharge", -10.0)
        assert not string.findings[-1].is_proven
        assert "recharge after 450 min of rest; 8 h are needed" in string.findings[-1].why
        string.rest(0.0)
        assert string.estimate.method.tolist() == [0] * 4

    @pytest.mark.parametrize("mode", ["discharge", "test"])
    def test_a_rest_that_ends_in_a_load_proves_nothing(self, mode):
        string = Resting(self.RULES)
        string.rest(4.0)
        string.scan(mode, 10.0, is_discharging=True)
        for _ in range(60 * 9):
            string.scan("rest", 0.0, 60.0)
        assert not any(each.is_proven for each in string.findings)
        assert "240 min of rest" in string.findings[-1].why

    def test_a_rest_that_nobody_saw_proves_nothing(self):
        string = Resting(self.RULES)
        string.rest(4.0)
        string.scan("rest", 0.0, 1000.0)
        assert "nobody saw the rest" in string.findings[-1].why

    def test_an_open_breaker_is_rest_and_a_short_unknown_is_no_end(self):
        string = Resting(self.RULES)
        string.rest(4.0, mode="open")
        string.scan("unknown")
        string.scan("test")
        for _ in range(60 * 5):
            string.scan("rest", 0.0, 60.0)
        assert string.findings[-1].is_proven

    def test_what_flows_at_rest_counts_beyond_the_sensors_own_offset(self):
        string = Resting(self.RULES, moved_ah=36.0)
        string.at_s -= 1000.0
        for _ in range(100):
            string.scan("float", 0.25)
        found = string.rest(8.0, amps=0.75)  # 0.5 A for 8 h are the 4 Ah that the record lacks
        assert found.unit_frac == pytest.approx([1.0, 0.9, 0.8, 0.7], abs=0.01)
        assert found.unit_sd_frac[0] > 0.01

    def test_a_curve_that_is_only_typical_proves_nothing(self):
        typical = RestedCurve.typical(profiles()["vrla_agm"].estimate)
        found = Resting(replace(RULES, curve=typical)).rest(8.1)
        assert not found.is_proven
        assert found.why.startswith("not proven: known to ±")

    def test_flat_chemistries_prove_nothing_on_their_plateau(self):
        lfp = RestedCurve.typical(profiles()["lfp"].estimate)
        string = Resting(replace(RULES, chemistry="lfp", curve=lfp))
        string.rested_v = np.interp([0.6, 0.55, 0.5, 0.45], lfp.soc_frac, lfp.ocv_v)
        assert not string.rest(lfp.rest_s / 3600.0 + 0.1).is_proven

    def test_nickel_cadmium_has_no_rested_voltage(self):
        assert RestedCurve.typical(profiles()["nicd"].estimate) is None
        found = Resting(replace(RULES, chemistry="nicd", curve=None)).rest(10.0)
        assert "only a full discharge does" in found.why

    def test_an_unknown_charge_before_it_proves_nothing(self):
        assert "before it is unknown" in Resting(self.RULES, soc_frac=NAN).rest(8.1).why

    def test_far_from_the_reference_temperature_it_is_less_sure(self):
        near, far = (Resting(self.RULES).rest(8.1, degc=degc).unit_sd_frac[0] for degc in (20.0, 29.0))
        assert far > near + 0.005
        warm = Resting(self.RULES).rest(8.1, degc=29.0)
        assert warm.unit_frac[0] == pytest.approx(1.0 / (1.0 + 0.5 * 0.006 * 9.0), abs=0.005)
        assert not Resting(self.RULES).rest(8.1, degc=3.0).is_proven

    def test_what_was_learned_ends_with_the_units_life(self):
        string = Resting(self.RULES)
        string.rest(8.1)
        string.rules = SohRules.of(string.layout, {"s1": self.RULES}, [1, 2, 1, 1])
        string.scan("float")
        assert np.isnan(string.estimate.soh_frac).tolist() == [False, True, False, False]
        string.rules = SohRules.of(string.layout, {"s1": self.RULES}, [1, 2, 1, 1])  # read again, the same
        string.scan("float")
        assert np.isnan(string.estimate.soh_frac).tolist() == [False, True, False, False]

    def test_a_full_discharge_needs_no_rest(self):
        string = Resting(self.RULES)
        string.record = record_of(np.full(4, 95.0), ended_by="rest")
        string.rest(0.1)
        assert [each.method for each in string.findings] == ["full_discharge"]
        assert string.memory.waiting == (None,)
        assert string.estimate.soh_frac == pytest.approx(0.95, abs=0.01)


def finding(frac: list[float], sd: float, at_s: float, method: str = "partial_discharge") -> CapacityFinding:
    values = np.array(frac)
    return CapacityFinding("s1", at_s, method, "", NAN, NAN, values, np.full(len(values), sd))


class TestBelief:
    ALL = slice(0, 3)

    def test_the_first_one_is_taken_and_a_second_makes_it_surer(self):
        one = learn(Learned.nothing(3), finding([0.9, 0.8, NAN], 0.03, NOW_S), self.ALL)
        assert one.frac[:2] == pytest.approx([0.9, 0.8])
        assert np.isnan(one.frac[2])
        two = learn(one, finding([0.94, 0.8, 0.7], 0.03, NOW_S + MONTH_S), self.ALL)
        assert two.frac == pytest.approx([0.92, 0.8, 0.7], abs=0.002)
        assert two.variance[0] < one.variance[0]
        assert [METHODS[code] for code in two.method] == ["partial_discharge"] * 3

    def test_different_methods_are_fused(self):
        one = learn(Learned.nothing(1), finding([0.9], 0.03, NOW_S), slice(0, 1))
        two = learn(one, finding([0.9], 0.01, NOW_S + 9.0, "full_discharge"), slice(0, 1))
        assert method_names(two.method) == ["fused"]

    def test_five_percent_and_more_do_not_count(self):
        assert np.isnan(learn(Learned.nothing(1), finding([0.9], 0.046, NOW_S), slice(0, 1)).frac[0])

    def test_an_older_or_repeated_finding_changes_nothing(self):
        one = learn(Learned.nothing(1), finding([0.9], 0.03, NOW_S), slice(0, 1))
        for at_s in (NOW_S, NOW_S - 5.0):
            assert learn(one, finding([0.5], 0.02, at_s), slice(0, 1)).frac[0] == 0.9

    def test_a_surprise_begins_anew(self):
        one = learn(Learned.nothing(1), finding([0.95], 0.02, NOW_S), slice(0, 1))
        two = learn(one, finding([0.60], 0.02, NOW_S + 60.0), slice(0, 1))
        assert two.frac[0] == 0.60
        assert two.variance[0] == pytest.approx(0.02**2)

    def test_many_findings_share_their_errors(self):
        learned = Learned.nothing(1)
        for place in range(50):
            learned = learn(learned, finding([0.9], 0.02, NOW_S + 60.0 * place), slice(0, 1))
        assert learned.variance[0] ** 0.5 == pytest.approx(0.01)

    def test_a_capacity_walks_by_half_a_percent_in_a_month(self):
        one = learn(Learned.nothing(1), finding([0.9], 0.02, NOW_S), slice(0, 1))
        year = one.variance_at(NOW_S + 12.0 * MONTH_S)[0]
        assert year - 0.02**2 == pytest.approx(12.0 * 0.005**2)

    def test_the_newest_findings_are_kept_and_a_replaced_unit_is_forgotten(self):
        learned = Learned.nothing(2)
        for place in range(HISTORY + 3):
            learned = learn(learned, finding([0.9 - 0.001 * place, 0.9], 0.02, NOW_S + place), slice(0, 2))
        assert learned.past_at_s[:, 0].tolist() == [NOW_S + HISTORY + 2 - place for place in range(HISTORY)]
        after = learned.forget(np.array([True, False]), np.full(2, -np.inf))
        assert np.isnan([after.frac[0], after.past_frac[0, 0]]).all()
        assert after.method.tolist() == [0, METHODS.index("partial_discharge")]
        assert after.frac[1] == learned.frac[1]

    def test_a_replacement_that_is_told_later_keeps_what_was_found_since(self):
        both = Learned.nothing(2)
        for day, frac in enumerate((0.70, 0.71, 0.99, 1.0)):
            both = learn(both, finding([frac, 0.9], 0.02, NOW_S + 86_400.0 * day), slice(0, 2))
        alone = Learned.nothing(1)
        for day, frac in ((2, 0.99), (3, 1.0)):
            alone = learn(alone, finding([frac], 0.02, NOW_S + 86_400.0 * day), slice(0, 1))
        after = both.forget(np.array([True, False]), np.array([NOW_S + 1.5 * 86_400.0, -np.inf]))
        for name in ("frac", "variance", "at_s"):
            assert getattr(after, name)[0] == pytest.approx(getattr(alone, name)[0])
            assert getattr(after, name)[1] == getattr(both, name)[1]
        assert np.isnan(after.past_at_s[2:, 0]).all()
        assert METHODS[after.method[0]] == "fused"

    def test_what_is_not_proven_is_believed_as_rated(self):
        string = Resting(replace(RULES, curve=CURVE))
        string.scan("float")
        belief = string.estimate.belief(string.rules.rated_ah)
        assert belief.ah.tolist() == [100.0] * 4
        assert belief.sd_frac.tolist() == [0.05] * 4
        assert method_names(string.estimate.method) == ["not_proven"] * 4
        string.at_s = string.record.ended_s
        string.rest(8.1)
        belief = string.estimate.belief(string.rules.rated_ah)
        assert belief.ah == pytest.approx([100.0, 90.0, 80.0, 70.0], abs=0.6)
        assert (belief.sd_frac < 0.05).all()


@settings(max_examples=40)
@given(
    v=st.lists(st.floats(-40.0, 40.0) | st.just(NAN), min_size=3, max_size=3),
    moved_ah=st.floats(-10.0, 1e4) | st.just(NAN),
    degc=st.floats(-60.0, 200.0) | st.just(NAN),
)
def test_whatever_a_record_holds_nothing_raises(v, moved_ah, degc):
    record = record_of(np.full(3, 100.0), degc=degc, moved_ah=moved_ah)
    odd = record.unit_v.copy()
    odd[::3] = np.array(v, np.float32)
    found = capacity_from_full(replace(record, unit_v=odd), np.full(3, CELLS), RULES).only_sure()
    assert found.why
    assert np.isnan(found.unit_frac).all() or (found.unit_frac[~np.isnan(found.unit_frac)] > 0.0).all()


def test_the_model_of_these_tests_is_down_at_its_end():
    assert cell_v(np.array([1.0]))[0] == pytest.approx(END_V, abs=1e-6)
