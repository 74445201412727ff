"""Publishes what is kept: scans live, then the views of them; what nobody stored again on `backfill`, in order.

A scan reaches the link only from `on_kept`, after it is durable. What the link does not take now is not queued here:
scans wait in the journal, views show their newest state later.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from zlib import crc32

from cellkeeper.contract.channels import BACKFILL, CELL, SCAN, STORED, SUMMARY
from cellkeeper.contract.site import SiteTable, StringTable
from cellkeeper.contract.telemetry import StoredReceipt
from cellkeeper.contract.wire import PayloadRefusedError, decode
from cellkeeper.runtime.clock import Clock
from cellkeeper.runtime.session import Incoming, Session

from bus_gateway.driver import StringReadings
from bus_gateway.journal.book import StreamKey
from bus_gateway.journal.kept_reader import KeptReader
from bus_gateway.journal.scan_draft import KeptScan
from bus_gateway.journal.scan_keeper import ScanKeeper
from bus_gateway.uplink.backfill import LIVE_S, Backfill
from bus_gateway.uplink.cell_view import CellBands, CellView
from bus_gateway.uplink.retained import RetainedBoard
from bus_gateway.uplink.summary import Summary, summarise

PUMP_S: Final = 0.2  # backfill portions follow each other this fast
BACKLOG_LIMIT: Final = 500  # messages the link has not sent yet: live scans go first
CELLS_AT_ONCE: Final = 100  # about 1.5 ms of the loop; then others have their turn
CELLS_PAUSE_S: Final = 0.005
FRESH_S: Final = 10.0
ROOM_SCANS: Final = 400  # a recording is read ahead of its receipts by this much
ROOM_POLL_S: Final = 0.02
NO_RECEIPT_S: Final = 30.0  # without a historian a recording goes on, one row at a time


@dataclass(slots=True)
class StringOutlet:
    """Where a string's messages go, and what was last shown of it."""

    string: str
    scan_topic: str
    summary_topic: str
    cell_topics: Sequence[str]
    cells: CellView
    summary: Summary | None = None
    readings: StringReadings | None = None
    measured_ms: int = 0
    measured_s: float = float("-inf")
    _told: Mapping[str, object] = field(default_factory=dict)
    _told_s: float = float("-inf")

    def summary_is_due(self, now_s: float, refresh_s: float) -> bool:
        """Whether the summary changed since it was told, or was told too long ago."""
        assert self.summary is not None
        return self._told != self.summary.values or now_s - self._told_s >= refresh_s

    def summary_told(self, now_s: float) -> None:
        """Note that the summary was shown."""
        assert self.summary is not None
        self._told, self._told_s = self.summary.values, now_s


def outlet_of(site: SiteTable, string: StringTable) -> StringOutlet:
    """Return a string's outlet with every topic made once."""
    ids = {"site": site.id, "string": string.id}
    bands = CellBands(string.cell_dead_band_v, string.dead_band_degc, site.refresh_s)
    return StringOutlet(
        string=string.id,
        scan_topic=SCAN.topic(**ids),
        summary_topic=SUMMARY.topic(**ids),
        cell_topics=[CELL.topic(**ids, cell=cell) for cell in range(1, string.cells + 1)],
        cells=CellView(string.cells, bands, crc32(string.id.encode()) % 97 / 97.0),
    )


@dataclass(slots=True)
class UplinkCounters:
    """What went up since the start."""

    live: int = 0
    backfilled: int = 0
    cells: int = 0
    late: int = 0
    bad_receipts: int = 0


@dataclass(kw_only=True)
class Uplink:
    """The way up.

    Attributes:
        site: id and times of the site.
        session, keeper, board, clock: what it works with.
        outlets: by string, of this gateway alone.
        backfill_per_s: most scans that are sent again in a real second.
        now_s: real monotonic time.
    """

    site: SiteTable
    session: Session
    keeper: ScanKeeper
    board: RetainedBoard
    clock: Clock
    outlets: Mapping[str, StringOutlet]
    backfill_per_s: float
    now_s: Callable[[], float] = time.monotonic
    counters: UplinkCounters = field(default_factory=UplinkCounters)

    def __post_init__(self) -> None:
        self._backfill = Backfill(self.keeper.book)
        self._reader = KeptReader(self.keeper)
        self._receipt_s = self.now_s()
        self._cells_due = asyncio.Event()
        # One filter for all: the session looks at every filter for every message. QoS 0: a receipt says "up to here",
        # so the next one makes up for a lost one, and sixteen acknowledgements a second are saved.
        self.session.subscribe(STORED.filter(site=self.site.id), self.on_stored, qos=0)

    def link_up(self) -> None:
        """The link is new: show every unit again, and let what was under way count as lost."""
        self._backfill.link_up(self.now_s())
        for outlet in self.outlets.values():
            outlet.cells.mark_all()
        self._cells_due.set()

    def on_kept(self, scans: Sequence[KeptScan]) -> None:
        """Publish scans that are durable now, and the views of the newest of each string."""
        now_s = self.now_s()
        newest: dict[str, KeptScan] = {}
        for scan in scans:
            newest[scan.key.string] = scan
            topic = self.outlets[scan.key.string].scan_topic
            if now_s - scan.draft.taken_s > LIVE_S:
                self.counters.late += 1
            elif self.session.publish(topic, scan.payload, qos=SCAN.qos):
                self._backfill.published_live(scan.key, scan.seq, now_s)
                self.counters.live += 1
        for string, scan in newest.items():
            self._show(self.outlets[string], scan)

    def on_stored(self, message: Incoming) -> None:
        """Take a receipt."""
        ids = STORED.match(message.topic)
        if ids is None or ids["string"] not in self.keeper.book.positions:
            return  # of another gateway's string
        try:
            receipt = decode(StoredReceipt, message.payload)
        except PayloadRefusedError:
            self.counters.bad_receipts += 1
            return
        if ids["string"] != receipt.string:
            self.counters.bad_receipts += 1
            return
        key = StreamKey(receipt.string, receipt.stream)
        if self.keeper.receipt(key, receipt.seq):
            self._receipt_s = self.now_s()
            self._backfill.receipt(key, self._receipt_s)
        else:
            self._backfill.receipt_repeated(key, self.now_s())

    async def run_backfill(self) -> None:
        """Send again what nobody stored, in portions, until cancelled."""
        allowance = 0.0
        while True:
            await asyncio.sleep(PUMP_S)
            portion = max(1.0, self.backfill_per_s * PUMP_S)
            allowance = min(allowance + self.backfill_per_s * PUMP_S, portion)
            if allowance < 1.0 or not self.session.is_up or self.session.backlog() > BACKLOG_LIMIT:
                continue
            wanted = self._backfill.wanted(self.now_s())
            if wanted:
                allowance -= await self._send_again(wanted, int(allowance))

    async def run_cells(self) -> None:
        """Show units that are due, a few at a time, until cancelled."""
        while True:
            await self._cells_due.wait()
            self._cells_due.clear()
            if self._show_some_cells():
                self._cells_due.set()
                await asyncio.sleep(CELLS_PAUSE_S)

    def refresh(self) -> None:
        """Show summaries again that were not shown for `refresh_s`; call it about once a second."""
        self.board.flush()
        now_s = self.clock.monotonic_s()
        for outlet in self.outlets.values():
            if outlet.summary is not None and outlet.summary_is_due(now_s, self.site.refresh_s):
                self._show_summary(outlet, now_s)
            if outlet.cells.waiting:
                self._cells_due.set()

    async def room(self) -> None:
        """Wait until receipts have caught up so far that a recording may go on."""
        while self.keeper.book.waiting_scans() >= ROOM_SCANS:
            if self.now_s() - self._receipt_s > NO_RECEIPT_S:
                await asyncio.sleep(1.0)
                return
            await asyncio.sleep(ROOM_POLL_S)

    def _show(self, outlet: StringOutlet, scan: KeptScan) -> None:
        readings = scan.draft.readings
        now_s = self.clock.monotonic_s()
        outlet.readings, outlet.measured_ms, outlet.measured_s = readings, scan.draft.measured_ms, now_s
        outlet.summary = summarise(readings, scan.draft.measured_ms)
        if outlet.summary_is_due(now_s, self.site.refresh_s):
            self._show_summary(outlet, now_s)
        outlet.cells.update(readings, scan.draft.measured_ms)
        if outlet.cells.waiting:
            self._cells_due.set()

    def _show_summary(self, outlet: StringOutlet, now_s: float) -> None:
        assert outlet.summary is not None
        age_s = (self.clock.now_ms() - outlet.summary.measured_ms) / 1000.0
        payload = outlet.summary.encode(age_s, fresh=age_s <= FRESH_S)
        self.board.show(SUMMARY, outlet.summary_topic, payload)
        outlet.summary_told(now_s)

    def _show_some_cells(self) -> bool:
        """Publish a portion of units that are due; False when none is, or the link takes no more now."""
        room = CELLS_AT_ONCE
        for outlet in self.outlets.values():
            due = outlet.cells.take(room)
            for at, (cell, payload) in enumerate(due):
                topic = outlet.cell_topics[cell - 1]
                if not self.session.publish(topic, payload, qos=0, retain=True, expires_s=self.site.stale_after_s):
                    outlet.cells.give_back([cell for cell, _ in due[at:]])
                    return False
            self.counters.cells += len(due)
            room -= len(due)
            if room == 0:
                return True
        return False

    async def _send_again(self, wanted: Mapping[StreamKey, tuple[int, int]], limit: int) -> int:
        sent = 0
        for key, seq, payload in await self._reader.fetch(wanted, limit):
            topic = BACKFILL.topic(site=self.site.id, string=key.string)
            if not self.session.publish(topic, payload, qos=BACKFILL.qos):
                break
            self._backfill.sent(key, seq, self.now_s())
            sent += 1
        self.counters.backfilled += sent
        return sent
