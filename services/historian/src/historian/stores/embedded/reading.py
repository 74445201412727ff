"""Answers from newest rows, full files and tier files together; a tier is always exact, built yet or not.

Rows of a tier are the stored ones, except in dirty windows: those are computed from the tier below, and so on down to
the full rows. A window is dirty from the moment a row of it arrives until upkeep has stored it.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
from cellkeeper.contract.series import TIERS
from numpy.typing import NDArray

from historian.buckets import Buckets, combine, join_buckets, no_buckets, runs_of
from historian.stores.block import Block, Key, join
from historian.stores.embedded import full_file, tier_file
from historian.stores.embedded.holdings import View
from historian.stores.embedded.hot import narrowed
from historian.stores.embedded.manifest import Segment
from historian.stores.embedded.open_files import OpenFile, OpenFiles
from historian.stores.questions import Span
from historian.stores.usable import FIRST_SCALAR, STRING_CELL, TIERED, cell_values, is_bad, scalar_values
from historian.stores.windows import windows_of

CELLS_AT_ONCE: Final = 32  # an hour at 1 Hz of 32 units is 1 MB per array of floats


class Reader:
    """Reads one string at a time from a view.

    Args:
        files: open Parquet files.
    """

    def __init__(self, files: OpenFiles) -> None:
        self._files = files

    def highest_cell(self, view: View, start_ms: int, end_ms: int) -> int:
        """Return the highest position in files that may have rows in `[start_ms, end_ms)`, or 0."""
        full = touching(view.segments.get("full", ()), start_ms, end_ms)
        tiers = [s for tier in TIERS for s in touching(view.segments.get(tier.name, ()), start_ms, end_ms)]
        cells = [key[0] for s in full for key in self._files.get(s.file, full_file.TIME).keys]
        return max([0, *cells, *(int(high) for s in tiers for _, high in self._files.get(s.file, "cell").groups)])

    def block(self, view: View, span: Span) -> Block | None:
        """Return the full rows of a span in order of time, or None where there are none."""
        parts = [
            part
            for segment in touching(view.segments.get("full", ()), span.start_ms, span.end_ms)
            if (part := self._segment_block(segment, span)) is not None
        ]
        parts += [part for rows in view.hot if len(part := _cut(rows, span))]
        return join(parts).sorted() if parts else None

    def _segment_block(self, segment: Segment, span: Span) -> Block | None:
        file = self._files.get(segment.file, full_file.TIME)
        keys = [key for key in file.keys if span.low <= key[0] <= span.high]
        groups = file.groups_touching(span.start_ms, span.end_ms - 1)
        if not groups:
            return None
        table = file.read(groups, _columns_of(file, keys))
        block = narrowed(full_file.block_from(table, keys), span.start_ms, span.end_ms)
        return block if len(block) else None

    def series(
        self, view: View, cell: int, field: int, start_ms: int, end_ms: int
    ) -> list[tuple[Key, "Ints", "Floats", "Flags"]]:
        """Return the readings of one field of one position, whatever its life, in pieces in no order.

        Returns:
            Per piece: its key, times, counts (NaN where not usable), bad flags.
        """
        pieces = []
        span = Span(cell, cell, start_ms, end_ms, field)
        for segment in touching(view.segments.get("full", ()), start_ms, end_ms):
            file = self._files.get(segment.file, full_file.TIME)
            for key in _keys_of(file.keys, cell):
                pieces += self._piece(file, key, span)
        for rows in view.hot:
            pieces += _block_pieces(_cut(rows, span), span)
        return pieces

    def _piece(self, file: OpenFile, key: Key, span: Span) -> list[tuple[Key, "Ints", "Floats", "Flags"]]:
        groups = file.groups_touching(span.start_ms, span.end_ms - 1)
        if not groups:
            return []
        field = TIERED[span.field or 0]
        if key[0] == STRING_CELL:
            block = full_file.block_from(file.read(groups, _columns_of(file, ())), ())
            return _block_pieces(narrowed(block, span.start_ms, span.end_ms), span)
        value, quality = full_file.column_names(field, key)
        table = file.read(groups, [full_file.TIME, value, quality])
        at_ms = full_file.times(table)
        values = full_file.floats(table, value)
        bad = is_bad(values, full_file.codes(table, quality)) if np.isnan(values).any() else np.zeros(len(values), bool)
        if at_ms[0] < span.start_ms or at_ms[-1] >= span.end_ms:
            inside = (at_ms >= span.start_ms) & (at_ms < span.end_ms)
            at_ms, values, bad = at_ms[inside], values[inside], bad[inside]
        return [(key, at_ms, values, bad)]

    def tier(self, view: View, tier: int, span: Span) -> Buckets:
        """Return the rows of a tier (index into TIERS) in order; `span` is widened to whole windows."""
        width = TIERS[tier].window_ms
        start, end = span.start_ms // width * width, -(-span.end_ms // width) * width
        name = TIERS[tier].name
        dirty = sorted(at for at in view.dirty[name] if start <= at < end)
        stored = self.stored(touching(view.segments.get(name, ()), start, end), span.over(start, end))
        if dirty:
            stored = stored.take(~np.isin(stored.at_ms, dirty))
        fresh = [self.below(view, tier, span.over(*run)) for run in runs_of(dirty, width)]
        return join_buckets([stored, *fresh]).in_order() if fresh else stored

    def below(self, view: View, tier: int, span: Span) -> Buckets:
        """Return rows of a tier over whole windows, computed from what lies below it."""
        width = TIERS[tier].window_ms
        if tier > 0:
            return combine(self.tier(view, tier - 1, span), width)
        block = self.block(view, span)
        return join_buckets([no_buckets(), *(windows_of(block, span, width) if block is not None else ())]).in_order()

    def stored(self, segments: list[Segment], span: Span) -> Buckets:
        """Return the rows that tier files (oldest id first) hold of a span, in order, dirty or not."""
        parts = []
        for segment in reversed(segments):  # newest first: of a window that was computed twice the newest row counts
            file = self._files.get(segment.file, "cell")
            groups = file.groups_touching(span.low, span.high)
            if groups:
                rows = tier_file.rows_of(file.read(groups, tier_file.SCHEMA.names))
                parts.append(rows.take(_inside(rows, span)))
        found = join_buckets([no_buckets(), *parts])
        if len(parts) > 1:
            keys = np.stack([found.cell, found.life, found.field, found.at_ms])
            found = found.take(np.unique(keys, axis=1, return_index=True)[1])
        return found


type Ints = NDArray[np.int64]
type Floats = NDArray[np.float64]
type Flags = NDArray[np.bool_]


def touching(segments: Iterable[Segment], start_ms: int, end_ms: int) -> list[Segment]:
    """Return the segments that may have rows in `[start_ms, end_ms)`."""
    return [segment for segment in segments if segment.start_ms < end_ms and segment.end_ms >= start_ms]


def _keys_of(keys: Iterable[Key], cell: int) -> list[Key]:
    return [(STRING_CELL, 0)] if cell == STRING_CELL else [key for key in keys if key[0] == cell]


def _cut(rows: Block, span: Span) -> Block:
    part = narrowed(rows, span.start_ms, span.end_ms)
    if span.low <= part.keys[0][0] and part.keys[-1][0] <= span.high:
        return part
    return part.only(frozenset(range(span.low, span.high + 1)))


def _block_pieces(block: Block, span: Span) -> list[tuple[Key, Ints, Floats, Flags]]:
    field = span.field or 0
    if not len(block):
        return []
    if field >= FIRST_SCALAR:
        values, bad = scalar_values(block)
        at = field - FIRST_SCALAR
        return [((STRING_CELL, 0), block.at_ms, values[:, at], bad[:, at])]
    values, bad = cell_values(block, TIERED[field].shown, slice(None))
    return [(key, block.at_ms, values[:, at], bad[:, at]) for at, key in enumerate(block.keys)]


def _columns_of(file: OpenFile, keys: Iterable[Key]) -> list[str]:
    wanted = frozenset(keys)
    if len(wanted) == len(file.keys):
        return list(file.column_at)
    shared = [name for name in file.column_at if full_file.cell_column(name) is None]
    fields = ("cell_v_e4", "degc_e2", *full_file.DEFAULTS)
    return shared + [full_file.CellColumn(field, key).name for key in wanted for field in fields]


def _inside(rows: Buckets, span: Span) -> Flags:
    inside = (rows.at_ms >= span.start_ms) & (rows.at_ms < span.end_ms)
    inside &= (rows.cell >= span.low) & (rows.cell <= span.high)
    return inside if span.field is None else inside & (rows.field == span.field)
