"""How much charge a unit would have given that did not reach its end voltage: by the curve of others that did.

A reference curve V(x) runs from the onset, x = 0, to the end voltage, x = 1. A unit is fitted to it over the last 40 %
of the discharge: V_j(q) = V(q / Q_j) - dR_j I, where dR_j is a resistance of its own that shifts all its voltages.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from analytics.readings import Floats

LAST_FRAC: Final = 0.4
FARTHEST_FRAC: Final = 0.7  # a unit of which less than this was drawn is not determined
POINTS: Final = 400  # the dive before the end is short
SCALES: Final = np.linspace(0.98, 1.5, 105)
CURVE_SD_FRAC: Final = 0.01  # units of one string do not have quite the same curve
DISTANCE_SD_FRAC: Final = 0.15  # of what was not drawn: that part of the curve was not seen
BEYOND_FRAC: Final = 0.02  # a UPS that stops a little above the end voltage: the last slope may go on so far
FEWEST: Final = 3


@dataclass(frozen=True, slots=True)
class Reference:
    """A curve down to the end voltage: (POINTS,) volts over x from 0 to 1; and how well its own charge is known."""

    cell_v: Floats
    sd_frac: float


def reached_ah(ah: Floats, cell_v: Floats, end_v: float) -> Floats:
    """Return the charge (n,) at which each column of `cell_v` falls below a voltage to stay; NaN where it does not.

    Args:
        ah: (W,) charge drawn, rising.
        cell_v: (W, n) volts; a reading that is missing counts as above.
        end_v: the voltage.
    """
    is_above = np.nan_to_num(cell_v, nan=np.inf) > end_v
    last_above = cell_v.shape[0] - 1 - np.argmax(is_above[::-1], axis=0)
    reached = is_above.any(axis=0) & (last_above < cell_v.shape[0] - 1)
    row = np.minimum(last_above, cell_v.shape[0] - 2)
    column = np.arange(cell_v.shape[1])
    high, low = cell_v[row, column], cell_v[row + 1, column]
    with np.errstate(invalid="ignore", divide="ignore"):
        part = np.clip((high - end_v) / (high - low), 0.0, 1.0)
    return np.where(reached & ~np.isnan(high) & ~np.isnan(low), ah[row] + part * (ah[row + 1] - ah[row]), np.nan)


def near_ah(ah: Floats, cell_v: Floats, end_v: float) -> tuple[float, float]:
    """Return the charge at which a curve (W,) is at the end voltage, or soon would be by its last slope, and its sd."""
    reached = float(reached_ah(ah, cell_v[:, None], end_v)[0])
    if not np.isnan(reached):
        return reached, 0.0
    known = ~np.isnan(cell_v) & (ah >= (1.0 - BEYOND_FRAC) * ah[-1])
    if known.sum() < FEWEST:
        return float("nan"), float("nan")
    left = ah[known] / ah[-1] - 1.0  # as parts of what was drawn: whatever its size, the fit is a good one
    mean, mean_v = left.mean(), cell_v[known].mean()
    slope = float(((left - mean) * (cell_v[known] - mean_v)).sum() / ((left - mean) ** 2).sum())
    beyond_ah = float((mean_v - slope * mean - end_v) / -slope) * float(ah[-1]) if slope < 0.0 else np.inf
    if not 0.0 <= beyond_ah <= BEYOND_FRAC * ah[-1]:
        return float("nan"), float("nan")
    return float(ah[-1]) + beyond_ah, 0.5 * beyond_ah / float(ah[-1])


def capacities_ah(ah: Floats, cell_v: Floats, discharge_a: Floats, end_v: float) -> tuple[Floats, Floats]:
    """Return the charge (n,) that each unit has down to its end voltage, and its sd as part of it; NaN undetermined.

    Args:
        ah: (W,) charge drawn, rising.
        cell_v: (W, n) volts per electrochemical cell.
        discharge_a: (W,) current.
        end_v: of one electrochemical cell.
    """
    exact_ah = reached_ah(ah, cell_v, end_v)
    exact_sd = np.full(len(exact_ah), 0.5 / len(ah))
    q = np.linspace(0.0, ah[-1], POINTS)
    curves = np.stack([np.interp(q, ah, column) for column in cell_v.T], axis=1)
    reference = _reference(ah, cell_v, exact_ah, end_v)
    if reference is None:
        return exact_ah, exact_sd
    amps = np.interp(q, ah, discharge_a)
    scale, fit_sd = _scales(q, curves, amps, reference)
    beyond = np.maximum(scale - 1.0, 0.0)
    sd_frac = np.sqrt(fit_sd**2 + CURVE_SD_FRAC**2 + (DISTANCE_SD_FRAC * beyond) ** 2 + reference.sd_frac**2)
    is_near = ~np.isnan(curves).any(axis=0) & (scale * FARTHEST_FRAC <= 1.0)
    fitted_ah = np.where(is_near, scale * ah[-1], np.nan)
    is_exact = ~np.isnan(exact_ah)
    return np.where(is_exact, exact_ah, fitted_ah), np.where(is_exact, exact_sd, sd_frac)


def _reference(ah: Floats, cell_v: Floats, exact_ah: Floats, end_v: float) -> Reference | None:
    """Return the median curve of the string where it is (almost) down, else that of the units which are."""
    x = np.linspace(0.0, 1.0, POINTS)
    usable = ~np.isnan(cell_v).any(axis=0)
    if usable.sum() >= FEWEST:
        reference = _near(ah, np.median(cell_v[:, usable], axis=1), end_v)
        if reference is not None:
            return reference
    down = np.flatnonzero(usable & ~np.isnan(exact_ah))
    if len(down) > 0:
        return Reference(np.median([np.interp(x * exact_ah[j], ah, cell_v[:, j]) for j in down], axis=0), 0.0)
    if not usable.any():
        return None
    # Whoever ended it for its weakest unit has another meter than the module: a few millivolts above are its end too.
    weakest = int(np.argmin(np.where(usable, cell_v[-1], np.inf)))
    return _near(ah, cell_v[:, weakest], end_v)


def _near(ah: Floats, cell_v: Floats, end_v: float) -> Reference | None:
    """Return a curve (W,) down to the end voltage, by its last slope where it soon would be; None where not."""
    end_ah, sd_frac = near_ah(ah, cell_v, end_v)
    if np.isnan(end_ah):
        return None
    x = np.linspace(0.0, 1.0, POINTS)
    slope = (cell_v[-1] - end_v) / max(end_ah - float(ah[-1]), 1e-9)
    curve = np.interp(x * end_ah, ah, cell_v) - np.maximum(x * end_ah - ah[-1], 0.0) * slope
    return Reference(curve, sd_frac)


def _scales(q: Floats, curves: Floats, amps: Floats, reference: Reference) -> tuple[Floats, Floats]:
    """Return each curve's (W, n) capacity over the charge drawn, and the standard deviation of the fit."""
    rows = q >= (1.0 - LAST_FRAC) * q[-1]
    x = np.linspace(0.0, 1.0, POINTS)
    wanted = np.interp((q[rows] / q[-1])[:, None] / SCALES, x, reference.cell_v)
    own = np.nan_to_num(curves[rows])
    weight = amps[rows] / max(float(np.linalg.norm(amps[rows])), 1e-9)
    # A resistance of its own shifts a curve by dR I: what is parallel to the current says nothing.
    wanted = wanted - weight[:, None] * (weight @ wanted)
    own = own - weight[:, None] * (weight @ own)
    cost = (own * own).sum(axis=0)[:, None] - 2.0 * own.T @ wanted + (wanted * wanted).sum(axis=0)
    best = np.clip(np.argmin(cost, axis=1), 1, len(SCALES) - 2)
    row = np.arange(len(best))
    left, mid, right = cost[row, best - 1], cost[row, best], cost[row, best + 1]
    bend = np.maximum(left - 2.0 * mid + right, 1e-15)
    step = SCALES[1] - SCALES[0]
    scale = SCALES[best] + np.clip(0.5 * (left - right) / bend, -1.0, 1.0) * step
    # Neighbouring points of a curve are wrong together: about four of them are independent.
    variance = np.maximum(mid - 0.125 * (left - right) ** 2 / bend, 0.0) / 4.0
    return scale, np.sqrt(2.0 * variance / bend) * step
