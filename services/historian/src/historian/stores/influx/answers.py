"""Questions of the port, answered from InfluxDB."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
from cellkeeper.contract.series import FULL, TIERS, TierName

from historian.buckets import Buckets, bucket_ms, combine, join_buckets, no_buckets, rows_as_buckets, runs_of
from historian.stores.influx.reading import MAX_CELL, Reader
from historian.stores.influx.tiers import Tiers
from historian.stores.plain_tables import cell_table, scalar_table, tier_table
from historian.stores.port import CellQuestion, StringQuestion
from historian.stores.questions import TIER_AT, Span, choose_tier, field_code, series_table, too_many
from historian.stores.usable import FIRST_SCALAR, STRING_CELL, TIERED, cell_values, scalar_values

STEP_MS: Final = 3_600_000  # a large answer is put together hour by hour, to be refused before it fills the memory
TIER_STEP_MS: Final = 32 * 86_400_000


def cell_series(reader: Reader, tiers: Tiers, question: CellQuestion, kept_from_ms: int | None) -> pa.Table:
    """See `Store.cell_series`."""
    code = field_code(question.field, question.cell)
    tier = choose_tier(question, kept_from_ms)
    span = Span(question.cell, question.cell, question.start_ms, question.end_ms, code)
    if tier == FULL.name:
        rows, grain_ms = _full_rows(reader, question.string, span), 0
    else:
        rows, grain_ms = _tier_rows(tiers, tier, question.string, span), TIERS[TIER_AT[tier]].window_ms
    if len(rows) > question.points:
        origin, width = bucket_ms(question.start_ms, question.end_ms, question.points, grain_ms)
        rows = combine(rows, width, origin_ms=origin, across_lives=True)
    return series_table(rows, TIERED[code])


def _tier_rows(tiers: Tiers, tier: TierName, string: str, span: Span) -> Buckets:
    at = TIER_AT[tier]
    width = TIERS[at].window_ms
    start = -(-span.start_ms // width) * width
    rows = tiers.rows(at, string, span.over(start, max(span.end_ms, start)))
    return rows.take(np.argsort(rows.at_ms, kind="stable"))


def _full_rows(reader: Reader, string: str, span: Span) -> Buckets:
    block = reader.block(string, span)
    code = span.field or 0
    if block is None:
        return no_buckets()
    if code >= FIRST_SCALAR:
        values, bad = scalar_values(block)
        at = code - FIRST_SCALAR
        return rows_as_buckets(block.at_ms, values[:, at], bad[:, at], (STRING_CELL, 0, code))
    values, bad = cell_values(block, TIERED[code].shown, slice(None))
    parts = [rows_as_buckets(block.at_ms, values[:, at], bad[:, at], (*key, code)) for at, key in enumerate(block.keys)]
    rows = join_buckets([no_buckets(), *parts])
    return rows.take(np.argsort(rows.at_ms, kind="stable"))


def string_series(reader: Reader, tiers: Tiers, question: StringQuestion, held: Sequence[tuple[int, int]]) -> pa.Table:
    """See `Store.string_series`; `held` is where there are rows."""
    tables = [_part(reader, tiers, question, question.start_ms, question.start_ms)]
    rows = 0
    for start, end in _steps(held, STEP_MS if question.tier == FULL.name else TIER_STEP_MS):
        table = _part(reader, tiers, question, start, end)
        rows += table.num_rows
        if rows > question.max_rows:
            raise too_many(question)
        tables.append(table)
    return pa.concat_tables(tables)


def _steps(held: Sequence[tuple[int, int]], step_ms: int) -> Iterator[tuple[int, int]]:
    for first, end in held:
        start = first
        while start < end:
            until = min((start // step_ms + 1) * step_ms, end)
            yield start, until
            start = until


def _part(reader: Reader, tiers: Tiers, question: StringQuestion, start_ms: int, end_ms: int) -> pa.Table:
    is_cell = question.measurement == "cell"
    low, high = (1, MAX_CELL) if is_cell else (STRING_CELL, STRING_CELL)
    span = Span(low, high, start_ms, end_ms)
    if question.tier == FULL.name:
        block = reader.block(question.string, span) if end_ms > start_ms else None
        return cell_table(block) if is_cell else scalar_table(block)
    at = TIER_AT[question.tier]
    width = TIERS[at].window_ms
    start, end = -(-start_ms // width) * width, -(-end_ms // width) * width
    rows = tiers.rows(at, question.string, span.over(start, end)) if end > start else no_buckets()
    wanted = rows.take((rows.field < FIRST_SCALAR) == is_cell)
    return tier_table(wanted.take(np.lexsort((wanted.field, wanted.life, wanted.cell, wanted.at_ms))))


def spans(reader: Reader, question: StringQuestion, marked: Sequence[int]) -> list[tuple[int, int]]:
    """Return where a tier may have rows, in whole hours of the full tier and in whole steps of the others.

    Args:
        reader: asks the server.
        question: what is asked.
        marked: windows of the tier that are not stored yet.
    """
    if question.tier == FULL.name:
        found, step_ms = _hours(reader, question), STEP_MS
    else:
        step_ms = TIER_STEP_MS
        edges = reader.tier_edges_ms(question.tier, question.string)
        first, last = edges if edges is not None else (0, -1)
        held = {at // step_ms for at in marked}
        held.update(range(first // step_ms, last // step_ms + 1) if last >= first else ())
        found = [step * step_ms for step in sorted(held)]
    cut = ((max(a, question.start_ms), min(b, question.end_ms)) for a, b in runs_of(found, step_ms))
    return [(start, end) for start, end in cut if start < end]


def _hours(reader: Reader, question: StringQuestion) -> list[int]:
    oldest = reader.edge_ms(question.string, newest=False)
    newest = reader.edge_ms(question.string, newest=True)
    if oldest is None or newest is None:
        return []
    start, end = max(oldest, question.start_ms - 1000), min(newest + 1, question.end_ms)
    hours = set(reader.hours(question.string, start, end, STEP_MS)) if start < end else set()
    # a scan just after an hour stands on the grid point before its own time, never in the hour before: 50 ms divide it
    return sorted(hours)
