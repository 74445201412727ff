"""What a real InfluxDB does wrong, and what the store makes of it: nothing lost, told once, whole again by itself."""

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from cellkeeper.contract.moment import from_ms
from cellkeeper.contract.notices import Event
from cellkeeper.testing.builders import START_MS, scan_of
from historian.errors import StoreFailedError
from historian.stores.block import Block
from historian.stores.influx import store as store_module
from historian.stores.influx import tiers
from historian.stores.influx.disk_use import LOOK_EVERY_MS, DiskUse
from historian.stores.influx.options import InfluxOptions
from historian.stores.influx.reading import Reader
from historian.stores.influx.row_times import grid_ms
from historian.stores.influx.server import Partial, Server
from historian.stores.influx.store import InfluxStore
from historian.stores.port import CellQuestion, EventQuestion, LivedScan, StringQuestion, WriteBatch
from historian.stores.questions import Span

from .conftest import FOREVER, InfluxSite, Room, open_influx

EVENT = Event(
    id="e" * 32, at=from_ms(START_MS), service="auth", kind="user.added", severity="info", text='a "b" \\ c\nd, é=1'
)


def test_a_server_that_is_killed_costs_nothing(room: Room):
    room.write(1, 2)
    room.site.server.kill()
    with pytest.raises(StoreFailedError, match="does not answer"):
        room.write(3)
    room.store.write(WriteBatch(events=[EVENT]))
    with pytest.raises(StoreFailedError, match="CELLKEEPER_INFLUX_URL"):
        room.tend()
    room.site.server.start()
    room.write(3, 4)
    assert room.seqs() == [1, 2, 3, 4]
    assert room.events() == ()
    room.tend()
    assert room.events() == (EVENT,)


def test_a_server_that_refused_is_asked_with_one_row_before_the_group(room: Room, monkeypatch: pytest.MonkeyPatch):
    """InfluxDB keeps in memory what it cannot write: a group each second would fill it."""
    sent: list[int] = []
    real = Server.write

    def counting(self: Server, bucket: str, lines: bytes) -> Partial | None:
        sent.append(len(lines.splitlines()))
        return real(self, bucket, lines)

    monkeypatch.setattr(Server, "write", counting)
    room.write(1)
    room.site.server.kill()
    for _ in range(3):
        with pytest.raises(StoreFailedError):
            room.write(2, 3)
    room.site.server.start()
    room.write(2, 3)
    room.write(4)
    assert sent == [5, 10, 1, 1, 1, 10, 5]
    assert room.seqs() == [1, 2, 3, 4]
    assert room.store.string_series(StringQuestion("s1", "cell", *FOREVER)).num_rows == 4 * 4


def test_a_server_that_is_killed_in_the_middle_of_a_write_has_every_row_once_in_the_end(room: Room):
    torn, first = 0, 1
    for wait_s in (0.02, 0.06, 0.15):
        batch = WriteBatch(scans=[LivedScan(scan_of(240, seq)) for seq in range(first, first + 240)])
        with ThreadPoolExecutor(1) as writer:
            writing = writer.submit(room.store.write, batch)
            time.sleep(wait_s)
            room.site.server.kill()
            torn += isinstance(writing.exception(), StoreFailedError)
        book = room.store.positions().get("s1", {}).get("b7f2")
        assert (book is not None and first in book.stored) == (writing.exception() is None)
        room.site.server.start()
        room.store.write(batch)
        first += 240
    assert torn, "a server that is too fast for this test: write more"
    assert room.seqs() == list(range(1, first))
    question = StringQuestion("s1", "cell", *FOREVER)
    assert room.store.string_series(question).num_rows == 240 * (first - 1)


def test_a_revoked_token_is_told_and_a_new_one_is_taken_without_a_restart(room: Room):
    room.write(1)
    for known in room.operator.manage("GET", "/api/v2/authorizations")["authorizations"]:
        if known["description"] == f"{room.target.database} historian":
            room.operator.manage("DELETE", f"/api/v2/authorizations/{known['id']}")
    large = WriteBatch(scans=[LivedScan(scan_of(240, seq)) for seq in range(2, 62)])  # refused before it was taken
    with pytest.raises(StoreFailedError, match=r"refuses the token.*cellkeeper provision"):
        room.store.write(large)
    with pytest.raises(StoreFailedError, match=r"refuses the token.*cellkeeper provision"):
        room.write(2)
    assert [line.partition(" in ")[0] for line in room.provision()] == [f"token of {room.target.database} historian"]
    room.write(2)
    assert room.seqs() == [1, 2]


def test_before_it_was_asked_the_store_answers_nothing_and_keeps_the_log(room: Room):
    room.write(1)
    late = InfluxStore("hh1", InfluxOptions(room.target, room.folder / "late", lambda: 0))
    late.write(WriteBatch(events=[EVENT]))
    for act in (late.latest, late.positions, lambda: room.write(2, store=late)):
        with pytest.raises(StoreFailedError, match="not asked yet"):
            act()
    room.site.server.kill()
    with pytest.raises(StoreFailedError, match="does not answer"):
        late.begin()
    with pytest.raises(StoreFailedError, match="does not answer"):
        late.latest()
    late.write(WriteBatch(events=[EVENT.model_copy(update={"id": "f" * 32})]))
    room.site.server.start()
    late.begin()
    assert list(late.positions()["s1"]["b7f2"].stored) == [(1, 1)]
    late.upkeep()
    assert len(late.events(EventQuestion(*FOREVER, 10))) == 2
    late.close()


def test_the_size_of_history_is_what_lies_on_the_servers_disk_or_unknown(room: Room):
    assert room.store.stats().bytes_on_disk is None
    room.write(*range(1, 200))
    room.tend()
    now_ms = int(time.time() * 1000)
    use = DiskUse(Server(room.target), lambda: now_ms)
    use.look()
    engine = room.site.server.folder / "engine"
    held = sum(
        path.stat().st_size
        for tier in ("full", "1m", "15m", "1d", "log")
        for kind in ("data", "wal")
        for path in (engine / kind / room.bucket(tier)).rglob("*")
        if path.suffix in (".tsm", ".wal")
    )
    assert use.bytes == held > 0
    known = room.store.stats().bytes_on_disk
    assert known is not None
    assert 0 < known <= held
    room.site.server.kill()
    now_ms += LOOK_EVERY_MS
    use.look()
    room.site.server.start()
    assert use.bytes is None, "a figure of a server that does not answer"


def test_the_size_of_history_is_known_on_a_server_with_many_other_buckets(influx_site: InfluxSite, tmp_path: Path):
    target = influx_site.target()
    with closing(Server(replace(target, token_file=influx_site.tokens / "operator.token"))) as operator:
        org = operator.manage("GET", "/api/v2/orgs", org=target.org)["orgs"][0]["id"]
        for number in range(120):
            operator.manage("POST", "/api/v2/buckets", {"orgID": org, "name": f"other/{number}"})
    late = Room(influx_site, tmp_path)
    with closing(late.store), closing(late.operator), closing(Server(late.target)) as server:
        late.write(*range(1, 200))
        late.tend()
        use = DiskUse(server, lambda: 0)
        use.look()
    assert (use.bytes or 0) > 0


def test_a_row_that_is_still_being_written_is_no_scan_yet(room: Room):
    room.write(1)
    at_ns = grid_ms(scan_of(seq=2).measured_ms) * 1_000_000
    with closing(Server(room.target)) as server:
        server.write("full", f'string,site=hh1,string=s1 seq=2i,stream="b7f2" {at_ns}\n'.encode())
    assert room.seqs() == [1]
    assert room.tend() == []
    room.write(2)
    room.tend()
    assert room.seqs() == [1, 2]


def test_a_deleted_bucket_is_told_and_made_again(room: Room):
    room.write(1)
    room.operator.manage("DELETE", f"/api/v2/buckets/{room.bucket('full')}")
    with pytest.raises(StoreFailedError, match="cellkeeper provision"):
        room.write(2)
    assert len(room.provision()) == 4  # bucket, mapping, both tokens
    room.write(2)
    assert room.seqs() == [2]
    assert room.store.positions()["s1"]["b7f2"].receipt_seq == -1  # nobody said that 0 was lost
    assert list(room.store.positions()["s1"]["b7f2"].stored) == [(1, 2)]


def test_a_field_of_another_type_costs_that_field_alone_and_is_named_once(room: Room):
    tags = "site=hh1,string=s1"
    foreign = f"cell,cell=1,life=1,{tags} cell_v_e4=2.25 {START_MS}000001\n".encode()
    room.operator.write("full", foreign)
    room.write(1, 2)
    room.write(3)
    table = room.store.string_series(StringQuestion("s1", "cell", *FOREVER)).to_pylist()
    assert len(table) == 3 * 4
    assert {row["cell_v"] for row in table} == {None}
    assert all(row["degc"] is not None for row in table)
    assert room.seqs() == [1, 2, 3]
    notices = room.store.upkeep().notices
    assert [notice.kind for notice in notices] == ["store.rows_refused"]
    assert "cell_v_e4" in notices[0].text
    assert room.store.stats().rows_refused == 12


def test_a_large_group_goes_in_parts_and_a_refusal_in_any_part_counts(room: Room, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(store_module, "PART_ROWS", 8)
    tags = "cell=2,life=1,site=hh1,string=s1"
    room.operator.write("full", f"cell,{tags} degc_e2=22.5 {START_MS}000001\n".encode())
    room.write(*range(1, 21))
    assert room.seqs() == list(range(1, 21))
    table = room.store.string_series(StringQuestion("s1", "cell", *FOREVER))
    assert table.num_rows == 20 * 4
    assert table["cell_v"].null_count == 0
    assert table["degc"].null_count == 20 * 4
    assert room.store.stats().rows_refused == 20 * 4
    assert [notice.kind for notice in room.store.upkeep().notices] == ["store.rows_refused"]


def test_rows_older_than_the_bucket_keeps_are_counted_and_never_written_again(room: Room):
    room.provision(full=1)
    store = open_influx(room.folder / "second", room.target)
    long_ago = scan_of(seq=1, measured_ms=int(time.time() * 1000) - 5 * 86_400_000)
    store.write(WriteBatch(scans=[LivedScan(long_ago)]))
    assert list(store.positions()["s1"]["b7f2"].stored) == [(1, 1)]
    assert [notice.kind for notice in store.upkeep().notices] == ["store.rows_refused"]
    assert store.stats().rows_refused == 5
    kept_ms = store.kept_from_ms("s1")
    assert kept_ms is not None
    assert long_ago.measured_ms < kept_ms
    store.close()


def test_a_new_machine_finds_what_is_stored_among_the_rows(room: Room):
    room.write(*range(5, 40))
    room.store.close()
    shutil.rmtree(room.folder / "history")
    room.store = open_influx(room.folder, room.target)
    book = room.store.positions()["s1"]["b7f2"]
    assert list(book.stored) == [(5, 39)]
    assert book.receipt_seq == 39
    room.write(39, 40)
    assert room.seqs() == list(range(5, 41))


def test_what_a_crash_forgot_is_found_among_the_rows_or_written_over_itself(room: Room):
    room.write(1, 2, 3)
    after_crash = open_influx(room.folder / "copy", room.target)  # the local state never heard of the three
    assert list(after_crash.positions()["s1"]["b7f2"].stored) == [(1, 3)]
    after_crash.close()
    late = open_influx(room.folder / "other", room.target)
    late._books._books.clear()  # as if they lay too far back
    room.write(1, 2, 3, 4, store=late)
    late.close()
    assert room.seqs() == [1, 2, 3, 4]
    assert room.store.string_series(StringQuestion("s1", "cell", *FOREVER)).num_rows == 4 * 4


def test_an_hour_that_comes_late_is_rolled_up_in_small_pieces(room: Room, monkeypatch: pytest.MonkeyPatch):
    """An hour of 256 units in one answer took 300 MB, of 512 units 540."""
    cells, minute_rows = 12, 12 * 60
    seqs = [*range(1, 1201), *range(1801, 3601)]
    room.store.write(WriteBatch(scans=[LivedScan(scan_of(cells, seq)) for seq in seqs]))
    room.store.close()
    room.store = open_influx(room.folder, room.target)  # the newest minutes are not in memory either
    monkeypatch.setattr(tiers, "ROWS_AT_ONCE", 5 * minute_rows)
    sizes: list[int] = []
    real = Reader.block

    def counting(self: Reader, string: str, span: Span) -> Block | None:
        found = real(self, string, span)
        sizes.append(0 if found is None else len(found.at_ms) * len(found.keys))
        return found

    monkeypatch.setattr(Reader, "block", counting)
    room.tend()
    assert max(sizes) == 5 * minute_rows, "as many as fit"
    question = CellQuestion("s1", cells, "cell_v", START_MS, START_MS + 3_600_000, 1000, "1m")
    asked = len(sizes)
    stored = room.store.cell_series(question)
    assert len(sizes) == asked, "from the tier, not from its rows"
    assert stored["n_good"].to_pylist() == [59, *[60] * 19, 1, 59, *[60] * 29]
