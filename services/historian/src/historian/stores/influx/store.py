"""The store in InfluxDB 2: what the port promises, put together from lines, questions, tiers and local state."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pyarrow as pa
import structlog
from cellkeeper.contract.notices import Event
from cellkeeper.contract.scan_columns import ScanColumns
from cellkeeper.contract.series import FULL, TierName

from historian.buckets import Buckets
from historian.errors import StoreFailedError, StoreFullError, StoreMissingError
from historian.receipts import Positions
from historian.stores.aside import DIRECTORY, AsideFiles
from historian.stores.block import Block, lives_in, scan_of
from historian.stores.influx import answers, lines
from historian.stores.influx.books import Books
from historian.stores.influx.disk_use import DiskUse
from historian.stores.influx.flat_rows import FlatRows, flat_rows
from historian.stores.influx.log_book import LogBook
from historian.stores.influx.options import InfluxOptions
from historian.stores.influx.reading import MAX_CELL, Reader
from historian.stores.influx.recent import Recent
from historian.stores.influx.row_times import GRID_MS, RowTimes
from historian.stores.influx.sending import Sender
from historian.stores.influx.server import Server
from historian.stores.influx.state import LocalState
from historian.stores.influx.tiers import DirtyWindows, Tiers
from historian.stores.port import (
    AsideScan,
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
from historian.stores.questions import Span

log = structlog.get_logger()

PART_ROWS: Final = 16_384  # cell rows of one request: 1.5 MB


class InfluxStore:
    """A `Store` on an InfluxDB server; one process at a time writes a site.

    Args:
        site: id of the site.
        options: where.

    Raises:
        StoreDamagedError: the local state cannot be used.
    """

    def __init__(self, site: str, options: InfluxOptions) -> None:
        self._site, self._options = site, options
        self._server = Server(options.target)
        self._sender = Sender(self._server)
        self._state = LocalState(options.directory / "influx-state.sqlite")
        self._aside = AsideFiles(options.directory / DIRECTORY)
        self._reader = Reader(self._server, site)
        self._times, self._books = RowTimes(), Books(self._state)
        self._recent = Recent()
        self._dirty = DirtyWindows(self._state)
        self._tiers = Tiers(self._reader, self._recent, self._dirty, self._write_tier)
        self._log_book = LogBook(site, self._server, self._sender, self._state)
        self._disk_use = DiskUse(self._server, options.now_ms)
        self._lock = threading.Lock()
        self._latest: dict[str, Block] = {}
        self._keep_s = 0
        self._refuses = False
        self._why_not_begun = "history was not asked yet"

    def begin(self) -> None:
        """See `Store.begin`: the server is asked for the first time."""
        try:
            self._keep_s = self._retention_s()
            self._recover()
        except StoreFailedError as exc:
            self._why_not_begun = str(exc)
            raise
        self._why_not_begun = ""

    def _require_begun(self) -> None:
        if self._why_not_begun:
            raise StoreFailedError(self._why_not_begun)

    def _retention_s(self) -> int:
        name = f"{self._options.target.database}/{FULL.name}"
        found = self._server.manage("GET", "/api/v2/buckets", org=self._options.target.org, name=name)["buckets"]
        if not found:
            raise StoreMissingError(f"InfluxDB shows no bucket {name}; run `cellkeeper provision` to make it")
        return int(next((rule["everySeconds"] for rule in found[0]["retentionRules"]), 0))

    def _recover(self) -> None:
        self._books.recover(self._reader, self._times)
        for string in self._reader.strings():
            newest_ms = self._reader.edge_ms(string, newest=True)
            if newest_ms is None:
                continue
            block = self._reader.block(string, Span(1, MAX_CELL, newest_ms, newest_ms + GRID_MS))
            if block is not None:
                self._latest[string] = block.take(slice(-1, None)).present()
                self._recent.begin(string, int(block.at_ms[-1]))

    def write(self, batch: WriteBatch) -> None:
        """See `Store.write`."""
        if batch.sweeps or batch.events or batch.states or batch.cell_states:
            self._log_book.write(batch)
        if not (batch.scans or batch.aside or batch.lost):
            return
        self._require_begun()
        lived = self._new(batch.scans)
        aside = [a for a in batch.aside if not self._books.has(a.scan.string, a.scan.stream, a.scan.seq)]
        if lived:
            self._write_scans(lived, aside, batch)
        else:
            self._set_aside(aside)
            self._books.enter((), (), aside, batch.lost)

    def _new(self, scans: Sequence[LivedScan]) -> list[LivedScan]:
        fresh: dict[tuple[str, str, int], LivedScan] = {}
        for lived in scans:
            key = (lived.scan.string, lived.scan.stream, lived.scan.seq)
            if not self._books.has(*key):
                fresh.setdefault(key, lived)
        return list(fresh.values())

    def _write_scans(self, lived: Sequence[LivedScan], aside: Sequence[AsideScan], batch: WriteBatch) -> None:
        scans = [each.scan for each in lived]
        self._touch(scans)
        blocks = [block for rows in self._taken(lived) for block in rows.blocks()]
        for scan, block in zip(scans, blocks, strict=True):
            self._recent.add(scan.string, block)
            self._note_latest(scan.string, block)
        self._touch(scans)
        self._set_aside(aside)
        self._books.enter(blocks, (scan.string for scan in scans), aside, batch.lost)

    def _taken(self, lived: Sequence[LivedScan]) -> list[FlatRows]:
        """Make rows durable; a server that refused is asked with one row first.

        What it cannot write InfluxDB keeps in memory all the same, up to a gigabyte, and a group comes each second.
        """
        if self._refuses:
            first = lived[0].scan
            at_ns = self._times.of(first.string, first.stream, first.seq, first.measured_ms)
            row = lines.cell_lines(flat_rows(lived[:1]), [at_ns]).partition(b"\n")[0]
            self._sender.send(FULL.name, lambda _: row)
        self._refuses = True
        rows = self._sent(lived)
        self._refuses = False
        return rows

    def _sent(self, lived: Sequence[LivedScan]) -> list[FlatRows]:
        """Make rows durable, many of them in several requests, two at a time: the server gives each one core."""
        times = [self._times.of(s.string, s.stream, s.seq, s.measured_ms) for s in (each.scan for each in lived)]

        def send(part: slice) -> FlatRows:
            rows, at_ns = flat_rows(lived[part]), times[part]
            self._sender.send(
                FULL.name,
                lambda refused: lines.cell_lines(rows, at_ns, refused) + lines.string_lines(rows, at_ns, refused),
            )
            return rows

        at_once = max(1, PART_ROWS // max(each.scan.cells for each in lived))
        parts = [slice(first, first + at_once) for first in range(0, len(lived), at_once)]
        if len(parts) == 1:
            return [send(parts[0])]
        with ThreadPoolExecutor(2, "influx-part") as pool:
            return list(pool.map(send, parts))

    def _touch(self, scans: Sequence[ScanColumns]) -> None:
        times: dict[str, list[int]] = {}
        for scan in scans:
            times.setdefault(scan.string, []).append(scan.measured_ms)
        self._dirty.keep([window for string, ms in times.items() for window in self._dirty.touch(string, ms)])

    def _set_aside(self, aside: Sequence[AsideScan]) -> None:
        if aside and self._aside.append(aside):
            self._sender.note(
                Notice("store.aside_dropped", "warning", "the oldest file of scans set aside was removed")
            )

    def _note_latest(self, string: str, row: Block) -> None:
        with self._lock:
            known = self._latest.get(string)
            if known is None or known.at_ms[0] <= row.at_ms[0]:
                self._latest[string] = row

    def _write_tier(self, tier: str, string: str, rows: Buckets) -> None:
        self._sender.send(tier, lambda refused: lines.tier_lines(rows, self._site, string, refused))

    def positions(self) -> Positions:
        """See `Store.positions`."""
        self._require_begun()
        return self._books.positions()

    def kept_from_ms(self, string: str) -> int | None:
        """See `Store.kept_from_ms`; InfluxDB keeps all strings equally long."""
        return self._options.now_ms() - 1000 * self._keep_s if self._keep_s and string in self._latest else None

    def strings(self) -> list[str]:
        """See `Store.strings`."""
        with self._lock:
            return sorted(self._latest)

    def latest(self) -> tuple[LivedScan, ...]:
        """See `Store.latest`."""
        self._require_begun()
        with self._lock:
            rows = sorted(self._latest.items())
        return tuple(LivedScan(scan_of(row, 0, self._site, string), lives_in(row)) for string, row in rows)

    def cell_series(self, question: CellQuestion) -> pa.Table:
        """See `Store.cell_series`."""
        return answers.cell_series(self._reader, self._tiers, question, self.kept_from_ms(question.string))

    def string_series(self, question: StringQuestion) -> pa.Table:
        """See `Store.string_series`."""
        return answers.string_series(self._reader, self._tiers, question, self.spans(question))

    def spans(self, question: StringQuestion) -> list[tuple[int, int]]:
        """See `Store.spans`."""
        return answers.spans(self._reader, question, self._marked(question.tier, question.string))

    def _marked(self, tier: TierName, string: str) -> list[int]:
        return [] if tier == FULL.name else sorted(self._dirty.of(string, tier))

    def impedance(self, string: str, start_ms: int, end_ms: int) -> tuple[LivedSweep, ...]:
        """See `Store.impedance`."""
        return self._log_book.impedance(string, start_ms, end_ms)

    def events(self, question: EventQuestion) -> tuple[Event, ...]:
        """See `Store.events`."""
        return self._log_book.events(question)

    def states(self, question: StateQuestion) -> pa.Table:
        """See `Store.states`."""
        return self._log_book.states(question)

    def adopt_tier(self, tier: TierName, string: str, rows: Buckets) -> None:
        """See `Store.adopt_tier`."""
        self._write_tier(tier, string, rows)
        self._dirty.clean(string, tier, self._dirty.of(string, tier, rows.at_ms.tolist()))

    def upkeep(self) -> Upkeep:
        """See `Store.upkeep`: log rows that waited, then windows that are over."""
        notices = self._sender.notices()
        if sent := self._log_book.send_waiting():
            return Upkeep(more=True, did=f"{sent} log rows sent", notices=notices)
        for string in self._dirty.strings():
            newest_ms = self._books.newest_ms(string)
            if newest_ms is not None and (did := self._tiers.work(string, newest_ms)):
                return Upkeep(more=True, did=did, notices=notices)
        self._disk_use.look()
        return Upkeep(more=False, notices=notices)

    def stats(self) -> StoreStats:
        """See `Store.stats`; the files are the server's to tell."""
        with self._lock:
            times = [int(block.at_ms[0]) for block in self._latest.values()]
        return StoreStats(
            bytes_on_disk=self._disk_use.bytes,
            files=None,
            journal_bytes=0,
            rows_waiting=0,
            oldest_ms=None,
            newest_ms=max(times, default=None),
            rows_refused=self._sender.refused_rows,
        )

    def close(self) -> None:
        """See `Store.close`."""
        try:
            self._books.save()
        except (StoreFullError, StoreFailedError) as exc:
            log.warning("books.not_saved", why=str(exc))  # they are found again among the newest rows
        self._server.close()
        self._state.close()
