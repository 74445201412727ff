"""The embedded store: what the port promises, put together from journal, newest rows, files and manifest."""

import os
import threading
from collections import deque
from pathlib import Path
from typing import Final

import pyarrow as pa
from cellkeeper.contract.notices import Event
from cellkeeper.contract.series import TierName

from historian.buckets import Buckets
from historian.errors import StoreBusyError, StoreFullError
from historian.receipts import Positions, StreamBook
from historian.stores.aside import DIRECTORY, AsideFiles
from historian.stores.block import Block, block_of, lives_in, scan_of
from historian.stores.embedded import answers, log_tables, state_tables
from historian.stores.embedded.holdings import Holdings
from historian.stores.embedded.journal import JournalFile, journal_numbers, journal_path
from historian.stores.embedded.keeping import Keeping
from historian.stores.embedded.manifest import Manifest, Segment
from historian.stores.embedded.open_files import OpenFiles
from historian.stores.embedded.options import EmbeddedOptions
from historian.stores.embedded.owner import own
from historian.stores.embedded.part_writer import PartWriter, number_of, remove_orphans
from historian.stores.embedded.reading import Reader
from historian.stores.embedded.record import Record, ScanRecord, SpanRecord, encode_record
from historian.stores.embedded.recovery import recover
from historian.stores.embedded.shop import Shop
from historian.stores.embedded.warm_up import warm_up
from historian.stores.port import (
    CellQuestion,
    EventQuestion,
    LivedScan,
    LivedSweep,
    Notice,
    StateQuestion,
    StoreStats,
    StringQuestion,
    Upkeep,
    WriteBatch,
)

BYTES_PER_JOURNAL: Final = 16 << 20
MAX_CLOSED_JOURNALS: Final = 3  # newest rows in memory stay below four journals, however fast a gateway catches up


class EmbeddedStore:
    """A `Store` in one directory; one process at a time owns it.

    Args:
        directory: where everything lies; made when it is missing.
        site: id of the site, given back with every scan.
        options: limits.

    Raises:
        StoreVersionError: a newer program wrote it.
        StoreDamagedError: it cannot be used, or another process has it.
        StoreFullError, StoreFailedError: the disk refused.
    """

    def __init__(self, directory: Path, site: str, options: EmbeddedOptions | None = None) -> None:
        self._directory, self._site, self._options = directory, site, options or EmbeddedOptions()
        self._journal_directory = directory / "journal"
        self._journal_directory.mkdir(parents=True, exist_ok=True)
        self._owner = own(directory)
        warm_up()
        self._manifest = Manifest(directory / "manifest.sqlite")
        segments = self._manifest.segments()
        remove_orphans(directory, frozenset(segment.file for segment in segments))
        self._files = OpenFiles(directory)
        self._reader = Reader(self._files)
        self._parts = PartWriter(directory, max((number_of(s.file) for s in segments), default=0) + 1)
        self._holdings = Holdings(segments, self._discard)
        self._aside = AsideFiles(directory / DIRECTORY)
        self._books_lock = threading.Lock()
        self._latest: dict[str, Block] = {}
        self._latest_scans: dict[str, tuple[Block, LivedScan]] = {}
        self._recover()
        self._keeping = Keeping(
            Shop(self._holdings, self._manifest, self._parts, self._files, self._reader), self._options.keep_days
        )

    def _recover(self) -> None:
        for string, tier, at in self._manifest.rows("SELECT string, tier, window_ms FROM dirty"):
            self._holdings.mark(str(string), str(tier), [int(str(at))])
        found = recover(self._journal_directory, self._manifest)
        self._books = found.books
        self._closed = found.journals
        self._notices = deque(found.notices)
        for string in self._holdings.strings():
            if (row := answers.newest_stored(self._holdings, self._reader, string)) is not None:
                self._latest[string] = row
        for number, record in found.rows:
            self._holdings.hot.append(number, record.string, record.row)
            self._note_latest(record)
        self._journal = JournalFile(self._journal_directory, found.next_journal)
        self._journal_strings: set[str] = set()

    def _discard(self, segment: Segment) -> None:
        self._files.forget(segment.file)
        (self._directory / segment.file).unlink(missing_ok=True)

    def _note_latest(self, record: ScanRecord) -> None:
        known = self._latest.get(record.string)
        if known is None or known.at_ms[0] <= record.row.at_ms[0]:
            self._latest[record.string] = record.row

    def begin(self) -> None:
        """See `Store.begin`: whoever owns the files knows what is in them."""

    def write(self, batch: WriteBatch) -> None:
        """See `Store.write`."""
        if batch.sweeps or batch.events or batch.states or batch.cell_states:
            self._require_room()
            log_tables.insert(self._manifest, batch.sweeps, batch.events)
            state_tables.insert(self._manifest, batch.states, batch.cell_states)
        records = self._new_records(batch)
        if not records:
            return
        self._require_pace()
        self._require_room()
        aside = [a for a in batch.aside if self._is_new(a.scan.string, a.scan.stream, a.scan.seq)]
        if aside and self._aside.append(aside):
            self._notices.append(
                Notice("store.aside_dropped", "warning", "the oldest file of scans set aside was removed")
            )
        self._journal.append(b"".join(encode_record(record) for record in records))
        with self._holdings.lock, self._books_lock:
            for record in records:
                self._enter(record)
        self._maybe_rotate()

    def _require_pace(self) -> None:
        if len(self._closed) >= MAX_CLOSED_JOURNALS:
            raise StoreBusyError(f"{len(self._closed)} journals wait for upkeep")

    def _require_room(self) -> None:
        disk = os.statvfs(self._directory)
        if disk.f_bavail * disk.f_frsize < self._options.reserve_bytes:
            raise StoreFullError(
                f"less than {self._options.reserve_bytes >> 20} MiB free below {self._directory.name}/; make room, "
                "the gateway keeps what is not stored"
            )

    def _is_new(self, string: str, stream: str, seq: int) -> bool:
        book = self._books.get(string, {}).get(stream)
        return book is None or seq not in book.stored

    def _new_records(self, batch: WriteBatch) -> list[Record]:
        records: dict[tuple[str, str, int], Record] = {}
        for lived in batch.scans:
            scan = lived.scan
            key = (scan.string, scan.stream, scan.seq)
            if self._is_new(*key) and key not in records:
                row = block_of(scan, lived.lives)
                records[key] = ScanRecord(scan.string, scan.stream, scan.seq, row)
        for aside in batch.aside:
            key = (aside.scan.string, aside.scan.stream, aside.scan.seq)
            if self._is_new(*key) and key not in records:
                records[key] = SpanRecord(*key, last=aside.scan.seq, lost=False)
        lost = [SpanRecord(span.string, span.stream, span.first, span.last, lost=True) for span in batch.lost]
        return [*lost, *records.values()]

    def _enter(self, record: Record) -> None:
        book = self._books.setdefault(record.string, {}).setdefault(record.stream, StreamBook())
        self._journal_strings.add(record.string)
        if isinstance(record, ScanRecord):
            book.store(record.seq, record.seq)
            self._holdings.hot.append(self._journal.number, record.string, record.row)
            self._note_latest(record)
        elif record.lost:
            book.accounted.add(record.first, record.last)
        else:
            book.store(record.first, record.last)

    def _maybe_rotate(self) -> None:
        longest = self._holdings.hot.longest(self._journal.number)
        if longest < self._options.scans_per_journal and self._journal.size_bytes < BYTES_PER_JOURNAL:
            return
        self.rotate()

    def rotate(self) -> None:
        """Begin a new journal, so that upkeep can pack the present one; stay with it when there is no room."""
        try:
            fresh = JournalFile(self._journal_directory, self._journal.number + 1)
        except StoreFullError:
            return
        old, self._journal = self._journal, fresh
        with self._holdings.lock:
            self._closed[old.number], self._journal_strings = self._journal_strings, set()
        old.close()

    def positions(self) -> Positions:
        """See `Store.positions`."""
        with self._books_lock:
            return {
                string: {stream: book.copy() for stream, book in streams.items()}
                for string, streams in self._books.items()
            }

    def kept_from_ms(self, string: str) -> int | None:
        """See `Store.kept_from_ms`."""
        return self._keeping.kept_from_ms(string, "full")

    def strings(self) -> list[str]:
        """See `Store.strings`."""
        return self._holdings.strings()

    def latest(self) -> tuple[LivedScan, ...]:
        """See `Store.latest`."""
        with self._holdings.lock:
            rows = sorted(self._latest.items())
        return tuple(self._lived(string, row) for string, row in rows)

    def _lived(self, string: str, row: Block) -> LivedScan:
        """Return a newest row as a scan, made once however often it is asked for."""
        known = self._latest_scans.get(string)
        if known is None or known[0] is not row:
            known = row, LivedScan(scan_of(row, 0, self._site, string), lives_in(row))
            self._latest_scans[string] = known
        return known[1]

    def cell_series(self, question: CellQuestion) -> pa.Table:
        """See `Store.cell_series`."""
        with self._holdings.view(question.string) as view:
            return answers.cell_series(self._reader, view, question, self.kept_from_ms(question.string))

    def string_series(self, question: StringQuestion) -> pa.Table:
        """See `Store.string_series`."""
        with self._holdings.view(question.string) as view:
            return answers.string_series(self._reader, view, question)

    def spans(self, question: StringQuestion) -> list[tuple[int, int]]:
        """See `Store.spans`."""
        with self._holdings.view(question.string) as view:
            return answers.spans_of(view, question, answers.STEP_MS)

    def impedance(self, string: str, start_ms: int, end_ms: int) -> tuple[LivedSweep, ...]:
        """See `Store.impedance`."""
        return log_tables.sweeps(self._manifest, string, start_ms, end_ms)

    def events(self, question: EventQuestion) -> tuple[Event, ...]:
        """See `Store.events`."""
        return log_tables.events(self._manifest, question)

    def states(self, question: StateQuestion) -> pa.Table:
        """See `Store.states`."""
        return state_tables.states(self._manifest, question)

    def adopt_tier(self, tier: TierName, string: str, rows: Buckets) -> None:
        """See `Store.adopt_tier`."""
        self._keeping.adopt(tier, string, rows)

    def upkeep(self) -> Upkeep:
        """See `Store.upkeep`."""
        notices = tuple(self._notices.popleft() for _ in range(len(self._notices)))
        with self._holdings.lock:
            number = min(self._closed, default=None)
        if number is None:
            done = self._keeping.step()
            return Upkeep(done.more, done.did, notices + done.notices)
        strings = self._closed[number]
        if not strings:
            self._drop_journal(number)
            return Upkeep(more=True, did=f"journal {number} dropped", notices=notices)
        string = min(strings)
        with self._books_lock:
            streams = [(stream, book.copy()) for stream, book in self._books.get(string, {}).items()]
        self._keeping.pack(number, string, streams)
        strings.discard(string)
        return Upkeep(more=True, did=f"journal {number} packed for {string}", notices=notices)

    def _drop_journal(self, number: int) -> None:
        journal_path(self._journal_directory, number).unlink(missing_ok=True)
        self._keeping.forget_journal(self._journal_directory, number)
        with self._holdings.lock:
            del self._closed[number]

    def stats(self) -> StoreStats:
        """See `Store.stats`."""
        segments = self._holdings.all_segments()
        with self._holdings.lock:
            waiting = self._holdings.hot.count()
            times = [int(block.at_ms[0]) for block in self._latest.values()]
        journals = sum(
            journal_path(self._journal_directory, number).stat().st_size
            for number in journal_numbers(self._journal_directory)
        )
        manifest = (self._directory / "manifest.sqlite").stat().st_size
        return StoreStats(
            bytes_on_disk=sum(s.bytes for s in segments) + journals + manifest,
            files=len(segments),
            journal_bytes=journals,
            rows_waiting=waiting,
            oldest_ms=min((s.start_ms for s in segments), default=min(times, default=None)),
            newest_ms=max(times, default=None),
        )

    def close(self) -> None:
        """See `Store.close`."""
        self._journal.close()
        self._files.close()
        self._manifest.close()
        os.close(self._owner)
