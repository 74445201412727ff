"""Which mode a string's scans show, since when; what may hide a discharge is unknown, and float stays float."""

from dataclasses import replace
from math import isnan

import numpy as np
import pytest
from analytics.announced import Announcement
from analytics.discharge.detect import fall_needed_v
from analytics.mode import ModeMemory, Told, follow_mode
from hypothesis import given, settings
from hypothesis import strategies as st
from string_scans import NAN, NOW_S, Player, Scan, layout_of, readings_of, rules_of, sagging, steady

TEST = Announcement("s1", "capacity, 3 h", "bms", 0.0, float("inf"))
FLOAT_V = 2.26
OUTAGE = [*steady(NOW_S, 30.0, FLOAT_V, 0.05), *sagging(NOW_S + 31.0, 60.0, 2.10, 2.05, 50.0)]


def shown(chemistry: str, cell_v: float, discharge_a: float, **how: object) -> str:
    """Return the mode after a minute in which nothing changes, of a string that nobody saw before."""
    layout = layout_of()
    player = Player(layout, rules_of(layout, chemistry))
    return player.play(steady(NOW_S, 60.0, cell_v, discharge_a, **how)).mode


CASES = {
    "lead at float": ("vrla_agm", 2.26, -0.05, {}, "float"),
    "lead at float as compensated at 35 °C": ("vrla_agm", 2.23, -0.05, {"degc": 35.0}, "float"),
    "the same voltage at 25 °C": ("vrla_agm", 2.20, -0.05, {}, "rest"),
    "lead at float, compensated at 5 °C": ("vrla_agm", 2.32, -0.05, {"degc": 5.0}, "float"),
    "no temperature is known: the charger may compensate": ("vrla_agm", 2.225, -0.05, {"degc": NAN}, "float"),
    "compensation ends at 45 °C: no float": ("vrla_agm", 2.14, -0.05, {"degc": 60.0}, "rest"),
    "compensation ends at 45 °C": ("vrla_agm", 2.20, -0.05, {"degc": 60.0}, "float"),
    "an offset of the sensor below one percent of C": ("vrla_agm", 2.26, 0.9, {}, "float"),
    "lead at boost": ("vrla_agm", 2.38, -0.5, {}, "boost"),
    "lead that is charged": ("vrla_agm", 2.15, -10.0, {}, "recharge"),
    "lead in the tail of its charge, below float": ("vrla_agm", 2.20, -1.2, {}, "recharge"),
    "lead at rest": ("vrla_agm", 2.12, 0.0, {}, "rest"),
    "a load that was there before anybody looked": ("vrla_agm", 1.98, 20.0, {}, "discharge"),
    "a current that the voltage does not show": ("vrla_agm", 2.26, 20.0, {}, "unknown"),
    "no current sensor at float": ("vrla_agm", 2.26, NAN, {}, "float"),
    "no current sensor at boost": ("vrla_agm", 2.38, NAN, {}, "boost"),
    "no current sensor below float": ("vrla_agm", 2.12, NAN, {}, "unknown"),
    "vented lead at float": ("vented_lead", 2.23, 0.0, {}, "float"),
    "NiCd at float": ("nicd", 1.41, 0.0, {}, "float"),
    "LFP at float": ("lfp", 3.38, 0.0, {}, "float"),
    "LFP on its plateau": ("lfp", 3.33, 0.0, {}, "rest"),
    "LFP at the end of a charge": ("lfp", 3.55, -1.0, {}, "boost"),
    "NMC at float": ("nmc", 4.10, 0.0, {}, "float"),
    "most readings missing": ("vrla_agm", 2.26, -0.05, {"missing": 0.5}, "unknown"),
    "one reading in ten missing": ("vrla_agm", 2.26, -0.05, {"missing": 0.1}, "float"),
    "one unit under an impedance test": ("vrla_agm", 2.26, -0.05, {"quality": {3: 6}}, "test"),
    "one unit under test while it carries a load": ("vrla_agm", 1.98, 20.0, {"quality": {3: 6}}, "discharge"),
}


@pytest.mark.parametrize(("chemistry", "v", "a", "how", "mode"), CASES.values(), ids=CASES)
def test_a_minute_of_scans_shows(chemistry, v, a, how, mode):
    assert shown(chemistry, v, a, **how) == mode


def test_an_outage_is_told_at_its_first_scan_and_dated_by_the_step():
    player = Player()
    player.play(OUTAGE)
    assert player.modes() == ["float", "discharge"]
    first = next(said[0] for said in player.said if said[0].mode == "discharge")
    assert first.at_s == first.since_s == first.began_s == NOW_S + 31.0
    assert first.dated_by == "step"
    assert "2.100 V per cell, -50.0 A" in first.why


def test_a_current_column_that_begins_early_does_not_date_the_discharge():
    """As in a real recording: -10 A from 06:50:26 on, and the step of 204 mV per block at 07:05:11 only."""
    current_s, step_s = NOW_S + 26.0, NOW_S + 911.0
    before = [
        Scan(NOW_S + second, (13.2302 - 1e-6 * second) / 6.0, 10.0 if NOW_S + second >= current_s else 0.0)
        for second in range(911)
    ]
    after = sagging(step_s, 1800.0, (13.229 - 0.204) / 6.0, 12.69 / 6.0, 10.0)
    player = Player(layout_of(units=1))
    player.play(before)
    assert player.modes() == ["rest", "unknown"]  # forbids, and claims no discharge
    assert "the voltage did not fall" in player.said[-1][0].why
    player.play(after)
    assert player.modes() == ["rest", "unknown", "discharge"]
    assert player.said[-1][0].since_s == step_s
    assert player.said[-1][0].dated_by == "step"


def test_a_current_that_lags_behind_the_voltage_is_dated_by_the_step_too():
    player = Player()
    scans = [*steady(NOW_S, 30.0, FLOAT_V), *steady(NOW_S + 31.0, 3.0, 2.08), *steady(NOW_S + 35.0, 30.0, 2.05, 50.0)]
    assert player.play(scans).since_s == NOW_S + 31.0


def test_a_light_load_on_lithium_shows_within_seconds():
    layout = layout_of(cells_per_unit=1)
    player = Player(layout, rules_of(layout, "lfp"))
    player.play([*steady(NOW_S, 30.0, 3.380), *sagging(NOW_S + 31.0, 30.0, 3.3785, 3.372, 2.5)])
    said = player.said[-1][0]
    assert (said.mode, said.since_s) == ("discharge", NOW_S + 31.0)


def test_a_load_that_the_voltage_shows_only_slowly_is_dated_by_its_current():
    player = Player(layout_of(cells_per_unit=1))
    scans = [*steady(NOW_S, 60.0, 2.10), *sagging(NOW_S + 61.0, 1800.0, 2.0995, 2.08, 4.0)]
    said = player.play(scans)
    assert (said.mode, said.dated_by, said.since_s) == ("discharge", "current", NOW_S + 61.0)


def test_the_fall_has_to_fit_the_current():
    """The least resistance a cell can have, times the current; 2 mV where that would be in the noise."""
    rules = rules_of(layout_of()).strings[0]
    assert fall_needed_v(50.0, rules) == fall_needed_v(-50.0, rules) == pytest.approx(0.015)
    assert fall_needed_v(1.0, rules) == pytest.approx(0.002)
    for fall_v, amps, mode in ((0.010, 50.0, "unknown"), (0.016, 50.0, "discharge"), (0.0015, 3.0, "unknown")):
        player = Player()
        player.play([*steady(NOW_S, 30.0, FLOAT_V), *steady(NOW_S + 31.0, 30.0, FLOAT_V - fall_v, amps)])
        assert player.modes() == ["float", mode], fall_v


def test_recharge_float_and_what_follows():
    player = Player()
    begin_s = OUTAGE[-1].at_s + 1.0
    player.play(
        [
            *OUTAGE,
            *steady(begin_s, 600.0, 2.15, -15.0, 5.0),
            *steady(begin_s + 605.0, 600.0, 2.26, -1.5, 5.0),
            *steady(begin_s + 1210.0, 600.0, 2.26, -0.3, 5.0),
        ]
    )
    assert player.modes() == ["float", "discharge", "recharge", "float"]
    assert player.said[-1][0].since_s == begin_s + 1210.0


def test_rest_after_a_discharge_without_mains():
    player = Player()
    begin_s = OUTAGE[-1].at_s + 1.0
    player.play([*OUTAGE, *steady(begin_s, 60.0, 2.09, 0.1)])
    assert player.modes() == ["float", "discharge", "rest"]
    assert player.said[-1][0].since_s == pytest.approx(begin_s, abs=3.0)


def test_an_opened_breaker_is_told_by_itself_or_by_the_strings_beside():
    told = Player(told=Told(opened=("s1",)))
    assert told.play(steady(NOW_S, 30.0, 2.13)).mode == "open"
    layout = layout_of(2)
    rules = rules_of(layout, dcbus={"s1": "a", "s2": "a"})
    beside = Player(layout, rules)
    for place in range(30):
        said = beside.batch(Scan(NOW_S + place, 2.13), Scan(NOW_S + place, FLOAT_V, -0.1, string=1))
    assert [each.mode for each in said] == ["open", "float"]
    assert "parallel strings are at 2.260 V" in said[0].why
    alone = Player(layout, rules_of(layout))
    for place in range(30):
        said = alone.batch(Scan(NOW_S + place, 2.13), Scan(NOW_S + place, FLOAT_V, -0.1, string=1))
    assert [each.mode for each in said] == ["rest", "float"]


def test_an_announced_test_is_a_test_at_float_and_under_load():
    player = Player(told=Told(in_test={"s1": TEST}))
    player.play(OUTAGE)
    assert player.modes() == ["test"]
    assert player.said[-1][0].is_discharging
    assert not player.said[5][0].is_discharging


class TestReversedSensor:
    """A current sensor that was mounted the wrong way round: unknown, never float, never recharge while on battery."""

    SCANS = tuple(replace(scan, discharge_a=-scan.discharge_a) for scan in OUTAGE)

    def test_an_outage_is_unknown_from_its_first_scan(self):
        player = Player()
        player.play(self.SCANS)
        assert player.modes() == ["float", "unknown"]
        assert player.said[31][0].mode == "unknown"
        assert "check the sensor's sign" in player.said[-1][0].why

    def test_a_charge_that_looks_like_a_discharge_is_unknown(self):
        player = Player()
        player.play([*steady(NOW_S, 30.0, 2.05), *sagging(NOW_S + 31.0, 120.0, 2.15, 2.20, 10.0)])
        assert player.modes() == ["rest", "unknown"]


def test_a_sensor_that_hangs_on_the_load_does_not_keep_the_discharge():
    player = Player()
    begin_s = OUTAGE[-1].at_s + 1.0
    player.play([*OUTAGE, *steady(begin_s, 60.0, 2.25, 50.0)])
    assert player.modes() == ["float", "discharge", "unknown"]


def test_without_a_current_sensor_a_deep_fall_is_a_discharge_and_its_end_is_unknown():
    player = Player()
    scans = [replace(scan, discharge_a=NAN) for scan in OUTAGE]
    player.play(scans)
    assert player.modes() == ["float", "discharge"]
    assert player.said[-1][0].since_s == NOW_S + 31.0
    player.play(steady(OUTAGE[-1].at_s + 1.0, 30.0, 2.12, NAN))
    assert player.modes() == ["float", "discharge", "unknown"]


def test_a_healthy_string_at_float_does_not_flicker():
    """Noise, a swing of the charger, lost currents, lost units, load steps of a second: a day of float stays float."""
    rng = np.random.default_rng(5)
    layout = layout_of()
    player = Player(layout)
    for second in range(10, 86_400, 10):
        swing_v = 0.008 * np.sin(second / 3000.0)
        amps = -0.05 + 0.3 * rng.standard_normal()
        if second % 700 == 0:
            amps = NAN
        if second % 1100 == 0:
            amps = 3.0
        missing = 0.15 if second % 900 == 0 else 0.0
        v = FLOAT_V + swing_v + 1e-4 * rng.standard_normal()
        player.batch(Scan(NOW_S + second, v, amps, 25.0 + swing_v, missing=missing))
    assert player.modes() == ["float"]
    assert player.said[-1][0].since_s == NOW_S + 10.0


def test_a_blink_of_the_charger_is_no_change():
    player = Player()
    player.play([*steady(NOW_S, 30.0, FLOAT_V), *steady(NOW_S + 31.0, 3.0, 2.20), *steady(NOW_S + 35.0, 30.0, FLOAT_V)])
    assert player.modes() == ["float"]


class TestTime:
    def test_repeated_and_older_scans_change_nothing(self):
        player = Player()
        player.play(steady(NOW_S, 30.0, FLOAT_V))
        before = player.memory
        for at_s in (NOW_S + 30.0, NOW_S + 12.0, NOW_S - 100.0):
            player.batch(Scan(at_s, 1.9, 80.0))
            assert player.memory == before

    def test_ten_seconds_without_a_scan_are_unknown_where_other_strings_go_on(self):
        player = Player(layout_of(2))
        for second in range(60):
            scans = [Scan(NOW_S + second, FLOAT_V, string=1)]
            if second <= 20:
                scans.append(Scan(NOW_S + second, FLOAT_V))
            said = player.batch(*scans)
            assert said[0].mode == ("float" if second <= 30 else "unknown"), second
        assert said[0].why == "no scan for 10 s"
        assert said[1].mode == "float"

    def test_a_string_that_comes_back_is_not_silent_any_more(self):
        player = Player(layout_of(2))
        for second in range(200):
            scans = [Scan(NOW_S + second, FLOAT_V, string=1)]
            if not 20 < second < 100:
                scans.append(Scan(NOW_S + second, FLOAT_V))
            said = [player.batch(scan)[0].mode for scan in scans]  # one string after the other, in batches of its own
            if second >= 101:
                assert said == ["float", "float"], second

    def test_a_site_that_falls_silent_is_told_by_the_callers_clock(self):
        player = Player(layout_of(2))
        for second in range(20):
            player.batch(Scan(NOW_S + second, FLOAT_V), Scan(NOW_S + second, FLOAT_V, string=1))
        assert [each.mode for each in player.batch(idle_s=9.0)] == ["float", "float"]
        assert [each.mode for each in player.batch(idle_s=11.0)] == ["unknown", "unknown"]

    def test_another_strings_clock_does_not_make_a_string_silent(self):
        """Two gateways whose clocks are an hour apart, and one of them jumps by a day."""
        player = Player(layout_of(2))
        for second in range(60):
            jump_s = 86_400.0 if second > 30 else 3600.0
            player.batch(Scan(NOW_S + second, FLOAT_V))
            said = player.batch(Scan(NOW_S + jump_s + second, FLOAT_V, string=1))
            assert said[0].mode == "float"

    def test_after_a_gap_the_same_mode_is_the_same_one(self):
        player = Player()
        player.play(steady(NOW_S, 30.0, FLOAT_V))
        said = player.batch(Scan(NOW_S + 300.0, FLOAT_V))[0]
        assert (said.mode, said.since_s) == ("float", NOW_S)
        said = player.batch(Scan(NOW_S + 300.0 + 901.0, FLOAT_V))[0]
        assert (said.mode, said.since_s) == ("float", NOW_S + 1201.0)

    def test_a_discharge_goes_on_over_a_gap(self):
        player = Player()
        player.play(OUTAGE)
        said = player.batch(Scan(OUTAGE[-1].at_s + 60.0, 2.03, 50.0))[0]
        assert (said.mode, said.since_s) == ("discharge", NOW_S + 31.0)

    def test_a_clock_that_was_set_back_by_an_hour_begins_anew(self):
        player = Player()
        player.play(steady(NOW_S, 30.0, FLOAT_V))
        said = player.batch(Scan(NOW_S - 3600.0, FLOAT_V))[0]
        assert (said.mode, said.since_s) == ("float", NOW_S - 3600.0)

    def test_slow_scans_have_a_longer_limit(self):
        layout = layout_of()
        player = Player(layout, rules_of(layout, scan_s=10.0))
        player.play(steady(NOW_S, 60.0, FLOAT_V, 0.0, 10.0))
        player.play([Scan(NOW_S + 70.0, 2.08, 50.0), Scan(NOW_S + 80.0, 2.06, 50.0)])
        assert (player.said[-1][0].mode, player.said[-1][0].since_s) == ("discharge", NOW_S + 70.0)


SCANS = st.lists(
    st.builds(
        Scan,
        at_s=st.floats(NOW_S - 1e3, NOW_S + 1e3) | st.just(NAN),
        cell_v=st.floats(-5.0, 5.0) | st.just(NAN) | st.sampled_from([2.26, 2.05]),
        discharge_a=st.floats(-500.0, 500.0) | st.just(NAN) | st.just(0.0),
        degc=st.floats(-60.0, 200.0) | st.just(NAN),
        string=st.integers(0, 2),
        missing=st.floats(0.0, 1.0),
        quality=st.dictionaries(st.integers(1, 4), st.integers(0, 8), max_size=2),
    ),
    max_size=30,
)


@settings(max_examples=60)
@given(scans=SCANS)
def test_nothing_that_may_come_raises_and_strings_do_not_touch_each_other(scans):
    layout, one = layout_of(3, units=4), layout_of(1, units=4)
    rules, own_rules = rules_of(layout), rules_of(one)
    together, alone = ModeMemory.empty(layout), ModeMemory.empty(one)
    for scan in scans:
        together, said = follow_mode(together, readings_of(layout, scan), rules)
        assert all(each.why for each in said)
        assert all(isnan(each.began_s) or each.is_discharging for each in said)
        if scan.string == 0:
            alone, own = follow_mode(alone, readings_of(one, scan), own_rules)
            is_silent = said[0].why.startswith("no scan for")
            assert is_silent or repr(own[0]) == repr(said[0])
