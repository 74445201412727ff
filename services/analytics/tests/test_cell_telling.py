"""Which units are told again: what left its band, what changed its source, and each once in a refresh period."""

from dataclasses import replace

import numpy as np
import orjson
from analytics.cell_telling import CellTelling
from analytics.unit_estimates import NAMES, UnitEstimates
from cellkeeper.contract.estimate_state import CellEstimate
from cellkeeper.contract.wire import decode

AT_MS = 1_800_000_000_000
REFRESH_S = 60.0


def estimates_of(units: int, **changes) -> UnitEstimates:
    unknown = np.full(units, np.nan)
    known = {
        "soc_frac": np.full(units, 0.9), "soc_sd_frac": np.full(units, 0.01),
        "soc_source": np.full(units, 2, dtype=np.uint8), "anchor_age_h": np.zeros(units), "soh_frac": unknown,
        "soh_sd_frac": unknown, "soh_source": np.zeros(units, dtype=np.uint8), "r_own_frac": np.ones(units),
        "r_state": np.ones(units, dtype=np.uint8), "p_fail_6m_frac": unknown, "p_fail_12m_frac": unknown,
    }  # fmt: skip
    return UnitEstimates(**{**known, **changes})


def drained(view: CellTelling) -> list[int]:
    return [cell for cell, _ in view.take(10_000)]


def test_all_are_told_at_first_in_portions_and_each_is_a_payload():
    view = CellTelling(5, REFRESH_S)
    view.update(estimates_of(5), AT_MS)
    first = view.take(3)
    assert [cell for cell, _ in first] == [1, 2, 3]
    assert (view.waiting, drained(view), view.take(9)) == (2, [4, 5], [])
    told = decode(CellEstimate, first[0][1])
    assert (told.soc_frac, told.soc_source, told.soh_frac, told.soh_source) == (0.9, "coulomb", None, "not_proven")
    assert told.measured_ms == AT_MS
    assert set(orjson.loads(first[0][1])) == {"v", *NAMES, "measured_at", "measured_ms"}


def test_what_stays_within_its_band_is_not_told_and_drift_is():
    view, told = CellTelling(4, 1e9), estimates_of(4)
    view.update(told, AT_MS)
    drained(view)
    for step in range(1, 4):  # 0.2 % at a time: told once it has drifted by more than half a percent
        soc = told.soc_frac.copy()
        soc[2] -= 0.002 * step
        view.update(replace(told, soc_frac=soc), AT_MS + 1000 * step)
        assert drained(view) == ([3] if step == 3 else [])


def test_a_source_a_state_and_what_becomes_known_are_told_at_once():
    view, told = CellTelling(4, 1e9), estimates_of(4)
    view.update(told, AT_MS)
    drained(view)
    source, state, soh = told.soc_source.copy(), told.r_state.copy(), told.soh_frac.copy()
    source[0], state[1], soh[3] = 1, 3, 0.95
    view.update(replace(told, soc_source=source, r_state=state, soh_frac=soh), AT_MS + 1000)
    assert drained(view) == [1, 2, 4]
    view.update(replace(told, soc_source=source, r_state=state, soh_frac=soh), AT_MS + 2000)
    assert drained(view) == []


def test_each_unit_is_told_once_in_a_refresh_period_and_never_all_at_once():
    view, told = CellTelling(240, REFRESH_S), estimates_of(240)
    view.update(told, AT_MS)
    drained(view)
    counts, most = np.zeros(240, dtype=int), 0
    for second in range(1, 241):
        view.update(told, AT_MS + 1000 * second)
        cells = drained(view)
        most = max(most, len(cells))
        counts[np.array(cells, dtype=int) - 1] += 1
    assert counts.min() >= 3
    assert counts.max() <= 5
    assert most <= 40


def test_what_could_not_be_sent_comes_again_with_its_newest_value():
    view, told = CellTelling(3, 1e9), estimates_of(3)
    view.update(told, AT_MS)
    sent = view.take(3)
    view.give_back([cell for cell, _ in sent[1:]])
    view.update(replace(told, soc_frac=np.full(3, 0.901)), AT_MS + 1000)
    again = dict(view.take(9))
    assert list(again) == [2, 3]
    assert orjson.loads(again[2])["soc_frac"] == 0.901
    view.mark_all()
    assert drained(view) == [1, 2, 3]
