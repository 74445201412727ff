"""Driver of the open C44 bus: every c44 bus of one gateway, sampled at one instant."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from random import Random
from typing import Final

from cellkeeper.contract.commands import MeasureImpedance
from cellkeeper.contract.outcomes import Applied, FoundModule, NoReply, Outcome, Refused
from cellkeeper.contract.site import Site, StringTable
from cellkeeper.runtime.clock import Clock

from bus_gateway.driver import AuxReadings, DriverNotice, ImpedanceReadings, ModuleRecord, StringReadings
from bus_gateway.errors import GatewayError
from bus_gateway.line.addressing import assign_address, clear_address, search_line
from bus_gateway.line.bleed_orders import bleed_outcome, open_exchange, order_duties, order_identify, order_stop
from bus_gateway.line.counters import LineCounters
from bus_gateway.line.impedance import UnitUnderTest, measure
from bus_gateway.line.line import Line
from bus_gateway.line.line_configuring import LineConfigurer, Permit
from bus_gateway.line.line_keeper import LineKeeper, PortOpener
from bus_gateway.line.module_records import ModuleRecords
from bus_gateway.line.serial_port import open_port
from bus_gateway.line.sweep import plan_line
from bus_gateway.line.unit_settings import KIND_OF_TYPE, settings_of
from bus_gateway.notices import NoticeBoard
from bus_gateway.readings.aux_readings import aux_readings
from bus_gateway.readings.string_sample import StringGroup, lines_that_share
from bus_gateway.wire import encode
from bus_gateway.wire.decode import FastColumns, Flags
from bus_gateway.wire.decode_long import ReplyCode
from bus_gateway.wire.encode import MAX_IDENTIFY_S

_NO_UNIT: Final = Refused(reason="unknown_target", detail="no such string or cell on a bus of this gateway")


class C44Driver:
    """Reads and serves all c44 buses of one gateway; implements `bus_gateway.driver.Driver`.

    Strings that share no line are sampled at the same instant and never wait for each other; strings whose line needs
    longer than `scan_s` take part as often as it allows, while `keep_open` runs.

    Args:
        site: the whole site.
        gateway: this gateway's service id; only its buses and strings are touched.
        clock: event time; times on the wire are real.
        random: seeds of searches, retry delays.
        opener: opens a port by url and baud rate.
        permits: whether settings may be stored in modules of these strings now; None for never.
    """

    def __init__(  # what is read, by whom, and what comes from outside
        self,
        site: Site,
        gateway: str,
        clock: Clock,
        random: Random,
        opener: PortOpener = open_port,
        *,
        permits: Permit | None = None,
    ) -> None:
        self._clock = clock
        self._random = random
        self._scan_s = site.site.scan_s / clock.speed
        self._notices = NoticeBoard(time.monotonic)
        self._sample_id = random.randrange(256)
        self._impedance_seq = random.randrange(255)
        self._aux: dict[tuple[str, int], AuxReadings] = {}
        self._tasks: asyncio.TaskGroup | None = None
        buses = [bus for bus in site.bus if bus.driver == "c44" and bus.gateway == gateway]
        ids = {bus.id for bus in buses}
        self._strings = {string.id: string for string in site.string if string.modules[0].bus in ids}
        strings = list(self._strings.values())
        self._lines = {bus.id: Line(bus, plan_line(strings, site.aux, bus.id), self._notices) for bus in buses}
        settings = {string.id: settings_of(string) for string in strings}
        self._keepers = [
            LineKeeper(line, random, opener, LineConfigurer(line, settings, permits) if permits else None)
            for line in self._lines.values()
        ]
        self._records = [ModuleRecords(line) for line in self._lines.values()]
        self._groups = [self._group(lines) for lines in lines_that_share(list(self._lines.values()))]

    @property
    def counters(self) -> Mapping[str, LineCounters]:
        """Counters of each line by bus id, for metrics."""
        return {bus: line.counters for bus, line in self._lines.items()}

    def line_figures(self) -> Mapping[str, Mapping[str, float]]:
        """Return counters and state of each line by bus id."""
        return {bus: line.figures() for bus, line in self._lines.items()}

    @property
    def open_buses(self) -> Mapping[str, bool]:
        """Which buses are open at the moment."""
        return {bus: line.exchange is not None for bus, line in self._lines.items()}

    @property
    def is_tried(self) -> bool:
        """Whether it is known of every port if it opens; strings of others are not handed over before."""
        return all(line.is_tried for line in self._lines.values())

    def read_elsewhere(self) -> Collection[str]:
        """Return the strings whose port another process holds."""
        taken = {bus for bus, line in self._lines.items() if line.is_taken}
        if not taken:
            return ()
        return [string.id for string in self._strings.values() if any(run.bus in taken for run in string.modules)]

    async def keep_open(self) -> None:
        """Hold the ports, open them again when they went, introduce new modules; runs until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                for keeper in self._keepers:
                    tasks.create_task(keeper.keep_open(), name=f"line-{keeper.bus}")
        finally:
            self._tasks = None

    async def sweep(self, take: Callable[[StringReadings], None]) -> None:
        """Sample everything once and call `take` for each string once its last line is read, silent or not.

        Strings on a line that is too slow for `scan_s` may be handed over during a later call.
        """
        self._sample_id = (self._sample_id + 1) & 0xFF
        due = [group for group in self._groups if not group.is_busy and group.is_tried]
        slow = [group for group in due if group.wire_s > self._scan_s] if self._tasks is not None else []
        prompt = [group for group in due if group not in slow]
        if self._tasks is not None:
            for group in slow:
                group.is_busy = True
                self._tasks.create_task(group.sample(self._sample_id, self._scan_s, take), name="slow-sweep")
        if len(prompt) == 1:
            await prompt[0].sample(self._sample_id, self._scan_s, take)
        elif prompt:
            async with asyncio.TaskGroup() as tasks:
                for group in prompt:
                    tasks.create_task(group.sample(self._sample_id, self._scan_s, take), name="sweep")
        else:
            await asyncio.sleep(min(self._scan_s, encode.WINDOW_S))  # every line is busy, or its port not yet tried

    def modules(self) -> Sequence[ModuleRecord]:
        """Return every device that has introduced itself."""
        return [record for records in self._records for record in records.newest()]

    def aux(self) -> Sequence[AuxReadings]:
        """Return the newest readings of every AUX device that has introduced itself."""
        return list(self._aux.values())

    def take_notices(self) -> Sequence[DriverNotice]:
        """Return and forget what happened since the last call, oldest first, at most 200."""
        return self._notices.take()

    async def set_bleed(self, string: str, cells: Sequence[int], bleed_frac: Sequence[float]) -> Outcome:
        """Set duties and confirm them by reading back."""
        places = self._places(string, cells)
        if places is None:
            return _NO_UNIT
        begun_s = time.monotonic()
        wanted = {cell: encode.duty_of(frac) for cell, frac in zip(cells, bleed_frac, strict=True)}
        shown: dict[int, int | None] = {}
        try:
            for line in self._lines.values():
                here = {address: cell for cell, (place, address) in places.items() if place is line}
                duties = {address: wanted[cell] for address, cell in here.items()}
                found = await order_duties(line, duties, self._sample_id) if duties else {}
                shown |= {here[address]: byte for address, byte in found.items()}
        except GatewayError as exc:
            return Refused(reason="port_lost", detail=str(exc))
        return bleed_outcome(wanted, shown, round(time.monotonic() - begun_s, 3))

    async def stop_bleed(self) -> Outcome:
        """Broadcast zero on every line and confirm it."""
        begun_s = time.monotonic()
        is_sure = True
        still: list[str] = []
        results = await asyncio.gather(*(self._stop_line(line) for line in self._lines.values()))
        for line, shown in zip(self._lines.values(), results, strict=True):
            is_sure &= shown is not None
            for address, byte in (shown or {}).items():
                is_sure &= byte is not None
                if byte is not None and 0 < byte <= encode.DUTY_STEPS:
                    still.append(f"bus {line.bus.id} address {address}")
        if still:
            return Refused(reason="module_refused", detail=f"still bleeding: {', '.join(still[:8])}")
        return Applied() if is_sure else NoReply(waited_s=round(time.monotonic() - begun_s, 3))

    async def _stop_line(self, line: Line) -> dict[int, int | None] | None:
        try:
            return await order_stop(line, self._sample_id)
        except GatewayError:
            return None

    async def renew_hold(self, strings: Sequence[str]) -> None:
        """Broadcast the renewal on the lines of these strings, except where a module does not obey."""
        for line in self._lines.values():
            exchange = line.exchange
            if exchange is None or line.set_points.renewals_stopped or not line.plan.strings() & set(strings):
                continue
            try:
                await exchange.send(encode.renew_hold(exchange.next_tag()))
            except GatewayError:
                continue  # the port has its own supervisor, and the modules end their bleeds
            line.set_points.renew(asyncio.get_running_loop().time())

    async def identify(self, string: str, cells: Sequence[int], on_s: float) -> Outcome:
        """Let the LEDs of some units blink, at most 600 s."""
        places = self._places(string, cells)
        if places is None:
            return _NO_UNIT
        return await self._identify(on_s, {cell: places[cell] for cell in cells})

    async def identify_address(self, bus: str, address: int, on_s: float) -> Outcome:
        """Let the device at an address blink, at most 600 s."""
        line = self._lines.get(bus)
        return _NO_UNIT if line is None else await self._identify(on_s, {0: (line, address)})

    async def _identify(self, on_s: float, places: Mapping[int, tuple[Line, int]]) -> Outcome:
        if on_s > MAX_IDENTIFY_S:
            return Refused(reason="out_of_range", detail=f"modules blink for at most {MAX_IDENTIFY_S} s")
        begun_s = time.monotonic()
        silent: list[int] = []
        try:
            for cell, (line, address) in places.items():
                code = await order_identify(line, address, on_s)
                if code is None:
                    silent.append(cell)
                elif code != ReplyCode.OK:
                    return Refused(reason="module_refused", detail=f"address {address}: code {code}")
        except GatewayError as exc:
            return Refused(reason="port_lost", detail=str(exc))
        if silent:
            waited_s = round(time.monotonic() - begun_s, 3)
            return NoReply(waited_s=waited_s, cells=[cell for cell in silent if cell])
        return Applied()

    async def measure_impedance(
        self, wanted: MeasureImpedance, forbidden: Callable[[], Refused | None]
    ) -> ImpedanceReadings | Refused | NoReply:
        """Measure some units, never two neighbours at once; abort as soon as `forbidden` gives a reason."""
        places = self._places(wanted.string, wanted.cells)
        if places is None:
            return _NO_UNIT
        self._impedance_seq = self._impedance_seq % 255 + 1
        kind = KIND_OF_TYPE[self._strings[wanted.string].module_type]
        try:
            units = {
                cell: UnitUnderTest(open_exchange(line), address, kind) for cell, (line, address) in places.items()
            }
            return await measure(wanted, units, self._impedance_seq, self._clock, forbidden)
        except GatewayError as exc:
            return Refused(reason="port_lost", detail=str(exc))

    async def search(self, bus: str) -> list[FoundModule] | Refused | NoReply:
        """Find unaddressed modules and addresses that answer twice."""
        return await self._on_line(bus, lambda line: search_line(line, self._random))

    async def assign(self, bus: str, uid: str, address: int) -> Outcome:
        """Give a module its address and confirm it."""
        return await self._on_line(bus, lambda line: assign_address(line, uid, address, self._random))

    async def clear(self, bus: str, address: int) -> Outcome:
        """Make the module at an address unaddressed."""
        return await self._on_line(bus, lambda line: clear_address(line, address, self._random))

    async def _on_line[T](self, bus: str, act: Callable[[Line], Awaitable[T]]) -> T | Refused:
        line = self._lines.get(bus)
        if line is None:
            return Refused(reason="unknown_target", detail=f"bus {bus} is not a c44 bus of this gateway")
        try:
            return await act(line)
        except GatewayError as exc:
            return Refused(reason="port_lost", detail=str(exc))

    def _places(self, string: str, cells: Sequence[int]) -> dict[int, tuple[Line, int]] | None:
        table = self._strings.get(string)
        if table is None:
            return None
        places = {cell: place for cell in cells if (place := self._place(table, cell)) is not None}
        return places if len(places) == len(set(cells)) else None

    def _place(self, table: StringTable, cell: int) -> tuple[Line, int] | None:
        index = cell - 1
        for run in table.modules:
            if 0 <= index < run.count:
                line = self._lines.get(run.bus)
                return None if line is None else (line, run.first_address + index)
            index -= run.count
        return None

    def _group(self, lines: Sequence[Line]) -> StringGroup:
        ids = {string for line in lines for string in line.plan.strings()}
        cells = {string: self._strings[string].cells for string in ids}
        kinds = {string: int(KIND_OF_TYPE[self._strings[string].module_type]) for string in ids}
        return StringGroup(lines, cells, kinds, self._clock, self._take_aux)

    def _take_aux(self, line: Line, replies: FastColumns, answered: Flags, measured_ms: int) -> None:
        for readings in aux_readings(line, replies, answered, measured_ms):
            self._aux[line.bus.id, readings.address] = readings
