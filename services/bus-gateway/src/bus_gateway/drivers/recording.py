"""Recorded measurements of one unit from a CSV file: rows in, values with their own times out. Pure but for the lines.

Policy. A row's time is used as it is (UTC when it names no zone) and must increase by at least a millisecond. An empty
field is no value: nothing is filled in from the row before. A row with a temperature alone stays a row of its own. What
cannot be read is a bad row with its line number.
"""

import csv
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from cellkeeper.contract.moment import from_ms, to_ms
from cellkeeper.contract.site import ReplayTable

from bus_gateway.errors import GatewayError

_MAX_V: Final = 40.0
_MAX_A: Final = 20_000.0
_MAX_DEGC: Final = 200.0
_EMPTY: Final = frozenset({"", "nan", "null", "none", "na", "n/a", "-"})


class CsvReader(Protocol):
    """What `csv.reader` returns."""

    @property
    def line_num(self) -> int:
        """Lines read so far."""

    def __next__(self) -> list[str]:
        """Return the fields of the next row."""

    def __iter__(self) -> Iterator[list[str]]:
        """Return itself."""


class RecordingError(GatewayError):
    """The file cannot be replayed like this: the text says which line or column, and what to do."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row; NaN where the field is empty. Positive current charges."""

    line: int
    measured_ms: int
    cell_v: float
    current_a: float
    cell_degc: float


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that says nothing usable, and why."""

    line: int
    why: str


class _FieldError(ValueError):
    """A field of a row cannot be used."""


def read_rows(lines: Iterable[str], table: ReplayTable) -> Iterator[Row | BadRow]:
    """Yield every data row of a file in order.

    Raises:
        RecordingError: a named column is not there.
    """
    reader = csv.reader(lines, delimiter=table.delimiter)
    names = table.columns if table.columns is not None else _header(reader)
    fields = _Fields.of(table, names)
    last_ms: int | None = None
    while (values := _next_values(reader)) is not None:
        line = reader.line_num
        if isinstance(values, BadRow):
            yield values
            continue
        if not any(value.strip() for value in values):
            continue
        try:
            row = fields.read(line, values)
        except _FieldError as exc:
            yield BadRow(line, str(exc))
            continue
        if last_ms is not None and row.measured_ms <= last_ms:
            yield BadRow(line, f"time {from_ms(row.measured_ms).isoformat()} does not increase")
            continue
        last_ms = row.measured_ms
        yield row


@dataclass(frozen=True, slots=True)
class _Fields:
    """Where the values stand in a row, and how they are read."""

    width: int
    time: int
    voltage: int
    current: int | None
    temperature: int | None
    sign: int
    time_of: Callable[[str], int]

    @classmethod
    def of(cls, table: ReplayTable, names: list[str]) -> "_Fields":
        def at(name: str | None) -> int | None:
            return None if name is None else _position(name, names)

        wanted = (table.time_column, table.voltage_column, table.current_column, table.temperature_column)
        places = [place for place in map(at, wanted) if place is not None]
        return cls(
            width=max(places) + 1,
            time=_position(table.time_column, names),
            voltage=_position(table.voltage_column, names),
            current=at(table.current_column),
            temperature=at(table.temperature_column),
            sign=table.current_sign,
            time_of=_time_reader(table),
        )

    def read(self, line: int, values: list[str]) -> Row:
        if len(values) < self.width:
            raise _FieldError(f"{len(values)} fields, {self.width} needed")
        cell_v = _number(values[self.voltage], "voltage", _MAX_V)
        current_a = math.nan if self.current is None else self.sign * _number(values[self.current], "current", _MAX_A)
        cell_degc = math.nan
        if self.temperature is not None:
            cell_degc = _number(values[self.temperature], "temperature", _MAX_DEGC)
        if math.isnan(cell_v) and math.isnan(current_a) and math.isnan(cell_degc):
            raise _FieldError("no value in any named column")
        return Row(line, self.time_of(values[self.time].strip()), cell_v, current_a, cell_degc)


def _header(reader: CsvReader) -> list[str]:
    values = _next_values(reader)
    if values is None or isinstance(values, BadRow):
        raise RecordingError("the file is empty" if values is None else f"the header cannot be read: {values.why}")
    return [name.strip().removeprefix("\ufeff") for name in values]


def _next_values(reader: CsvReader) -> list[str] | BadRow | None:
    """Return the fields of the next row, why it is none, or None at the end."""
    try:
        return next(reader, None)
    except csv.Error as exc:
        return BadRow(reader.line_num, f"not CSV: {exc}")


def _position(name: str, names: list[str]) -> int:
    try:
        return names.index(name)
    except ValueError as exc:
        shown = ", ".join(names)[:300]
        raise RecordingError(f"there is no column {name!r}; the file has {shown}") from exc


def _number(text: str, what: str, limit: float) -> float:
    text = text.strip()
    if text.lower() in _EMPTY:
        return math.nan
    try:
        value = float(text)
    except ValueError as exc:
        raise _FieldError(f"{what} {text[:40]!r} is not a number") from exc
    if not abs(value) <= limit:
        raise _FieldError(f"{what} {value:g} is outside ±{limit:g}")
    return value


def _time_reader(table: ReplayTable) -> Callable[[str], int]:
    if table.time_format == "iso":
        return _iso_ms
    start_ms = 0 if table.start_at is None else _start_ms(table.start_at)

    def seconds_ms(text: str) -> int:
        try:
            seconds = float(text)
        except ValueError as exc:
            raise _FieldError(f"time {text[:40]!r} is not a number of seconds") from exc
        if not math.isfinite(seconds):
            raise _FieldError(f"time {text[:40]!r} is not a number of seconds")
        return start_ms + round(seconds * 1000.0)

    return seconds_ms


def _iso_ms(text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as exc:
        raise _FieldError(f"time {text[:40]!r} is not ISO 8601") from exc
    return to_ms(at if at.tzinfo is not None else at.replace(tzinfo=UTC))


def _start_ms(text: str) -> int:
    try:
        return _iso_ms(text)
    except _FieldError as exc:
        raise RecordingError(f"start_at: {exc}") from exc
