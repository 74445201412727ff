"""Summaries and per-cell views: true, bounded, and the same payloads as the contract's models."""

import json

import numpy as np
import pytest
from bus_gateway.uplink.cell_view import CellBands, CellView
from bus_gateway.uplink.summary import summarise
from cellkeeper.contract.telemetry import CellState, StringSummary
from cellkeeper.contract.wire import decode
from fake_driver import readings_of
from hypothesis import given
from hypothesis import strategies as st

BANDS = CellBands(dead_band_v=0.002, dead_band_degc=0.2, refresh_s=60.0)
START_MS = 1_795_237_200_000


def told(view):
    taken = {}
    while due := view.take(7):
        taken |= {cell: decode(CellState, payload) for cell, payload in due}
    return taken


def test_all_cells_first_then_only_what_left_its_band():
    view = CellView(20, CellBands(0.002, 0.2, 3600.0))
    view.update(readings_of(cells=20), START_MS)
    assert sorted(told(view)) == list(range(1, 21))
    changed = readings_of(cells=20).cell_v.copy()
    changed[4] += 0.0021
    changed[5] += 0.0019
    view.update(readings_of(cells=20, cell_v=changed), START_MS + 1000)
    assert set(told(view)) == {5}
    view.update(readings_of(cells=20, cell_v=changed), START_MS + 2000)
    assert view.waiting == 0


def test_silence_is_one_message_and_so_is_the_return():
    view = CellView(4, CellBands(0.002, 0.2, 3600.0))
    view.update(readings_of(cells=4), START_MS)
    told(view)
    silent_v = readings_of(cells=4).cell_v.copy()
    silent_v[1] = np.nan
    silent = {"cell_v": silent_v, "quality": np.array([0, 4, 0, 0], dtype=np.uint8)}
    counts = []
    for second in range(1, 4):
        view.update(readings_of(cells=4, **silent), START_MS + 1000 * second)
        counts.append({cell: state.quality for cell, state in told(view).items()})
    assert counts == [{2: 4}, {}, {}]
    view.update(readings_of(cells=4), START_MS + 9000)
    assert set(told(view)) == {2}


@given(cells=st.integers(1, 64), offset_ms=st.integers(0, 10**9))
def test_each_cell_is_refreshed_once_per_period_and_never_all_at_once(cells, offset_ms):
    view = CellView(cells, BANDS)
    view.update(readings_of(cells=cells), START_MS + offset_ms)
    told(view)
    last = dict.fromkeys(range(1, cells + 1), 0)
    most = 0
    for second in range(1, 200):
        view.update(readings_of(cells=cells), START_MS + offset_ms + 1000 * second)
        now = told(view)
        most = max(most, len(now))
        for cell in now:
            assert second - last[cell] <= 60
            last[cell] = second
    assert most <= -(-cells // 12)
    assert min(last.values()) > 120


def test_an_onset_is_taken_in_portions_with_the_newest_values():
    view = CellView(512, BANDS)
    view.update(readings_of(cells=512), START_MS)
    assert len(view.take(100)) == 100
    drop = readings_of(cells=512).cell_v - 0.1
    view.update(readings_of(cells=512, cell_v=drop), START_MS + 1000)
    assert view.waiting == 512
    assert decode(CellState, view.take(1)[0][1]).cell_v == pytest.approx(2.15)
    view.give_back([1])
    assert view.waiting == 512


volts = st.floats(-40, 40, allow_nan=False)


@given(values=st.lists(st.tuples(volts, st.integers(0, 8)), min_size=1, max_size=40))
def test_a_summary_is_of_usable_cells_and_sums_only_at_full_coverage(values):
    cell_v = np.array([each for each, _ in values])
    quality = np.array([code for _, code in values], dtype=np.uint8)
    cell_v[np.isin(quality, (1, 4, 5, 7))] = np.nan
    summary = summarise(readings_of(cells=len(values), cell_v=cell_v, quality=quality), START_MS)
    body = decode(StringSummary, summary.encode(0.5, fresh=True))
    usable = [each for each, code in values if code in (0, 6)]
    assert body.good == sum(code == 0 for _, code in values)
    assert (body.sum_v is None) == (len(usable) < len(values))
    assert body.coverage_frac == pytest.approx(len(usable) / len(values), abs=1e-4)
    if usable:
        assert body.min_v == pytest.approx(min(usable), abs=1e-4)
        assert body.max_v == pytest.approx(max(usable), abs=1e-4)
        assert body.max_v_cell is not None
        assert cell_v[body.max_v_cell - 1] == pytest.approx(max(usable), abs=1e-4)
    else:
        assert body.min_v is body.mean_v is body.max_v_cell is None
    assert sum(body.quality_counts.values()) == len(values)


def test_a_summary_has_exactly_the_fields_of_the_model():
    body = json.loads(summarise(readings_of(), START_MS).encode(0.1, fresh=True))
    assert body.keys() == StringSummary.model_fields.keys()
