"""States of balancing as rows and as tables, field by field as the storage table has them. Pure."""

from collections.abc import Iterable
from typing import Any, Final, cast

import numpy as np
import pyarrow as pa
from cellkeeper.contract.balance_state import BalanceState
from cellkeeper.contract.moment import to_ms
from cellkeeper.contract.series import BALANCE, Field
from cellkeeper.contract.wire import encode

from historian.errors import QueryRefusedError
from historian.stores.plain_tables import AT, columns
from historian.stores.port import BalanceQuestion, BalanceRow

FIELDS: Final = BALANCE.fields
INHIBIT: Final = FIELDS.index(BALANCE.field("inhibit"))


def _kind(field: Field) -> pa.DataType:
    if field.dtype == "text":
        return pa.string()
    return pa.int64() if field.exponent is None else pa.float64()


SCHEMA: Final = pa.schema(columns(("measured_at", AT), *((each.shown, _kind(each)) for each in FIELDS)))


def balance_row(state: BalanceState) -> BalanceRow:
    """Return what is stored of a payload; the whole of it only where it is a milestone."""
    values: dict[str, float | str | None] = {
        "phase": state.phase,
        "inhibit": state.inhibit,
        "spread_v": state.spread_v,
        "held_out_spread_v": state.held_out_spread_v,
        "began_spread_v": state.began_spread_v,
        "began_ms": None if state.began_at is None else to_ms(state.began_at),
        "half_life_s": state.half_life_s,
        "finish_s": state.finish_s,
        "moved_ah": sum(state.moved_ah),
        "heat_wh": sum(state.heat_wh),
        "n_bleeding": sum(duty > 0.0 for duty in state.duty_frac),
        "n_findings": len(state.findings),
        "body": encode(state).decode() if state.is_milestone else None,
    }
    stored = tuple(_stored(each, values[each.shown]) for each in FIELDS)
    return BalanceRow(state.string, to_ms(state.measured_at), stored)


def _stored(field: Field, value: float | str | None) -> int | str | None:
    if value is None or isinstance(value, str):
        return value
    border = int(np.iinfo(np.dtype(field.dtype)).max)
    return round(min(max(value * 10.0**field.decimals, -border), border))


def balance_table(rows: Iterable[BalanceRow]) -> pa.Table:
    """Return rows in plain units, in the order given."""
    found = list(rows)
    arrays: list[pa.Array[Any]] = [pa.array([row.at_ms for row in found], AT)]
    for at, field in enumerate(FIELDS):
        values = [row.stored[at] for row in found]
        if field.exponent is not None:
            scale = 10.0**field.exponent
            plain = [None if value is None else float(value) / scale for value in values]
            arrays.append(pa.array(plain, pa.float64()))
        else:
            arrays.append(cast("pa.Array[Any]", pa.array(values, _kind(field))))
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def rows_of(table: pa.Table, string: str) -> list[BalanceRow]:
    """Return the rows of a table that a store answered."""
    found = []
    for row in table.to_pylist():
        stored = tuple(_stored(field, row[field.shown]) for field in FIELDS)
        found.append(BalanceRow(string, to_ms(row["measured_at"]), stored))
    return found


def require_few(found: int, question: BalanceQuestion) -> None:
    """Refuse an answer that has more rows than asked for.

    Raises:
        QueryRefusedError: it has.
    """
    if found > question.max_rows:
        raise QueryRefusedError(f"more than {question.max_rows} states of balancing; ask for a shorter range")
