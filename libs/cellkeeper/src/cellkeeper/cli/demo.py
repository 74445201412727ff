"""`cellkeeper demo` (also `make demo`): the whole suite against the battery-room twin, on this machine."""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final, TextIO

import typer

from cellkeeper.cli.children import LineSink, Supervisor
from cellkeeper.cli.demo_room import SITE_ID, DemoPlace, DemoSettings, settings_from_environment, site_toml
from cellkeeper.cli.demo_scenario import refuse_unknown_scenario, refuse_wrong_scenario
from cellkeeper.cli.demo_telling import LogBook, Troubles, status_line, where_to_look
from cellkeeper.cli.site_feed import feeding
from cellkeeper.cli.site_view import SiteView
from cellkeeper.cli.suite_plan import (
    SuiteSettings,
    broker_plan,
    http_ports,
    installed_services,
    instances,
    service_plans,
)
from cellkeeper.cli.suite_run import running, stop_on_signals
from cellkeeper.contract.site_file import parse_site
from cellkeeper.runtime.broker import free_port
from cellkeeper.runtime.clock import Clock, ScaledClock, SystemClock
from cellkeeper.runtime.errors import StartRefusedError
from cellkeeper.runtime.service import only_instance

READY_DEADLINE_S: Final = 90.0  # twin, gateway and historian of 4096 cells are up in under 20 on two cores
STATUS_EVERY_S: Final = 5.0
POLL_S: Final = 0.2
STORES: Final = "historian "
HTTP_PORT: Final = 8420
MAX_LOG_BYTES: Final = 20_000_000
USED_WRONGLY: Final = 2


def demo() -> None:
    """Run the whole suite against the battery-room twin; settings come from the environment (DEMO_…).

    DEMO_STRINGS (4), DEMO_CELLS (240, per string), DEMO_SECONDS (stop by itself), DEMO_SPEED (1), DEMO_PORT (1883, the
    next free one if taken), DEMO_DIR (.demo), DEMO_SCENARIO (of the twin). The history survives the next start.
    """
    try:
        settings = settings_from_environment()
        refuse_unknown_scenario(settings.scenario)
        folder = settings.dir.resolve()
        text = site_toml(settings, folder / "bus")
        site = parse_site(text.encode())
        refuse_wrong_scenario(settings.scenario, site)
    except StartRefusedError as exc:
        typer.echo(f"cellkeeper: {exc}", err=True)
        raise typer.Exit(USED_WRONGLY) from exc
    with _folder_of_its_own(folder):
        installed = installed_services()
        found = instances(site, installed, ("twin",))
        place = DemoPlace(folder, free_port(settings.port), http_ports(found, HTTP_PORT, free_port))
        (folder / "site.toml").write_text(text, "utf-8")
        asyncio.run(_run(settings, place, found, installed))


@contextmanager
def _folder_of_its_own(folder: Path) -> Iterator[None]:
    try:
        (folder / "bus").mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise StartRefusedError(f"{folder}: {exc.strerror}; choose another DEMO_DIR") from exc
    with ExitStack() as held:
        try:
            held.enter_context(only_instance(folder, "demo"))
        except StartRefusedError as exc:
            process = (folder / "demo.lock").read_text("utf-8").strip() or "unknown"
            raise StartRefusedError(
                f"a demo already runs in {folder} (process {process}); stop it, or choose another DEMO_DIR"
            ) from exc
        yield


async def _run(
    settings: DemoSettings, place: DemoPlace, found: Mapping[str, str], installed: Mapping[str, str]
) -> None:
    stop = stop_on_signals()
    site_file = place.folder / "site.toml"
    clock = make_clock(place.clock_file, settings.speed)
    extra = {"CELLKEEPER_SCENARIO": settings.scenario} if settings.scenario else {}
    told_clock = str(clock) if isinstance(clock, ScaledClock) else None
    state_dir = place.folder / "state"
    suite = SuiteSettings(site_file, state_dir, "127.0.0.1", place.mqtt_port, place.http_ports, told_clock, extra)
    plans = service_plans(suite, found, installed)
    broker = broker_plan(place.folder / "broker", place.mqtt_port)
    view = SiteView(SITE_ID)
    with (place.folder / "suite.log").open("a", encoding="utf-8") as log:
        async with (
            running(_log_and_warn(log), broker, place.mqtt_port, plans) as supervisor,
            feeding(view, "127.0.0.1", place.mqtt_port),
        ):
            try:
                if await _until_stored(settings, view, stop, supervisor):
                    typer.echo(where_to_look(settings, place))
                    await _tell_status(settings, view, stop)
            finally:
                typer.echo("stops in order …")
                remember_clock(place.clock_file, clock)
    typer.echo(f"stopped; the history stays in {place.folder}")


def make_clock(remembered: Path, speed: float) -> Clock:
    """Return the clock of this run: the system's, or a scaled one that never begins before the last run's end."""
    last_ms = 0
    with suppress(OSError, ValueError, KeyError, TypeError):
        last_ms = int(json.loads(remembered.read_text("utf-8"))["reached_ms"])
    now_ms = SystemClock().now_ms()
    if speed == 1.0 and last_ms <= now_ms:
        return SystemClock()
    return ScaledClock(max(now_ms, last_ms + 1000), speed, time.monotonic())


def remember_clock(file: Path, clock: Clock) -> None:
    """Write down how far event time came, so that the next run goes on from there."""
    file.write_text(json.dumps({"reached_ms": clock.now_ms()}), "utf-8")


def _log_and_warn(log: TextIO) -> LineSink:
    """Write every line to the log; show only what a person must know. The log begins anew when it is too long."""

    def take(name: str, line: str) -> None:
        if log.tell() > MAX_LOG_BYTES:
            log.truncate(0)
        log.write(f"{name:<14} | {line}\n")
        log.flush()
        if line.startswith(("ended with", "cannot be started")):
            typer.echo(f"{name}: {line}", err=True)

    return take


async def _until_stored(settings: DemoSettings, view: SiteView, stop: asyncio.Event, suite: Supervisor) -> bool:
    typer.echo(f"starting {settings.strings} strings × {settings.cells} cells …")
    end_s = time.monotonic() + READY_DEADLINE_S
    troubles = Troubles()
    while not stop.is_set():
        if sum(string.stored is not None and string.scans > 0 for string in view.strings.values()) == settings.strings:
            return True
        for trouble in troubles.new(view, time.monotonic()):
            if trouble.startswith(STORES):
                raise StartRefusedError(f"nothing can be stored: {trouble}")
            typer.echo(trouble, err=True)
        if time.monotonic() > end_s:
            words = [f"{child.plan.name}: {line}" for child in suite.children for line in list(child.last_words)[-4:]]
            raise StartRefusedError(
                "\n  ".join([f"nothing was stored within {READY_DEADLINE_S:g} s", *troubles.said, *words])
            )
        await asyncio.sleep(POLL_S)
    return False


async def _tell_status(settings: DemoSettings, view: SiteView, stop: asyncio.Event) -> None:
    began_s, log_book = time.monotonic(), LogBook()
    while not stop.is_set():
        for line in log_book.new(view):
            typer.echo(line)
        typer.echo(status_line(view, time.monotonic(), time.strftime("%H:%M:%S")))
        rest_s = STATUS_EVERY_S
        if settings.seconds is not None:
            rest_s = min(rest_s, settings.seconds - (time.monotonic() - began_s))
            if rest_s <= 0.0:
                return
        with suppress(TimeoutError):
            async with asyncio.timeout(rest_s):
                await stop.wait()
