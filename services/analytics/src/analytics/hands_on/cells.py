"""`cellkeeper cells …`: which real cell was where and when, what its discharges showed, and corrections by a person."""

from collections.abc import Iterator
from math import isnan
from pathlib import Path
from typing import Annotated

import typer
from cellkeeper.contract.moment import from_ms, instant_ms
from cellkeeper.runtime.wishing import NotThereError, reach_of
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from analytics.dossier.words import moment, number, zone_of
from analytics.errors import MemoryUnreadableError
from analytics.hands_on.options import Host, Port, SiteFile, StringName, parsed, string_cells, wished
from analytics.ledger import FOREVER_S, LONG_AGO_S, CellLedger, Stay
from analytics.ledger_file import FILE, read_ledger
from analytics.reports.events import event_paths, read_events
from analytics.reports.zone_option import zone_option

LOOK = "cellkeeper cells list"
State = Annotated[Path, typer.Option("--state", envvar="CELLKEEPER_STATE_DIR", help="state of the suite")]
Zone = Annotated[
    str, typer.Option("--timezone", parser=zone_option, metavar="ZONE", help="IANA name, for example Europe/Berlin")
]

cells = typer.Typer(help="The cell ledger: which real cell was where, and when.", no_args_is_help=True)


@cells.command("list")
def list_(state: State = Path("state"), timezone: Zone = "UTC") -> None:
    """List positions where another cell was before."""
    ledger = _ledger(state)
    table = _table("where", "cell", "since", "why", "before")
    for place, stays in sorted(ledger.stays.items()):
        if len(stays) > 1:
            last = stays[-1]
            since, before = _from(last, timezone), ", ".join(_shown(ledger, stay.cell) for stay in stays[:-1])
            table.add_row(f"{place[0]} {place[1]}", _shown(ledger, last.cell), since, last.why, before)
    if table.row_count:
        Console().print(table)
    else:
        typer.echo(f"every one of {len(ledger.stays)} positions has had one cell only")


@cells.command("history")
def history(
    string: StringName,
    cell: Annotated[int, typer.Argument(min=1, max=512, help="its position now")],
    state: State = Path("state"),
    timezone: Zone = "UTC",
) -> None:
    """Show which cells were at a position, and where the one that is there now has been, with its discharges."""
    ledger = _ledger(state)
    present = ledger.present((string, cell))
    if present is None:
        raise NotThereError(f"the ledger knows no cell {cell} of {string}; cellkeeper cells list shows what it knows")
    stays = ledger.history(present.cell)
    typer.echo(f"at {string} {cell} now: {_shown(ledger, present.cell)}")
    for title, found in ((f"at {string} {cell}", ledger.stays[string, cell]), ("where it was", stays)):
        table = _table(title, "stored as life", "cell", "from", "to", "why")
        for stay in found:
            where = f"{stay.place[0]} {stay.place[1]}"
            until = "now" if stay.to_s == FOREVER_S else moment(stay.to_s, zone_of(timezone), seconds=False)
            name = _shown(ledger, stay.cell)
            table.add_row(where, str(stay.life), name, _from(stay, timezone), until, stay.why)
        Console().print(table)
    modules = [serial for serial, seat in ledger.seats.items() if seat.place == (string, cell)]
    typer.echo(f"module heard there last: {modules[-1] if modules else 'none yet'}")
    table = _table("discharge", "kind", "was at", "at the end", "health believed then")
    for row in _discharges(stays, state, timezone):
        table.add_row(*row)
    if table.row_count:
        Console().print(table)


@cells.command("exchange")
def exchange(  # noqa: PLR0913, PLR0917  # the options of a command line
    string: StringName,
    cell: Annotated[int, typer.Argument(min=1, max=512, help="position of one cell")],
    other: Annotated[int, typer.Argument(min=1, max=512, help="position of the other")],
    other_string: Annotated[str | None, typer.Option(help="its string, when it is another one")] = None,
    at: Annotated[str | None, typer.Option(help="when they changed places; now: 2026-11-21T05:00:00Z")] = None,
    site: SiteFile = Path("site.toml"),
    host: Host = "127.0.0.1",
    port: Port = 1883,
) -> None:
    """Say that two cells changed places, or correct what was concluded from their modules."""
    reach = reach_of(site, host, port)
    for name, position in ((string, cell), (other_string or string, other)):
        if position > string_cells(reach, name):
            raise typer.BadParameter(f"{name} has no cell {position}")
    when = None if at is None else from_ms(parsed("--at", instant_ms, at))
    done = f"cell {cell} of {string} and cell {other} of {other_string or string} changed places"
    fields = {"string": string, "cell": cell, "other_cell": other, "other_string": other_string, "happened_at": when}
    wished(reach, "exchange_cells", done, LOOK, **fields)


def _ledger(state: Path) -> CellLedger:
    """Return the ledger below a folder: the state of a suite or of the analytics."""
    found = [path for path in (state / FILE, *sorted(state.glob(f"*/{FILE}"))) if path.is_file()]
    if not found:
        raise NotThereError(f"no {FILE} in {state}; give the suite's state with --state; the analytics write it")
    try:
        return read_ledger(found[0])
    except MemoryUnreadableError as exc:
        raise NotThereError(str(exc)) from exc


def _discharges(stays: tuple[Stay, ...], state: Path, timezone: str) -> Iterator[tuple[str, ...]]:
    """Yield what each recorded discharge of a cell showed, wherever it was then, oldest first."""
    for each in read_events(event_paths(state)):
        if each.basis is None:
            continue
        record = each.basis.record
        stay = next((s for s in stays if s.place[0] == record.string and s.holds(record.began_s)), None)
        at = -1 if stay is None else stay.place[1] - 1
        if stay is None or at >= record.unit_v.shape[1]:
            continue
        inside = (record.at_s >= record.began_s) & (record.at_s <= record.ended_s)
        known = [v for v in record.unit_v[inside, at].tolist() if not isnan(v)]
        soh = float(record.soh_frac[at])
        yield (
            moment(record.began_s, zone_of(timezone), seconds=False),
            f"{record.kind}: {record.method}" if record.method else record.kind,
            f"{stay.place[0]} {stay.place[1]}",
            number(known[-1] if known else None, 3, "V"),
            "not proven" if isnan(soh) else f"{soh:.1%}",
        )


def _from(stay: Stay, timezone: str) -> str:
    return "always" if stay.from_s == LONG_AGO_S else moment(stay.from_s, zone_of(timezone), seconds=False)


def _shown(ledger: CellLedger, cell: str) -> str:
    name = ledger.names.get(cell, "")
    return f"{name} ({cell})" if name else cell


def _table(*titles: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in titles:
        table.add_column(title)
    return table
