"""`cellkeeper migrate`: history from one store into the other, while the historian is stopped."""

import os
from collections.abc import Iterator
from contextlib import closing
from typing import Annotated, Literal

import typer
from cellkeeper.runtime.errors import StartRefusedError
from cellkeeper.runtime.service import only_instance
from rich.console import Console

from historian.errors import HistorianError, MigrationFailedError
from historian.main import SERVICE, open_store
from historian.migration.moving import Difference, Move, Progress
from historian.settings import HistorianSettings

MAX_TOLD = 20  # differences that are named one by one

type Kind = Literal["embedded", "influx"]


def migrate(
    to: Annotated[Kind, typer.Option(help="the store that gets everything; the other one is only read")],
    *,
    only_compare: Annotated[bool, typer.Option("--compare", help="move nothing, only compare")] = False,
) -> None:
    """Move history between the embedded store and InfluxDB, then compare both; run it again to go on after a break.

    Stop the historian first; both stores are found by the same CELLKEEPER_ settings that it has.
    """
    settings = HistorianSettings.from_environment(service=os.environ.get("CELLKEEPER_SERVICE", SERVICE))
    site = settings.load_site().site.id
    source: Kind = "influx" if to == "embedded" else "embedded"
    settings.own_dir()
    try:
        with (
            only_instance(settings.state_dir, settings.service),
            closing(open_store(settings.model_copy(update={"store": source}), site)) as reads,
            closing(open_store(settings.model_copy(update={"store": to}), site)) as gets,
        ):
            for store in (reads, gets):
                store.begin()
            _move(Move(reads, gets, site), only_compare=only_compare)
    except MigrationFailedError:
        raise
    except (HistorianError, StartRefusedError) as exc:
        raise MigrationFailedError(f"{exc}; what is moved stays, run this again to go on") from exc


def _move(move: Move, *, only_compare: bool) -> None:
    if only_compare:
        _compare(move, Console(stderr=True), "both stores say the same")
    else:
        move_and_compare(move, "both stores say the same")


def move_and_compare(move: Move, when_same: str) -> None:
    """Move history, compare, and say so; raises HistorianError, MigrationFailedError when they differ."""
    console = Console(stderr=True)
    _show(console, move.run())
    _compare(move, console, when_same)


def _compare(move: Move, console: Console, when_same: str) -> None:
    differences = _show(console, move.compare())
    for each in differences[:MAX_TOLD]:
        console.print(f"{each.tier} of {each.string} differs between {each.start_ms} and {each.end_ms} ms", style="red")
    if differences:
        many = len(differences)
        raise MigrationFailedError(f"the stores differ in {many} stretches; run it again, or keep the source")
    console.print(when_same, highlight=False)


def _show(console: Console, steps: Iterator[Progress | Difference]) -> list[Difference]:
    """Show progress: a line that changes on a terminal, else one line per part; return the differences."""
    differences: list[Difference] = []
    moved: dict[str, int] = {}
    with console.status("...") as status:
        for step in steps:
            if isinstance(step, Difference):
                differences.append(step)
                continue
            moved[step.part] = moved.get(step.part, 0) + step.moved
            status.update(f"{step.part}: {step.done} of {step.pieces}")
            if step.done == step.pieces:
                console.print(f"{step.part}: {step.pieces} pieces, {moved[step.part]} new", highlight=False)
    return differences
