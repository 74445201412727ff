"""Tier files of both formats: a mean too large for the first one is null, and every mean of the second is exact."""

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cellkeeper.testing.builders import START_MS, scan_of
from historian.errors import StoreVersionError
from historian.stores.embedded import tier_file
from historian.stores.embedded.file_format import FORMAT_KEY, NEWEST, require_known_format
from historian.stores.embedded.options import EmbeddedOptions
from historian.stores.embedded.store import EmbeddedStore
from historian.stores.port import CellQuestion, LivedScan, WriteBatch

# an hour of half minutes written by the first version: float_a 0.05 A, then 500.25 A from minute 30 on
SAMPLE = Path(__file__).parent / "samples" / "history-tiers-v1"
HOUR_MS = 3_600_000
QUIET = EmbeddedOptions(reserve_bytes=0)


def minutes(store: EmbeddedStore, field: str, hours: int = 1) -> dict[str, list[float | None]]:
    question = CellQuestion("s1", 0, field, START_MS, START_MS + hours * HOUR_MS, 10_000, "1m")
    return store.cell_series(question).to_pydict()


def test_a_mean_that_did_not_fit_into_the_first_format_is_null_beside_true_extremes(tmp_path: Path):
    shutil.copytree(SAMPLE, tmp_path / "history")
    store = EmbeddedStore(tmp_path / "history", "hh1", QUIET)
    found = minutes(store, "float_a")
    assert found["mean"] == [0.05] * 30 + [None] * 30
    assert found["min"] == found["max"] == found["last"] == [0.05] * 30 + [500.25] * 30
    assert found["n_good"] == [2] * 60
    assert minutes(store, "current_a")["mean"] == [-1.5] * 60
    store.close()


def test_files_of_the_first_format_are_merged_into_the_second_without_loss(tmp_path: Path):
    shutil.copytree(SAMPLE, tmp_path / "history")
    store = EmbeddedStore(tmp_path / "history", "hh1", QUIET)
    for n in range(122, 122 + 24 * 120, 20):  # a day later the day's minutes become one file
        scan = scan_of(2, n + 1, measured_ms=START_MS + 30_000 * n, scalars={"float_a": 700.5}, scalar_quality={})
        store.write(WriteBatch(scans=[LivedScan(scan)]))
    store.rotate()
    while store.upkeep().more:
        pass
    files = [pq.ParquetFile(path) for path in (tmp_path / "history" / "1m" / "s1").glob("*.parquet")]
    assert {file.schema_arrow.field("mean_e1").type for file in files} == {pa.int64()}
    assert all(file.metadata.metadata[FORMAT_KEY.encode()].startswith(b'{"format":2') for file in files)
    found = minutes(store, "float_a", hours=3)
    assert found["mean"][:60] == [0.05] * 30 + [None] * 30
    assert found["max"][:60] == [0.05] * 30 + [500.25] * 30
    assert set(found["mean"][61:]) == {700.5}
    store.close()


def test_what_a_newer_program_wrote_is_refused(tmp_path: Path):
    path = tmp_path / "newer.parquet"
    with pq.ParquetWriter(path, tier_file.SCHEMA) as writer:
        writer.add_key_value_metadata({FORMAT_KEY: f'{{"format":{NEWEST + 1}}}'})
    with pytest.raises(StoreVersionError, match="use a newer one"):
        require_known_format(path, pq.read_metadata(path).metadata)
