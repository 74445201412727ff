"""What any store must do, whatever lies behind the port."""

from collections.abc import Callable, Iterable
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from cellkeeper.contract.balance_state import BalanceState
from cellkeeper.contract.estimate_state import StringEstimate
from cellkeeper.contract.moment import from_ms
from cellkeeper.contract.notices import Event
from cellkeeper.contract.scan_columns import ScanColumns
from cellkeeper.contract.series import BALANCE, CELL_ESTIMATE
from cellkeeper.contract.telemetry import ImpedanceSweep
from cellkeeper.contract.wire import decode
from cellkeeper.testing.builders import START_MS, balance_of, estimate_of, mode_of, scan_of
from historian.errors import QueryRefusedError
from historian.intake import intake_of
from historian.lives import LifeBook
from historian.receipts import LostSpan
from historian.stores.estimate_rows import cell_estimate_row, estimate_row
from historian.stores.port import (
    AsideScan,
    CellQuestion,
    EventQuestion,
    LivedScan,
    LivedSweep,
    StateQuestion,
    Store,
    StringQuestion,
    WriteBatch,
)
from historian.stores.state_rows import balance_row, mode_row, rows_of

type OpenStore = Callable[[], Store]
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
FOREVER = (0, 4_000_000_000_000)


def write(store: Store, scans: Iterable[ScanColumns], *, at_once: int = 20) -> None:
    waiting = list(scans)
    for first in range(0, len(waiting), at_once):
        store.write(WriteBatch(scans=[LivedScan(scan) for scan in waiting[first : first + at_once]]))
        while store.upkeep().more:
            pass


def tend(store: Store) -> None:
    while store.upkeep().more:
        pass


def noisy(seq: int, *, cells: int = 5, step_ms: int = 1000, **changes: object) -> ScanColumns:
    rng = np.random.default_rng(seq)
    quality = np.zeros(cells, np.uint8)
    cell_v = np.round(2.25 + rng.normal(0, 0.01, cells), 4)
    if seq % 7 == 0:
        quality[1], cell_v[1] = 2, 53.0
    if seq % 11 == 0:
        quality[2], cell_v[2] = 4, np.nan
    if seq % 13 == 0:
        quality[3], cell_v[3] = 1, np.nan
    values: dict[str, object] = {
        "measured_ms": START_MS + step_ms * seq,
        "cell_v": cell_v,
        "cell_degc": np.round(22 + rng.normal(0, 0.5, cells), 2),
        "quality": quality,
        "bleed_frac": np.where(rng.random(cells) < 0.2, 0.125, 0.0),
    }
    return scan_of(cells, seq, **(values | changes))


def cell_v(store: Store, cell: int, tier: str | None = "full", points: int = 100_000) -> pa.Table:
    return store.cell_series(CellQuestion("s1", cell, "cell_v", *FOREVER, points, tier))  # type: ignore[arg-type]


def seqs(store: Store, string: str = "s1") -> list[int]:
    return store.string_series(StringQuestion(string, "string", *FOREVER))["seq"].to_pylist()


def test_every_value_comes_back_as_it_was_measured(open_store: OpenStore):
    store = open_store()
    scans = [noisy(seq) for seq in range(1, 131)]
    write(store, scans)
    rows = store.string_series(StringQuestion("s1", "cell", *FOREVER)).to_pylist()
    assert len(rows) == 130 * 5
    for number, row in enumerate(rows):
        scan, at = scans[number // 5], number % 5
        assert row["measured_at"] == from_ms(scan.measured_ms)
        assert (row["cell"], row["life"]) == (at + 1, 1)
        suspect = scan.quality[at] in (2, 3, 8)
        expected = None if np.isnan(scan.cell_v[at]) else scan.cell_v[at]
        assert row["cell_v"] == (None if suspect else expected)
        assert row["cell_v_suspect"] == (expected if suspect else None)
        assert row["degc"] == scan.cell_degc[at]
        assert row["bleed_frac"] == scan.bleed_frac[at]
        assert (row["quality"], row["degc_quality"], row["status"]) == (scan.quality[at], 0, 2)


def test_the_values_of_the_string_come_back(open_store: OpenStore):
    store = open_store()
    scan = scan_of(seq=9, scalars={"current_a": -12.4, "float_a": None}, scalar_quality={"current_a": 0, "float_a": 5})
    write(store, [scan, scan_of(seq=10, scalars={}, scalar_quality={})])
    first, second = store.string_series(StringQuestion("s1", "string", *FOREVER)).to_pylist()
    assert (first["stream"], first["seq"], first["clock"]) == ("b7f2", 9, "synced")
    assert (first["current_a"], first["current_a_quality"]) == (-12.4, 0)
    assert (first["float_a"], first["float_a_quality"]) == (None, 5)
    assert (first["string_v"], first["string_v_quality"]) == (None, None)
    assert second["current_a_quality"] is None


def test_all_of_it_survives_a_restart_before_and_after_upkeep(open_store: OpenStore):
    store = open_store()
    write(store, [noisy(seq) for seq in range(1, 101)])
    before = store.string_series(StringQuestion("s1", "cell", *FOREVER))
    store = open_store()
    assert store.string_series(StringQuestion("s1", "cell", *FOREVER)).equals(before)
    tend(store)
    store = open_store()
    assert store.string_series(StringQuestion("s1", "cell", *FOREVER)).equals(before)
    assert seqs(store) == list(range(1, 101))


def test_the_same_row_twice_is_one_row_at_any_time(open_store: OpenStore):
    store = open_store()
    scans = [noisy(seq) for seq in range(1, 91)]
    write(store, scans + scans)
    write(store, scans)
    store = open_store()
    write(store, [*scans, *scans[:50]])
    assert seqs(store) == list(range(1, 91))


def test_two_scans_of_one_millisecond_both_stay_and_nothing_is_overwritten(open_store: OpenStore):
    store = open_store()
    first = scan_of(seq=1, cell_v=np.full(4, 2.0))
    second = scan_of(seq=1, stream="c0de", cell_v=np.full(4, 3.0))
    write(store, [first, second])
    assert sorted(cell_v(store, 1)["mean"].to_pylist()) == [2.0, 3.0]


def test_rows_that_came_out_of_order_are_answered_in_order(open_store: OpenStore):
    store = open_store()
    write(store, [noisy(seq) for seq in (*range(100, 201), *range(50, 100), *range(1, 50))])
    assert seqs(store) == list(range(1, 201))
    assert store.latest()[0].scan.seq == 200


def test_positions_are_what_was_written_and_what_was_told_as_lost(open_store: OpenStore):
    store = open_store()
    write(store, [noisy(seq) for seq in (*range(5, 90), *range(95, 120))])
    store.write(WriteBatch(lost=[LostSpan("s1", "b7f2", 0, 4)]))
    for _ in range(2):
        book = store.positions()["s1"]["b7f2"]
        assert list(book.stored) == [(5, 89), (95, 119)]
        assert list(book.accounted) == [(0, 89), (95, 119)]
        assert book.receipt_seq == 89
        tend(store)
        store = open_store()


def test_scans_set_aside_count_as_stored_but_are_no_rows(open_store: OpenStore):
    store = open_store()
    store.write(WriteBatch(scans=[LivedScan(scan_of(seq=1))], aside=[AsideScan(scan_of(seq=2), "future")]))
    store = open_store()
    assert list(store.positions()["s1"]["b7f2"].stored) == [(1, 2)]
    assert seqs(store) == [1]


def test_positions_of_lives_are_kept_apart(open_store: OpenStore):
    store = open_store()
    write(store, [noisy(seq) for seq in range(1, 61)])
    replaced = [LivedScan(noisy(seq), (1, 1, 2, 1, 1)) for seq in range(61, 121)]
    store.write(WriteBatch(scans=replaced))
    tend(store)
    store = open_store()
    rows = store.string_series(StringQuestion("s1", "cell", *FOREVER))
    lives = {(row["cell"], row["life"]) for row in rows.select(["cell", "life"]).to_pylist()}
    assert lives == {(1, 1), (2, 1), (3, 1), (3, 2), (4, 1), (5, 1)}
    assert rows.num_rows == 120 * 5
    assert cell_v(store, 3)["n_good"].to_numpy().sum() == sum(1 for seq in range(1, 121) if seq % 11)
    assert store.latest()[0].lives == (1, 1, 2, 1, 1)


def test_a_new_life_begins_with_its_moment_whenever_the_rows_arrive(open_store: OpenStore):
    store = open_store()
    book = LifeBook()
    book.describe("s1", {}, 0)
    book.describe("s1", {3: 2}, START_MS + 60_500)
    intake = intake_of(store.positions(), {}, store.kept_from_ms, book.of)
    for arrived in (range(41, 121), range(1, 41)):  # what is backfilled was measured before
        store.write(intake.take([noisy(seq) for seq in arrived], START_MS).batch)
        tend(store)
    for _ in range(2):
        rows = store.string_series(StringQuestion("s1", "cell", *FOREVER)).to_pylist()
        assert [row["life"] for row in rows if row["cell"] == 3] == [1] * 60 + [2] * 60
        assert {row["life"] for row in rows if row["cell"] != 3} == {1}
        tier = store.string_series(StringQuestion("s1", "cell", *FOREVER, "1d")).to_pylist()
        n = {row["life"]: row["n_good"] for row in tier if (row["cell"], row["field"]) == (3, "cell_v")}
        assert n == {life: sum(seq % 11 > 0 for seq in part) for life, part in ((1, range(1, 61)), (2, range(61, 121)))}
        assert store.latest()[0].lives == (1, 1, 2, 1, 1)
        store = open_store()


def test_a_string_may_grow(open_store: OpenStore):
    store = open_store()
    write(store, [noisy(seq, cells=4) for seq in range(1, 61)])
    write(store, [noisy(seq, cells=6) for seq in range(61, 121)])
    rows = store.string_series(StringQuestion("s1", "cell", *FOREVER))
    assert rows.num_rows == 60 * 4 + 60 * 6
    assert cell_v(store, 6).num_rows == 60


@pytest.mark.parametrize("tier", ["full", "1m", "15m", "1d"])
def test_every_tier_has_exact_extremes_and_counts_before_and_after_upkeep(open_store: OpenStore, tier: str):
    store = open_store()
    scans = [noisy(seq, step_ms=61_000) for seq in range(1, 401)]
    for first in (0, 200):
        write(store, scans[first : first + 200], at_once=10)
        _check_tier(cell_v(store, 3, tier), scans[: first + 200])
    tend(store)
    store = open_store()
    _check_tier(cell_v(store, 3, tier), scans)


def _check_tier(table: pa.Table, scans: list[ScanColumns]) -> None:
    values = np.array([scan.cell_v[2] for scan in scans])
    good = values[~np.isnan(values)]
    assert table["n_good"].to_numpy().sum() == len(good)
    assert table["n_bad"].to_numpy().sum() == len(values) - len(good)
    assert np.nanmin(table["min"].to_numpy()) == pytest.approx(good.min(), abs=1e-12)
    assert np.nanmax(table["max"].to_numpy()) == pytest.approx(good.max(), abs=1e-12)
    weighted = np.nansum(table["mean"].to_numpy() * table["n_good"].to_numpy()) / len(good)
    assert weighted == pytest.approx(good.mean(), abs=2e-5)
    last = table["last"].to_pylist()[-1]
    assert last == pytest.approx(good[-1], abs=1e-12)


def test_a_suspect_value_is_no_extreme_and_a_slow_source_is_not_bad(open_store: OpenStore):
    store = open_store()
    write(store, [noisy(seq) for seq in range(1, 61)])
    for tier in ("full", "1m", "1d"):
        assert np.nanmax(cell_v(store, 2, tier)["max"].to_numpy()) < 3.0
        assert cell_v(store, 2, tier)["n_bad"].to_numpy().sum() == 60 // 7
        assert cell_v(store, 4, tier)["n_bad"].to_numpy().sum() == 0
        assert cell_v(store, 4, tier)["n_good"].to_numpy().sum() == 60 - 60 // 13


def test_late_rows_change_the_windows_they_touch(open_store: OpenStore):
    store = open_store()
    day = [noisy(seq, step_ms=180_000) for seq in range(1, 520)]  # until the next morning
    late = set(range(300, 340))
    write(store, [scan for scan in day if scan.seq not in late], at_once=40)
    hole = cell_v(store, 1, "15m")["n_good"].to_numpy().sum()
    write(
        store, [scan_of(5, seq, measured_ms=START_MS + 180_000 * seq, cell_v=np.full(5, 1.5)) for seq in sorted(late)]
    )
    for _ in range(2):
        for tier in ("1m", "15m", "1d"):
            table = cell_v(store, 1, tier)
            assert table["n_good"].to_numpy().sum() == hole + 40
            assert table["min"].to_numpy().min() == pytest.approx(1.5)
            assert len(set(table["measured_at"].to_pylist())) == table.num_rows
        tend(store)
        store = open_store()


@pytest.mark.parametrize("points", [1, 7, 50, 500])
def test_at_most_as_many_points_as_asked_and_no_extreme_is_missed(open_store: OpenStore, points: int):
    store = open_store()
    scans = [noisy(seq) for seq in range(1, 301)]
    scans[123].cell_v[0], scans[222].cell_v[0] = 1.9, 2.7
    write(store, scans)
    table = store.cell_series(CellQuestion("s1", 1, "cell_v", START_MS, START_MS + 400_000, points, "full"))
    assert 1 <= table.num_rows <= points
    assert (table["min"].to_numpy().min(), table["max"].to_numpy().max()) == (1.9, 2.7)
    assert table["n_good"].to_numpy().sum() == 300
    at = table["measured_at"].to_pylist()
    assert at == sorted(at)


def test_a_range_is_half_open(open_store: OpenStore):
    store = open_store()
    write(store, [noisy(seq) for seq in range(1, 61)])
    table = store.cell_series(CellQuestion("s1", 1, "cell_v", START_MS + 10_000, START_MS + 20_000, 100, "full"))
    assert table["measured_at"].to_pylist() == [from_ms(START_MS + 1000 * seq) for seq in range(10, 20)]


def test_values_of_the_string_have_series_too(open_store: OpenStore):
    store = open_store()
    write(store, [noisy(seq) for seq in range(1, 61)])
    question = CellQuestion("s1", 0, "current_a", *FOREVER, 1000, "1m")
    table = store.cell_series(question)
    assert table["n_good"].to_numpy().sum() == 60
    assert set(table["max"].to_pylist()) == {0.05}


def test_means_of_the_largest_values_are_exact_in_every_tier(open_store: OpenStore):
    store = open_store()
    largest = {"current_a": -20_000.0, "string_v": 2000.0, "float_a": 2147.0, "ripple_v_rms": 2000.0}
    quality = dict.fromkeys(largest, 0)
    scans = [
        scan_of(2, n, measured_ms=START_MS + 61_000 * n, scalars=largest, scalar_quality=quality) for n in range(200)
    ]
    write(store, scans)
    for _ in range(2):
        for name, value in largest.items():
            for tier in ("full", "1m", "15m", "1d"):
                table = store.cell_series(CellQuestion("s1", 0, name, *FOREVER, 1000, tier))  # type: ignore[arg-type]
                assert table["n_good"].to_numpy().sum() == 200
                for statistic in ("min", "mean", "max", "last"):
                    assert set(table[statistic].to_pylist()) == {value}
        tend(store)
        store = open_store()


def test_rows_of_a_tier_for_the_whole_string(open_store: OpenStore):
    store = open_store()
    write(store, [noisy(seq) for seq in range(1, 181)])
    table = store.string_series(StringQuestion("s1", "cell", *FOREVER, "1m"))
    assert set(table["field"].to_pylist()) == {"cell_v", "degc", "bleed_frac"}
    of_voltage = table.filter(pa.compute.equal(table["field"], "cell_v"))
    assert of_voltage["n_good"].to_numpy().sum() == sum(
        np.isin(noisy(seq).quality, (0, 6)).sum() for seq in range(1, 181)
    )
    scalars = store.string_series(StringQuestion("s1", "string", *FOREVER, "1m"))
    assert set(scalars["cell"].to_pylist()) == {0}


def test_latest_is_the_newest_scan_of_every_string(open_store: OpenStore):
    store = open_store()
    write(store, [noisy(seq, string=string) for string in ("s2", "s1") for seq in (3, 5, 4)])
    for _ in range(2):
        latest = store.latest()
        assert [(lived.scan.string, lived.scan.seq) for lived in latest] == [("s1", 5), ("s2", 5)]
        assert latest[0].scan.cell_v.tolist() == noisy(5).cell_v.tolist()
        assert latest[0].scan.site == "hh1"
        store = open_store()


def test_unknown_fields_and_too_many_rows_are_refused_with_advice(open_store: OpenStore):
    store = open_store()
    write(store, [noisy(seq) for seq in range(1, 31)])
    with pytest.raises(QueryRefusedError, match="cell_v, degc, bleed_frac"):
        store.cell_series(CellQuestion("s1", 1, "volts", *FOREVER, 10))
    with pytest.raises(QueryRefusedError, match="shorter range"):
        store.string_series(StringQuestion("s1", "cell", *FOREVER, max_rows=100))


def test_an_unknown_string_has_no_rows(open_store: OpenStore):
    store = open_store()
    assert store.latest() == ()
    assert store.string_series(StringQuestion("nobody", "cell", *FOREVER)).num_rows == 0
    assert store.cell_series(CellQuestion("nobody", 1, "cell_v", *FOREVER, 10)).num_rows == 0
    assert store.kept_from_ms("nobody") is None


def test_events_are_one_by_id_newest_first_and_two_of_one_millisecond_stay_two(open_store: OpenStore):
    store = open_store()
    at = from_ms(START_MS)
    events = [
        Event(id=f"{n:032x}", at=at + timedelta(seconds=n // 2), service="bus-gateway", kind="bus.lost" if n % 2 else
              "bus.back", severity="info", text=str(n))
        for n in range(10)
    ]  # fmt: skip
    store.write(WriteBatch(events=events))
    store.write(WriteBatch(events=events[:3]))
    store = open_store()
    found = store.events(EventQuestion(START_MS, START_MS + 3000, 100))
    assert len(found) == 6
    assert [event.at for event in found] == sorted((event.at for event in found), reverse=True)
    assert store.events(EventQuestion(*FOREVER, 4))[0] in events[8:]
    assert {event.kind for event in store.events(EventQuestion(*FOREVER, 100, kind="bus.lost"))} == {"bus.lost"}
    assert store.events(EventQuestion(*FOREVER, 100, service="auth")) == ()


def test_impedance_sweeps_come_back_in_order(open_store: OpenStore):
    store = open_store()
    sweeps = [
        ImpedanceSweep(string="s1", measured_at=from_ms(START_MS + n), method="ac", frequency_hz=1000.0, test_a=1.0,
                       mode="float", cells=[1, 2], r_ohm=[0.001 * n, None], cell_measured_at=[None, None],
                       degc=[22.0, None], cell_v=[2.25, None], quality=[0, 4])
        for n in (2, 1)
    ]  # fmt: skip
    first, second = LivedSweep(sweeps[1]), LivedSweep(sweeps[0], (1, 3))
    store.write(WriteBatch(sweeps=[second, first]))
    store.write(WriteBatch(sweeps=[second, first]))
    store = open_store()
    assert store.impedance("s1", *FOREVER) == (first, second)
    assert store.impedance("s1", START_MS, START_MS + 2) == (first,)


def test_balancing_comes_back_in_order_and_whole_only_at_milestones(open_store: OpenStore):
    store = open_store()
    states = [balance_of(START_MS + 60_000 * n, string=string, is_milestone=n == 2, spread_v=0.05 / (n + 1))
              for n in (3, 0, 2, 1) for string in ("s1", "s2")]  # fmt: skip
    store.write(WriteBatch(states=[balance_row(state) for state in states]))
    store = open_store()
    found = store.states(StateQuestion("balance", "s1", *FOREVER))
    assert found.column_names == ["measured_at", *(field.shown for field in BALANCE.fields)]
    assert found["measured_at"].to_pylist() == [from_ms(START_MS + 60_000 * n) for n in range(4)]
    assert found["spread_v"].to_pylist() == [0.05, 0.025, 0.0167, 0.0125]
    row = found.to_pylist()[2]
    assert (row["phase"], row["inhibit"], row["began_spread_v"], row["held_out_spread_v"]) == ("float", "", 0.055, None)
    assert (row["half_life_s"], row["finish_s"], row["n_bleeding"], row["n_findings"]) == (11_500, 16_200, 1, 0)
    assert (row["moved_ah"], row["heat_wh"]) == (0.43, 0.97)
    assert [body is None for body in found["body"].to_pylist()] == [True, True, False, True]
    assert decode(BalanceState, row["body"].encode()) == states[4]
    assert store.states(StateQuestion("balance", "s1", *FOREVER, milestones=True)).to_pylist() == [row]
    assert store.states(StateQuestion("balance", "s1", START_MS, START_MS + 60_000)).num_rows == 1
    assert store.states(StateQuestion("balance", "nobody", *FOREVER)).num_rows == 0


def test_a_state_of_balancing_twice_is_one_and_two_of_one_moment_stay_two(open_store: OpenStore):
    store = open_store()
    rows = [balance_row(balance_of(START_MS, inhibit=inhibit)) for inhibit in ("", "stale")]
    unknown = balance_row(
        balance_of(START_MS + 1000, half_life_s=None, finish_s=1e12, began_at=None, began_spread_v=None)
    )
    store.write(WriteBatch(states=[*rows, unknown]))
    store.write(WriteBatch(states=[*rows, unknown]))
    store = open_store()
    store.write(WriteBatch(states=rows))
    found = store.states(StateQuestion("balance", "s1", *FOREVER))
    assert sorted(found["inhibit"].to_pylist()[:2]) == ["", "stale"]
    assert set(rows_of(found, "balance", "s1")) == {*rows, unknown}
    assert (found.num_rows, found["finish_s"].to_pylist()[2]) == (3, 2**31 - 1)
    with pytest.raises(QueryRefusedError, match="shorter range"):
        store.states(StateQuestion("balance", "s1", *FOREVER, max_rows=2))


def test_modes_and_estimates_come_back_as_they_were_told(open_store: OpenStore):
    store = open_store()
    told = [estimate_of(START_MS + 60_000 * n, doubts=["no_current"] if n else []) for n in range(2)]
    modes = [mode_row(mode_of(START_MS, mode=mode)) for mode in ("float", "discharge")]
    rows = [*modes, *(estimate_row(each) for each in told)]
    of_units = [cell_estimate_row(told[0], None), cell_estimate_row(told[1], (1, 3, 1))]
    for _ in range(2):
        store.write(WriteBatch(states=rows, cell_states=of_units))
    found = store.states(StateQuestion("estimate", "s1", *FOREVER)).to_pylist()
    assert [row["doubts"] for row in found] == [None, "no_current"]
    assert (found[0]["soc_low_frac"], found[0]["soc_low_cell"], found[0]["n_soc"]) == (0.887, 2, 2)
    assert (found[0]["unit_left_s"], found[0]["unit_left_cell"], found[0]["power_w"]) == (460, 2, 82.0)
    assert sorted(store.states(StateQuestion("mode", "s1", *FOREVER))["mode"].to_pylist()) == ["discharge", "float"]
    units = store.states(StateQuestion("cell_estimate", "s1", *FOREVER))
    assert units.column_names == ["measured_at", "cell", "life", *(field.shown for field in CELL_ESTIMATE.fields)]
    assert list(zip(units["cell"].to_pylist(), units["life"].to_pylist(), strict=True)) == [
        (1, 1), (2, 1), (3, 1), (1, 1), (2, 3), (3, 1),
    ]  # fmt: skip
    assert units["soc_frac"].to_pylist()[:3] == [0.913, 0.887, None]
    assert units["soc_source"].to_pylist()[:3] == [3, 3, 0]
    assert units["r_own_frac"].to_pylist()[:3] == [1.04, 1.31, None]
    assert rows_of(units, "cell_estimate", "s1") == of_units
    assert store.states(StateQuestion("cell_estimate", "s1", START_MS + 1, START_MS + 60_001)).num_rows == 3
    assert store.states(StateQuestion("cell_estimate", "s2", *FOREVER)).num_rows == 0
    with pytest.raises(QueryRefusedError, match="shorter range"):
        store.states(StateQuestion("cell_estimate", "s1", *FOREVER, max_rows=5))


def test_a_string_of_512_units_is_kept_whole(open_store: OpenStore):
    store = open_store()
    told = estimate_of(START_MS)
    columns = {name: getattr(told, name) for name in StringEstimate.model_fields}
    wide = {name: (each * 171)[:512] for name, each in columns.items() if isinstance(each, list) and len(each) == 3}
    store.write(WriteBatch(cell_states=[cell_estimate_row(told.model_copy(update=wide), None)]))
    units = store.states(StateQuestion("cell_estimate", "s1", *FOREVER))
    assert units["cell"].to_pylist() == list(range(1, 513))
    assert units["soc_frac"].to_pylist() == wide["soc_frac"]
