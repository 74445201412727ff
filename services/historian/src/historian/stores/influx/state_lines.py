"""What other services tell of a string, as line protocol, and back."""

from typing import Final

import numpy as np
import pyarrow as pa
from cellkeeper.contract.series import CELL_ESTIMATE, LOG, row_ns

from historian.stores.influx.lines import cell_keys
from historian.stores.influx.reading import keys_of_tags, where_log
from historian.stores.influx.row_times import NS_PER_MS
from historian.stores.influx.server import Server
from historian.stores.influx.text_columns import TextColumns, chars_of
from historian.stores.plain_tables import AT
from historian.stores.port import FIRST_LIFE, CellStateRow, StateQuestion, StateRow
from historian.stores.state_rows import NULL, OF_STRINGS, counts_of, require_few, schema_of, state_table

_TEXT: Final = pa.dictionary(pa.int32(), pa.string())
_CELL_NAMES: Final = tuple(each.stored for each in CELL_ESTIMATE.fields)


def state_line(row: StateRow, site: str) -> bytes:
    """Return a row as a line; its time has nanoseconds from what tells two rows of one moment apart, so both stay."""
    measurement = OF_STRINGS[row.measurement]
    told = ",".join(
        f"{field.stored}={_text(value) if isinstance(value, str) else f'{value}i'}"
        for field, value in zip(measurement.fields, row.stored, strict=True)
        if value is not None
    )
    apart = row.stored[measurement.place(measurement.told_by)] if measurement.told_by else ""
    at_ns = row_ns(row.at_ms, str(apart))
    return f"{row.measurement},site={site},string={row.string} {told} {at_ns}\n".encode()  # ids need no escapes


def cell_state_lines(row: CellStateRow, site: str) -> bytes:
    """Return the estimates of all units of a string, a line for each unit."""
    counts = counts_of(row)
    lives = row.lives or (FIRST_LIFE,) * counts.shape[1]
    keys = tuple(enumerate(lives, 1))
    out = TextColumns(cell_keys(site, row.string, keys, CELL_ESTIMATE.name))
    for field, stored in zip(CELL_ESTIMATE.fields, counts, strict=True):
        out.integer(field.stored, stored.astype(np.int64), stored != NULL)
    at_ns = chars_of([str(row.at_ms * NS_PER_MS).encode()])
    return out.end(np.repeat(at_ns, len(keys), axis=0))


def states(server: Server, site: str, question: StateQuestion) -> pa.Table:
    """Return what is asked for, in time order.

    Raises:
        QueryRefusedError: too many rows.
        StoreFailedError: the server does not answer.
    """
    where = where_log(site, question.start_ms, question.end_ms, string=question.string)
    if question.measurement == CELL_ESTIMATE.name:
        return _cell_states(server, where, question)
    measurement = OF_STRINGS[question.measurement]
    if question.milestones:
        where += " AND \"body\" != ''"
    types = {each.stored: _TEXT if each.dtype == "text" else pa.int64() for each in measurement.fields}
    columns = ", ".join(f'"{name}"' for name in types)
    asked = f'SELECT {columns} FROM "{measurement.name}" WHERE {where} LIMIT {question.max_rows + 1}'
    table = server.ask(LOG, asked, types)
    if table is None:
        return state_table(measurement.name, ())
    require_few(table.num_rows, question)
    return state_table(
        measurement.name,
        (
            StateRow(
                measurement.name,
                question.string,
                row["time"] // NS_PER_MS,
                tuple(_known(row[name], may_be_empty=field.shown == measurement.told_by)
                      for name, field in zip(types, measurement.fields, strict=True)),
            )
            for row in table.to_pylist()
        ),
    )  # fmt: skip


def _known(value: int | str | None, *, may_be_empty: bool) -> int | str | None:
    return "" if value is None and may_be_empty else value  # a CSV tells no empty text from none


def _cell_states(server: Server, where: str, question: StateQuestion) -> pa.Table:
    columns = ", ".join(f'"{name}"' for name in _CELL_NAMES)
    asked = f'SELECT {columns} FROM "{CELL_ESTIMATE.name}" WHERE {where} GROUP BY "cell", "life"'
    table = server.ask(LOG, asked, dict.fromkeys(_CELL_NAMES, pa.float64()))
    schema = schema_of(CELL_ESTIMATE.name)
    if table is None:
        return schema.empty_table()
    require_few(table.num_rows, question)
    which, keys = keys_of_tags(table)
    cell, life = (np.array([key[part] for key in keys])[which] for part in (0, 1))
    at_ms = table["time"].to_numpy() // NS_PER_MS
    order = np.lexsort((cell, at_ms))
    arrays = [pa.array(at_ms[order], AT), pa.array(cell[order], pa.int16()), pa.array(life[order], pa.int16())]
    for field in CELL_ESTIMATE.fields:
        stored = table[field.stored].to_numpy()[order]
        kind = schema.field(field.shown).type
        plain = stored / 10.0**field.decimals if field.exponent is not None else np.nan_to_num(stored).astype(np.int64)
        arrays.append(pa.array(plain, kind, mask=np.isnan(stored)))
    return pa.Table.from_arrays(arrays, schema=schema)


def _text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
