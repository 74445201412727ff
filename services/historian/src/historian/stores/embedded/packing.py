"""From journal to Parquet: the rows of one string in one closed journal become files, in one manifest transaction."""

from functools import partial
from itertools import pairwise
from typing import Final

import numpy as np
from cellkeeper.contract.series import TIERS

from historian.receipts import StreamBook
from historian.stores.block import Block, join
from historian.stores.embedded import full_file
from historian.stores.embedded.holdings import windows_of
from historian.stores.embedded.manifest import Segment, insert_segment, mark_dirty, put_positions
from historian.stores.embedded.part_writer import PartWriter
from historian.stores.embedded.shop import Shop

HOUR_MS: Final = 3_600_000


def pack_string(shop: Shop, journal: int, string: str, streams: list[tuple[str, StreamBook]]) -> int:
    """Move the rows of `string` in a closed `journal` into Parquet; return how many scans that were.

    Files end at full hours, so that merging never has to split one.

    Args:
        shop: its manifest takes the files, the positions and the mark that this journal no longer counts here.
        journal: number of a journal that is not written any more.
        string: whose rows.
        streams: accounted numbers of the string's streams, as they are now.

    Raises:
        StoreFullError, StoreFailedError: nothing has changed; to be done again later.
    """
    with shop.holdings.lock:
        blocks = shop.holdings.hot.of_journal(journal).get(string, [])
    files = [_write(shop.parts, string, hour) for hour in _hours(join(blocks).sorted())] if blocks else []
    dirty = {tier.name: {at for b in blocks for at in windows_of(b, tier.window_ms)} for tier in TIERS}
    with shop.manifest.transaction() as db:
        segments = [insert_segment(db, segment) for segment in files]
        db.execute("INSERT OR REPLACE INTO packed VALUES (?,?)", (journal, string))
        for tier, windows in dirty.items():
            mark_dirty(db, string, tier, windows)
        put_positions(db, string, streams)
    with shop.holdings.lock:
        for tier, windows in dirty.items():
            shop.holdings.mark(string, tier, windows)
        shop.holdings.swap(come=segments)
        shop.holdings.hot.drop(journal, string)
    return sum(len(block) for block in blocks)


def _hours(block: Block) -> list[Block]:
    hour = block.at_ms // HOUR_MS
    cuts = np.flatnonzero(hour[1:] != hour[:-1]) + 1
    edges = [0, *cuts.tolist(), len(block)]
    return [block.take(slice(first, last)) for first, last in pairwise(edges)]


def _write(parts: PartWriter, string: str, block: Block) -> Segment:
    table = full_file.table_of(block)
    start_ms, end_ms = int(block.at_ms[0]), int(block.at_ms[-1])
    file, size = parts.write("full", string, start_ms, partial(full_file.writer_for, schema=table.schema), [table])
    return Segment(0, string, "full", 0, start_ms, end_ms, len(block), size, file)
