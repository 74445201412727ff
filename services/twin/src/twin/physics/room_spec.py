"""What a room consists of, as plain data; from a checked `site.toml` or written by hand."""

from dataclasses import dataclass, field, replace

from cellkeeper.contract.site import Site

from twin.errors import TwinUseError
from twin.physics.parameter_sets import ParameterSet
from twin.physics.population import StringBuild
from twin.physics.ups import DcBusSpec


@dataclass(frozen=True, slots=True)
class StringSpec:
    """One string: `cells` units of `cells_per_unit` cells; without `dcbus` it has one of its own, of the same name.

    Its volts are measured at its ends, or at the UPS, behind cables and breaker.
    """

    id: str
    cells: int
    chemistry: str
    rated_ah: float
    cells_per_unit: int = 1
    dcbus: str | None = None
    bleed_max_a: float = 0.1
    is_measured_at_ups: bool = False


@dataclass(frozen=True, slots=True)
class RoomSpec:
    """Strings, and what is known of their dc buses; a bus that only a string names gets the chemistry's settings."""

    strings: tuple[StringSpec, ...]
    dcbuses: tuple[DcBusSpec, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class RoomPlan:
    """A room ready to be built: strings with their parameter sets, all buses, and each string's bus by number."""

    strings: tuple[StringBuild, ...]
    buses: tuple[DcBusSpec, ...]
    bus_of_string: tuple[int, ...]


def room_spec_from_site(site: Site) -> RoomSpec:
    """Return the room that `site` describes; chemistry by name only, the twin has its own parameter sets."""
    return RoomSpec(
        strings=tuple(
            StringSpec(
                id=string.id,
                cells=string.cells,
                chemistry=string.chemistry,
                rated_ah=string.rated_ah,
                cells_per_unit=string.cells_per_unit,
                dcbus=string.dcbus,
                bleed_max_a=string.bleed_max_a,
                is_measured_at_ups=string.is_measured_at_ups,
            )
            for string in site.string
        )
    )


def plan_room(spec: RoomSpec, sets: dict[str, ParameterSet], degc: float) -> RoomPlan:
    """Return the plan of `spec`, all units at `degc` to begin with.

    Raises:
        TwinUseError: no string, an id twice, an unknown chemistry, or strings of different kind on one dc bus.
    """
    ids = [string.id for string in spec.strings]
    if not ids or len(set(ids)) < len(ids):
        raise TwinUseError(f"a room needs strings with different ids, not {ids}")
    builds = tuple(_build(string, sets, degc) for string in spec.strings)
    bus_ids = [string.dcbus or string.id for string in spec.strings]
    described = {bus.id: bus for bus in spec.dcbuses}
    buses: list[DcBusSpec] = []
    for bus_id in dict.fromkeys(bus_ids):
        members = [build for build, on in zip(builds, bus_ids, strict=True) if on == bus_id]
        kinds = {(build.parameters.name, build.units * build.cells_per_unit) for build in members}
        if len(kinds) > 1:
            raise TwinUseError(f"dc bus {bus_id!r}: strings of different chemistry or length: {sorted(kinds)}")
        buses.append(_with_load(described.get(bus_id, DcBusSpec(id=bus_id)), members))
    order = [bus.id for bus in buses]
    return RoomPlan(builds, tuple(buses), tuple(order.index(bus_id) for bus_id in bus_ids))


def _build(string: StringSpec, sets: dict[str, ParameterSet], degc: float) -> StringBuild:
    if string.chemistry not in sets:
        known = ", ".join(sorted(sets))
        raise TwinUseError(f"string {string.id!r}: no parameter set {string.chemistry!r}; there are {known}")
    if string.cells < 1 or string.cells_per_unit < 1 or not string.rated_ah > 0.0:
        raise TwinUseError(f"string {string.id!r}: cells, cells_per_unit and rated_ah have to be above zero")
    return StringBuild(
        id=string.id,
        parameters=sets[string.chemistry],
        units=string.cells,
        cells_per_unit=string.cells_per_unit,
        rated_ah=string.rated_ah,
        bleed_max_a=string.bleed_max_a,
        degc=degc,
    )


def _with_load(bus: DcBusSpec, members: list[StringBuild]) -> DcBusSpec:
    if bus.load_w > 0.0:
        return bus
    rated_wh = sum(s.rated_ah * s.parameters.nominal_v * s.units * s.cells_per_unit for s in members)
    return replace(bus, load_w=members[0].parameters.charger.load_per_h * rated_wh)
