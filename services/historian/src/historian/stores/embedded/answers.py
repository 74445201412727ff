"""Questions of the port, answered from a view."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa
from cellkeeper.contract.series import FULL, TIERS

from historian.buckets import (
    Buckets,
    Flags,
    Floats,
    Ints,
    bucket_ms,
    combine,
    join_buckets,
    no_buckets,
    picture,
    rows_as_buckets,
    runs_of,
)
from historian.stores.block import Block
from historian.stores.embedded import full_file
from historian.stores.embedded.holdings import Holdings, View
from historian.stores.embedded.reading import Reader, touching
from historian.stores.plain_tables import cell_table, scalar_table, tier_table
from historian.stores.port import FIRST_LIFE, CellQuestion, StringQuestion
from historian.stores.questions import TIER_AT, Span, choose_tier, field_code, series_table, too_many
from historian.stores.usable import FIRST_SCALAR, STRING_CELL, TIERED

STEP_MS: Final = 3_600_000  # a large answer is put together hour by hour, to be refused before it fills the memory
type Piece = tuple[Ints, Floats, Flags]
"""Times, counts (NaN where not usable) and bad flags of readings."""

LATEST_MS: Final = 1 << 62
TIER_STEP_MS: Final = 32 * 86_400_000


def cell_series(reader: Reader, view: View, question: CellQuestion, kept_from_ms: int | None) -> pa.Table:
    """See `Store.cell_series`."""
    code = field_code(question.field, question.cell)
    tier = choose_tier(question, kept_from_ms)
    if tier == FULL.name:
        return series_table(_full_rows(reader, view, question, code), TIERED[code])
    at = TIER_AT[tier]
    width = TIERS[at].window_ms
    start = -(-question.start_ms // width) * width
    span = Span(question.cell, question.cell, start, max(question.end_ms, start), code)
    rows = reader.tier(view, at, span)
    rows = rows.take(np.argsort(rows.at_ms, kind="stable"))
    if len(rows) > question.points:
        origin, width = bucket_ms(question.start_ms, question.end_ms, question.points, width)
        rows = combine(rows, width, origin_ms=origin, across_lives=True)
    return series_table(rows, TIERED[code])


def _full_rows(reader: Reader, view: View, question: CellQuestion, code: int) -> Buckets:
    key = (question.cell, FIRST_LIFE, code)  # a picture of one position may span the replacement of its unit
    found = reader.series(view, question.cell, code, question.start_ms, question.end_ms)
    pieces = _in_order([(at_ms, values, bad) for _, at_ms, values, bad in found if len(at_ms)])
    if sum(np.count_nonzero(bad | ~np.isnan(values)) for _, values, bad in pieces) <= question.points:
        return join_buckets([no_buckets(), *(rows_as_buckets(*piece, key) for piece in pieces)])
    origin, width = bucket_ms(question.start_ms, question.end_ms, question.points, 0)
    # piece by piece: memory for arrays of a whole day is fetched from the kernel each time, which costs more than sums
    pictures = join_buckets([picture(*piece, key, origin, width) for piece in pieces])
    return combine(pictures, width, origin_ms=origin, across_lives=True)


def _in_order(pieces: list[Piece]) -> list[Piece]:
    """Return pieces that follow each other in time; those that overlap become one."""
    pieces.sort(key=lambda piece: int(piece[0][0]))
    edges = [*(int(at_ms[0]) for at_ms, *_ in pieces[1:]), LATEST_MS]
    if all(
        at_ms[-1] <= edge and np.all(at_ms[1:] >= at_ms[:-1]) for (at_ms, *_), edge in zip(pieces, edges, strict=False)
    ):
        return pieces
    at_ms, values, bad = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
    order = np.argsort(at_ms, kind="stable")
    return [(at_ms[order], values[order], bad[order])]


def string_series(reader: Reader, view: View, question: StringQuestion) -> pa.Table:
    """See `Store.string_series`."""
    tables: list[pa.Table] = []
    rows = 0
    for table in _string_parts(reader, view, question):
        rows += table.num_rows
        if rows > question.max_rows:
            raise too_many(question)
        tables.append(table)
    return pa.concat_tables(tables)


def _string_parts(reader: Reader, view: View, question: StringQuestion) -> Iterator[pa.Table]:
    is_cell = question.measurement == "cell"
    low, high = (1, full_file.MAX_CELL) if is_cell else (STRING_CELL, STRING_CELL)
    step_ms = STEP_MS if question.tier == FULL.name else TIER_STEP_MS
    yield _part(reader, view, question, Span(low, high, question.start_ms, question.start_ms))
    for first, end in spans_of(view, question, step_ms):
        start = first
        while start < end:
            until = min((start // step_ms + 1) * step_ms, end)
            if (table := _part(reader, view, question, Span(low, high, start, until))).num_rows:
                yield table
            start = until


def spans_of(view: View, question: StringQuestion, step_ms: int) -> list[tuple[int, int]]:
    """Return the `[start, end)` inside the question's range where its tier may have rows, in whole steps, in order.

    Counted from files, newest rows and dirty windows, so that decades without any cost nothing.
    """
    held = touching(view.segments.get(question.tier, ()), question.start_ms, question.end_ms)
    steps = {step for s in held for step in range(s.start_ms // step_ms, s.end_ms // step_ms + 1)}
    if question.tier == FULL.name:
        steps.update(*(np.unique(block.at_ms // step_ms).tolist() for block in view.hot))
    else:
        steps.update(at // step_ms for at in view.dirty[question.tier])
    runs = runs_of([step * step_ms for step in sorted(steps)], step_ms)
    cut = ((max(start, question.start_ms), min(end, question.end_ms)) for start, end in runs)
    return [(start, end) for start, end in cut if start < end]


def _part(reader: Reader, view: View, question: StringQuestion, span: Span) -> pa.Table:
    is_cell = question.measurement == "cell"
    if question.tier == FULL.name:
        block = reader.block(view, span) if span.end_ms > span.start_ms else None
        return cell_table(block) if is_cell else scalar_table(block)
    at = TIER_AT[question.tier]
    width = TIERS[at].window_ms
    start, end = -(-span.start_ms // width) * width, -(-span.end_ms // width) * width
    rows = reader.tier(view, at, Span(span.low, span.high, start, end)) if end > start else no_buckets()
    wanted = rows.take((rows.field < FIRST_SCALAR) == is_cell)
    return tier_table(wanted.take(np.lexsort((wanted.field, wanted.life, wanted.cell, wanted.at_ms))))


def newest_stored(holdings: Holdings, reader: Reader, string: str) -> Block | None:
    """Return the newest row that Parquet files hold of a string, or None."""
    with holdings.view(string) as view:
        files = view.segments.get(FULL.name, ())
        if not files:
            return None
        end_ms = max(segment.end_ms for segment in files)
        block = reader.block(view, Span(0, full_file.MAX_CELL, end_ms, end_ms + 1))
    return None if block is None else block.take(slice(-1, None)).present()
