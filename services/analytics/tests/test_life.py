"""The odds of a unit: they follow age, warmth, capacity and impedance in the right direction, and claim no more."""

from dataclasses import replace

import numpy as np
import pytest
from analytics.impedance.follow import ImpedanceEstimate
from analytics.life.evidence import NOT_VALIDATED, evidence
from analytics.life.follow import LifeMemory, follow_life
from analytics.life.odds import Shown, odds
from analytics.life.rules import YEAR_S, LifeRules, StringLifeRules
from analytics.soh.belief import Learned, learn
from analytics.soh.finding import CapacityFinding
from analytics.soh.follow import SohEstimate
from hypothesis import given, settings
from hypothesis import strategies as st
from string_scans import NAN, NOW_S, Scan, layout_of, readings_of

DAY_S = 86_400.0
AHEAD = (0.5, 1.0)
FRACS = st.floats(0.4, 1.1)


def nothing(units: int) -> Shown:
    return Shown(*(np.full((2, units), NAN) for _ in range(3)))


def shown(frac: list[float], sd: float = 0.02, before_years: float = 0.0) -> Shown:
    one = np.full((1, len(frac)), 1.0)
    return Shown(np.array([frac]), sd * one, before_years * one)


def chance(age_years: list[float], what: Shown | None = None, pace: float = 1.0, ahead: tuple[float, ...] = AHEAD):
    age = np.array(age_years)
    return odds(age, np.full(len(age), pace), what or nothing(len(age)), 10.0, ahead)


class TestOdds:
    def test_a_new_unit_is_safe_and_an_old_one_is_not(self):
        within_a_year = chance([0.5, 5.0, 10.0, 15.0])[1]
        assert within_a_year[0] < 0.01
        assert 0.01 < within_a_year[1] < 0.15
        assert 0.4 < within_a_year[2] < 0.75
        assert within_a_year[3] > 0.8

    @settings(max_examples=40)
    @given(st.floats(0.0, 20.0), FRACS, st.floats(0.005, 0.05), st.floats(0.25, 4.0))
    def test_they_are_probabilities_and_grow_with_time(self, age, frac, sd, pace):
        found = chance([age, NAN], shown([frac, frac], sd), pace, (0.25, 0.5, 1.0, 3.0))
        assert ((found >= 0.0) & (found <= 1.0)).all()
        assert (np.diff(found, axis=0) >= 0.0).all()

    @settings(max_examples=40)
    @given(st.floats(0.0, 15.0), FRACS, FRACS, st.floats(0.01, 0.04))
    def test_a_lower_capacity_is_never_safer(self, age, one, other, sd):
        low, high = sorted((one, other))
        found = chance([age, age], shown([low, high], sd))
        assert (found[:, 0] >= found[:, 1] - 1e-6).all()

    @settings(max_examples=40)
    @given(st.floats(0.0, 12.0), st.floats(0.0, 12.0))
    def test_by_age_alone_an_older_one_is_never_safer(self, one, other):
        young, old = sorted((one, other))
        found = chance([young, old])
        assert (found[:, 1] >= found[:, 0] - 1e-6).all()

    def test_a_good_test_makes_an_old_unit_safer_and_a_bad_one_a_young_one_unsafe(self):
        by_age = chance([9.0, 2.0])[1]
        with_test = chance([9.0, 2.0], shown([0.98, 0.81]))[1]
        assert with_test[0] < 0.4 * by_age[0]
        assert with_test[1] > 10.0 * by_age[1]
        assert with_test[1] > 0.4

    def test_one_that_failed_has_failed(self):
        assert (chance([4.0, NAN], shown([0.70, 0.70], 0.01)) > 0.97).all()

    def test_an_old_good_test_says_less_than_a_new_one(self):
        new, old = (chance([8.0], shown([0.95], 0.02, years))[1, 0] for years in (0.0, 4.0))
        assert old > new

    def test_a_surer_test_says_more(self):
        sure, unsure = (chance([9.0], shown([0.97], sd))[1, 0] for sd in (0.01, 0.05))
        assert sure < unsure < chance([9.0])[1, 0]

    def test_warmth_brings_the_end_nearer(self):
        cool, warm = (chance([6.0], None, pace)[1, 0] for pace in (1.0, 2.0))
        assert warm > cool

    def test_two_tests_that_fall_show_more_than_the_last_one(self):
        last = Shown(np.array([[0.88], [NAN]]), np.full((2, 1), 0.015), np.zeros((2, 1)))
        both = Shown(np.array([[0.88], [0.985]]), np.full((2, 1), 0.015), np.array([[0.0], [2.0]]))
        assert chance([8.0], both)[1, 0] > 0.0
        assert chance([NAN], both)[1, 0] > chance([NAN], last)[1, 0]

    def test_without_age_and_capacity_nothing_is_said(self):
        assert np.isnan(chance([NAN, NAN])).all()
        assert np.isnan(chance([NAN, 3.0])[:, 0]).all()
        assert not np.isnan(chance([NAN, 3.0])[:, 1]).any()

    def test_drawn_lives_fail_as_often_as_it_says(self):
        """Own Monte Carlo of the same beliefs: life around 10 years, some of 4, four bends, first capacity."""
        rng = np.random.default_rng(3)
        n = 200_000
        usual, early = 10.0 * np.exp(0.35 * rng.standard_normal(n)), 4.0 * np.exp(0.6 * rng.standard_normal(n))
        life = np.where(rng.random(n) < 0.08, early, usual)
        bend = rng.choice([1.2, 2.0, 3.5, 6.0], n)
        first = 1.0 + 0.03 * rng.standard_normal(n)
        wrong = 0.02 * rng.standard_normal(n)
        for age in (3.0, 6.0, 9.0):
            capacity = first - 0.2 * ((age + 1.0) / life) ** bend + wrong
            assert chance([age])[1, 0] == pytest.approx(np.mean(capacity < 0.8), abs=0.02)


class Room:
    """One string of four units that a test lets live for days."""

    def __init__(self, commissioned_s: float = NAN, chemistry: str = "vrla_agm"):
        self.layout = layout_of(units=4)
        self.rules = LifeRules.of(self.layout, {"s1": StringLifeRules.of(chemistry, 10.0, commissioned_s)})
        self.memory, self.learned = LifeMemory.empty(self.layout), Learned.nothing(4)
        self.state, self.at_s = np.zeros(4, np.uint8), NOW_S

    def live(self, days: float, degc: float = 25.0, step_s: float = 600.0) -> None:
        for _ in range(max(1, round(days * DAY_S / step_s))):
            self.at_s += step_s
            readings = readings_of(self.layout, Scan(self.at_s, 2.26, 0.0, degc))
            self.memory, self.estimate = follow_life(self.memory, readings, self.learned, self.state, self.rules)


class TestFollow:
    def test_ten_kelvin_more_age_lead_twice_as_fast(self):
        cool, warm = Room(NOW_S), Room(NOW_S)
        cool.live(20.0)
        warm.live(20.0, 35.0)
        assert cool.memory.years == pytest.approx(20.0 * DAY_S / YEAR_S, rel=0.01)
        assert warm.memory.years == pytest.approx(2.0 * cool.memory.years, rel=0.01)
        assert warm.estimate.pace == pytest.approx(2.0)
        assert warm.estimate.age_frac == pytest.approx(warm.memory.years / 10.0, rel=1e-2)

    def test_the_time_before_we_watched_counts_at_the_present_pace(self):
        room = Room(NOW_S - 4.0 * YEAR_S)
        room.live(1.0, 35.0)
        assert room.estimate.age_frac == pytest.approx(0.8, abs=0.01)

    def test_a_gap_is_taken_at_the_usual_pace_and_a_missing_temperature_too(self):
        room = Room(NOW_S)
        room.live(2.0, 35.0)
        before = room.memory.years.copy()
        room.live(1.0, 80.0, DAY_S)
        assert room.memory.years - before == pytest.approx(2.0 * DAY_S / YEAR_S, rel=0.05)
        before = room.memory.years.copy()
        room.live(1.0, NAN)
        assert room.memory.years - before == pytest.approx(2.0 * DAY_S / YEAR_S, rel=0.1)

    def test_repeated_scans_and_a_clock_set_back_age_nobody(self):
        room = Room(NOW_S)
        room.live(1.0)
        years = room.memory.years.copy()
        room.at_s -= 3.0 * DAY_S
        room.live(0.0)
        assert room.memory.years.tolist() == years.tolist()

    def test_without_age_or_capacity_the_odds_are_unknown(self):
        room = Room()
        room.live(1.0)
        assert np.isnan(room.estimate.p_fail_12m_frac).all()
        assert np.isnan(room.estimate.age_frac).all()

    def test_a_finding_changes_the_odds_at_once(self):
        room = Room(NOW_S - 5.0 * YEAR_S)
        room.live(1.0)
        before = room.estimate.p_fail_12m_frac.copy()
        found = CapacityFinding(
            "s1", room.at_s, "full_discharge", "", NAN, NAN, np.array([0.99, 0.82, 0.7, NAN]), np.full(4, 0.015)
        )
        room.learned = learn(room.learned, found, slice(0, 4))
        room.live(0.0)
        after = room.estimate.p_fail_12m_frac
        assert after[0] < before[0]
        assert after[2] > after[1] > before[1]
        assert after[3] == pytest.approx(before[3], abs=0.002)
        assert (room.estimate.p_fail_6m_frac <= after).all()

    def test_the_state_of_the_impedance_raises_the_hazard(self):
        room = Room(NOW_S - 6.0 * YEAR_S)
        room.live(1.0)
        before = room.estimate.p_fail_12m_frac[0]
        room.state = np.array([0, 1, 2, 4], np.uint8)
        room.live(0.0)
        after = room.estimate.p_fail_12m_frac
        assert after[0] == after[1] == pytest.approx(before, rel=0.01)
        assert after[2] == pytest.approx(1.0 - (1.0 - after[1]) ** 1.5)
        assert after[3] > 3.0 * after[1]

    def test_a_replaced_unit_begins_a_new_life(self):
        room = Room(NOW_S - 9.0 * YEAR_S)
        room.live(1.0)
        room.rules = LifeRules.of(room.layout, {"s1": room.rules.strings[0]}, [2, 1, 1, 1])
        room.live(1.0)
        assert room.estimate.age_frac[0] < 0.001
        assert room.estimate.age_frac[1] == pytest.approx(0.9, abs=0.01)
        assert room.estimate.p_fail_12m_frac[0] < 0.01 < room.estimate.p_fail_12m_frac[1]

    def test_a_replacement_that_is_told_later_has_its_age(self):
        room = Room(NOW_S - 9.0 * YEAR_S)
        room.live(1.0)
        now_s = float(room.memory.at_s[0])
        other = LifeRules.of(room.layout, {"s1": room.rules.strings[0]}, [2, 1, 1, 1])
        room.rules = replace(other, born_s=np.array([now_s - 0.5 * YEAR_S, -np.inf, -np.inf, -np.inf]))
        room.live(1.0)
        pace = float(room.estimate.pace[0])
        assert room.estimate.age_frac[0] == pytest.approx(0.05 * pace, abs=0.002)
        assert room.estimate.age_frac[1] > 0.85

    def test_many_strings_are_asked_one_after_the_other_and_as_each_alone(self):
        layout = layout_of(3, units=2)
        kinds = {
            name: StringLifeRules.of("vrla_agm", 10.0, NOW_S - (place + 2.0) * YEAR_S)
            for place, name in enumerate(layout.strings)
        }
        rules, memory = LifeRules.of(layout, kinds), LifeMemory.empty(layout)
        for second in range(1, 200):
            scans = [Scan(NOW_S + second, 2.26, 0.0, 25.0, string=place) for place in range(3)]
            memory, estimate = follow_life(
                memory, readings_of(layout, *scans), Learned.nothing(6), np.zeros(6, np.uint8), rules
            )
            assert (~np.isnan(estimate.p_fail_12m_frac)).sum() == 2 * min(second, 3)
        p = estimate.p_fail_12m_frac
        assert p[0] == p[1] < p[2] == p[3] < p[4] == p[5]
        own = chance([4.0])[1, 0]
        assert p[4] == pytest.approx(own, rel=1e-3)


def test_the_evidence_names_what_the_odds_rest_on():
    room = Room(NOW_S - 5.0 * YEAR_S)
    room.live(1.0, 30.0)
    none = np.full(4, NAN)
    soh = SohEstimate(np.array([0.9, *none[1:]]), np.full(4, 0.02), np.array([2, 0, 0, 0], np.uint8), none)
    trend = ImpedanceEstimate(
        none, np.array([1.34, *none[1:]]), none, none, np.array([3, 0, 0, 0], np.uint8), np.zeros(4, np.bool_), none
    )
    told = evidence(0, room.estimate, soh, trend, room.rules)
    assert "71% of a design life of 10 years" in told[0]
    assert "1.41 times as fast as 25 °C" in told[0]
    assert told[1] == "capacity 90.0% ± 2.0% of the rated one by partial discharge"
    assert "impedance 1.34 times its own baseline: warning" in told[2]
    assert told[3] == NOT_VALIDATED
    other = evidence(1, replace(room.estimate, age_frac=none), soh, trend, room.rules)
    assert "its age is unknown" in other[0]
    assert "not proven" in other[1]
    assert other[2] == "no impedance trend"
