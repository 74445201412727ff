"""What the estimate of charge makes of bad readings: nothing, or less certainty; never a wrong number."""

from dataclasses import fields, replace

import numpy as np
import pytest
from analytics.soc.memory import Owed, Source
from hypothesis import given, settings
from hypothesis import strategies as st
from soc_room import BEGAN_S, NAN, Player, assert_same, chemistry, ocv, packed, rules_of, scan, told_at, unpacked

LEAD, LFP, NMC, LTO = chemistry("vrla_agm"), chemistry("lfp"), chemistry("nmc"), chemistry("lto")
MIXED = {"lead": LEAD, "iron": LFP, "nickel": NMC, "titanate": LTO}
MODES = ("float", "boost", "recharge", "discharge", "rest", "open", "test", "unknown")


def under_way(profile=NMC, *, soc=0.7, scans=30, discharge_a=10.0):
    """Return a player in the middle of a discharge, with its last estimate and the next scan's time."""
    player = told_at(rules_of({"s1": profile}), soc, 0.02)
    for k in range(scans):
        left = soc - k * discharge_a / 360_000.0
        told = player.see("discharge", BEGAN_S + k, ocv(profile, left) - 0.008, discharge_a)
    return player, told, BEGAN_S + scans


def test_a_repeated_scan_changes_nothing():
    player, told, next_s = under_way()
    before = player.memory
    again = player.see("discharge", next_s - 1.0, 3.0, 500.0)
    assert_same(player.memory, before)
    np.testing.assert_array_equal(again.soc_frac, told.soc_frac)


def test_a_scan_out_of_order_changes_no_charge():
    player, told, next_s = under_way()
    again = player.see("discharge", next_s - 20.0, 3.0, 500.0)
    np.testing.assert_array_equal(again.soc_frac, told.soc_frac)
    np.testing.assert_array_equal(again.soc_sd_frac, told.soc_sd_frac)


def test_a_clock_that_was_set_back_is_taken_after_some_scans_and_widens_the_bounds():
    player, told, next_s = under_way(LFP)
    for k in range(8):
        again = player.see("discharge", next_s - 7200.0 + k, 3.28, 10.0)
    assert player.memory.string.at_s[0] == next_s - 7200.0 + 7
    assert (again.soc_sd_frac > told.soc_sd_frac).all()
    assert again.soc_frac == pytest.approx(told.soc_frac, abs=0.001)


def test_one_late_scan_now_and_then_is_no_clock_step():
    player, _, next_s = under_way()
    for k in range(20):
        player.see("discharge", next_s + k, 3.7, 10.0)
        player.see("discharge", next_s - 500.0 + k, 3.7, 10.0)
    assert player.memory.string.at_s[0] == next_s + 19


@pytest.mark.parametrize("gap_s", [60.0, 900.0, 7200.0])
def test_a_gap_is_counted_and_widens_the_bounds(gap_s):
    player, told, next_s = under_way(LFP)
    again = player.see("discharge", next_s + gap_s, NAN, 10.0)
    moved = 10.0 * gap_s / 3600.0 / 100.0
    assert (player.memory.soc_frac == pytest.approx(told.soc_frac - moved, abs=0.002)) or moved > told.soc_frac[0]
    assert (player.memory.sd_frac > told.soc_sd_frac + 0.015 * gap_s / 3600.0).all()
    assert (again.source == Source.UNKNOWN).all() == (player.memory.sd_frac > 0.1).all()


@pytest.mark.parametrize("quality", range(1, 9))
def test_units_without_a_good_voltage_are_counted_on(quality):
    player, told, next_s = under_way(soc=0.7)
    for k in range(60):
        v = np.array([NAN, 3.9, 3.9, 3.9])
        again = player.take(scan(player.rules, next_s + k, v, 10.0, quality=quality), "discharge")
    assert again.source[0] == Source.COULOMB
    assert again.soc_frac[0] == pytest.approx(told.soc_frac[0] - 600.0 / 360_000.0, abs=1e-4)
    assert again.soc_sd_frac[0] > told.soc_sd_frac[0]


def test_no_temperature_keeps_the_last_one():
    player = told_at(rules_of({"s1": NMC}), 0.7, 0.02)
    player.see("rest", BEGAN_S, ocv(NMC, 0.7), degc=10.0)
    player.see("rest", BEGAN_S + 1.0, ocv(NMC, 0.7), degc=NAN)
    assert (player.memory.unit.degc == 10.0).all()


def test_a_voltage_in_the_scan_of_a_step_is_not_believed():
    player, told, next_s = under_way(soc=0.7)
    again = player.see("discharge", next_s, 3.0, 90.0)
    assert again.soc_frac == pytest.approx(told.soc_frac, abs=2e-4)
    np.testing.assert_array_less(0.0, again.soc_sd_frac - told.soc_sd_frac)


def test_the_bleed_of_a_unit_is_counted():
    player = told_at(rules_of({"s1": LFP}), 0.6, 0.02)
    for k in range(361):
        told = player.see("rest", BEGAN_S + 10.0 * k, 3.29, 0.0, bleed_a=np.array([0.0, 1.0, 0.0, 0.0]))
    lost = told.soc_frac[0] - told.soc_frac[1]
    assert lost == pytest.approx(0.01, rel=0.01)


class TestSummingUp:
    """Units are carried on every few seconds; what is told has every scan in it."""

    def test_every_scan_is_told_at_once(self):
        player = told_at(rules_of({"s1": LFP}), 0.8, 0.01)
        told = [player.see("discharge", BEGAN_S + k, 3.28, 36.0).soc_frac[0] for k in range(60)]
        assert np.diff(told) == pytest.approx(np.full(59, -36.0 / 360_000.0), rel=0.01)

    @pytest.mark.parametrize("profile", [LEAD, LFP, NMC])
    def test_sums_of_scans_are_the_same_as_one_long_interval(self, profile):
        often, seldom = (told_at(rules_of({"s1": profile}), 0.8, 0.05) for _ in range(2))
        bleed_a = np.array([0.0, 0.2, 0.0, 0.4])
        for k in range(601):
            v = ocv(profile, 0.8 - k * 20.0 / 360_000.0) - 0.01
            told = often.see("discharge", BEGAN_S + k, v, 20.0, bleed_a=bleed_a)
            if k % 5 == 0:
                other = seldom.see("discharge", BEGAN_S + k, v, 20.0, bleed_a=bleed_a)
        assert told.soc_frac == pytest.approx(other.soc_frac, abs=1e-5)
        assert told.soc_sd_frac == pytest.approx(other.soc_sd_frac, abs=1e-5)
        assert often.memory.unit.v2_v == pytest.approx(seldom.memory.unit.v2_v, abs=1e-5)

    def test_strings_of_one_moment_are_looked_at_together(self):
        player = told_at(rules_of({"a": NMC, "b": NMC}), 0.7, 0.02)
        for k in range(14):  # the step of the first keeps its volts from being looked at in that scan
            player.see("discharge", BEGAN_S + k, 3.8, np.array([30.0 if k >= 5 else 0.0, 10.0]))
        looked_s = player.memory.string.looked_s - BEGAN_S
        assert looked_s.tolist() == [10.0, 10.0]

    def test_a_memory_that_owes_nothing_yet_goes_on(self):
        player, _, next_s = under_way()
        old = Player(player.rules, replace(player.memory, owed=Owed.nothing(1, player.rules.units)))
        player.see("discharge", next_s, 3.7, 10.0)
        told = old.see("discharge", next_s, 3.7, 10.0)
        assert told.soc_frac == pytest.approx(player.memory.soc_frac, abs=2e-4)


class TestWrongSign:
    def stepped(self, player, at_s, *, sign):
        """Play an outage of 30 A; the voltage falls, the sensor says `sign` times the current."""
        told = player.see("rest", at_s, 3.80, 0.0)
        for k in range(1, 60):
            told = player.see("unknown", at_s + k, 3.72, sign * 30.0)
        return told

    def test_it_is_found_at_the_first_step_and_nothing_is_counted(self):
        player = told_at(rules_of({"s1": LFP}), 0.6, 0.02)
        told = self.stepped(player, BEGAN_S, sign=-1.0)
        assert told.sign_suspect.all()
        assert player.memory.soc_frac == pytest.approx(0.6, abs=1e-3)

    def test_a_right_sensor_is_never_suspect(self):
        player = told_at(rules_of({"s1": LFP}), 0.6, 0.02)
        assert not self.stepped(player, BEGAN_S, sign=1.0).sign_suspect.any()
        assert (player.memory.soc_frac < 0.597).all()

    def test_a_step_that_agrees_clears_it(self):
        player = told_at(rules_of({"s1": LFP}), 0.6, 0.02)
        self.stepped(player, BEGAN_S, sign=-1.0)
        player.see("rest", BEGAN_S + 60.0, 3.80, 0.0)
        for round_ in range(1, 3):
            told = self.stepped(player, BEGAN_S + round_ * 100.0, sign=1.0)
        assert not told.sign_suspect.any()

    def test_only_the_string_itself_is_suspect(self):
        player = told_at(rules_of({"a": LFP, "b": LFP}), 0.6, 0.02)
        for k in range(10):
            wrong = 30.0 if k else 0.0
            told = player.see("unknown", BEGAN_S + k, 3.80 if k == 0 else 3.72, np.array([wrong, -wrong]))
        assert told.sign_suspect.tolist() == [False, True]


class TestManyStrings:
    def readings(self, rules, rng, k, *, absent=()):
        strings = len(rules.layout.strings)
        at_s = np.full(strings, BEGAN_S + 2.0 * k)
        at_s[list(absent)] = NAN
        v = np.repeat([2.05, 3.29, 3.80, 2.35], 4)[: rules.units] + 0.02 * rng.standard_normal(rules.units)
        v[rng.random(rules.units) < 0.05] = NAN
        current = rng.choice([0.0, 20.0, -10.0, NAN], strings)
        return scan(rules, at_s, v, current, degc=25.0 + rng.standard_normal(rules.units))

    def one(self, whole, place):
        picked = slice(4 * place, 4 * place + 4)
        values = {}
        for field in fields(whole):
            array = getattr(whole, field.name)
            values[field.name] = array[picked] if len(array) == 16 else array[place : place + 1]
        return type(whole)(**values)

    @settings(max_examples=10)
    @given(seed=st.integers(0, 2**32 - 1))
    def test_each_alone_gives_the_same(self, seed):
        rng, rules = np.random.default_rng(seed), rules_of(MIXED)
        together = Player(rules)
        alone = [Player(rules_of({name: profile})) for name, profile in MIXED.items()]
        for k in range(12):
            readings = self.readings(rules, rng, k)
            modes = tuple(rng.choice(MODES, 4))
            told = together.take(readings, modes)
            for place, player in enumerate(alone):
                assert_same(self.one(told, place), player.take(self.one(readings, place), (modes[place],)))

    def test_a_string_without_a_scan_stays_as_it_is(self):
        rng, rules = np.random.default_rng(3), rules_of(MIXED)
        player = Player(rules)
        for k in range(5):
            before = player.take(self.readings(rules, rng, k), "rest")
        after = player.take(self.readings(rules, rng, 5, absent=[1, 2]), "rest")
        np.testing.assert_array_equal(after.soc_frac[4:12], before.soc_frac[4:12])
        np.testing.assert_array_equal(after.soc_sd_frac[4:12], before.soc_sd_frac[4:12])
        assert (after.soc_sd_frac[:4] != before.soc_sd_frac[:4]).any()


@settings(max_examples=40)
@given(data=st.data())
def test_whatever_is_read_what_is_told_is_possible(data):
    numbers = st.one_of(st.floats(-100.0, 100.0), st.sampled_from([NAN, np.inf, -np.inf, 0.0, 3.3]))
    rules = rules_of({"lead": LEAD, "iron": LFP}, units=2)
    player, at_s = Player(rules), BEGAN_S
    for _ in range(6):
        at_s += data.draw(st.sampled_from([1.0, 0.0, -3.0, 10.0, 1000.0, 1e6]))
        v = data.draw(st.lists(numbers, min_size=4, max_size=4))
        current, degc = data.draw(st.lists(numbers, min_size=2, max_size=2)), data.draw(numbers)
        told = player.see(data.draw(st.sampled_from(MODES)), at_s, v, current, degc=degc)
        known = told.source != Source.UNKNOWN
        assert (np.isfinite(told.soc_frac) == known).all()
        assert ((told.soc_frac >= 0.0) & (told.soc_frac <= 1.0))[known].all()
        assert (told.soc_sd_frac > 0.0)[known].all()


def test_a_restart_goes_on_without_a_jump():
    rng, rules = np.random.default_rng(7), rules_of(MIXED)
    room, player = TestManyStrings(), Player(rules)
    for k in range(40):
        player.take(room.readings(rules, rng, k), "rest")
    restarted = Player(rules, unpacked(packed(player.memory), player.memory))
    for k in range(40, 45):
        readings = room.readings(rules, rng, k)
        assert_same(player.take(readings, "discharge"), restarted.take(readings, "discharge"))


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1), name=st.sampled_from(["vrla_agm", "nmc", "lfp", "lto"]))
def test_the_charge_never_jumps_without_an_anchor(seed, name):
    """From the second estimate on, whatever the volts do; steps of current stay small."""
    rng, profile = np.random.default_rng(seed), chemistry(name)
    player = told_at(rules_of({"s1": profile}), 0.6, 0.05)
    before = None
    for k in range(60):
        v = ocv(profile, 0.6) + 0.3 * rng.standard_normal(4)
        told = player.see("rest", BEGAN_S + 10.0 * k, v, rng.uniform(-5.0, 5.0))
        if before is not None:
            known = (told.source != Source.UNKNOWN) & (before.source != Source.UNKNOWN)
            jumped = np.abs(told.soc_frac - before.soc_frac)
            assert (jumped[known & (told.source != Source.ANCHOR)] <= 0.05).all()
        before = told


@given(amps=st.floats(-40.0, 40.0), gain=st.floats(0.0, 0.05))
@settings(max_examples=25)
def test_between_anchors_the_bounds_only_grow_on_a_flat_curve(amps, gain):
    player = told_at(rules_of({"s1": LFP}), 0.6, 0.01)
    player.capacity = type(player.capacity)(player.capacity.ah, np.full(4, gain))
    sds = [player.see("unknown", BEGAN_S + 10.0 * k, 3.29, amps).soc_sd_frac for k in range(12)]
    assert (np.diff(np.array(sds), axis=0) > 0.0).all()


def test_an_anchor_makes_the_bounds_smaller():
    player = told_at(rules_of({"s1": LFP}), 0.97, 0.05)
    before = player.see("recharge", BEGAN_S, 3.45, -1.5)
    for k in range(1, 200):
        told = player.see("recharge", BEGAN_S + 10.0 * k, 3.45, -1.5)
    assert (told.soc_sd_frac < before.soc_sd_frac).all()
    assert (told.soc_frac == 1.0).all()


def test_a_flat_unit_at_its_cut_off_is_empty():
    player = told_at(rules_of({"s1": LFP}), 0.4, 0.08)
    player.see("discharge", BEGAN_S, 3.0, 30.0)
    told = player.see("discharge", BEGAN_S + 6.0, 2.6, 30.0)
    assert (told.source == Source.ANCHOR).all()
    assert (told.soc_frac < 0.1).all()
    assert (told.anchor_age_h == 0.0).all()
