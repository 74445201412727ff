"""A disk that is full while journalling: clear events, no corruption, everything caught up when there is room."""

import resource

import pytest
from bus_gateway.journal.format import read_segment
from cellkeeper.contract.scan_columns import decode_scan
from cellkeeper.testing.machine import small_disk
from journal_room import draft, everything, keeper_in


@pytest.fixture
def small_room(tmp_path):
    """A file system of 1 MB, or a file-size limit where mounting is not allowed; yields (folder, make_room)."""
    folder = tmp_path / "small"
    with small_disk(folder, "1m") as is_mounted:
        if is_mounted:
            ballast = folder / "ballast"
            ballast.write_bytes(b"x" * 700_000)
            yield folder, ballast.unlink
            return
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (250_000, before[1]))
    yield folder, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, before)
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_scans_go_on_in_memory_and_to_disk_when_there_is_room(small_room):
    folder, make_room = small_room
    now_s = 0.0
    keeper, kept, said = keeper_in(folder / "journal", now_s=lambda: now_s, memory_bytes=10_000_000)
    await keeper.open()
    at = 0
    while keeper.is_durable and at < 400:
        at += 1
        keeper.add(draft(at=at, cells=240))
        await keeper.commit()
    assert not keeper.is_durable
    on_disk = kept[-1].key
    for _ in range(20):
        at += 1
        keeper.add(draft(at=at, cells=240))
        await keeper.commit()
    make_room()
    now_s = 10.0
    at += 1
    keeper.add(draft(at=at, cells=240))
    await keeper.commit()
    assert keeper.is_durable
    assert [notice.kind for notice in said] == ["journal.lost", "journal.recovered"]
    times = [decode_scan(scan.payload).measured_ms for scan in kept]
    assert times == sorted(set(times))
    assert len(times) == at
    streams = list(dict.fromkeys(scan.key for scan in kept))
    assert len(streams) == 2
    assert streams[1] == on_disk
    for key in streams:
        seqs = [scan.seq for scan in kept if scan.key == key]
        assert seqs == list(range(1, len(seqs) + 1))
    assert sorted(await everything(keeper)) == sorted((scan.key, scan.seq) for scan in kept)
    await keeper.close()
    keeper._thread.shutdown(wait=True)
    for path in (folder / "journal").glob("*.journal"):
        data = path.read_bytes()
        assert read_segment(data).good_bytes == len(data)
    again, _, told = keeper_in(folder / "journal")
    await again.open()
    assert sorted(await everything(again)) == sorted((scan.key, scan.seq) for scan in kept)
    assert told == []
    await again.close()
    again._thread.shutdown(wait=True)


async def test_memory_is_bounded_and_says_what_it_drops(tmp_path):
    blocked = tmp_path / "journal"
    keeper, kept, said = keeper_in(blocked, memory_bytes=20_000)
    keeper.files.close()
    for path in [*blocked.glob("*"), blocked]:
        path.unlink() if path.is_file() else path.rmdir()
    await keeper.open()
    for at in range(1, 60):
        keeper.add(draft(at=at, cells=40))
        await keeper.commit()
    assert [notice.kind for notice in said][:2] == ["journal.lost", "journal.dropped"]
    held = await everything(keeper)
    assert held[-1] == (kept[-1].key, kept[-1].seq)
    assert keeper.dropped_scans == len(kept) - len(held) > 0
    assert decode_scan(kept[-1].payload).oldest_seq == pytest.approx(held[0][1], abs=1)
    await keeper.close()
