"""The model of `site.toml`, the one description of a site. `site_file` reads it; this file says what is allowed."""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from cellkeeper.contract.balancing import BalanceTable, balance_problem
from cellkeeper.contract.chemistry import Chemistry, override_problem, profiles
from cellkeeper.contract.identity import MAX_CELLS_PER_STRING, Cell, Id
from cellkeeper.contract.table import Table

MAX_ADDRESS: Final = 0xFFEF  # docs/bus-protocol.md, "addresses"
BAUD_RATES: Final = (9600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800, 921_600, 1_000_000, 2_000_000, 3_000_000)
MODULE_TYPES: Final = {"c44": (0.7, 4.8, 0.0001), "c20": (7.0, 32.0, 0.0005), "c24": (3.5, 16.0, 0.0005)}
"""Rated range in volts and resolution of each module type: docs/bus-protocol.md, "types"."""

CellVolts = Annotated[float, Field(gt=0.0, le=5.0)]
Address = Annotated[int, Field(ge=1, le=MAX_ADDRESS)]


class SiteTable(Table):
    """`[site]`: its id, and how often things are read and told."""

    id: Id
    name: Annotated[str, Field(min_length=1, max_length=80)]
    scan_s: Annotated[float, Field(ge=0.1, le=10.0)] = 1.0
    refresh_s: Annotated[float, Field(ge=5.0, le=3600.0)] = 60.0
    stale_after_s: Annotated[float, Field(ge=15.0, le=86_400.0)] = 180.0
    mains_hz: Literal[50, 60] = 50

    @model_validator(mode="after")
    def _expiry_survives_a_late_refresh(self) -> Self:
        if self.stale_after_s < 3 * self.refresh_s:
            raise ValueError(
                f"stale_after_s must be at least 3 x refresh_s: raise it to {3 * self.refresh_s:g}, or lower refresh_s"
            )
        return self


class GatewayTable(Table):
    """`[[gateway]]`: one gateway process; the first one writes the site's `meta`."""

    service: Id
    journal_max_mb: Annotated[int, Field(ge=1, le=1_000_000)] = 4096


class ReplayTable(Table):
    """`[bus.replay]`: how a recorded file is read when the bus has driver `replay`."""

    file: str
    time_column: str
    voltage_column: str
    current_column: str | None = None
    temperature_column: str | None = None
    columns: list[str] | None = None
    current_sign: Literal[1, -1] = 1
    time_format: Literal["seconds", "iso"] = "iso"
    start_at: str | None = None
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    bad_rows: Literal["skip", "fail"] = "skip"


class BusTable(Table):
    """`[[bus]]`: one line of modules, as one gateway reaches it."""

    id: Id
    driver: Literal["c44", "replay"] = "c44"
    port: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    baud: int = 115_200
    gateway: Id = "bus-gateway"
    replay: ReplayTable | None = None

    @model_validator(mode="after")
    def _driver_has_what_it_needs(self) -> Self:
        if self.driver == "c44" and self.port is None:
            raise ValueError("driver c44 needs port; add one, for example /dev/ttyUSB0 or socket://127.0.0.1:4001")
        if self.driver == "replay" and self.replay is None:
            raise ValueError(
                "driver replay needs a table [bus.replay]; add it with file, time_column and voltage_column"
            )
        if self.baud not in BAUD_RATES:
            raise ValueError(f"baud {self.baud} is no rate of the bus; take one of {', '.join(map(str, BAUD_RATES))}")
        return self


class DcBusTable(Table):
    """`[[dcbus]]`: strings in parallel on one charger and load."""

    id: Id
    name: str = ""
    gateway: Id = "bus-gateway"


class ModulesTable(Table):
    """`[[string.modules]]`: a run of consecutive addresses that holds the next units of the string."""

    bus: Id
    first_address: Address
    count: Annotated[int, Field(ge=1, le=MAX_CELLS_PER_STRING)]

    @property
    def last_address(self) -> int:
        """The highest address of the run."""
        return self.first_address + self.count - 1


class SensorTable(Table):
    """`[[string.sensor]]`: a sensor that is fitted; several current sensors of one string are summed."""

    kind: Literal["current", "float_current", "string_voltage", "ripple", "ambient"]
    bus: Id
    address: Address
    range_a: Annotated[float, Field(gt=0.0, le=20_000.0)] | None = None
    range_v: Annotated[float, Field(gt=0.0, le=2000.0)] | None = None
    accuracy: Annotated[float, Field(gt=0.0)] | None = None
    reversed: bool = False


class ChemistryOverride(Table):
    """`[string.chemistry_override]`: values of the battery's own data sheet, per electrochemical cell."""

    nominal_v: CellVolts | None = None
    float_v: CellVolts | None = None
    boost_v: CellVolts | None = None
    cutoff_v: CellVolts | None = None
    bleed_floor_v: CellVolts | None = None
    lowest_v: CellVolts | None = None
    highest_v: CellVolts | None = None
    step_v: Annotated[float, Field(gt=0.0, le=2.0)] | None = None
    float_v_per_k: Annotated[float, Field(ge=-0.02, le=0.0)] | None = None
    highest_degc: Annotated[float, Field(ge=20.0, le=90.0)] | None = None


class StringTable(Table):
    """`[[string]]`: units in series, each measured by one module."""

    id: Id
    name: Annotated[str, Field(max_length=80)] = ""
    dcbus: Id | None = None
    cells: Annotated[int, Field(ge=1, le=MAX_CELLS_PER_STRING)]
    cells_per_unit: Annotated[int, Field(ge=1, le=24)] = 1
    chemistry: str
    chemistry_override: ChemistryOverride = ChemistryOverride()
    module_type: str = "c44"
    rated_ah: Annotated[float, Field(gt=0.0, le=20_000.0)]
    rate_h: Annotated[float, Field(gt=0.0, le=100.0)] = 10.0
    ref_degc: Annotated[float, Field(ge=0.0, le=40.0)] = 20.0
    end_v: Annotated[float, Field(gt=0.0, le=5.0)] | None = None
    bleed_max_a: Annotated[float, Field(ge=0.0, le=10.0)] = 0.1
    dead_band_v: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    dead_band_degc: Annotated[float, Field(gt=0.0, le=10.0)] = 0.2
    life: dict[Cell, Annotated[int, Field(ge=1, le=9999)]] = Field(default_factory=dict)
    balance: BalanceTable = BalanceTable()
    modules: Annotated[list[ModulesTable], Field(min_length=1)]
    sensor: list[SensorTable] = Field(default_factory=list)

    @property
    def profile(self) -> Chemistry:
        """The chemistry with this string's overrides, per electrochemical cell."""
        overrides = self.chemistry_override.model_dump(exclude_none=True)
        return profiles()[self.chemistry].model_copy(update=overrides)

    @property
    def resolution_v(self) -> float:
        """Volts per count of this string's modules."""
        return MODULE_TYPES[self.module_type][2]

    @property
    def cell_dead_band_v(self) -> float:
        """Change of a unit's voltage that is worth a message of its own."""
        return self.dead_band_v if self.dead_band_v is not None else 0.002 * self.cells_per_unit

    @model_validator(mode="after")
    def _known_and_complete(self) -> Self:
        if self.chemistry not in profiles():
            raise ValueError(f"chemistry {self.chemistry!r} is unknown; take one of {', '.join(profiles())}")
        if self.module_type not in MODULE_TYPES:
            raise ValueError(f"module_type {self.module_type!r} is unknown; take one of {', '.join(MODULE_TYPES)}")
        described = sum(run.count for run in self.modules)
        if described != self.cells:
            raise ValueError(
                f"cells is {self.cells}, but [[string.modules]] describe {described}; correct cells or a count"
            )
        highest_v = self.profile.highest_v * self.cells_per_unit
        if highest_v > MODULE_TYPES[self.module_type][1]:
            raise ValueError(
                f"a unit of {self.cells_per_unit} {self.chemistry} cells reaches {highest_v:g} V, more than "
                f"module_type {self.module_type!r} measures; check cells_per_unit or take another module_type"
            )
        if any(cell > self.cells for cell in self.life):
            raise ValueError(f"life names a cell above {self.cells}; number the cells from 1 to cells")
        return self

    @model_validator(mode="after")
    def _data_sheet_is_plausible(self) -> Self:
        overrides = self.chemistry_override.model_dump(exclude_none=True)
        if (problem := override_problem(profiles()[self.chemistry], overrides)) is not None:
            raise ValueError(f"chemistry_override: {problem}")
        if self.end_v is not None and not self.profile.lowest_v <= self.end_v < self.profile.float_v:
            raise ValueError(
                f"end_v {self.end_v:g} must lie from lowest_v {self.profile.lowest_v:g} to below float_v "
                f"{self.profile.float_v:g}; write volts of one electrochemical cell at the end of a discharge"
            )
        return self

    @model_validator(mode="after")
    def _balancing_is_possible(self) -> Self:
        problem = balance_problem(self.balance, self.profile.balance, self.cells)
        if problem is not None:
            raise ValueError(f"balance: {problem}")
        return self


class AuxTable(Table):
    """`[[aux]]`: an AUX device with four inputs and four relays."""

    bus: Id
    address: Address
    name: str = ""


class Site(Table):
    """A whole `site.toml`, checked."""

    site: SiteTable
    gateway: list[GatewayTable] = Field(default_factory=lambda: [GatewayTable(service="bus-gateway")])
    bus: Annotated[list[BusTable], Field(min_length=1)]
    dcbus: list[DcBusTable] = Field(default_factory=list)
    string: Annotated[list[StringTable], Field(min_length=1)]
    aux: list[AuxTable] = Field(default_factory=list)

    @model_validator(mode="after")
    def _every_name_leads_somewhere(self) -> Self:
        _require_unique("gateway service", [table.service for table in self.gateway])
        _require_unique("bus id", [bus.id for bus in self.bus])
        _require_unique("bus port", [bus.port for bus in self.bus if bus.port])
        _require_unique("dcbus id", [dcbus.id for dcbus in self.dcbus])
        _require_unique("string id", [string.id for string in self.string])
        gateways = {table.service for table in self.gateway}
        for gateway in [*(bus.gateway for bus in self.bus), *(dcbus.gateway for dcbus in self.dcbus)]:
            _require_known("gateway", gateway, gateways)
        for string in self.string:
            if string.dcbus is not None:
                _require_known("dcbus", string.dcbus, {dcbus.id for dcbus in self.dcbus})
        return self

    @model_validator(mode="after")
    def _addresses_do_not_overlap(self) -> Self:
        buses = {bus.id for bus in self.bus}
        taken = sorted(self._taken_addresses())
        for bus, _, last, who in taken:
            _require_known("bus", bus, buses)
            if last > MAX_ADDRESS:
                raise ValueError(
                    f"{who} needs address {last} on bus {bus}; lower first_address or count, {MAX_ADDRESS} is last"
                )
        for (bus, first, last, who), (next_bus, next_first, _, other) in pairwise(taken):
            if bus == next_bus and next_first <= last:
                raise ValueError(
                    f"address {next_first} on bus {bus} is of {other} and of {who} ({first}..{last}); change one"
                )
        return self

    def _taken_addresses(self) -> Iterator[tuple[str, int, int, str]]:
        for string in self.string:
            for run in string.modules:
                yield run.bus, run.first_address, run.last_address, f"string {string.id}"
            for sensor in string.sensor:
                yield sensor.bus, sensor.address, sensor.address, f"the {sensor.kind} sensor of string {string.id}"
        for aux in self.aux:
            yield aux.bus, aux.address, aux.address, f"AUX device {aux.name or aux.address}"

    @model_validator(mode="after")
    def _one_gateway_per_string(self) -> Self:
        gateway_of = {bus.id: bus.gateway for bus in self.bus}
        for string in self.string:
            used = {gateway_of[run.bus] for run in string.modules} | {gateway_of[s.bus] for s in string.sensor}
            if len(used) > 1:
                raise ValueError(
                    f"string {string.id} lies on buses of {len(used)} gateways; give all its buses the same gateway"
                )
        return self

    def gateway_of(self, string: StringTable) -> str:
        """Return the service that reads and writes this string."""
        bus = string.modules[0].bus
        return next(table.gateway for table in self.bus if table.id == bus)


def _require_unique(what: str, names: list[str]) -> None:
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise ValueError(f"{what} {twice[0]!r} is there twice; change one of them")


def _require_known(what: str, name: str, known: set[str]) -> None:
    if name not in known:
        raise ValueError(
            f"{what} {name!r} is not described; take one of {', '.join(sorted(known)) or 'none'}, or add a table for it"
        )
