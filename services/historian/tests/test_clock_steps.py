"""Days of history, retention on, clocks that step: as the contract's "Time" says."""

from pathlib import Path

import numpy as np
import pytest
from cellkeeper.contract.series import DAY_MS
from cellkeeper.testing.builders import scan_of
from historian.stores.embedded.options import EmbeddedOptions
from historian.stores.embedded.store import EmbeddedStore
from historian.stores.port import CellQuestion, LivedScan, StringQuestion, WriteBatch

FOREVER = (0, 4_000_000_000_000)
STEP_MS = 900_000
DAY_SCANS = 24  # the first six hours of each day
GROUP = 12
START_DAY = 20_000
KEEP = {"full": 3, "1m": 5, "15m": 8, "1d": 0}
OPTIONS = EmbeddedOptions(reserve_bytes=0, scans_per_journal=12, keep_days=KEEP)


def write_days(store: EmbeddedStore, first_day: int, days: int, *, stream: str = "b7f2", first_seq: int = 1) -> int:
    """Write a scan each quarter of an hour, six hours a day; return the next seq."""
    group: list[LivedScan] = []
    for n in range(days * DAY_SCANS):
        day, of_day = divmod(n, DAY_SCANS)
        at_ms = (first_day + day) * DAY_MS + of_day * STEP_MS
        volts = np.full(3, 2.0 + (at_ms // DAY_MS % 100) / 1000)
        group.append(LivedScan(scan_of(3, first_seq + n, stream=stream, measured_ms=at_ms, cell_v=volts)))
        if len(group) == GROUP:
            store.write(WriteBatch(scans=group))
            group = []
            while store.upkeep().more:
                pass
    while store.upkeep().more:
        pass
    return first_seq + days * DAY_SCANS


def days_of(store: EmbeddedStore, tier: str) -> list[int]:
    rows = store.cell_series(CellQuestion("s1", 1, "cell_v", *FOREVER, 1_000_000, tier))  # type: ignore[arg-type]
    return sorted({at // DAY_MS for at in rows["measured_at"].cast("int64").to_pylist()})


def test_each_tier_keeps_its_days(tmp_path: Path):
    store = EmbeddedStore(tmp_path, "hh1", OPTIONS)
    write_days(store, START_DAY, 12)
    end = START_DAY + 12
    assert days_of(store, "full") == list(range(end - 3, end))
    assert days_of(store, "1m") == list(range(end - 5, end))
    assert days_of(store, "15m")[-8:] == list(range(end - 8, end))
    table = store.cell_series(CellQuestion("s1", 1, "cell_v", *FOREVER, 1000, "1d"))
    assert table["n_good"].to_pylist() == [DAY_SCANS] * 12
    assert table["mean"].to_pylist() == pytest.approx([2.0 + day % 100 / 1000 for day in range(START_DAY, end)])
    assert store.kept_from_ms("s1") == (end - 3) * DAY_MS
    store.close()
    store = EmbeddedStore(tmp_path, "hh1", OPTIONS)
    assert store.kept_from_ms("s1") == (end - 3) * DAY_MS
    store.close()


@pytest.mark.parametrize("jump_days", [365, -365])
def test_a_step_of_a_year_and_back_deletes_nothing_it_should_not(tmp_path: Path, jump_days: int):
    store = EmbeddedStore(tmp_path, "hh1", OPTIONS)
    write_days(store, START_DAY, 3)
    jumped = START_DAY + 3 + jump_days
    for n in range(20):
        at_ms = jumped * DAY_MS + n * STEP_MS
        store.write(WriteBatch(scans=[LivedScan(scan_of(3, n + 1, stream="fa15e", measured_ms=at_ms))]))
    store.rotate()
    notices = []
    while True:
        done = store.upkeep()
        notices += done.notices
        if not done.more:
            break
    kinds = {notice.kind for notice in notices}
    assert kinds == ({"retention.clock_doubted"} if jump_days > 0 else set())
    write_days(store, START_DAY + 3, 1, stream="c0de")
    kept = set(days_of(store, "full"))
    assert kept >= {START_DAY + 1, START_DAY + 2, START_DAY + 3}
    assert (jumped in kept) == (jump_days > 0)
    store.close()


def test_a_step_of_an_hour_back_overwrites_and_reorders_nothing(tmp_path: Path):
    store = EmbeddedStore(tmp_path, "hh1", OPTIONS)
    write_days(store, START_DAY, 1)
    again = START_DAY * DAY_MS + (DAY_SCANS - 6) * STEP_MS
    for n in range(12):
        store.write(WriteBatch(scans=[LivedScan(scan_of(3, n + 1, stream="c0de", measured_ms=again + n * STEP_MS))]))
    store.rotate()
    while store.upkeep().more:
        pass
    rows = store.string_series(StringQuestion("s1", "string", *FOREVER)).to_pylist()
    assert [row["seq"] for row in rows if row["stream"] == "b7f2"] == list(range(1, DAY_SCANS + 1))
    assert [row["seq"] for row in rows if row["stream"] == "c0de"] == list(range(1, 13))
    times = [row["measured_at"] for row in rows]
    assert times == sorted(times)
    store.close()
