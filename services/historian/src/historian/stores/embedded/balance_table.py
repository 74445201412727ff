"""States of balancing in the manifest's database: a row a minute and string, columns named as they are stored."""

import sqlite3
from collections.abc import Sequence
from typing import Final

import pyarrow as pa
from cellkeeper.contract.series import BALANCE

from historian.stores.balance_rows import balance_table, require_few
from historian.stores.embedded.manifest import Manifest
from historian.stores.port import BalanceQuestion, BalanceRow

MAX_ROWS: Final = 4_000_000  # two years of four strings that never rest; about 300 MB
_NAMES: Final = ", ".join(each.stored for each in BALANCE.fields)
_QUESTION: Final = (
    f"SELECT at_ms, {_NAMES} FROM balance WHERE string=? AND at_ms>=? AND at_ms<? AND (body IS NOT NULL OR NOT ?) "  # noqa: S608  # names of the storage table
    "ORDER BY at_ms, inhibit LIMIT ?"
)
_INSERT: Final = f"INSERT OR IGNORE INTO balance (string, at_ms, {_NAMES}) VALUES (?,?{',?' * len(BALANCE.fields)})"  # noqa: S608


def insert(manifest: Manifest, rows: Sequence[BalanceRow]) -> None:
    """Make rows durable; known ones are skipped.

    Raises:
        StoreFullError, StoreFailedError: none of them counts.
    """
    with manifest.transaction() as db:
        db.executemany(_INSERT, [(row.string, row.at_ms, *row.stored) for row in rows])


def states(manifest: Manifest, question: BalanceQuestion) -> pa.Table:
    """Return what is asked for, in time order.

    Raises:
        QueryRefusedError: too many rows.
    """
    found = manifest.rows(
        _QUESTION,
        question.string,
        question.start_ms,
        question.end_ms,
        question.milestones,
        question.max_rows + 1,
    )
    require_few(len(found), question)
    return balance_table(BalanceRow(question.string, int(str(at_ms)), _known(stored)) for at_ms, *stored in found)


def _known(stored: Sequence[object]) -> tuple[int | str | None, ...]:
    return tuple(value if isinstance(value, int | str) else None for value in stored)


def trim(db: sqlite3.Connection, keep: int = MAX_ROWS) -> None:
    """Delete the oldest rows beyond `keep`."""
    db.execute(
        "DELETE FROM balance WHERE at_ms < (SELECT at_ms FROM balance ORDER BY at_ms DESC LIMIT 1 OFFSET ?)",
        (keep - 1,),
    )
