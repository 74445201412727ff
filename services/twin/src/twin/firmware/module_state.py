"""The memory of all modules of one line as arrays, one entry per device in the order of the line.

Two times run side by side. `wire_s` is the line's clock: windows, slots, start-up, tests. `event_s` is the room's,
which a demo may run faster: hold, identify, mute, age of samples. At normal speed both are the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from twin.bus.devices import RIPPLE_PAGE, DeviceSpec, Flag, no_temperature_code
from twin.bus.wire_codec import UNADDRESSED, UNIT_PER_COUNT, Counts, Kind
from twin.physics.tables import Floats

NEVER: Final = float("inf")
AUTOMATIC_LED: Final = 0x80

type Mask = NDArray[np.bool_]
type Octets = NDArray[np.uint8]
type Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Moment:
    """One instant on the line's clock and on the room's."""

    wire_s: float
    event_s: float


class Ratings:
    """What the factory fixed, shape (M,); values in counts of page 0."""

    def __init__(self, specs: Sequence[DeviceSpec]) -> None:
        self.specs: Final = tuple(specs)
        self.uid: Final = np.array([s.uid for s in specs], dtype=np.uint64)
        self.kind = np.array([s.kind for s in specs], dtype=np.uint8)
        self.page1: Final = np.array([RIPPLE_PAGE.get(s.kind, s.kind) for s in specs], dtype=np.uint8)
        self.has_page1: Final = np.array([s.pages > 1 for s in specs], dtype=np.bool_)
        self.unit: Final = np.array([UNIT_PER_COUNT[s.kind] for s in specs])
        self.unit1: Final = np.array([UNIT_PER_COUNT[k] for k in self.page1])
        self.resolution: Final = np.array([s.resolution for s in specs], dtype=np.float64)
        self.rated_min: Final = np.array([s.counts(s.rated_min) for s in specs], dtype=np.int32)
        self.rated_max: Final = np.array([s.counts(s.rated_max) for s in specs], dtype=np.int32)
        self.unipolar: Final = np.array([not s.flags & Flag.BOTH_DIRECTIONS for s in specs])
        self.bleeds: Final = np.array([bool(s.flags & Flag.BLEED) for s in specs])
        self.is_unit: Final = np.array([s.kind in {Kind.CELL, Kind.BLOCK} for s in specs])
        self.is_aux: Final = np.array([s.kind is Kind.AUX for s in specs])
        self.no_degc: Final = np.array([no_temperature_code(s) for s in specs], dtype=np.int16)
        self.has_aux: Final = bool(self.is_aux.any())
        self.own_aux = np.array([round(s.supply_v * 10) if s.kind is Kind.AUX else 0 for s in specs], dtype=np.uint8)


@dataclass(slots=True)
class Sample:
    """The results of one window, shape (M,): counts or codes of both pages, temperature, range, and who has none."""

    value: Counts
    ripple: Counts
    temperature: NDArray[np.int16]
    below: Mask
    above: Mask
    absent: Mask

    @classmethod
    def empty(cls, m: int) -> "Sample":
        """Return a sample of nothing."""
        no = np.zeros(m, dtype=np.bool_)
        zeros = np.zeros(m, dtype=np.int32)
        return cls(zeros, zeros.copy(), np.zeros(m, dtype=np.int16), no, no.copy(), no.copy())

    def take(self, other: "Sample", mask: Mask) -> None:
        """Replace the entries in `mask` by those of `other`."""
        self.value = np.where(mask, other.value, self.value)
        self.ripple = np.where(mask, other.ripple, self.ripple)
        self.temperature = np.where(mask, other.temperature, self.temperature)
        self.below = np.where(mask, other.below, self.below)
        self.above = np.where(mask, other.above, self.above)
        self.absent = np.where(mask, other.absent, self.absent)


@dataclass(slots=True)
class Relays:
    """Inputs and relays of AUX devices as bit fields of four, shape (M,); relays keep their state over everything."""

    inputs: Octets
    commanded: Octets
    wiring_fault: Octets
    stuck: Octets

    def field(self) -> Counts:
        """Return page 0 of an AUX device, section 9."""
        energised = self.commanded & ~self.stuck & 0x0F
        low = self.inputs.astype(np.int32) | energised.astype(np.int32) << 4
        return low | self.commanded.astype(np.int32) << 8 | self.wiring_fault.astype(np.int32) << 12


@dataclass(slots=True)
class Counters:
    """STATS: totals of the line, and what each module had missed when it started (M,)."""

    rx_frames: int
    header_errors: int
    crc_errors: int
    before: NDArray[np.int64]
    tx_frames: NDArray[np.int64]
    started: NDArray[np.int64]
    finished: NDArray[np.int64]


class ModuleState:
    """Stored and volatile memory of M modules.

    After every change `touch`, or `touch_sample` when only windows and results moved: replies are kept assembled
    until then.
    """

    def __init__(self, specs: Sequence[DeviceSpec], clock_frac: Floats, now: Moment) -> None:
        m = len(specs)
        self.size: Final = m
        self.version = 0
        self.sample_version = 0
        self.rated: Final = Ratings(specs)
        self.clock_frac: Final = clock_frac
        self._store(specs)
        self._wake(m, now)
        zeros = np.zeros(m, dtype=np.int64)
        self.counters: Final = Counters(0, 0, 0, np.zeros((m, 3), np.int64), zeros, zeros.copy(), zeros.copy())
        self.relays: Final = Relays(*(np.zeros(m, dtype=np.uint8) for _ in range(4)))
        self.fuse_open = np.zeros(m, dtype=np.bool_)
        self.lead_off = np.zeros(m, dtype=np.bool_)
        self.degc_shorted = np.zeros(m, dtype=np.bool_)
        self.deaf = np.zeros(m, dtype=np.bool_)

    def touch(self) -> None:
        """Say that a reply may have changed."""
        self.version += 1

    def touch_sample(self) -> None:
        """Say that values in replies may have changed, and nothing else."""
        self.sample_version += 1

    def _store(self, specs: Sequence[DeviceSpec]) -> None:
        self.address = np.array([s.address for s in specs], dtype=np.uint16)
        self.stored_baud = np.array([s.stored_baud for s in specs], dtype=np.int64)
        self.cells_per_unit = np.array([s.cells_per_unit for s in specs], dtype=np.uint8)
        self.bleed_floor = np.array([s.counts(s.bleed_floor) for s in specs], dtype=np.int64)
        self.bleed_hot = np.array([round(s.bleed_hot_degc * 100) for s in specs], dtype=np.int64)
        self.reset_count = np.ones(len(specs), dtype=np.int64)
        self.last_reset = np.ones(len(specs), dtype=np.uint8)

    def _wake(self, m: int, now: Moment) -> None:
        self.baud = self.stored_baud.copy()
        self.held = np.zeros(m, dtype=np.bool_)
        self.held_id = np.zeros(m, dtype=np.uint8)
        self.held_until_event_s = np.full(m, NEVER)
        self.result = Sample.empty(m)
        self.coming = Sample.empty(m)
        self.integrating = np.zeros(m, dtype=np.bool_)
        self.coming_id = np.zeros(m, dtype=np.uint8)
        self.done_wire_s = np.full(m, NEVER)
        self.done_event_s = np.full(m, NEVER)
        self.duty = np.zeros(m, dtype=np.uint8)
        self.bleed_code = np.zeros(m, dtype=np.uint8)
        self.hold_until_event_s = np.full(m, NEVER)
        self.was_reset = np.ones(m, dtype=np.bool_)
        self.identify_until_event_s = np.full(m, -NEVER)
        self.identify_pattern = np.zeros(m, dtype=np.uint8)
        self.led = np.full(m, AUTOMATIC_LED, dtype=np.uint8)
        self.muted_until_event_s = np.full(m, -NEVER)
        self.boot_until_wire_s = np.full(m, -NEVER)
        self.up_from_event_s = np.full(m, now.event_s)

    def forget(self, mask: Mask, now: Moment) -> None:
        """Lose everything volatile, as in a reset; relays and what is stored stay."""
        self.held &= ~mask
        self.integrating &= ~mask
        self.duty[mask] = 0
        self.bleed_code[mask] = 0
        self.identify_until_event_s[mask] = -NEVER
        self.led[mask] = AUTOMATIC_LED
        self.muted_until_event_s[mask] = -NEVER
        self.was_reset |= mask
        self.baud[mask] = self.stored_baud[mask]
        self.up_from_event_s[mask] = now.event_s
        c = self.counters
        c.before[mask] = (c.rx_frames, c.header_errors, c.crc_errors)
        for column in (c.tx_frames, c.started, c.finished):
            column[mask] = 0
        self.touch()

    @property
    def addressed(self) -> Mask:
        """Who has an address."""
        return np.asarray(self.address != UNADDRESSED)


@dataclass(slots=True)
class AddressBook:
    """Which rows listen to an address: the first of them in a table, the others (duplicates) beside it."""

    first: NDArray[np.int32] = field(default_factory=lambda: np.full(0x10000, -1, dtype=np.int32))
    others: dict[int, list[int]] = field(default_factory=dict)
    edition: int = 0

    def write(self, address: NDArray[np.uint16]) -> None:
        """Write the book anew for the addresses (M,)."""
        self.edition += 1
        self.first.fill(-1)
        rows = np.arange(len(address), dtype=np.int32)
        self.first[address[::-1]] = rows[::-1]
        self.others = {}
        for row in np.flatnonzero(self.first[address] != rows):
            self.others.setdefault(int(address[row]), []).append(int(row))

    def rows(self, address: int) -> list[int]:
        """Return all rows at `address`."""
        first = int(self.first[address])
        return [] if first < 0 else [first, *self.others.get(address, ())]
