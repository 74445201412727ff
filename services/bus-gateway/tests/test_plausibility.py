"""What is good at once, what waits, and what a single wrong sample can never do."""

import numpy as np
import pytest
from bus_gateway.driver import StringReadings
from bus_gateway.readings.plausibility import Plausibility
from cellkeeper.contract.physical import Quality
from cellkeeper.contract.site import StringTable
from hypothesis import given
from hypothesis import strategies as st

GOOD, IMPLAUSIBLE, RANGE, SILENT, IN_TEST = 0, 2, 3, 4, 6
START_MS = 1_795_237_200_000


def table(cells=24, per_unit=1, chemistry="vrla_agm") -> StringTable:
    return StringTable.model_validate(
        {
            "id": "s1",
            "cells": cells,
            "cells_per_unit": per_unit,
            "chemistry": chemistry,
            "module_type": "c44" if per_unit == 1 else "c20",
            "rated_ah": 100.0,
            "modules": [{"bus": "line1", "first_address": 1, "count": cells}],
        }
    )


class Room:
    """A string whose scans a test writes one by one."""

    def __init__(self, cells=24, per_unit=1, seed=1, chemistry="vrla_agm"):
        self.random = np.random.default_rng(seed)
        self.judge = Plausibility(table(cells, per_unit, chemistry))
        self.level = 2.25 * per_unit + self.random.normal(0.0, 0.01, cells) * per_unit**0.5
        self.degc = 22.0 + self.random.normal(0.0, 0.3, cells)
        self.now_ms = START_MS

    def scan(self, cell_v=None, quality=None, degc=None, current_a=None, dt_s=1.0) -> StringReadings:
        cells = len(self.level)
        self.now_ms += round(dt_s * 1000)
        noise = self.random.normal(0.0, 0.0003, cells)
        values = (self.level if cell_v is None else cell_v) + noise
        codes = np.zeros(cells, dtype=np.uint8) if quality is None else np.array(quality, dtype=np.uint8)
        values[codes == SILENT] = np.nan
        temperature = (self.degc if degc is None else degc) + self.random.normal(0.0, 0.02, cells)
        scalars = {} if current_a is None else {"current_a": current_a}
        readings = StringReadings(
            "s1", self.now_ms, values, temperature, np.zeros(cells), codes, np.zeros(cells, dtype=np.uint8),
            np.zeros(cells, dtype=np.uint8), scalars,
        )  # fmt: skip
        return self.judge.judge(readings)

    def settle(self, scans=3, **kwargs):
        for _ in range(scans):
            assert not self.scan(**kwargs).quality.any()

    def but(self, cell, volts):
        values = self.level.copy()
        values[cell] = volts
        return values


def test_quiet_float_is_good_and_costs_nothing_new():
    room = Room()
    room.settle(200)
    assert not room.scan().degc_quality.any()


@pytest.mark.parametrize("per_unit", [1, 6])
def test_onset_of_an_outage_is_good_at_once_and_so_is_the_recharge(per_unit):
    room = Room(per_unit=per_unit)
    room.settle()
    room.level -= per_unit * room.random.uniform(0.1, 0.3, 24)
    assert not room.scan().quality.any()
    room.settle(20)
    room.level += 0.15 * per_unit
    assert not room.scan().quality.any()


def test_a_weak_cell_may_fall_three_times_as_far_when_all_fall():
    room = Room()
    room.settle()
    room.level -= 0.2
    room.level[5] -= 0.5
    assert not room.scan().quality.any()


@pytest.mark.parametrize("volts", [0.0, -2.2, 4.1, 2.0, 2.35, 2.19])
def test_a_single_wrong_sample_waits_and_does_not_disturb_the_next(volts):
    room = Room()
    room.settle()
    judged = room.scan(room.but(7, volts))
    assert judged.quality[7] == IMPLAUSIBLE
    assert judged.cell_v[7] == pytest.approx(volts, abs=0.005), "published as read"
    assert np.delete(judged.quality, 7).sum() == 0
    room.settle()


def test_a_single_wrong_sample_during_the_onset_waits_too():
    room = Room()
    room.settle()
    room.level -= 0.2
    judged = room.scan(room.but(3, 3.1))
    assert judged.quality[3] == IMPLAUSIBLE
    assert judged.quality.sum() == IMPLAUSIBLE


def test_a_lone_change_that_stays_is_believed_in_its_second_scan():
    room = Room()
    room.settle()
    room.level[7] = 0.31  # a short
    assert room.scan().quality[7] == IMPLAUSIBLE
    room.settle()


def test_two_different_wrong_samples_are_both_doubted():
    room = Room()
    room.settle()
    assert room.scan(room.but(2, 1.1)).quality[2] == IMPLAUSIBLE
    assert room.scan(room.but(2, 3.9)).quality[2] == IMPLAUSIBLE
    room.settle()


def test_a_dying_cell_is_followed_down_its_knee():
    room = Room()
    room.settle()
    judged, step = [], 0.003
    while room.level[4] > 0.8:
        room.level -= 0.002
        room.level[4] -= step
        step = min(step * 1.3, 0.12)
        judged.append(int(room.scan(current_a=-50.0).quality[4]))
    assert judged.count(IMPLAUSIBLE) == 0
    assert len(judged) > 10


def test_a_reversed_cell_keeps_its_own_quality():
    room = Room()
    room.settle()
    quality = np.zeros(24, dtype=np.uint8)
    quality[9] = RANGE
    assert room.scan(room.but(9, -0.8), quality).quality[9] == RANGE


def test_a_single_block_follows_its_current():
    room = Room(cells=1, per_unit=6)
    room.settle(current_a=0.1)
    room.level -= 0.6
    assert room.scan(current_a=-20.0).quality[0] == GOOD
    room.settle(current_a=-20.0)
    assert room.scan(room.level + 1.5, current_a=-20.0).quality[0] == IMPLAUSIBLE
    room.settle(current_a=-20.0)


def test_first_scan_is_judged_by_the_neighbours():
    room = Room()
    judged = room.scan(room.but(11, 3.4))
    assert judged.quality[11] == IMPLAUSIBLE
    assert judged.quality.sum() == IMPLAUSIBLE
    room.settle()


def test_an_odd_cell_at_start_is_believed_when_it_repeats():
    room = Room()
    room.level[11] = 1.4
    assert room.scan().quality[11] == IMPLAUSIBLE
    room.settle()


def test_after_a_gap_nothing_old_is_held_against_a_value():
    room = Room()
    room.settle()
    room.level -= 0.25
    assert not room.scan(dt_s=3600.0).quality.any()


def test_a_module_that_was_silent_for_a_while_comes_back_good():
    room = Room()
    room.settle()
    quality = np.zeros(24, dtype=np.uint8)
    quality[3] = SILENT
    for _ in range(5):
        assert room.scan(quality=quality).quality[3] == SILENT
        room.level -= 0.05
    room.settle()


def test_a_unit_in_test_is_neither_judged_nor_learnt_from():
    room = Room()
    room.settle()
    quality = np.zeros(24, dtype=np.uint8)
    quality[3] = IN_TEST
    assert room.scan(room.but(3, 2.0), quality).quality[3] == IN_TEST
    room.settle()


def test_temperatures_are_judged_by_themselves():
    room = Room()
    room.settle()
    wrong = room.degc.copy()
    wrong[6] = 81.0
    judged = room.scan(degc=wrong)
    assert (judged.degc_quality[6], judged.quality[6]) == (IMPLAUSIBLE, GOOD)
    assert not room.scan().degc_quality.any()
    room.degc[6] = 29.0  # another sensor was plugged in
    assert room.scan().degc_quality[6] == IMPLAUSIBLE
    assert not room.scan().degc_quality.any()


def test_readings_are_never_changed_in_place():
    room = Room()
    room.settle()
    quality = np.zeros(24, dtype=np.uint8)
    room.scan(room.but(1, 0.5), quality)
    assert not quality.any()


@given(
    cell=st.integers(0, 23),
    off_v=st.floats(-50.0, 50.0).filter(lambda v: abs(v) > 0.03),
    seed=st.integers(0, 1000),
)
def test_no_single_wrong_sample_passes_as_good(cell, off_v, seed):
    room = Room(seed=seed)
    room.settle()
    judged = room.scan(room.but(cell, room.level[cell] + off_v))
    assert judged.quality[cell] == Quality.IMPLAUSIBLE
    assert judged.quality.sum() == Quality.IMPLAUSIBLE
    room.settle()
