"""What each way of balancing wants: lithium down to its lowest, lead towards its mean."""

import math
from dataclasses import replace

import numpy as np
import pytest
from balancer.strategies import float_pi, top
from core_room import LEAD, LITHIUM
from hypothesis import given
from hypothesis import strategies as st

NAN = math.nan
ALL, NONE = np.ones(4, dtype=bool), np.zeros(4, dtype=bool)
FULL = np.ones(4)


def wants(v: list[float], *, counted: np.ndarray = ALL, was: np.ndarray = NONE) -> list[bool]:
    duty, active = top.wanted(np.array(v), counted, was, LITHIUM)
    assert (duty == active).all()
    return active.tolist()


class TestTop:
    def test_what_stands_above_the_lowest_is_bled(self):
        assert wants([3.45, 3.44, 3.43, 3.42]) == [True, True, True, False]

    def test_it_begins_at_one_distance_and_ends_at_a_smaller_one(self):
        v = [3.4230, 3.4243, 3.4200, 3.4215]  # 3, 4.3, 0 and 1.5 mV above the lowest
        assert wants(v) == [False, True, False, False]
        assert wants(v, was=ALL) == [True, True, False, False]

    def test_nothing_is_bled_where_the_curve_is_flat(self):
        assert wants([3.399, 3.45, 3.36, 3.35]) == [False, True, False, False]

    def test_a_unit_that_does_not_count_is_no_reference_but_is_bled(self):
        assert wants([3.45, 3.44, 3.43, 3.30], counted=np.array([True, True, True, False])) == [
            True,
            True,
            False,
            False,
        ]

    def test_without_a_reading_there_is_no_wish(self):
        known = np.array([True, False, True, True])
        assert wants([3.45, NAN, 3.43, 3.42], counted=known) == [True, False, True, False]
        assert wants([NAN] * 4, counted=NONE, was=ALL) == [False] * 4

    @given(st.lists(st.floats(3.0, 3.7), min_size=4, max_size=4))
    def test_the_lowest_is_never_bled(self, v):
        assert not wants(v, was=ALL)[int(np.argmin(v))]


class TestWhoCounts:
    def test_noise_is_no_fault(self):
        v = np.array([13.560, 13.561, 13.562, 13.5])
        assert float_pi.counted_units(v, ALL, LEAD).all()

    def test_a_unit_with_a_shorted_cell_is_not_of_this_population(self):
        v = np.array([13.6, 13.5, 13.7, 11.5])
        assert float_pi.counted_units(v, ALL, LEAD).tolist() == [True, True, True, False]

    def test_a_wide_population_is_one(self):
        v = np.linspace(13.3, 13.8, 40)
        assert float_pi.counted_units(v, np.ones(40, dtype=bool), LEAD).all()

    def test_only_what_is_usable_counts(self):
        assert not float_pi.counted_units(np.full(4, NAN), NONE, LEAD).any()
        assert (
            float_pi.counted_units(np.array([13.6, 13.6, 13.6, NAN]), np.array([1, 1, 1, 0], dtype=bool), LEAD).sum()
            == 3
        )


def pi(v: list[float], integral: list[float] | np.ndarray, *, cap: np.ndarray = FULL, dt_s: float = 10.0, counted=ALL):
    return float_pi.wanted(np.array(v), counted, np.array(integral, dtype=float), cap, dt_s, LEAD)


class TestFloat:
    def test_a_unit_above_the_mean_is_bled_in_proportion(self):
        duty, _ = pi([13.57, 13.56, 13.55, 13.56], [0.0] * 4, dt_s=0.0)
        assert duty == pytest.approx([0.1, 0.0, 0.0, 0.0])  # 60 per volt and cell, of six cells, 1 mA/Ah

    def test_the_loop_is_the_same_for_every_module(self):
        weak = replace(LEAD, bleed_a=0.05)
        duty, _ = float_pi.wanted(np.array([13.57, 13.56, 13.55, 13.56]), ALL, np.zeros(4), FULL, 0.0, weak)
        assert duty[0] * 0.05 == pytest.approx(0.1 * 0.1)

    def test_the_integral_does_in_two_hours_what_the_proportion_does_at_once(self):
        integral = np.zeros(4)
        for _ in range(720):
            _, integral = pi([13.57, 13.56, 13.55, 13.56], integral)
        assert integral[0] == pytest.approx(0.1 + 0.1, rel=0.02)  # and the lowest, as far below, carries nothing

    def test_only_differences_count(self):
        _, integral = pi([13.56] * 4, [0.5, 0.4, 0.3, 0.2], dt_s=7200.0)
        assert integral == pytest.approx([0.3, 0.2, 0.1, 0.0])

    def test_one_missing_reading_lowers_nobody(self):
        lowest_missing = np.array([True, True, True, False])
        _, integral = pi([13.56, 13.56, 13.56, NAN], [0.5, 0.4, 0.3, 0.0], counted=lowest_missing)
        assert integral == pytest.approx([0.5, 0.4, 0.3, 0.0], abs=0.002)

    def test_where_nothing_may_be_the_integral_waits(self):
        cap = np.array([0.0, 1.0, 1.0, 1.0])
        duty, integral = pi([13.9, 13.5, 13.4, 13.4], [0.4, 0.1, 0.0, 0.0], cap=cap)
        assert duty[0] == 0.0
        assert integral[0] == 0.4

    def test_it_does_not_wind_up_beyond_what_may_be(self):
        integral = np.zeros(4)
        for _ in range(5000):
            _, integral = pi([13.9, 13.5, 13.4, 13.4], integral, cap=np.full(4, 0.3))
        assert integral.max() <= 0.3

    def test_a_unit_without_a_reading_keeps_its_integral(self):
        _, integral = pi([NAN, 13.56, 13.56, 13.56], [0.3, 0.1, 0.0, 0.0], counted=np.array([0, 1, 1, 1], dtype=bool))
        assert integral[0] == pytest.approx(0.3)

    def test_without_anybody_who_counts_nothing_is_wanted_or_learned(self):
        duty, integral = pi([NAN] * 4, [0.3, 0.1, 0.0, 0.0], counted=NONE)
        assert not duty.any()
        assert integral.tolist() == [0.3, 0.1, 0.0, 0.0]

    @pytest.mark.parametrize("v", [[13.6], [13.6, 13.5]])
    def test_one_or_two_units_are_a_string_too(self, v):
        n = len(v)
        duty, integral = float_pi.wanted(np.array(v), np.ones(n, bool), np.zeros(n), np.ones(n), 10.0, LEAD)
        assert duty[-1] == 0.0
        assert (duty[0] > 0.0) == (n == 2)
        assert (integral >= 0.0).all()

    def test_it_takes_over_without_a_jump(self):
        v = np.array([13.57, 13.56, 13.55, 13.56])
        found = np.array([0.4, 0.2, 0.0, NAN])
        integral = float_pi.settled_integral(found, v, ALL, LEAD)
        duty, _ = float_pi.wanted(v, ALL, integral, FULL, 0.0, LEAD)
        assert duty == pytest.approx([0.4, 0.2, 0.0, 0.0])

    @given(
        st.lists(st.floats(12.0, 15.0), min_size=4, max_size=4), st.lists(st.floats(0.0, 1.0), min_size=4, max_size=4)
    )
    def test_duty_and_integral_stay_within_what_may_be(self, v, cap):
        duty, integral = pi(v, np.minimum([0.5, 0.2, 0.1, 0.0], cap), cap=np.array(cap))
        for each in (duty, integral):
            assert (each >= 0.0).all()
            assert (each <= np.array(cap) + 1e-12).all()
