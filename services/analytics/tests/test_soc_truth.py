"""The estimate against cells whose charge is known: simulated by PyBaMM, and one measured cell."""

import csv
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from analytics.soc.capacity_belief import CapacityBelief
from analytics.soc.memory import SocMemory, Source
from soc_room import LOSSLESS, Player, Truth, chemistry, rules_of, scan

MEASURED = Path(__file__).parents[3] / "tests" / "measured"


def play(truth, profile, start_frac, *, gain=1.0, offset_a=0.0, seed=1, no_current=False):
    """Return what was told (T, n) with its sd, through instruments that are not exact."""
    rng, cells = np.random.default_rng(seed), truth.unit_v.shape[1]
    rules = rules_of({"s1": profile}, units=cells, rated_ah=truth.nominal_ah)
    start = np.clip(truth.soc_frac[0] + start_frac * np.where(np.arange(cells) % 2, -1.0, 1.0), 0.0, 1.0)
    player = Player(rules, SocMemory.told(rules, start, np.full(cells, max(abs(start_frac), 0.01))))
    soc, sd = np.empty((2, *truth.unit_v.shape))
    noise = 0.001 * rng.standard_normal(truth.unit_v.shape)
    for k, mode in enumerate(truth.modes()):
        current_a = np.nan if no_current else truth.discharge_a[k] * gain + offset_a
        v = np.round(truth.unit_v[k] + noise[k], 3)
        told = player.see(mode, truth.at_s[k], v, current_a, degc=truth.degc[k])
        soc[k], sd[k] = told.soc_frac, told.soc_sd_frac
    return soc, sd


def rmse(told, truth):
    return float(np.sqrt(np.mean((told - truth.soc_frac) ** 2)))


def covered(told, sd, truth):
    return float(np.mean(np.abs(told - truth.soc_frac) <= 2.0 * sd))


CASES = {"nmc-steps": ("nmc", 0.0015), "lead-ups": ("vrla_agm", 0.001)}


def own_profile(name):
    kind, sd_v = CASES[name]
    truth = Truth.read(name)
    return truth, chemistry(kind, **(truth.tables | LOSSLESS | {"ocv_sd_v": sd_v}))


@cache
def played(name):
    """Return a run and what is told of it from a start 20 % wrong, by a sensor that reads high."""
    truth, profile = own_profile(name)
    return truth, *play(truth, profile, 0.2, gain=1.005, offset_a=0.0005 * truth.nominal_ah)


@pytest.mark.parametrize("name", CASES)
def test_a_start_that_is_wrong_by_a_fifth_is_forgotten(name):
    truth, told, sd = played(name)
    assert rmse(told, truth) < 0.008
    assert covered(told, sd, truth) > 0.9
    assert np.median(2.0 * sd) < 0.025


@pytest.mark.parametrize("name", CASES)
def test_counting_alone_is_far_worse(name):
    truth, told, _ = played(name)
    moved = np.diff(truth.at_s) * 0.5 * (truth.discharge_a[1:] + truth.discharge_a[:-1]) / 3600.0 / truth.nominal_ah
    counted = np.clip(truth.soc_frac[0] - 0.2 - np.append(0.0, np.cumsum(moved))[:, None], 0.0, 1.0)
    assert rmse(told, truth) < 0.1 * rmse(counted, truth)


@pytest.mark.parametrize("volts", [0.010, -0.010])
def test_a_cell_that_stands_off_its_table_stays_within_the_bounds_of_the_default_one(volts):
    truth = Truth.read("lead-ups")
    truth.unit_v = truth.unit_v + volts
    told, sd = play(truth, chemistry("vrla_agm"), 0.0)
    assert covered(told, sd, truth) > 0.9


def test_without_a_current_sensor_the_bounds_are_wider_and_hold():
    truth, profile = own_profile("nmc-steps")
    told, sd = play(truth, profile, 0.0, no_current=True)
    known = np.isfinite(told)
    assert known.mean() > 0.2
    assert (np.abs(told - truth.soc_frac) <= 2.0 * sd)[known].mean() > 0.9
    assert np.median(sd[known]) > 3.0 * np.median(played("nmc-steps")[2])


def measured_cell():
    """Return time, current (positive discharges), volts and charge of the measured cell, from full to empty."""
    with (MEASURED / "leaf-hppc-25c.csv").open() as lines:
        table = np.array([[float(value) for value in row[:3]] for row in csv.reader(lines)])
    table = table[np.append(True, np.diff(table[:, 0]) > 0.0)]
    at_s, discharge_a, v = table[:, 0], -table[:, 1], table[:, 2]
    moved = np.append(0.0, np.cumsum(0.5 * (discharge_a[1:] + discharge_a[:-1]) * np.diff(at_s))) / 3600.0
    full = int(np.argmin(moved))
    left_ah = moved[-1] - moved[full:]
    return at_s[full:], discharge_a[full:], v[full:], left_ah / left_ah[0], float(left_ah[0])


def test_a_measured_cell_with_a_table_from_its_own_rests_stays_within_one_per_cent():
    """Table: rested volts before each pulse of every second tenth of charge; judged over all of the run."""
    at_s, discharge_a, v, truth, ah = measured_cell()
    ends = np.flatnonzero((np.abs(discharge_a[:-1]) < 0.2) & (discharge_a[1:] > 20.0))
    soc, rested = truth[ends][::-1], v[ends][::-1]
    grid = np.concatenate([[0.0], soc[soc > 0.02]])
    curve = np.concatenate([[rested[soc > 0.02][0] - 0.25], rested[soc > 0.02]])
    grid[-1] = 1.0
    own = {"soc_frac": tuple(grid), "ocv_v": tuple(np.maximum.accumulate(curve)), "ocv_sd_v": 0.004}
    ohm = {"r0_ohm_ah": (0.06,), "r1_ohm_ah": (0.06,), "r2_ohm_ah": (0.03,), "tau1_s": 60.0, "tau2_s": 600.0}
    rules = rules_of({"s1": chemistry("nmc", **(own | ohm | LOSSLESS))}, units=2, rated_ah=ah)
    player = Player(
        rules, SocMemory.told(rules, np.array([0.8, 0.9]), np.full(2, 0.2)), CapacityBelief.rated(rules.rated_ah, 0.01)
    )
    error, inside = [], []
    for k in range(len(at_s)):
        mode = "discharge" if discharge_a[k] > 0.1 else "recharge" if discharge_a[k] < -0.1 else "rest"
        told = player.take(scan(rules, at_s[k], v[k], discharge_a[k]), mode)
        error.append(told.soc_frac - truth[k])
        inside.append(np.abs(error[-1]) <= 2.0 * told.soc_sd_frac)
    within = np.array(error)[truth > 0.12]
    assert np.sqrt(np.mean(within**2)) < 0.01
    assert np.mean(inside) > 0.9
    assert told.source[0] != Source.UNKNOWN
