"""The write side at work: messages are grouped, made durable together, and only then receipted.

Policy. What arrives waits in a bounded box; when it is full the newest is refused and counted, and comes again on
`backfill`. A group ends when nothing came for a moment, after one grouping time at the latest, and has at most
`MAX_GROUP` scans; what comes while it is written is the next one. When the store refuses, the group is tried again
until it is durable; receipts stand still meanwhile, one event says why and one that it is over. So it is with a store
that cannot be asked at the start: no receipt is given before it is known what is stored.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from cellkeeper.contract.notices import Event
from cellkeeper.contract.scan_columns import ScanColumns
from cellkeeper.contract.telemetry import ImpedanceSweep
from cellkeeper.runtime.clock import Clock
from cellkeeper.runtime.mailbox import Mailbox

from historian.errors import StoreBusyError, StoreFailedError, StoreFullError
from historian.intake import Intake, Intaken, LivesOf, intake_of, lived_sweep
from historian.receipts import Receipt, ReceiptPace
from historian.stores.port import CellStateRow, Notice, StateRow, Store, Upkeep, WriteBatch

GROUP_S: Final = 0.020  # real time: one write and one fdatasync for all strings of a sweep
QUIET_S: Final = 0.004  # real time: the scans of one commit of a gateway follow each other faster
MAX_GROUP: Final = 512  # scans: 16 strings of backfill are written in under 50 ms
BOX_LIMIT: Final = 2048  # scans of 240 units are 13 kB decoded: 27 MB at the worst
LOG_LIMIT: Final = 2000
RECEIPT_HOLD_S: Final = 1.5  # real time; the gateway sends again what has no receipt after 5 s
RETRY_S: Final = 1.0  # real time between two tries on a full or failing disk
BUSY_S: Final = 0.05
UPKEEP_PAUSE_S: Final = 0.02  # lets queries and writes in between two pieces of work
UPKEEP_IDLE_S: Final = 2.0
UPKEEP_RETRY_S: Final = 10.0
UPKEEP_TOLD_AT: Final = 2  # failures in a row: what stops the scans as well is one event, and theirs


type LogItem = ImpedanceSweep | Event | StateRow | CellStateRow


class Voice(Protocol):
    """How the historian speaks of itself."""

    def be(self, state: Literal["ready", "degraded"], why: str = "") -> None:
        """Take a state."""
        ...

    def event(
        self, kind: str, severity: Literal["info", "warning", "error"], text: str, *, string: str | None = None
    ) -> None:
        """Publish an event."""
        ...


@dataclass(slots=True)
class RecorderCounters:
    """What the write side did since the start."""

    scans: int = 0
    repeated: int = 0
    rows: int = 0
    groups: int = 0
    refused_by_store: int = 0


@dataclass(slots=True, kw_only=True)
class Recorder:
    """Takes messages, writes groups, gives receipts.

    Attributes:
        store: where history goes; called in `writer`, one call at a time.
        lives: the life of each position, for scans and sweeps.
        clock: event time, to tell the future.
        voice: for events and state.
        give: publishes a receipt.
        writer: a pool of one thread.
        intake: sorts scans and keeps the book; empty until `begin` has asked the store.
        has_begun: set once the store was asked.
    """

    store: Store
    lives: LivesOf
    clock: Clock
    voice: Voice
    give: Callable[[Receipt], None]
    writer: Executor
    counters: RecorderCounters = field(default_factory=RecorderCounters)
    box: Mailbox[ScanColumns] = field(default_factory=lambda: Mailbox(BOX_LIMIT))
    log_box: Mailbox[LogItem] = field(default_factory=lambda: Mailbox(LOG_LIMIT))
    pace: ReceiptPace = field(default_factory=lambda: ReceiptPace(RECEIPT_HOLD_S))
    intake: Intake = field(init=False)
    has_begun: asyncio.Event = field(default_factory=asyncio.Event)
    _in_trouble: set[str] = field(default_factory=set)
    _look: asyncio.TimerHandle | None = None

    def __post_init__(self) -> None:
        self.intake = intake_of({}, {}, self.store.kept_from_ms, self.lives)

    @property
    def in_trouble(self) -> bool:
        """Whether the store refuses, and an event has said so."""
        return bool(self._in_trouble)

    async def begin(self) -> None:
        """Ask the store what it has, again until it answers; then go on from there."""
        await self._tried("scans", self.store.begin)
        newest_ms = {lived.scan.string: lived.scan.measured_ms for lived in self.store.latest()}
        self.intake = intake_of(self.store.positions(), newest_ms, self.store.kept_from_ms, self.lives)
        self.has_begun.set()
        self.voice.be("ready")
        self.give_standing()

    async def record_scans(self) -> None:
        """Write and receipt scans until cancelled."""
        await self.has_begun.wait()
        while True:
            arrived = await self._group()
            for first in range(0, len(arrived), MAX_GROUP):
                await self._record(arrived[first : first + MAX_GROUP])

    async def _group(self) -> list[ScanColumns]:
        loop = asyncio.get_running_loop()
        arrived = await self.box.take_all()
        end_s = loop.time() + GROUP_S
        while loop.time() < end_s:
            await asyncio.sleep(QUIET_S)
            if not len(self.box):
                break
            arrived += await self.box.take_all()
        return arrived

    async def record_log(self) -> None:
        """Write impedance sweeps, events and what services tell of strings until cancelled."""
        while True:
            arrived = await self.log_box.take_all()
            sweeps = [lived_sweep(item, self.lives) for item in arrived if isinstance(item, ImpedanceSweep)]
            events = [item for item in arrived if isinstance(item, Event)]
            states = [item for item in arrived if isinstance(item, StateRow)]
            of_units = [item for item in arrived if isinstance(item, CellStateRow)]
            await self._write("log", WriteBatch(sweeps=sweeps, events=events, states=states, cell_states=of_units))

    async def _record(self, scans: Sequence[ScanColumns]) -> None:
        intaken = self.intake.take(scans, self.clock.now_ms())
        await self._write("scans", intaken.batch)
        receipts = self.intake.done(intaken)
        self._count(scans, intaken)
        self._tell(receipts)
        for notice in intaken.notices:
            self.say(notice)

    def _tell(self, receipts: Sequence[Receipt]) -> None:
        loop = asyncio.get_running_loop()
        for receipt in self.pace.offer(receipts, loop.time()):
            self.give(receipt)
        if self.pace.holds and self._look is None:
            self._look = loop.call_later(RECEIPT_HOLD_S, self._tell_overdue)

    def _tell_overdue(self) -> None:
        self._look = None
        for receipt in self.pace.overdue(asyncio.get_running_loop().time()):
            self.give(receipt)
        self._tell(())

    def _count(self, scans: Sequence[ScanColumns], intaken: Intaken) -> None:
        self.counters.groups += 1
        self.counters.scans += len(intaken.keys)
        self.counters.repeated += len(scans) - len(intaken.keys)
        self.counters.rows += sum(lived.scan.cells for lived in intaken.batch.scans)

    async def _write(self, what: str, batch: WriteBatch) -> None:
        await self._tried(what, lambda: self.store.write(batch))

    async def _tried(self, what: str, act: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                await loop.run_in_executor(self.writer, act)
            except StoreBusyError:
                await asyncio.sleep(BUSY_S)
            except (StoreFullError, StoreFailedError) as exc:
                self.counters.refused_by_store += 1
                self._enter_trouble(what, exc)
                await asyncio.sleep(RETRY_S)
            else:
                self._leave_trouble(what)
                return

    def _enter_trouble(self, what: str, exc: StoreFullError | StoreFailedError) -> None:
        self.voice.be("degraded", str(exc))  # the reason may become another one
        if not self._in_trouble:
            kind = "store.full" if isinstance(exc, StoreFullError) else "store.failed"
            self.voice.event(kind, "error", str(exc))
        self._in_trouble.add(what)

    def _leave_trouble(self, what: str) -> None:
        """Note that one kind of row is taken; events that a file takes meanwhile do not end the trouble of scans."""
        if what in self._in_trouble and not self._in_trouble - {what}:
            self.voice.be("ready")
            self.voice.event("store.writing_again", "info", "the store takes rows again; what waited comes by backfill")
        self._in_trouble.discard(what)

    def give_standing(self) -> None:
        """Publish the receipts that stand, as after a start or a new connection."""
        now_s = asyncio.get_running_loop().time()
        for receipt in self.intake.receipts.standing():
            self.give(receipt)
            self.pace.gave(receipt, now_s)

    def say(self, notice: Notice) -> None:
        """Publish a notice as an event."""
        self.voice.event(notice.kind, notice.severity, notice.text, string=notice.string)


async def keep_up(store: Store, worker: Executor, recorder: Recorder) -> None:
    """Do upkeep, piece by piece, until cancelled.

    Args:
        store: whose upkeep.
        worker: a pool of one thread, another than the writer's.
        recorder: says what upkeep notices.
    """
    await recorder.has_begun.wait()
    loop = asyncio.get_running_loop()
    failures = 0
    while True:
        try:
            done: Upkeep = await loop.run_in_executor(worker, store.upkeep)
        except StoreBusyError:
            await asyncio.sleep(UPKEEP_IDLE_S)
            continue
        except (StoreFullError, StoreFailedError) as exc:
            failures = 0 if recorder.in_trouble else failures + 1
            if failures == UPKEEP_TOLD_AT:
                recorder.say(Notice("store.upkeep_failed", "error", str(exc)))
            await asyncio.sleep(UPKEEP_RETRY_S)
            continue
        failures = 0
        for notice in done.notices:
            recorder.say(notice)
        await asyncio.sleep(UPKEEP_PAUSE_S if done.more else UPKEEP_IDLE_S)
