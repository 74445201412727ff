"""Gives every scan its seq by making it durable: groups the scans of a tick into one write and one fdatasync.

Policy. A group closes `GROUP_WINDOW_S` after its first scan; the write runs in one thread, so the loop never waits for
the disk. When the journal cannot be written every string begins a new stream that lives in memory, bounded, and says
so; every `RETRY_S` the memory is written to a new segment, and when that works the streams go on there. A full journal
drops its oldest segment, aloud.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from bus_gateway.driver import DriverNotice
from bus_gateway.errors import JournalFullError
from bus_gateway.journal.book import MEMORY, Dropped, Entry, JournalBook, StreamKey
from bus_gateway.journal.files import SEGMENT_BYTES, JournalFiles, Recovered
from bus_gateway.journal.format import Kind, encode_record
from bus_gateway.journal.memory_scans import MemoryScans
from bus_gateway.journal.scan_draft import Draft, KeptScan, encode_draft

GROUP_WINDOW_S: Final = 0.008  # the strings of one tick end their sweeps within this; contract limit 10 ms
RETRY_S: Final = 5.0  # a disk that was full is asked again this often
MAX_PENDING: Final = 4000  # scans that wait for a disk that hangs: a minute of 64 strings at 1 Hz
FILLING_FRAC: Final = 0.8
CLOSE_DEADLINE_S: Final = 5.0  # a disk that hangs does not hold up the end of the process

type PayloadOf = Callable[[StreamKey, int], bytes | None]


@dataclass(frozen=True, slots=True)
class KeeperLimits:
    """Bounds in bytes: of the journal on disk, of the memory that stands in for it, and of one segment."""

    journal_bytes: int
    memory_bytes: int = 32 * 1024 * 1024
    segment_bytes: int = SEGMENT_BYTES

    @property
    def roll_bytes(self) -> int:
        """Size at which a segment is full: at least eight fit, so that dropping one loses an eighth at most."""
        return min(self.segment_bytes, max(64 * 1024, self.journal_bytes // 8))


@dataclass(kw_only=True)
class ScanKeeper:
    """The journal as the rest of the gateway sees it. `open` it, then `run` it.

    Attributes:
        site: id of the site.
        files, recovered: the journal's folder and what the start found there.
        limits: bounds.
        new_stream: returns a fresh stream id.
        on_kept: called in the loop with each group, in order, once it is durable.
        say: takes what belongs into the log book.
        now_s: real monotonic time.
    """

    site: str
    files: JournalFiles
    recovered: Recovered
    limits: KeeperLimits
    new_stream: Callable[[], str]
    on_kept: Callable[[Sequence[KeptScan]], None]
    say: Callable[[DriverNotice], None]
    now_s: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self.book: JournalBook = self.recovered.book
        self.commits = 0
        self.written_bytes = 0
        self.dropped_scans = 0
        self._next_number = self.recovered.next_number
        self._pending: list[Draft] = []
        self._broken: set[str] = set()
        self._receipts: dict[StreamKey, int] = {}
        self._filled = asyncio.Event()
        self._memory: MemoryScans | None = None
        self._retry_at_s = 0.0
        self._told_filling = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")

    @property
    def is_durable(self) -> bool:
        """Whether scans go to disk now."""
        return self._memory is None

    @property
    def pending(self) -> int:
        """How many scans wait for the next commit."""
        return len(self._pending)

    async def open(self) -> None:
        """Begin the first segment; when that fails, say so and keep scans in memory."""
        for notice in self.recovered.notices:
            self.say(notice)
        try:
            await self._begin_segment()
        except JournalFullError as exc:
            self._enter_memory(str(exc))

    def add(self, draft: Draft) -> None:
        """Take a scan; it is handed to `on_kept` once it is durable."""
        if len(self._pending) >= MAX_PENDING:
            lost = self._pending.pop(0).readings.string
            if lost not in self._broken:
                text = "the disk hangs: scans are dropped before they had a number; a new stream begins"
                self.say(DriverNotice("journal.overflow", "error", text, {"string": lost}))
            self._broken.add(lost)
            self.dropped_scans += 1
        self._pending.append(draft)
        self._filled.set()

    def receipt(self, key: StreamKey, seq: int) -> bool:
        """Note that everything up to `seq` is stored; False when that is no news or about nothing we gave."""
        if not self.book.cover(key, seq):
            return False
        self._receipts[key] = seq
        return True

    async def run(self) -> None:
        """Commit groups until cancelled."""
        while True:
            await self._filled.wait()
            await asyncio.sleep(GROUP_WINDOW_S)
            await self.commit()

    async def commit(self) -> None:
        """Make everything that is pending durable and hand it on."""
        self._filled.clear()
        drafts, self._pending = self._pending, []
        if self._memory is not None and self.now_s() >= self._retry_at_s:
            await self._leave_memory(self._memory)
        if self._memory is not None:
            self._keep_in_memory(self._memory, drafts)
            return
        kept, blob = self._encode(drafts)
        try:
            await self._in_thread(self.files.append, blob)
        except JournalFullError as exc:
            self._keep_in_memory(self._enter_memory(str(exc)), drafts)
            return
        self._enter(kept, len(blob))
        self.on_kept(kept)
        await self._tidy()

    async def close(self) -> None:
        """Write what is pending, without publishing it, and close the files."""
        drafts, self._pending = self._pending, []
        if drafts and self._memory is None:
            _, blob = self._encode(drafts)
            try:
                async with asyncio.timeout(CLOSE_DEADLINE_S):
                    await self._in_thread(self.files.append, blob)
            except (JournalFullError, TimeoutError) as exc:
                self.say(DriverNotice("journal.lost", "error", f"{len(drafts)} last scans were not written: {exc}"))
        self._thread.submit(self.files.close)
        self._thread.shutdown(wait=False)

    async def payloads(self, number: int) -> PayloadOf:
        """Return a look-up of the scans that an entry of the book holds."""
        if number == MEMORY:
            held = self._memory.payloads() if self._memory is not None else {}
            return lambda key, seq: held.get((key, seq))
        data, index = await self._in_thread(self.files.read, number)

        def payload_of(key: StreamKey, seq: int) -> bytes | None:
            record = index.get((key, seq))
            return None if record is None else data[record.start : record.end]

        return payload_of

    def is_growing(self, number: int) -> bool:
        """Whether scans are still added to this entry."""
        return number in (MEMORY, self._next_number - 1)

    def _encode(self, drafts: Sequence[Draft]) -> tuple[list[KeptScan], bytes]:
        """Give seqs and encode; the seqs are taken only when the group is durable."""
        last: dict[StreamKey, int] = {}
        kept = []
        parts = []
        for draft in drafts:
            string = draft.readings.string
            if string not in self.book.positions or draft.new_stream or string in self._broken:
                self._broken.discard(string)
                self.book.begin_stream(string, self.new_stream())
            position = self.book.positions[string]
            key = StreamKey(string, position.stream)
            seq = last.get(key, position.seq) + 1
            last[key] = seq
            payload = encode_draft(self.site, draft, key.stream, seq, self.book.oldest_seq(key) or seq)
            kept.append(KeptScan(key, seq, payload, draft))
            parts.append(encode_record(Kind.SCAN, string, key.stream, seq, draft.measured_ms, payload))
        receipts, self._receipts = self._receipts, {}
        parts += [encode_record(Kind.RECEIPT, key.string, key.stream, seq, 0) for key, seq in receipts.items()]
        return kept, b"".join(parts)

    def _enter(self, kept: Sequence[KeptScan], size: int) -> None:
        entry = self.book.entries[-1]
        for scan in kept:
            self.book.enter(entry, scan.key, scan.seq, scan.draft.measured_ms)
        entry.size += size
        self.commits += 1
        self.written_bytes += size

    async def _tidy(self) -> None:
        """Free what is stored, begin a new segment when this one is full, stay below the bound."""
        gone = self.book.take_freed()
        lost: list[Dropped] = []
        if self.book.entries[-1].size >= self.limits.roll_bytes:
            try:
                await self._begin_segment()
            except JournalFullError as exc:
                self._enter_memory(str(exc))
        while self.book.size > self.limits.journal_bytes and (dropped := self.book.drop_oldest()):
            gone.append(dropped[0])
            lost += dropped[1]
        if gone:
            await self._in_thread(self.files.remove, gone)
        self._tell_fill(lost)

    async def _begin_segment(self) -> None:
        number = self._next_number
        self._next_number += 1
        size = await self._in_thread(self.files.begin, number, self.book)
        self.book.entries.append(Entry(number, size))

    def _tell_fill(self, lost: Sequence[Dropped]) -> None:
        frac = self.book.size / self.limits.journal_bytes
        if lost:
            scans = sum(each.scans for each in lost)
            self.dropped_scans += scans
            text = f"the journal is full: {scans} scans that nobody stored were dropped, oldest first"
            self.say(DriverNotice("journal.dropped", "error", text, {"scans": scans}))
        if frac >= FILLING_FRAC and not self._told_filling:
            self._told_filling = True
            text = f"the journal is at {frac:.0%} of its {self.limits.journal_bytes} bytes; is the historian away?"
            self.say(DriverNotice("journal.filling", "warning", text, {"used_frac": round(frac, 3)}))
        elif frac < FILLING_FRAC / 2:
            self._told_filling = False

    def _enter_memory(self, why: str) -> MemoryScans:
        memory = self._memory = MemoryScans(self.limits.memory_bytes)
        self.book.entries.append(memory.entry)
        self._retry_at_s = self.now_s() + RETRY_S
        for string, position in list(self.book.positions.items()):
            self.book.begin_stream(string, self.new_stream(), position.measured_ms)
        text = f"{why}; scans live in memory until there is room, in new streams"
        self.say(DriverNotice("journal.lost", "error", text))
        return memory

    def _keep_in_memory(self, memory: MemoryScans, drafts: Sequence[Draft]) -> None:
        kept, _ = self._encode(drafts)
        if dropped := memory.keep(kept, self.book):
            if self.dropped_scans % 1000 + dropped >= 1000 or self.dropped_scans == 0:
                text = "the journal cannot be written and the memory is full: the oldest scans are dropped"
                self.say(DriverNotice("journal.dropped", "error", text, {"scans": self.dropped_scans + dropped}))
            self.dropped_scans += dropped
        self.on_kept(kept)

    async def _leave_memory(self, memory: MemoryScans) -> None:
        """Try to begin a segment and to write there what the memory holds."""
        self._retry_at_s = self.now_s() + RETRY_S
        number = self._next_number
        blob = memory.records()
        try:
            await self._begin_segment()
            if blob:
                await self._in_thread(self.files.append, blob)
        except JournalFullError:
            self.book.entries = [each for each in self.book.entries if each.number != number]
            await self._in_thread(self.files.remove, [number])
            return
        entry = self.book.entries[-1]
        entry.spans.update(memory.entry.spans)
        entry.size += len(blob)
        self.book.entries.remove(memory.entry)
        self._memory = None
        text = f"the journal is written again; {len(memory)} scans went there from memory"
        self.say(DriverNotice("journal.recovered", "info", text, {"scans": len(memory)}))

    async def _in_thread[**P, T](self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(*args, **kwargs))


def fill_of(keeper: ScanKeeper) -> Mapping[str, float]:
    """Return the journal's gauges by name."""
    return {
        "journal_bytes": keeper.book.size,
        "journal_waiting_scans": keeper.book.waiting_scans(),
        "journal_dropped_scans": keeper.dropped_scans,
        "journal_is_durable": float(keeper.is_durable),
    }
