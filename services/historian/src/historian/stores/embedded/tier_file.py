"""Tier rows as Parquet: one row per position, life, field and window, in that order.

Row groups hold `CELLS_PER_GROUP` positions, so one position is read without the others and files are merged group by
group in little memory. Windows repeat exactly from unit to unit, so time costs next to nothing here.

Format 2 has means in 64 bits; the upper ones vanish under zstd. In format 1 they had 32, which hold a float current of
214 A at most: a mean that did not fit is read as null, and its min, max and last are what they were.
"""

from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from cellkeeper.contract.series import MEAN_EXPONENT

from historian.buckets import Buckets
from historian.stores.embedded.file_format import FORMAT_KEY
from historian.stores.plain_tables import columns
from historian.stores.usable import TIERED

CELLS_PER_GROUP: Final = 16
NAMES: Final = [field.stored for field in TIERED]
_SCALE: Final = 10.0**MEAN_EXPONENT
_MEAN: Final = f"mean_e{MEAN_EXPONENT}"
SCHEMA: Final = pa.schema(
    columns(
        ("cell", pa.int16()),
        ("life", pa.int16()),
        ("field", pa.string()),
        ("window_start", pa.timestamp("ms", "UTC")),
        ("min", pa.int32()),
        (_MEAN, pa.int64()),
        ("max", pa.int32()),
        ("last", pa.int32()),
        ("n_good", pa.int32()),
        ("n_bad", pa.int32()),
    ),
)
FORMAT: Final = 2
METADATA: Final = {
    FORMAT_KEY: f'{{"format":{FORMAT},"cell":"position, 0 for values of the string","min":"in counts of field"}}'
}
_BORDER_1: Final = np.iinfo("i4")
_SPLIT: Final = ("min", _MEAN, "max", "last")


def group_of(cell: Any) -> Any:  # noqa: ANN401 - a number or a numpy array of numbers
    """Return which row group a position belongs to; the string's own values come first."""
    return (cell + CELLS_PER_GROUP - 1) // CELLS_PER_GROUP


def table_of(rows: Buckets) -> pa.Table:
    """Return tier rows, in order, as the columns of a file."""
    field = pa.DictionaryArray.from_arrays(pa.array(rows.field.astype("i1")), pa.array(NAMES))
    arrays = [
        pa.array(rows.cell.astype("i2")),
        pa.array(rows.life.astype("i2")),
        field.cast(pa.string()),
        pa.array(rows.at_ms, pa.timestamp("ms", "UTC")),
        _counts(rows.low, "i4"),
        _counts(rows.mean * _SCALE, "i8"),
        _counts(rows.high, "i4"),
        _counts(rows.last, "i4"),
        pa.array(rows.n_good.astype("i4")),
        pa.array(rows.n_bad.astype("i4")),
    ]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def _counts(values: Any, dtype: str) -> "pa.Array[Any]":  # noqa: ANN401 - a numpy array
    empty = np.isnan(values)
    whole = np.rint(np.where(empty, 0.0, values)).astype(dtype)
    return cast("pa.Array[Any]", pa.array(whole, mask=empty if empty.any() else None))


def writer_for(path: Path | pa.NativeFile) -> pq.ParquetWriter:
    """Return a writer of tier rows; write one group of positions at a time, in order."""
    writer = pq.ParquetWriter(
        path,
        SCHEMA,
        compression="zstd",
        compression_level=1,
        use_dictionary=[name for name in SCHEMA.names if name not in _SPLIT],  # type: ignore[arg-type]  # stubs: bool
        column_encoding=dict.fromkeys(_SPLIT, "BYTE_STREAM_SPLIT"),
        write_statistics=["cell", "window_start"],
        store_schema=False,
    )
    writer.add_key_value_metadata(METADATA)
    return writer


def rows_of(table: pa.Table) -> Buckets:
    """Return the rows of a file's table."""
    field = table["field"].combine_chunks()
    codes = pa.compute.index_in(field, value_set=pa.array(NAMES)).to_numpy(zero_copy_only=False)
    low, high = _floats(table["min"]), _floats(table["max"])
    return Buckets(
        at_ms=table["window_start"].cast(pa.int64()).to_numpy(),
        cell=table["cell"].to_numpy(),
        life=table["life"].to_numpy(),
        field=codes.astype("i2"),
        low=low,
        mean=_means(table[_MEAN], low, high),
        high=high,
        last=_floats(table["last"]),
        n_good=table["n_good"].to_numpy().astype("i8"),
        n_bad=table["n_bad"].to_numpy().astype("i8"),
    )


def _means(column: Any, low: Any, high: Any) -> Any:  # noqa: ANN401 - as below
    stored = _floats(column)
    mean = stored / _SCALE
    if column.type != pa.int32():
        return mean
    at_border = (stored == _BORDER_1.min) | (stored == _BORDER_1.max)
    return np.where(at_border | (mean < low - 1.0) | (mean > high + 1.0), np.nan, mean)


def _floats(column: Any) -> Any:  # noqa: ANN401 - a chunked array in, a numpy array out
    return column.to_numpy().astype("f8") if column.null_count == 0 else column.cast(pa.float64()).to_numpy()
