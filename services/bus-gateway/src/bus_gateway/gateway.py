"""The loop: sweeps on an event-time schedule, grades, stamps and keeps what they find, and tends everything beside it.

Policy. A string gets a scan at least every `MAX_GAP_S` of event time, if need be one that says "silent" in every cell:
a driver that hangs or a port that is gone shows as quality, never as absence. A bus that cannot hold `scan_s` is read
as fast as it goes.
"""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import structlog
from cellkeeper.contract.physical import Quality
from cellkeeper.runtime.answering import CommandDesk
from cellkeeper.runtime.clock import Clock
from cellkeeper.runtime.service import ServiceVoice

from bus_gateway.downlink.actions import Actions
from bus_gateway.driver import Driver, DriverNotice, StringReadings
from bus_gateway.errors import GatewayError
from bus_gateway.journal.scan_draft import Draft
from bus_gateway.journal.scan_keeper import ScanKeeper
from bus_gateway.timekeeping import KernelSync, Timekeeper
from bus_gateway.uplink.showcase import Showcase
from bus_gateway.uplink.uplink import Uplink

MAX_GAP_S: Final = 8.0  # contract: below 10 s of event time between two scans; the watch looks once a second
MAX_GAP_OF_SLOW_S: Final = 60.0  # a line that needs longer than the gap: its real readings count more than the rule
SWEEP_DEADLINE_S: Final = 90.0  # real time; 512 units on one line at 9600 Bd take 7 s, retries included 30 s
FAILED_PAUSE_S: Final = 0.2  # real time between two sweeps when the first ended with an error
TEND_S: Final = 1.0  # real time
_NOBODY_THERE: Final = np.isin(np.arange(256), (Quality.SILENT, Quality.BUS_ERROR))  # by quality

log = structlog.get_logger()

type Grade = Callable[[StringReadings], StringReadings]


@dataclass(frozen=True, slots=True)
class ReadPath:
    """A driver and the strings it reads.

    Attributes:
        driver: reads them.
        buses: ids of its buses.
        cells: number of units by string.
        scan_s: event time between two sweeps.
        is_recorded: whether times and pace come from a recording.
    """

    driver: Driver
    buses: Sequence[str]
    cells: Mapping[str, int]
    scan_s: float
    is_recorded: bool = False


@dataclass(slots=True)
class GatewayCounters:
    """What happened in the loop since the start."""

    sweeps: int = 0
    failed_sweeps: int = 0
    overruns: int = 0
    scans: int = 0
    silent_scans: int = 0
    late_readings: int = 0


@dataclass(kw_only=True)
class Gateway:
    """One gateway process, composed in `main`.

    Attributes:
        paths: what is read.
        grade: by string, plausibility between driver and journal.
        keeper, uplink, downlink, actions, showcase, voice: its parts.
        timekeeper, kernel_sync, clock: event time.
    """

    paths: Sequence[ReadPath]
    grade: Mapping[str, Grade]
    keeper: ScanKeeper
    uplink: Uplink
    downlink: CommandDesk
    actions: Actions
    showcase: Showcase
    voice: ServiceVoice
    timekeeper: Timekeeper
    kernel_sync: Callable[[], KernelSync]
    clock: Clock
    counters: GatewayCounters = field(default_factory=GatewayCounters)
    on_tend: Callable[[], None] = lambda: None
    _kernel: KernelSync = "unsynced"
    _last_s: dict[str, float] = field(default_factory=dict)
    _invented_ms: dict[str, int] = field(default_factory=dict)
    _gap_s: dict[str, float] = field(default_factory=dict)
    _all_silent: dict[str, bool] = field(default_factory=dict)

    async def run(self) -> None:
        """Work until cancelled; what is pending is then still written."""
        self._kernel = self.kernel_sync()
        await self.keeper.open()
        self.showcase.open()
        gc.freeze()  # what exists now lives as long as the process: collections need not walk it again and again
        start_s = self.clock.monotonic_s()
        self._last_s = {string: start_s for path in self.paths for string in path.cells}
        try:
            async with asyncio.TaskGroup() as tasks:
                for path in self.paths:
                    _start(tasks, path.driver.keep_open(), "driver")
                    _start(tasks, self._scan(path), "scan")
                _start(tasks, self.keeper.run(), "journal")
                _start(tasks, self.uplink.run_backfill(), "backfill")
                _start(tasks, self.uplink.run_cells(), "cells")
                _start(tasks, self.downlink.run(), "commands")
                _start(tasks, self.downlink.run_urgent(), "urgent-commands")
                _start(tasks, self._tend(), "tend")
                _start(tasks, self._tend_bleeds(), "bleed-holds")
        finally:
            await self.keeper.close()

    async def _scan(self, path: ReadPath) -> None:
        """Sweep on schedule; the schedule is event time, and what was missed is not made up for."""
        due_s = self.clock.monotonic_s()
        while True:
            ended_well = await self._sweep(path)
            now_s = self.clock.monotonic_s()
            if path.is_recorded:
                continue
            due_s += path.scan_s
            if now_s > due_s:
                self.counters.overruns += now_s > due_s + 0.1 * path.scan_s
                due_s = now_s
            if not ended_well:
                await asyncio.sleep(FAILED_PAUSE_S)
            await self.clock.sleep(due_s - now_s)

    async def _sweep(self, path: ReadPath) -> bool:
        taken: set[str] = set()
        began_ms = self.clock.now_ms()

        def take(readings: StringReadings) -> None:
            taken.add(readings.string)
            self._take(path, readings)

        failed = False
        self.counters.sweeps += 1
        try:
            # a recording waits for receipts as long as it takes
            async with asyncio.timeout(None if path.is_recorded else SWEEP_DEADLINE_S):
                await path.driver.sweep(take)
        except* (GatewayError, TimeoutError) as group:
            reason = str(group.exceptions[0])[:200]
            log.warning("sweep.failed", reason=reason or type(group.exceptions[0]).__name__)
            self.counters.failed_sweeps += 1
            for string in () if path.is_recorded else path.cells.keys() - taken:
                self._take(path, silent_readings(string, path.cells[string], began_ms))
            failed = True
        return not failed

    def _take(self, path: ReadPath, readings: StringReadings) -> None:
        """Grade, stamp and keep what was read of one string."""
        self._watch_clock()
        string = readings.string
        if string in path.driver.read_elsewhere():
            self._last_s[string] = self.clock.monotonic_s()
            return  # who holds the port publishes this string; two writers would be mixed in one topic
        invented_ms = self._invented_ms.pop(string, None)
        if invented_ms is not None and readings.measured_ms <= invented_ms:
            # its place is taken by a scan that says silent, and time runs forward: wait longer for this line
            self._gap_s[string] = min(MAX_GAP_OF_SLOW_S, 2.0 * self._gap_s.get(string, MAX_GAP_S))
            self._invented_ms[string] = invented_ms
            self.counters.late_readings += 1
            return
        graded = self.grade[string](readings) if string in self.grade else readings
        if path.is_recorded:
            stamp = self.timekeeper.stamp_as_recorded(string, graded.measured_ms)
            if stamp is None:
                self.counters.late_readings += 1
                return
        else:
            stamp = self.timekeeper.stamp(string, graded.measured_ms)
        self.counters.scans += 1
        self._last_s[string] = self.clock.monotonic_s()
        self._all_silent[string] = bool(_NOBODY_THERE[graded.quality].all())
        self.keeper.add(Draft(graded, stamp.measured_ms, stamp.clock, time.monotonic(), stamp.new_stream))

    def _watch_clock(self) -> None:
        step = self.timekeeper.watch(self.clock.now_ms(), self.clock.monotonic_s(), self._kernel)
        if step is not None:
            text = f"the system clock jumped by {step.by_s:+.3f} s" + (
                "; new streams begin" if step.new_streams else ""
            )
            self.voice.event("clock.step", "warning", text, by_s=round(step.by_s, 3), new_streams=step.new_streams)

    async def _tend(self) -> None:
        while True:
            self._kernel = self.kernel_sync()
            self._watch_clock()
            self._watch_gaps()
            for path in self.paths:
                for notice in path.driver.take_notices():
                    self.say(notice)
            self.showcase.tend()
            self.uplink.refresh()
            self._show_presence()
            self.on_tend()
            await asyncio.sleep(min(TEND_S, TEND_S / self.clock.speed))

    async def _tend_bleeds(self) -> None:
        while True:
            await self.actions.tend_holds()
            await asyncio.sleep(min(TEND_S, TEND_S / self.clock.speed))

    def _watch_gaps(self) -> None:
        """Let strings whose driver says nothing for too long say "silent"."""
        now_s = self.clock.monotonic_s()
        for path in self.paths:
            if path.is_recorded:
                continue
            for string, cells in path.cells.items():
                if now_s - self._last_s[string] < self._gap_s.get(string, MAX_GAP_S):
                    continue
                now_ms = self.clock.now_ms()
                self._take(path, silent_readings(string, cells, now_ms))
                self._invented_ms[string] = now_ms
                self.counters.silent_scans += 1

    def _show_presence(self) -> None:
        silent = sorted(string for string, is_silent in self._all_silent.items() if is_silent)
        expected = {string for path in self.paths if not path.is_recorded for string in path.cells}
        elsewhere = sorted(string for path in self.paths for string in path.driver.read_elsewhere())
        if elsewhere:
            self.voice.be("degraded", f"another process holds the port of string {', '.join(elsewhere)}")
        elif not expected <= self._all_silent.keys():
            return  # still starting
        elif silent:
            self.voice.be("degraded", f"no module answers in string {', '.join(silent)}")
        elif not self.keeper.is_durable:
            self.voice.be("degraded", "the journal cannot be written; scans live in memory")
        elif not self.paths:
            self.voice.be("degraded", "site.toml gives this gateway no bus")
        else:
            self.voice.be("ready")

    def say(self, notice: DriverNotice) -> None:
        """Put a notice into the log book."""
        data = dict(notice.data)
        string = data.pop("string", None)
        cell = data.pop("cell", None)
        self.voice.event(
            notice.kind,
            notice.severity,
            notice.text,
            string=string if isinstance(string, str) else None,
            cell=cell if isinstance(cell, int) else None,
            **data,
        )


def silent_readings(string: str, cells: int, measured_ms: int) -> StringReadings:
    """Return what is known of a string that nobody could ask."""
    unknown = np.full(cells, np.nan)
    silent = np.full(cells, Quality.SILENT, dtype=np.uint8)
    return StringReadings(
        string, measured_ms, unknown, unknown.copy(), unknown.copy(), silent, silent.copy(), np.zeros(cells, np.uint8)
    )


def _start(tasks: asyncio.TaskGroup, work: Awaitable[None], name: str) -> None:
    async def run() -> None:
        await work

    tasks.create_task(run(), name=name)
