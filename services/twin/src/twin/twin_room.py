"""The whole twin without ports: physics, lines with their modules, faults and script, on times that the caller gives.

`feed` is what a port calls with a master's bytes; `advance` lets the room live. Deterministic by seed and calls.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from heapq import heappop, heappush
from itertools import count
from typing import Final

import numpy as np
from cellkeeper.contract.site import Site

from twin.bus.line import LineOptions, TwinLine
from twin.bus.transmitter import Emission
from twin.errors import TwinUseError
from twin.faults import FaultDesk, FaultRequest
from twin.firmware.module_state import Moment
from twin.physics.physical_faults import FaultEvent
from twin.physics.room import Room
from twin.physics.room_spec import room_spec_from_site
from twin.physics.sensors import SensorErrors
from twin.physics.ups import UpsEvent
from twin.script.scenario import QUIET_FLOAT, AmbientEvent, Scenario, WireEvent
from twin.site_devices import devices_by_bus
from twin.world import RoomSource, World

MOST_REFUSALS: Final = 20
CHECK_EVERY_S: Final = 1.0  # modules check their bleed at least once a second
OLDEST_START: Final = datetime(2026, 1, 1, tzinfo=UTC)

type ScriptEvent = WireEvent | UpsEvent | FaultRequest


@dataclass(frozen=True, slots=True)
class TwinOptions:
    """How a room is simulated; `strict` and `clock_spread_frac` as in `LineOptions`, `wire_start_s` of the lines.

    With `fresh_modules` nobody has stored the settings of their unit in the modules: they are as the factory made them.
    """

    seed: int = 1
    start: datetime = OLDEST_START
    scenario: Scenario = QUIET_FLOAT
    errors: SensorErrors | None = None
    strict: bool = True
    clock_spread_frac: float = 0.0
    wire_start_s: float = 0.0
    fresh_modules: bool = False


@dataclass(slots=True)
class Script:
    """What will happen, in order of the room's time."""

    _due: list[tuple[float, int, ScriptEvent]] = field(default_factory=list)
    _order: "count[int]" = field(default_factory=count)

    def add(self, at_s: float, event: ScriptEvent) -> None:
        """Plan an event."""
        heappush(self._due, (at_s, next(self._order), event))

    def next_s(self) -> float:
        """Return when the next event is due; infinity when there is none."""
        return self._due[0][0] if self._due else float("inf")

    def take(self) -> ScriptEvent:
        """Return the next event and forget it."""
        return heappop(self._due)[2]


class TwinRoom:
    """A battery room behind its buses.

    `lines` by bus id, `physics` the room itself, `faults` what acts, `unplugged` the buses whose port is away,
    `refusals` the newest script lines that could not be obeyed.
    """

    def __init__(self, site: Site, options: TwinOptions | None = None) -> None:
        """Build the room of `site`, in settled float; its modules have just been powered.

        Raises:
            TwinUseError: the site does not make a room, or the scenario names what is not there.
        """
        options = options or TwinOptions()
        self.options: Final = options
        self.physics: Final = Room(
            room_spec_from_site(site),
            seed=options.seed,
            start=options.start,
            scenario=replace(options.scenario, wire=()),
            errors=options.errors,
        )
        self._now = self._lived = Moment(options.wire_start_s, 0.0)
        self._world: Final = World(self.physics, self._follow)
        self.lines: Final[Mapping[str, TwinLine]] = self._build_lines(site)
        self.unplugged: Final[set[str]] = set()
        self.faults: Final = FaultDesk(self.lines, self.physics, self.unplugged)
        self.refusals: Final[deque[str]] = deque(maxlen=MOST_REFUSALS)
        self._script: Final = Script()
        self._told: dict[str, bytes] = {}
        for event in options.scenario.wire:
            self._script.add(event.at_s, event)
        self._obey()

    @property
    def now(self) -> Moment:
        """The newest moment that the room has been told."""
        return self._now

    def feed(self, bus: str, data: bytes, now_s: float, event_s: float | None = None) -> list[Emission]:
        """Take bytes that the master of a bus begins to send now; return what its modules send, with the times.

        Args:
            bus: id of the line.
            data: any portion of any bytes.
            now_s: on the wire's clock.
            event_s: on the room's clock when that runs at another speed.
        """
        self._come_to(now_s, now_s - self.options.wire_start_s if event_s is None else event_s)
        return self.lines[bus].feed(data, now_s, self._now.event_s)

    def idle(self, bus: str, now_s: float, event_s: float | None = None) -> list[Emission]:
        """Let time pass on a line; return what its modules send by themselves."""
        self._come_to(now_s, now_s - self.options.wire_start_s if event_s is None else event_s)
        return self.lines[bus].idle(now_s, self._now.event_s)

    def advance(self, event_s: float, now_s: float | None = None) -> None:
        """Let the room live until `event_s`: physics with the bleeds, the modules' own checks, script and faults.

        `now_s` is the wire's clock at that moment; without it both clocks run alike.
        """
        wire_s = event_s + self.options.wire_start_s if now_s is None else now_s
        span_s = event_s - self._lived.event_s
        wire_per_event = (wire_s - self._lived.wire_s) / span_s if span_s > 0.0 else 0.0
        while self._lived.event_s < event_s:
            bleeding = any(line.bank.state.duty.any() for line in self.lines.values())
            checked_s = self._lived.event_s + CHECK_EVERY_S if bleeding else event_s
            next_s = max(min(event_s, self._script.next_s(), checked_s), self._lived.event_s)
            step_s = (next_s - self._lived.event_s) * wire_per_event
            self._lived = Moment(self._lived.wire_s + step_s, next_s)
            self._live()
        self._note(wire_s, event_s)

    def begin_fault(self, request: FaultRequest) -> int:
        """Begin a fault now; return its number, 0 for one that is over at once. Raises TwinUseError."""
        return self.faults.begin(request, self.now)

    def outage(self, seconds: float | None, dcbus: str | None = None) -> None:
        """Let mains fail now, for `seconds` or until told otherwise; raises TwinUseError."""
        self.physics.command_ups(UpsEvent(at_s=0.0, act="outage", dcbus=dcbus))
        if seconds is not None:
            self._script.add(self._now.event_s + seconds, UpsEvent(at_s=0.0, act="mains", dcbus=dcbus))

    def play(self, scenario: Scenario) -> None:
        """Let the lines of a scenario happen from now on; its ambient and charge belong to the start of a room.

        Raises:
            TwinUseError: it wants another ambient while the room runs.
        """
        if any(isinstance(line, AmbientEvent) for line in scenario.ambient):
            raise TwinUseError(f"scenario {scenario.name!r} changes the ambient; start the twin with it")
        for ups in scenario.ups:
            self._script.add(self._now.event_s + ups.at_s, ups)
        for wire in scenario.wire:
            self._script.add(self._now.event_s + wire.at_s, wire)
        for fault in scenario.fault:
            self._script.add(self._now.event_s + fault.at_s, request_of(fault))

    def _build_lines(self, site: Site) -> dict[str, TwinLine]:
        lines: dict[str, TwinLine] = {}
        baud_of = {bus.id: bus.baud for bus in site.bus}
        by_bus = devices_by_bus(site, seed=self.options.seed, fresh=self.options.fresh_modules)
        for number, (bus, devices) in enumerate(by_bus.items()):
            options = LineOptions(
                seed=self.options.seed * 1000 + number,
                strict=self.options.strict,
                clock_spread_frac=self.options.clock_spread_frac,
                start=self.now,
            )
            lines[bus] = TwinLine(devices, RoomSource(self._world, devices), baud=baud_of[bus], options=options)
        return lines

    def _come_to(self, wire_s: float, event_s: float) -> None:
        if event_s >= self._lived.event_s + CHECK_EVERY_S:
            self.advance(event_s, wire_s)
        self._note(wire_s, event_s)

    def _note(self, wire_s: float, event_s: float) -> None:
        self._now = Moment(max(self._now.wire_s, wire_s), max(self._now.event_s, event_s))
        self._world.wire_s = self._now.wire_s

    def _follow(self) -> None:
        """Bring the physics to the moment of a sample."""
        self._tell_bleeds()
        self.physics.advance(self._now.event_s)

    def _live(self) -> None:
        now = self._lived
        self._note(now.wire_s, now.event_s)
        self._tell_bleeds()
        self.physics.advance(now.event_s)
        self.faults.expire(now.event_s)
        self._obey()
        for line in self.lines.values():
            line.bank.supervise(now)

    def _obey(self) -> None:
        while self._script.next_s() <= self._now.event_s:
            event = self._script.take()
            try:
                self.do(event)
            except TwinUseError as exc:
                self.refusals.append(str(exc))

    def do(self, event: ScriptEvent) -> None:
        """Let a line of a script happen now; raises TwinUseError."""
        match event:
            case UpsEvent() as ups:
                self.physics.command_ups(ups)
            case FaultRequest() as request:
                self.begin_fault(request)
            case WireEvent() as wire:
                request = FaultRequest(wire.kind, wire.string, wire.cell, wire.bus, wire.value, wire.for_s)
                self.begin_fault(request)

    def _tell_bleeds(self) -> None:
        """Give the physics the duty that each module has now, when one has changed."""
        duties = {bus: line.bank.state.duty.tobytes() for bus, line in self.lines.items()}
        if duties == self._told:
            return
        self._told = duties
        duty_frac = np.zeros(self.physics.bank.size)
        for line in self.lines.values():
            source = line.bank.source
            assert isinstance(source, RoomSource)
            duty_frac[source.units] = line.bank.state.duty[source.rows] / 200.0
        for string, span in self.physics.bank.span.items():
            self.physics.set_bleed(string, duty_frac[span])


def request_of(fault: FaultEvent) -> FaultRequest:
    """Return a physical fault of a script as the fault desk takes it."""
    return FaultRequest(fault.kind, fault.string, fault.cell, None, fault.value, fault.for_s, fault.over_s)
