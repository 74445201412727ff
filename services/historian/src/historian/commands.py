"""`cellkeeper export`: history as files, asked from the running historian."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Final, Literal

import pyarrow as pa
import typer
from cellkeeper.contract.series import TierName
from cellkeeper.runtime.history_api import DEFAULT_URL, history_at
from rich.console import Console
from rich.progress import track

from historian.api_answers import as_ms
from historian.errors import ExportFailedError, QueryRefusedError
from historian.export.asking import Historian, Measurement, Piece, pieces_of
from historian.export.files import CsvStyle, write_csv, write_parquet
from historian.export.layout import WIDE_FIELDS, long_table, wide_table

type Form = Literal["csv", "csv-wide", "parquet"]
SUFFIX: Final = {"csv": ".csv", "csv-wide": "-wide.csv", "parquet": ".parquet"}


def export(  # noqa: PLR0913  # options of a command line, each with a default
    start: Annotated[str, typer.Option(help="first instant, for example 2026-11-21T05:00:00Z")],
    end: Annotated[str, typer.Option(help="instant after the last")],
    *,
    string: Annotated[list[str] | None, typer.Option(help="a string's id; all strings when absent")] = None,
    out: Annotated[Path, typer.Option(help="folder for the files, one per string")] = Path(),
    form: Annotated[Form, typer.Option("--format", help="csv is one row per reading, csv-wide one per scan")] = "csv",
    measurement: Annotated[
        Measurement, typer.Option(help="readings of units, values of the string itself, or what services tell of it")
    ] = "cell",
    tier: Annotated[TierName, typer.Option(help="resolution")] = "full",
    field: Annotated[list[str] | None, typer.Option(help="columns of a wide export; all when absent")] = None,
    delimiter: Annotated[str, typer.Option(help="between columns")] = ",",
    decimal: Annotated[str, typer.Option(help="decimal sign, . or ,")] = ".",
    url: Annotated[str, typer.Option(help="where the historian answers")] = DEFAULT_URL,
) -> None:
    """Write history as CSV or Parquet, one file per string, in plain units with the quality beside every value."""
    start_ms, end_ms = _instants(start, end)
    style = CsvStyle(delimiter, decimal)
    fields = _wide_fields(form, measurement, tier, field)
    console = Console(stderr=True)
    with history_at(url) as api:
        historian = Historian(api)
        for name in string or historian.strings():
            # without any rows one short piece is asked for all the same: its answer has the header
            spans = historian.spans(name, start_ms, end_ms, tier) or [(start_ms, start_ms + 1)]
            pieces = list(pieces_of(name, spans, tier))
            shown = track(pieces, name, console=console, transient=True, disable=not console.is_terminal)
            tables = _tables(historian, shown, measurement, tier)
            path = out / f"{name}-{measurement}-{tier}{SUFFIX[form]}"
            rows = _write(path, form, tables, fields, style)
            console.print(f"{path}: {rows} rows", highlight=False)


def _instants(start: str, end: str) -> tuple[int, int]:
    try:
        start_ms, end_ms = as_ms("--start", start), as_ms("--end", end)
    except QueryRefusedError as exc:
        raise typer.BadParameter(str(exc)) from exc
    if start_ms >= end_ms:
        raise typer.BadParameter("--start is not before --end")
    return start_ms, end_ms


def _wide_fields(form: Form, measurement: Measurement, tier: TierName, asked: list[str] | None) -> tuple[str, ...]:
    if form == "csv-wide" and (measurement != "cell" or tier != "full"):
        raise typer.BadParameter("csv-wide is for readings of units at full resolution; use csv")
    if unknown := set(asked or ()) - set(WIDE_FIELDS):
        raise typer.BadParameter(f"no column {', '.join(sorted(unknown))}; there are {', '.join(WIDE_FIELDS)}")
    return tuple(asked or WIDE_FIELDS)


def _tables(
    historian: Historian, pieces: Iterable[Piece], measurement: Measurement, tier: TierName
) -> Iterator[pa.Table]:
    """Yield the pieces that have rows; of an export without any, the last one, for its header."""
    empty: pa.Table | None = None
    wrote = False
    for piece in pieces:
        table = long_table(historian.table(piece, measurement, tier), piece.string)
        if table.num_rows:
            wrote = True
            yield table
        empty = table
    if not wrote and empty is not None:
        yield empty


def _write(path: Path, form: Form, tables: Iterator[pa.Table], fields: tuple[str, ...], style: CsvStyle) -> int:
    match form:
        case "csv":
            return write_csv(path, tables, style)
        case "csv-wide":
            return write_csv(path, _wide(tables, fields), style)
        case "parquet":
            return write_parquet(path, tables)


def _wide(tables: Iterator[pa.Table], fields: tuple[str, ...]) -> Iterator[pa.Table]:
    cells = 0
    for table in tables:
        highest = int(table["cell"].to_numpy().max(initial=0))
        cells = cells or highest
        if highest > cells:
            raise ExportFailedError("the string grew in this range; export the time before and after apart, or use csv")
        yield wide_table(table, fields, cells)
