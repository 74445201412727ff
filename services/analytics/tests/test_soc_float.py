"""Weeks in float, with the breaker open, with a leak, without a sensor: nothing may be claimed that nobody can know."""

import numpy as np
import pytest
from analytics.soc.memory import Source
from soc_room import BEGAN_S, Player, chemistry, ocv, rules_of, told_at

SLOW = 2.0 * 3600.0  # rooms are scanned every second; weeks are played in larger steps
HOUR_S, DAY_S = 3600.0, 86_400.0
LEAD, LFP, NMC, NICD = chemistry("vrla_agm"), chemistry("lfp"), chemistry("nmc"), chemistry("nicd")
FLOAT_V = {"vrla_agm": 2.26, "lfp": 3.42, "nicd": 1.41}


def floated(profile, float_v, *, days, offset_a=0.0, step_s=600.0):
    """Return a player after days of float, with what it told at the end of each."""
    player = Player(rules_of({"s1": profile}, gap_s=SLOW))
    told = [
        player.see("float", BEGAN_S + k * step_s, float_v, -0.05 + offset_a)
        for k in range(round(days * DAY_S / step_s))
    ]
    return player, told[round(DAY_S / step_s) :: round(DAY_S / step_s)]


@pytest.mark.parametrize("name", FLOAT_V)
@pytest.mark.parametrize("offset_a", [0.05, -0.05])
def test_a_month_of_float_does_not_move_the_charge(name, offset_a):
    player, told = floated(chemistry(name), FLOAT_V[name], days=32, step_s=3600.0, offset_a=offset_a)
    anchored = [each.soc_frac for each in told[2:]]
    assert np.ptp(anchored) <= 0.001
    assert (told[-1].source == Source.FLOAT).all()
    assert (told[-1].soc_sd_frac >= player.rules.full_sd_frac).all()
    assert (told[-1].anchor_age_h < 1.0).all()


def test_an_unanchored_flat_unit_is_unknown():
    player = Player(rules_of({"s1": LFP}))
    for k in range(200):
        told = player.see("rest", BEGAN_S + 60.0 * k, 3.3268)
    assert (told.source == Source.UNKNOWN).all()
    assert np.isnan(told.soc_frac).all()
    assert np.isnan(told.soc_sd_frac).all()
    assert np.isnan(told.anchor_age_h).all()


def test_a_flat_unit_is_known_from_its_full_charge_on():
    player = Player(rules_of({"s1": LFP}))
    for k in range(200):
        told = player.see("recharge", BEGAN_S + 10.0 * k, 3.45, -1.5)
    assert (told.source == Source.FLOAT).all()
    assert (told.soc_frac == 1.0).all()
    for k in range(200, 560):
        told = player.see("discharge", BEGAN_S + 10.0 * k, 3.29, 30.0)
    assert told.soc_frac == pytest.approx(0.7, abs=0.005)
    assert (told.source == Source.COULOMB).all()


def test_only_the_units_at_their_limit_are_full():
    rules = rules_of({"s1": LFP})
    player = Player(rules)
    for k in range(200):
        told = player.see("recharge", BEGAN_S + 10.0 * k, [3.45, 3.36, 3.45, 3.34], -1.5)
    assert (told.soc_frac[[0, 2]] == 1.0).all()
    assert (told.source[[1, 3]] == Source.UNKNOWN).all()


@pytest.mark.parametrize("profile", [LEAD, NMC, LFP], ids=lambda profile: profile.name)
@pytest.mark.parametrize("start", [0.95, 0.6])
def test_thirty_days_with_the_breaker_open_fall_within_the_bounds(profile, start):
    """The cells lose twice what the table says, and stand 8 mV off their curve."""
    player = told_at(rules_of({"s1": profile}, gap_s=SLOW), start, 0.01)
    lost_per_s = 2.0 * profile.estimate.self_discharge_per_month_frac / (30.0 * DAY_S)
    first = None
    for k in range(30 * 12):
        truth = start - lost_per_s * k * 2.0 * HOUR_S
        told = player.see("open", BEGAN_S + k * 2.0 * HOUR_S, ocv(profile, truth) - 0.008, 0.03)
        first = told if first is None else first
        known = told.source != Source.UNKNOWN
        assert (np.abs(told.soc_frac - truth) <= 2.0 * told.soc_sd_frac)[known].all()
    if known.all():
        assert (told.soc_frac < first.soc_frac).all()
    if profile.estimate.curve == "sloped":
        assert known.all()


@pytest.mark.parametrize("profile", [LEAD, LFP], ids=lambda profile: profile.name)
def test_a_leak_in_float_falls_within_the_bounds_or_reads_unknown(profile):
    """One unit loses 20 mA of 100 Ah: its voltage sags to the rested curve while its neighbours float."""
    float_v = FLOAT_V["vrla_agm" if profile is LEAD else "lfp"]
    player, _ = floated(profile, float_v, days=2)
    at_s = player.memory.string.at_s[0]
    for k in range(1, 30 * 24):
        truth = 1.0 - 0.02 * k / 100.0
        v = np.full(4, float_v)
        v[1] = ocv(profile, truth)
        told = player.see("float", at_s + k * HOUR_S, v, -0.05)
        if told.source[1] != Source.UNKNOWN:
            assert abs(told.soc_frac[1] - truth) <= 2.0 * told.soc_sd_frac[1] + 1e-9, k
    assert (told.soc_frac[[0, 2, 3]] == 1.0).all()
    assert told.source[1] != Source.FLOAT


def test_the_charge_after_float_is_counted_from_full():
    player, _ = floated(LEAD, 2.26, days=2)
    at_s = player.memory.string.at_s[0]
    for k in range(1, 361):
        told = player.see("discharge", at_s + 10.0 * k, ocv(LEAD, 1.0 - k / 1800.0) - 0.03, 20.0)
    assert told.soc_frac == pytest.approx(0.8, abs=0.03)
    assert (told.soc_sd_frac < 0.05).all()


def test_surface_charge_does_not_lift_the_estimate():
    """After a partial recharge a lead unit reads far above its rested voltage for hours."""
    player = told_at(rules_of({"s1": LEAD}, gap_s=SLOW), 0.5, 0.02)
    for k in range(60):
        player.see("recharge", BEGAN_S + 60.0 * k, 2.38, -10.0)
    charged = player.memory.soc_frac.copy()
    for k in range(60, 420):
        left = 0.12 * np.exp(-(k - 60) * 60.0 / 21_600.0)
        told = player.see("rest", BEGAN_S + 60.0 * k, ocv(LEAD, 0.6) + left)
        assert (np.abs(told.soc_frac - 0.6) <= 2.0 * told.soc_sd_frac).all()
    assert told.soc_frac == pytest.approx(charged, abs=0.03)


def test_lead_without_a_current_sensor_is_full_only_after_three_times_as_long():
    player = Player(rules_of({"s1": LEAD}, gap_s=SLOW))
    for hour in range(100):
        told = player.see("float", BEGAN_S + HOUR_S * hour, 2.26, np.nan)
        if hour < 72:
            assert (told.source != Source.FLOAT).all()
    assert told.no_current.all()
    assert (told.source == Source.FLOAT).all()
    assert (told.soc_sd_frac > 2.0 * LEAD.estimate.full.sd_frac).all()


def test_nickel_cadmium_never_rests_to_an_anchor():
    player = told_at(rules_of({"s1": NICD}, gap_s=SLOW), 0.5, 0.02)
    for k in range(50):
        told = player.see("rest", BEGAN_S + 3600.0 * k, 1.20)
    assert np.isnan(told.anchor_age_h).all()
