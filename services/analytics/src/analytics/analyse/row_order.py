"""Puts the rows of a recorded file in order of time, or says that they have none. Pure."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from analytics.analyse.errors import AnalyseError
from analytics.readings import Flags, Places

MOST_ASTRAY_FRAC: Final = 0.05  # of the rows; more is no slip of a clock, and what is left would not be the file


@dataclass(frozen=True, slots=True)
class Order:
    """Which rows of a file follow each other.

    Attributes:
        kept: row numbers, so that times rise.
        left_out: row numbers of the others, as they are in the file.
        is_turned: whether the file has its newest row first.
    """

    kept: Places
    left_out: Places
    is_turned: bool


def order_of(at_ms: Places, lines: Sequence[int]) -> Order:
    """Return the longest row of rising times: one clock that slipped costs its own rows and no others.

    Args:
        at_ms: times of all rows as the file has them.
        lines: of the file, to name one.

    Raises:
        AnalyseError: too many rows go back in time.
    """
    everything = np.arange(len(at_ms))
    steps = np.diff(at_ms)
    if (steps > 0).all():
        return Order(everything, everything[:0], is_turned=False)
    is_turned = bool((steps < 0).sum() > (steps > 0).sum())
    rows = everything[::-1] if is_turned else everything
    kept = rows[_rising(at_ms[rows])]
    is_kept = np.zeros(len(at_ms), np.bool_)
    is_kept[kept] = True
    _require_order(at_ms, is_kept, lines)
    return Order(kept, np.flatnonzero(~is_kept), is_turned)


def _require_order(at_ms: Places, is_kept: Flags, lines: Sequence[int]) -> None:
    """Rows beside one of the same time are repeated, which loses nothing; the others are astray."""
    is_again = np.zeros(len(at_ms), np.bool_)
    is_again[1:] = at_ms[1:] == at_ms[:-1]
    is_again[:-1] |= is_again[1:]
    astray = np.flatnonzero(~is_kept & ~is_again)
    if len(astray) > MOST_ASTRAY_FRAC * len(at_ms):
        raise AnalyseError(
            f"{len(astray)} of {len(at_ms)} rows are out of order, the first in line {lines[astray[0]]}; sort the file "
            "by its time column, and give one battery's rows alone; for a clock that changes to summer time name its "
            "zone: --timezone Europe/Berlin"
        )


def _rising(at_ms: Places) -> Places:
    """Return the places of a longest strictly rising part."""
    ends: list[int] = []  # least last time of a part of each length
    places: list[int] = []  # and where it is
    before = np.full(len(at_ms), -1)
    for at, value in enumerate(at_ms.tolist()):
        length = bisect_left(ends, value)
        before[at] = places[length - 1] if length else -1
        if length == len(ends):
            ends.append(value)
            places.append(at)
        elif value < ends[length]:  # of two rows of one time the first stays
            ends[length], places[length] = value, at
    found = np.empty(len(ends), np.int64)
    at = places[-1]
    for length in range(len(ends) - 1, -1, -1):
        found[length] = at
        at = int(before[at])
    return found
