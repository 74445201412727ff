"""Which processes a site needs, in which order, and what each is told. Pure: entry points and settings come in."""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

from cellkeeper.cli.children import ChildPlan
from cellkeeper.contract.site import Site
from cellkeeper.runtime.broker import CONFIGURATION, find_mosquitto
from cellkeeper.runtime.errors import StartRefusedError

SERVICES_GROUP: Final = "cellkeeper.services"
ON_REQUEST: Final = frozenset({"twin"})  # stands in for hardware: never started unless it is asked for
WITHOUT_PAGE: Final = frozenset({"twin"})
STARTED_FIRST: Final = ("historian", "twin")  # so that the first scan of a gateway already meets a store and a bus


@dataclass(frozen=True, slots=True)
class SuiteSettings:
    """What all processes of a suite have in common.

    Attributes:
        site_file, state_dir: the description of the site, and where state lives; absolute.
        mqtt_port: the broker on this machine.
        http_ports: loopback port of each service's pages; absent for none.
        clock: a scaled clock as `str(ScaledClock)` writes it; None for the system's.
        extra: further variables for every process.
        secrets_dir: holds a folder of certificates for each service; None for a broker that takes everybody.
    """

    site_file: Path
    state_dir: Path
    mqtt_host: str
    mqtt_port: int
    http_ports: Mapping[str, int]
    clock: str | None = None
    extra: Mapping[str, str] | None = None
    secrets_dir: Path | None = None


def installed_services() -> dict[str, str]:
    """Return the modules of all installed services by their kind: {"historian": "historian"}."""
    return {entry.name: entry.value.partition(":")[0] for entry in entry_points(group=SERVICES_GROUP)}


def instances(site: Site, installed: Mapping[str, str], wanted: tuple[str, ...]) -> dict[str, str]:
    """Return the kind of each process by its instance name, in starting order.

    Args:
        site: names its gateways; each is a process of its own.
        installed: as `installed_services` returns it.
        wanted: kinds that run on request only and are requested.

    Raises:
        StartRefusedError: a kind that is needed or wanted is not installed.
    """
    gateways = {table.service: _kind_of(table.service, installed) for table in site.gateway}
    on_request = {kind: _kind_of(kind, installed) for kind in wanted}
    others = {kind: kind for kind in installed if kind not in ON_REQUEST and kind not in gateways.values()}
    found = others | on_request | gateways
    first = [name for name in STARTED_FIRST if name in found]
    return {name: found[name] for name in [*first, *(name for name in found if name not in first)]}


def _kind_of(instance: str, installed: Mapping[str, str]) -> str:
    """Return the kind with the longest name that `instance` begins with: `bus-gateway-2` is a `bus-gateway`."""
    kinds = [kind for kind in installed if instance.startswith(kind)]
    if not kinds:
        known = ", ".join(sorted(installed)) or "none"
        raise StartRefusedError(f"no installed service is called {instance!r}; there are {known}")
    return max(kinds, key=len)


def http_ports(found: Mapping[str, str], first: int, free: Callable[[int], int] = int) -> dict[str, int]:
    """Return the loopback port of each service's health and metrics: the historian's first, the others' after it.

    Args:
        found: as `instances` returns it.
        first: of the historian, whose API it serves too.
        free: returns the port to use for one that is wanted; raises when there is none.
    """
    with_page = sorted((name for name, kind in found.items() if kind not in WITHOUT_PAGE), key=_historian_first(found))
    ports: dict[str, int] = {}
    for name in with_page:
        ports[name] = first = free(first)
        first += 1
    return ports


def _historian_first(found: Mapping[str, str]) -> Callable[[str], bool]:
    return lambda name: found[name] != "historian"


def metrics_pages(ports: Mapping[str, int]) -> str:
    """Return where the metrics of each service are, in one line."""
    return ", ".join(f"{name} http://127.0.0.1:{port}/metrics" for name, port in ports.items())


def service_plans(settings: SuiteSettings, found: Mapping[str, str], installed: Mapping[str, str]) -> list[ChildPlan]:
    """Return one plan per service instance."""
    return [
        ChildPlan(
            name,
            (sys.executable, "-m", installed[kind].partition(".")[0]),
            _environment(settings, name, settings.http_ports.get(name, 0)),
        )
        for name, kind in found.items()
    ]


def _environment(settings: SuiteSettings, service: str, http_port: int) -> dict[str, str]:
    clock = {"CELLKEEPER_CLOCK": settings.clock} if settings.clock else {}
    secrets = {"CELLKEEPER_SECRETS_DIR": str(settings.secrets_dir / service)} if settings.secrets_dir else {}
    return {
        "CELLKEEPER_SERVICE": service,
        "CELLKEEPER_SITE_FILE": str(settings.site_file),
        "CELLKEEPER_STATE_DIR": str(settings.state_dir),
        "CELLKEEPER_MQTT_HOST": settings.mqtt_host,
        "CELLKEEPER_MQTT_PORT": str(settings.mqtt_port),
        "CELLKEEPER_HTTP_PORT": str(http_port),
        "CELLKEEPER_DIE_WITH_PARENT": "1",
        **clock,
        **secrets,
        **(settings.extra or {}),
    }


def broker_plan(folder: Path, port: int) -> ChildPlan:
    """Write the broker's configuration and return how to run it; raises StartRefusedError without Mosquitto."""
    program = find_mosquitto()
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "mosquitto.conf"
    configuration.write_text(CONFIGURATION.format(port=port), "utf-8")
    return ChildPlan("broker", (sys.executable, "-m", "cellkeeper.cli.tied", program, "-c", str(configuration)))


def secured_broker_plan(broker_dir: Path, run_dir: Path, uid: int | None) -> ChildPlan:
    """Return how to run the broker of a site's folder, as user `uid` when that is another one."""
    run_dir.mkdir(parents=True, exist_ok=True)
    if uid is not None:
        os.chown(run_dir, uid, uid)
    as_user = () if uid is None else ("--user", str(uid))
    command = (sys.executable, "-m", "cellkeeper.cli.tied", *as_user, "/bin/sh", str(broker_dir / "start"))
    return ChildPlan("broker", command, {"CELLKEEPER_BROKER_RUN": str(run_dir)})
