"""Full rows as Parquet: one row per scan, one column per field, position and life. docs/adr/0003-embedded-store.md.

`measured_at` is stored once for all units. Columns are named `cell_v_e4_c17_l1`: field, position, life. Columns that
would hold nothing but their default in the whole file are left out: quality, degc_quality and bleed_frac 0, status 2
(green LED), suspect values null; scalars that are not fitted. Null in `quality` says that the position did not exist
in that scan.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from cellkeeper.contract.identity import MAX_CELLS_PER_STRING
from cellkeeper.contract.physical import ModuleStatus
from cellkeeper.contract.scan_columns import SCALARS
from cellkeeper.contract.series import CELL, SCALAR_FIELDS, Field
from numpy.typing import NDArray

from historian.stores.block import ABSENT, CLOCKS, NOT_FITTED, NULL, Block, Counts, Key
from historian.stores.embedded.file_format import FORMAT_KEY
from historian.stores.usable import is_usable

TIME: Final = "measured_at"
FAST: Final = 1
SMALL: Final = 6  # 14 % smaller than 1 for twice the time; 9 gains nothing more, 15 costs eight times
MAX_CELL: Final = MAX_CELLS_PER_STRING
_AT: Final = pa.timestamp("ms", "UTC")
type Column = pa.Array[Any]
_STREAM: Final = pa.string()
_COLUMN: Final = re.compile(r"(.+)_c(\d+)_l(\d+)")
DEFAULTS: Final = {"cell_v_suspect_e4": None, "degc_suspect_e2": None, "bleed_frac_e3": 0, "quality": 0,
                   "degc_quality": 0, "status": int(ModuleStatus.GREEN_LED)}  # fmt: skip
METADATA: Final = {
    FORMAT_KEY: '{"format":1,"columns":"field_cCELL_lLIFE",'
    '"absent":{"quality":0,"degc_quality":0,"status":2,"bleed_frac_e3":0,"others":null}}'
}
_SPLIT_TYPES: Final = (pa.int32(), pa.int16())


@dataclass(frozen=True, slots=True)
class CellColumn:
    """What the name of a column says."""

    field: str
    key: Key

    @property
    def name(self) -> str:
        """Return the column's name in the file."""
        return f"{self.field}_c{self.key[0]}_l{self.key[1]}"


@lru_cache(maxsize=8192)  # the files of a string have the same names: 960 of 240 units
def cell_column(name: str) -> CellColumn | None:
    """Return what a column name says, or None for a column of the whole string."""
    found = _COLUMN.fullmatch(name)
    return CellColumn(found[1], (int(found[2]), int(found[3]))) if found else None


def table_of(block: Block) -> pa.Table:
    """Return a block, in order of time, as the columns of a file."""
    columns: dict[str, Column] = {
        TIME: pa.array(block.at_ms, _AT),
        "stream": pa.array(block.stream, _STREAM),
        "seq": pa.array(block.seq),
        "clock": pa.array([CLOCKS[code] for code in block.clock.tolist()], pa.string()),
    }
    for at, field in enumerate(SCALAR_FIELDS):
        quality = block.scalar_quality[:, at]
        if (quality != NOT_FITTED).any():
            columns[field.stored] = _array(block.scalars[:, at], block.scalars[:, at] == NULL[np.dtype("i4")])
            columns[f"{field.shown}_quality"] = _array(quality, quality == NOT_FITTED)
    for at, key in enumerate(block.keys):
        columns.update(_cell_columns(block, at, key))
    return pa.table(columns)


def _cell_columns(block: Block, at: int, key: Key) -> Mapping[str, Column]:
    v, degc, bleed = block.v[:, at], block.degc[:, at].astype("i4"), block.bleed[:, at]
    quality, degc_quality, status = block.quality[:, at], block.degc_quality[:, at], block.status[:, at]
    found: dict[str, Column] = {}
    for name, stored, code in (("cell_v", v, quality), ("degc", degc, degc_quality)):
        null = stored == NULL[np.dtype("i2" if name == "degc" else "i4")]
        usable = is_usable(code)
        exponent = CELL.field(name).exponent
        found[_name(f"{name}_e{exponent}", key)] = _array(stored, null | ~usable)
        if not usable.all() and (suspect := ~usable & ~null).any():
            found[_name(f"{name}_suspect_e{exponent}", key)] = _array(stored, ~suspect)
    if bleed.any():
        found[_name("bleed_frac_e3", key)] = _array(bleed, bleed == NULL[bleed.dtype])
    for name, code in (("quality", quality), ("degc_quality", degc_quality), ("status", status)):
        if (code != DEFAULTS[name]).any():
            found[_name(name, key)] = _array(code, code == ABSENT if name != "status" else None)
    return found


def _name(field: str, key: Key) -> str:
    return CellColumn(field, key).name


def _array(values: Counts, null: Counts | None) -> Column:
    return as_array(np.ascontiguousarray(values), null if null is not None and null.any() else None)


def as_array(values: Counts, mask: Counts | None = None) -> Column:
    """Return a numpy array as a column, null where `mask` is set."""
    return cast("Column", pa.array(values, mask=mask))


def nulls(rows: int, kind: pa.DataType) -> Column:
    """Return a column of nulls."""
    return cast("Column", pa.array([None] * rows, kind))


def default_array(name: str, rows: int, kind: pa.DataType) -> Column:
    """Return what a column that a file left out holds."""
    column = cell_column(name)
    value = DEFAULTS.get(column.field) if column else None
    if value is None:
        return nulls(rows, kind)
    return as_array(np.full(rows, value, kind.to_pandas_dtype()))


def ordered(names: Iterable[str]) -> list[str]:
    """Return column names in the order of a file: time, string columns, then by position and life."""

    def rank(name: str) -> tuple[int, int, int, str]:
        column = cell_column(name)
        if column is None:
            return (0 if name == TIME else 1, 0, 0, "")
        return (2, *column.key, column.field)

    return sorted(names, key=rank)


def writer_for(path: Path | pa.NativeFile, schema: pa.Schema, *, level: int = FAST) -> pq.ParquetWriter:
    """Return a writer of full rows; the caller closes it and makes it durable.

    Args:
        path: of the new file.
        schema: as `table_of` made it.
        level: of zstd; `FAST` for files that are merged soon, `SMALL` for those that stay.

    Sensor noise is best kept as split bytes under zstd, everything else as dictionaries (measured: the decision
    record). Only the time has statistics: it is what row groups are chosen by.
    """
    split = {field.name: "BYTE_STREAM_SPLIT" for field in schema if _is_noise(field)}
    plain = {TIME: "DELTA_BINARY_PACKED", "seq": "DELTA_BINARY_PACKED"} | split
    writer = pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=level,
        use_dictionary=[field.name for field in schema if field.name not in plain],  # type: ignore[arg-type]  # stubs: bool
        column_encoding=plain,
        write_statistics=[TIME],
        store_schema=False,
    )
    writer.add_key_value_metadata(METADATA)
    return writer


def _is_noise(field: "pa.Field[Any]") -> bool:
    column = cell_column(field.name)
    return field.type in _SPLIT_TYPES and (column is None or column.field in {"cell_v_e4", "degc_e2"})


def block_from(table: pa.Table, keys: Sequence[Key]) -> Block:
    """Return rows of a file as a block with these columns, defaults filled in."""
    n, c = table.num_rows, len(keys)
    names = set(table.column_names)
    clock = np.array([CLOCKS.index(text) for text in table["clock"].to_pylist()], "u1")
    block = Block(
        keys=tuple(keys),
        at_ms=times(table),
        seq=table["seq"].to_numpy(),
        stream=np.array(table["stream"].to_pylist(), "O"),
        clock=clock,
        scalars=np.full((n, len(SCALARS)), NULL[np.dtype("i4")], "i4"),
        scalar_quality=np.full((n, len(SCALARS)), NOT_FITTED, "u1"),
        v=np.empty((n, c), "i4"),
        degc=np.empty((n, c), "i2"),
        bleed=np.zeros((n, c), "i2"),
        quality=np.zeros((n, c), "u1"),
        degc_quality=np.zeros((n, c), "u1"),
        status=np.full((n, c), int(ModuleStatus.GREEN_LED), "u1"),
    )
    for at, field in enumerate(SCALAR_FIELDS):
        if field.stored in names:
            block.scalars[:, at] = filled(table[field.stored], NULL[np.dtype("i4")])
            block.scalar_quality[:, at] = filled(table[f"{field.shown}_quality"], NOT_FITTED)
    for at, key in enumerate(keys):
        _read_cell(block, at, key, table, names)
    return block


def _read_cell(block: Block, at: int, key: Key, table: pa.Table, names: set[str]) -> None:
    for stem, exponent, stored in (("cell_v", 4, block.v), ("degc", 2, block.degc)):
        null = NULL[stored.dtype]
        stored[:, at] = filled(table[_name(f"{stem}_e{exponent}", key)], null)
        suspect = _name(f"{stem}_suspect_e{exponent}", key)
        if suspect in names:
            as_read = filled(table[suspect], null)
            stored[:, at] = np.where(as_read != null, as_read, stored[:, at])
    if (name := _name("bleed_frac_e3", key)) in names:
        block.bleed[:, at] = filled(table[name], NULL[block.bleed.dtype])
    for field, code, absent in (
        ("quality", block.quality, ABSENT),
        ("degc_quality", block.degc_quality, ABSENT),
        ("status", block.status, 0),
    ):
        if (name := _name(field, key)) in names:
            code[:, at] = filled(table[name], absent)


def column_names(field: Field, key: Key) -> tuple[str, str]:
    """Return the columns of a tiered field's values and of the quality that says why one is missing."""
    return _name(field.stored, key), _name("degc_quality" if field.shown == "degc" else "quality", key)


def times(table: pa.Table) -> NDArray[np.int64]:
    """Return the time column in ms since 1970."""
    return cast("NDArray[np.int64]", table[TIME].to_numpy().view("i8"))  # the same bytes: a cast would copy them


def floats(table: pa.Table, name: str) -> NDArray[np.float64]:
    """Return a value column as counts, NaN where null; a column that was left out holds its default."""
    if name not in table.column_names:
        return np.zeros(table.num_rows)  # bleed_frac: the only tiered field that is left out
    column = table[name]
    if column.null_count == 0:
        return column.to_numpy().astype("f8")
    return cast("NDArray[np.float64]", column.cast(pa.float64()).to_numpy())


def codes(table: pa.Table, name: str) -> Counts:
    """Return a quality column, ABSENT where null, good where it was left out."""
    if name not in table.column_names:
        return np.zeros(table.num_rows, "u1")
    return filled(table[name], ABSENT)


def filled(column: "pa.ChunkedArray[Any]", null: int) -> Counts:
    """Return a column as numpy, with `null` where it is null."""
    return column.fill_null(cast("Any", null)).to_numpy() if column.null_count else column.to_numpy()
