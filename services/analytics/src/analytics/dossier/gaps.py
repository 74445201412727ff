"""Where nobody read a discharge: lines on paper end there, and what was not seen is not said. Pure."""

from typing import Final

import numpy as np

from analytics.readings import Flags, Floats, Places

SHARE: Final = 0.99  # of the seconds without a scan: the recorder counts them to the millisecond, samples are rounded


def gaps_in(t_s: Floats, missing_s: float) -> Places:
    """Return after which samples there is a gap: the largest steps, as many as make up the seconds without a scan.

    Args:
        t_s: times of the samples that were kept, rising; steps without a gap may have any size.
        missing_s: seconds without a scan, as the recorder counted them.
    """
    if missing_s <= 0.0 or len(t_s) < 2:
        return np.zeros(0, np.intp)
    steps_s = np.diff(t_s)
    order = np.argsort(-steps_s, kind="stable")
    so_far_s = np.cumsum(steps_s[order])
    many = int(np.searchsorted(so_far_s, SHARE * missing_s)) + 1
    return np.sort(order[:many])


def unseen_s(t_s: Floats, missing_s: float, until_s: float) -> float:
    """Return for how long nothing was read in gaps that begin before `until_s` and end after the onset."""
    gaps = gaps_in(t_s, missing_s)
    early = gaps[(t_s[gaps] < until_s) & (t_s[gaps + 1] > 0.0)] if len(gaps) else gaps
    return min(float((t_s[early + 1] - np.maximum(t_s[early], 0.0)).sum()), missing_s)


def with_breaks(shown: Flags, gaps: Places) -> Places:
    """Return the places of the samples that are shown, with -1 wherever a gap lies between two of them."""
    places = np.flatnonzero(shown)
    behind = np.searchsorted(places, gaps, side="right")
    behind = behind[(behind > 0) & (behind < len(places))]
    return np.insert(places, behind, -1)


def broken(values: Floats, places: Places) -> Floats:
    """Return values at places, (T,) or (T, n), NaN where the place is -1."""
    found = np.asarray(values, np.float64)[places].copy()
    found[places < 0] = np.nan
    return found
