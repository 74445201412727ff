"""Scans set aside: whole lines, in order, in a bounded number of files, whatever the disk does."""

import errno
import os
from pathlib import Path

import orjson
import pytest
from cellkeeper.contract.scan_columns import decode_scan
from cellkeeper.testing.builders import scan_of
from historian.errors import StoreFullError
from historian.stores import aside as aside_module
from historian.stores.aside import AsideFiles
from historian.stores.port import AsideScan


def kept(folder: Path) -> list[int]:
    lines = [line for path in sorted(folder.glob("*.jsonl")) for line in path.read_bytes().splitlines()]
    return [decode_scan(orjson.dumps(orjson.loads(line)["scan"])).seq for line in lines]


def some(*seqs: int) -> list[AsideScan]:
    return [AsideScan(scan_of(4, seq), "future") for seq in seqs]


def test_a_scan_stays_as_it_came_with_the_reason(tmp_path: Path):
    assert AsideFiles(tmp_path).append(some(7)) is False
    (line,) = (tmp_path / "000001.jsonl").read_bytes().splitlines()
    told = orjson.loads(line)
    assert told["reason"] == "future"
    assert decode_scan(orjson.dumps(told["scan"])).cell_v.tolist() == scan_of(4, 7).cell_v.tolist()


def test_it_goes_on_after_a_restart_and_the_oldest_file_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(aside_module, "MAX_FILE_BYTES", 1)
    monkeypatch.setattr(aside_module, "MAX_FILES", 2)
    assert [AsideFiles(tmp_path).append(some(seq)) for seq in (1, 2, 3)] == [False, False, True]
    assert kept(tmp_path) == [2, 3]


def test_a_disk_that_takes_a_part_and_then_no_more_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    files = AsideFiles(tmp_path)
    files.append(some(1))
    real, taken = os.pwrite, []

    def a_little(handle: int, data: bytes, offset: int) -> int:
        if taken:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken.append(offset)
        return real(handle, data[:10], offset)

    with monkeypatch.context() as full:
        full.setattr(aside_module.os, "pwrite", a_little)
        with pytest.raises(StoreFullError, match="scans set aside"):
            files.append(some(2))
    assert kept(tmp_path) == [1]
    files.append(some(2, 3))
    assert kept(tmp_path) == [1, 2, 3]


def test_a_short_write_is_written_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    real = os.pwrite
    monkeypatch.setattr(aside_module.os, "pwrite", lambda handle, data, offset: real(handle, data[:100], offset))
    AsideFiles(tmp_path).append(some(1, 2))
    assert kept(tmp_path) == [1, 2]


def test_a_line_that_a_loss_of_power_tore_spoils_no_other(tmp_path: Path):
    AsideFiles(tmp_path).append(some(1))
    path = tmp_path / "000001.jsonl"
    path.write_bytes(path.read_bytes() + b'{"reason":"fut')
    AsideFiles(tmp_path).append(some(2))
    whole, torn, after = path.read_bytes().splitlines()
    assert torn == b'{"reason":"fut'
    assert [decode_scan(orjson.dumps(orjson.loads(line)["scan"])).seq for line in (whole, after)] == [1, 2]
