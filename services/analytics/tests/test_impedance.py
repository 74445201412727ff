"""Which impedances enter a trend, what they are held against, and which state follows."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from analytics.impedance.follow import (
    ImpedanceEstimate,
    ImpedanceMemory,
    follow_impedance,
    impedance_estimate,
    state_names,
)
from analytics.impedance.rules import BETA_PER_K, DAY_S, ImpedanceRules, Limits, StringImpedanceRules
from analytics.impedance.sweep import Sweep
from analytics.impedance.track import theil_sen
from analytics.mode import ModeSaid
from cellkeeper.contract.telemetry import ImpedanceSweep
from hypothesis import given, settings
from hypothesis import strategies as st
from string_scans import NAN, NOW_S, layout_of

YEAR_S = 365.25 * DAY_S
RULES = StringImpedanceRules.of("vrla_agm", 100.0)


def said(mode: str, at_s: float, since_s: float | None = None, *, is_discharging: bool = False) -> ModeSaid:
    return ModeSaid(mode, at_s if since_s is None else since_s, "", is_discharging, NAN, "", at_s)


class Site:
    """One string of eight units at float for long, whose impedances a test measures."""

    def __init__(self, units: int = 8, lives: list[int] | None = None, terminals: list[str] | None = None) -> None:
        self.layout = layout_of(units=units)
        self.units = units
        self.fit(lives, terminals)
        self.memory = ImpedanceMemory.empty(self.layout)
        self.at_s = NOW_S
        self.refused: list[str] = []
        self.turn("float")
        self.at_s += 2.0 * DAY_S

    def fit(self, lives: list[int] | None = None, terminals: list[str] | None = None) -> None:
        self.rules = ImpedanceRules.of(self.layout, {"s1": RULES}, lives, terminals)

    def turn(self, mode: str, *sweeps: Sweep, ripple_a: float = NAN, **how: object) -> None:
        modes = [said(mode, self.at_s, **how)]  # type: ignore[arg-type]
        self.memory, refused = follow_impedance(self.memory, sweeps, modes, np.array([ripple_a]), self.rules)
        self.refused = [each.why for each in refused]

    def sweep(self, ohm: float | list[float] | np.ndarray, **changes: object) -> Sweep:
        values = np.broadcast_to(np.asarray(ohm, dtype=np.float64), self.units).copy()
        sweep = Sweep(
            "s1", self.at_s, "dc_pulse 0.1 s", "float", np.arange(self.units), values, np.full(self.units, 25.0),
            np.ones(self.units, np.bool_),
        )  # fmt: skip
        return replace(sweep, **changes)  # type: ignore[arg-type]

    def measure(self, ohm: float | list[float] | np.ndarray, days: float = 7.0, **changes: object) -> None:
        self.at_s += days * DAY_S
        self.turn("float", self.sweep(ohm, **changes))

    def weeks(self, count: int, ohm: float | list[float] | np.ndarray, **changes: object) -> None:
        for _ in range(count):
            self.measure(ohm, **changes)

    def estimate(self) -> ImpedanceEstimate:
        return impedance_estimate(self.memory, self.rules)

    def states(self) -> list[str]:
        return state_names(self.estimate().state)


def test_the_wire_becomes_arrays():
    at = datetime(2026, 11, 21, 5, tzinfo=UTC)
    told = ImpedanceSweep(
        string="s1", measured_at=at, method="dc_pulse", pulse_s=0.1, test_a=1.0, mode="float", cells=[1, 3],
        r_ohm=[0.0004, None], cell_measured_at=[at, None], degc=[22.4, None], cell_v=[2.25, None], quality=[0, 4],
    )  # fmt: skip
    sweep = Sweep.of(told)
    assert (sweep.string, sweep.at_s, sweep.method) == ("s1", at.timestamp(), "dc_pulse 0.1 s")
    assert sweep.place.tolist() == [0, 2]
    assert sweep.is_usable.tolist() == [True, False]
    assert np.isnan(sweep.r_ohm[1])
    ac = Sweep.of(told.model_copy(update={"method": "ac", "pulse_s": None, "frequency_hz": 25.0}))
    assert ac.method == "ac 25 Hz"


class TestTemperature:
    @pytest.mark.parametrize("chemistry", sorted(BETA_PER_K))
    def test_a_cold_unit_has_more_and_is_corrected_downwards(self, chemistry):
        """A wrong sign of the coefficient would double the error instead of removing it."""
        beta = BETA_PER_K[chemistry]
        assert beta < 0.0
        degc = np.array([5.0, 15.0, 25.0, 35.0, 45.0])
        true_ohm = 4e-4 * np.exp(beta * (degc - 25.0))
        assert true_ohm[0] > true_ohm[2] > true_ohm[4]
        sweep = replace(Site(units=5).sweep(0.0), r_ohm=true_ohm, degc=degc)
        assert sweep.at_25_ohm(beta) == pytest.approx(4e-4)

    @pytest.mark.parametrize(
        "changes", [{"degc": np.full(8, NAN)}, {"degc": np.full(8, 50.0)}, {"degc": np.full(8, 4.0)}]
    )
    def test_without_a_temperature_from_5_to_45_degrees_a_value_does_not_count(self, changes):
        site = Site()
        site.weeks(6, 4e-4, **changes)
        assert site.states() == ["unknown"] * 8

    def test_a_room_that_warms_up_is_no_trend(self):
        site = Site()
        for week in range(60):
            degc = np.full(8, 20.0 + 8.0 * np.sin(week / 52.0 * 2.0 * np.pi))
            site.measure(4e-4 * np.exp(RULES.beta_per_k * (degc - 25.0)), degc=degc)
        estimate = site.estimate()
        assert estimate.own_frac == pytest.approx(1.0)
        assert estimate.rate_per_year == pytest.approx(0.0, abs=1e-6)
        assert site.states() == ["ok"] * 8


class TestWhatCounts:
    def test_a_day_at_float_has_to_be_known(self):
        site = Site()
        site.memory = ImpedanceMemory.empty(site.layout)
        site.turn("float", site.sweep(4e-4))
        assert site.refused == ["the string is not known to have been at float for 24 h"]
        site.at_s += DAY_S
        site.turn("float", site.sweep(4e-4))
        assert site.refused == []

    @pytest.mark.parametrize("mode", ["discharge", "boost", "recharge", "rest", "open"])
    def test_a_day_after_anything_but_float(self, mode):
        site = Site()
        site.turn(mode)
        site.at_s += 0.9 * DAY_S
        site.turn("float", site.sweep(4e-4))
        assert site.refused != []
        site.at_s += 0.2 * DAY_S
        site.turn("float", site.sweep(4e-4))
        assert site.refused == []

    def test_the_test_itself_and_a_gap_of_seconds_disturb_nothing(self):
        site = Site()
        site.turn("test", site.sweep(4e-4, mode="test"))
        assert site.refused == []
        site.at_s += 600.0
        site.turn("unknown", since_s=site.at_s - 30.0)
        site.turn("float", site.sweep(4e-4))
        assert site.refused == []

    @pytest.mark.parametrize(
        "how", [{"mode": "test", "is_discharging": True}, {"mode": "unknown", "since_s": NOW_S - 1e4}]
    )
    def test_a_test_under_load_and_what_nobody_saw_for_long_disturb(self, how):
        site = Site()
        site.turn(**how)
        site.turn("float", site.sweep(4e-4))
        assert site.refused != []

    def test_ripple_disturbs_where_it_is_measured(self):
        site = Site()
        site.turn("float", site.sweep(4e-4), ripple_a=6.0)
        assert site.refused == ["ripple of 6.0 A, more than 5.0 A"]
        site.turn("float", site.sweep(4e-4), ripple_a=4.0)
        assert site.refused == []

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"mode": "boost"}, "not at float"),
            ({"string": "s9"}, "not known"),
            ({"place": np.arange(1, 9)}, "other units"),
            ({"place": np.arange(-1, 7)}, "other units"),
        ],
    )
    def test_what_is_refused_says_why(self, changes, why):
        site = Site()
        site.turn("float", site.sweep(4e-4, **changes))
        assert why in site.refused[0]
        assert site.memory.tracks == ()

    def test_repeated_and_older_sweeps_are_refused(self):
        site = Site()
        site.measure(4e-4)
        for back_s in (0.0, 100.0):
            site.turn("float", site.sweep(9e-4, at_s=site.at_s - back_s))
            assert site.refused == ["it is not newer than the last one"]

    def test_bad_quality_and_impossible_values_count_for_no_unit(self):
        site = Site()
        ohm = np.full(8, 4e-4)
        ohm[2:5] = NAN, 0.0, -1.0
        usable = np.arange(8) != 6
        site.weeks(6, ohm, is_usable=usable)
        assert site.states() == ["ok", "ok", "unknown", "unknown", "unknown", "ok", "unknown", "ok"]

    def test_sweeps_of_some_units_leave_the_others_as_they_are(self):
        site = Site()
        site.weeks(6, 4e-4)
        for _ in range(5):
            site.at_s += DAY_S
            values = {"r_ohm": np.array([6.4e-4]), "degc": np.array([25.0]), "is_usable": np.ones(1, np.bool_)}
            site.turn("float", site.sweep(4e-4, place=np.array([1]), **values))
        assert site.states() == ["ok", "alarm", *["ok"] * 6]


class TestBaseline:
    def test_of_days_90_to_180_whatever_forming_showed(self):
        site = Site()
        site.weeks(12, 5e-4)  # forming
        assert site.estimate().is_provisional.all()
        site.weeks(15, 4e-4)
        assert site.estimate().own_frac == pytest.approx(1.0)
        site.weeks(4, 4.8e-4)
        estimate = site.estimate()
        assert not estimate.is_provisional.any()
        assert estimate.own_frac == pytest.approx(1.2)

    def test_it_stays_for_years(self):
        site = Site()
        site.weeks(30, 4e-4)
        site.weeks(150, 5e-4)
        assert site.estimate().own_frac == pytest.approx(1.25)

    def test_without_values_in_that_time_it_is_of_the_first_ones_after_it(self):
        site = Site()
        site.weeks(5, 5e-4)
        site.at_s += 200.0 * DAY_S
        site.weeks(20, 4e-4)
        estimate = site.estimate()
        assert not estimate.is_provisional.any()
        assert estimate.own_frac == pytest.approx(1.0)

    def test_a_single_outlier_is_not_seen(self):
        site = Site()
        site.weeks(30, 4e-4)
        site.measure(9e-4)
        assert site.states() == ["ok"] * 8
        assert site.estimate().own_frac == pytest.approx(1.0)

    def test_a_replaced_unit_and_other_terminals_begin_anew(self):
        site = Site()
        site.weeks(30, 4e-4)
        site.weeks(6, 6.4e-4)
        assert site.states() == ["alarm"] * 8
        site.fit(lives=[2, 1, 1, 1, 1, 1, 1, 1])
        assert site.states() == ["unknown", *["alarm"] * 7]
        site.fit(lives=[2, 1, 1, 1, 1, 1, 1, 1], terminals=["", "BC6", "", "", "", "", "", ""])
        assert site.states() == ["unknown", "unknown", *["alarm"] * 6]
        site.weeks(4, 4e-4)
        estimate = site.estimate()
        assert estimate.own_frac[:2] == pytest.approx(1.0)
        assert estimate.is_provisional.tolist() == [True, True, *[False] * 6]

    def test_methods_are_never_compared_and_an_old_alarm_is_not_lost_by_another_method(self):
        site = Site()
        site.weeks(30, 4e-4)
        site.weeks(6, 6.4e-4)
        site.weeks(6, 9e-4, method="ac 1000 Hz")
        estimate = site.estimate()
        assert estimate.own_frac == pytest.approx(1.0)
        assert estimate.ohm == pytest.approx(9e-4)
        assert site.states() == ["alarm"] * 8
        site.weeks(60, 9e-4, method="ac 1000 Hz")
        assert site.states() == ["ok"] * 8

    def test_methods_that_come_and_go_are_bounded(self):
        site = Site()
        for number in range(12):
            site.weeks(3, 4e-4, method=f"ac {number} Hz")
        assert [each.method for each in site.memory.tracks] == [f"ac {number} Hz" for number in range(8, 12)]


class TestStates:
    @pytest.mark.parametrize(
        ("own", "state"), [(1.0, "ok"), (1.18, "ok"), (1.21, "watch"), (1.31, "warning"), (1.51, "alarm")]
    )
    def test_against_the_own_baseline(self, own, state):
        site = Site()
        site.weeks(30, 4e-4)
        for step in range(20):  # all together, so that none is apart from the others
            site.measure(4e-4 * (1.0 + (own - 1.0) * min(1.0, step / 10.0)), days=400.0)
        assert site.states() == [state] * 8

    @pytest.mark.parametrize(("factor", "state"), [(1.08, "ok"), (1.22, "watch"), (0.78, "watch"), (1.31, "warning")])
    def test_against_the_string(self, factor, state):
        site = Site()
        ohm = np.full(8, 4e-4)
        ohm[3] *= factor
        site.weeks(30, ohm)
        assert site.states() == ["ok", "ok", "ok", state, *["ok"] * 4]
        assert site.estimate().peers_frac[3] == pytest.approx(factor)

    def test_units_behind_other_terminals_are_not_compared(self):
        terminals = ["double", *["single"] * 7]
        site = Site(terminals=terminals)
        site.weeks(30, np.array([6e-4, *[4e-4] * 7]))
        assert site.states() == ["ok"] * 8
        assert np.isnan(site.estimate().peers_frac[0])

    def test_growth_of_more_than_five_percent_a_year_is_worth_a_look(self):
        site = Site()
        begin_s = site.at_s
        for _ in range(52):
            site.measure(4e-4 * np.exp(0.07 * (site.at_s + 7.0 * DAY_S - begin_s) / YEAR_S))
        estimate = site.estimate()
        assert estimate.rate_per_year == pytest.approx(0.07, abs=0.002)
        assert estimate.own_frac.max() < 1.2
        assert site.states() == ["watch"] * 8

    def test_a_state_is_left_only_when_the_value_is_clearly_lower(self):
        site = Site()
        site.weeks(30, 4e-4)
        site.weeks(5, 4e-4 * 1.31)
        assert site.states() == ["warning"] * 8
        site.weeks(5, 4e-4 * 1.28)
        assert site.states() == ["warning"] * 8
        site.weeks(5, 4e-4 * 1.24)
        assert site.states() == ["watch"] * 8

    def test_below_three_values_nothing_is_said(self):
        site = Site()
        site.weeks(2, 4e-4)
        assert site.states() == ["unknown"] * 8
        site.weeks(1, 4e-4)
        assert site.states() == ["ok"] * 8

    def test_below_four_units_the_string_says_nothing(self):
        site = Site(units=3)
        site.weeks(30, np.array([4e-4, 4e-4, 6e-4]))
        assert site.states() == ["ok"] * 3
        assert np.isnan(site.estimate().peers_frac).all()

    def test_lithium_has_its_own_limits(self):
        lithium, lead = StringImpedanceRules.of("lfp", 100.0).limits, RULES.limits
        assert lithium.watch_frac > lead.watch_frac
        assert lead == Limits()


class TestTheilSen:
    @settings(max_examples=30)
    @given(st.floats(-0.3, 0.5), st.integers(0, 2**16))
    def test_a_third_of_wrong_points_moves_it_little(self, rate, seed):
        rng = np.random.default_rng(seed)
        t = NOW_S - np.arange(26.0)[:, None] * 14.0 * DAY_S
        ohm = 4e-4 * np.exp(rate * (t - NOW_S) / YEAR_S)
        ohm[rng.choice(26, 5, replace=False)] *= 2.0
        assert theil_sen(t, ohm, NOW_S)[0] == pytest.approx(rate, abs=0.25)
        assert theil_sen(t, 4e-4 * np.exp(rate * (t - NOW_S) / YEAR_S), NOW_S)[0] == pytest.approx(rate, abs=1e-9)

    @pytest.mark.parametrize("points", [0, 1, 5])
    def test_too_few_or_too_close_points_give_none(self, points):
        t = np.full((27, 1), NAN)
        t[:points, 0] = NOW_S - np.arange(points) * 14.0 * DAY_S
        assert np.isnan(theil_sen(t, np.where(np.isnan(t), NAN, 4e-4), NOW_S)[0])
        close = NOW_S - np.arange(8.0)[:, None] * DAY_S
        assert np.isnan(theil_sen(close, np.full((8, 1), 4e-4), NOW_S)[0])

    def test_what_is_older_than_a_year_does_not_count(self):
        t = NOW_S - np.arange(27.0)[:, None] * 28.0 * DAY_S
        ohm = np.where(NOW_S - t <= YEAR_S, 4e-4, 8e-4)
        assert theil_sen(t, ohm, NOW_S)[0] == pytest.approx(0.0, abs=1e-12)


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.floats(-100.0, 1e6), st.lists(st.floats(-1.0, 1.0) | st.just(NAN), min_size=8, max_size=8),
            st.floats(-60.0, 200.0) | st.just(NAN), st.sampled_from(["a", "b"]),
        ),
        max_size=12,
    )
)  # fmt: skip
def test_whatever_is_measured_nothing_raises(rows):
    site = Site()
    for later_s, ohm, degc, method in rows:
        site.turn(
            "float", replace(site.sweep(np.array(ohm), method=method, degc=np.full(8, degc)), at_s=site.at_s + later_s)
        )
    estimate = site.estimate()
    assert set(state_names(estimate.state)) <= {"unknown", "ok", "watch", "warning", "alarm"}
    known = ~np.isnan(estimate.own_frac)
    assert (estimate.own_frac[known] > 0.0).all()
