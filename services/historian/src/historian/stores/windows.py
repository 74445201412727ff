"""Full rows of one string as windows of a tier. Pure."""

from collections.abc import Iterator
from typing import Final

from historian.buckets import Buckets, aggregate
from historian.stores.block import Block
from historian.stores.questions import Span
from historian.stores.usable import FIRST_SCALAR, STRING_CELL, TIERED, cell_values, scalar_values

CELLS_AT_ONCE: Final = 32  # an hour at 1 Hz of 32 units is 1 MB per array of floats


def windows_of(block: Block, span: Span, width: int) -> Iterator[Buckets]:
    """Yield the windows, field by field and some units at a time, of what `span` asks for.

    Args:
        block: rows in order of time, of the positions of `span`.
        span: which positions, and which field when not all.
        width: of a window, in ms.
    """
    for field in range(len(TIERED)) if span.field is None else (span.field,):
        if field >= FIRST_SCALAR:
            if span.low == STRING_CELL:
                values, bad = scalar_values(block)
                at = slice(field - FIRST_SCALAR, field - FIRST_SCALAR + 1)
                yield aggregate(block.at_ms, values[:, at], bad[:, at], [(STRING_CELL, 0)], field, width)
            continue
        for first in range(0, len(block.keys), CELLS_AT_ONCE):
            columns = slice(first, first + CELLS_AT_ONCE)
            values, bad = cell_values(block, TIERED[field].shown, columns)
            yield aggregate(block.at_ms, values, bad, list(block.keys[columns]), field, width)
