"""Which phase a scan shows, what has to hold for how long before a string may be balanced, and what breaks it."""

import math
from dataclasses import replace

import numpy as np
import pytest
from balancer.pack_stats import PackStats
from balancer.pack_view import PackView
from balancer.phase import PhaseMemory, follow, gap_limit_s
from balancer.rules import PackRules
from core_room import LEAD, LITHIUM, NOW_S, view

NAN = math.nan
FLOAT_V, TOP_V = [13.56] * 4, [3.45, 3.44, 3.43, 3.42]


def after(memory: PhaseMemory, scan: PackView, rules: PackRules) -> PhaseMemory:
    return follow(memory, scan, PackStats.of(scan, ~np.isnan(scan.cell_v)), rules)


def shown(v: list[float], rules: PackRules, *, current_a: float | None = 0.05, was: PhaseMemory | None = None, **how):
    """Return the phase after this scan for a string that was ready long before (`was` says otherwise)."""
    ready = PhaseMemory("idle", NOW_S - 9e4, NOW_S - 10.0, NOW_S - 9e4, NOW_S - 9e4)
    return after(was or ready, view(v, current_a=current_a, **how), rules).phase


CASES = {
    "lead at float": (FLOAT_V, LEAD, {}, "float"),
    "lead 50 mV per cell below float: still there": ([13.56 - 0.3] * 4, LEAD, {}, "float"),
    "lead 70 mV per cell below float": ([13.56 - 0.42] * 4, LEAD, {}, "idle"),
    "lead as the charger compensates at 35 °C": ([13.56 - 0.18] * 4, LEAD, {"degc": 35.0}, "float"),
    "lead at rest": ([12.84] * 4, LEAD, {}, "idle"),
    "lead that is charged": ([13.9] * 4, LEAD, {"current_a": 6.0}, "charge"),
    "lead that is discharged": ([13.3] * 4, LEAD, {"current_a": -2.0}, "discharge"),
    "a current at the offset of its sensor": (FLOAT_V, LEAD, {"current_a": -0.9}, "float"),
    "current says charged, voltage says on battery": ([11.8] * 4, LEAD, {"current_a": 20.0}, "idle"),
    "lithium at the top": (TOP_V, LITHIUM, {}, "final"),
    "lithium whose highest cell came down to the band": ([3.37, 3.35, 3.35, 3.35], LITHIUM, {}, "final"),
    "lithium whose highest cell left the band": ([3.355, 3.35, 3.35, 3.35], LITHIUM, {}, "idle"),
    "lithium on its plateau": ([3.33] * 4, LITHIUM, {}, "idle"),
    "lithium that is charged": (TOP_V, LITHIUM, {"current_a": 20.0}, "charge"),
    "lithium on battery, the light load shown as a charge": (TOP_V, LITHIUM, {"current_a": 3.0}, "charge"),
    "no current sensor": (FLOAT_V, LEAD, {"current_a": None}, "unknown"),
    "one reading of four missing": ([13.56, 13.56, 13.56, NAN], LEAD, {}, "unknown"),
    "no readings at all": ([NAN] * 4, LEAD, {}, "unknown"),
    "one unit in test": (FLOAT_V, LEAD, {"quality": [0, 6, 0, 0]}, "test"),
}


@pytest.mark.parametrize(("v", "rules", "how", "phase"), CASES.values(), ids=CASES)
def test_a_scan_shows(v, rules, how, phase):
    assert shown(v, rules, **how) == phase


def test_entering_asks_for_more_than_staying():
    fresh = PhaseMemory("idle", NOW_S - 9e4, NOW_S - 10.0, None, NOW_S - 9e4)
    for v, rules in (([13.56 - 0.3] * 4, LEAD), ([3.37] * 4, LITHIUM)):
        assert after(fresh, view(v), rules).ready_s is None
    for v, rules in ((FLOAT_V, LEAD), (TOP_V, LITHIUM)):
        assert after(fresh, view(v), rules).ready_s == NOW_S


def play(rules: PackRules, v: list[float], seconds: float, memory: PhaseMemory, **how) -> list[PhaseMemory]:
    told, begin_s = [], NOW_S if math.isinf(memory.at_s) else memory.at_s
    for step in range(1, round(seconds / rules.scan_s) + 1):
        memory = after(memory, view(v, at_s=begin_s + step * rules.scan_s, **how), rules)
        told.append(memory)
    return told


def first_s(told: list[PhaseMemory], phase: str) -> float | None:
    return next((each.at_s - NOW_S for each in told if each.phase == phase), None)


def test_lithium_waits_a_minute_and_lead_an_hour_after_the_first_scan():
    assert first_s(play(LITHIUM, TOP_V, 300.0, PhaseMemory()), "final") == 70.0
    assert first_s(play(LEAD, FLOAT_V, 4000.0, PhaseMemory()), "float") == 3610.0


@pytest.mark.parametrize("gap_s", [40.0, 890.0])
def test_after_a_gap_it_has_to_prove_itself_again(gap_s):
    ready = play(LEAD, FLOAT_V, 4000.0, PhaseMemory())[-1]
    memory = after(ready, view(FLOAT_V, at_s=ready.at_s + gap_s), LEAD)
    assert memory.phase == "idle"
    assert memory.ready_s == memory.at_s


def test_what_happened_in_a_long_gap_may_have_been_a_discharge():
    ready = play(LEAD, FLOAT_V, 4000.0, PhaseMemory())[-1]
    assert after(ready, view(FLOAT_V, at_s=ready.at_s + 890.0), LEAD).disturbed_s == ready.disturbed_s
    later = ready.at_s + 910.0
    assert after(ready, view(FLOAT_V, at_s=later), LEAD).disturbed_s == later


@pytest.mark.parametrize("step_s", [0.0, -1.0, -1e6])
def test_a_scan_that_is_not_newer_makes_everything_unknown(step_s):
    ready = PhaseMemory("float", 0.0, NOW_S, 0.0, 0.0, is_tail_over=False)
    memory = after(ready, view(FLOAT_V, at_s=NOW_S + step_s), LEAD)
    assert memory == PhaseMemory("unknown", NOW_S + step_s, NOW_S + step_s, None, NOW_S + step_s)


def test_the_time_of_a_phase_counts_from_its_first_scan():
    ready = PhaseMemory("final", NOW_S - 500.0, NOW_S - 10.0, NOW_S - 600.0, 0.0)
    assert after(ready, view(TOP_V), LITHIUM).since_s == NOW_S - 500.0
    assert after(ready, view([3.33] * 4), LITHIUM).since_s == NOW_S


DISTURBANCES = {
    "a discharge": (FLOAT_V, {"current_a": -2.0}),
    "the same with a sensor that was mounted the wrong way round": (FLOAT_V, {"current_a": 2.0}),
    "a voltage without a charger": ([12.84] * 4, {}),
    "a discharge under a test": (FLOAT_V, {"current_a": -2.0, "quality": [6, 0, 0, 0]}),
}


@pytest.mark.parametrize(("v", "how"), DISTURBANCES.values(), ids=DISTURBANCES)
def test_lead_rests_for_an_hour_after(v, how):
    ready = PhaseMemory("float", 0.0, NOW_S - 10.0, 0.0, 0.0)
    disturbed = after(ready, view(v, **how), LEAD)
    assert disturbed.disturbed_s == NOW_S
    assert first_s(play(LEAD, FLOAT_V, 4000.0, disturbed), "float") == 3600.0


def test_a_string_that_nobody_saw_for_long_may_have_been_discharged():
    ready = PhaseMemory("float", 0.0, NOW_S, 0.0, 0.0)
    blind = play(LEAD, FLOAT_V, 1000.0, ready, current_a=None)
    assert [each.disturbed_s for each in blind[:90]] == [0.0] * 90
    assert blind[-1].disturbed_s == blind[-1].at_s


class TestTail:
    """Above 1 % of C only the tail of a real charge is none: else a sensor the wrong way round could show a load so."""

    TAIL_A = 3.0

    def test_after_ten_minutes_of_charge_its_tail_is_final(self):
        charged = play(LITHIUM, TOP_V, 660.0, PhaseMemory(), current_a=20.0)[-1]
        assert charged.phase == "charge"
        assert not charged.is_tail_over
        assert play(LITHIUM, TOP_V, 100.0, charged, current_a=self.TAIL_A)[-1].phase == "final"

    def test_a_short_charge_has_no_tail(self):
        charged = play(LITHIUM, TOP_V, 300.0, PhaseMemory(), current_a=20.0)[-1]
        assert charged.is_tail_over

    def test_once_it_has_died_away_more_is_no_tail(self):
        charged = replace(PhaseMemory(at_s=NOW_S, phase="charge", since_s=NOW_S - 900.0), is_tail_over=False)
        still = after(charged, view(TOP_V, at_s=NOW_S + 10.0, current_a=self.TAIL_A), LITHIUM)
        unknown = after(still, view(TOP_V, at_s=NOW_S + 20.0, current_a=None), LITHIUM)
        assert not unknown.is_tail_over
        over = after(unknown, view(TOP_V, at_s=NOW_S + 30.0, current_a=0.1), LITHIUM)
        assert over.is_tail_over
        assert after(over, view(TOP_V, at_s=NOW_S + 40.0, current_a=self.TAIL_A), LITHIUM).phase == "charge"

    def test_a_small_string_is_charged_from_the_smaller_border_on(self):
        small = replace(LITHIUM, rated_ah=7.0)
        assert shown(TOP_V, small, current_a=0.36) == "charge"
        assert shown(TOP_V, small, current_a=0.34) == "final"


def test_nothing_is_concluded_over_more_than_three_scans():
    assert gap_limit_s(replace(LEAD, scan_s=1.0)) == 10.0
    assert gap_limit_s(replace(LEAD, scan_s=10.0)) == 30.0
