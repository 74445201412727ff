"""The files are standard ones: DuckDB reads them without us, and they go when their last reader has ended."""

import sqlite3
from contextlib import closing
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
from cellkeeper.contract.moment import from_ms
from cellkeeper.contract.notices import Event
from cellkeeper.testing.builders import START_MS, balance_of, scan_of
from historian.stores.embedded import log_tables, state_tables
from historian.stores.embedded.manifest import Manifest
from historian.stores.embedded.options import EmbeddedOptions
from historian.stores.embedded.store import EmbeddedStore
from historian.stores.port import EventQuestion, LivedScan, StateQuestion, WriteBatch
from historian.stores.state_rows import balance_row, rows_of

OPTIONS = EmbeddedOptions(reserve_bytes=0, scans_per_journal=20)


def filled(folder: Path, scans: int = 200, step_ms: int = 60_000) -> EmbeddedStore:
    store = EmbeddedStore(folder, "hh1", OPTIONS)
    for seq in range(1, scans + 1):
        store.write(WriteBatch(scans=[LivedScan(scan_of(4, seq, measured_ms=START_MS + step_ms * seq))]))
        while seq % 20 == 0 and store.upkeep().more:
            pass
    return store


def test_full_files_open_anywhere(tmp_path: Path):
    filled(tmp_path).close()
    query = (
        "SELECT count(*), min(cell_v_e4_c3_l1), max(degc_e2_c3_l1), min(epoch_ms(measured_at)) "
        f"FROM read_parquet('{tmp_path}/full/s1/*.parquet', union_by_name = true)"
    )
    assert duckdb.sql(query).fetchall() == [(200, 22_502, 2_202, START_MS + 60_000)]


def test_tier_files_open_anywhere(tmp_path: Path):
    filled(tmp_path).close()
    query = (
        'SELECT sum(n_good), min("min"), max("max") '
        f"FROM '{tmp_path}/1m/s1/*.parquet' WHERE cell = 3 AND field = 'cell_v_e4'"
    )
    ((good, low, high),) = duckdb.sql(query).fetchall()
    assert 100 < good <= 200
    assert (low, high) == (22_502, 22_502)


def test_merging_leaves_few_files_with_row_groups_of_two_hours(tmp_path: Path):
    store = filled(tmp_path, 900, step_ms=120_000)
    files = sorted((tmp_path / "full" / "s1").glob("*.parquet"))
    whole_day = max(files, key=lambda path: pq.read_metadata(path).num_rows)
    metadata = pq.read_metadata(whole_day)
    assert len(files) < 12
    assert metadata.num_rows > 500
    assert all(metadata.row_group(at).num_rows <= 60 for at in range(metadata.num_row_groups))
    store.close()


def test_a_file_stays_until_its_last_reader_has_ended(tmp_path: Path):
    store = filled(tmp_path, 40)
    before = set(tmp_path.rglob("full/**/*.parquet"))
    with store._holdings.view("s1") as first, store._holdings.view("s1"):
        gone = first.segments["full"][0]
        store._holdings.swap(gone=[gone])
        assert (tmp_path / gone.file).exists()
    assert before - set(tmp_path.rglob("full/**/*.parquet")) == {tmp_path / gone.file}
    store.close()


def test_files_that_no_manifest_names_are_removed_at_start(tmp_path: Path):
    store = filled(tmp_path, 40)
    store.close()
    known = next(tmp_path.rglob("full/**/*.parquet"))
    orphan = known.with_name("2026-11-21T05-00-00_00000999.parquet")
    orphan.write_bytes(b"half a file")
    EmbeddedStore(tmp_path, "hh1", OPTIONS).close()
    assert known.exists()
    assert not orphan.exists()


def test_the_oldest_events_go_when_there_are_too_many(tmp_path: Path):
    manifest = Manifest(tmp_path / "manifest.sqlite")
    events = [
        Event(id=f"{n:032x}", at=from_ms(START_MS + n), service="auth", kind="user.added", severity="info", text="x")
        for n in range(20)
    ]
    log_tables.insert(manifest, [], events)
    for keep in (50, 7):
        with manifest.transaction() as db:
            log_tables.trim(db, keep)
        left = log_tables.events(manifest, EventQuestion(0, 2 * START_MS, 100))
        assert left == tuple(reversed(events[-keep:]))
    manifest.close()


def test_the_oldest_states_of_balancing_go_when_there_are_too_many(tmp_path: Path):
    manifest = Manifest(tmp_path / "manifest.sqlite")
    rows = [balance_row(balance_of(START_MS + n)) for n in range(20)]
    state_tables.insert(manifest, rows)
    for keep in (50, 7):
        with manifest.transaction() as db:
            state_tables.trim(db, keep)
        assert (
            rows_of(state_tables.states(manifest, StateQuestion("balance", "s1", 0, 2 * START_MS)), "balance", "s1")
            == rows[-keep:]
        )
    manifest.close()


def test_a_manifest_from_before_balancing_gets_its_table_and_stays_readable_by_the_program_of_before(tmp_path: Path):
    path = tmp_path / "manifest.sqlite"
    Manifest(path).close()
    with closing(sqlite3.connect(path)) as db:
        version = db.execute("PRAGMA user_version").fetchone()
        db.execute("DROP TABLE balance")
    manifest = Manifest(path)
    state_tables.insert(manifest, [balance_row(balance_of(START_MS))])
    assert state_tables.states(manifest, StateQuestion("balance", "s1", 0, 2 * START_MS)).num_rows == 1
    manifest.close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == version
