"""The battery room of the demo: how large, how fast, and its site.toml. Pure: nothing is started or written here."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from cellkeeper.contract.chemistry import profiles
from cellkeeper.contract.identity import MAX_CELLS_PER_STRING
from cellkeeper.runtime.errors import StartRefusedError

MODULES_PER_LINE: Final = 120
BAUD: Final = 115_200
LONGEST_SCAN_S: Final = 10.0  # event time between two scans is never longer
SCAN_BASE_REAL_S: Final = 0.25  # sample window, sensors, re-asks and the wait for a busy machine
SCAN_MODULE_REAL_S: Final = 0.00125  # a 12-byte reply with its pause at 115.2 kBd
SCAN_MARGIN: Final = 1.25
SITE_ID: Final = "demo"
LITHIUM_CELLS: Final = 440  # above it a lithium string would pass the 2000 V that a string may have


class DemoSettings(BaseSettings):
    """What the environment says about the demo, `DEMO_*`.

    Attributes:
        strings, cells: size of the room; cells per string.
        seconds: stop by itself after this much real time; None for never.
        speed: event seconds per real second.
        port: MQTT on loopback; the next free one if it is taken.
        dir: where all state of the demo lives.
        scenario: name or file of a twin scenario; None for its own.
    """

    model_config = SettingsConfigDict(env_prefix="DEMO_", extra="ignore", frozen=True, env_ignore_empty=True)

    strings: Annotated[int, Field(ge=1, le=64)] = 4
    cells: Annotated[int, Field(ge=1, le=MAX_CELLS_PER_STRING)] = 240
    seconds: Annotated[float, Field(gt=0.0)] | None = None
    speed: Annotated[float, Field(gt=0.0)] = 1.0
    port: Annotated[int, Field(ge=1, le=65_535)] = 1883
    dir: Path = Path(".demo")
    scenario: str | None = None

    @property
    def scan_s(self) -> float:
        """Event seconds between two scans: one, or what the bus needs at this speed."""
        return max(1.0, round(self.real_scan_s * self.speed, 1))

    @property
    def real_scan_s(self) -> float:
        """Real seconds that a scan of the longest line needs, with a margin."""
        return SCAN_MARGIN * (SCAN_BASE_REAL_S + SCAN_MODULE_REAL_S * min(self.cells, MODULES_PER_LINE))


@dataclass(frozen=True, slots=True)
class DemoPlace:
    """Folders and ports of one run; all paths are absolute."""

    folder: Path
    mqtt_port: int
    http_ports: Mapping[str, int]

    @property
    def clock_file(self) -> Path:
        """Where event time goes on from at the next start."""
        return self.folder / "clock.json"


def settings_from_environment() -> DemoSettings:
    """Return the settings; raises StartRefusedError with every wrong variable, or a speed that cannot be held."""
    try:
        settings = DemoSettings()
    except ValidationError as exc:
        problems = [f"DEMO_{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in exc.errors()]
        raise StartRefusedError("; ".join(problems)) from exc
    if settings.scan_s > LONGEST_SCAN_S:
        highest = LONGEST_SCAN_S / settings.real_scan_s
        raise StartRefusedError(
            f"DEMO_SPEED={settings.speed:g} cannot be held: a scan takes {settings.real_scan_s:.2f} s on the bus and "
            f"event time between two scans is at most {LONGEST_SCAN_S:g} s; the highest speed here is {highest:.0f}"
        )
    return settings


@dataclass(frozen=True, slots=True)
class _Kind:
    """A battery of the demo. Strings of one dc bus share a charger, so they are of one kind."""

    chemistry: str
    name: str
    rated_ah: float
    balance: str = ""
    battery: str = ""


_PERMITTED: Final = 'permitted_by = "the demo: no battery with a management system of its own is behind it"\n'
_LEAD: Final = _Kind("vrla_agm", "VRLA AGM", 200.0, battery="generic-vrla-2v-200ah-ups.toml")
_LFP: Final = _Kind("lfp", "LFP", 100.0, _PERMITTED, "generic-lfp-100ah.toml")
_ROUND: Final = (_LEAD, _LEAD, _LFP, _Kind("nmc", "NMC", 94.0, _PERMITTED))
_SMALL: Final = _Kind("lfp", "small LFP", 5.0, f"{_PERMITTED}budget_w = 0.7\n")
LOAD_PER_H: Final = 1.5  # of what a full string holds, nominally
UNEVEN: Final = "uneven"  # the scenario that shows balancing: cells so small that it takes minutes, not a night


def site_toml(settings: DemoSettings, ports: Path) -> str:
    """Return the demo's site.toml; `ports` is the absolute folder where the twin puts its serial ports."""
    parts = [
        "# Written by `cellkeeper demo`; examples/site.toml explains every key.\n",
        (
            f'[site]\nid = "{SITE_ID}"\nname = "Battery-room twin"\nscan_s = {settings.scan_s}\n'
            "refresh_s = 60.0\nstale_after_s = 180.0\n"
        ),
        '[[gateway]]\nservice = "bus-gateway"\njournal_max_mb = 512\n',
    ]
    for number in range(1, settings.strings + 1):
        kind = _kind_of(number, settings)
        dcbus = _dcbus_of(number, settings)
        if number == 1 or dcbus != _dcbus_of(number - 1, settings):
            load_w = _load_w(dcbus, kind, settings)
            parts.append(f'[[dcbus]]\nid = "{dcbus}"\nname = "{kind.name} bus of s{number}"\nload_w = {load_w}\n')
        parts += _string(number, kind, dcbus, settings.cells, ports)
    return "\n".join(parts)


def _kind_of(number: int, settings: DemoSettings) -> _Kind:
    if settings.cells > LITHIUM_CELLS:
        return _LEAD
    if settings.scenario == UNEVEN and number == 1:
        return _SMALL
    return _ROUND[(number - 1) % len(_ROUND)]


def _dcbus_of(number: int, settings: DemoSettings) -> str:
    return f"ups{(number + 1) // 2}" if _kind_of(number, settings) is _LEAD else f"bess{number}"


def _load_w(dcbus: str, kind: _Kind, settings: DemoSettings) -> float:
    """Return what the load of a dc bus takes from it: all that its strings hold in 40 minutes, as UPS rooms have it."""
    strings = sum(_dcbus_of(number, settings) == dcbus for number in range(1, settings.strings + 1))
    return round(LOAD_PER_H * strings * settings.cells * kind.rated_ah * profiles()[kind.chemistry].nominal_v, -1)


def _string(number: int, kind: _Kind, dcbus: str, cells: int, ports: Path) -> list[str]:
    starts = range(0, cells, MODULES_PER_LINE)
    lines = [f"s{number}-line{line}" for line in range(1, len(starts) + 1)]
    counts = [min(MODULES_PER_LINE, cells - start) for start in starts]
    sensors = (
        ("current", 1001, "range_a = 600.0"),
        *((("float_current", 1002, "range_a = 5.0"),) if kind is _LEAD else ()),
        ("string_voltage", 1003, "range_v = 2000.0"),
        ("ambient", 1005, ""),
    )
    return [
        *(f'[[bus]]\nid = "{line}"\nport = "{ports / line}"\nbaud = {BAUD}\n' for line in lines),
        (
            f'[[string]]\nid = "s{number}"\nname = "String {number}, {kind.name}"\ndcbus = "{dcbus}"\ncells = {cells}\n'
            f'chemistry = "{kind.chemistry}"\nrated_ah = {kind.rated_ah}\n'
            + (f'battery = "{kind.battery}"\n' if kind.battery else "")
        )
        + (f"bleed_max_a = 0.2\n[string.balance]\n{kind.balance}" if kind.balance else ""),
        *(
            f'[[string.modules]]\nbus = "{line}"\nfirst_address = 1\ncount = {count}\n'
            for line, count in zip(lines, counts, strict=True)
        ),
        *(
            f'[[string.sensor]]\nkind = "{kind_of_sensor}"\nbus = "{lines[0]}"\naddress = {address}\n{limits}\n'
            for kind_of_sensor, address, limits in sensors
        ),
    ]
