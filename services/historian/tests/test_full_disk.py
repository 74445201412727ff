"""A full disk: clear errors, no damage, and everything goes on when there is room."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cellkeeper.testing.builders import scan_of
from cellkeeper.testing.machine import small_disk
from historian.errors import StoreFullError
from historian.stores.embedded import journal, part_writer
from historian.stores.embedded.options import EmbeddedOptions
from historian.stores.embedded.store import EmbeddedStore
from historian.stores.port import LivedScan, StringQuestion, WriteBatch

FOREVER = (0, 4_000_000_000_000)
OPTIONS = EmbeddedOptions(reserve_bytes=0, scans_per_journal=30)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB."""
    with small_disk(tmp_path / "small", "3m") as is_mounted:
        if not is_mounted:
            pytest.skip("this machine does not let tests mount")
        yield tmp_path / "small"


def batch(*seqs: int) -> WriteBatch:
    return WriteBatch(scans=[LivedScan(scan_of(40, seq)) for seq in seqs])


def seqs(store: EmbeddedStore) -> list[int]:
    return store.string_series(StringQuestion("s1", "string", *FOREVER))["seq"].to_pylist()


def tend_as_far_as_it_goes(store: EmbeddedStore) -> None:
    try:
        while store.upkeep().more:
            pass
    except StoreFullError:
        pass


def fill_up(store: EmbeddedStore) -> int:
    """Write until there is no room; return the last scan that was acknowledged."""
    for seq in range(2, 20_000):
        try:
            store.write(batch(seq))
        except StoreFullError:
            return seq - 1
        tend_as_far_as_it_goes(store)
    raise AssertionError("the disk never filled up")


def test_a_small_disk_fills_up_and_is_emptied(room: Path):
    store = EmbeddedStore(room / "history", "hh1", OPTIONS)
    ballast = room / "ballast"
    store.write(batch(1))
    ballast.write_bytes(bytes(2_000_000))
    written = fill_up(store)
    assert list(store.positions()["s1"]["b7f2"].stored) == [(1, written)]
    assert seqs(store) == list(range(1, written + 1))
    ballast.unlink()
    store.write(batch(*range(written + 1, written + 20)))
    while store.upkeep().more:
        pass
    store.close()
    store = EmbeddedStore(room / "history", "hh1", OPTIONS)
    assert seqs(store) == list(range(1, written + 20))
    store.close()


def test_a_file_that_may_not_grow_is_no_room_and_leaves_no_torn_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = EmbeddedStore(tmp_path, "hh1", OPTIONS)
    store.write(batch(1, 2))
    real = os.pwrite

    def half(handle: int, data: bytes, offset: int) -> int:
        real(handle, data[: len(data) // 2], offset)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(journal.os, "pwrite", half)
    with pytest.raises(StoreFullError):
        store.write(batch(3, 4))
    assert seqs(store) == [1, 2]
    monkeypatch.setattr(journal.os, "pwrite", real)
    store.write(batch(3))
    store.close()
    store = EmbeddedStore(tmp_path, "hh1", OPTIONS)
    assert seqs(store) == [1, 2, 3]
    store.close()


def test_no_room_for_a_parquet_file_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = EmbeddedStore(tmp_path, "hh1", OPTIONS)
    store.write(batch(*range(1, 41)))
    with monkeypatch.context() as full:
        full.setattr(part_writer, "_make_durable", _no_room)
        for _ in range(3):
            with pytest.raises(StoreFullError):
                store.upkeep()
        assert list(tmp_path.rglob("*.parquet")) == []
        assert seqs(store) == list(range(1, 41))
    while store.upkeep().more:
        pass
    assert seqs(store) == list(range(1, 41))
    store.close()


def _no_room(path: Path) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_the_reserve_is_kept_free_for_upkeep(tmp_path: Path):
    store = EmbeddedStore(tmp_path, "hh1", EmbeddedOptions(reserve_bytes=1 << 60))
    with pytest.raises(StoreFullError, match="MiB free"):
        store.write(batch(1))
    assert store.latest() == ()
    store.close()
