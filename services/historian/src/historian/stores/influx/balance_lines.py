"""States of balancing as line protocol, and back."""

from typing import Final

import pyarrow as pa
from cellkeeper.contract.series import BALANCE, LOG, row_ns

from historian.stores.balance_rows import FIELDS, INHIBIT, balance_table, require_few
from historian.stores.influx.reading import where_log
from historian.stores.influx.row_times import NS_PER_MS
from historian.stores.influx.server import Server
from historian.stores.port import BalanceQuestion, BalanceRow

_NAMES: Final = tuple(each.stored for each in FIELDS)
_TYPES: Final = {
    each.stored: pa.dictionary(pa.int32(), pa.string()) if each.dtype == "text" else pa.int64() for each in FIELDS
}


def balance_line(row: BalanceRow, site: str) -> bytes:
    """Return a state as a line; its time has nanoseconds from why nothing is bled, so both of one moment stay."""
    told = ",".join(
        f"{name}={_text(value) if isinstance(value, str) else f'{value}i'}"
        for name, value in zip(_NAMES, row.stored, strict=True)
        if value is not None
    )
    at_ns = row_ns(row.at_ms, str(row.stored[INHIBIT]))
    return f"{BALANCE.name},site={site},string={row.string} {told} {at_ns}\n".encode()  # ids need no escapes


def states(server: Server, site: str, question: BalanceQuestion) -> pa.Table:
    """Return what is asked for, in time order.

    Raises:
        QueryRefusedError: too many rows.
        StoreFailedError: the server does not answer.
    """
    where = where_log(site, question.start_ms, question.end_ms, string=question.string)
    if question.milestones:
        where += " AND \"body\" != ''"
    columns = ", ".join(f'"{name}"' for name in _NAMES)
    asked = f'SELECT {columns} FROM "{BALANCE.name}" WHERE {where} LIMIT {question.max_rows + 1}'
    table = server.ask(LOG, asked, _TYPES)
    if table is None:
        return balance_table(())
    require_few(table.num_rows, question)
    return balance_table(
        BalanceRow(question.string, row["time"] // NS_PER_MS, tuple(_known(name, row) for name in _NAMES))
        for row in table.to_pylist()
    )


def _known(name: str, row: dict[str, int | str | None]) -> int | str | None:
    value = row[name]
    return "" if value is None and name == _NAMES[INHIBIT] else value  # a CSV tells no empty text from none


def _text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
