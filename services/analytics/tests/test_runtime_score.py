"""Predictions held against what happened, on records written by hand."""

import numpy as np
import pytest
from analytics.discharge.record import DischargeRecord, RuntimeSaid
from analytics.runtime.score import score_runtime

BEGAN_S, WHOLE_S, UNITS = 1000.0, 1200.0, 4


def record(*, bias: float = 1.0, ended_by: str = "rest", lowest_v: float = 1.66, said: bool = True) -> DischargeRecord:
    """Return a discharge of 20 min whose volts fall straight from 2.0 V; cell 3 is 0.05 V below the others."""
    at_s = np.arange(BEGAN_S - 10.0, BEGAN_S + WHOLE_S + 0.1, 1.0)
    passed = np.clip((at_s - BEGAN_S) / WHOLE_S, 0.0, 1.0)
    unit_v = np.repeat((2.0 - (2.0 - lowest_v) * passed)[:, None], UNITS, axis=1)
    unit_v[:, 2] -= 0.05
    unit_v[at_s <= BEGAN_S] = 2.27
    left = [WHOLE_S * bias - passed_s for passed_s in range(int(WHOLE_S))]
    spoken = tuple(RuntimeSaid(BEGAN_S + t, each - 200.0, 20.0, 3, each, 40.0) for t, each in enumerate(left))
    nothing = np.full((2, UNITS), np.nan)
    return DischargeRecord(
        string="s1", kind="outage", began_s=BEGAN_S, ended_s=float(at_s[-1]), ended_by=ended_by,  # type: ignore[arg-type]
        at_s=at_s, discharge_a=np.full(len(at_s), 60.0, dtype=np.float32),
        string_v=unit_v.sum(axis=1).astype(np.float32), ambient_degc=np.full(len(at_s), np.nan, dtype=np.float32),
        unit_v=unit_v.astype(np.float32), degc=np.full_like(unit_v, 22.0, dtype=np.float32), moved_ah=20.0,
        soc_frac=nothing, soc_sd_frac=nothing, soh_frac=np.ones(UNITS), soh_sd_frac=np.ones(UNITS),
        said=spoken if said else (), scans=len(at_s), missing_s=0.0, notes=(),
    )  # fmt: skip


def test_a_true_prediction_has_no_error_and_the_weak_unit_is_found():
    onset, half = score_runtime(record(), 1.67, 4 * 1.66)
    assert (onset.moment, half.moment) == ("onset", "half")
    assert onset.at_s == pytest.approx(60.0)  # 5 % of 20 min
    assert half.at_s == pytest.approx(600.0, abs=30.0)
    assert (onset.cell, onset.said_cell) == (3, 3)
    assert onset.unit_s < onset.bus_s < WHOLE_S
    assert half.bus_error_frac == pytest.approx(WHOLE_S / half.bus_s - 1.0)


def test_an_error_is_told_of_the_whole_and_of_what_is_left():
    _, half = score_runtime(record(bias=1.1), 1.67, 4 * 1.66 - 0.07)
    assert half.bus_s == pytest.approx(WHOLE_S)  # within 1 % of the cut-off when the UPS stopped
    assert half.bus_error_frac == pytest.approx(0.1, abs=0.001)
    assert half.bus_left_error_frac == pytest.approx(0.2, abs=0.002)


@pytest.mark.parametrize(
    "kept", [record(ended_by="recharge", lowest_v=1.9), record(ended_by="rest", lowest_v=1.9), record(said=False)]
)
def test_what_ended_before_the_cut_off_or_was_not_predicted_is_not_scored(kept: DischargeRecord):
    assert score_runtime(kept, 1.67, 4 * 1.66) == ()
