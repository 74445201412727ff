"""A site in the words of Home Assistant's MQTT discovery: one device per string, made from the topic table. Pure.

One message per device (Home Assistant 2024.11 and newer), retained. Nothing here publishes it: who wants it sends it to
the broker that Home Assistant is on. Format: home-assistant.io/integrations/mqtt, "Device discovery payload".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cellkeeper.contract.channels import ESTIMATE, MODE, PRESENCE, SUMMARY, Channel
from cellkeeper.contract.payload import Telemetry
from cellkeeper.contract.site import Site, StringTable

ROOT: Final = "homeassistant"
ANALYTICS: Final = "analytics"
_THERE: Final = "{{ 'online' if value_json.state in ('ready', 'degraded') else 'offline' }}"
_LOWEST_CHARGE: Final = (
    "{% set known = value_json.soc_frac | select('number') | list %}"
    "{{ (100 * known | min) | round(1) if known else None }}"
)


@dataclass(frozen=True, slots=True)
class _Shown:
    """One entity of a string.

    Attributes:
        key: its id within the device.
        name: for people.
        channel: where its value comes from.
        value: template over the payload, `value_json`.
        unit, device_class: as Home Assistant knows them; empty where it has none.
        platform: kind of entity.
    """

    key: str
    name: str
    channel: Channel[Telemetry]
    value: str
    unit: str = ""
    device_class: str = ""
    platform: str = "sensor"


def _fresh(field: str) -> str:
    """Return the template of a field of the summary; unknown while the summary says that it is old."""
    return f"{{{{ value_json.{field} if value_json.fresh else None }}}}"


_ENTITIES: Final = (
    _Shown("string_v", "Voltage", SUMMARY, _fresh("string_v"), "V", "voltage"),
    _Shown("current_a", "Current", SUMMARY, _fresh("current_a"), "A", "current"),
    _Shown("min_v", "Lowest unit", SUMMARY, _fresh("min_v"), "V", "voltage"),
    _Shown("min_v_cell", "Number of the lowest unit", SUMMARY, _fresh("min_v_cell")),
    _Shown("max_v", "Highest unit", SUMMARY, _fresh("max_v"), "V", "voltage"),
    _Shown("max_degc", "Warmest unit", SUMMARY, _fresh("max_degc"), "°C", "temperature"),
    _Shown("coverage", "Usable units", SUMMARY, "{{ (100 * value_json.coverage_frac) | round(1) }}", "%"),
    _Shown("mode", "Mode", MODE, "{{ value_json.mode }}"),
    _Shown("on_battery", "On battery", MODE, "{{ 'ON' if value_json.mode == 'discharge' else 'OFF' }}",
           platform="binary_sensor"),
    _Shown("lowest_charge", "Charge of the emptiest unit", ESTIMATE, _LOWEST_CHARGE, "%", "battery"),
    _Shown("runtime_s", "Runtime at this load", ESTIMATE, "{{ value_json.runtime.bus_left_s }}", "s", "duration"),
)  # fmt: skip


def discovery(site: Site) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield topic and payload of each string; the payload is to be sent as JSON, retained."""
    for string in site.string:
        device = f"cellkeeper_{site.site.id}_{string.id}"
        yield (
            f"{ROOT}/device/{device}/config",
            {
                "device": {
                    "identifiers": [device],
                    "name": f"{site.site.name} {string.name or string.id}",
                    "manufacturer": "Cellkeeper",
                    "model": f"{string.cells} units, {string.chemistry}",
                },
                "origin": {"name": "Cellkeeper"},
                "components": {shown.key: _component(shown, device, site, string) for shown in _ENTITIES},
            },
        )


def _component(shown: _Shown, device: str, site: Site, string: StringTable) -> dict[str, object]:
    writer = site.gateway_of(string) if shown.channel is SUMMARY else ANALYTICS
    found: dict[str, object] = {
        "platform": shown.platform,
        "unique_id": f"{device}_{shown.key}",
        "name": shown.name,
        "state_topic": shown.channel.topic(site=site.site.id, string=string.id),
        "value_template": shown.value,
        "expire_after": int(site.site.stale_after_s),
        "availability_topic": PRESENCE.topic(site=site.site.id, service=writer),
        "availability_template": _THERE,
    }
    if shown.unit:
        found |= {"unit_of_measurement": shown.unit, "state_class": "measurement"}
    if shown.device_class:
        found["device_class"] = shown.device_class
    return found
