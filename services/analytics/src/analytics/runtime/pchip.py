"""Monotone cubic interpolation: never overshoots between two points, so a table stays monotone between its entries.

Slopes after Fritsch and Carlson (SIAM J. Numer. Anal. 17, 1980), harmonic mean weighted after Fritsch and Butland
(SIAM J. Sci. Stat. Comput. 5, 1984); beyond the ends a straight line goes on.
"""

import numpy as np

from analytics.readings import Floats


def pchip(x: Floats, y: Floats, at: Floats) -> Floats:
    """Return the curve through (x, y) at `at`.

    Args:
        x: (n,) rising, n >= 2.
        y: (n,).
        at: any shape; beyond x the end slopes go on.
    """
    width, slope = np.diff(x), _slopes(x, y)
    inside = np.clip(at, x[0], x[-1])
    k = np.clip(np.searchsorted(x, inside, side="right") - 1, 0, len(width) - 1)
    t, h = (inside - x[k]) / width[k], width[k]
    held = y[k] * (1.0 + 2.0 * t) * (1.0 - t) ** 2 + y[k + 1] * t**2 * (3.0 - 2.0 * t)
    bent = slope[k] * h * t * (1.0 - t) ** 2 + slope[k + 1] * h * t**2 * (t - 1.0)
    beyond = np.where(at > x[-1], slope[-1], slope[0]) * (at - inside)
    return np.asarray(held + bent + beyond)


def _slopes(x: Floats, y: Floats) -> Floats:
    width = np.diff(x)
    chord = np.diff(y) / width
    slope = np.empty_like(y)
    slope[0] = _end_slope(width[:2], chord[:2])
    slope[-1] = _end_slope(width[:-3:-1], chord[:-3:-1])
    left, right = chord[:-1], chord[1:]
    turns = left * right <= 0.0
    near, far = 2.0 * width[1:] + width[:-1], width[1:] + 2.0 * width[:-1]
    safe_left, safe_right = np.where(turns, 1.0, left), np.where(turns, 1.0, right)
    slope[1:-1] = np.where(turns, 0.0, (near + far) / (near / safe_left + far / safe_right))
    return slope


def _end_slope(width: Floats, chord: Floats) -> float:
    """Return the slope at an end, of a parabola through three points, bent no farther than monotony allows."""
    if len(chord) < 2:
        return float(chord[0])
    slope = ((2.0 * width[0] + width[1]) * chord[0] - width[0] * chord[1]) / (width[0] + width[1])
    if slope * chord[0] <= 0.0:
        return 0.0
    return float(3.0 * chord[0] if chord[0] * chord[1] < 0.0 and abs(slope) > 3.0 * abs(chord[0]) else slope)
