"""What other services tell of a string, as rows and as tables: balancing, mode, estimates. Pure.

Each is a measurement of the storage table, and a row follows its fields in their order. `cell_estimate` has a value per
unit: one `CellStateRow` holds those of all units of a string at one moment.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, Final, Literal, cast

import numpy as np
import pyarrow as pa
from cellkeeper.contract.balance_state import BalanceState
from cellkeeper.contract.moment import to_ms
from cellkeeper.contract.series import BALANCE, CELL_ESTIMATE, ESTIMATE, MODE, Field, Measurement
from cellkeeper.contract.telemetry import StringMode
from cellkeeper.contract.wire import encode

from historian.errors import QueryRefusedError
from historian.stores.plain_tables import AT, columns
from historian.stores.port import FIRST_LIFE, CellStateRow, StateQuestion, StateRow

type StateName = Literal["balance", "mode", "estimate", "cell_estimate"]

OF_STRINGS: Final = {each.name: each for each in (BALANCE, MODE, ESTIMATE)}
NAMES: Final[tuple[StateName, ...]] = ("balance", "mode", "estimate", "cell_estimate")
NULL: Final = int(np.iinfo(np.int16).min)  # of `cell_estimate`, whose fields are all 16 bits wide
COUNTS: Final = np.dtype("<i2")
type AnyRow = StateRow | CellStateRow


def _kind(field: Field) -> pa.DataType:
    if field.dtype == "text":
        return pa.string()
    return pa.int64() if field.exponent is None else pa.float64()


@cache
def schema_of(name: str) -> pa.Schema:
    """Return the columns of a measurement's tables."""
    if name == CELL_ESTIMATE.name:
        shown = [("cell", pa.int16()), ("life", pa.int16()), *((e.shown, _kind(e)) for e in CELL_ESTIMATE.fields)]
        return pa.schema(columns(("measured_at", AT), *shown))
    return pa.schema(columns(("measured_at", AT), *((e.shown, _kind(e)) for e in OF_STRINGS[name].fields)))


def balance_row(state: BalanceState) -> StateRow:
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
    return state_row(BALANCE, state.string, to_ms(state.measured_at), values)


def mode_row(mode: StringMode) -> StateRow:
    """Return what is stored of a payload; an empty text is none, because a server's answer cannot tell them apart."""
    values: dict[str, float | str | None] = {"mode": mode.mode, "since_ms": to_ms(mode.since), "why": mode.why or None}
    return state_row(MODE, mode.string, to_ms(mode.measured_at), values)


def state_row(measurement: Measurement, string: str, at_ms: int, values: dict[str, float | str | None]) -> StateRow:
    """Return a row of values in plain units by their shown names."""
    stored = tuple(_stored(each, values[each.shown]) for each in measurement.fields)
    return StateRow(measurement.name, string, at_ms, stored)


def _stored(field: Field, value: float | str | None) -> int | str | None:
    if value is None or isinstance(value, str):
        return value
    border = int(np.iinfo(np.dtype(field.dtype)).max)
    return round(min(max(value * 10.0**field.decimals, -border), border))


def state_table(name: str, rows: Iterable[StateRow]) -> pa.Table:
    """Return rows of a string's measurement in plain units, in the order given."""
    found = list(rows)
    arrays: list[pa.Array[Any]] = [pa.array([row.at_ms for row in found], AT)]
    for at, field in enumerate(OF_STRINGS[name].fields):
        values = [row.stored[at] for row in found]
        if field.exponent is not None:
            scale = 10.0**field.exponent
            plain = [None if value is None else float(value) / scale for value in values]
            arrays.append(pa.array(plain, pa.float64()))
        else:
            arrays.append(cast("pa.Array[Any]", pa.array(values, _kind(field))))
    return pa.Table.from_arrays(arrays, schema=schema_of(name))


def cell_state_table(rows: Sequence[CellStateRow]) -> pa.Table:
    """Return rows of `cell_estimate`, one per unit and moment, in the order given."""
    schema = schema_of(CELL_ESTIMATE.name)
    if not rows:
        return schema.empty_table()
    counts = [counts_of(row) for row in rows]
    lives = [row.lives or (FIRST_LIFE,) * each.shape[1] for row, each in zip(rows, counts, strict=True)]
    arrays: list[pa.Array[Any]] = [
        pa.array(np.repeat([row.at_ms for row in rows], [each.shape[1] for each in counts]), AT),
        pa.array(np.concatenate([np.arange(1, each.shape[1] + 1) for each in counts]), pa.int16()),
        pa.array(np.concatenate([np.array(each) for each in lives]), pa.int16()),
    ]
    whole = np.concatenate(counts, axis=1)
    for field, stored in zip(CELL_ESTIMATE.fields, whole, strict=True):
        plain = stored if field.exponent is None else stored / 10.0**field.exponent
        arrays.append(pa.array(plain, _kind(field), mask=stored == NULL))
    return pa.Table.from_arrays(arrays, schema=schema)


def counts_of(row: CellStateRow) -> "np.ndarray[tuple[int, int], np.dtype[np.int16]]":
    """Return stored counts, (fields, n); `NULL` where there is none."""
    flat = np.frombuffer(row.counts, COUNTS)
    return flat.reshape(len(CELL_ESTIMATE.fields), -1)


def rows_of(table: pa.Table, name: str, string: str) -> list[AnyRow]:
    """Return the rows of a table that a store answered."""
    if name == CELL_ESTIMATE.name:
        return list(_cell_rows_of(table, string))
    found: list[AnyRow] = []
    fields = OF_STRINGS[name].fields
    for row in table.to_pylist():
        stored = tuple(_stored(field, row[field.shown]) for field in fields)
        found.append(StateRow(name, string, to_ms(row["measured_at"]), stored))
    return found


def _cell_rows_of(table: pa.Table, string: str) -> Iterable[CellStateRow]:
    """Yield a row for each moment; a unit that it does not have is null."""
    at_ms = table["measured_at"].cast(pa.int64()).to_numpy()
    cell, life = (table[name].to_numpy().astype(np.intp) for name in ("cell", "life"))
    counts = np.stack([_counts(field, table[field.shown].to_numpy()) for field in CELL_ESTIMATE.fields])
    for moment in np.unique(at_ms):
        here = np.flatnonzero(at_ms == moment)
        units = int(cell[here].max())
        whole = np.full((len(counts), units), NULL, COUNTS)
        lives = np.full(units, FIRST_LIFE)
        whole[:, cell[here] - 1], lives[cell[here] - 1] = counts[:, here], life[here]
        told = tuple(lives.tolist()) if (lives != FIRST_LIFE).any() else None
        yield CellStateRow(string, int(moment), told, whole.tobytes())


def _counts(field: Field, plain: "np.ndarray[Any, Any]") -> "np.ndarray[Any, np.dtype[np.float64]]":
    scaled = np.rint(plain.astype(np.float64) * 10.0**field.decimals)
    return np.where(np.isnan(scaled), NULL, np.clip(scaled, NULL + 1, -NULL - 1))


def require_few(found: int, question: StateQuestion) -> None:
    """Refuse an answer that has more rows than asked for.

    Raises:
        QueryRefusedError: it has.
    """
    if found > question.max_rows:
        raise QueryRefusedError(
            f"more than {question.max_rows} rows of {question.measurement}; ask for a shorter range"
        )
