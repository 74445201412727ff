"""What is told of a charge's error is what the filter's own steps make of the errors it knows of."""

from dataclasses import replace

import numpy as np
import pytest
from analytics.soc.curves import PLACES, Curves
from analytics.soc.memory import Parts
from analytics.soc.parts import anchored, believed, grown, together
from soc_room import BEGAN_S, LOSSLESS, Player, chemistry, ocv, rules_of, told_at

NMC, LFP = chemistry("nmc", **LOSSLESS), chemistry("lfp")
CELLS = 20_000
START, ZERO, TABLE, NOISE, GAIN = 0.03, 1e-4, 0.008, 0.05, 0.02


def test_the_parts_together_are_the_spread_of_errors_that_were_drawn():
    rng = np.random.default_rng(7)
    error, zero, table, size = (sd * rng.standard_normal(CELLS) for sd in (START, ZERO, TABLE, GAIN))
    parts, cov, ones = Parts.begin(np.array([START])), np.zeros(1), np.ones(1)
    for step in range(300):
        moved = 0.002 if step < 150 else -0.001
        error, parts, cov = error + zero - moved * size, grown(parts, ZERO * ones), cov - moved * GAIN**2 * ones
        gain = 0.0 if step % 10 else float(rng.uniform(0.0, 0.2))
        error = (1.0 - gain) * error + gain * (table + NOISE * rng.standard_normal(CELLS))
        parts = believed(parts, gain * ones, (np.zeros(1), NOISE**2 * ones), TABLE * ones)
        cov = (1.0 - gain) * cov
        assert together(parts, cov, GAIN**2 * ones)[0] == pytest.approx(error.std(), rel=0.03)


def test_an_anchor_leaves_nothing_but_itself():
    before = grown(Parts.begin(np.full(2, 0.05)), np.full(2, 0.01))
    after = anchored(before, np.array([True, False]), np.array([0.004, 0.9]))
    told = together(after, np.zeros(2), np.full(2, GAIN**2))
    assert told == pytest.approx([0.004, np.hypot(0.05, 0.01)])


def test_a_bend_between_two_values_is_as_large_as_a_parabola_makes_it():
    at = np.linspace(0.0, 1.0, 11)
    others = dict.fromkeys(("r0_ohm_ah", "r1_ohm_ah", "r2_ohm_ah"), (0.05,)) | {
        "soc_frac": tuple(at),
        "ocv_v_per_k": (),
    }
    curve = chemistry("nmc", ocv_v=tuple(3.0 + 0.2 * at + 0.8 * at**2), **others)
    found = Curves.of([curve.estimate])
    grid = np.linspace(0.0, 1.0, PLACES)
    apart_v = np.abs(found.ocv_v - (3.0 + 0.2 * grid + 0.8 * grid**2))
    assert found.bend_v == pytest.approx(np.full(PLACES, apart_v.max()), rel=1e-6)
    straight = chemistry("nmc", ocv_v=tuple(3.0 + at), **others)
    assert Curves.of([straight.estimate]).bend_v == pytest.approx(np.zeros(PLACES), abs=1e-12)


def test_an_idle_string_is_told_more_surely_than_zero_and_table_added_up():
    player = told_at(rules_of({"s1": NMC}), 0.7, 0.02)
    for k in range(4000):
        told = player.see("rest", BEGAN_S + 5.0 * k, ocv(NMC, 0.7))
    parts = player.memory.parts
    assert (parts.count_frac > 0.0).all()
    assert (told.soc_sd_frac < parts.start_frac + parts.count_frac + parts.table_frac).all()
    assert (told.soc_sd_frac > np.maximum(parts.count_frac, parts.table_frac)).all()


@pytest.mark.parametrize("profile", [NMC, LFP])
def test_parts_that_begin_with_the_filters_sd_are_told_no_surer(profile):
    player = told_at(rules_of({"s1": profile}), 0.7, 0.02)
    for k in range(60):
        player.see("discharge", BEGAN_S + k, ocv(profile, 0.7) - 0.008, 10.0)
    old = Player(player.rules, replace(player.memory, parts=Parts.begin(player.memory.sd_frac)))
    told = player.see("discharge", BEGAN_S + 60.0, ocv(profile, 0.7) - 0.008, 10.0)
    again = old.see("discharge", BEGAN_S + 60.0, ocv(profile, 0.7) - 0.008, 10.0)
    assert again.soc_frac == pytest.approx(told.soc_frac, abs=1e-12)
    assert (again.soc_sd_frac >= told.soc_sd_frac).all()
