"""What days of scans say of single units, told in days: what becomes a finding, what does not, and what ends one."""

import math
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from balancer.findings import LOOK_S, Findings
from balancer.limits import Reason
from balancer.rules import PackRules
from cellkeeper.contract.balance_state import BalancePhase
from core_room import LEAD, LITHIUM, seen_of, view

NAN = math.nan
DAY_S = 86_400.0
UNITS = 6
TOP_V = [3.4200, 3.4201, 3.4202, 3.4203, 3.4204, 3.4205]
FLOAT_V = [13.560, 13.561, 13.562, 13.563, 13.564, 13.565]


@dataclass
class Watch:
    """A string that is watched for days, an hour at a step."""

    rules: PackRules
    findings: Findings = field(default_factory=lambda: Findings.none(UNITS))
    spared: tuple[int, ...] = ()

    def days(
        self,
        days: float,
        v: list[float],
        *,
        bleed: list[float] | None = None,
        asked: list[float] | None = None,
        phase: BalancePhase | None = None,
        current_a: float | None = 0.0,
        step_s: float = 3600.0,
    ) -> "Watch":
        seen = seen_of(view(v, bleed=bleed, current_a=current_a), self.rules, phase=phase, dt_s=step_s)
        for _ in range(round(days * DAY_S / step_s)):
            self.findings = self.findings.observe(seen, np.array(asked or [0.0] * UNITS), self.spared, self.rules)
        return self

    def gap(self, seconds: float) -> "Watch":
        seen = seen_of(view(TOP_V), self.rules, dt_s=0.0, gap_s=seconds)
        self.findings = self.findings.observe(seen, np.zeros(UNITS), (), self.rules)
        return self

    @property
    def told(self) -> dict[int, Reason]:
        return {place: Reason(code) for place, code in enumerate(self.findings.reason) if code}


LEAKING = [0.1, 0.1, 0.0, 0.1, 0.1, 0.1]  # five bleed 20 mA, to stay with the third


class TestCharge:
    def test_it_is_booked_once_a_minute(self):
        watch = Watch(LITHIUM).days(30.0 / DAY_S, TOP_V, bleed=[1.0] * UNITS, step_s=10.0)
        assert not watch.findings.moved_ah.any()
        watch.days(30.0 / DAY_S, TOP_V, bleed=[1.0] * UNITS, step_s=10.0)
        assert watch.findings.moved_ah == pytest.approx(np.array(TOP_V) / 3.38 * 0.2 * LOOK_S / 3600.0)
        assert watch.findings.heat_wh == pytest.approx(watch.findings.moved_ah * TOP_V)

    def test_a_module_that_says_nothing_moves_nothing(self):
        watch = Watch(LITHIUM).days(1.0, [NAN, *TOP_V[1:]], bleed=[0.5, NAN, 0.5, 0.5, 0.5, 0.5])
        assert watch.findings.moved_ah[:2].tolist() == [0.0, 0.0]

    def test_a_run_begins_at_zero_and_a_look_of_a_person_keeps_it(self):
        watch = Watch(LITHIUM).days(5.0, TOP_V, bleed=LEAKING)
        assert watch.findings.forgotten().moved_ah.any()
        assert not watch.findings.forgotten().reason.any()
        fresh = watch.findings.new_run()
        assert not fresh.moved_ah.any()
        assert (fresh.reason == watch.findings.reason).all()

    def test_nothing_passes_over_a_gap(self):
        before = Watch(LITHIUM).findings
        assert Watch(LITHIUM).gap(-5.0).findings.pending_s == before.pending_s


class TestLeak:
    def test_it_is_read_back_from_what_the_others_bleed(self):
        watch = Watch(LITHIUM).days(3.0, TOP_V, bleed=LEAKING)
        assert watch.told == {2: Reason.LEAK}
        assert watch.findings.leak_a[2] == pytest.approx(0.02, rel=0.02)

    def test_two_days_are_too_few(self):
        watch = Watch(LITHIUM).days(1.9, TOP_V, bleed=LEAKING)
        assert np.isnan(watch.findings.leak_a).all()
        assert not watch.told

    def test_what_evens_a_string_out_is_no_leak(self):
        watch = Watch(LITHIUM).days(3.0, [3.42, 3.45, 3.45, 3.45, 3.45, 3.45], bleed=[0.0, 1.0, 0.5, 1.0, 1.0, 1.0])
        assert watch.findings.even_s == 0.0
        assert Reason.LEAK not in watch.told.values()

    def test_nor_is_it_even_below_the_top(self):
        assert Watch(LITHIUM).days(1.0, [3.33] * UNITS, phase="idle").findings.even_s == 0.0

    def test_bleeds_that_differ_a_little_tell_nothing(self):
        assert not Watch(LITHIUM).days(30.0, TOP_V, bleed=[0.010, 0.012, 0.0, 0.014, 0.011, 0.013]).told

    def test_a_new_leak_shows_after_a_year_of_none(self):
        watch = Watch(LITHIUM).days(365.0, TOP_V).days(12.0, TOP_V, bleed=LEAKING)
        assert watch.told == {2: Reason.LEAK}

    def test_at_the_border_it_is_told_once(self):
        watch = Watch(LITHIUM).days(10.0, TOP_V, bleed=LEAKING)
        watch.days(10.0, TOP_V, bleed=[0.0] * UNITS)
        assert watch.findings.leak_a[2] == pytest.approx(0.0085, abs=0.001)
        watch.days(10.0, TOP_V, bleed=[0.0] * UNITS)
        assert watch.findings.leak_a[2] < 0.005
        assert watch.told == {2: Reason.LEAK}
        assert not watch.days(30.0, TOP_V, bleed=[0.0] * UNITS).told

    def test_what_leaks_while_nobody_looks_is_not_taken_for_a_leak_of_today(self):
        watch = Watch(LITHIUM).days(3.0, TOP_V, bleed=LEAKING).gap(3600.0)
        assert watch.findings.even_s > 0.0
        assert watch.gap(2 * DAY_S).findings.even_s == 0.0
        assert watch.days(3600.0 / DAY_S, TOP_V).findings.even_s > 0.0
        assert watch.gap(-2 * DAY_S).findings.even_s == 0.0

    @pytest.mark.parametrize("why", ["held out", "new", "silent"])
    def test_a_unit_that_nobody_bleeds_is_not_said_to_leak(self, why):
        watch = Watch(
            replace(LITHIUM, held_out=(5,)) if why == "held out" else LITHIUM, spared=(5,) if why == "new" else ()
        )
        v = [*TOP_V[:5], NAN] if why == "silent" else TOP_V
        watch.days(3.0, v, bleed=[0.1, 0.1, 0.0, 0.1, 0.1, 0.0])
        assert watch.told == {2: Reason.LEAK}

    def test_where_nobody_is_bled_nobody_leaks(self):
        watch = Watch(replace(LITHIUM, held_out=tuple(range(UNITS))))
        assert not watch.days(3.0, TOP_V, bleed=LEAKING).told

    def test_lead_is_not_judged_so(self):
        assert np.isnan(Watch(LEAD).days(30.0, FLOAT_V, bleed=LEAKING).findings.leak_a).all()


ONE = [0.0, 0.0, 1.0, 0.0, 0.0, 0.0]


class TestPersistent:
    def test_days_of_evening_out_a_new_string_are_normal_use(self):
        watch = Watch(LITHIUM).days(1.5, [3.42, 3.6, 3.6, 3.6, 3.6, 3.6], bleed=[0.0, 1.0, 1.0, 1.0, 1.0, 1.0])
        assert not watch.days(30.0, TOP_V).told

    def test_more_than_a_hundredth_a_day_for_a_week_is_a_fault(self):
        watch = Watch(LITHIUM).days(9.0, TOP_V, bleed=ONE)
        assert Reason.PERSISTENT not in watch.told.values()
        assert watch.days(2.0, TOP_V, bleed=ONE).told[2] == Reason.PERSISTENT
        assert watch.findings.not_to_bleed.tolist() == [False, False, True, False, False, False]
        assert not watch.findings.not_a_reference.any()

    def test_it_stands_until_a_person_has_looked(self):
        watch = Watch(LITHIUM).days(12.0, TOP_V, bleed=ONE).days(60.0, TOP_V)
        assert watch.told[2] == Reason.PERSISTENT
        watch.findings = watch.findings.forgotten()
        assert not watch.days(1.0, TOP_V).told

    def test_lead_that_carries_its_part_for_ever_is_normal_use(self):
        assert not Watch(LEAD).days(60.0, FLOAT_V, bleed=ONE, asked=ONE).told


WEAK_V = [12.1, 12.1, 11.9, 12.1, 12.1, 12.1]


class TestWeak:
    def test_a_unit_that_falls_behind_in_discharge(self):
        watch = Watch(LEAD).days(300.0 / DAY_S, WEAK_V, phase="discharge", current_a=-20.0, step_s=60.0)
        assert watch.told == {2: Reason.WEAK}

    def test_one_bad_cell_of_six_is_enough(self):
        v = [12.1, 12.1, 12.1 - 0.07, 12.1, 12.1, 12.1]
        assert Watch(LEAD).days(300.0 / DAY_S, v, phase="discharge", step_s=60.0).told == {2: Reason.WEAK}

    def test_noise_is_none(self):
        v = [12.10, 12.13, 12.02, 12.07, 12.16, 12.05]
        assert not Watch(LEAD).days(300.0 / DAY_S, v, phase="discharge", step_s=60.0).told

    def test_it_stands_after_the_discharge_and_ends_when_the_next_one_shows_none(self):
        watch = Watch(LEAD).days(600.0 / DAY_S, WEAK_V, phase="discharge", step_s=60.0).days(5.0, FLOAT_V)
        assert watch.told == {2: Reason.WEAK}
        assert not watch.days(0.2, [12.1] * UNITS, phase="discharge").told

    def test_a_unit_without_a_reading_keeps_what_was_seen_of_it(self):
        watch = Watch(LEAD).days(600.0 / DAY_S, WEAK_V, phase="discharge", step_s=60.0)
        watch.days(0.2, [12.1, 12.1, NAN, 12.1, 12.1, 12.1], phase="discharge")
        assert watch.told == {2: Reason.WEAK}


OFF_V = [3.330, 3.331, 3.360, 3.330, 3.331, 3.330]


class TestSensor:
    def on_plateau(self, v: list[float], *, rules: PackRules = LITHIUM, phase: BalancePhase = "idle", **how) -> Watch:
        return Watch(rules).days(1.0 / 24.0, v, phase=phase, step_s=60.0, **how)

    def test_a_unit_off_the_others_on_the_plateau(self):
        watch = self.on_plateau(OFF_V)
        assert watch.told == {2: Reason.SENSOR}
        assert watch.findings.not_a_reference[2]
        assert watch.findings.not_to_bleed[2]

    def test_a_quarter_of_an_hour_is_needed(self):
        assert not Watch(LITHIUM).days(800.0 / DAY_S, OFF_V, phase="idle", step_s=60.0).told

    @pytest.mark.parametrize(
        ("v", "how"),
        [
            (OFF_V, {"phase": "charge", "current_a": 20.0}),  # resistances show
            (OFF_V, {"current_a": 2.0}),
            (OFF_V, {"current_a": None}),
            ([3.25, 3.24, 3.28, 3.25, 3.24, 3.25], {}),  # below the step of the curve
            ([3.40, 3.40, 3.43, 3.40, 3.40, 3.40], {}),  # above its plateau
            (OFF_V, {"rules": replace(LITHIUM, plateau_v=None)}),  # a sloped curve: it is charge that differs
        ],
    )
    def test_elsewhere_a_difference_is_none(self, v, how):
        assert not self.on_plateau(v, **how).told

    def test_it_ends_when_it_reads_like_the_others_again(self):
        watch = self.on_plateau(OFF_V)
        assert not watch.days(0.3, [3.33] * UNITS, phase="idle", step_s=60.0).told


DRY_V = [13.60, 13.61, 13.30, 13.60, 13.61, 13.60]
LIFTED = [1.0, 1.0, 0.0, 1.0, 1.0, 1.0]


class TestDryingOut:
    def test_a_unit_that_all_others_lift_for_a_week(self):
        watch = Watch(LEAD).days(6.9, DRY_V, asked=LIFTED)
        assert not watch.told
        assert watch.days(0.2, DRY_V, asked=LIFTED).told == {2: Reason.DRYING_OUT}
        assert watch.findings.not_a_reference[2]

    def test_it_stands_when_nobody_lifts_it_any_more(self):
        watch = Watch(LEAD).days(8.0, DRY_V, asked=LIFTED).days(60.0, FLOAT_V)
        assert watch.told == {2: Reason.DRYING_OUT}

    @pytest.mark.parametrize(
        ("v", "asked"),
        [
            (FLOAT_V, LIFTED),  # not low
            (DRY_V, [0.3, 1.0, 0.0, 0.1, 0.1, 0.1]),  # not lifted by all
            (DRY_V, [1.0, 1.0, 0.2, 1.0, 1.0, 1.0]),  # bled itself
            (DRY_V, [0.0] * UNITS),  # nothing runs
            ([NAN] * UNITS, LIFTED),  # nothing is seen
        ],
    )
    def test_else_it_is_not(self, v, asked):
        assert not Watch(LEAD).days(30.0, v, asked=asked).told

    def test_time_without_it_counts_back(self):
        watch = Watch(LEAD)
        for _ in range(6):
            watch.days(3.0, DRY_V, asked=LIFTED).days(3.0, FLOAT_V)
        assert not watch.told

    def test_two_units_have_no_population(self):
        findings = Findings.none(2)
        seen = seen_of(view([13.6, 13.2]), LEAD, dt_s=3600.0)
        for _ in range(24 * 30):
            findings = findings.observe(seen, np.array([1.0, 0.0]), (), LEAD)
        assert not findings.reason.any()

    def test_lithium_is_not_judged_so(self):
        assert not Watch(LITHIUM).days(30.0, [3.45, 3.45, 3.2, 3.45, 3.45, 3.45], asked=LIFTED).findings.lift_s.any()


def test_one_unit_alone_is_never_conspicuous():
    findings = Findings.none(1)
    for phase, v in (("discharge", 2.5), ("idle", 3.33), ("final", 3.45)):
        seen = seen_of(view([v], bleed=[0.01]), LITHIUM, phase=phase, dt_s=3600.0)
        for _ in range(24 * 20):
            findings = findings.observe(seen, np.zeros(1), (), LITHIUM)
    assert not findings.reason.any()
