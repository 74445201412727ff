"""What pyarrow loads on first use, loaded before the first scan: it holds the interpreter for 70 ms (measured)."""

import numpy as np
import pyarrow as pa
from cellkeeper.contract.scan_columns import ScanColumns

from historian.buckets import no_buckets
from historian.stores.block import block_of
from historian.stores.embedded import full_file, tier_file


def warm_up() -> None:
    """Write and read one scan and one empty tier in memory."""
    scan = ScanColumns(
        site="warm-up",
        string="warm-up",
        stream="0000",
        seq=1,
        oldest_seq=1,
        measured_ms=0,
        clock="synced",
        cell_v=np.array([2.25]),
        cell_degc=np.array([22.0]),
        bleed_frac=np.array([np.nan]),
        quality=np.array([2], np.uint8),
        degc_quality=np.array([2], np.uint8),
        status=np.array([0], np.uint8),
    )
    table = full_file.table_of(block_of(scan))
    with full_file.writer_for(pa.BufferOutputStream(), table.schema) as writer:
        writer.write_table(table)
    full_file.block_from(table, [(1, 1)])
    with tier_file.writer_for(pa.BufferOutputStream()) as writer:
        writer.write_table(tier_file.table_of(no_buckets()))
