"""Recorded files as rows: CSV with any columns, our own exports, logger files, Parquet. Bad rows keep their numbers.

Forms that are known by their headers:

* `long`: our export, a row per reading: `measured_at, cell, cell_v, quality` and more.
* `wide`: our export, a row per scan: `measured_at, cell_v_1 …, degc_1 …`.
* `logger`: one battery over years, as a logger in the battery keeps it: `measured_at, cell_v, current_a, cell_degc`.

Anything else needs its columns named.
"""

import csv
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby, islice
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from cellkeeper.contract.recorded_rows import (
    BadRow,
    RecordedFileError,
    RecordedRow,
    RowLayout,
    header_of,
    read_rows,
    times_of,
)
from cellkeeper.contract.recorded_times import Times, TimeTextError

from analytics.analyse.errors import AnalyseError
from analytics.analyse.opening import delimiter_in, opened

TIME: Final = "measured_at"
PARQUET: Final = frozenset({".parquet", ".pq"})
BATCH_ROWS: Final = 20_000
USABLE: Final = frozenset({"0", "3"})  # a unit out of its module's range, or reversed, is data
_WIDE: Final = re.compile(r"cell_v_\d+")

type Rows = Iterator[RecordedRow | BadRow]


def separated(path: Path, given: RowLayout) -> RowLayout:
    """Return a layout with the delimiter that the file's header shows where the given one is empty.

    Raises:
        AnalyseError: it cannot be read, or decimal commas stand between commas.
    """
    if given.delimiter:
        return given
    try:
        delimiter = "," if path.suffix in PARQUET else delimiter_in(path, given.skip_lines)
    except OSError as exc:
        raise AnalyseError(f"{path}: {_reason(exc)}") from exc
    if delimiter == given.decimal and path.suffix not in PARQUET:
        raise AnalyseError(
            f"{path}: its fields are separated by commas, so a comma is no decimal sign; leave --decimal"
        )
    return replace(given, delimiter=delimiter)


def times_in(layout: RowLayout) -> Times:
    """Return what reads the times of a file; raises AnalyseError when nothing can."""
    try:
        return times_of(layout)
    except RecordedFileError as exc:
        raise AnalyseError(str(exc)) from exc


def names_in(path: Path, delimiter: str, skip_lines: int = 0) -> list[str]:
    """Return the columns of a file.

    Raises:
        AnalyseError: it cannot be read, or has no header.
    """
    with _readable(path):
        if path.suffix in PARQUET:
            return list(pq.read_schema(path).names)
        with opened(path) as lines:
            return header_of(islice(lines, skip_lines, None), delimiter)


def known_layout(names: Sequence[str], given: RowLayout) -> RowLayout | None:
    """Return the layout of a known form with the delimiter and the sign of `given`; None when it is none of them."""
    if TIME not in names:
        return None
    wide = sorted((n for n in names if _WIDE.fullmatch(n)), key=lambda n: int(n.rpartition("_")[2]))
    if wide:
        degc = tuple(n.replace("cell_v", "degc") for n in wide)
        return replace(given, time=TIME, voltages=tuple(wide), temperatures=degc if set(degc) <= set(names) else ())
    if "cell_v" not in names or "cell" in names:
        return None
    current, degc_name = ("current_a" if "current_a" in names else None), _first(names, "cell_degc", "degc")
    temperatures = () if degc_name is None else (degc_name,)
    return replace(given, time=TIME, voltages=("cell_v",), temperatures=temperatures, current=current)


def is_long(names: Sequence[str]) -> bool:
    """Whether these are the columns of our export with a row per reading."""
    return {TIME, "cell", "cell_v"} <= set(names)


def rows_of(path: Path, layout: RowLayout, times: Times | None = None) -> Rows:
    """Yield the rows of a CSV or Parquet file with one row per scan, in the order of the file.

    Raises:
        AnalyseError: it cannot be read, or a named column is not there.
    """
    with _readable(path):
        if path.suffix in PARQUET:
            plain = replace(layout, delimiter=",", decimal=".", columns=None, skip_lines=0)
            yield from read_rows(_parquet_lines(path), plain, times=times, in_order=False)
            return
        with opened(path) as lines:
            yield from read_rows(lines, layout, times=times, in_order=False)


def long_rows(path: Path, delimiter: str, decimal: str) -> Rows:
    """Yield a row per scan of our export with a row per reading; units that were not usable are NaN in it.

    Raises:
        AnalyseError: it cannot be read.
    """
    with _readable(path):
        if path.suffix in PARQUET:
            yield from _scans(csv.DictReader(_parquet_lines(path)), _number)
            return
        with opened(path) as lines:
            comma = decimal == ","
            yield from _scans(csv.DictReader(lines, delimiter=delimiter), _comma_number if comma else _number)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Say which file it is that cannot be read, and why.

    Raises:
        AnalyseError: in place of what the readers of its form raise.
    """
    try:
        yield
    except RecordedFileError as exc:
        raise AnalyseError(f"{path}: {exc}") from exc
    except (OSError, pa.ArrowInvalid, csv.Error) as exc:
        raise AnalyseError(f"{path}: {_reason(exc)}") from exc


def _scans(reader: "csv.DictReader[str]", number: Callable[[str | None], float]) -> Rows:
    """Yield the scans of a long export: rows of one time follow each other."""
    times = Times.of("iso", "UTC", None, ".")
    cells = 0
    for _, group in groupby(reader, key=lambda row: row.get(TIME)):
        readings = list(group)
        line = reader.line_num - len(readings) + 1
        try:
            at_ms = times.ms_of(readings[0].get(TIME) or "")
            values = {int(row["cell"] or 0): row for row in readings}
            cells = max(cells, *values)
            row = _scan(line, at_ms, values, cells, number)
        except TimeTextError as exc:
            yield BadRow(line, str(exc))
            continue
        except (ValueError, KeyError, TypeError) as exc:
            yield BadRow(line, f"no reading of a unit: {str(exc)[:80]}")
            continue
        yield row


def _scan(
    line: int, at_ms: int, values: dict[int, dict[str, str]], cells: int, number: Callable[[str | None], float]
) -> RecordedRow:
    def of(cell: int, name: str, quality: str) -> float:
        row = values.get(cell, {})
        return number(row.get(name)) if row.get(quality, "0") in USABLE else math.nan

    numbered = range(1, cells + 1)
    unit_v = tuple(of(cell, "cell_v", "quality") for cell in numbered)
    return RecordedRow(line, at_ms, unit_v, tuple(of(c, "degc", "degc_quality") for c in numbered), math.nan, math.nan)


def _number(text: str | None) -> float:
    return float(text) if text else math.nan


def _comma_number(text: str | None) -> float:
    return _number(text.replace(",", ".") if text else text)


def _parquet_lines(path: Path) -> Iterator[str]:
    """Yield a Parquet file as lines of CSV, so that one reader serves both: line 1 is the header."""
    with pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        yield _csv_line(names)
        for batch in file.iter_batches(batch_size=BATCH_ROWS):
            columns = [_texts(batch.column(at)) for at in range(len(names))]
            yield from map(_csv_line, zip(*columns, strict=True))


def _texts(column: "pa.Array[Any]") -> list[str]:
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("ms", column.type.tz), safe=False)
    return ["" if value is None else _text(value) for value in column.to_pylist()]


def _text(value: Any) -> str:  # noqa: ANN401  # whatever a column holds
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _csv_line(values: Iterable[str]) -> str:
    return ",".join(f'"{value}"' if "," in value else value for value in values) + "\n"


def _first(names: Sequence[str], *wanted: str) -> str | None:
    return next((name for name in wanted if name in names), None)


def _reason(exc: Exception) -> str:
    return str(getattr(exc, "strerror", None) or exc)[:200]
