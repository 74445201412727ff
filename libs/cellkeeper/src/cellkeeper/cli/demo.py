"""`cellkeeper demo` (also `make demo`): the whole suite against the battery-room twin, on this machine."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TextIO

import typer

from cellkeeper.cli.children import LineSink, Supervisor
from cellkeeper.cli.demo_room import BAUD, SITE_ID, DemoSettings, settings_from_environment, site_toml
from cellkeeper.cli.demo_scenario import refuse_unknown_scenario, refuse_wrong_scenario
from cellkeeper.cli.site_feed import feeding
from cellkeeper.cli.site_view import SiteView
from cellkeeper.cli.suite_plan import (
    SuiteSettings,
    broker_plan,
    http_ports,
    installed_services,
    instances,
    metrics_pages,
    service_plans,
)
from cellkeeper.cli.suite_run import running, stop_on_signals
from cellkeeper.contract.notices import Presence
from cellkeeper.contract.site_file import parse_site
from cellkeeper.runtime.broker import free_port
from cellkeeper.runtime.clock import Clock, ScaledClock, SystemClock
from cellkeeper.runtime.errors import StartRefusedError
from cellkeeper.runtime.service import only_instance

READY_DEADLINE_S: Final = 90.0  # twin, gateway and historian of 4096 cells are up in under 20 on two cores
STATUS_EVERY_S: Final = 5.0
POLL_S: Final = 0.2
TROUBLE_LASTS_S: Final = 3.0  # a gateway that waits for the twin is degraded for a moment
STORES: Final = "historian "
HTTP_PORT: Final = 8420
MAX_LOG_BYTES: Final = 20_000_000
USED_WRONGLY: Final = 2


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


@dataclass(slots=True)
class Troubles:
    """What services say hinders them, each once; a word that a broker kept from the last run is soon replaced."""

    since_s: dict[str, float] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def new(self, view: SiteView, now_s: float) -> list[str]:
        """Return the troubles that have lasted and were not told before."""
        present = {_in_words(name, one) for name, one in view.services.items() if one.state == "degraded"}
        self.since_s = {words: self.since_s.get(words, now_s) for words in sorted(present)}
        lasting = [words for words, began_s in self.since_s.items() if now_s - began_s >= TROUBLE_LASTS_S]
        told = [words for words in lasting if words not in self.said]
        self.said += told
        return told


def _in_words(name: str, presence: Presence) -> str:
    """Return a service's state, with the reason when it cannot do its work."""
    reason = f": {presence.why}" if presence.state == "degraded" and presence.why else ""
    return f"{name} {presence.state}{reason}"


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
    began_s = time.monotonic()
    while not stop.is_set():
        typer.echo(status_line(view, time.monotonic()))
        rest_s = STATUS_EVERY_S
        if settings.seconds is not None:
            rest_s = min(rest_s, settings.seconds - (time.monotonic() - began_s))
            if rest_s <= 0.0:
                return
        with suppress(TimeoutError):
            async with asyncio.timeout(rest_s):
                await stop.wait()


def status_line(view: SiteView, now_s: float) -> str:
    """Return the demo in one line: rate, coverage, what is stored, who is there."""
    strings = view.in_order()
    rate_per_s = sum(string.rate_per_s(now_s) for string in strings)
    scans = [string.scan for string in strings if string.scan is not None]
    cells = sum(scan.cells for scan in scans)
    good = sum(int((scan.quality == 0).sum()) for scan in scans)
    waiting = [string.not_stored() for string in strings]
    stored = sum(string.stored.seq for string in strings if string.stored is not None)
    behind = "unknown" if None in waiting else str(sum(value or 0 for value in waiting))
    there = ", ".join(_in_words(name, presence) for name, presence in sorted(view.services.items())) or "no service"
    at = time.strftime("%H:%M:%S")
    share = 100.0 * good / cells if cells else 0.0
    return (
        f"{at}  {len(strings)} strings  {good}/{cells} cells good ({share:.1f} %)  {rate_per_s:.1f} scans/s  "
        f"stored {stored}, {behind} waiting  [{there}]"
    )


def where_to_look(settings: DemoSettings, place: DemoPlace) -> str:
    """Return what a person can do now."""
    own = Path(sys.argv[0])
    command = os.path.relpath(own) if own.name == "cellkeeper" and own.is_absolute() else "cellkeeper"
    if len(command) > len(str(own)):
        command = str(own)
    port = "" if place.mqtt_port == 1883 else f" --port {place.mqtt_port}"
    cell = min(17, settings.cells)
    scenario = f", scenario {settings.scenario}" if settings.scenario else ""
    state, site_file = os.path.relpath(place.folder / "state"), os.path.relpath(place.folder / "site.toml")
    history = place.http_ports["historian"]
    return f"""
Cellkeeper reads {settings.strings} strings × {settings.cells} cells as serial bytes at {BAUD} Bd, \
speed {settings.speed:g}{scenario}.
  live view       {command} watch --site {SITE_ID}{port}
  MQTT            127.0.0.1:{place.mqtt_port}   mosquitto_sub -p {place.mqtt_port} -v -t 'cellkeeper/v1/{SITE_ID}/#'
  history         http://127.0.0.1:{history}/v1/latest   (/v1/strings, /v1/events; /openapi.json lists all)
  balancing       {command} balance report s1 --site {site_file}{port} --out s1.svg   (or: balance status)
  metrics         {metrics_pages(place.http_ports)}
  cut a module    CELLKEEPER_STATE_DIR={state} {command} twin fault silent --string s1 --cell {cell}
  logs            {os.path.relpath(place.folder / "suite.log")}
Ctrl-C stops everything in order; the history is there again at the next start.
"""
