"""Driver `replay`: a bus whose unit comes from a recorded file; one row is one scan, at the row's own time.

Rows go out as fast as receipts allow. What a row does not hold is null with quality "not re-read": a file that writes
voltage and temperature in turns gives scans that have one or the other, never a repeated value.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from cellkeeper.contract.physical import Quality
from cellkeeper.contract.scan_columns import Codes
from cellkeeper.contract.site import MODULE_TYPES, ReplayTable, StringTable
from cellkeeper.runtime.service import Datum

from bus_gateway.driver import DriverNotice, StringReadings
from bus_gateway.drivers.read_only import ReadOnlyDriver
from bus_gateway.drivers.recording import BadRow, RecordingError, Row, read_rows

_SHOWN_LINES: Final = 20


@dataclass(slots=True)
class ReplayCounts:
    """What a file held."""

    rows: int = 0
    bad_rows: int = 0
    bad_lines: list[int] = field(default_factory=list)


class ReplayDriver(ReadOnlyDriver):
    """One recorded file as one string of one unit.

    Args:
        path: the file.
        table: how it is read.
        string: the string it stands for; exactly one unit.
        room: waits until the way up can take more.

    Raises:
        RecordingError: the string has more than one unit, or a named column is missing, or the file cannot be read.
    """

    def __init__(
        self, path: Path, table: ReplayTable, string: StringTable, room: Callable[[], Awaitable[None]]
    ) -> None:
        if string.cells != 1:
            raise RecordingError(f"string {string.id}: a recording is of one unit, not of {string.cells}")
        self.path = path
        self.counts = ReplayCounts()
        self.finished = asyncio.Event()
        self.failure: str | None = None
        self._table = table
        self._string = string
        self._room = room
        self._notices: list[DriverNotice] = []
        self._range_v = MODULE_TYPES[string.module_type][:2]
        self._rows = self._read()
        self._next = next(self._rows, None)

    async def keep_open(self) -> None:
        """Nothing to hold open."""
        await asyncio.Event().wait()

    async def sweep(self, take: Callable[[StringReadings], None]) -> None:
        """Hand on the next row; after the last one, or a bad one that is fatal, this waits until it is cancelled."""
        await self._room()
        await asyncio.sleep(0)
        row = self._next
        if row is None:
            self._tell_end()
            await asyncio.Event().wait()
            return
        take(self._readings(row))
        self.counts.rows += 1
        self._next = None
        try:
            self._next = next(self._rows, None)
        except RecordingError as exc:
            self.failure = str(exc)
            self._notices.append(DriverNotice("replay.failed", "error", str(exc), {"string": self._string.id}))

    def take_notices(self) -> Sequence[DriverNotice]:
        """Return and forget what is to be told."""
        taken, self._notices = self._notices, []
        return taken

    def _read(self) -> Iterator[Row]:
        try:
            with self.path.open(encoding="utf-8", errors="replace", newline="") as lines:
                for row in read_rows(lines, self._table):
                    if isinstance(row, Row):
                        yield row
                    else:
                        self._count_bad(row)
        except OSError as exc:
            raise RecordingError(f"{self.path}: {exc.strerror}") from exc

    def _count_bad(self, row: BadRow) -> None:
        if self._table.bad_rows == "fail":
            raise RecordingError(f'{self.path}:{row.line}: {row.why}; correct it, or set bad_rows = "skip"')
        self.counts.bad_rows += 1
        if len(self.counts.bad_lines) < _SHOWN_LINES:
            self.counts.bad_lines.append(row.line)
            text = f"{self.path.name}:{row.line}: {row.why}; the row is skipped"
            self._notices.append(DriverNotice("replay.bad_row", "warning", text, {"line": row.line}))

    def _tell_end(self) -> None:
        if not self.finished.is_set():
            text = f"{self.path.name}: {self.counts.rows} rows replayed, {self.counts.bad_rows} bad rows skipped"
            data: dict[str, Datum] = {
                "rows": self.counts.rows,
                "bad_rows": self.counts.bad_rows,
                "string": self._string.id,
            }
            self._notices.append(DriverNotice("replay.finished", "info", text, data))
            self.finished.set()

    def _readings(self, row: Row) -> StringReadings:
        scalars: dict[str, float | None] = {}
        scalar_quality: dict[str, int] = {}
        if self._table.current_column is not None:
            known = not math.isnan(row.current_a)
            scalars["current_a"] = row.current_a if known else None
            scalar_quality["current_a"] = Quality.GOOD if known else Quality.NOT_RE_READ
        return StringReadings(
            string=self._string.id,
            measured_ms=row.measured_ms,
            cell_v=np.array([row.cell_v]),
            cell_degc=np.array([row.cell_degc]),
            bleed_frac=np.array([math.nan]),
            quality=_code(self._voltage_code(row.cell_v)),
            degc_quality=_code(self._temperature_code(row.cell_degc)),
            status=np.zeros(1, dtype=np.uint8),
            scalars=scalars,
            scalar_quality=scalar_quality,
        )

    def _voltage_code(self, cell_v: float) -> Quality:
        if math.isnan(cell_v):
            return Quality.NOT_RE_READ
        low_v, high_v = self._range_v
        return Quality.GOOD if low_v <= cell_v <= high_v else Quality.OUT_OF_RANGE

    def _temperature_code(self, cell_degc: float) -> Quality:
        if self._table.temperature_column is None:
            return Quality.SILENT
        return Quality.NOT_RE_READ if math.isnan(cell_degc) else Quality.GOOD


def _code(code: Quality) -> Codes:
    return np.array([code], dtype=np.uint8)
