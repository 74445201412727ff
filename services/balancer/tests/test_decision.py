"""From a scan to duties and reasons: what stops everything, who is left alone, and what is remembered."""

import math
from dataclasses import replace

import numpy as np
import pytest
from balancer.decision import PackMemory, decide
from balancer.findings import Findings
from balancer.limits import Reason
from balancer.orders import Forced, Orders
from balancer.phase import PhaseMemory
from core_room import LEAD, LITHIUM, NOW_S, decided, ready, view

NAN = math.nan
TOP_V = [3.45, 3.44, 3.43, 3.42]
FLOAT_V = [13.66, 13.54, 13.54, 13.46]
R = Reason


def words(decision) -> list[str]:
    return [R(each).word for each in decision.reason]


def finding(reason: Reason, place: int, units: int = 4) -> Findings:
    codes = np.zeros(units, dtype=np.int8)
    codes[place] = reason
    return replace(Findings.none(units), reason=codes)


def test_lithium_goes_down_to_its_lowest():
    decision = decided(view(TOP_V), LITHIUM)
    assert words(decision) == ["bleeding", "bleeding", "bleeding", "reference"]
    assert decision.duty.tolist() == [1.0, 1.0, 1.0, 0.0]
    assert decision.counted.all()


def test_a_unit_that_is_high_where_the_curve_is_flat_waits():
    assert words(decided(view([3.45, 3.39, 3.38, 3.37]), LITHIUM)) == ["bleeding", "flat", "flat", "reference"]


def test_lead_goes_towards_its_mean():
    decision = decided(view(FLOAT_V), LEAD)
    assert words(decision) == ["bleeding", "even", "even", "even"]
    assert decision.duty[0] == pytest.approx(1.0)


def test_what_a_limit_cuts_is_told():
    assert words(decided(view(TOP_V), replace(LITHIUM, budget_w=0.4)))[:3] == ["budget"] * 3


INHIBITED = {
    "strategy_none": {"rules": replace(LITHIUM, strategy="none")},
    "not_permitted": {"rules": replace(LITHIUM, is_permitted=False)},
    "paused": {"orders": Orders(paused_until_s=NOW_S + 1.0)},
    "mode_forbids": {"orders": Orders(mode_forbids=True)},
    "no_current": {"current_a": None},
    "coverage": {"v": [3.45, 3.44, NAN, 3.42]},
    "warm_room": {"degc": 46.0},
    "settling": {"memory": replace(ready(LITHIUM), phase=replace(ready(LITHIUM).phase, ready_s=NOW_S - 20.0))},
    "phase": {"current_a": -5.0},
    "float_current": {"rules": LEAD, "v": FLOAT_V, "float_a": 0.12},
}


class TestInhibited:
    @pytest.mark.parametrize(("why", "how"), INHIBITED.items(), ids=INHIBITED)
    def test_nothing_is_bled(self, why, how):
        how = dict(how)
        rules, v = how.pop("rules", LITHIUM), how.pop("v", TOP_V)
        memory, orders = how.pop("memory", None), how.pop("orders", None)
        decision = decided(view(v, **how), rules, memory=memory, orders=orders)
        assert decision.inhibit == why
        assert not decision.duty.any()
        assert set(words(decision)) <= {"inhibited", "hot", "no_reading", "neighbour"}

    def test_what_was_learned_waits_and_hysteresis_does_not(self):
        memory = replace(ready(LEAD), integral=np.full(4, 0.3), is_active=np.ones(4, dtype=bool), duty=np.ones(4))
        after = decided(view(FLOAT_V, current_a=-9.0), LEAD, memory=memory).memory
        assert after.integral.tolist() == [0.3] * 4
        assert not after.is_active.any()
        assert not after.duty.any()

    def test_a_force_changes_nothing_of_it(self):
        orders = Orders(forced={0: Forced(1.0, NOW_S + 60.0)})
        for how in ({"current_a": -5.0}, {"current_a": None}, {"degc": 46.0}):
            assert not decided(view(TOP_V, **how), LITHIUM, orders=orders).duty.any()


class TestForced:
    def forced(self, place: int, frac: float, v: list[float] = TOP_V, **how):
        return decided(view(v, **how), LITHIUM, orders=Orders(forced={place: Forced(frac, NOW_S + 60.0)}))

    def test_a_person_may_want_another_duty(self):
        decision = self.forced(3, 0.5)
        assert decision.duty[3] == 0.5
        assert words(decision)[3] == "forced"
        assert self.forced(0, 0.25).duty[0] == 0.25

    def test_but_no_limit_gives_way(self):
        assert self.forced(3, 1.0, [3.45, 3.44, 3.43, 2.99]).duty[3] == 0.0
        assert words(self.forced(3, 1.0, [3.45, 3.44, 3.43, 2.99]))[3] == "below_floor"
        assert self.forced(0, 1.0, degc=[31.0, 25.0, 25.0, 25.0]).duty[0] == 0.0

    def test_nor_a_finding_nor_a_hold_out(self):
        memory = replace(ready(LITHIUM), findings=finding(R.PERSISTENT, 0))
        orders = Orders(forced={0: Forced(1.0, NOW_S + 60.0), 1: Forced(1.0, NOW_S + 60.0)})
        decision = decided(view(TOP_V), replace(LITHIUM, held_out=(1,)), memory=memory, orders=orders)
        assert words(decision)[:2] == ["persistent", "held_out"]
        assert decision.duty[:2].tolist() == [0.0, 0.0]


class TestLeftAlone:
    @pytest.mark.parametrize("reason", [R.SENSOR, R.DRYING_OUT, R.PERSISTENT])
    def test_a_fault_is_not_bled(self, reason):
        decision = decided(view(TOP_V), LITHIUM, memory=replace(ready(LITHIUM), findings=finding(reason, 0)))
        assert decision.duty[0] == 0.0
        assert words(decision)[0] == reason.word

    @pytest.mark.parametrize(("reason", "counts"), [(R.SENSOR, False), (R.PERSISTENT, True), (R.LEAK, True)])
    def test_who_reads_wrong_is_no_reference(self, reason, counts):
        decision = decided(view(TOP_V), LITHIUM, memory=replace(ready(LITHIUM), findings=finding(reason, 3)))
        assert decision.counted[3] == counts
        assert decision.duty[2] == (1.0 if counts else 0.0)

    @pytest.mark.parametrize("reason", [R.LEAK, R.WEAK])
    def test_what_is_only_told_is_bled_as_before(self, reason):
        decision = decided(view(TOP_V), LITHIUM, memory=replace(ready(LITHIUM), findings=finding(reason, 0)))
        assert decision.duty[0] == 1.0
        assert words(decision)[0] == reason.word

    def test_a_new_battery_is_neither_bled_nor_a_reference(self):
        for rules, v in ((LITHIUM, TOP_V), (LEAD, FLOAT_V)):
            decision = decided(view(v), rules, orders=Orders(spared={0: NOW_S + 9.0}))
            assert words(decision)[0] == "new_battery"
            assert not decision.counted[0]

    def test_a_held_out_unit_counts_for_lithium_and_not_for_the_mean_of_lead(self):
        for rules, v, counts in ((LITHIUM, TOP_V, True), (LEAD, FLOAT_V, False)):
            decision = decided(view(v), replace(rules, held_out=(0,)))
            assert decision.duty[0] == 0.0
            assert decision.counted[0] == counts

    def test_a_held_out_unit_that_reads_wrong_is_no_reference_either(self):
        memory = replace(ready(LITHIUM), findings=finding(R.SENSOR, 3))
        assert not decided(view(TOP_V), replace(LITHIUM, held_out=(3,)), memory=memory).counted[3]

    def test_the_integral_of_who_is_left_alone_does_not_wind_up(self):
        memory, orders = ready(LEAD), Orders(spared={0: NOW_S + 9e9})
        for step in range(500):
            memory = decide(view(FLOAT_V, at_s=NOW_S + 10.0 * step), memory, LEAD, orders).memory
        assert memory.integral[0] == 0.0


@pytest.mark.parametrize(("float_a", "part"), [(None, 1.0), (0.05, 1.0), (0.11, 0.5), (0.1199, 0.005)])
def test_duties_fade_where_the_string_already_takes_much_float_current(float_a, part):
    full = decided(view(FLOAT_V), LEAD).duty[0]
    assert decided(view(FLOAT_V, float_a=float_a), LEAD).duty[0] == pytest.approx(full * part, rel=0.01)


def test_lithium_knows_no_float_current():
    assert decided(view(TOP_V, float_a=5.0), LITHIUM).duty.any()


def test_hysteresis_is_remembered_from_scan_to_scan():
    memory = decided(view([3.4245, 3.42, 3.42, 3.42]), LITHIUM).memory
    assert memory.is_active.tolist() == [True, False, False, False]
    later = view([3.4225, 3.42, 3.42, 3.42], at_s=NOW_S + 10.0)
    assert decide(later, memory, LITHIUM, Orders()).duty[0] == 1.0
    assert decide(later, ready(LITHIUM, at_s=NOW_S), LITHIUM, Orders()).duty[0] == 0.0


def test_a_unit_that_was_blocked_begins_anew():
    memory = decided(view([3.4245, 3.42, 3.42, 3.42], degc=[NAN, 25.0, 25.0, 25.0]), LITHIUM).memory
    assert not memory.is_active.any()


def test_what_modules_do_already_is_taken_over_once():
    memory = ready(LEAD, is_new=True)
    decision = decided(view([13.56] * 4, bleed=[0.4, 0.2, 0.0, 0.0]), LEAD, memory=memory)
    assert decision.duty == pytest.approx([0.4, 0.2, 0.0, 0.0], abs=0.01)
    assert not decision.memory.is_new


def test_a_unit_that_is_cut_off_counts_for_nothing():
    assert decided(view([*TOP_V, 3.3], cut_off=(4,)), LITHIUM, memory=ready(LITHIUM, 5)).stats.lowest_v == 3.42


@pytest.mark.parametrize("units", [1, 2])
def test_small_strings_are_strings(units):
    for rules, v in ((LITHIUM, TOP_V[-units:]), (LEAD, FLOAT_V[:units])):
        decision = decided(view(v), rules, memory=ready(rules, units))
        assert decision.duty.shape == (units,)
        assert decision.inhibit == ""


def test_silence_is_survived():
    decision = decided(view([NAN] * 4, degc=NAN, current_a=None), LITHIUM)
    assert decision.inhibit == "no_current"
    assert words(decision) == ["no_reading"] * 4


def test_a_string_of_which_only_doubtful_units_are_left_is_not_balanced():
    findings = replace(Findings.none(4), reason=np.full(4, R.SENSOR, dtype=np.int8))
    decision = decided(view(TOP_V), LITHIUM, memory=replace(ready(LITHIUM), findings=findings))
    assert not decision.duty.any()
    assert not decision.counted.any()


def test_the_first_scan_bleeds_nothing():
    for rules, v in ((LITHIUM, TOP_V), (LEAD, FLOAT_V)):
        decision = decide(view(v), PackMemory.empty(4), rules, Orders())
        assert decision.inhibit == "settling"
        assert decision.memory.phase.at_s == NOW_S
        assert decision.memory.phase != PhaseMemory()
