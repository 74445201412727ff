"""The twin as a process: a room with its ports on the shared clock, until a signal ends it. It needs no broker."""

import asyncio
import os
import signal
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import time_ns
from typing import Final

import structlog
from cellkeeper.contract.site import Site
from cellkeeper.runtime.clock import Clock
from cellkeeper.runtime.errors import StartRefusedError
from cellkeeper.runtime.service import serve
from cellkeeper.runtime.settings import ServiceSettings

from twin.bus.ports import Port, port_for
from twin.bus.transmitter import Emission
from twin.control import scenario_of, serve_control
from twin.errors import TwinError, TwinPortError
from twin.physics.sensors import PERFECT
from twin.script.scenario import QUIET_FLOAT
from twin.script.trace_options import FileTrace, traced_units
from twin.settings import TwinSettings
from twin.twin_room import TwinOptions, TwinRoom

LIVE_EVERY_S: Final = 0.5  # real time between two looks at the room when nobody asks it
REOPEN_EVERY_S: Final = 1.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RoomTime:
    """The room's clock: event seconds since the twin began."""

    clock: Clock
    origin_s: float

    def event_s(self) -> float:
        """Return the room's time now."""
        return self.clock.monotonic_s() - self.origin_s


@dataclass(frozen=True, slots=True)
class RoomLine:
    """One bus of a room on the machine's own time."""

    room: TwinRoom
    bus: str
    time: RoomTime

    def feed(self, data: bytes) -> list[Emission]:
        """Take the master's bytes now."""
        return self.room.feed(self.bus, data, asyncio.get_running_loop().time(), self.time.event_s())

    def idle(self) -> list[Emission]:
        """Let silence pass."""
        return self.room.idle(self.bus, asyncio.get_running_loop().time(), self.time.event_s())

    @property
    def waiting(self) -> bool:
        """Whether silence can bring something."""
        return self.room.lines[self.bus].waiting

    def handed_over(self, end_s: float) -> None:
        """Note when bytes were really given to the master."""
        self.room.lines[self.bus].clock.handed_over(end_s, time_ns() / 1e6)


def build_room(settings: TwinSettings, site: Site, *, start: datetime, wire_start_s: float) -> TwinRoom:
    """Return the room that the settings ask for, as it is at `start`.

    Raises:
        StartRefusedError: scenario, trace or site cannot be used; the text says what to do.
    """
    try:
        options = TwinOptions(
            seed=settings.twin_seed,
            start=start,
            scenario=scenario_of(settings.scenario) if settings.scenario else QUIET_FLOAT,
            errors=None if settings.twin_noise else PERFECT,
            strict=False,
            wire_start_s=wire_start_s,
            fresh_modules=settings.twin_fresh_modules,
        )
        room = TwinRoom(site, options)
        for traced in traced_units(settings.twin_traces, start):
            room.physics.follow_trace(traced)
            _tell_trace(traced, start)
    except TwinError as exc:
        raise StartRefusedError(str(exc)) from exc
    return room


def _tell_trace(traced: FileTrace, start: datetime) -> None:
    """Say which rows are followed from when to when, and which could not be read."""
    trace = traced.trace
    first, last = (start + timedelta(seconds=float(trace.time_s[row])) for row in (0, -1))
    log.info(
        "trace.followed",
        file=str(traced.path),
        string=traced.string,
        cell=traced.first_cell,
        rows=len(trace.time_s),
        first=first.isoformat(timespec="milliseconds"),
        last=last.isoformat(timespec="milliseconds"),
    )
    if traced.bad.count:
        log.warning("trace.rows_skipped", file=str(traced.path), rows=traced.bad.count, lines=str(traced.bad))


async def run(settings: ServiceSettings) -> None:
    """Be the twin until SIGTERM or SIGINT; raises StartRefusedError."""
    assert isinstance(settings, TwinSettings)
    site, clock = settings.load_site(), settings.make_clock()
    # one instant on both clocks, so that a recording's row lies where its time says
    time, start = RoomTime(clock, clock.monotonic_s()), datetime.fromtimestamp(clock.now_ms() / 1000.0, tz=UTC)
    room = build_room(settings, site, start=start, wire_start_s=asyncio.get_running_loop().time())
    ports = {
        bus.id: port_for(bus.port or "", RoomLine(room, bus.id, time), paced=settings.twin_pace)
        for bus in site.bus
        if bus.id in room.lines
    }
    stop, listening = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        await _open(ports)
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(_live(room, time, ports), name="live"),
                tasks.create_task(_until_cancelled(serve_control(room, settings.own_dir(), listening)), name="control"),
            ]
            await listening.wait()  # ready means that whoever reads it may ask at once
            log.info("twin.ready", buses=len(ports), modules=sum(line.bank.state.size for line in room.lines.values()))
            await stop.wait()
            for task in running:
                task.cancel()
    finally:
        for port in ports.values():
            port.close()


async def _open(ports: dict[str, Port]) -> None:
    try:
        for port in ports.values():
            await port.open()
    except TwinPortError as exc:
        raise StartRefusedError(str(exc)) from exc


async def _live(room: TwinRoom, time: RoomTime, ports: dict[str, Port]) -> None:
    """Let the room live, and plug ports in and out as its faults say."""
    told = 0
    retry_at_s = 0.0
    while True:
        await asyncio.sleep(LIVE_EVERY_S)
        now_s = asyncio.get_running_loop().time()
        room.advance(time.event_s(), now_s)
        if len(room.refusals) != told:
            told = len(room.refusals)
            log.warning("script.refused", why=room.refusals[-1])
        for bus, port in ports.items():
            if bus in room.unplugged:
                port.close()
            elif now_s >= retry_at_s:
                try:
                    await port.open()
                except TwinPortError as exc:
                    log.warning("port.not_opened", why=str(exc))
                    retry_at_s = now_s + REOPEN_EVERY_S


async def _until_cancelled(job: Awaitable[None]) -> None:
    await job


def main() -> int:
    """Run the twin as a service process; returns its exit code."""
    return serve(TwinSettings, "twin", run)


def run_in_foreground(variables: dict[str, str]) -> int:
    """Run the twin with further settings, as environment variables; returns its exit code."""
    os.environ.update(variables)
    return main()
