"""The embedded store: bytes, pauses and questions, beside plain SQLite rows."""

import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from historian.stores.embedded.options import EmbeddedOptions
from historian.stores.embedded.store import EmbeddedStore
from historian.stores.port import CellQuestion, LivedScan, StringQuestion, WriteBatch

from bench.figure import Figure
from bench.store_load import START_MS, scans, written_bytes

CELLS = 240
DAY_S = 86_400
NOISY_S = 6 * 3600
GROUP = 60
HOUR_MS = 3_600_000
POINTS = 500
TIMES = 3
LIVE_STRINGS, LIVE_CELLS, LIVE_S = 16, 256, 1500
CHILD_DEADLINE_S = 400.0
STATEMENT = (
    "SELECT (at_ms - ?) / 173000, min(v), avg(v), max(v), count(v) FROM row "
    "WHERE cell = ? AND at_ms >= ? AND at_ms < ? GROUP BY 1"
)


def figures() -> list[Figure]:
    """Return the store_* figures, trend_ms and trend_vs_sqlite_ratio."""
    with tempfile.TemporaryDirectory() as folder:
        live = _live(Path(folder) / "live")
        noisy = _noisy(Path(folder) / "noisy")
        quiet, upkeep_bytes, found = _quiet(Path(folder) / "quiet", Path(folder))
    return [
        Figure("store_bytes_quiet", quiet, "B/row", 1.2, note="a day of 240 cells, all files, tiers included"),
        Figure("store_bytes_noisy", noisy, "B/row", 2.5, note="6 h of 240 cells, all files, tiers included"),
        Figure("store_written_bytes_per_row", live["written"] + upkeep_bytes, "B/row", 24.0,
               note=f"4096 cells, each string its own commit: {live['written']:.1f} live, {upkeep_bytes:.1f} merging"),
        Figure("store_pause_ms", live["pause_ms"], "ms", 50.0,
               note=f"longest write with fdatasync beside upkeep; p99 {live['pause_p99_ms']:.1f} ms"),
        Figure("historian_store_rss_mb", live["rss_mb"], "MB", 200.0, note="peak, 4096 cells, service imported"),
        *found,
    ]  # fmt: skip


def _live(folder: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.store_load", str(folder), *map(str, (LIVE_STRINGS, LIVE_CELLS, LIVE_S))]
    done = subprocess.run(command, capture_output=True, check=True, timeout=CHILD_DEADLINE_S)
    return {name: float(value) for name, value in json.loads(done.stdout).items()}


def _fill(store: EmbeddedStore, seconds: int, noise: float) -> float:
    """Write a string group by group with upkeep; return the bytes that computing tiers and merging wrote."""
    waiting: list[LivedScan] = []
    wrote = 0
    for scan in scans("s1", CELLS, seconds, noise, 7):
        waiting.append(LivedScan(scan))
        if len(waiting) == GROUP:
            store.write(WriteBatch(scans=waiting))
            waiting = []
            wrote += _tend(store)
    return float(wrote)


def _close_day(store: EmbeddedStore, seconds: int) -> float:
    """Let the next span begin, so that the one before is complete; return what merging wrote."""
    (last,) = store.latest()
    later = replace(last.scan, seq=last.scan.seq + 1, measured_ms=START_MS + 1000 * seconds)
    store.write(WriteBatch(scans=[LivedScan(later)]))
    store.rotate()
    return float(_tend(store))


def _tend(store: EmbeddedStore) -> int:
    """Do all upkeep; return the bytes of everything but packing, which the live run counts."""
    wrote, more = 0, True
    while more:
        before = written_bytes()
        done = store.upkeep()
        more = done.more
        if not done.did.startswith("journal"):
            wrote += written_bytes() - before
    return wrote


def _disk_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.suffix != ".sqlite-shm")


def _noisy(folder: Path) -> float:
    store = EmbeddedStore(folder, "hh1", EmbeddedOptions(reserve_bytes=0))
    _fill(store, NOISY_S, 3.0)
    _close_day(store, NOISY_S)
    store.close()
    return _disk_bytes(folder) / (NOISY_S * CELLS)


def _quiet(folder: Path, scratch: Path) -> tuple[float, float, list[Figure]]:
    store = EmbeddedStore(folder, "hh1", EmbeddedOptions(reserve_bytes=0))
    wrote = _fill(store, DAY_S - GROUP, 1.0)  # the newest nine minutes stay in the journal
    trend_ms, first_ms = _trend(store)
    ratios = _against_sqlite(store, scratch, trend_ms)
    wrote += _close_day(store, DAY_S)
    store.close()
    bytes_per_row = _disk_bytes(folder) / (DAY_S * CELLS)
    note = f"24 h of full tier to {POINTS} points, newest minutes in the journal; median of 20 cells, "
    note += f"the fastest of {TIMES} each; first asked {first_ms:.0f} ms"
    return bytes_per_row, wrote / (DAY_S * CELLS), [Figure("trend_ms", trend_ms, "ms", 20.0, note=note), *ratios]


def _question(cell: int) -> CellQuestion:
    return CellQuestion("s1", cell, "cell_v", START_MS, START_MS + 1000 * DAY_S, POINTS, "full")


def _trend(store: EmbeddedStore) -> tuple[float, float]:
    begin = time.perf_counter()
    table = store.cell_series(_question(1))
    first_s = time.perf_counter() - begin
    if table.num_rows > POINTS or table["n_good"].to_numpy().sum() < DAY_S * 0.99:
        raise RuntimeError(f"the trend has {table.num_rows} rows")
    # whatever else the machine does counts as little as can be: each cell is asked some times, the fastest counts
    asked = [[_timed(partial(store.cell_series, _question(cell))) for _ in range(TIMES)] for cell in range(2, 60, 3)]
    times = [min(of_cell) for of_cell in asked]
    return statistics.median(times) * 1e3, first_s * 1e3


def _timed(ask: Callable[[], object]) -> float:
    begin = time.perf_counter()
    ask()
    return time.perf_counter() - begin


def _against_sqlite(store: EmbeddedStore, folder: Path, trend_ms: float) -> list[Figure]:
    found = []
    for name, key in (("trend_vs_sqlite_ratio", "at_ms, cell"), ("trend_vs_sqlite_cell_time_ratio", "cell, at_ms")):
        path = folder / "rows.sqlite"
        sqlite_ms = _sqlite_trend_ms(store, path, key)
        note = f"SQLite ({key}) {sqlite_ms:.0f} ms, {path.stat().st_size / (DAY_S * CELLS):.1f} B/row"
        path.unlink()
        found.append(Figure(name, sqlite_ms / trend_ms, "ratio", better="higher", note=note))
    return found


def _sqlite_trend_ms(store: EmbeddedStore, path: Path, key: str) -> float:
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode=OFF")
    db.execute(f"CREATE TABLE row (at_ms INT, cell INT, v INT, t INT, q INT, PRIMARY KEY ({key})) WITHOUT ROWID")
    for hour in range(24):
        rows = _rows(store, START_MS + hour * HOUR_MS)
        order = np.lexsort((rows[0], rows[1])) if key.startswith("cell") else slice(None)
        db.executemany("INSERT INTO row VALUES (?,?,?,?,?)", zip(*(row[order].tolist() for row in rows), strict=True))
    db.commit()
    end_ms = START_MS + 1000 * DAY_S
    asked = [_timed(partial(_ask, db, (START_MS, cell, START_MS, end_ms))) for cell in (5, 77, 200)]
    db.close()
    return statistics.median(asked) * 1e3


def _ask(db: sqlite3.Connection, values: tuple[int, ...]) -> list[tuple[float, ...]]:
    return db.execute(STATEMENT, values).fetchall()


def _rows(store: EmbeddedStore, start_ms: int) -> list[np.ndarray]:
    table = store.string_series(StringQuestion("s1", "cell", start_ms, start_ms + HOUR_MS))
    scales = (("measured_at", 1), ("cell", 1), ("cell_v", 1e4), ("degc", 1e2), ("quality", 1))
    return [np.nan_to_num(_numbers(table[name]) * scale).astype(int) for name, scale in scales]


def _numbers(column: "pa.ChunkedArray[Any]") -> np.ndarray:
    return (column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column).to_numpy()


if __name__ == "__main__":
    for figure in figures():
        print(figure.line(), "-", figure.note)
