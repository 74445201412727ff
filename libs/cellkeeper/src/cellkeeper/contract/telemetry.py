"""What the gateway and the historian tell: scans, views of them, and what they are about."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from cellkeeper.contract.identity import MAX_CELLS_PER_STRING, Cell, Id, Serial, Stream
from cellkeeper.contract.moment import Instant
from cellkeeper.contract.payload import Part, Telemetry
from cellkeeper.contract.physical import Amperes, Celsius, Frac, Ohms, Seconds, StringVolts, UnitVolts

Code = Annotated[int, Field(ge=0, le=8)]
StatusBits = Annotated[int, Field(ge=0, le=63)]
Count = Annotated[int, Field(ge=0)]


def _column(title: str) -> object:
    return Field(min_length=1, max_length=MAX_CELLS_PER_STRING, description=f"{title}; one entry per unit, in order")


class StringScan(Telemetry):
    """One synchronous sample of a whole string, columnar. The hot path uses `scan_columns` instead of this model."""

    absent_if_none: ClassVar = frozenset(
        {"current_a", "string_v", "float_a", "ripple_a_rms", "ripple_v_rms", "ambient_degc"}
    )

    site: Id
    string: Id
    stream: Stream
    seq: Count
    oldest_seq: Count
    measured_at: Instant
    clock: Literal["synced", "holdover", "unsynced"]
    current_a: Amperes | None = None
    string_v: StringVolts | None = None
    float_a: Amperes | None = None
    ripple_a_rms: Amperes | None = None
    ripple_v_rms: StringVolts | None = None
    ambient_degc: Celsius | None = None
    scalar_quality: Mapping[str, Code] = Field(default_factory=dict)
    cell_v: Annotated[list[UnitVolts | None], _column("volts of the unit")]
    cell_degc: Annotated[list[Celsius | None], _column("degrees Celsius at the negative pole")]
    bleed_frac: Annotated[list[Frac | None], _column("bleed duty")]
    quality: Annotated[list[Code], _column("quality of the voltage")]
    degc_quality: Annotated[list[Code], _column("quality of the temperature")]
    status: Annotated[list[StatusBits], _column("module status bits")]


class StoredReceipt(Telemetry):
    """Everything of `stream` up to and including `seq` is durable, without a gap."""

    string: Id
    stream: Stream
    seq: Annotated[int, Field(ge=0)]
    at: Instant


class StringSummary(Telemetry):
    """A string in one glance. Sums are null below full coverage; extremes are of the usable units."""

    string: Id
    measured_at: Instant
    fresh: bool
    age_s: Seconds
    cells: Count
    good: Count
    coverage_frac: Frac
    sum_v: StringVolts | None
    mean_v: UnitVolts | None
    min_v: UnitVolts | None
    min_v_cell: Cell | None
    max_v: UnitVolts | None
    max_v_cell: Cell | None
    mean_degc: Celsius | None
    max_degc: Celsius | None
    max_degc_cell: Cell | None
    string_v: StringVolts | None
    current_a: Amperes | None
    quality_counts: Mapping[str, Count] = Field(default_factory=dict)


class CellState(Telemetry):
    """One unit, flat, for SCADA: by exception and at least every `refresh_s`."""

    cell_v: UnitVolts | None
    cell_degc: Celsius | None
    impedance_ohm: Ohms | None
    bleed_frac: Frac | None
    quality: Code
    degc_quality: Code
    status: StatusBits
    measured_at: Instant
    measured_ms: Count


class ImpedanceSweep(Telemetry):
    """Impedances of some units of a string, columnar; values of different methods are never compared."""

    absent_if_none: ClassVar = frozenset({"frequency_hz", "pulse_s"})

    string: Id
    measured_at: Instant
    method: Literal["dc_pulse", "ac"]
    frequency_hz: Annotated[float, Field(gt=0.0, le=10_000.0)] | None = None
    pulse_s: Annotated[float, Field(gt=0.0, le=10.0)] | None = None
    test_a: Amperes
    mode: Literal["float", "boost", "recharge", "discharge", "rest", "open", "test", "unknown"]
    cells: list[Cell]
    r_ohm: list[Ohms | None]
    cell_measured_at: list[Instant | None]
    degc: list[Celsius | None]
    cell_v: list[UnitVolts | None]
    quality: list[Code]


class SensorMeta(Part):
    """A fitted sensor, with what it can resolve; null where `site.toml` does not say."""

    kind: Literal["current", "float_current", "string_voltage", "ripple", "ambient"]
    bus: Id
    address: Count
    unit: Literal["A", "V", "degC"]
    range_min: float | None = None
    range_max: float | None = None
    accuracy: float | None = None


class StringMeta(Telemetry):
    """What a string is: enough for a reader who knows nothing but this topic."""

    string: Id
    at: Instant
    name: str
    cells: Annotated[int, Field(ge=1, le=MAX_CELLS_PER_STRING)]
    cells_per_unit: Annotated[int, Field(ge=1, le=24)]
    chemistry: str
    rated_ah: float
    rate_h: float
    ref_degc: Celsius
    end_v: UnitVolts
    dcbus: Id | None
    sensors: list[SensorMeta]
    bleed_max_a: float
    scan_s: Seconds
    refresh_s: Seconds
    stale_after_s: Seconds
    resolution_v: float
    limits: dict[str, float]
    gateway: Id
    rev: str


class SiteMeta(Telemetry):
    """What is on this site, and which revision of the contract it speaks.

    Attributes:
        services: every instance that `site.toml` names or that was seen present, also when it is gone now.
        versions: by service id; a service that never spoke has none.
    """

    site: Id
    name: str
    at: Instant
    strings: list[Id]
    dcbuses: list[Id]
    services: list[Id]
    versions: dict[str, str]
    contract: str


class DcBusReading(Part):
    """One value of a dc bus with where it comes from; never a number without its source."""

    value: float | None
    source: str
    quality: Code


class BreakerState(Part):
    """The battery breaker of one string as far as anything reports it."""

    string: Id
    state: Literal["closed", "open", "unknown"]
    source: str
    quality: Code


class DcBusState(Telemetry):
    """Parallel strings of one dc bus."""

    dcbus: Id
    measured_at: Instant
    bus_v: DcBusReading
    total_a: DcBusReading
    float_setpoint_v: DcBusReading
    charger: Literal["on", "off", "unknown"]
    on_battery: Literal["yes", "no", "unknown"]
    breakers: list[BreakerState]


class ModuleState(Telemetry):
    """A module as it introduces itself, and what it last reported of itself."""

    absent_if_none: ClassVar = frozenset({"string", "cell"})

    serial: Serial
    at: Instant
    type: str
    hardware: str
    firmware: str
    bus: Id
    address: Count
    string: Id | None = None
    cell: Cell | None = None
    led: Literal["off", "red", "green", "both", "identify"]
    fuse_open: bool
    disconnected: bool
    resets: Count
    silent: bool


class AuxState(Telemetry):
    """An AUX device: four inputs, four relays, its supply."""

    serial: Serial
    measured_at: Instant
    bus: Id
    address: Count
    inputs: Annotated[list[bool | None], Field(min_length=4, max_length=4)]
    relays: Annotated[list[bool | None], Field(min_length=4, max_length=4)]
    supply_v: float | None
    quality: Code


class StringMode(Telemetry):
    """What a string does at the moment, since when, and why it is believed."""

    string: Id
    mode: Literal["float", "boost", "recharge", "discharge", "rest", "open", "test", "unknown"]
    since: Instant
    measured_at: Instant
    why: str
