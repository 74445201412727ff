"""What counts as a reading, what usable units say together, which units say the same for too long, and the rules."""

import math
from dataclasses import replace

import numpy as np
import pytest
from balancer.frozen_units import LastSaid
from balancer.pack_stats import UNKNOWN_DEGC, PackStats, middle
from balancer.pack_view import PackView
from balancer.rules import packs_of
from cellkeeper.contract.physical import ModuleStatus, Quality
from cellkeeper.contract.site import Site
from core_room import LITHIUM, scan, view
from hypothesis import given
from hypothesis import strategies as st

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize("code", [each for each in Quality if each != Quality.GOOD])
def test_only_what_is_good_is_a_reading(code):
    codes = np.array([0, code, 0, 0], np.uint8)
    assert np.isnan(PackView.of_scan(scan(quality=codes)).cell_v).tolist() == [False, True, False, False]
    assert np.isnan(PackView.of_scan(scan(degc_quality=codes)).degc).tolist() == [False, True, False, False]
    assert PackView.of_scan(scan(scalar_quality={"current_a": int(code)})).current_a is None


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_what_is_no_number_is_no_reading_whatever_its_quality(value):
    column = np.array([3.4, value, 3.4, 3.4])
    seen = PackView.of_scan(scan(cell_v=column, cell_degc=column, bleed_frac=column, scalars={"current_a": value}))
    for each in (seen.cell_v, seen.degc, seen.bleed_frac):
        assert np.isnan(each).tolist() == [False, True, False, False]
    assert seen.current_a is None


@pytest.mark.parametrize("scalars", [{}, {"current_a": None}])
def test_a_current_that_is_not_there_is_none(scalars):
    assert PackView.of_scan(scan(scalars=scalars)).current_a is None


def test_a_half_of_a_string_sees_its_own_units_and_the_common_current():
    half = PackView.of_scan(
        scan(cell_v=np.arange(4.0), status=np.array([0, 0, 0, ModuleStatus.DISCONNECTED])), slice(2, 4)
    )
    assert half.cell_v.tolist() == [2.0, 3.0]
    assert half.is_cut_off.tolist() == [False, True]
    assert (half.units, half.current_a, half.float_a) == (2, 0.1, None)
    assert PackView.of_scan(scan(status=np.array([ModuleStatus.FUSE_OPEN] * 4))).is_cut_off.all()


@pytest.mark.parametrize(("n", "expected"), [(1, 1.0), (2, 1.5), (3, 2.0), (4, 2.5)])
def test_the_middle_favours_nobody(n, expected):
    assert middle(np.arange(1.0, n + 1)) == expected


@given(st.lists(st.floats(-5.0, 40.0), min_size=1, max_size=20))
def test_stats_are_those_of_numpy(v):
    stats = PackStats.of(view(v), np.ones(len(v), dtype=bool))
    assert stats.mean_v == pytest.approx(np.mean(v), abs=1e-9)
    assert stats.median_v == pytest.approx(np.median(v))
    assert (stats.lowest_v, stats.highest_v, stats.spread_v) == (min(v), max(v), max(v) - min(v))


def test_stats_count_only_what_is_usable():
    stats = PackStats.of(view([3.0, 3.4, 9.9, NAN], degc=[20.0, NAN, 90.0, NAN]), np.array([True, True, False, False]))
    assert (stats.coverage_frac, stats.highest_v, stats.median_degc) == (0.5, 3.4, 20.0)


def test_where_nothing_is_usable_nothing_is_claimed():
    stats = PackStats.of(view([NAN] * 3, degc=NAN), np.zeros(3, dtype=bool))
    assert stats.spread_v is None
    assert np.isnan([stats.mean_v, stats.median_v, stats.lowest_v, stats.highest_v]).all()
    assert stats.median_degc == UNKNOWN_DEGC
    assert PackStats.of(view([3.4], degc=NAN), np.ones(1, dtype=bool)).median_degc == UNKNOWN_DEGC


class TestFrozen:
    def after(self, scans: list[PackView]) -> LastSaid:
        said = LastSaid.nothing(scans[0].units)
        for each in scans:
            said = said.hear(each)
        return said

    def test_a_unit_that_says_the_same_for_five_minutes_is_not_believed(self):
        said = self.after([view([3.4, 3.4 + n * 1e-4, 3.4], degc=[25.0, 25.0, 25.0 + n]) for n in range(30)])
        assert not said.frozen(LITHIUM).any()
        assert said.hear(view([3.4, 3.41, 3.4], degc=[25.0, 25.0, 9.0])).frozen(LITHIUM).tolist() == [
            True,
            False,
            False,
        ]

    def test_fast_scans_wait_as_long(self):
        said = self.after([view([3.4])] * 300)
        assert not said.frozen(replace(LITHIUM, scan_s=1.0)).any()
        assert said.hear(view([3.4])).frozen(replace(LITHIUM, scan_s=1.0)).all()

    def test_an_open_temperature_sensor_hides_no_frozen_voltage(self):
        assert self.after([view([3.4], degc=NAN)] * 31).frozen(LITHIUM).all()

    def test_a_silent_unit_is_not_frozen(self):
        assert not self.after([view([NAN])] * 99).frozen(LITHIUM).any()


def site(**balance: object) -> Site:
    return Site.model_validate({
        "site": {"id": "x", "name": "x", "scan_s": 1.0},
        "bus": [{"id": "line1", "port": "/dev/ttyUSB0", "baud": 115200}],
        "string": [{
            "id": "s1", "cells": 8, "cells_per_unit": 6, "chemistry": "vrla_agm", "module_type": "c20",
            "rated_ah": 100.0, "bleed_max_a": 0.1, "modules": [{"bus": "line1", "first_address": 1, "count": 8}],
            "balance": balance,
        }],
    })  # fmt: skip


def test_the_rules_of_a_string_are_those_of_its_units():
    (rules,) = packs_of(site(), site().string[0])
    assert (rules.units, rules.first, rules.strategy) == (8, 0, "float_pi")
    assert rules.float_v == pytest.approx(13.56)
    assert rules.floor_v == pytest.approx(12.0)
    assert rules.start_v == pytest.approx(0.008 * 6**0.5)
    assert rules.plateau_v is None
    assert rules.stop_degc == 45.0
    assert rules.float_at_v(35.0) == pytest.approx(13.56 - 0.18)


def test_a_centre_tap_makes_two_packs_and_places_are_counted_in_each():
    described = site(centre_tap=3, hold_out=[2, 5], cooling_w_per_k=0.7)
    first, second = packs_of(described, described.string[0])
    assert (first.first, first.units, second.first, second.units) == (0, 3, 3, 5)
    assert (first.held_out, second.held_out) == ((1,), (1,))
    assert first.cooling_w_per_k == 0.7
