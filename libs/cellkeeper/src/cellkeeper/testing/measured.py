"""The measured files of `tests/measured` as rows, read on their own: no product code that a test checks is used."""

import csv
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cellkeeper.contract.moment import to_ms

LEAF_FILE: Final = "leaf-2c-discharge.csv"
GEL_FILE: Final = "gel-vrla-12v.csv"
LEAF_START: Final = datetime(2026, 1, 1, tzinfo=UTC)  # the file has seconds without a date
_TIME, _CURRENT, _VOLTAGE = 1, 8, 9


@dataclass(frozen=True, slots=True)
class MeasuredRow:
    """One row of a file; what it does not hold is None.

    Attributes:
        at_ms: UTC.
        v, a, degc: volts of the unit, amperes with charging positive, degrees Celsius.
    """

    at_ms: int
    v: float | None
    a: float | None
    degc: float | None


def leaf_rows(folder: Path) -> list[MeasuredRow]:
    """Return the rows of a lithium cell, from `LEAF_START` on."""
    with (folder / LEAF_FILE).open(newline="", encoding="utf-8") as file:
        return [
            MeasuredRow(
                to_ms(LEAF_START + timedelta(seconds=float(row[_TIME]))),
                float(row[_VOLTAGE]),
                float(row[_CURRENT]),
                None,
            )
            for row in csv.reader(file)
        ]


def gel_rows(folder: Path) -> list[MeasuredRow]:
    """Return the rows of a 12 V lead block.

    The file counts discharge as positive: its current rises above zero while the block falls from 13.3 to 10.4 V.
    """
    with (folder / GEL_FILE).open(newline="", encoding="utf-8") as file:
        return [
            MeasuredRow(
                to_ms(datetime.fromisoformat(row["time"]).replace(tzinfo=UTC)),
                float(row["voltage"]) if row["voltage"] else None,
                -float(row["current"]) if row["current"] else None,
                float(row["temperature"]) if row["temperature"] else None,
            )
            for row in csv.DictReader(file)
        ]
