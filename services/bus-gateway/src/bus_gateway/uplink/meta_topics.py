"""What retained topics say about the site, its strings and devices. Pure: site and records in, payloads out."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final, Literal

from cellkeeper.contract.channels import CONTRACT_REVISION
from cellkeeper.contract.moment import from_ms
from cellkeeper.contract.physical import ModuleStatus
from cellkeeper.contract.site import SensorTable, Site, StringTable
from cellkeeper.contract.telemetry import AuxState, ModuleState, SensorMeta, SiteMeta, StringMeta
from cellkeeper.contract.wire import encode

from bus_gateway.driver import AuxReadings, ModuleRecord
from bus_gateway.uplink.service_register import ServiceRegister

_UNITS: Final[Mapping[str, Literal["A", "V", "degC"]]] = {
    "current": "A",
    "float_current": "A",
    "string_voltage": "V",
    "ripple": "A",
    "ambient": "degC",
}


def site_meta(site: Site, register: ServiceRegister, now_ms: int) -> SiteMeta:
    """Return what is on this site; a service that never spoke has no version."""
    return SiteMeta(
        site=site.site.id,
        name=site.site.name,
        at=from_ms(now_ms),
        strings=[string.id for string in site.string],
        dcbuses=[dcbus.id for dcbus in site.dcbus],
        services=register.services,
        versions=register.versions,
        contract=CONTRACT_REVISION,
    )


def string_meta(site: Site, string: StringTable, now_ms: int) -> StringMeta:
    """Return what a string is; `rev` changes exactly when anything but the time does."""
    profile = string.profile
    meta = StringMeta(
        string=string.id,
        at=from_ms(0),
        name=string.name or string.id,
        cells=string.cells,
        cells_per_unit=string.cells_per_unit,
        chemistry=string.chemistry,
        rated_ah=string.rated_ah,
        rate_h=string.rate_h,
        ref_degc=string.ref_degc,
        end_v=round((string.end_v or profile.cutoff_v) * string.cells_per_unit, 4),
        dcbus=string.dcbus,
        sensors=[_sensor(sensor) for sensor in string.sensor],
        bleed_max_a=string.bleed_max_a,
        scan_s=site.site.scan_s,
        refresh_s=site.site.refresh_s,
        stale_after_s=site.site.stale_after_s,
        resolution_v=string.resolution_v,
        limits=profile.limits(string.cells_per_unit),
        gateway=site.gateway_of(string),
        rev="",
    )
    rev = sha256(encode(meta)).hexdigest()[:12]
    return meta.model_copy(update={"at": from_ms(now_ms), "rev": rev})


def _sensor(sensor: SensorTable) -> SensorMeta:
    reach = sensor.range_v if sensor.kind == "string_voltage" else sensor.range_a
    signed = sensor.kind in ("current", "float_current")
    return SensorMeta(
        kind=sensor.kind,
        bus=sensor.bus,
        address=sensor.address,
        unit=_UNITS[sensor.kind],
        range_min=None if reach is None else (-reach if signed else 0.0),
        range_max=reach,
        accuracy=sensor.accuracy,
    )


def module_state(record: ModuleRecord, now_ms: int) -> ModuleState:
    """Return a module as its topic shows it."""
    status = ModuleStatus(record.status & 63)
    return ModuleState(
        serial=record.serial,
        at=from_ms(now_ms),
        type=record.type,
        hardware=record.hardware,
        firmware=record.firmware,
        bus=record.bus,
        address=record.address,
        string=record.string,
        cell=record.cell,
        led=_led(status),
        fuse_open=ModuleStatus.FUSE_OPEN in status,
        disconnected=ModuleStatus.DISCONNECTED in status,
        resets=record.resets,
        silent=record.silent,
    )


def _led(status: ModuleStatus) -> Literal["off", "red", "green", "both", "identify"]:
    if ModuleStatus.IDENTIFY in status:
        return "identify"
    match ModuleStatus.RED_LED in status, ModuleStatus.GREEN_LED in status:
        case True, True:
            return "both"
        case True, False:
            return "red"
        case False, True:
            return "green"
        case _:
            return "off"


def aux_state(readings: AuxReadings) -> AuxState:
    """Return an AUX device as its topic shows it."""
    return AuxState(
        serial=readings.serial,
        measured_at=from_ms(readings.measured_ms),
        bus=readings.bus,
        address=readings.address,
        inputs=list(readings.inputs),
        relays=list(readings.relays),
        supply_v=readings.supply_v,
        quality=readings.quality,
    )


def places_of(site: Site, service: str) -> set[tuple[str, int]]:
    """Return every (bus, address) that `site.toml` gives this gateway."""
    mine = {bus.id for bus in site.bus if bus.gateway == service}
    runs: Sequence[tuple[str, int, int]] = [
        *((run.bus, run.first_address, run.last_address) for string in site.string for run in string.modules),
        *((sensor.bus, sensor.address, sensor.address) for string in site.string for sensor in string.sensor),
        *((aux.bus, aux.address, aux.address) for aux in site.aux),
    ]
    return {(bus, address) for bus, first, last in runs if bus in mine for address in range(first, last + 1)}
