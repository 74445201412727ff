"""Min, mean, max, last and counts over windows of time: pure, vectorised, exact in the extremes."""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

type Floats = NDArray[np.float64]
type Ints = NDArray[np.int64]
type Flags = NDArray[np.bool_]

WHOLE_S: Final = 1000


@dataclass(frozen=True, slots=True)
class Buckets:
    """Statistics in long form; every array has one entry per (position, life, field, window).

    Attributes:
        at_ms: start of the window. cell, life, field: whose.
        low, mean, high, last: stored counts, NaN where the window has no usable value.
        n_good, n_bad: readings that went into the four above, and readings that could not.
    """

    at_ms: Ints
    cell: NDArray[Any]
    life: NDArray[Any]
    field: NDArray[Any]
    low: Floats
    mean: Floats
    high: Floats
    last: Floats
    n_good: Ints
    n_bad: Ints

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.at_ms)

    def take(self, rows: Any) -> "Buckets":  # noqa: ANN401 - whatever numpy takes as an index
        """Return the rows that a numpy index selects."""
        return replace(self, **{name: getattr(self, name)[rows] for name in COLUMNS})

    def in_order(self) -> "Buckets":
        """Return the rows sorted by position, life, field, time."""
        return self.take(np.lexsort((self.at_ms, self.field, self.life, self.cell)))


COLUMNS: Final = ("at_ms", "cell", "life", "field", "low", "mean", "high", "last", "n_good", "n_bad")


def no_buckets() -> Buckets:
    """Return no rows."""
    return Buckets(**{name: np.empty(0, _dtype(name)) for name in COLUMNS})


def join_buckets(parts: list[Buckets]) -> Buckets:
    """Return the rows of all parts, one after the other."""
    if len(parts) == 1:
        return parts[0]
    return Buckets(
        **{n: np.concatenate([getattr(part, n) for part in parts] or [np.empty(0, _dtype(n))]) for n in COLUMNS}
    )


def rows_as_buckets(at_ms: Ints, values: Floats, bad: Flags, key: tuple[int, int, int]) -> Buckets:
    """Return single readings of one (cell, life, field) as buckets of one reading each."""
    good = ~np.isnan(values)
    keep = good | bad
    at_ms, values, good, bad = at_ms[keep], values[keep], good[keep], bad[keep]
    cell, life, field = (np.full(len(at_ms), part, np.int16) for part in key)
    return Buckets(at_ms, cell, life, field, values, values, values, values, good.astype("i8"), bad.astype("i8"))


def picture(
    at_ms: Ints, values: Floats, bad: Flags, key: tuple[int, int, int], origin_ms: int, window_ms: int
) -> Buckets:
    """Return single readings of one (cell, life, field), in order of time, as buckets of `window_ms` from `origin_ms`.

    The same as `combine` makes of `rows_as_buckets`, without a bucket per reading.
    """
    windows = np.arange((int(at_ms[0]) - origin_ms) // window_ms, (int(at_ms[-1]) - origin_ms) // window_ms + 2)
    edges = origin_ms + windows * window_ms
    good = ~np.isnan(values)
    bad_at = np.searchsorted(at_ms[bad & ~good], edges)
    if not good.all():
        at_ms, values = at_ms[good], values[good]
    good_at = np.searchsorted(at_ms, edges)
    n_good, n_bad = np.diff(good_at), np.diff(bad_at)
    there = n_good > 0
    first, last = good_at[:-1][there], good_at[1:][there] - 1
    low, mean, high, newest = (np.full(len(there), np.nan) for _ in range(4))
    if len(first):
        low[there], high[there] = np.minimum.reduceat(values, first), np.maximum.reduceat(values, first)
        mean[there] = np.add.reduceat(values, first) / n_good[there]
        newest[there] = values[last]
    cell, life, field = (np.full(len(there), part, np.int16) for part in key)
    found = Buckets(edges[:-1], cell, life, field, low, mean, high, newest, n_good, n_bad)
    return found.take(n_good + n_bad > 0)


def aggregate(
    at_ms: Ints, values: Floats, bad: Flags, keys: list[tuple[int, int]], field: int, window_ms: int
) -> Buckets:
    """Return the windows of many series at once.

    Args:
        at_ms: (n,) times in order.
        values: (n, c) counts, NaN where there is no usable value.
        bad: (n, c) readings that could not be used.
        keys: c × (cell, life).
        field: code of the field.
        window_ms: length of a window, aligned to 1970.

    Returns:
        Buckets in order of cell, life, then time; windows without any reading are left out.
    """
    if len(at_ms) == 0 or not keys:
        return no_buckets()
    window = at_ms // window_ms
    first = np.flatnonzero(np.r_[True, window[1:] != window[:-1]])
    good = ~np.isnan(values)
    n_good = np.add.reduceat(good, first, axis=0, dtype=np.int64)
    n_bad = np.add.reduceat(bad, first, axis=0, dtype=np.int64)
    total = np.add.reduceat(np.where(good, values, 0.0), first, axis=0)
    place = np.maximum.reduceat(np.where(good, np.arange(len(at_ms))[:, None], -1), first, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(n_good > 0, total / n_good, np.nan)
    flat = {
        "low": np.fmin.reduceat(values, first, axis=0),
        "mean": mean,
        "high": np.fmax.reduceat(values, first, axis=0),
        "last": np.where(place >= 0, np.take_along_axis(values, np.maximum(place, 0), 0), np.nan),
        "n_good": n_good,
        "n_bad": n_bad,
    }
    windows = len(first)
    found = Buckets(
        at_ms=np.tile(window[first] * window_ms, len(keys)),
        cell=np.repeat(np.array([cell for cell, _ in keys], np.int16), windows),
        life=np.repeat(np.array([life for _, life in keys], np.int16), windows),
        field=np.full(windows * len(keys), field, np.int16),
        **{name: array.T.ravel() for name, array in flat.items()},
    )
    return found.take(found.n_good + found.n_bad > 0)


def combine(fine: Buckets, window_ms: int, *, origin_ms: int = 0, across_lives: bool = False) -> Buckets:
    """Return coarser windows of finer ones.

    Args:
        fine: rows in order of cell, life, field, time (of time, when `across_lives`).
        window_ms: length of the coarser window, a multiple of the finer one.
        origin_ms: where windows begin; tiers begin at 1970.
        across_lives: whether a window may span the replacement of a unit, as in a picture of one position.
    """
    if len(fine) == 0:
        return fine
    window = (fine.at_ms - origin_ms) // window_ms
    group = window if across_lives else np.stack([fine.cell, fine.life, fine.field, window], axis=1)
    changed = group[1:] != group[:-1]
    first = np.flatnonzero(np.r_[True, changed if across_lives else changed.any(axis=1)])
    n_good = np.add.reduceat(fine.n_good, first)
    total = np.add.reduceat(np.where(fine.n_good > 0, fine.mean * fine.n_good, 0.0), first)
    place = np.maximum.reduceat(np.where(fine.n_good > 0, np.arange(len(fine)), -1), first)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(n_good > 0, total / n_good, np.nan)
    return Buckets(
        at_ms=window[first] * window_ms + origin_ms,
        cell=fine.cell[first],
        life=fine.life[first],
        field=fine.field[first],
        low=np.fmin.reduceat(fine.low, first),
        mean=mean,
        high=np.fmax.reduceat(fine.high, first),
        last=np.where(place >= 0, fine.last[np.maximum(place, 0)], np.nan),
        n_good=n_good,
        n_bad=np.add.reduceat(fine.n_bad, first),
    )


def runs_of(windows: list[int], width: int, near: int = 0) -> list[tuple[int, int]]:
    """Return `[start, end)` of each run of sorted windows, unbroken but for gaps of at most `near` windows."""
    runs: list[tuple[int, int]] = []
    for at in windows:
        if runs and at - runs[-1][1] <= near * width:
            runs[-1] = (runs[-1][0], at + width)
        else:
            runs.append((at, at + width))
    return runs


def bucket_ms(start_ms: int, end_ms: int, points: int, grain_ms: int) -> tuple[int, int]:
    """Return origin and width of at most `points` buckets that cover `[start_ms, end_ms)`, in multiples of a grain.

    The grain is a whole second at least.
    """
    grain_ms = max(grain_ms, WHOLE_S)
    origin_ms = start_ms // grain_ms * grain_ms
    return origin_ms, -(-max(end_ms - origin_ms, 1) // (points * grain_ms)) * grain_ms


def _dtype(name: str) -> str:
    return "i8" if name in {"at_ms", "n_good", "n_bad"} else "i2" if name in {"cell", "life", "field"} else "f8"
