"""From many small files to few large ones, row group by row group, in bounded memory."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from historian.buckets import no_buckets
from historian.stores.embedded import full_file, tier_file
from historian.stores.embedded.manifest import Segment, delete_segments, insert_segment
from historian.stores.embedded.open_files import OpenFile, OpenFiles
from historian.stores.embedded.reading import Reader, touching
from historian.stores.embedded.shop import Shop
from historian.stores.questions import Span

GROUP_MS: Final = 7_200_000  # 7200 scans of 240 units at 1 Hz are 14 MB while they are merged


def merge(shop: Shop, segments: Sequence[Segment], level: int) -> Segment:
    """Replace segments of one string and tier by one segment of the same rows; return it.

    Raises:
        StoreFullError, StoreFailedError: nothing has changed; to be done again later.
    """
    first = segments[0]
    start_ms, end_ms = min(s.start_ms for s in segments), max(s.end_ms for s in segments)
    if first.tier == "full":
        schema = _union_schema([shop.files.get(s.file, full_file.TIME) for s in segments])
        tables = _full_groups(shop.files, segments, schema)
        writer = partial(full_file.writer_for, schema=schema, level=full_file.SMALL)
        file, size = shop.parts.write("full", first.string, start_ms, writer, tables)
    else:
        tables = tier_groups(shop.reader, shop.files, segments, Span(0, 0, start_ms, end_ms + 1))
        file, size = shop.parts.write(first.tier, first.string, start_ms, tier_file.writer_for, tables)
    rows = sum(s.rows for s in segments)
    merged = Segment(0, first.string, first.tier, level, start_ms, end_ms, rows, size, file)
    with shop.manifest.transaction() as db:
        merged = insert_segment(db, merged)
        delete_segments(db, segments)
    shop.holdings.swap(gone=segments, come=[merged])
    pa.default_memory_pool().release_unused()
    return merged


def tier_groups(reader: Reader, files: OpenFiles, segments: Sequence[Segment], span: Span) -> Iterator[pa.Table]:
    """Yield the merged rows of tier files, one group of positions after the other."""
    highest = max(int(high) for s in segments for _, high in files.get(s.file, "cell").groups)
    wrote = False
    for low, high in cell_groups(highest):
        rows = reader.stored(list(segments), Span(low, high, span.start_ms, span.end_ms))
        if len(rows):
            wrote = True
            yield tier_file.table_of(rows)
    if not wrote:
        yield tier_file.table_of(no_buckets())


def cell_groups(highest: int) -> list[tuple[int, int]]:
    """Return (low, high) of each group of positions that one row group holds, the string's own values first."""
    size = tier_file.CELLS_PER_GROUP
    return [(0, 0), *((low, low + size - 1) for low in range(1, highest + 1, size))]


def _union_schema(sources: Sequence[OpenFile]) -> pa.Schema:
    kinds = {field.name: field.type for source in sources for field in source.file.schema_arrow}
    everywhere = set.intersection(*(set(source.keys) for source in sources))
    for key in {key for source in sources for key in source.keys} - everywhere:
        for name in ("quality", "degc_quality"):  # null there says that the position did not exist
            kinds[full_file.CellColumn(name, key).name] = pa.uint8()
    return pa.schema([(name, kinds[name]) for name in full_file.ordered(kinds)])


def _full_groups(files: OpenFiles, segments: Sequence[Segment], schema: pa.Schema) -> Iterator[pa.Table]:
    start = min(s.start_ms for s in segments) // GROUP_MS * GROUP_MS
    while start <= max(s.end_ms for s in segments):
        pieces = [
            piece
            for segment in touching(segments, start, start + GROUP_MS)
            if (piece := _piece(files.get(segment.file, full_file.TIME), schema, start)).num_rows
        ]
        if pieces:
            yield _in_order(pa.concat_tables(pieces))
        start += GROUP_MS


def _piece(file: OpenFile, schema: pa.Schema, start: int) -> pa.Table:
    groups = file.groups_touching(start, start + GROUP_MS - 1)
    if not groups:
        return schema.empty_table()
    table = file.read(groups, list(file.column_at))
    low, high = (pa.scalar(at, schema.field(full_file.TIME).type) for at in (start, start + GROUP_MS))
    if file.groups[groups[0]][0] < start or file.groups[groups[-1]][1] >= start + GROUP_MS:
        at = table[full_file.TIME]
        table = table.filter(pc.and_(pc.greater_equal(at, low), pc.less(at, high)))
    have = set(table.column_names)
    columns = [table[field.name] if field.name in have else _missing(file, field, table.num_rows) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def _missing(file: OpenFile, field: "pa.Field[Any]", rows: int) -> full_file.Column:
    column = full_file.cell_column(field.name)
    if column is not None and column.key not in file.keys:
        return full_file.nulls(rows, field.type)
    return full_file.default_array(field.name, rows, field.type)


def _in_order(table: pa.Table) -> pa.Table:
    at_ms = table[full_file.TIME].cast(pa.int64()).to_numpy()
    if np.all(at_ms[1:] >= at_ms[:-1]):
        return table
    return table.take(np.argsort(at_ms, kind="stable"))
