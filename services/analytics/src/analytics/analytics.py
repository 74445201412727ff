"""The service: live scans in; modes, estimates and records of discharges out. One estimate for all strings at once."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import structlog
from cellkeeper.contract.channels import CELL_ESTIMATE, DCBUS, ESTIMATE, IMPEDANCE, MODE, SCAN
from cellkeeper.contract.scan_columns import ScanColumns
from cellkeeper.contract.site import Site
from cellkeeper.contract.telemetry import DcBusState, ImpedanceSweep
from cellkeeper.contract.wire import PayloadRefusedError, decode, encode
from cellkeeper.runtime.clock import Clock
from cellkeeper.runtime.refusals import RefusalLog
from cellkeeper.runtime.service import ServiceVoice
from cellkeeper.runtime.session import Incoming

from analytics.cell_book import CellBook
from analytics.cell_telling import CellTelling
from analytics.cells import Cells
from analytics.counters import Counters
from analytics.engine import Engine
from analytics.estimates import Estimates
from analytics.heard_scans import scan_of
from analytics.intake import Intake
from analytics.late_scans import LateScans
from analytics.log_book import LogBook
from analytics.memory_file import MemoryFile
from analytics.papers import Papers
from analytics.save_plan import SavePlan
from analytics.telling import Telling

BATCH_S: Final = 0.050  # real time: scans of one moment, of all strings, arrive within it
TEND_S: Final = 1.0
CELLS_AT_ONCE: Final = 600  # messages of single units a second: 4096 within seven, and a scan never waits for them
STALE_S: Final = 10.0  # contract: event time between two scans is never above
IDLE_S: Final = 2.0  # event time without any scan from which on silence is told to the estimators
MAX_WAITING: Final = 2000  # scans of one batch: a minute of 32 strings; more means that nobody estimates any more

log = structlog.get_logger()


@dataclass(kw_only=True)
class Analytics:
    """Everything of one site that is estimated.

    Attributes:
        site: its description.
        engine: the estimators with their memory.
        clock: event time.
        voice: presence, events and the session.
        memory: what survives a restart.
        papers: records of discharges.
        book: which cell is where.
        late: scans that come later.
        save_s: real seconds between two writes of the memory while nothing discharges.
        on_tend: called about once a second.
    """

    site: Site
    engine: Engine
    clock: Clock
    voice: ServiceVoice
    memory: MemoryFile
    papers: Papers
    book: CellBook
    late: LateScans
    save_s: float
    intake: Intake
    telling: Telling
    cells: Mapping[str, CellTelling]
    log_book: LogBook
    on_tend: Callable[[], None] = lambda: None
    counters: Counters = field(default_factory=Counters)
    refusals: RefusalLog = field(default_factory=RefusalLog)
    newest: Estimates | None = None
    _waiting: list[ScanColumns] = field(default_factory=list)
    _timer: asyncio.TimerHandle | None = None
    _wrong_size: set[str] = field(default_factory=set)
    _heard_s: float = 0.0
    _is_saved: bool = True
    _is_written: bool = True
    _save_soon: bool = False
    _saving: asyncio.Lock = field(default_factory=asyncio.Lock)

    def subscribe(self) -> None:
        """Ask for live scans, impedances, dc buses, modules and late scans."""
        session, site = self.voice.session, self.site.site.id
        session.subscribe(SCAN.filter(site=site), self.on_scan, with_retained=False)
        session.subscribe(IMPEDANCE.filter(site=site), self.on_impedance, with_retained=False)
        session.subscribe(DCBUS.filter(site=site), self.on_dcbus)
        self.book.subscribe()
        self.late.subscribe()
        session.on_link(self.on_link)
        self._heard_s = self.clock.monotonic_s()

    def on_link(self) -> None:
        """Tell everything again: the broker may have started with nothing."""
        self.telling.forget()
        for each in self.cells.values():
            each.mark_all()
        if self.newest is not None:
            self._tell(self.newest)

    def on_scan(self, message: Incoming) -> None:
        """Take a scan; it is estimated in a moment, together with those of the other strings."""
        scan = scan_of(message, SCAN, self.site.site.id, self.refusals)
        if scan is None:
            return
        verdict = self.intake.judge(scan)
        if verdict == "wrong_size":
            self._tell_size(scan)
        if verdict != "taken":
            return
        if len(self._waiting) >= MAX_WAITING:
            self.counters.dropped += 1
            return
        self._waiting.append(scan)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(BATCH_S, self._estimate)

    def on_impedance(self, message: Incoming) -> None:
        """Take an impedance sweep."""
        ids = IMPEDANCE.match(message.topic)
        try:
            sweep = decode(ImpedanceSweep, message.payload)
        except PayloadRefusedError as exc:
            self.refusals.add(message.topic, str(exc))
            return
        if ids is None or sweep.string != ids["string"] or sweep.string not in self.engine.layout.strings:
            self.refusals.add(message.topic, f"payload is of {sweep.string}")
        else:
            self.engine.take_sweep(sweep)

    def on_dcbus(self, message: Incoming) -> None:
        """Take what a dc bus says of the battery breakers."""
        if not message.payload:
            return
        try:
            bus = decode(DcBusState, message.payload)
        except PayloadRefusedError as exc:
            self.refusals.add(message.topic, str(exc))
            return
        self.engine.take_breakers({each.string: each.state == "open" for each in bus.breakers if each.quality == 0})

    async def run(self) -> None:
        """Tell single units, watch over strings that fall silent and write down what was learned, until cancelled."""
        loop = asyncio.get_running_loop()
        plan = SavePlan(self.save_s, loop.time(), self.clock.monotonic_s())
        try:
            while True:
                await asyncio.sleep(TEND_S)
                self._tend()
                now = loop.time(), self.clock.monotonic_s()
                if self._save_soon or plan.is_due(*now, is_recording=self.engine.is_recording):
                    plan.begin(*now)
                    await self.save()
                    plan.end(loop.time())
        finally:
            if self._timer is not None:
                self._timer.cancel()
            self._estimate()
            self._write()
            self.papers.save_waiting()

    async def save(self) -> bool:
        """Write down what was learned and told; False when the disk does not take it."""
        async with self._saving:
            self._save_soon = False
            self.book.save()
            await asyncio.to_thread(self._write)
            self._tell_saved()
        return self._is_written

    def follow_cells(self) -> None:
        """Let what was learned of cells follow them to where the ledger has them now."""
        cells = Cells.of(self.engine.layout, self.book.ledger)
        for string in self.engine.take_cells(cells):
            log.info("cell.followed", string=string)
        self._save_soon = True

    def _estimate(self) -> None:
        """Estimate what has arrived."""
        self._timer = None
        scans, self._waiting = self._waiting, []
        if not scans:
            return
        self._heard_s = self.clock.monotonic_s()
        self.late.catch_up.before_live(scans, asyncio.get_running_loop().time())
        for batch in self.intake.batches(scans):
            self._take(self.engine.follow(batch, self.intake.ripple_a_rms))
        self.late.catch_up.after_live(scans)

    def _take(self, told: Estimates) -> None:
        self.counters.batches += 1
        for record in told.records:
            self.papers.put(record)
        if self.log_book.tell(self.newest, told):
            self._save_soon = True
        for ended in self.engine.take_ended():
            self.voice.event("test.ended", "info", ended.words(), string=ended.test.string)
            self._save_soon = True
        for refused in self.engine.take_refused():
            log.info("impedance.left_out", string=refused.string, why=refused.why)
        self.newest = told
        self._tell(told)

    def _tend(self) -> None:
        idle_s = self.clock.monotonic_s() - self._heard_s
        if idle_s >= IDLE_S:
            self._take(self.engine.follow_silence(idle_s))
        elif self.newest is not None:
            self._tell(self.newest)
        if self.book.look():
            self.follow_cells()
        self._tell_cells()
        self._watch()
        self.on_tend()

    def _tell(self, told: Estimates) -> None:
        site, session = self.site.site, self.voice.session
        if not session.is_up:
            return
        real_s = asyncio.get_running_loop().time()
        for mode in self.telling.modes_due(told.modes, self.clock.now_ms(), real_s):
            topic = MODE.topic(site=site.id, string=mode.string)
            self.counters.modes += self._sent(topic, encode(mode), MODE.qos)
        for place in self.telling.estimates_due(told, real_s):
            string = self.engine.layout.strings[place]
            topic = ESTIMATE.topic(site=site.id, string=string)
            payload = encode(self.telling.payload(told, place))
            self.counters.estimates += self._sent(topic, payload, ESTIMATE.qos)
            units = told.units.of(self.engine.layout.span(place))
            self.cells[string].update(units, round(float(told.at_s[place]) * 1000.0))

    def _tell_cells(self) -> None:
        """Tell units that are due, as many as a second takes; strings take turns by what is left."""
        left = CELLS_AT_ONCE
        for string, view in sorted(self.cells.items(), key=lambda each: -each[1].waiting):
            if left <= 0 or not self.voice.session.is_up:
                return
            for cell, payload in view.take(left):
                topic = CELL_ESTIMATE.topic(site=self.site.site.id, string=string, cell=cell)
                left -= 1
                if self._sent(topic, payload, CELL_ESTIMATE.qos):
                    self.counters.cell_estimates += 1
                else:
                    view.give_back([cell])

    def _sent(self, topic: str, payload: bytes, qos: int) -> bool:
        expires_s = self.site.site.stale_after_s
        is_sent = self.voice.session.publish(topic, payload, qos=qos, retain=True, expires_s=expires_s)
        self.counters.unsent += not is_sent
        return is_sent

    def _watch(self) -> None:
        missing = self._silent()
        if missing:
            self.voice.be("degraded", f"no fresh scan of {', '.join(missing)[:200]}")
        else:
            self.voice.be("ready")

    def _silent(self) -> list[str]:
        """Return the strings without a fresh scan; against each other, so that replayed scans of the past are fresh."""
        strings = self.engine.layout.strings
        limit_s = STALE_S + self.site.site.scan_s
        if self.newest is None or self.clock.monotonic_s() - self._heard_s > limit_s:
            return list(strings)
        fresh_from_s = float(np.fmax.reduce(self.newest.at_s)) - limit_s  # NaN while no string has a scan
        return [each for each, at_s in zip(strings, self.newest.at_s.tolist(), strict=True) if not at_s >= fresh_from_s]

    def _write(self) -> None:
        """Write down what was learned; every memory is frozen, so another thread may."""
        self._is_written = self.memory.write(self.engine.memory, self.engine.layout)

    def _tell_saved(self) -> None:
        if self._is_saved and not self._is_written:
            text = f"{self.memory.path} cannot be written: what was learned since is lost when this process ends"
            self.voice.event("estimate.not_saved", "error", f"{text}; make room, it is tried again by itself")
        self._is_saved = self._is_written

    def _tell_size(self, scan: ScanColumns) -> None:
        if scan.string in self._wrong_size:
            return
        self._wrong_size.add(scan.string)
        place = self.engine.layout.strings.index(scan.string)
        span = self.engine.layout.span(place)
        text = f"scans of {scan.string} have {scan.cells} units, site.toml says {span.stop - span.start}: not estimated"
        self.voice.event("estimate.wrong_size", "error", f"{text}; restart the analytics", string=scan.string)
