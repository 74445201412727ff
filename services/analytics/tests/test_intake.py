"""What of the wire reaches the estimators: the sign, what is usable, the order, and what is left out."""

from itertools import pairwise

import numpy as np
import pytest
from analytics.intake import Intake, no_readings
from analytics.readings import Layout
from cellkeeper.testing.builders import START_MS, scan_of
from hypothesis import given
from hypothesis import strategies as st

LAYOUT = Layout.of({"s1": 3, "s2": 4}, {"s1": 1, "s2": 6})
BLEED_A = {"s1": 0.1, "s2": 0.0}


def intake() -> Intake:
    return Intake(LAYOUT, BLEED_A)


def one(scan):
    (batch,) = intake().batches([scan])
    return batch


def test_a_current_that_charges_on_the_wire_is_negative_inside():
    scan = scan_of(3, 1, scalars={"current_a": 12.5, "float_a": 0.05, "string_v": 6.7, "ambient_degc": 21.0},
                   scalar_quality={})  # fmt: skip
    batch = one(scan)
    assert batch.discharge_a[0] == -12.5
    assert batch.float_a[0] == 0.05, "a float current keeps its name's sign"
    assert (batch.string_v[0], batch.ambient_degc[0]) == (6.7, 21.0)
    assert np.isnan(batch.discharge_a[1]), "the string without a scan"


@pytest.mark.parametrize("quality", [1, 2, 3, 4, 5, 7, 8])
def test_a_current_that_is_not_good_is_none(quality: int):
    assert np.isnan(
        one(scan_of(3, 1, scalars={"current_a": 1.0}, scalar_quality={"current_a": quality})).discharge_a[0]
    )


def test_no_sensor_and_a_silent_one_are_no_number():
    assert np.isnan(one(scan_of(3, 1, scalars={}, scalar_quality={})).discharge_a[0])
    assert np.isnan(one(scan_of(3, 1, scalars={"current_a": None}, scalar_quality={"current_a": 4})).discharge_a[0])


def test_what_the_wire_does_not_allow_is_no_reading():
    wild = {"current_a": 3e4, "string_v": -2001.0, "ambient_degc": 1e300, "float_a": float("inf")}
    batch = one(scan_of(3, 1, cell_v=np.array([41.0, np.inf, 2.2]), cell_degc=np.array([201.0, -61.0, 22.0]),
                        scalars=wild, scalar_quality={}))  # fmt: skip
    assert np.isnan([batch.discharge_a[0], batch.string_v[0], batch.ambient_degc[0], batch.float_a[0]]).all()
    assert np.isnan(batch.unit_v[:3]).tolist() == np.isnan(batch.degc[:3]).tolist() == [True, True, False]


def test_each_quality_code_says_what_is_used():
    layout = Layout.of({"s1": 9}, {"s1": 1})
    codes = np.arange(9, dtype=np.uint8)
    scan = scan_of(9, 1, cell_v=np.full(9, 2.2), cell_degc=np.full(9, 22.0), quality=codes, degc_quality=codes)
    (batch,) = Intake(layout, {"s1": 0.1}).batches([scan])
    assert np.flatnonzero(~np.isnan(batch.unit_v)).tolist() == [0]
    assert np.flatnonzero(~np.isnan(batch.unit_v_as_read)).tolist() == [0, 3, 6], "a reversed unit is data"
    assert np.flatnonzero(~np.isnan(batch.degc)).tolist() == [0, 6]
    assert batch.quality.tolist() == codes.tolist()


def test_what_is_bled_is_amperes_and_unknown_is_none():
    scan = scan_of(3, 1, bleed_frac=np.array([0.5, np.nan, 0.0]))
    assert one(scan).bleed_a.tolist() == [0.05, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]


def test_strings_of_one_moment_are_one_batch_and_each_has_its_place():
    batches = intake().batches([scan_of(4, 1, string="s2"), scan_of(3, 1), scan_of(3, 2, measured_ms=START_MS + 1000)])
    assert len(batches) == 2
    assert np.isnan(batches[0].at_s).tolist() == [False, False]
    assert np.isnan(batches[1].at_s).tolist() == [False, True]
    assert batches[1].quality.tolist() == [0, 0, 0, 4, 4, 4, 4]
    assert np.isnan(batches[1].unit_v[3:]).all()


@pytest.mark.parametrize(
    ("seq", "ms", "stream", "verdict"),
    [
        (11, 1000, "b7f2", "taken"),
        (15, 5000, "b7f2", "taken"),  # a gap
        (10, 0, "b7f2", "repeated"),
        (9, -1000, "b7f2", "late"),
        (11, 0, "b7f2", "late"),  # numbers go on and time does not: nothing to integrate over
        (1, 1000, "c0de", "taken"),  # a new journal
        (1, -400_000, "c0de", "taken"),  # the clock was set back
        (1, 0, "c0de", "repeated"),
    ],
)
def test_the_order_of_scans(seq: int, ms: int, stream: str, verdict: str):
    gate = intake()
    assert gate.judge(scan_of(3, 10)) == "taken"
    assert gate.judge(scan_of(3, seq, measured_ms=scan_of(3, 10).measured_ms + ms,
                              stream=stream)) == verdict  # fmt: skip
    assert gate.counts[verdict] == (2 if verdict == "taken" else 1)


def test_another_size_and_another_site_are_left_out():
    gate = intake()
    assert gate.judge(scan_of(4, 1)) == "wrong_size"
    assert gate.judge(scan_of(3, 1, string="s9")) == "foreign"
    assert gate.counts == {"taken": 0, "repeated": 0, "late": 0, "wrong_size": 1, "foreign": 1}


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["b7f2", "c0de"])), max_size=40))
def test_within_a_stream_time_only_goes_on(arrived):
    gate, taken = intake(), []
    for seq, stream in arrived:
        scan = scan_of(3, seq, stream=stream)
        if gate.judge(scan) == "taken":
            taken.append(scan)
    for before, after in pairwise(taken):
        assert before.stream != after.stream or before.measured_ms < after.measured_ms
    assert sum(gate.counts.values()) == len(arrived)


def test_an_empty_batch_says_nothing():
    nothing = no_readings(LAYOUT)
    assert np.isnan(nothing.at_s).all()
    assert set(nothing.quality.tolist()) == {4}
