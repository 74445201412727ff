"""`cellkeeper balance …`: how balancing is, wishes to the balancer, and a report that proves what came of it."""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from cellkeeper.contract.commands import MAX_FORCE_S
from cellkeeper.contract.moment import from_ms, instant_ms, seconds_of, to_ms
from cellkeeper.contract.outcomes import Outcome
from cellkeeper.contract.site import StringTable
from cellkeeper.runtime.history_api import DEFAULT_URL, history_at
from cellkeeper.runtime.wishing import NotThereError, Reach, reach_of, told_outcome, wish
from rich.console import Console
from rich.progress import track

from balancer.hands_on.history import Historian
from balancer.hands_on.reach import BALANCER, newest_states, state_if_told
from balancer.hands_on.report import Report, report_of, told
from balancer.hands_on.report_files import SUFFIXES, write_report
from balancer.hands_on.tables import status_lines, status_table

FAILED: Final = 1
WEEK_MS: Final = 7 * 86_400_000

SiteFile = Annotated[Path, typer.Option("--site", envvar="CELLKEEPER_SITE_FILE", help="the site's description")]
Host = Annotated[str, typer.Option("--host", envvar="CELLKEEPER_MQTT_HOST", help="the broker")]
Port = Annotated[int, typer.Option("--port", envvar="CELLKEEPER_MQTT_PORT", help="the broker's port")]
Name = Annotated[str, typer.Argument(metavar="STRING", help="id of the string in site.toml")]
Until = Annotated[str | None, typer.Option(help="instant, for example 2026-11-21T05:00:00Z")]
Length = Annotated[str | None, typer.Option("--for", help="length of time: 90min, 8h, 3d, 2w")]
Cells = Annotated[list[int] | None, typer.Option("--cell", min=1, max=512, help="a cell; may be given several times")]

balance = typer.Typer(help="Balancing: how it is, pauses and wishes, and a report.", no_args_is_help=True)


@balance.command("status")
def status(site: SiteFile = Path("site.toml"), host: Host = "127.0.0.1", port: Port = 1883) -> None:
    """Show how balancing of every string is."""
    reach = reach_of(site, host, port)
    states = asyncio.run(newest_states(reach))
    strings = [string.id for string in reach.site.string]
    Console().print(status_table(strings, states))
    for line in status_lines(strings, states):
        typer.echo(line)
    missing = [name for name in strings if name not in states]
    if missing:
        typer.echo(f"nobody speaks of {', '.join(missing)}; does the balancer run? cellkeeper doctor", err=True)
        raise typer.Exit(FAILED)


@balance.command("pause")
def pause(  # noqa: PLR0913, PLR0917  # the options of a command line
    string: Name,
    reason: Annotated[str, typer.Option(help="why, for the log book")],
    until: Until = None,
    length: Length = None,
    site: SiteFile = Path("site.toml"),
    host: Host = "127.0.0.1",
    port: Port = 1883,
) -> None:
    """Balance nothing of a string for a while; what bleeds ends at once."""
    if not 3 <= len(reason) <= 200:
        raise typer.BadParameter("--reason has 3 to 200 characters")
    reach = reach_of(site, host, port)
    end = _end_of(reach, until, length)
    _string(reach, string)
    outcome = asyncio.run(wish(reach, BALANCER, "pause", string=string, reason=reason, until=end))
    _end(outcome, f"balancing of {string} pauses until {end:%Y-%m-%d %H:%M} UTC")


@balance.command("resume")
def resume(string: Name, site: SiteFile = Path("site.toml"), host: Host = "127.0.0.1", port: Port = 1883) -> None:
    """End a pause and forced bleeds of a string, and let every finding be looked at anew."""
    reach = reach_of(site, host, port)
    _string(reach, string)
    outcome = asyncio.run(wish(reach, BALANCER, "resume", string=string))
    _end(outcome, f"balancing of {string} goes on, and every finding is looked at anew")


@balance.command("force")
def force(  # noqa: PLR0913, PLR0917  # the options of a command line
    string: Name,
    cell: Cells = None,
    duty: Annotated[float, typer.Option(min=0.0, max=1.0, help="bleed duty, 0 to 1; 0 ends it")] = 1.0,
    length: Annotated[str, typer.Option("--for", help="length of time, 4h at most: 30min, 2h")] = "1h",
    site: SiteFile = Path("site.toml"),
    host: Host = "127.0.0.1",
    port: Port = 1883,
) -> None:
    """Bleed cells whatever the strategy wants; every limit and interlock holds."""
    reach, for_s = reach_of(site, host, port), _seconds(length)
    cells = _cells(_string(reach, string), cell)
    if not cells:
        raise typer.BadParameter("name the cells: --cell 17 --cell 18")
    if for_s > MAX_FORCE_S:
        raise typer.BadParameter(f"--for is {MAX_FORCE_S / 3600.0:g}h at most")
    outcome = asyncio.run(wish(reach, BALANCER, "force", string=string, cells=cells, bleed_frac=duty, for_s=for_s))
    named = ", ".join(map(str, cells))
    _end(outcome, f"cells {named} of {string} bleed with {duty:g} for {length}, where limits let them")


@balance.command("new-battery")
def new_battery(  # noqa: PLR0913, PLR0917  # the options of a command line
    string: Name,
    cell: Cells = None,
    until: Until = None,
    length: Length = None,
    site: SiteFile = Path("site.toml"),
    host: Host = "127.0.0.1",
    port: Port = 1883,
) -> None:
    """Leave new cells alone for a while, all of the string without --cell: they are not formed yet."""
    reach = reach_of(site, host, port)
    end = _end_of(reach, until, length)
    cells = _cells(_string(reach, string), cell)
    outcome = asyncio.run(wish(reach, BALANCER, "new_battery", string=string, cells=cells or None, until=end))
    named = f"cells {', '.join(map(str, cells))}" if cells else "all cells"
    _end(outcome, f"{named} of {string} are left alone until {end:%Y-%m-%d %H:%M} UTC")


@balance.command("report")
def report(  # noqa: PLR0913, PLR0917  # the options of a command line
    string: Name,
    since: Annotated[str | None, typer.Option(help="first instant; the begin of the run, or a week ago")] = None,
    until: Annotated[str | None, typer.Option(help="instant after the last; now")] = None,
    out: Annotated[list[Path] | None, typer.Option(help="write NAME.svg, NAME.png or NAME.csv; several times")] = None,
    url: Annotated[str, typer.Option(help="where the historian answers")] = DEFAULT_URL,
    site: SiteFile = Path("site.toml"),
    host: Host = "127.0.0.1",
    port: Port = 1883,
) -> None:
    """Prove what balancing did: spread before and after, charge and heat per cell, and who does not converge."""
    for path in out or ():
        if path.suffix not in SUFFIXES:
            raise typer.BadParameter(f"{path}: --out ends in {', '.join(sorted(SUFFIXES))}")
    reach = reach_of(site, host, port)
    _string(reach, string)
    found = _reported(reach, string, since, until, url)
    for line in told(found):
        typer.echo(line)
    for path in out or ():
        write_report(path, found)
        typer.echo(f"{path} written", err=True)


def _reported(reach: Reach, string: str, since: str | None, until: str | None, url: str) -> Report:
    newest, why = asyncio.run(state_if_told(reach, string))
    if newest is None:
        typer.echo(f"without the newest state: {why}", err=True)
    end_ms = reach.clock.now_ms() + 1 if newest is None else to_ms(newest.measured_at) + 1
    end_ms = end_ms if until is None else _instant_ms("--until", until)
    began = None if newest is None or newest.began_at is None else to_ms(newest.began_at)
    start_ms = (began or end_ms - WEEK_MS) if since is None else _instant_ms("--since", since)
    if start_ms >= end_ms:
        raise typer.BadParameter("--since is not before --until")
    console = Console(stderr=True)

    def shown(cells: range) -> Iterable[int]:
        return track(cells, string, console=console, transient=True, disable=not console.is_terminal)

    with history_at(url) as api:
        historian = Historian(api)
        cells = historian.cells(string)
        course = historian.course(string, start_ms, end_ms)
        if not len(course):
            times = f"{from_ms(start_ms):%Y-%m-%d %H:%M} to {from_ms(end_ms):%Y-%m-%d %H:%M} UTC"
            raise NotThereError(f"nothing was told of balancing of {string} from {times}; give --since and --until")
        states = historian.milestones(string, start_ms, end_ms)
        if newest is not None and start_ms <= to_ms(newest.measured_at) < end_ms:
            states.append(newest)
        voltages, duties = (
            historian.grid(string, field, cells, start_ms, end_ms, shown) for field in ("cell_v", "bleed_frac")
        )
    return report_of(string, course, voltages, duties, states, start_ms)


def _string(reach: Reach, name: str) -> StringTable:
    found = next((string for string in reach.site.string if string.id == name), None)
    if found is None:
        there = ", ".join(string.id for string in reach.site.string)
        raise typer.BadParameter(f"site.toml has no string {name!r}; there are {there}")
    return found


def _cells(string: StringTable, asked: list[int] | None) -> list[int]:
    cells = sorted(set(asked or ()))
    if cells and cells[-1] > string.cells:
        raise typer.BadParameter(f"{string.id} has cells 1 to {string.cells}")
    return cells


def _end_of(reach: Reach, until: str | None, length: str | None) -> datetime:
    if (until is None) == (length is None):
        raise typer.BadParameter("give one of --until and --for")
    now_ms = reach.clock.now_ms()
    end_ms = now_ms + round(_seconds(length) * 1000.0) if length is not None else _instant_ms("--until", until or "")
    if end_ms <= now_ms:
        raise typer.BadParameter("the end has to lie ahead")
    return from_ms(end_ms)


def _seconds(text: str) -> float:
    try:
        return seconds_of(text)
    except ValueError as exc:
        raise typer.BadParameter(f"--for: {exc}") from exc


def _instant_ms(option: str, text: str) -> int:
    try:
        return instant_ms(text)
    except ValueError as exc:
        raise typer.BadParameter(f"{option}: {exc}") from exc


def _end(outcome: Outcome, done: str) -> None:
    is_done, text = told_outcome(outcome, done, "cellkeeper balance status")
    typer.echo(text, err=not is_done)
    if not is_done:
        raise typer.Exit(FAILED)
