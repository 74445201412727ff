"""What other services tell of a string, in the manifest's database: columns named as they are stored.

Estimates of single units are one row for all units of a string, packed: a row of its own for each would be forty times
as large, and nobody asks this table for less than a string.
"""

import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from typing import Final

import pyarrow as pa
from cellkeeper.contract.series import CELL_ESTIMATE, Measurement

from historian.stores.embedded.manifest import Manifest
from historian.stores.plain_tables import lives_of, lives_text
from historian.stores.port import CellStateRow, StateQuestion, StateRow
from historian.stores.state_rows import COUNTS, OF_STRINGS, cell_state_table, require_few, state_table

MAX_ROWS: Final = 4_000_000  # two years of four strings that never rest; about 300 MB
MAX_CELL_ROWS: Final = 600_000  # four years of sixteen strings, an hour apart; about 600 MB of 240 units
_CELLS_INSERT: Final = "INSERT OR IGNORE INTO cell_estimate (string, at_ms, lives, counts) VALUES (?,?,?,?)"
_CELLS_QUESTION: Final = (
    "SELECT at_ms, lives, counts FROM cell_estimate WHERE string=? AND at_ms>=? AND at_ms<? ORDER BY at_ms"
)


def _names(measurement: Measurement) -> str:
    return ", ".join(each.stored for each in measurement.fields)


def _question(measurement: Measurement) -> str:
    whole = "(body IS NOT NULL OR NOT ?)" if measurement.has_body else "NOT ?"
    order = f"at_ms, {measurement.told_by}" if measurement.told_by else "at_ms"
    return (
        f"SELECT at_ms, {_names(measurement)} FROM {measurement.name} WHERE string=? AND at_ms>=? AND at_ms<? "  # noqa: S608  # names of the storage table
        f"AND {whole} ORDER BY {order} LIMIT ?"
    )


def _insert(measurement: Measurement) -> str:
    marks = ",?" * len(measurement.fields)
    return f"INSERT OR IGNORE INTO {measurement.name} (string, at_ms, {_names(measurement)}) VALUES (?,?{marks})"  # noqa: S608


_QUESTIONS: Final = {name: _question(measurement) for name, measurement in OF_STRINGS.items()}
_INSERTS: Final = {name: _insert(measurement) for name, measurement in OF_STRINGS.items()}


def insert(manifest: Manifest, rows: Sequence[StateRow], cells: Sequence[CellStateRow] = ()) -> None:
    """Make rows durable; known ones are skipped.

    Raises:
        StoreFullError, StoreFailedError: none of them counts.
    """
    with manifest.transaction() as db:
        for name, sql in _INSERTS.items():
            db.executemany(sql, [(row.string, row.at_ms, *row.stored) for row in rows if row.measurement == name])
        db.executemany(
            _CELLS_INSERT, [(row.string, row.at_ms, lives_text(row.lives), zlib.compress(row.counts)) for row in cells]
        )


def states(manifest: Manifest, question: StateQuestion) -> pa.Table:
    """Return what is asked for, in time order.

    Raises:
        QueryRefusedError: too many rows.
    """
    if question.measurement == CELL_ESTIMATE.name:
        return cell_state_table(list(_few_cells(manifest, question)))
    found = manifest.rows(
        _QUESTIONS[question.measurement],
        question.string,
        question.start_ms,
        question.end_ms,
        question.milestones,
        question.max_rows + 1,
    )
    require_few(len(found), question)
    rows = (
        StateRow(question.measurement, question.string, int(str(at_ms)), _known(stored)) for at_ms, *stored in found
    )
    return state_table(question.measurement, rows)


def _few_cells(manifest: Manifest, question: StateQuestion) -> Iterator[CellStateRow]:
    units = 0
    width = len(CELL_ESTIMATE.fields) * COUNTS.itemsize
    for at_ms, lives, packed in manifest.rows(_CELLS_QUESTION, question.string, question.start_ms, question.end_ms):
        counts = zlib.decompress(packed if isinstance(packed, bytes) else b"")
        units += len(counts) // width
        require_few(units, question)
        yield CellStateRow(question.string, int(str(at_ms)), lives_of(str(lives or "")), counts)


def _known(stored: Sequence[object]) -> tuple[int | str | None, ...]:
    return tuple(value if isinstance(value, int | str) else None for value in stored)


def trim(db: sqlite3.Connection, keep: int = MAX_ROWS, keep_cells: int = MAX_CELL_ROWS) -> None:
    """Delete the oldest rows of each table beyond `keep`."""
    for name, most in (*dict.fromkeys(OF_STRINGS, keep).items(), (CELL_ESTIMATE.name, keep_cells)):
        db.execute(
            f"DELETE FROM {name} WHERE at_ms < (SELECT at_ms FROM {name} ORDER BY at_ms DESC LIMIT 1 OFFSET ?)",  # noqa: S608
            (most - 1,),
        )
