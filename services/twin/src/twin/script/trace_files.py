"""Recordings of one unit in CSV files, with the columns, times and signs that a person says they have.

Policy. An empty field is no value. A row that cannot be read, holds no value at all, or whose time is not after that of
the row before, is a bad row: counted with its line number and skipped, or fatal, as asked. It is never dropped unsaid.
"""

import csv
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import numpy as np

from twin.errors import TwinFileError
from twin.physics.tables import Floats

MAX_TRACE_ROWS: Final = 5_000_000
MOST_LINES_SHOWN: Final = 20
MOST_NAMES_SHOWN: Final = 300
HIGHEST: Final = {"voltage": 40.0, "current": 20_000.0, "temperature": 200.0}
EMPTY: Final = frozenset({"", "nan", "null", "none", "na", "n/a", "-"})

type TimeFormat = Literal["seconds", "iso"]
type BadRowRule = Literal["skip", "fail"]


@dataclass(frozen=True, slots=True)
class TraceColumns:
    """How a CSV file is read.

    Attributes:
        time, v, degc, string_a: names as in the header row, or numbers from 1 in a file that has none.
        has_header: whether the first row names the columns.
        time_format: numbers of seconds, or ISO 8601 instants (UTC when they name no zone).
        current_sign: 1 when positive current charges, -1 when the file counts discharge as positive.
        delimiter: between two fields.
        bad_rows: what a row that cannot be read does to the file.
    """

    time: str = "time"
    v: str = "voltage"
    degc: str | None = None
    string_a: str | None = None
    has_header: bool = True
    time_format: TimeFormat = "seconds"
    current_sign: float = 1.0
    delimiter: str = ","
    bad_rows: BadRowRule = "skip"


@dataclass(frozen=True, slots=True)
class BadRows:
    """What was skipped: how many rows, and the first of them as `line 7: why`."""

    count: int = 0
    shown: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "; ".join(self.shown) + (" …" if self.count > len(self.shown) else "")


@dataclass(frozen=True, slots=True)
class Recording:
    """A file as it was read: R rows of one unit.

    Attributes:
        time_s: shape (R,), rising: seconds as in the file, or since 1970 UTC when its times are instants.
        v, degc, string_a: shape (R,), NaN where a row holds none; the current positive when it charges.
        bad: rows that are not among them.
    """

    path: Path
    time_s: Floats
    v: Floats
    degc: Floats | None
    string_a: Floats | None
    bad: BadRows


def read_recording(path: Path, columns: TraceColumns) -> Recording:
    """Return what a CSV file holds.

    Raises:
        TwinFileError: it cannot be read, is too long, has no such column, no usable row, or a bad row where none is
            wanted; names file and line, and says what to do.
    """
    rows: list[_Row] = []
    shown: list[str] = []
    bad = 0
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for row in _rows(path, file, columns):
                if not isinstance(row, str):
                    rows.append(row)
                    continue
                bad += 1
                shown += [row] if bad <= MOST_LINES_SHOWN else []
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        raise TwinFileError(f"{path}: cannot be read as CSV: {exc}; check path, encoding (UTF-8) and format") from exc
    if not rows:
        why = f"; {bad} bad rows, the first is {shown[0]}" if shown else ""
        raise TwinFileError(f"{path}: holds no row that can be followed{why}; check the columns and time_format")
    time_s, v, string_a, degc = np.array(rows).T
    return Recording(
        path=path,
        time_s=time_s,
        v=v,
        degc=None if columns.degc is None else degc,
        string_a=None if columns.string_a is None else columns.current_sign * string_a,
        bad=BadRows(bad, tuple(shown)),
    )


type _Row = tuple[float, float, float, float]
type _Places = tuple[int, int, int | None, int | None]


class _BadFieldError(ValueError):
    """A field of a row cannot be used: the row is a bad one."""


def _rows(path: Path, file: Iterator[str], columns: TraceColumns) -> Iterator[_Row | str]:
    """Yield time, voltage, current and temperature of each row, or why it is a bad one."""
    reader = csv.reader(file, delimiter=columns.delimiter)
    places = _places(path, next(reader, []) if columns.has_header else None, columns)
    seconds_of = _seconds if columns.time_format == "seconds" else _iso_seconds
    newest_s, newest_line = -math.inf, 0
    for fields in reader:
        line = reader.line_num
        if line > MAX_TRACE_ROWS:
            raise TwinFileError(f"{path}: more than {MAX_TRACE_ROWS} lines; cut the recording")
        if not any(field.strip() for field in fields):
            continue
        try:
            row = _row(fields, places, seconds_of)
            _require_later(row[0], newest_s, newest_line)
        except _BadFieldError as exc:
            if columns.bad_rows == "fail":
                raise TwinFileError(f"{path}, line {line}: {exc}; correct it, or set bad_rows=skip") from exc
            yield f"line {line}: {exc}"
            continue
        newest_s, newest_line = row[0], line
        yield row


def _require_later(time_s: float, newest_s: float, newest_line: int) -> None:
    if time_s <= newest_s:
        raise _BadFieldError(f"its time is not after that of line {newest_line}")


def _places(path: Path, header: list[str] | None, columns: TraceColumns) -> _Places:
    """Return where time, voltage, current and temperature stand in a row, from 0."""
    place_of = _numbered(path) if header is None else _named(path, [name.strip() for name in header])
    return (
        place_of(columns.time),
        place_of(columns.v),
        None if columns.string_a is None else place_of(columns.string_a),
        None if columns.degc is None else place_of(columns.degc),
    )


def _named(path: Path, names: list[str]) -> Callable[[str], int]:
    def place_of(name: str) -> int:
        if name in names:
            return names.index(name)
        there = ", ".join(names)[:MOST_NAMES_SHOWN] or "nothing"
        raise TwinFileError(
            f"{path}, line 1: no column {name!r}; there is {there}; "
            "name another column, or if that is no header row, set header=no and give column numbers"
        )

    return place_of


def _numbered(path: Path) -> Callable[[str], int]:
    def place_of(number: str) -> int:
        if number.isascii() and number.isdigit() and int(number) > 0:
            return int(number) - 1
        raise TwinFileError(f"{path}: with header=no a column is a number from 1, not {number!r}; count them in line 1")

    return place_of


def _row(fields: list[str], places: _Places, seconds_of: Callable[[str], float]) -> _Row:
    width = 1 + max(place for place in places if place is not None)
    if len(fields) < width:
        raise _BadFieldError(f"{len(fields)} fields, {width} needed")
    time, v, a, degc = (None if place is None else fields[place].strip() for place in places)
    values = _number(v, "voltage"), _number(a, "current"), _number(degc, "temperature")
    if all(map(math.isnan, values)):
        raise _BadFieldError("no value in any named column")
    return seconds_of(time or ""), *values


def _number(text: str | None, what: str) -> float:
    if text is None or text.lower() in EMPTY:
        return math.nan
    try:
        value = float(text)
    except ValueError as exc:
        raise _BadFieldError(f"{what} {text[:40]!r} is not a number") from exc
    if not abs(value) <= HIGHEST[what]:
        raise _BadFieldError(f"{what} {value:g} is outside ±{HIGHEST[what]:g}; volts, amperes, degrees Celsius count")
    return value


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError as exc:
        raise _BadFieldError(f"time {text[:40]!r} is no number of seconds (instants need time_format=iso)") from exc
    if not math.isfinite(value):
        raise _BadFieldError(f"time {text[:40]!r} is no number of seconds")
    return value


def _iso_seconds(text: str) -> float:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as exc:
        raise _BadFieldError(f"time {text[:40]!r} is not ISO 8601 (numbers need time_format=seconds)") from exc
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
