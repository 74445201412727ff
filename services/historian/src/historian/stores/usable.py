"""Which readings of a block may be used: the rule that tiers, queries and files share."""

from typing import Final

import numpy as np
from cellkeeper.contract.physical import Quality
from cellkeeper.contract.series import CELL_TIERED, SCALAR_FIELDS, USABLE_CODES, Field
from numpy.typing import NDArray

from historian.stores.block import ABSENT, NOT_FITTED, NULL, Block, Counts

type Floats = NDArray[np.float64]
type Flags = NDArray[np.bool_]

TIERED: Final[tuple[Field, ...]] = CELL_TIERED + SCALAR_FIELDS
"""Fields of the tiers; the index is the field's code. Scalars belong to position 0."""
FIRST_SCALAR: Final = len(CELL_TIERED)
STRING_CELL: Final = 0

_IS_USABLE: Final = np.isin(np.arange(256), USABLE_CODES)
_NO_READING: Final = np.isin(np.arange(256), (int(Quality.NOT_RE_READ), ABSENT, NOT_FITTED))
_ARRAYS: Final = {"cell_v": ("v", "quality"), "degc": ("degc", "degc_quality"), "bleed_frac": ("bleed", None)}


def is_usable(quality: Counts) -> Flags:
    """Return where a quality code allows the value into the usable field."""
    return _IS_USABLE[quality]


def usable_counts(stored: Counts, quality: Counts | None) -> Floats:
    """Return stored counts as floats, NaN where null or not usable."""
    good = stored != NULL[stored.dtype]
    if quality is not None:
        good &= is_usable(quality)
    return np.where(good, stored, np.nan)


def cell_values(block: Block, field: str, columns: slice) -> tuple[Floats, Flags]:
    """Return usable counts and the bad flags of a tiered field for some columns of a block.

    A row is bad when there was to be a reading and no usable value came: quality 1 (a slow source not read again) and
    positions that did not exist are neither good nor bad.

    Returns:
        Two arrays (n, columns): counts with NaN, and bad.
    """
    stored_name, quality_name = _ARRAYS[field]
    quality = getattr(block, quality_name or "quality")[:, columns]
    stored = getattr(block, stored_name)[:, columns]
    values = usable_counts(stored, quality if quality_name else None)
    return values, is_bad(values, quality)


def is_bad(values: Floats, quality: Counts) -> Flags:
    """Return where there was to be a reading and no usable value came."""
    return np.isnan(values) & ~_NO_READING[quality]


def scalar_values(block: Block) -> tuple[Floats, Flags]:
    """Return usable counts (n, 6) and bad flags of the string's scalars."""
    values = usable_counts(block.scalars, block.scalar_quality)
    return values, is_bad(values, block.scalar_quality)
