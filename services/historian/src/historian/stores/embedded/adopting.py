"""Tier rows from elsewhere, whose full rows are gone: a file like those that upkeep makes."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from cellkeeper.contract.series import TIERS

from historian.buckets import Buckets
from historian.stores.embedded import tier_file
from historian.stores.embedded.manifest import Segment, insert_segment, mark_clean
from historian.stores.embedded.merging import cell_groups
from historian.stores.embedded.shop import Shop


def adopt(shop: Shop, string: str, tier: int, rows: Buckets) -> None:
    """Store rows, at least one, of a tier (index into TIERS); they count instead of older ones of the same windows.

    Raises:
        StoreFullError, StoreFailedError: nothing has changed.
    """
    name = TIERS[tier].name
    windows: list[int] = np.unique(rows.at_ms).tolist()
    file, size = shop.parts.write(name, string, windows[0], tier_file.writer_for, _groups(rows.in_order()))
    end_ms = windows[-1] + TIERS[tier].window_ms - 1
    segment = Segment(0, string, name, 0, windows[0], end_ms, len(rows), size, file)
    with shop.manifest.transaction() as db:
        segment = insert_segment(db, segment)
        mark_clean(db, string, name, windows)
    with shop.holdings.lock:
        shop.holdings.clean(string, name, windows)
        shop.holdings.swap(come=[segment])


def _groups(rows: Buckets) -> Iterator[pa.Table]:
    for low, high in cell_groups(int(rows.cell.max())):
        part = rows.take((rows.cell >= low) & (rows.cell <= high))
        if len(part) or low == 0:  # a file needs a row group, be it empty
            yield tier_file.table_of(part)
