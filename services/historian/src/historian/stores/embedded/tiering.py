"""Dirty windows of a tier are computed from the tier below and become a file, in one manifest transaction."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from cellkeeper.contract.series import TIERS

from historian.buckets import Buckets, join_buckets, no_buckets, runs_of
from historian.stores.embedded import tier_file
from historian.stores.embedded.holdings import View
from historian.stores.embedded.manifest import Segment, insert_segment, mark_clean
from historian.stores.embedded.merging import cell_groups
from historian.stores.embedded.reading import Reader
from historian.stores.embedded.shop import Shop
from historian.stores.questions import Span


def build_windows(shop: Shop, string: str, tier: int, windows: list[int]) -> None:
    """Store dirty windows, sorted, of a tier (index into TIERS); none of them may have hot rows.

    Raises:
        StoreFullError, StoreFailedError: nothing has changed; to be done again later.
    """
    name = TIERS[tier].name
    with shop.holdings.view(string) as view:
        highest = shop.reader.highest_cell(view, windows[0], windows[-1] + TIERS[tier].window_ms)
        groups = _Groups(shop.reader, view, tier, windows, highest)
        file, size = shop.parts.write(name, string, windows[0], tier_file.writer_for, groups)
    end_ms = windows[-1] + TIERS[tier].window_ms - 1
    segment = Segment(0, string, name, 0, windows[0], end_ms, groups.rows, size, file)
    with shop.manifest.transaction() as db:
        segment = insert_segment(db, segment)
        mark_clean(db, string, name, windows)
    with shop.holdings.lock:
        shop.holdings.clean(string, name, windows)
        shop.holdings.swap(come=[segment])
    pa.default_memory_pool().release_unused()


class _Groups:
    """Tables of one row group each, computed while they are written; `rows` counts them."""

    def __init__(self, reader: Reader, view: View, tier: int, windows: list[int], highest: int) -> None:
        self._reader, self._view, self._tier, self._windows = reader, view, tier, windows
        self._groups = cell_groups(highest)
        self.rows = 0

    def __iter__(self) -> Iterator[pa.Table]:
        runs = runs_of(self._windows, TIERS[self._tier].window_ms)
        for low, high in self._groups:
            found = self._of(low, high, runs)
            if len(found) or low == 0:  # a file needs a row group, be it empty
                self.rows += len(found)
                yield tier_file.table_of(found)

    def _of(self, low: int, high: int, runs: list[tuple[int, int]]) -> Buckets:
        below = [self._reader.below(self._view, self._tier, Span(low, high, *run)) for run in runs]
        found = join_buckets([no_buckets(), *below])
        return found.take(np.isin(found.at_ms, self._windows)).in_order()
