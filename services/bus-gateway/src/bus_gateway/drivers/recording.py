"""Recorded measurements of one unit from a CSV file, read as `cellkeeper.contract.recorded_rows` reads all of them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import nan

from cellkeeper.contract.recorded_rows import BadRow, RecordedFileError, RowLayout
from cellkeeper.contract.recorded_rows import read_rows as read_recorded
from cellkeeper.contract.site import ReplayTable

from bus_gateway.errors import GatewayError

__all__ = ["BadRow", "RecordingError", "Row", "read_rows"]


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


def read_rows(lines: Iterable[str], table: ReplayTable) -> Iterator[Row | BadRow]:
    """Yield every data row of a file in order.

    Raises:
        RecordingError: a named column is not there.
    """
    try:
        for row in read_recorded(lines, _layout(table)):
            if isinstance(row, BadRow):
                yield row
                continue
            degc = row.degc[0] if row.degc else nan
            yield Row(row.line, row.measured_ms, row.unit_v[0], row.current_a, degc)
    except RecordedFileError as exc:
        raise RecordingError(str(exc)) from exc


def _layout(table: ReplayTable) -> RowLayout:
    return RowLayout(
        time=table.time_column,
        voltages=(table.voltage_column,),
        temperatures=() if table.temperature_column is None else (table.temperature_column,),
        current=table.current_column,
        columns=None if table.columns is None else tuple(table.columns),
        current_sign=table.current_sign,
        time_format=table.time_format,
        start_at=table.start_at,
        delimiter=table.delimiter,
    )
