"""The model of `site.toml`, the one description of a site. `site_file` reads it; this file says what is allowed."""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from cellkeeper.contract.identity import Id
from cellkeeper.contract.site_string import MAX_ADDRESS as MAX_ADDRESS
from cellkeeper.contract.site_string import MODULE_TYPES as MODULE_TYPES
from cellkeeper.contract.site_string import Address as Address
from cellkeeper.contract.site_string import ChemistryOverride as ChemistryOverride
from cellkeeper.contract.site_string import ModulesTable as ModulesTable
from cellkeeper.contract.site_string import SensorTable as SensorTable
from cellkeeper.contract.site_string import StringTable as StringTable
from cellkeeper.contract.table import Table

BAUD_RATES: Final = (9600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800, 921_600, 1_000_000, 2_000_000, 3_000_000)
MOST_WIRING_FRAC: Final = 0.05  # of the volts at which a UPS stops, at its usual load: beyond it they are milliohms


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
    """`[[dcbus]]`: strings in parallel on one charger and load.

    Attributes:
        load_w: what the load usually takes from the bus; runtime is told for it while no discharge has shown more.
        cutoff_v: of the bus, at which the UPS stops; without it the chemistry's cut-off times the cells.
    """

    id: Id
    name: str = ""
    gateway: Id = "bus-gateway"
    load_w: Annotated[float, Field(gt=0.0, le=50e6)] | None = None
    cutoff_v: Annotated[float, Field(gt=0.0, le=2000.0)] | None = None


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
        for dcbus in self.dcbus:
            for string in (each for each in self.string if each.dcbus == dcbus.id):
                _require_cutoff(dcbus, string)
        return self

    @model_validator(mode="after")
    def _wiring_leads_to_a_ups(self) -> Self:
        parallel = Counter(string.dcbus for string in self.string)
        dcbuses = {dcbus.id: dcbus for dcbus in self.dcbus}
        for string in self.string:
            if string.wiring_ohm is not None:
                dcbus = dcbuses.get(string.dcbus or "")
                _require_wiring(string, string.wiring_ohm, dcbus, parallel[string.dcbus])
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


def _require_cutoff(dcbus: DcBusTable, string: StringTable) -> None:
    cells = string.cells * string.cells_per_unit
    lowest_v, float_v = string.profile.lowest_v * cells, string.profile.float_v * cells
    if dcbus.cutoff_v is not None and not lowest_v <= dcbus.cutoff_v < float_v:
        raise ValueError(
            f"cutoff_v {dcbus.cutoff_v:g} of dcbus {dcbus.id!r} must lie from {lowest_v:g} to below {float_v:g}: so "
            f"much have the {cells} cells of string {string.id}; write volts of the whole bus at which the UPS stops"
        )


def _require_wiring(string: StringTable, wiring_ohm: float, dcbus: DcBusTable | None, parallel: int) -> None:
    if dcbus is None or dcbus.cutoff_v is None:
        raise ValueError(
            f"wiring_ohm of string {string.id!r} counts down to the volts at which its UPS stops; write cutoff_v of "
            "its dcbus too, or leave wiring_ohm out"
        )
    usual_a = (dcbus.load_w or 0.0) / dcbus.cutoff_v / parallel
    drop_v = wiring_ohm * max(usual_a, string.rated_ah / string.rate_h)
    if drop_v > MOST_WIRING_FRAC * dcbus.cutoff_v:
        raise ValueError(
            f"wiring_ohm {wiring_ohm:g} of string {string.id!r} takes {drop_v:.3g} V, more than {MOST_WIRING_FRAC:.0%} "
            f"of cutoff_v {dcbus.cutoff_v:g}; write ohms: 3 milliohms are 0.003"
        )
