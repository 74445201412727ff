"""`cellkeeper up`: run the services of a site natively, as supervised child processes."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from cellkeeper.cli.children import ChildPlan, Supervisor
from cellkeeper.cli.suite_plan import (
    SuiteSettings,
    broker_plan,
    http_ports,
    installed_services,
    instances,
    metrics_pages,
    secured_broker_plan,
    service_plans,
)
from cellkeeper.cli.suite_run import is_open, prefixed, running, stop_on_signals
from cellkeeper.contract.site_file import load_site
from cellkeeper.runtime.clock import clock_from
from cellkeeper.runtime.errors import StartRefusedError
from cellkeeper.site_folder.furnish import load_access
from cellkeeper.site_folder.layout import SiteFolder

HTTP_PORT: Final = 8420
HIGHEST_PORT: Final = 65_535
RENEWALS_EVERY_S: Final = 5.0  # a renewed certificate has a month of overlap; a person who waits for it has less


def up(  # noqa: PLR0913  # options of a command line, each with a default
    *,
    site_file: Annotated[
        Path, typer.Option("--site", help="the description of the site, or the folder that `cellkeeper init` made")
    ] = Path("site.toml"),
    state_dir: Annotated[
        Path | None, typer.Option("--state", help="where services keep what must survive; else state, in the folder")
    ] = None,
    host: Annotated[str, typer.Option("--host", help="where the broker is, without a site folder")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65_535, help="its port, without a site folder")] = 1883,
    http_port: Annotated[
        int,
        typer.Option(min=1, max=65_535, help="historian's loopback port; metrics of others follow"),
    ] = HTTP_PORT,
    broker: Annotated[
        bool, typer.Option("--broker", help="run Mosquitto too: the folder's, or one on loopback that takes everybody")
    ] = False,
    with_services: Annotated[
        list[str] | None, typer.Option("--with", help="also run this one, for example twin")
    ] = None,
    clock: Annotated[str | None, typer.Option(help="scaled clock for all: start_ms:speed:origin_s")] = None,
) -> None:
    """Run the services of a site as supervised child processes; Ctrl-C stops them in order."""
    folder = SiteFolder(site_file.resolve()) if site_file.is_dir() else None
    if folder is not None:
        host, port = _broker_of(folder)
        site_file, state_dir = folder.site_file, state_dir or folder.state
    site = load_site(site_file)
    _require_clock(clock)
    if broker and is_open("127.0.0.1", port):
        raise StartRefusedError(f"port {port} is in use; leave out --broker to use that broker, or name another port")
    installed = installed_services()
    found = instances(site, installed, tuple(with_services or ()))
    settings = SuiteSettings(
        site_file.resolve(),
        (state_dir or Path("state")).resolve(),
        host,
        port,
        http_ports(found, http_port, _require_free),
        clock,
        secrets_dir=folder.path / "secrets" if folder else None,
    )
    own_broker = _own_broker(settings, folder) if broker else None
    asyncio.run(_supervise(own_broker, folder, settings, service_plans(settings, found, installed)))


def _broker_of(folder: SiteFolder) -> tuple[str, int]:
    folder.require()
    access = load_access(folder).broker
    return access.local_host, access.services_port


def _own_broker(settings: SuiteSettings, folder: SiteFolder | None) -> ChildPlan:
    place = settings.state_dir / "broker"
    if folder is None:
        return broker_plan(place, settings.mqtt_port)
    uid = load_access(folder).broker.uid
    return secured_broker_plan(folder.broker, place, None if uid == os.geteuid() else uid)


def _require_clock(text: str | None) -> None:
    try:
        clock_from(text)
    except ValueError as exc:
        raise StartRefusedError(f"--clock: {exc}; it is start_ms:speed:origin_s") from exc


def _require_free(port: int) -> int:
    if port > HIGHEST_PORT or is_open("127.0.0.1", port):
        raise StartRefusedError(
            f"port {port}, for health and metrics of a service, is in use or too high; name a --http-port that has as "
            "many free ports after it as there are services"
        )
    return port


async def _supervise(
    broker: ChildPlan | None, folder: SiteFolder | None, settings: SuiteSettings, plans: list[ChildPlan]
) -> None:
    stop = stop_on_signals()
    sink = prefixed(typer.echo, colour=sys.stdout.isatty())
    sink("up", f"starts {', '.join(plan.name for plan in ([broker] if broker else []) + plans)}")
    sink("up", f"metrics: {metrics_pages(settings.http_ports)}")
    async with running(sink, broker, settings.mqtt_port, plans) as supervisor, asyncio.TaskGroup() as tasks:
        tending = None
        if broker is not None and folder is not None:
            tending = tasks.create_task(_tell_renewals(supervisor, broker.name, folder), name="renewals")
        await stop.wait()
        if tending is not None:
            tending.cancel()
        sink("up", "stops in order")
    sink("up", "stopped")


async def _tell_renewals(supervisor: Supervisor, broker: str, folder: SiteFolder) -> None:
    """Have the broker read its certificate again whenever that was renewed; sessions go on."""
    certificate = folder.broker / "broker.crt"
    known = _written_ns(certificate)
    while True:
        await asyncio.sleep(RENEWALS_EVERY_S)
        now = _written_ns(certificate)
        if now is not None and now != known:
            known = now
            supervisor.signal(broker, signal.SIGHUP)


def _written_ns(path: Path) -> int | None:
    """Return when a file was written; None while it is not there or not for us to see."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None
