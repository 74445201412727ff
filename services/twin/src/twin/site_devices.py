"""The devices on each line of a site, as `site.toml` describes it, with identities of the twin's own."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from cellkeeper.contract.site import SensorTable, Site, StringTable

from twin.bus.devices import DeviceSpec, Flag, Quantity
from twin.bus.wire_codec import Kind

FLOOR_V: Final = {
    "lfp": 3.0, "lto": 2.1, "na_ion": 2.6, "nicd": 1.2, "nizn": 1.6, "nmc": 3.3, "vented_lead": 2.0, "vrla_agm": 2.0,
}  # fmt: skip
"""Bleed floor per electrochemical cell that somebody stored in a commissioned module."""
FACTORY_FLOOR_V: Final = {Kind.CELL: 2.0, Kind.BLOCK: 12.0}  # section 6, CONFIG
SMALL_CURRENT_A: Final = 524.0  # above it the sensor is of the large kind, section 5.3
UNIT_FLAGS: Final = Flag.BOTH_DIRECTIONS | Flag.TEMPERATURE | Flag.DC_PULSE | Flag.AC | Flag.BLEED


@dataclass(frozen=True, slots=True)
class UnitType:
    """What the protocol says of a module type for single units: kind, rated range in volts, serial prefix."""

    kind: Kind
    rated_min_v: float
    rated_max_v: float
    prefix: str


UNIT_TYPES: Final = {
    "c44": UnitType(Kind.CELL, 0.7, 4.8, "C44"),
    "c24": UnitType(Kind.BLOCK, 3.5, 16.0, "C24"),
    "c20": UnitType(Kind.BLOCK, 7.0, 32.0, "C20"),
}


def devices_by_bus(site: Site, *, seed: int, fresh: bool = False) -> dict[str, list[DeviceSpec]]:
    """Return the devices of every c44 bus in the order of the line: units, then sensors, then AUX devices.

    Args:
        site: that describes them.
        seed: of their identities.
        fresh: unit modules come as from the factory, nobody has stored the settings of their unit.
    """
    found: dict[str, list[DeviceSpec]] = {bus.id: [] for bus in site.bus if bus.driver == "c44"}
    baud_of = {bus.id: bus.baud for bus in site.bus}
    serials = _numbers(site.site.id, seed)
    for bus, spec in [*_units(site, fresh=fresh), *_sensors(site), *_aux(site)]:
        if bus in found:
            number = next(serials)
            identity = f"{spec.serial}-{number:07d}"
            found[bus].append(
                replace(spec, uid=_uid(site.site.id, seed, number), serial=identity, stored_baud=baud_of[bus])
            )
    return found


def _units(site: Site, *, fresh: bool) -> Iterator[tuple[str, DeviceSpec]]:
    for string in site.string:
        unit_type, per_unit = UNIT_TYPES[string.module_type], string.cells_per_unit
        floor_v = string.chemistry_override.bleed_floor_v or FLOOR_V[string.chemistry]
        stored = (0, FACTORY_FLOOR_V[unit_type.kind]) if fresh else (per_unit, floor_v * per_unit)
        cell = 0
        for run in string.modules:
            for address in range(run.first_address, run.last_address + 1):
                cell += 1
                yield run.bus, _unit(string, unit_type, address, cell, stored)


def _unit(string: StringTable, unit_type: UnitType, address: int, cell: int, stored: tuple[int, float]) -> DeviceSpec:
    return DeviceSpec(
        kind=unit_type.kind,
        uid=0,
        serial=unit_type.prefix,
        address=address,
        flags=UNIT_FLAGS,
        rated_min=unit_type.rated_min_v,
        rated_max=unit_type.rated_max_v,
        string=string.id,
        cell=cell,
        bleed_max_a=string.bleed_max_a,
        bleed_floor=stored[1],
        cells_per_unit=stored[0],
    )


def _sensors(site: Site) -> Iterator[tuple[str, DeviceSpec]]:
    for string in site.string:
        parallel = sum(sensor.kind == "current" for sensor in string.sensor)
        for sensor in string.sensor:
            yield sensor.bus, _sensor(string, sensor, parallel)


def _sensor(string: StringTable, sensor: SensorTable, parallel: int) -> DeviceSpec:
    share_frac = 1.0 / parallel if sensor.kind == "current" else 1.0
    range_a = sensor.range_a or 2.0 * string.rated_ah
    kind, quantity, high, prefix = _kind_of(sensor, range_a)
    low = 0.0 if quantity in {"string_voltage", "ambient"} else -high
    return DeviceSpec(
        kind=kind,
        uid=0,
        serial=prefix,
        address=sensor.address,
        flags=Flag.BOTH_DIRECTIONS | (Flag.TEMPERATURE if quantity == "ambient" else Flag(0)),
        rated_min=low,
        rated_max=high,
        quantity=quantity,
        string=string.id,
        share_frac=-share_frac if sensor.reversed else share_frac,
    )


def _kind_of(sensor: SensorTable, range_a: float) -> tuple[Kind, Quantity, float, str]:
    """Return kind, quantity, upper end of the rated range, and serial prefix."""
    match sensor.kind:
        case "current" | "ripple":
            kind = Kind.CURRENT if range_a <= SMALL_CURRENT_A else Kind.CURRENT_LARGE
            return kind, sensor.kind, range_a, "CUR"
        case "float_current":
            return Kind.CURRENT_FLOAT, "float_current", min(sensor.range_a or 5.0, 52.0), "FLT"
        case "string_voltage":
            return Kind.STRING_VOLTAGE, "string_voltage", sensor.range_v or 1000.0, "VST"
        case "ambient":
            return Kind.AMBIENT, "ambient", 100.0, "AMB"


def _aux(site: Site) -> Iterator[tuple[str, DeviceSpec]]:
    for aux in site.aux:
        flags = Flag.TEMPERATURE
        yield (
            aux.bus,
            DeviceSpec(
                kind=Kind.AUX,
                uid=0,
                serial="AUX",
                address=aux.address,
                flags=flags | Flag.BOTH_DIRECTIONS,
                rated_min=0.0,
                rated_max=65_535.0,
                quantity="aux",
                bleed_floor=0.0,
            ),
        )


def _numbers(site: str, seed: int) -> Iterator[int]:
    number = zlib.crc32(f"{site}:{seed}".encode()) % 1_000_000
    while True:
        number += 1
        yield number


def _uid(site: str, seed: int, number: int) -> int:
    """Return a uid that the same site and seed always get; never 0 or all ones."""
    high = zlib.crc32(f"{site}:{seed}:uid".encode()) & 0x7FFF_FFFF
    return high << 32 | number
