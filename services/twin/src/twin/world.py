"""The physics of a room as the devices of its lines see it: one draw of all instruments serves a whole sample."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from twin.bus.devices import DeviceSpec, LineReading
from twin.physics.room import Room
from twin.physics.sensors import Scalars
from twin.physics.tables import Floats

SAME_SAMPLE_S: Final = 0.02  # a master sends a sample on all lines of a string within this time
IN_DISCHARGE_A: Final = 0.5  # a float-current sensor with nothing to show is beyond its range above this
NAN: Final = float("nan")


@dataclass(frozen=True, slots=True)
class Draw:
    """All instruments of a room at one moment: unit volts and temperatures (N,) string after string, scalars."""

    number: int
    wire_s: float
    v: Floats
    degc: Floats
    scalars: Mapping[str, Scalars]


class World:
    """Draws of a room's instruments.

    Args:
        room: the physics.
        follow: called before every draw, so that the physics stands at the moment of the sample.
    """

    def __init__(self, room: Room, follow: Callable[[], None]) -> None:
        self.room: Final = room
        self.first_unit: Final = {string: span.start for string, span in room.bank.span.items()}
        self.wire_s = 0.0
        self._follow: Final = follow
        self._draw: Draw | None = None

    def draw(self, window_s: float, *, last_used: int) -> Draw:
        """Return the newest draw that a line has not used and that is of this sample, else a new one."""
        known = self._draw
        if known is None or known.number <= last_used or abs(self.wire_s - known.wire_s) > SAME_SAMPLE_S:
            self._follow()
            known = self._draw = self._drawn(window_s, 1 if known is None else known.number + 1)
        return known

    def newest(self) -> Draw:
        """Return the newest draw, made now if there is none."""
        return self._draw or self.draw(0.1, last_used=0)

    def truth(self) -> tuple[Floats, Floats]:
        """Return volts and pole temperatures of all units (N,) as they are now."""
        return self.room.bank.v, self.room.bank.degc

    def _drawn(self, window_s: float, number: int) -> Draw:
        readings = {string: self.room.reading(string, window_s=window_s) for string in self.first_unit}
        return Draw(
            number=number,
            wire_s=self.wire_s,
            v=np.concatenate([reading.v for reading in readings.values()]),
            degc=np.concatenate([reading.degc for reading in readings.values()]),
            scalars={string: reading.scalars for string, reading in readings.items()},
        )


class RoomSource:
    """The world of one line (see `twin.bus.devices.LineSource`)."""

    def __init__(self, world: World, devices: Sequence[DeviceSpec]) -> None:
        self._world: Final = world
        self._devices: Final = tuple(devices)
        units = [(row, world.first_unit[d.string] + d.cell - 1) for row, d in enumerate(devices) if d.cell]
        self.rows: Final[NDArray[np.int64]] = np.array([row for row, _ in units], dtype=np.int64)
        self.units: Final[NDArray[np.int64]] = np.array([unit for _, unit in units], dtype=np.int64)
        self._others: Final = [(row, d) for row, d in enumerate(devices) if not d.cell]
        self._last_used = 0

    def read(self, window_s: float) -> LineReading:
        """Return the means over a window that begins now."""
        draw = self._world.draw(window_s, last_used=self._last_used)
        self._last_used = draw.number
        return self._reading(draw.v, draw.degc, draw.scalars)

    def live(self) -> LineReading:
        """Return what the modules' own checks see: the truth behind the newest draw, open sensors as they are."""
        draw = self._world.newest()
        true_v, true_degc = self._world.truth()
        silent_or_open = np.isnan(draw.degc)
        return self._reading(true_v, np.where(silent_or_open, NAN, true_degc), draw.scalars)

    def impedance_ohm(self, device: int, pulse_s: float) -> float:
        """Return what a test of a unit measures."""
        spec = self._devices[device]
        if not spec.cell:
            return NAN
        return float(self._world.room.impedance(spec.string, pulse_s=pulse_s).r_ohm[spec.cell - 1])

    def _reading(self, v: Floats, degc: Floats, scalars: Mapping[str, Scalars]) -> LineReading:
        m = len(self._devices)
        value, ripple, shown_degc = np.full(m, NAN), np.full(m, NAN), np.full(m, NAN)
        absent = np.zeros(m, dtype=np.bool_)
        value[self.rows] = v[self.units]
        shown_degc[self.rows] = degc[self.units]
        absent[self.rows] = np.isnan(value[self.rows])
        for row, spec in self._others:
            value[row], ripple[row], shown_degc[row], absent[row] = _sensed(spec, scalars)
        return LineReading(value, ripple, shown_degc, absent)


def _sensed(spec: DeviceSpec, scalars: Mapping[str, Scalars]) -> tuple[float, float, float, bool]:
    """Return value, ripple, temperature and absence of a sensor or AUX device."""
    if spec.quantity == "aux":
        return 0.0, NAN, 30.0, False
    s = scalars[spec.string]
    match spec.quantity:
        case "current":
            return spec.share_frac * s.string_a, s.ripple_a_rms * abs(spec.share_frac), NAN, _missing(s.string_a)
        case "ripple":
            return spec.share_frac * s.string_a, s.ripple_a_rms, NAN, _missing(s.ripple_a_rms)
        case "float_current":
            return (*_float_current(spec, s), NAN, _missing(s.string_a))
        case "string_voltage":
            return s.string_v, s.ripple_v_rms, NAN, _missing(s.string_v)
        case _:
            return NAN, NAN, s.ambient_degc, _missing(s.ambient_degc)


def _float_current(spec: DeviceSpec, s: Scalars) -> tuple[float, float]:
    if not np.isnan(s.float_a):
        return spec.share_frac * s.float_a, NAN
    beyond = abs(s.string_a) > IN_DISCHARGE_A
    return (float(np.copysign(np.inf, spec.share_frac * s.string_a)) if beyond else NAN), NAN


def _missing(value: float) -> bool:
    return bool(np.isnan(value))
