"""What a bleed must never do, unit by unit, and how modules side by side share what they may give off."""

import math
from dataclasses import replace

import numpy as np
import pytest
from balancer.limits import WORDS, Reason, blocked_units, borders, neighbourhood_w, share_heat, within_charger
from balancer.rules import PackRules
from cellkeeper.contract.balance_state import CellReason
from core_room import LEAD, LITHIUM, seen_of, view
from hypothesis import given
from hypothesis import strategies as st

NAN = math.nan
EVEN_V = [3.42, 3.42, 3.42, 3.42, 3.42]
FIVE = replace(LITHIUM, units=5)


def test_every_reason_has_a_word_and_every_word_a_reason():
    assert sorted(WORDS.values()) == sorted(CellReason.__value__.__args__)
    assert [each.word for each in Reason] == list(WORDS.values())


N, E = Reason.NEIGHBOUR, Reason.EVEN
BLOCKED = {
    "nothing": ({}, (), [E, E, E, E, E]),
    "no reading": ({"v": [3.42, 3.42, NAN, 3.42, 3.42]}, (), [E, N, Reason.NO_READING, N, E]),
    "no reading at the end": ({"v": [NAN, 3.42, 3.42, 3.42, 3.42]}, (), [Reason.NO_READING, N, E, E, E]),
    "no temperature": ({"degc": [25, 25, 25, 25, NAN]}, (), [E, E, E, N, Reason.NO_TEMPERATURE]),
    "frozen": ({}, (1,), [N, Reason.FROZEN, N, E, E]),
    "below its floor": ({"v": [3.42, 3.0, 3.42, 3.42, 3.42]}, (), [E, Reason.BELOW_FLOOR, E, E, E]),
    "just above its floor": ({"v": [3.42, 3.001, 3.42, 3.42, 3.42]}, (), [E, E, E, E, E]),
    "hot": ({"degc": [44, 45, 44, 44, 44]}, (), [E, Reason.HOT, E, E, E]),
    "hotter than the others": ({"degc": [25, 25, 30.1, 25, 25]}, (), [E, E, Reason.HOT, E, E]),
    "disconnected": ({"cut_off": (3,)}, (), [E, E, E, Reason.DISCONNECTED, E]),
    "the strongest": ({"v": [NAN, 3.42, 3.42, 3.42, 3.42], "cut_off": (0,)}, (0,), [Reason.NO_READING, N, E, E, E]),
}  # fmt: skip


@pytest.mark.parametrize(("how", "frozen", "blocked"), BLOCKED.values(), ids=BLOCKED)
def test_a_unit_is_blocked(how, frozen, blocked):
    seen = seen_of(view(how.get("v", EVEN_V), **{k: v for k, v in how.items() if k != "v"}), FIVE, frozen=frozen)
    assert [Reason(each) for each in blocked_units(seen, FIVE)] == blocked
    cap = borders(seen, FIVE).cap
    assert (cap[np.array(blocked) != E] == 0.0).all()
    assert np.isfinite(cap).all()


@pytest.mark.parametrize("v", [[3.42], [NAN]])
def test_a_lone_unit_has_no_neighbours(v):
    assert blocked_units(seen_of(view(v), LITHIUM), LITHIUM)[0] == (Reason.EVEN if v[0] > 0 else Reason.NO_READING)
    assert borders(seen_of(view(v, degc=29.0), LITHIUM), LITHIUM).cap.shape == (1,)


def cap_of(rules: PackRules, v: float = 3.38, degc: float | list[float] = 25.0, units: int = 5) -> np.ndarray:
    return borders(seen_of(view([v] * units, degc=degc), rules), rules).cap


def test_a_module_keeps_its_budget():
    assert cap_of(FIVE) == pytest.approx(1.0)  # 0.2 A x 3.38 V = 0.68 W of 0.8 W
    small = replace(FIVE, budget_w=0.4)
    watts = cap_of(small, v=3.6) * 3.6**2 * 0.2 / 3.38
    assert watts == pytest.approx(0.4)


def test_lead_gives_a_sick_neighbour_no_more_than_two_kelvin():
    assert cap_of(LEAD, v=13.56) == pytest.approx(1.0)
    assert cap_of(replace(LEAD, cooling_w_per_k=0.2), v=13.56) == pytest.approx(0.4 / (13.56 * 0.1))
    assert cap_of(replace(FIVE, cooling_w_per_k=0.01)) == pytest.approx(1.0)  # lithium stores it, and is no heater


@pytest.mark.parametrize(("degc", "cap"), [(25.0, 1.0), (35.0, 1.0), (40.0, 0.5), (44.0, 0.1), (45.0, 0.0)])
def test_the_duty_falls_evenly_in_a_warm_room(degc, cap):
    assert cap_of(FIVE, degc=degc) == pytest.approx(cap)


@pytest.mark.parametrize(("warmer_k", "own", "beside"), [(3.0, 1.0, 1.0), (4.0, 0.5, 0.75), (4.99, 0.005, 0.5025)])
def test_a_warmer_unit_and_its_neighbours_give_way_evenly(warmer_k, own, beside):
    caps = cap_of(FIVE, degc=[25.0, 25.0, 25.0 + warmer_k, 25.0, 25.0])
    assert caps == pytest.approx([1.0, beside, own, beside, 1.0])


@pytest.mark.parametrize(
    ("current_a", "bleed_a", "part"),
    [(0.0, 0.2, 1.0), (0.0, 4.0, 0.25), (1.0, 4.0, 0.5), (3.5, 4.0, 1.0), (-0.4, 4.0, 0.25)],
)
def test_bleeds_take_no_more_than_the_charger_brings(current_a, bleed_a, part):
    rules = replace(FIVE, bleed_a=bleed_a)  # 100 Ah: a sensor surely resolves 1 A
    seen = seen_of(view([3.38] * 5, current_a=current_a), rules)
    assert within_charger(np.ones(5), seen, rules) == pytest.approx(part)


HOT_AT_THE_LEFT = [29.0] * 5 + [25.0] * 6


class TestSharing:
    def watts(self, duty: np.ndarray, v: np.ndarray, rules: PackRules) -> np.ndarray:
        return duty * v * v * (rules.bleed_a / rules.float_v)

    @pytest.mark.parametrize("units", [1, 4])
    def test_four_side_by_side_may_have_all(self, units):
        seen = seen_of(view([3.45] * units), FIVE)
        assert share_heat(np.ones(units), seen, FIVE).tolist() == [1.0] * units

    def test_what_is_within_is_left_alone(self):
        duty = np.array([1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0])
        assert share_heat(duty, seen_of(view([3.45] * 7, degc=HOT_AT_THE_LEFT[:7]), FIVE), FIVE) is duty

    def test_in_a_cool_place_each_may_have_its_budget(self):
        duty = np.ones(11)
        assert share_heat(duty, seen_of(view([3.38] * 11), FIVE), FIVE) is duty
        assert neighbourhood_w(seen_of(view([3.38] * 11), FIVE), FIVE) == pytest.approx([5 * 0.8] * 7)

    @pytest.mark.parametrize(("warmer_k", "budgets"), [(1.5, 5.0), (2.5, 4.0), (3.5, 3.0), (9.0, 3.0)])
    def test_the_warmer_a_place_is_the_less_it_may_give_off(self, warmer_k, budgets):
        degc = [25.0 + warmer_k] * 5 + [25.0] * 6
        assert neighbourhood_w(seen_of(view([3.38] * 11, degc=degc), FIVE), FIVE)[0] == pytest.approx(budgets * 0.8)

    def test_who_has_no_temperature_warms_nobody(self):
        degc = [NAN, 28.125, 28.125, 28.125, 28.125] + [25.0] * 6
        assert neighbourhood_w(seen_of(view([3.38] * 11, degc=degc), FIVE), FIVE)[0] == pytest.approx(4.0 * 0.8)

    def test_lead_shares_evenly(self):
        rules = replace(LEAD, budget_w=1.4)
        shared = share_heat(np.ones(11), seen_of(view([13.6] * 11, degc=HOT_AT_THE_LEFT), rules), rules)
        assert self.watts(shared, np.full(11, 13.6), rules)[:5].sum() == pytest.approx(3 * 1.4)
        assert np.ptp(shared[:5]) == pytest.approx(0.0)
        assert shared[-1] == 1.0, "another place"

    def test_of_lithium_the_highest_keeps_most(self):
        v = np.array([3.41, 3.41, 3.60, 3.41, 3.41] + [3.41] * 6)
        rules = replace(FIVE, budget_w=0.5)
        shared = share_heat(np.full(11, 0.7), seen_of(view(v, degc=HOT_AT_THE_LEFT), rules), rules)
        assert shared[2] == 0.7
        assert (shared[[0, 1, 3, 4]] < 0.7).all()

    def test_no_unit_waits_for_ever(self):
        v = np.array([3.401, 3.5, 3.6, 3.6, 3.6] + [3.41] * 6)
        rules = replace(FIVE, budget_w=0.3)
        assert share_heat(np.ones(11), seen_of(view(v, degc=HOT_AT_THE_LEFT), rules), rules)[0] > 0.01

    @given(st.data(), st.sampled_from([LEAD, LITHIUM]), st.integers(5, 14))
    def test_no_neighbourhood_gives_off_more_and_no_unit_gets_more(self, data, rules, units):
        v = np.array(data.draw(st.lists(st.floats(2.0, 16.0) | st.just(NAN), min_size=units, max_size=units)))
        duty = np.array(data.draw(st.lists(st.floats(0.0, 1.0), min_size=units, max_size=units)))
        degc = data.draw(st.lists(st.floats(20.0, 40.0) | st.just(NAN), min_size=units, max_size=units))
        seen = seen_of(view(v, degc=degc), rules)
        shared = share_heat(duty, seen, rules)
        assert (shared <= duty).all()
        assert (shared >= 0.0).all()
        watts = self.watts(shared, np.nan_to_num(v), rules)
        for at in range(units - 4):
            own = duty[at : at + 5] * np.nan_to_num(v[at : at + 5]) ** 2 * (rules.bleed_a / rules.float_v)
            most_w = neighbourhood_w(seen, rules)[at]
            assert watts[at : at + 5].sum() <= most_w + 1e-9 or own.sum() <= 3.0 * rules.budget_w
