"""`cellkeeper report …`: what was recorded and measured, on paper."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from cellkeeper import __version__
from cellkeeper.runtime.clock import clock_from
from cellkeeper.runtime.history_api import DEFAULT_URL
from rich.console import Console
from rich.progress import track

from analytics.dossier.files import write_dossier
from analytics.dossier.model import Dossier, dossier_of
from analytics.dossier.record_file import load_record
from analytics.dossier.words import VERDICT_TITLES, verdict_sentences
from analytics.reports import capacities, month_pages
from analytics.reports.errors import ReportError
from analytics.reports.event_list import list_events
from analytics.reports.events import EventFile, event_paths, named_event, read_events
from analytics.reports.gathering import month_of
from analytics.reports.month import span_of
from analytics.reports.output import write_report
from analytics.reports.verify import verify as verified
from analytics.reports.zone_option import zone_option

FAILED: Final = 1
SOFTWARE: Final = f"cellkeeper {__version__}"

State = Annotated[Path, typer.Option("--state", envvar="CELLKEEPER_STATE_DIR", help="state of the suite")]
Zone = Annotated[
    str, typer.Option("--timezone", parser=zone_option, metavar="ZONE", help="IANA name, for example Europe/Berlin")
]
Out = Annotated[list[Path] | None, typer.Option("--out", help="write NAME.pdf or NAME.csv; several times")]
Url = Annotated[str, typer.Option("--url", help="where the historian answers")]

report = typer.Typer(
    help="Dossiers, capacities, a month of a site, and whether a paper is genuine.", no_args_is_help=True
)


@report.command("discharge")
def discharge(
    event: Annotated[str | None, typer.Argument(help="name of an event, or its begin; none lists them")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="folder for the PDF and CSV files")] = None,
    string: Annotated[str | None, typer.Option("--string", help="only events of this string")] = None,
    state: State = Path("state"),
    timezone: Zone = "UTC",
) -> None:
    """List recorded discharges, or make the dossier of one again."""
    if event is None:
        if not list_events(_progress(_chosen(state, string), "discharges"), state, timezone):
            raise typer.Exit(FAILED)
        return
    path = named_event(state, event)
    if out is None:
        _tell(dossier_of(load_record(path)))
        return
    written = write_dossier(load_record(path), out)
    _tell(written.dossier)
    for each in (written.pdf, *written.csv):
        typer.echo(f"{each} written", err=True)


@report.command("capacity")
def capacity(out: Out = None, site_name: str = "", state: State = Path("state"), timezone: Zone = "UTC") -> None:
    """Show the newest capacity of every string with its trend."""
    events = _progress(event_paths(state), "discharges")
    for each in events:
        if each.basis is None:
            typer.echo(f"left out: {each.problem}", err=True)
    bases = [each.basis for each in events if each.basis is not None]
    if not bases:
        raise ReportError(f"no discharge is recorded in {state}; a capacity needs one")
    found = capacities.capacities_of(bases)
    for line in capacities.capacity_lines(found, timezone):
        typer.echo(line)
    name = site_name or bases[-1].context.site_name
    for path in out or ():
        document = capacities.capacity_document(found, name, timezone, SOFTWARE)
        write_report(path, document, capacities.CSV_HEADER, capacities.capacity_rows(found))
        typer.echo(f"{path} written", err=True)


@report.command("monthly")
def monthly(
    month: Annotated[str, typer.Argument(help="for example 2026-11")],
    out: Out = None,
    site_name: Annotated[str, typer.Option(help="for the title")] = "",
    url: Url = DEFAULT_URL,
    state: State = Path("state"),
) -> None:
    """Show a month: availability, coverage, outages, events, extremes, units that stand out."""
    span = span_of(month, _now_ms())
    found = month_of(span, site_name, url, state)
    for line in month_pages.month_lines(found):
        typer.echo(line)
    for path in out or ():
        document = month_pages.month_document(found, SOFTWARE)
        write_report(path, document, month_pages.CSV_HEADER, month_pages.month_rows(found))
        typer.echo(f"{path} written", err=True)


@report.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(help="a PDF or CSV of a dossier, or a record (.json)")],
    record: Annotated[Path | None, typer.Option(help="its record, when it lies elsewhere")] = None,
    state: State = Path("state"),
) -> None:
    """Tell whether a dossier's file is what its record gives, and the record what it was."""
    result = verified(file, record, state)
    for line in result.lines:
        typer.echo(line)
    if not result.is_intact:
        raise typer.Exit(FAILED)


def _now_ms() -> int:
    """Return event time: that of the demo where CELLKEEPER_CLOCK says so, as its services do."""
    try:
        return clock_from(os.environ.get("CELLKEEPER_CLOCK")).now_ms()
    except ValueError as exc:
        raise ReportError(f"CELLKEEPER_CLOCK: {exc}") from exc


def _chosen(state: Path, string: str | None) -> list[Path]:
    """Return the records of a string, or of all; raises ReportError when others are recorded and none of it."""
    paths = event_paths(state)
    there = sorted({path.name.rsplit("_", 2)[0] for path in paths})
    if string is not None and string not in there and there:
        raise ReportError(f"no discharge of {string!r} is recorded in {state}; there are some of {', '.join(there)}")
    return [path for path in paths if string is None or path.name.rsplit("_", 2)[0] == string]


def _tell(dossier: Dossier) -> None:
    typer.echo(VERDICT_TITLES[dossier.verdict])
    for line in verdict_sentences(dossier):
        typer.echo(line)
    typer.echo(f"SHA-256 {dossier.data_sha256}")


def _progress(paths: Sequence[Path], what: str) -> list[EventFile]:
    console = Console(stderr=True)
    shown = track(
        read_events(paths), what, total=len(paths), console=console, transient=True, disable=not console.is_terminal
    )
    return list(shown)
