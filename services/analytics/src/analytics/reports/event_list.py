"""The list of recorded discharges: on a terminal as wide as it is, elsewhere a line each."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from analytics.dossier.model import dossier_of
from analytics.dossier.words import VERDICT_TITLES, capacity_words, length, moment, number, zone_of
from analytics.reports.events import EventFile

NAME_WIDTH: Final = 26  # of s1_20261127T044758Z_outage
WIDE: Final = 120  # columns from which on everything has room
ELSEWHERE: Final = 160  # columns of a file or pipe


def list_events(events: Sequence[EventFile], state: Path, timezone: str) -> bool:
    """Show discharges with their verdicts; whether all of them could be read.

    Args:
        events: oldest first.
        state: where they lie.
        timezone: of the times that are shown.
    """
    if not events:
        typer.echo(f"no discharge is recorded in {state}")
        return True
    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = Console(width=ELSEWHERE)
    table = _table(timezone if console.width >= WIDE else None)
    for each in events:
        if each.basis is not None:
            table.add_row(*_row(each, timezone if console.width >= WIDE else None))
    if table.row_count:
        console.print(table)
    problems = [each.problem for each in events if each.basis is None]
    for problem in problems:
        typer.echo(problem, err=True)
    return not problems


def _table(timezone: str | None) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("event", no_wrap=True, min_width=NAME_WIDTH)  # what a person has to write to see one
    if timezone is not None:
        table.add_column(f"began ({timezone})", no_wrap=True)
    table.add_column("lasted", justify="right", no_wrap=True)
    table.add_column("charge", justify="right", no_wrap=True)
    table.add_column("capacity", justify="right")
    table.add_column("verdict")
    return table


def _row(each: EventFile, timezone: str | None) -> tuple[str, ...]:
    if each.basis is None:
        return ()
    found = dossier_of(each.basis)
    began = () if timezone is None else (moment(each.basis.record.began_s, zone_of(timezone), seconds=False),)
    return (
        each.path.stem,
        *began,
        length(found.duration_s),
        number(found.moved_ah, 1, "Ah"),
        capacity_words(found.capacity),
        VERDICT_TITLES[found.verdict],
    )
