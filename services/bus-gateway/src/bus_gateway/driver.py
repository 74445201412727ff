"""What the gateway needs from whatever reads the batteries: the open C44 bus, a recording, a vendor's monitor."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from cellkeeper.contract.commands import MeasureImpedance
from cellkeeper.contract.outcomes import FoundModule, NoReply, Outcome, Refused
from cellkeeper.contract.scan_columns import Codes, Floats


@dataclass(frozen=True, slots=True)
class StringReadings:
    """What one synchronous sample found in one string, graded by what the driver itself can know.

    Attributes:
        string: its id.
        measured_ms: event time at which the sample window began.
        cell_v, cell_degc, bleed_frac: (n,) volts, degrees Celsius, duty 0 to 1; NaN where there is none.
        quality, degc_quality: (n,) `physical.Quality` 0, 1, 3, 4, 5, 6 or 7; implausible comes later.
        status: (n,) `physical.ModuleStatus` bits.
        scalars: string values by the names of `scan_columns.SCALARS`; absent without a sensor, None where it is silent.
        scalar_quality: by the same names.
    """

    string: str
    measured_ms: int
    cell_v: Floats
    cell_degc: Floats
    bleed_frac: Floats
    quality: Codes
    degc_quality: Codes
    status: Codes
    scalars: Mapping[str, float | None] = field(default_factory=dict)
    scalar_quality: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModuleRecord:
    """A device as it introduced itself, where it sits, and what it last reported."""

    serial: str
    uid: str
    kind: Literal["cell", "block", "current", "float_current", "string_voltage", "aux", "ambient"]
    type: str
    hardware: str
    firmware: str
    bus: str
    address: int
    string: str | None
    cell: int | None
    status: int
    resets: int
    silent: bool


@dataclass(frozen=True, slots=True)
class AuxReadings:
    """Inputs, relays and supply of one AUX device; None where it is silent."""

    serial: str
    bus: str
    address: int
    measured_ms: int
    inputs: tuple[bool | None, bool | None, bool | None, bool | None]
    relays: tuple[bool | None, bool | None, bool | None, bool | None]
    supply_v: float | None
    quality: int


@dataclass(frozen=True, slots=True)
class ImpedanceReadings:
    """Impedances of some units of one string; one entry per asked cell, NaN where there is none."""

    string: str
    cells: Sequence[int]
    method: Literal["dc_pulse", "ac"]
    frequency_hz: float | None
    pulse_s: float | None
    test_a: float
    r_ohm: Floats
    measured_ms: Sequence[int | None]
    cell_degc: Floats
    cell_v: Floats
    quality: Codes


@dataclass(frozen=True, slots=True)
class DriverNotice:
    """Something for the log book that only the driver can know (port lost, second master, duplicate address)."""

    kind: str
    severity: Literal["info", "warning", "error"]
    text: str
    data: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)


class Driver(Protocol):
    """All buses of one gateway that are read the same way."""

    async def keep_open(self) -> None:
        """Hold the ports, open them again when they went, introduce new modules; runs until cancelled."""

    async def sweep(self, take: Callable[[StringReadings], None]) -> None:
        """Sample everything once and call `take` for each string once its last line is read, silent or not."""

    def read_elsewhere(self) -> Collection[str]:
        """Return the strings whose port another process holds: it is theirs to publish."""

    def modules(self) -> Sequence[ModuleRecord]:
        """Return every device known so far."""

    def aux(self) -> Sequence[AuxReadings]:
        """Return the newest readings of every AUX device."""

    def line_figures(self) -> Mapping[str, Mapping[str, float]]:
        """Return what is known of each line by bus id, by the names of `uplink.gauges.LINE_MEANINGS`."""

    def take_notices(self) -> Sequence[DriverNotice]:
        """Return and forget what happened since the last call, oldest first, bounded."""

    async def set_bleed(self, string: str, cells: Sequence[int], bleed_frac: Sequence[float]) -> Outcome:
        """Set duties and confirm them by reading back."""

    async def stop_bleed(self) -> Outcome:
        """Broadcast zero on every line and confirm it."""

    async def renew_hold(self, strings: Sequence[str]) -> None:
        """Broadcast the renewal on the lines of these strings."""

    async def identify(self, string: str, cells: Sequence[int], on_s: float) -> Outcome:
        """Let the LEDs of some units blink."""

    async def identify_address(self, bus: str, address: int, on_s: float) -> Outcome:
        """Let the device at an address blink."""

    async def measure_impedance(
        self, wanted: MeasureImpedance, forbidden: Callable[[], Refused | None]
    ) -> ImpedanceReadings | Refused | NoReply:
        """Measure some units, never two neighbours at once; abort as soon as `forbidden` gives a reason."""

    async def search(self, bus: str) -> list[FoundModule] | Refused | NoReply:
        """Find unaddressed modules and addresses that answer twice."""

    async def assign(self, bus: str, uid: str, address: int) -> Outcome:
        """Give a module its address and confirm it."""

    async def clear(self, bus: str, address: int) -> Outcome:
        """Make the module at an address unaddressed."""
