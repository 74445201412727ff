"""Which columns an export has, and how their values are written."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

LONG: Final = (
    "measured_at",
    "string",
    "cell",
    "life",
    "cell_v",
    "quality",
    "degc",
    "degc_quality",
    "bleed_frac",
    "status",
)
WIDE_FIELDS: Final = ("cell_v", "quality", "degc", "degc_quality", "bleed_frac", "status")
INSTANT: Final = "%Y-%m-%dT%H:%M:%SZ"  # arrow writes the milliseconds with the seconds


def long_table(rows: pa.Table, string: str) -> pa.Table:
    """Return readings with the value as it was read beside its quality, whatever the quality; tiers as they are."""
    names = pa.array([string] * rows.num_rows, pa.string())
    rows = rows.add_column(1, "string", names)
    if "cell_v_suspect" not in rows.column_names:
        return rows
    for name in ("cell_v", "degc"):
        as_read = pc.coalesce(rows[name], rows[f"{name}_suspect"])
        rows = rows.set_column(rows.column_names.index(name), name, as_read)
    return rows.select(list(LONG))


def wide_names(fields: Sequence[str], cells: int) -> list[str]:
    """Return the header of a wide export."""
    return ["measured_at", *(f"{field}_{cell}" for field in fields for cell in range(1, cells + 1))]


def wide_table(long: pa.Table, fields: Sequence[str], cells: int) -> pa.Table:
    """Return one row per scan and one column per field and position; the newest life of a position counts."""
    at_ms = long["measured_at"].cast(pa.int64()).to_numpy()
    times, row = np.unique(at_ms, return_inverse=True)
    cell = long["cell"].to_numpy().astype(int) - 1
    columns: dict[str, Any] = {"measured_at": pa.array(times, pa.timestamp("ms", "UTC"))}
    for field in fields:
        grid = np.full((len(times), cells), np.nan)
        grid[row, cell] = long[field].cast(pa.float64()).to_numpy()
        for at in range(cells):
            values = pa.array(grid[:, at], from_pandas=True)
            columns[f"{field}_{at + 1}"] = values.cast(long.schema.field(field).type)
    return pa.table(columns)


def as_text(table: pa.Table, decimal: str) -> pa.Table:
    """Return every column as text: instants in UTC, nothing where there is nothing, this decimal sign."""
    return pa.table({name: _texts(table[name], decimal) for name in table.column_names})


def _texts(column: Any, decimal: str) -> Any:  # noqa: ANN401 - chunked arrays of any type
    if pa.types.is_timestamp(column.type):
        return pc.strftime(column, format=INSTANT)
    texts = pc.fill_null(column.cast(pa.string()), "")  # arrow's CSV writer leaves garbage for a column of nulls (26.0)
    return pc.replace_substring(texts, ".", decimal) if decimal != "." and pa.types.is_floating(column.type) else texts
