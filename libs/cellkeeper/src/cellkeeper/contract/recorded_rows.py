"""Recorded measurements from a CSV file: lines in, values with their own times out. Pure but for the lines.

Policy. A row's time is used as it is (UTC when nobody names a zone) and must increase by at least a millisecond, unless
the caller puts rows in order. An empty field is no value: nothing is filled in from the row before. A row with a
temperature alone stays a row of its own. What cannot be read is a bad row with its line number.
"""

import csv
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, Literal, Protocol

from cellkeeper.contract.moment import from_ms
from cellkeeper.contract.recorded_times import TimeFormatError, Times, TimeTextError

MAX_UNIT_V: Final = 40.0
MAX_STRING_V: Final = 2000.0
MAX_A: Final = 20_000.0
MAX_DEGC: Final = 200.0
_EMPTY: Final = frozenset({"", "nan", "null", "none", "na", "n/a", "-"})


class RecordedFileError(ValueError):
    """The file cannot be read like this: the text says which column, and what to do."""


@dataclass(frozen=True, slots=True)
class RowLayout:
    """How a file is read.

    Attributes:
        time: name of the column with times.
        voltages: one column per unit, in the order of the cells.
        temperatures: one per unit, or one for all of them, or none.
        current: None where the file has none.
        string_voltage: None likewise.
        columns: names of a file without a header row; None when its first row has them.
        current_sign: -1 when the file counts a discharge as positive.
        time_format: `iso`, `seconds` or `milliseconds` since `start_at`, or a pattern with `%`.
        start_at: an instant; 1970 when None.
        delimiter: between fields.
        decimal: `.` or `,`.
        zone: of times that name none.
        skip_lines: before the header row.
        voltage_scale, current_scale: volts and amperes of one of the file's own; 0.001 for millivolts.
    """

    time: str
    voltages: tuple[str, ...]
    temperatures: tuple[str, ...] = ()
    current: str | None = None
    string_voltage: str | None = None
    columns: tuple[str, ...] | None = None
    current_sign: Literal[1, -1] = 1
    time_format: str = "iso"
    start_at: str | None = None
    delimiter: str = ","
    decimal: Literal[".", ","] = "."
    zone: str = "UTC"
    skip_lines: int = 0
    voltage_scale: float = 1.0
    current_scale: float = 1.0


@dataclass(frozen=True, slots=True)
class RecordedRow:
    """One row; NaN where a field is empty. Positive current charges.

    Attributes:
        line: of the file, from 1.
        measured_ms: since 1970 UTC.
        unit_v: of each unit.
        degc: as many as the layout names.
        current_a, string_v: NaN where the file has none.
    """

    line: int
    measured_ms: int
    unit_v: tuple[float, ...]
    degc: tuple[float, ...]
    current_a: float
    string_v: float


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that says nothing usable, and why."""

    line: int
    why: str


class CsvReader(Protocol):
    """What `csv.reader` returns."""

    @property
    def line_num(self) -> int:
        """Lines read so far."""

    def __next__(self) -> list[str]:
        """Return the fields of the next row."""

    def __iter__(self) -> Iterator[list[str]]:
        """Return itself."""


class _FieldError(ValueError):
    """A field of a row cannot be used."""


def times_of(layout: RowLayout) -> Times:
    """Return what reads the times of a file; raises RecordedFileError when nothing can."""
    try:
        return Times.of(layout.time_format, layout.zone, layout.start_at, layout.decimal)
    except TimeFormatError as exc:
        raise RecordedFileError(str(exc)) from exc


def read_rows(
    lines: Iterable[str], layout: RowLayout, *, times: Times | None = None, in_order: bool = True
) -> Iterator[RecordedRow | BadRow]:
    """Yield every data row of a file, as the file has them.

    Args:
        lines: of the file.
        layout: how they are read.
        times: reads the times, where the caller wants to know what it saw.
        in_order: whether a row whose time does not increase is a bad one.

    Raises:
        RecordedFileError: a named column is not there or there twice, or `start_at` is no instant.
    """
    reader = csv.reader(islice(lines, layout.skip_lines, None), delimiter=layout.delimiter)
    names = list(layout.columns) if layout.columns is not None else _header(reader)
    fields = _Fields.of(layout, names, times or times_of(layout))
    last_ms: int | None = None
    while (values := _next_values(reader)) is not None:
        line = layout.skip_lines + reader.line_num
        if isinstance(values, BadRow):
            yield values
            continue
        if not any(value.strip() for value in values):
            continue
        try:
            row = fields.read(line, values)
        except (_FieldError, TimeTextError) as exc:
            yield BadRow(line, str(exc))
            continue
        if in_order and last_ms is not None and row.measured_ms <= last_ms:
            yield BadRow(line, f"time {from_ms(row.measured_ms).isoformat()} does not increase")
            continue
        last_ms = row.measured_ms
        yield row


def header_of(lines: Iterable[str], delimiter: str) -> list[str]:
    """Return the names in the first row of a file.

    Raises:
        RecordedFileError: the file is empty, or no CSV.
    """
    return _header(csv.reader(lines, delimiter=delimiter))


@dataclass(frozen=True, slots=True)
class _Fields:
    """Where the values stand in a row, and how they are read."""

    width: int
    most: int | None
    time: int
    voltages: tuple[int, ...]
    temperatures: tuple[int, ...]
    current: int | None
    string_voltage: int | None
    current_scale: float
    voltage_scale: float
    decimal: str
    times: Times

    @classmethod
    def of(cls, layout: RowLayout, names: list[str], times: Times) -> "_Fields":
        def at(name: str | None) -> int | None:
            return None if name is None else _position(name, names)

        time, current, string_voltage = _position(layout.time, names), at(layout.current), at(layout.string_voltage)
        voltages = tuple(_position(name, names) for name in layout.voltages)
        temperatures = tuple(_position(name, names) for name in layout.temperatures)
        known = [place for place in (current, string_voltage) if place is not None]
        return cls(
            width=max((time, *voltages, *temperatures, *known)) + 1,
            most=len(names) if layout.columns is None else None,
            time=time,
            voltages=voltages,
            temperatures=temperatures,
            current=current,
            string_voltage=string_voltage,
            current_scale=layout.current_sign * layout.current_scale,
            voltage_scale=layout.voltage_scale,
            decimal=layout.decimal,
            times=times,
        )

    def read(self, line: int, values: list[str]) -> RecordedRow:
        if len(values) < self.width:
            raise _FieldError(f"{len(values)} fields, {self.width} needed")
        if self.most is not None and any(values[self.most :]):  # a decimal comma between commas makes two fields of one
            raise _FieldError(f"{len(values)} fields, the header names {self.most}")
        unit_v = tuple(self._number(values[at], "voltage", MAX_UNIT_V, self.voltage_scale) for at in self.voltages)
        degc = tuple(self._number(values[at], "temperature", MAX_DEGC) for at in self.temperatures)
        current_a = self._at(values, self.current, "current", MAX_A, self.current_scale)
        string_v = self._at(values, self.string_voltage, "string voltage", MAX_STRING_V)
        if all(map(math.isnan, (*unit_v, *degc, current_a, string_v))):
            raise _FieldError("no value in any named column")
        return RecordedRow(line, self.times.ms_of(values[self.time].strip()), unit_v, degc, current_a, string_v)

    def _at(self, values: list[str], place: int | None, what: str, limit: float, scale: float = 1.0) -> float:
        return math.nan if place is None else self._number(values[place], what, limit, scale)

    def _number(self, text: str, what: str, limit: float, scale: float = 1.0) -> float:
        text = text.strip()
        if text.lower() in _EMPTY:
            return math.nan
        try:
            value = scale * float(text if self.decimal == "." else text.replace(",", "."))
        except ValueError as exc:
            raise _FieldError(f"{what} {text[:40]!r} is not a number") from exc
        if not abs(value) <= limit:
            raise _FieldError(f"{what} {value:g} is outside ±{limit:g}")
        return value


def _header(reader: CsvReader) -> list[str]:
    values = _next_values(reader)
    while values == []:  # empty lines before it
        values = _next_values(reader)
    if values is None or isinstance(values, BadRow):
        raise RecordedFileError("the file is empty" if values is None else f"the header cannot be read: {values.why}")
    return [name.strip().removeprefix("\ufeff") for name in values]


def _next_values(reader: CsvReader) -> list[str] | BadRow | None:
    """Return the fields of the next row, why it is none, or None at the end."""
    try:
        return next(reader, None)
    except csv.Error as exc:
        return BadRow(reader.line_num, f"not CSV: {exc}")


def _position(name: str, names: list[str]) -> int:
    found = [at for at, each in enumerate(names) if each == name]
    if len(found) > 1:
        raise RecordedFileError(f"{len(found)} columns are called {name!r}; rename all but the one you mean")
    if not found:
        raise RecordedFileError(f"there is no column {name!r}; the file has {', '.join(names)[:300]}")
    return found[0]
