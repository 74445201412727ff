"""`cellkeeper validate`: is this site.toml good, and if not, where and why."""

import os
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from typing import Annotated, Final

import typer

from cellkeeper.cli.disk_plan import StoreKind, plan_disk, room_gb, shortage, words
from cellkeeper.cli.init import near_their_end
from cellkeeper.cli.site_doubts import site_doubts
from cellkeeper.contract.battery_type import load_batteries
from cellkeeper.contract.bus_time import fast_enough_baud, scan_takes_s
from cellkeeper.contract.series import FULL, TIERS
from cellkeeper.contract.site import BusTable, Site
from cellkeeper.contract.site_file import Problem, SiteFileError, load_site
from cellkeeper.contract.table_file import TableFileError
from cellkeeper.contract.toml_lines import TomlLines
from cellkeeper.site_folder.layout import SiteFolder

FAILED: Final = 1
HIGHEST_SCAN_S: Final = 10.0  # what site.toml takes: event time between two scans is never longer


def validate(
    site_file: Annotated[Path, typer.Argument(metavar="SITE.TOML", help="the description of a site")] = Path(
        "site.toml"
    ),
    *,
    store: Annotated[
        StoreKind, typer.Option(envvar="CELLKEEPER_STORE", help="where history goes, for the disk plan")
    ] = "embedded",
    disk: Annotated[
        Path, typer.Option(envvar="CELLKEEPER_STATE_DIR", help="folder on the disk that history will be on")
    ] = Path("state"),
) -> None:
    """Check a site.toml; name file, line and what to do about everything that is wrong. Say what disk it will need."""
    try:
        site = load_site(site_file)
        _require_time(site, site_file)
        load_batteries(site, site_file.parent)
    except TableFileError as exc:
        for problem in exc.problems:
            typer.echo(str(problem), err=True)
        raise typer.Exit(FAILED) from exc
    typer.echo(f"{site_file}: good. {describe(site)}")
    for warning in near_their_end(SiteFolder(site_file.parent), datetime.now(UTC)):
        typer.echo(warning, err=True)
    for doubt in site_doubts(site, datetime.now(UTC)):
        typer.echo(f"warning: {doubt}", err=True)
    plan = plan_disk(site, store, _kept_days())
    for line in words(plan, store):
        typer.echo(line)
    if (too_small := shortage(plan, room_gb(disk))) is not None:
        typer.echo(f"warning: {too_small}", err=True)


def _kept_days() -> dict[str, int]:
    told = {tier.name: os.environ.get(f"CELLKEEPER_KEEP_{tier.name.upper()}_DAYS", "") for tier in (FULL, *TIERS)}
    return {tier: int(days) for tier, days in told.items() if days.isdecimal()}


def _require_time(site: Site, site_file: Path) -> None:
    """Return if every bus holds `scan_s`; a gateway would read a slower one as often as it allows, and count overruns.

    Raises:
        SiteFileError: a bus does not; how long it takes, and what to change.
    """
    lines = TomlLines(site_file.read_text("utf-8"))
    late = [
        Problem(str(site_file), lines.line_of(("bus", at)), too_slow(site, bus))
        for at, bus in enumerate(site.bus)
        if bus.driver == "c44" and scan_takes_s(site, bus) > site.site.scan_s
    ]
    if late:
        raise SiteFileError(late)


def too_slow(site: Site, bus: BusTable) -> str:
    """Return how long a bus needs for a scan, and what to change."""
    takes_s, scan_s = scan_takes_s(site, bus), site.site.scan_s
    least_s = ceil(takes_s * 10.0) / 10.0
    ways = [f"raise scan_s to {least_s:g}"] if least_s <= HIGHEST_SCAN_S else []
    if (baud := fast_enough_baud(site, bus)) is not None:
        ways.append(f"set baud to {baud} or more on the line and its modules")
    ways.append("put modules on further buses")
    return (
        f"bus {bus.id}: a scan takes {takes_s:.2f} s at {bus.baud} Bd, longer than scan_s {scan_s:g}; "
        + ", or ".join(ways)
    )


def describe(site: Site) -> str:
    """Return a site in one line of words."""
    units = sum(string.cells for string in site.string)
    slowest = max(((scan_takes_s(site, bus), bus.id) for bus in site.bus if bus.driver == "c44"), default=None)
    return (
        f"Site {site.site.id} ({site.site.name}): {len(site.string)} strings with {units} units "
        f"on {len(site.bus)} buses, {len(site.gateway)} gateways, one scan every {site.site.scan_s:g} s"
        + (f"; the slowest bus, {slowest[1]}, needs {slowest[0]:.2f} s" if slowest is not None else "")
    )
