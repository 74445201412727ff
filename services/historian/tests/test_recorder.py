"""The write side: receipts only after the commit, trouble is told once, nothing is given up."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cellkeeper.contract.moment import from_ms
from cellkeeper.contract.notices import Event
from cellkeeper.runtime.clock import ScaledClock
from cellkeeper.testing.builders import START_MS, balance_of, scan_of
from cellkeeper.testing.patience import until
from historian import recorder as recorder_module
from historian.errors import StoreBusyError, StoreFailedError, StoreFullError
from historian.receipts import LostSpan, Receipt
from historian.recorder import Recorder, keep_up
from historian.stores.embedded.options import EmbeddedOptions
from historian.stores.embedded.store import EmbeddedStore
from historian.stores.port import EventQuestion, LivedScan, StateQuestion, WriteBatch
from historian.stores.state_rows import balance_row, rows_of


class Voice:
    def __init__(self) -> None:
        self.states: list[str] = []
        self.events: list[str] = []
        self.strings: list[str | None] = []

    def be(self, state: str, why: str = "") -> None:
        if self.states[-1:] != [state]:
            self.states.append(state)
        assert why or state == "ready"

    def event(self, kind: str, severity: str, text: str, *, string: str | None = None) -> None:
        assert text
        assert severity in ("info", "warning", "error")
        self.events.append(kind)
        self.strings.append(string)


class Moody(EmbeddedStore):
    """A store that refuses as often as it is told to."""

    refusals: list[Exception]
    refuses_only_scans = False

    def begin(self) -> None:
        if self.refusals:
            raise self.refusals.pop(0)

    def write(self, batch: WriteBatch) -> None:
        if self.refusals and not (self.refuses_only_scans and batch.events):
            raise self.refusals.pop(0)
        super().write(batch)


@pytest.fixture
async def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("GROUP_S", "RETRY_S", "BUSY_S"):
        monkeypatch.setattr(recorder_module, name, 0.0)
    store = Moody(tmp_path / "history", "hh1", EmbeddedOptions(reserve_bytes=0))
    store.refusals = []
    voice, given = Voice(), []
    with ThreadPoolExecutor(1) as writer:
        recorder = Recorder(
            store=store,
            lives=lambda *_: None,
            clock=ScaledClock(START_MS, speed=1e-9, origin_s=0.0),
            voice=voice,
            give=given.append,
            writer=writer,
        )
        jobs = (recorder.begin(), recorder.record_scans(), recorder.record_log())
        tasks = [asyncio.create_task(job) for job in jobs]
        await recorder.has_begun.wait()
        yield recorder, voice, given
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    store.close()


async def test_a_receipt_follows_the_commit(desk):
    recorder, _, given = desk
    for seq in (1, 2, 3):
        recorder.box.put(scan_of(seq=seq))
    await until(lambda: given)
    assert given == [Receipt("s1", "b7f2", 3)]
    assert recorder.store.latest()[0].scan.seq == 3
    recorder.give_standing()
    assert given[1:] == [Receipt("s1", "b7f2", 3)]


async def test_a_single_scan_more_is_receipted_after_a_while(desk):
    recorder, _, given = desk
    recorder.pace.hold_s = 60.0
    recorder.box.put(scan_of(seq=1))
    await until(lambda: given)
    recorder.box.put(scan_of(seq=2))
    await until(lambda: recorder.pace.holds)
    recorder.pace.hold_s = 0.0
    recorder._tell_overdue()
    assert given == [Receipt("s1", "b7f2", 1), Receipt("s1", "b7f2", 2)]
    assert not recorder.pace.holds


async def test_a_full_disk_is_told_once_and_receipts_stand_still_until_there_is_room(desk):
    recorder, voice, given = desk
    recorder.store.refusals = [StoreFullError("no room")] * 3
    recorder.box.put(scan_of(seq=1))
    await until(lambda: given)
    assert voice.states == ["ready", "degraded", "ready"]
    assert voice.events == ["store.full", "store.writing_again"]
    assert recorder.counters.refused_by_store == 3
    assert given == [Receipt("s1", "b7f2", 1)]


async def test_events_that_are_taken_do_not_end_the_trouble_of_scans(desk):
    recorder, voice, given = desk
    recorder.store.refuses_only_scans = True
    recorder.store.refusals = [StoreFailedError("no answer")] * 50
    recorder.box.put(scan_of(seq=1))
    await until(lambda: voice.events)
    for n in range(5):
        event = Event(id=f"{n:032x}", at=from_ms(START_MS), service="x", kind="a.b", severity="info", text="x")
        recorder.log_box.put(event)
        await until(lambda n=n: len(recorder.store.events(EventQuestion(START_MS, START_MS + 1, 10))) == n + 1)
    await until(lambda: given)
    assert voice.states[-1] == "ready"
    assert voice.events == ["store.failed", "store.writing_again"]


async def test_a_store_that_cannot_be_asked_at_the_start_is_asked_until_it_answers(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(recorder_module, "RETRY_S", 0.0)
    store = Moody(tmp_path / "history", "hh1", EmbeddedOptions(reserve_bytes=0))
    store.refusals = []
    before = [LivedScan(scan_of(seq=seq)) for seq in (1, 2)]
    store.write(WriteBatch(scans=before, lost=[LostSpan("s1", "b7f2", 0, 0)]))
    store.refusals = [StoreFailedError("no answer"), StoreFailedError("no bucket")]
    voice, given = Voice(), []
    with ThreadPoolExecutor(1) as writer:
        clock = ScaledClock(START_MS, speed=1e-9, origin_s=0.0)
        recorder = Recorder(
            store=store, lives=lambda *_: None, clock=clock, voice=voice, give=given.append, writer=writer
        )
        recorder.pace.hold_s = 0.0
        recorder.box.put(scan_of(seq=3))
        recorder.give_standing()
        assert given == []
        tasks = [asyncio.create_task(recorder.record_scans()), asyncio.create_task(recorder.begin())]
        await until(lambda: len(given) == 2)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert given == [Receipt("s1", "b7f2", 2), Receipt("s1", "b7f2", 3)]
    assert voice.states == ["degraded", "ready"]
    assert voice.events == ["store.failed", "store.writing_again"]
    store.close()


async def test_a_busy_store_is_no_trouble(desk):
    recorder, voice, given = desk
    recorder.store.refusals = [StoreBusyError("upkeep is behind")] * 2
    recorder.box.put(scan_of(seq=1))
    await until(lambda: given)
    assert voice.events == []


async def test_loss_is_an_event(desk):
    recorder, voice, given = desk
    recorder.box.put(scan_of(seq=1))
    recorder.box.put(scan_of(seq=9, oldest_seq=5))
    await until(lambda: given)
    assert (voice.events, voice.strings) == (["scan.lost"], ["s1"])
    assert given == [Receipt("s1", "b7f2", 4)]
    assert recorder.intake.receipts.open_gaps() == 1


async def test_events_of_all_services_are_kept(desk):
    recorder, _, _ = desk
    event = Event(id="a" * 32, at=from_ms(START_MS), service="auth", kind="user.added", severity="info", text="x")
    recorder.log_box.put(event)
    question = EventQuestion(START_MS, START_MS + 1, 10)
    await until(lambda: recorder.store.events(question))
    assert recorder.store.events(question) == (event,)


async def test_states_of_balancing_are_kept_once(desk):
    recorder, _, _ = desk
    row = balance_row(balance_of(START_MS))
    recorder.log_box.put(row)
    recorder.log_box.put(row)
    question = StateQuestion("balance", "s1", START_MS, START_MS + 1)
    await until(lambda: recorder.store.states(question).num_rows)
    assert rows_of(recorder.store.states(question), "balance", "s1") == [row]


async def test_upkeep_that_finds_no_room_says_so_once_and_goes_on(desk, monkeypatch: pytest.MonkeyPatch):
    recorder, voice, given = desk
    for name in ("UPKEEP_PAUSE_S", "UPKEEP_IDLE_S", "UPKEEP_RETRY_S"):
        monkeypatch.setattr(recorder_module, name, 0.0)
    recorder.box.put(scan_of(seq=1))
    await until(lambda: given)
    recorder.store.rotate()
    real, refusals = recorder.store.upkeep, [StoreFullError("no room")] * 3

    def upkeep():
        if refusals:
            raise refusals.pop()
        return real()

    monkeypatch.setattr(recorder.store, "upkeep", upkeep)
    with ThreadPoolExecutor(1) as worker:
        task = asyncio.create_task(keep_up(recorder.store, worker, recorder))
        await until(lambda: recorder.store.stats().files == 1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert voice.events == ["store.upkeep_failed"]
