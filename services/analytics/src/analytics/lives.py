"""Which unit is at each place, as a number that changes with it: what was learned of one ends where the next begins.

The numbers are marks of cells (`cells.py`); where one string stands alone, lives will do.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from analytics.readings import Flags, Floats, Layout

type Counts = NDArray[np.int64]


def lives_of(layout: Layout, lives: Sequence[int] | None) -> Counts:
    """Return the lives (N,) as an array; 1 everywhere when nobody says."""
    return np.array([1] * layout.units if lives is None else list(lives), dtype=np.int64)


def always(layout: Layout) -> Floats:
    """Return since when (N,) units are there that nobody replaced: minus infinity."""
    return np.full(layout.units, -np.inf)


def not_known(layout: Layout) -> Counts:
    """Return the lives (N,) that a memory has before it was used: 0, which is none."""
    return np.zeros(layout.units, dtype=np.int64)


def begun(known: Counts, now: Counts) -> Flags:
    """Return which units (N,) are others than those that a memory is about."""
    return np.asarray((known != now) & (known != 0))
