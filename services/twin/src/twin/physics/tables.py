"""Curves over state of charge as one dense grid per chemistry, so that all units look up by index arithmetic."""

from collections.abc import Sequence
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from twin.physics.parameter_sets import ParameterSet

type Floats = NDArray[np.float64]
type Ints = NDArray[np.int64]

SOC_MIN: Final = -0.2
SOC_MAX: Final = 1.05
POINTS_PER_SOC: Final = 2048  # the knee at full is 0.2 % of charge wide: four points on it
ROWS: Final = round((SOC_MAX - SOC_MIN) * POINTS_PER_SOC) + 1


class Column(IntEnum):
    """What a row of the grid holds, per electrochemical cell."""

    OCV_V = 0
    OCV_STEP_V = 1
    OCV_V_PER_K = 2
    R_FACTOR = 3
    SLOW_DISCHARGE_FACTOR = 4
    SLOW_CHARGE_FACTOR = 5


def stack_tables(sets: Sequence[ParameterSet]) -> Floats:
    """Return the grids of all sets below one another, shape (len(sets) * ROWS, len(Column))."""
    return np.concatenate([_grid(parameters) for parameters in sets])


def rows_of(soc_frac: Floats) -> tuple[Ints, Floats]:
    """Return the row below each state of charge (clipped to the grid), and the fraction of a row above it."""
    place = np.minimum(np.maximum((soc_frac - SOC_MIN) * POINTS_PER_SOC, 0.0), ROWS - 1.000001)
    row = place.astype(np.int64)
    return row, place - row


def monotone_cubic(x: Floats, y: Floats, at: Floats) -> Floats:
    """Return a smooth curve through (x, y) that overshoots nowhere (Fritsch and Carlson 1980), flat outside."""
    width = np.diff(x)
    chord = np.diff(y) / width
    slope = np.concatenate([chord[:1], (chord[:-1] + chord[1:]) / 2, chord[-1:]])
    slope[1:-1][chord[:-1] * chord[1:] <= 0.0] = 0.0
    safe = np.where(chord == 0.0, 1.0, chord)
    left, right = slope[:-1] / safe, slope[1:] / safe
    steepness = np.sqrt(left**2 + right**2)
    shrink = np.where(steepness > 3.0, 3.0 / np.maximum(steepness, 3.0), 1.0)
    slope[:-1] = np.minimum(np.abs(slope[:-1]), np.abs(left * shrink * chord)) * np.sign(slope[:-1])
    slope[1:] = np.minimum(np.abs(slope[1:]), np.abs(right * shrink * chord)) * np.sign(slope[1:])
    inside = np.clip(at, x[0], x[-1])
    k = np.clip(np.searchsorted(x, inside, side="right") - 1, 0, len(width) - 1)
    t = (inside - x[k]) / width[k]
    return np.asarray(
        y[k] * (1 + 2 * t) * (1 - t) ** 2
        + slope[k] * width[k] * t * (1 - t) ** 2
        + y[k + 1] * t**2 * (3 - 2 * t)
        + slope[k + 1] * width[k] * t**2 * (t - 1)
    )


def _grid(parameters: ParameterSet) -> Floats:
    soc_frac = SOC_MIN + np.arange(ROWS) / POINTS_PER_SOC
    ocv, res = parameters.ocv, parameters.resistance
    ocv_x, res_x = np.array(ocv.soc_frac), np.array(res.soc_frac)
    grid = np.empty((ROWS, len(Column)))
    grid[:, Column.OCV_V] = monotone_cubic(ocv_x, np.array(ocv.v), soc_frac)
    grid[:-1, Column.OCV_STEP_V] = np.diff(grid[:, Column.OCV_V])
    grid[-1, Column.OCV_STEP_V] = grid[-2, Column.OCV_STEP_V]
    grid[:, Column.OCV_V_PER_K] = np.interp(soc_frac, ocv_x, ocv.v_per_k)
    grid[:, Column.R_FACTOR] = monotone_cubic(res_x, np.array(res.factor), soc_frac)
    grid[:, Column.SLOW_DISCHARGE_FACTOR] = monotone_cubic(res_x, np.array(res.slow_discharge_factor), soc_frac)
    grid[:, Column.SLOW_CHARGE_FACTOR] = monotone_cubic(res_x, np.array(res.slow_charge_factor), soc_frac)
    return grid
