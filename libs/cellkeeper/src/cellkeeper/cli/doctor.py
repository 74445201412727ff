"""`cellkeeper doctor`: what is wrong on this machine, and what to do about it."""

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Final

import typer

from cellkeeper.cli.doctor_site import (
    adapter_findings,
    backup_findings,
    folder_findings,
    history_findings,
    page_findings,
)
from cellkeeper.cli.finding import Finding
from cellkeeper.cli.site_feed import kept_presence
from cellkeeper.cli.suite_plan import SERVICES_GROUP
from cellkeeper.cli.suite_run import is_open
from cellkeeper.cli.support_bundle import contents, known_secrets, write_bundle
from cellkeeper.contract.notices import Presence
from cellkeeper.contract.site import Site
from cellkeeper.contract.site_file import SiteFileError, load_site
from cellkeeper.runtime.address import BrokerAddress, address_for_people
from cellkeeper.runtime.broker import find_mosquitto
from cellkeeper.runtime.errors import StartRefusedError
from cellkeeper.runtime.tls import why_refused
from cellkeeper.site_folder.layout import SiteFolder

LEAST_PYTHON: Final = (3, 12)
LEAST_FREE_MB: Final = 2048  # a day of 4096 units at 1 Hz is about 900 MB at full resolution, plus the journal
PROGRAM_DEADLINE_S: Final = 5.0
PRESENCE_WAIT_S: Final = 1.5  # a broker in the same building answers in milliseconds
DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 1883
HTTP_PORT: Final = 8420
YEARS_BELIEVED: Final = (2025, 2100)
FAILED: Final = 1
_MARK: Final = {"good": ("ok     ", typer.colors.GREEN), "note": ("note   ", typer.colors.YELLOW)}


def doctor(  # noqa: PLR0913  # options of a command line, each with a default
    *,
    site_file: Annotated[
        Path, typer.Option("--site", envvar="CELLKEEPER_SITE_FILE", help="the description of the site, or its folder")
    ] = Path("site.toml"),
    state_dir: Annotated[
        Path, typer.Option("--state", envvar="CELLKEEPER_STATE_DIR", help="where the services keep their state")
    ] = Path("state"),
    host: Annotated[
        str | None, typer.Option(envvar="CELLKEEPER_MQTT_HOST", help="where the broker is; else 127.0.0.1")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(envvar="CELLKEEPER_MQTT_PORT", min=1, max=65_535, help="the broker's port; else 1883"),
    ] = None,
    http_port: Annotated[int, typer.Option(min=1, max=65_535, help="the historian's loopback port")] = HTTP_PORT,
    backups: Annotated[
        Path | None, typer.Option(envvar="CELLKEEPER_BACKUP_DIR", help="the folder of all backups")
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="also write what helps from afar into this .tar.gz, without any secret")
    ] = None,
    log: Annotated[list[Path] | None, typer.Option(help="a log for the bundle; may be repeated")] = None,
) -> None:
    """Look at machine, broker, services, site, keys, history, backups and ports; exit code 1 when one is wrong."""
    now = datetime.now(UTC)
    if site_file.is_dir():
        site_file = SiteFolder(site_file).site_file
    folder = SiteFolder(site_file.parent)
    asked = host is not None or port is not None
    broker_there = broker(host or DEFAULT_HOST, port or DEFAULT_PORT, asked=asked, site_id=_site_id(site_file))
    findings = [*machine(state_dir), *broker_there, *services(), *page_findings(http_port), *site(site_file)]
    findings += [*folder_findings(folder, now), *history_findings(state_dir)]
    if backups is not None or folder.access_file.exists():
        findings += backup_findings(backups, now)
    wrong = _told(findings)
    if bundle is not None:
        there = folder if folder.access_file.exists() else None
        try:
            write_bundle(bundle, contents(there, site_file, findings, log or ()), known_secrets(folder), now)
        except OSError as exc:
            raise StartRefusedError(f"{exc.filename or bundle}: {exc.strerror or exc}; name another --bundle") from exc
        typer.echo(f"{bundle}: look through it before you send it; keys, tokens and passwords are left out")
    if wrong:
        raise typer.Exit(FAILED)


def _told(findings: list[Finding]) -> int:
    """Say all findings; return how many are wrong."""
    for finding in findings:
        mark, colour = _MARK.get(finding.verdict, ("WRONG  ", typer.colors.RED))
        typer.secho(mark, fg=colour, nl=False)
        typer.echo(f"{finding.about:<14} {finding.text}")
    wrong = sum(finding.verdict == "wrong" for finding in findings)
    typer.echo(f"{wrong} of {len(findings)} checks are wrong" if wrong else "nothing is wrong here")
    return wrong


def _site_id(site_file: Path) -> str | None:
    """Return the id of the site, None when its file cannot tell; that is judged elsewhere."""
    try:
        return load_site(site_file).site.id
    except SiteFileError:
        return None


def machine(state_dir: Path) -> Iterator[Finding]:
    """Look at the interpreter, the disk and the clock."""
    version = ".".join(map(str, sys.version_info[:3]))
    good = sys.version_info >= LEAST_PYTHON
    yield Finding("good" if good else "wrong", "python", version if good else f"{version}; 3.12 or newer is needed")
    folder = next(path for path in (state_dir.resolve(), *state_dir.resolve().parents) if path.exists())
    free_mb = shutil.disk_usage(folder).free // 1_000_000
    enough = free_mb >= LEAST_FREE_MB
    advice = "" if enough else f"; free at least {LEAST_FREE_MB} MB, or the journal has to drop scans"
    yield Finding("good" if enough else "wrong", "disk", f"{free_mb} MB free at {folder}{advice}")
    if not os.access(folder, os.W_OK):
        yield Finding("wrong", "disk", f"{folder} is not writable for user {os.getuid()}; change its owner")
    yield clock_finding(time.gmtime().tm_year, synced=_ntp_is_synced())


def clock_finding(year: int, *, synced: bool | None) -> Finding:
    """Judge the system's clock by its year and by what the machine says about its synchronisation (None: nothing)."""
    if not YEARS_BELIEVED[0] <= year <= YEARS_BELIEVED[1]:
        return Finding("wrong", "clock", f"it shows the year {year}; set it before anything is recorded")
    if synced is False:
        return Finding("note", "clock", "not synchronised; set up NTP (chrony), or times drift apart between devices")
    return Finding(
        "good", "clock", "synchronised" if synced else "plausible; whether it is synchronised is not told here"
    )


def _ntp_is_synced() -> bool | None:
    told = _said(["timedatectl", "show", "--property=NTPSynchronized", "--value"])
    return {"yes": True, "no": False}.get((told or "").strip())


def _said(command: list[str]) -> str | None:
    """Return what a program of the system prints, None when it is not there or does not answer in time."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROGRAM_DEADLINE_S, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout + done.stderr


def broker(host: str, port: int, *, asked: bool, site_id: str | None = None) -> Iterator[Finding]:
    """Look at Mosquitto, whether a broker answers, and what services last said there.

    `asked`: the person named this broker, so that one that is not there is wrong. A broker with a policy shows the
    services of its own site only.
    """
    answers = is_open(host, port)
    try:
        program = find_mosquitto()
        version = next(iter((_said([program, "-h"]) or "").splitlines()), "")
        yield Finding("good", "mosquitto", f"{program} {version}".strip())
    except StartRefusedError as exc:
        yield Finding("note" if answers else "wrong", "mosquitto", str(exc))
    if answers:
        yield Finding("good", "broker", f"accepts connections at {host}:{port}")
        yield from _said_there(address_for_people(host, port), site_id)
    else:
        advice = "`cellkeeper up --broker` starts one"
        yield Finding("wrong" if asked else "note", "broker", f"nobody listens at {host}:{port}; {advice}")


def _said_there(address: BrokerAddress, site_id: str | None) -> Iterator[Finding]:
    refused = None
    if address.tls is not None:
        refused = why_refused(address.host, address.port, address.tls, datetime.now(UTC))
    if refused is not None:
        yield Finding("wrong", "broker", refused)
        return
    yield from presence_findings(asyncio.run(kept_presence(address, site_id, PRESENCE_WAIT_S)))


def presence_findings(told: Mapping[str, Presence] | None) -> Iterator[Finding]:
    """Judge what the services of a broker last said of themselves; None: the broker let nobody in."""
    if told is None:
        yield Finding(
            "wrong", "broker", "does not let this program subscribe; look at its log, if it is an MQTT broker"
        )
        return
    for name, presence in sorted(told.items()):
        if presence.state == "degraded":
            yield Finding("wrong", "service", f"{name} is degraded: {presence.why or 'it does not say why'}")
        elif presence.state == "gone":
            yield Finding("wrong", "service", f"{name} is gone; start it, and look at its last log lines if it ended")
    there = [name for name, presence in sorted(told.items()) if presence.state in {"ready", "starting"}]
    if there:
        yield Finding("good", "service", f"at work: {', '.join(there)}")


def services() -> Iterator[Finding]:
    """Look at which services are installed."""
    found = sorted(entry.name for entry in entry_points(group=SERVICES_GROUP))
    if found:
        yield Finding("good", "services", f"installed: {', '.join(found)}")
    else:
        yield Finding("wrong", "services", "none is installed; run scripts/bootstrap, or install their wheels")


def site(file: Path) -> Iterator[Finding]:
    """Look at the description of the site and its serial ports."""
    if not file.exists():
        yield Finding("note", "site.toml", f"{file} is not here; name it with --site (examples/site.toml explains all)")
        return
    try:
        described = load_site(file)
    except SiteFileError as exc:
        for problem in exc.problems:
            yield Finding("wrong", "site.toml", str(problem))
        return
    yield Finding("good", "site.toml", f"{file}: {len(described.string)} strings on {len(described.bus)} buses")
    yield from ports(described)


def ports(described: Site) -> Iterator[Finding]:
    """Look at the serial ports that a site names."""
    for bus in described.bus:
        if bus.port is None or "://" in bus.port:
            continue
        path = Path(bus.port)
        if not path.exists():
            yield Finding("wrong", f"bus {bus.id}", f"{path} does not exist; is the adapter plugged in?")
        else:
            yield from adapter_findings(bus.id, path)
