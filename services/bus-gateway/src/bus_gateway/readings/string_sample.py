"""One sample of the strings that share lines: one instant on all, each string handed over when it is complete."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
from cellkeeper.contract.physical import Quality
from cellkeeper.runtime.clock import Clock

from bus_gateway.driver import StringReadings
from bus_gateway.errors import GatewayError
from bus_gateway.line.line import Line
from bus_gateway.line.sweep import Segment, SensorRow
from bus_gateway.readings.scalars import join_scalar, scalar_names, string_scalars
from bus_gateway.readings.scan_assembly import StringDraft
from bus_gateway.wire import encode
from bus_gateway.wire.decode import FastColumns, Flags

HOLD_S: Final = 0.25  # a line that is not free by then misses this sample, the others do not wait for it
WINDOW_READY_S: Final = encode.WINDOW_S * 1.0025 + 0.005 + 0.001  # clock of the module, completion, start jitter
REASKS_FRAC: Final = 1.3
LEAST_BUDGET_S: Final = 0.25

type StringTaker = Callable[[StringReadings], None]
type SensorTaker = Callable[[Line, FastColumns, Flags, int], None]


class StringGroup:
    """Strings that share lines, and those lines.

    Args:
        lines: of the group.
        cells: number of units of each string.
        kinds: kind of module that the site describes for each string.
        clock: event time.
        take_sensors: called with every read block of sensor rows, for AUX devices.
    """

    def __init__(
        self,
        lines: Sequence[Line],
        cells: Mapping[str, int],
        kinds: Mapping[str, int],
        clock: Clock,
        take_sensors: SensorTaker,
    ) -> None:
        self.lines = lines
        self.is_busy = False
        self.cells = cells
        self.kinds = kinds
        self._clock = clock
        self.take_sensors = take_sensors
        self.sensors: dict[tuple[str, str], list[SensorRow]] = {}
        self.parts: Counter[str] = Counter()
        for line in lines:
            for sensor in line.plan.sensors:
                if sensor.string is not None:
                    self.sensors.setdefault((line.bus.id, sensor.string), []).append(sensor)
            self.parts.update(self._parts_of(line))

    @property
    def is_tried(self) -> bool:
        """Whether it is known of every line if its port opens: before that, silence would be invented."""
        return all(line.is_tried for line in self.lines)

    @property
    def wire_s(self) -> float:
        """Longest time that one of the lines needs for a sweep."""
        return max(line.plan.wire_s(line.timing) for line in self.lines)

    async def sample(self, sample_id: int, scan_s: float, take: StringTaker) -> None:
        """Take one sample and hand every string over, silent or not, within the sweep's budget.

        Args:
            sample_id: 0 to 255.
            scan_s: real seconds until the next sample is due.
            take: called once for each string.
        """
        self.is_busy = True
        try:
            ready = await self._hold_lines()
            run = _Run(self, sample_id, take, self._clock.now_ms())
            for line in ready:
                if line.exchange is not None:
                    line.exchange.send_held(encode.sample(sample_id, line.exchange.next_tag()))
            for line in self.lines:
                if line not in ready:
                    run.skip(line)
            if not ready:
                return
            # a late adapter starts the windows late: asking too early costs every unit a second turn
            ready_s = WINDOW_READY_S + max(line.timing.slack_s for line in ready)
            await asyncio.sleep(ready_s)
            await run.read(ready, max(scan_s - ready_s - HOLD_S, self.wire_s * REASKS_FRAC, LEAST_BUDGET_S))
        finally:
            self.is_busy = False

    async def _hold_lines(self) -> list[Line]:
        held: list[Line] = []

        async def hold(line: Line) -> None:
            exchange = line.exchange
            if exchange is None:
                return
            try:
                async with asyncio.timeout(HOLD_S):
                    await exchange.hold()
                held.append(line)
            except TimeoutError:
                exchange.send_held(None)
            except GatewayError:
                return

        if len(self.lines) == 1:
            await hold(self.lines[0])
        else:
            async with asyncio.TaskGroup() as tasks:
                for line in self.lines:
                    tasks.create_task(hold(line), name=f"hold-{line.bus.id}")
        return [line for line in held if line.exchange is not None and line.exchange.ended is None]

    def _parts_of(self, line: Line) -> Counter[str]:
        """Return how many parts of each string a line hands over: its segments, and its sensors once."""
        parts = Counter(segment.string for segment in line.plan.segments)
        parts.update({sensor.string for sensor in line.plan.sensors if sensor.string is not None})
        return parts


class _Run:
    """One sample of a group while it is read."""

    def __init__(self, group: StringGroup, sample_id: int, take: StringTaker, measured_ms: int) -> None:
        self._group = group
        self._sample_id = sample_id
        self._take = take
        self._measured_ms = measured_ms
        self._left = Counter(group.parts)
        self._drafts = {string: StringDraft.empty(string, group.cells[string]) for string in self._left}
        self._finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reading = 0

    def skip(self, line: Line) -> None:
        """Close a line's parts unread: they stay bus errors."""
        for (bus, string), sensors in self._group.sensors.items():
            if bus == line.bus.id:
                draft = self._drafts[string]
                names = {name for sensor in sensors for name in scalar_names(sensor.kind)}
                for name in names:
                    join_scalar(draft.scalars, draft.scalar_quality, name, None, Quality.BUS_ERROR)
                self._close_part(string)
        for segment in line.plan.segments:
            self._close_part(segment.string)

    async def read(self, lines: Sequence[Line], budget_s: float) -> None:
        """Read the lines at the same time; what is not there after the budget is handed over as it is."""
        self._reading = len(lines)
        for line in lines:
            if line.exchange is None:
                self.skip(line)
                self._one_line_done()
            else:
                line.begin(self._sample_id, self._taker(line), self._one_line_done)
        try:
            async with asyncio.timeout(budget_s):
                await asyncio.shield(self._finished)
        except TimeoutError:
            for line in lines:
                if line.sweep is not None:
                    line.sweep.abandon()

    def _one_line_done(self) -> None:
        self._reading -= 1
        if not self._reading and not self._finished.done():
            self._finished.set_result(None)

    def _taker(self, line: Line) -> Callable[[Segment, FastColumns, Flags, Flags], None]:
        def take(segment: Segment, replies: FastColumns, answered: Flags, damaged: Flags) -> None:
            if segment.string:
                self._take_cells(line, segment, replies, answered, damaged)
            else:
                self._take_line_sensors(line, replies, answered, damaged)

        return take

    def _take_cells(self, line: Line, segment: Segment, replies: FastColumns, answered: Flags, damaged: Flags) -> None:
        draft = self._drafts[segment.string]
        kind = self._group.kinds[segment.string]
        is_other = replies.others_than(kind)
        if answered.all():
            draft.put(segment.first_cell, replies, kind)
        else:
            draft.put_some(segment.first_cell, replies, kind, answered, damaged)
        if is_other is not None and (wrong := is_other & answered).any():
            line.say_wrong_kind(line.plan.addresses[segment.start : segment.stop][wrong].tolist())
        if line.duplicates:
            addresses = line.plan.addresses[segment.start : segment.stop]
            shared = np.isin(addresses, list(line.duplicates))
            draft.void(segment.first_cell + np.flatnonzero(shared))
        self._close_part(segment.string)

    def _take_line_sensors(self, line: Line, replies: FastColumns, answered: Flags, damaged: Flags) -> None:
        self._group.take_sensors(line, replies, answered, self._measured_ms)
        for (bus, string), sensors in self._group.sensors.items():
            if bus != line.bus.id:
                continue
            draft = self._drafts[string]
            values, qualities = string_scalars(sensors, replies, answered, damaged)
            for name, value in values.items():
                join_scalar(draft.scalars, draft.scalar_quality, name, value, qualities[name])
            self._close_part(string)

    def _close_part(self, string: str) -> None:
        self._left[string] -= 1
        if not self._left[string]:
            self._take(self._drafts[string].readings(self._measured_ms))


def lines_that_share(lines: Sequence[Line]) -> list[list[Line]]:
    """Return lines in groups connected by strings; a line without any string is a group of its own."""
    groups: list[tuple[list[Line], set[str]]] = []
    for line in lines:
        joined, strings = [line], line.plan.strings()
        apart: list[tuple[list[Line], set[str]]] = []
        for members, known in groups:
            if known & strings:
                joined, strings = members + joined, strings | known
            else:
                apart.append((members, known))
        groups = [*apart, (joined, strings)]
    return [members for members, _ in groups]
