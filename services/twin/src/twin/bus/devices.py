"""What hangs on a line: devices with their identity, ratings and what they measure. Data only."""

from dataclasses import dataclass
from enum import IntFlag
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from twin.bus.wire_codec import UNIT_PER_COUNT, Kind, TemperatureCode
from twin.physics.tables import Floats

MODEL_C44_CLASS: Final = 0x0044
HIGHEST_BAUD: Final = 3_000_000
FACTORY_BAUD: Final = 115_200
FACTORY_HOT_DEGC: Final = 55.0
FIRMWARE: Final = (1, 0, 3)
HARDWARE_REVISION: Final = 2
UNIT_KINDS: Final = (Kind.CELL, Kind.BLOCK)
RIPPLE_PAGE: Final = {
    Kind.CURRENT: Kind.RIPPLE_CURRENT,
    Kind.CURRENT_LARGE: Kind.RIPPLE_CURRENT,
    Kind.CURRENT_FLOAT: Kind.RIPPLE_CURRENT,
    Kind.STRING_VOLTAGE: Kind.RIPPLE_VOLTAGE,
}
"""What page 1 of a kind shows; other kinds have page 0 alone."""

type Quantity = Literal["unit", "current", "float_current", "string_voltage", "ripple", "ambient", "aux"]


class Flag(IntFlag):
    """What a device can do, IDENT of section 7."""

    BOTH_DIRECTIONS = 1
    TEMPERATURE = 2
    DC_PULSE = 4
    AC = 8
    BLEED = 16
    RELAY_LOSS_POLICY = 32


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """One device as it leaves the commissioning.

    Attributes:
        uid: factory-unique, 1 to 2**64 - 2.
        quantity, string, cell: what it measures; `cell` is 1-based, 0 for sensors and AUX.
        share_frac: part of the string's current that flows through this sensor; negative when mounted the other way.
        rated_min, rated_max: in the kind's unit.
        bleed_floor: in the kind's unit; `bleed_max_a` at the highest duty.
    """

    kind: Kind
    uid: int
    serial: str
    address: int
    flags: Flag
    rated_min: float
    rated_max: float
    quantity: Quantity = "unit"
    string: str = ""
    cell: int = 0
    share_frac: float = 1.0
    bleed_max_a: float = 0.0
    bleed_floor: float = 2.0
    bleed_hot_degc: float = FACTORY_HOT_DEGC
    cells_per_unit: int = 0
    stored_baud: int = FACTORY_BAUD
    resolution: int = 1
    supply_v: float = 12.0

    @property
    def pages(self) -> int:
        """How many pages it shows."""
        return 2 if self.kind in RIPPLE_PAGE else 1

    def counts(self, value: float) -> int:
        """Return `value`, in the kind's unit, in counts."""
        return round(value / UNIT_PER_COUNT[self.kind])


@dataclass(frozen=True, slots=True)
class LineReading:
    """What the devices of a line measure at one moment, shape (M,), in each kind's unit.

    Attributes:
        value: page 0; NaN with `absent` when the device has nothing to say (it then keeps silent), infinite beyond the
            converter's range, NaN alone when the quantity is not fitted.
        ripple: page 1; NaN when not fitted.
        degc: NaN when the sensor is open.
        absent: the device does not answer for this sample.
    """

    value: Floats
    ripple: Floats
    degc: Floats
    absent: NDArray[np.bool_]


class LineSource(Protocol):
    """The world as the devices of one line see it; devices in the order of the line."""

    def read(self, window_s: float) -> LineReading:
        """Return the means over a window of `window_s` that begins now."""

    def live(self) -> LineReading:
        """Return what the devices' own checks see now."""

    def impedance_ohm(self, device: int, pulse_s: float) -> float:
        """Return what a test of unit `device` measures; NaN when its current did not flow."""


@dataclass(slots=True)
class FixedSource:
    """A world that stands still until its reading is changed: for protocol tests and measurements."""

    reading: LineReading
    ohm: float = 412.5e-6

    def read(self, window_s: float) -> LineReading:  # noqa: ARG002  # nothing moves, so the window does not matter
        """Return the reading."""
        return self.reading

    def live(self) -> LineReading:
        """Return the reading."""
        return self.reading

    def impedance_ohm(self, device: int, pulse_s: float) -> float:  # noqa: ARG002  # one figure for all
        """Return the one resistance."""
        return self.ohm


def fixed_source(value: Floats, degc: float = 22.41) -> FixedSource:
    """Return a still world with these page 0 values (M,) and one temperature for all."""
    m = len(value)
    return FixedSource(LineReading(value, np.zeros(m), np.full(m, degc), np.zeros(m, dtype=np.bool_)))


def no_temperature_code(spec: DeviceSpec) -> int:
    """Return what a device says when there is no temperature: its sensor is open, or it has none."""
    return TemperatureCode.OPEN if spec.flags & Flag.TEMPERATURE else TemperatureCode.NOT_FITTED


def unit_modules(
    count: int, *, first_address: int = 1, kind: Kind = Kind.CELL, first_uid: int = 1, baud: int = FACTORY_BAUD
) -> list[DeviceSpec]:
    """Return `count` equal unit modules of string `s1` at consecutive addresses; address 0 leaves all at 0."""
    rated = (0.7, 4.8) if kind is Kind.CELL else (7.0, 32.0)
    return [
        DeviceSpec(
            kind=kind,
            uid=first_uid + n,
            serial=f"{'C44' if kind is Kind.CELL else 'C20'}-{first_uid + n:06d}",
            address=first_address + n if first_address else 0,
            flags=Flag.BOTH_DIRECTIONS | Flag.TEMPERATURE | Flag.DC_PULSE | Flag.AC | Flag.BLEED,
            rated_min=rated[0],
            rated_max=rated[1],
            string="s1",
            cell=n + 1,
            stored_baud=baud,
            bleed_max_a=0.3,
            bleed_floor=2.0 if kind is Kind.CELL else 12.0,
            cells_per_unit=1 if kind is Kind.CELL else 6,
        )
        for n in range(count)
    ]
