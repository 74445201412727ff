"""The journal on disk: nothing lost or doubled whatever is killed, cut, filled or upgraded."""

import asyncio
import struct
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from bus_gateway.journal.book import StreamKey
from bus_gateway.journal.files import JournalFiles
from bus_gateway.journal.format import VERSION, Kind, encode_header, encode_record, read_segment
from bus_gateway.journal.scan_draft import Draft
from cellkeeper.contract.scan_columns import decode_scan
from fake_driver import readings_of
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_room import draft, everything, keeper_in

SAMPLE = Path(__file__).parent / "data" / "journal-v1.journal"
"""Written once by hand-packed struct calls from the layout in `journal_format`'s docstring: see journal-v1.md."""


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("scan"), st.sampled_from(["s1", "s2"])),
        st.tuples(st.just("commit"), st.none()),
        st.tuples(st.just("receipt"), st.integers(0, 100)),
        st.tuples(st.just("restart"), st.none()),
        st.tuples(st.just("kill"), st.integers(0, 400)),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(operations=OPERATIONS)
def test_every_published_seq_can_be_sent_until_its_receipt(operations):
    """Random appends, receipts, restarts and kills that cut the unsynced end at any byte."""
    with TemporaryDirectory() as name:
        asyncio.run(_live_a_life(Path(name), operations))


async def _live_a_life(folder, operations):  # noqa: C901  # a life in one place reads better
    published, covered, at = {}, {}, 0
    keeper, kept, _ = keeper_in(folder, segment_bytes=70_000)
    await keeper.open()
    for what, value in operations:
        match what:
            case "scan":
                at += 1
                keeper.add(draft(value, at))
            case "commit":
                await keeper.commit()
            case "receipt" if published:
                key = sorted(published)[value % len(published)]
                seq = sorted(published[key])[value % len(published[key])]
                keeper.receipt(key, seq)
                covered[key] = max(seq, covered.get(key, 0))
            case "restart" | "kill":
                if what == "restart":
                    await keeper.close()
                keeper._thread.shutdown(wait=True)
                keeper.files.close()
                if what == "kill":
                    _tear(folder, value)
                keeper, kept, _ = keeper_in(folder, segment_bytes=70_000)
                await keeper.open()
        for scan in kept:
            assert scan.seq not in published.setdefault(scan.key, set()), "a seq was given twice"
            published[scan.key].add(scan.seq)
        kept.clear()
    held = await everything(keeper)
    assert len(held) == len(set(held))
    for key, seqs in published.items():
        missing = {seq for seq in seqs if seq > covered.get(key, 0)} - {seq for k, seq in held if k == key}
        assert not missing
        in_order = [seq for k, seq in held if k == key]
        assert in_order == sorted(in_order)
    await keeper.close()


def _tear(folder, count):
    """Append what a write that never came to its fdatasync may leave: the first bytes of a record."""
    newest = max(folder.glob("*.journal"))
    record = encode_record(Kind.SCAN, "s1", "b7f2", 99_999, 0, b"x" * 300)
    with newest.open("ab") as file:
        file.write(record[: min(count, len(record) - 1)])


@given(data=st.binary(max_size=300), cut=st.integers(0, 400))
def test_reading_never_raises_on_what_follows_a_good_header(data, cut):
    good = encode_record(Kind.SCAN, "s1", "b7f2", 1, 5, b"{}")
    segment = read_segment(encode_header(3) + good + data)
    assert segment.number == 3
    assert segment.records[0][:5] == (Kind.SCAN, "s1", "b7f2", 1, 5)
    torn = encode_header(3) + good + good[: min(cut, len(good) - 1)]
    assert len(read_segment(torn).records) == 1


def test_the_stored_sample_of_version_1_is_read_for_ever(tmp_path):
    (tmp_path / "0000000007.journal").write_bytes(SAMPLE.read_bytes())
    recovered = JournalFiles(tmp_path).recover()
    key = StreamKey("s1", "b7f2")
    assert recovered.notices == []
    assert recovered.next_number == 8
    assert recovered.book.given_to(key) == 12
    assert recovered.book.covered_to(key) == 10
    assert recovered.book.oldest_seq(key) == 11
    assert recovered.book.positions["s1"].measured_ms == 1_795_237_212_000
    data, index = JournalFiles(tmp_path).read(7)
    record = index[key, 12]
    assert decode_scan(data[record.start : record.end]).cell_v.tolist() == [2.25, 2.2501]


@pytest.mark.parametrize("version", [0, VERSION + 1, 65_535])
async def test_another_version_is_set_aside_and_told(tmp_path, version):
    data = bytearray(SAMPLE.read_bytes())
    data[4:6] = struct.pack("<H", version)
    (tmp_path / "0000000007.journal").write_bytes(data)
    keeper, kept, said = keeper_in(tmp_path)
    await keeper.open()
    keeper.add(draft())
    await keeper.commit()
    await keeper.close()
    assert [notice.kind for notice in said] == ["journal.unreadable"]
    assert (tmp_path / "0000000007.set-aside").read_bytes() == bytes(data)
    assert kept[0].seq == 1
    assert kept[0].key.stream != "b7f2"


async def test_a_full_journal_drops_the_oldest_aloud_and_oldest_seq_moves(tmp_path):
    keeper, kept, said = keeper_in(tmp_path, journal_bytes=300_000, segment_bytes=1)
    await keeper.open()
    for at in range(1, 120):
        keeper.add(draft(at=at, cells=200))
        await keeper.commit()
    kinds = [notice.kind for notice in said]
    assert kinds.count("journal.filling") == 1
    assert "journal.dropped" in kinds
    assert kinds.index("journal.filling") < kinds.index("journal.dropped")
    assert sum(path.stat().st_size for path in tmp_path.glob("*.journal")) <= 300_000 + 70_000
    held = await everything(keeper)
    oldest = decode_scan(kept[-1].payload).oldest_seq
    assert oldest > 1
    assert [seq for _, seq in held] == list(range(held[0][1], 120))
    assert keeper.dropped_scans == held[0][1] - 1
    await keeper.close()


async def test_segments_go_when_receipts_cover_them(tmp_path):
    keeper, kept, _ = keeper_in(tmp_path, journal_bytes=2_000_000, segment_bytes=1)
    await keeper.open()
    for at in range(1, 100):
        keeper.add(draft(at=at, cells=200))
        await keeper.commit()
    before = len(list(tmp_path.glob("*.journal")))
    keeper.receipt(kept[-1].key, kept[-1].seq)
    keeper.add(draft(at=200))
    await keeper.commit()
    assert before > 4
    assert len(list(tmp_path.glob("*.journal"))) <= 2
    await keeper.close()


async def test_a_foreign_receipt_covers_nothing(tmp_path):
    keeper, kept, _ = keeper_in(tmp_path)
    await keeper.open()
    keeper.add(draft())
    await keeper.commit()
    assert not keeper.receipt(kept[0].key, 2)
    assert not keeper.receipt(StreamKey("s1", "ffff"), 1)
    assert keeper.book.foreign_receipts == 2
    assert await everything(keeper) == [(kept[0].key, 1)]
    await keeper.close()


async def test_a_clock_set_far_back_begins_a_new_stream(tmp_path):
    keeper, kept, _ = keeper_in(tmp_path)
    await keeper.open()
    keeper.add(draft(at=5))
    keeper.add(Draft(readings_of("s1", 2), 1_795_000_000_000, "unsynced", 0.0, new_stream=True))
    keeper.add(draft(at=6))
    await keeper.commit()
    assert [scan.seq for scan in kept] == [1, 1, 2]
    assert kept[0].key != kept[1].key == kept[2].key
    assert len(await everything(keeper)) == 3
    await keeper.close()
