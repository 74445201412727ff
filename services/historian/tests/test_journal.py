"""The journal format: what it keeps, where it is cut, what it refuses, and that version 1 stays readable."""

import shutil
import struct
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from cellkeeper.testing.builders import scan_of, sweep_of
from historian.errors import StoreDamagedError, StoreVersionError
from historian.stores.block import block_of
from historian.stores.block import scan_of as scan_from
from historian.stores.embedded.journal import JournalFile, read_journal
from historian.stores.embedded.manifest import VERSION, Manifest
from historian.stores.embedded.options import EmbeddedOptions
from historian.stores.embedded.record import ScanRecord, SpanRecord, decode_body, encode_record
from historian.stores.embedded.store import EmbeddedStore
from historian.stores.port import LivedScan, LivedSweep, StringQuestion, WriteBatch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

FOREVER = (0, 4_000_000_000_000)
SAMPLE = Path(__file__).parent / "samples" / "history-v1"
QUIET = EmbeddedOptions(reserve_bytes=0)


@given(
    hnp.arrays("i8", st.integers(1, 40), elements=st.integers(-400_000, 400_000)),
    st.integers(0, 2**53 - 1),
    st.integers(1, 500),
    st.data(),
)
def test_a_scan_comes_back_from_its_record(volts_e4, seq: int, life: int, data: st.DataObject):
    n = len(volts_e4)
    codes = hnp.arrays("u1", n, elements=st.integers(0, 8))
    scan = scan_of(
        n,
        seq,
        cell_v=np.where(data.draw(hnp.arrays("?", n)), volts_e4 / 1e4, np.nan),
        cell_degc=data.draw(hnp.arrays("i8", n, elements=st.integers(-6000, 20_000))) / 1e2,
        bleed_frac=data.draw(hnp.arrays("i8", n, elements=st.integers(0, 1000))) / 1e3,
        quality=data.draw(codes),
        degc_quality=data.draw(codes),
        clock=data.draw(st.sampled_from(["synced", "holdover", "unsynced"])),
    )
    lives = tuple(data.draw(st.lists(st.integers(1, life), min_size=n, max_size=n)))
    raw = encode_record(ScanRecord("s1", scan.stream, seq, block_of(scan, lives)))
    length, crc = struct.unpack_from("<II", raw)
    assert (length, crc) == (len(raw) - 8, crc32(raw[8:]))
    record = decode_body(raw[8:])
    assert isinstance(record, ScanRecord)
    assert (record.string, record.stream, record.seq) == ("s1", scan.stream, seq)
    assert tuple(life for _, life in record.row.keys) == lives
    back = scan_from(record.row, 0, "hh1", "s1")
    for name in ("cell_v", "cell_degc", "bleed_frac", "quality", "degc_quality", "status"):
        np.testing.assert_array_equal(getattr(back, name), getattr(scan, name))
    assert (back.measured_ms, back.clock, back.scalars) == (scan.measured_ms, scan.clock, scan.scalars)


@given(st.booleans(), st.integers(0, 2**53), st.integers(0, 2**53))
def test_a_span_comes_back(lost: bool, first: int, last: int):
    record = SpanRecord("s1", "b7f2", first, last, lost)
    assert decode_body(encode_record(record)[8:]) == record


def records(count: int) -> list[bytes]:
    return [encode_record(ScanRecord("s1", "b7f2", n, block_of(scan_of(seq=n)))) for n in range(1, count + 1)]


@given(cut=st.integers(0, 2000), flip=st.integers(0, 2000))
def test_any_torn_or_flipped_tail_keeps_what_is_before_it(
    tmp_path_factory: pytest.TempPathFactory, cut: int, flip: int
):
    folder = tmp_path_factory.mktemp("journal")
    groups = records(6)
    journal = JournalFile(folder, 1)
    for group in groups:
        journal.append(group)
    journal.close()
    raw = bytearray(journal.path.read_bytes())
    raw = raw[: max(20, len(raw) - cut)]
    broken_at = 20 + flip % max(1, len(raw) - 20)
    if broken_at < len(raw):
        raw[broken_at] ^= 0x55
    journal.path.write_bytes(raw)
    contents = read_journal(journal.path)
    assert [record.seq for record in contents.records] == list(range(1, len(contents.records) + 1))
    assert contents.good_bytes <= broken_at
    ends = [20 + sum(map(len, groups[:n])) for n in range(7)]
    assert contents.good_bytes == max(end for end in ends if end <= min(broken_at, len(raw)))


def test_a_torn_tail_is_cut_and_the_store_goes_on(tmp_path: Path):
    store = EmbeddedStore(tmp_path, "hh1", QUIET)
    store.write(WriteBatch(scans=[LivedScan(scan_of(seq=n)) for n in (1, 2, 3)]))
    store.close()
    (path,) = (tmp_path / "journal").glob("*.ckj")
    path.write_bytes(path.read_bytes()[:-5])
    for _ in range(3):
        store = EmbeddedStore(tmp_path, "hh1", QUIET)
        assert list(store.positions()["s1"]["b7f2"].stored) == [(1, 2)]
        assert store.upkeep().notices == ()
        store.close()


def test_damage_inside_an_older_journal_is_loud_and_kept_for_a_person(tmp_path: Path):
    store = EmbeddedStore(tmp_path, "hh1", QUIET)
    store.write(WriteBatch(scans=[LivedScan(scan_of(seq=n)) for n in (1, 2, 3)]))
    store.rotate()
    store.write(WriteBatch(scans=[LivedScan(scan_of(seq=4))]))
    store.close()
    first = min((tmp_path / "journal").glob("*.ckj"))
    raw = bytearray(first.read_bytes())
    raw[-20] ^= 1
    first.write_bytes(raw)
    store = EmbeddedStore(tmp_path, "hh1", QUIET)
    assert [notice.kind for notice in store.upkeep().notices] == ["store.damaged"]
    assert list(store.positions()["s1"]["b7f2"].stored) == [(1, 2), (4, 4)]
    assert first.with_suffix(".damaged").read_bytes() == raw
    store.close()


def test_a_newer_journal_or_manifest_is_refused(tmp_path: Path):
    path = tmp_path / "1.ckj"
    head = b"CKJRNL" + struct.pack("<HQ", 2, 1)
    path.write_bytes(head + struct.pack("<I", crc32(head)))
    with pytest.raises(StoreVersionError, match="format 2"):
        read_journal(path)
    manifest = Manifest(tmp_path / "manifest.sqlite")
    with manifest.transaction() as db:
        db.execute(f"PRAGMA user_version={VERSION + 1}")
    manifest.close()
    with pytest.raises(StoreVersionError, match="newer"):
        Manifest(tmp_path / "manifest.sqlite")


def test_a_manifest_that_is_none_is_not_touched(tmp_path: Path):
    (tmp_path / "manifest.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(StoreDamagedError, match="not a manifest"):
        Manifest(tmp_path / "manifest.sqlite")


def test_one_process_at_a_time(tmp_path: Path):
    store = EmbeddedStore(tmp_path, "hh1", QUIET)
    with pytest.raises(StoreDamagedError, match="another historian"):
        EmbeddedStore(tmp_path, "hh1", QUIET)
    store.close()
    EmbeddedStore(tmp_path, "hh1", QUIET).close()


def test_a_store_written_by_version_1_is_read(tmp_path: Path):
    shutil.copytree(SAMPLE, tmp_path / "history")
    store = EmbeddedStore(tmp_path / "history", "hh1", QUIET)
    rows = store.string_series(StringQuestion("s1", "cell", *FOREVER)).to_pylist()
    assert [row["cell_v"] for row in rows if row["cell"] == 2] == [2.2501] * 5 + [None] + [2.2501] * 4
    assert [row["cell_v_suspect"] for row in rows if row["cell"] == 2][5] == 9.9999
    assert list(store.positions()["s1"]["b7f2"].stored) == [(3, 12)]
    assert list(store.positions()["s1"]["b7f2"].accounted) == [(0, 12)]
    sweep = LivedSweep(sweep_of([1, 2]), (1, 2))
    store.write(WriteBatch(sweeps=[sweep]))
    assert store.impedance("s1", *FOREVER) == (sweep,)
    store.close()
