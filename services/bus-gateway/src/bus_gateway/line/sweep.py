"""Who is asked in a sweep, in which order, and who is asked again. Pure.

A line's plan is a list of rows, one per device and page in the order they are asked. Sensors come first, so that a
string is complete with its last cell; then the cells, string by string, in trains of up to 64 consecutive addresses
that do not stop at a string's border.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from cellkeeper.contract.site import AuxTable, StringTable
from numpy.typing import NDArray

from bus_gateway.wire.encode import MAX_TRAIN
from bus_gateway.wire.frame import FAST_BYTES, OVERHEAD_BYTES
from bus_gateway.wire.timing import LineTiming

SENSOR_PAGE: Final = 0
RIPPLE_PAGE: Final = 1
SHORTEST_RE_TRAIN: Final = 4
LONGEST_RE_LIST: Final = 24
MAX_RE_ASKS: Final = 2  # docs/bus-protocol.md, section 13: LIST once in the same sweep, at most twice


@dataclass(frozen=True, slots=True)
class Ask:
    """One request for fast replies; its slots are the rows `start` to `stop`.

    Attributes:
        start, stop: rows of the line's plan.
        page: asked for.
        first: first address of a train; None for a list.
    """

    start: int
    stop: int
    page: int
    first: int | None

    @property
    def count(self) -> int:
        """Number of slots."""
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive rows of a line that are consecutive cells of a string.

    Attributes:
        string: its id.
        start, stop: rows of the line's plan.
        first_cell: index of the first cell in the string, from 0.
    """

    string: str
    start: int
    stop: int
    first_cell: int


@dataclass(frozen=True, slots=True)
class SensorRow:
    """A row that belongs to a sensor or an AUX device; `string` is None for AUX."""

    row: int
    address: int
    kind: str
    string: str | None
    is_reversed: bool = False


@dataclass(frozen=True, slots=True)
class LinePlan:
    """What one line is asked in every sweep.

    Attributes:
        addresses: (n,) per row.
        pages: (n,) per row.
        asks: in order; they cover the rows without overlap.
        segments: cells of strings, in order of rows.
        sensors: sensors and AUX devices.
        sensor_rows: how many rows at the front are of sensors.
    """

    addresses: NDArray[np.uint16]
    pages: NDArray[np.uint8]
    asks: tuple[Ask, ...]
    segments: tuple[Segment, ...]
    sensors: tuple[SensorRow, ...]
    sensor_rows: int

    @property
    def rows(self) -> int:
        """Number of slots in a sweep without repeats."""
        return len(self.addresses)

    def strings(self) -> set[str]:
        """Return the ids of all strings with anything on this line."""
        return {segment.string for segment in self.segments} | {s.string for s in self.sensors if s.string is not None}

    def wire_s(self, timing: LineTiming) -> float:
        """Return how long the sweep takes on the wire, first request to last reply."""
        requests = sum(12 if ask.first is not None else OVERHEAD_BYTES + 2 + 2 * ask.count for ask in self.asks)
        slots_s = self.rows * timing.slot_s(FAST_BYTES)
        return timing.frame_s(requests) + slots_s + len(self.asks) * timing.gap_s


def plan_line(strings: Sequence[StringTable], aux: Sequence[AuxTable], bus: str) -> LinePlan:
    """Return what is asked on one bus, sensors first, strings in the given order."""
    sensors = _sensor_rows(strings, aux, bus)
    page_0 = [sensor.address for sensor in sensors if sensor.kind != "ripple"]
    page_1 = [sensor.address for sensor in sensors if sensor.kind == "ripple"]
    addresses = page_0 + page_1
    asks = [*_lists(0, len(page_0), SENSOR_PAGE), *_lists(len(page_0), len(addresses), RIPPLE_PAGE)]
    segments: list[Segment] = []
    for string in strings:
        segments += _segments(string, bus, addresses)
    asks += _trains(addresses, len(sensors))
    pages = np.zeros(len(addresses), dtype=np.uint8)
    pages[len(page_0) : len(sensors)] = RIPPLE_PAGE
    return LinePlan(np.array(addresses, dtype=np.uint16), pages, tuple(asks), tuple(segments), sensors, len(sensors))


def re_asks(plan: LinePlan, missing: NDArray[np.intp]) -> Iterable[tuple[NDArray[np.intp], int | None]]:
    """Yield the rows of each request that asks the missing ones again, and a train's first address or None for a LIST.

    A whole stretch goes as a train, and lists stay short: on a noisy line a request of 12 bytes arrives far more often
    than one of 139.
    """
    for page in (SENSOR_PAGE, RIPPLE_PAGE):
        rows = missing[plan.pages[missing] == page]
        addresses = plan.addresses[rows].tolist()
        single: list[NDArray[np.intp]] = []
        for start, stop in runs(addresses, MAX_TRAIN):
            if stop - start >= SHORTEST_RE_TRAIN:
                yield rows[start:stop], addresses[start]
            else:
                single.append(rows[start:stop])
        rest = np.concatenate(single) if single else rows[:0]
        for start in range(0, len(rest), LONGEST_RE_LIST):
            yield rest[start : start + LONGEST_RE_LIST], None


def runs(addresses: Sequence[int], longest: int) -> list[tuple[int, int]]:
    """Return (start, stop) of each stretch of consecutive, rising addresses, cut at `longest`."""
    found: list[tuple[int, int]] = []
    start = 0
    for index in range(1, len(addresses) + 1):
        is_end = index == len(addresses) or addresses[index] != addresses[index - 1] + 1
        if is_end or index - start == longest:
            found.append((start, index))
            start = index
    return found


def _sensor_rows(strings: Sequence[StringTable], aux: Sequence[AuxTable], bus: str) -> tuple[SensorRow, ...]:
    fitted: list[tuple[int, str, str | None, bool]] = [
        (sensor.address, sensor.kind, string.id, sensor.reversed)
        for string in strings
        for sensor in string.sensor
        if sensor.bus == bus
    ]
    fitted += [(table.address, "aux", None, False) for table in aux if table.bus == bus]
    fitted.sort(key=lambda entry: (entry[1] == "ripple", entry[0]))
    return tuple(SensorRow(row, *entry) for row, entry in enumerate(fitted))


def _segments(string: StringTable, bus: str, addresses: list[int]) -> list[Segment]:
    """Return the string's segments on a bus and append their addresses."""
    found: list[Segment] = []
    first_cell = 0
    for run in string.modules:
        if run.bus == bus:
            start = len(addresses)
            addresses.extend(range(run.first_address, run.last_address + 1))
            found.append(Segment(string.id, start, len(addresses), first_cell))
        first_cell += run.count
    return found


def _lists(start: int, stop: int, page: int) -> list[Ask]:
    return [Ask(at, min(at + MAX_TRAIN, stop), page, None) for at in range(start, stop, MAX_TRAIN)]


def _trains(addresses: Sequence[int], after: int) -> list[Ask]:
    return [
        Ask(after + start, after + stop, SENSOR_PAGE, addresses[after + start])
        for start, stop in runs(addresses[after:], MAX_TRAIN)
    ]
