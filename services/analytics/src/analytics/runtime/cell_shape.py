"""The shape of a discharge per chemistry: rested voltage over depth, and how its losses grow towards the empty end.

Only the shape is from here. How much charge a battery gives at a power, and how large its losses are, follows from the
maker's table (`calibration.py`), and in a discharge from what the units show. Values are typical of their chemistry;
the lithium iron phosphate row is a measured cell's, after an hour of rest. Below zero the voltage falls off a cliff:
there is no charge left, only the way into reversal.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from analytics.readings import Floats

LOWEST_FRAC: Final = -0.12
SHAPE_POINTS: Final = 449  # a step of 0.25 %: the knee of lithium is 2 % wide
PER_FRAC: Final = (SHAPE_POINTS - 1) / (1.0 - LOWEST_FRAC)
STEP_FRAC: Final = 1.0 / PER_FRAC

_LEAD: Final = ((-0.12, 0.2), (-0.06, 1.2), (-0.02, 1.80))
_RESTED_V: Final[dict[str, tuple[tuple[float, float], ...]]] = {
    "vrla_agm": (*_LEAD, (0.0, 1.94), (0.5, 2.04), (1.0, 2.14)),
    "vented_lead": (*_LEAD, (0.0, 1.93), (0.5, 2.03), (1.0, 2.12)),
    "nicd": (
        (-0.12, 0.0),
        (-0.05, 0.75),
        (0.0, 1.14),
        (0.1, 1.235),
        (0.3, 1.27),
        (0.5, 1.29),
        (0.8, 1.315),
        (1.0, 1.35),
    ),
    "nizn": ((-0.12, 0.2), (-0.05, 1.2), (0.0, 1.55), (0.1, 1.62), (0.5, 1.68), (1.0, 1.74)),
    "nmc": (
        *((-0.12, 0.8), (-0.04, 2.4), (0.0, 3.10), (0.05, 3.33), (0.1, 3.43), (0.2, 3.52), (0.4, 3.61)),
        *((0.5, 3.66), (0.6, 3.75), (0.8, 3.93), (1.0, 4.15)),
    ),
    "lfp": (
        *((-0.12, 0.5), (-0.04, 1.9), (0.0, 2.65), (0.03, 2.95), (0.07, 3.13), (0.12, 3.20), (0.2, 3.2485)),
        *((0.25, 3.2641), (0.3, 3.2814), (0.4, 3.286), (0.5, 3.2878), (0.55, 3.2898), (0.6, 3.3072), (0.65, 3.326)),
        *((0.75, 3.3268), (0.85, 3.3273), (0.97, 3.3275), (1.0, 3.36)),
    ),
    "lto": ((-0.12, 0.5), (-0.04, 1.6), (0.0, 2.0), (0.1, 2.16), (0.2, 2.22), (0.5, 2.35), (0.8, 2.48), (1.0, 2.65)),
    "na_ion": ((-0.12, 0.5), (-0.04, 1.6), (0.0, 2.0), (0.1, 2.5), (0.2, 2.75), (0.5, 3.1), (0.8, 3.5), (1.0, 3.9)),
}
# growth towards empty, its width, share of the losses that needs time, that time, their fall per kelvin, heat capacity
# in J/K of 1 Ah, sd of the rested curve
_LOSSES: Final[dict[str, tuple[float, float, float, float, float, float, float]]] = {
    "vrla_agm": (1.8, 0.25, 0.30, 240.0, 0.009, 45.0, 0.020),
    "vented_lead": (1.6, 0.30, 0.35, 180.0, 0.010, 60.0, 0.020),
    "nicd": (1.0, 0.15, 0.35, 120.0, 0.010, 35.0, 0.030),
    "nizn": (1.0, 0.15, 0.35, 120.0, 0.010, 35.0, 0.030),
    "nmc": (1.0, 0.10, 0.40, 200.0, 0.020, 20.0, 0.020),
    "lfp": (1.0, 0.08, 0.40, 300.0, 0.018, 20.0, 0.012),
    "lto": (1.0, 0.10, 0.40, 200.0, 0.015, 30.0, 0.020),
    "na_ion": (1.0, 0.10, 0.40, 200.0, 0.020, 25.0, 0.040),
}


@dataclass(frozen=True, slots=True)
class CellShape:
    """What cells of one chemistry have in common.

    Attributes:
        rested_v: (SHAPE_POINTS,) over the part of the charge that is left, from LOWEST_FRAC to 1.
        loss: (SHAPE_POINTS,) by how much the losses exceed those of a full cell.
        slow_frac, slow_s: share of the losses that only builds up after the load came, and with which time constant.
        ohm_frac_per_k: by how much the losses fall per kelvin.
        j_per_k_ah: heat that warms a cell of 1 Ah by 1 K.
        rested_sd_v: how far a cell's own rested curve is from this one.
    """

    rested_v: Floats
    loss: Floats
    slow_frac: float
    slow_s: float
    ohm_frac_per_k: float
    j_per_k_ah: float
    rested_sd_v: float


@cache
def cell_shape(chemistry: str) -> CellShape:
    """Return the shape of a chemistry by its profile's id; KeyError for one that has no profile."""
    grid = np.linspace(LOWEST_FRAC, 1.0, SHAPE_POINTS)
    points = np.array(_RESTED_V[chemistry])
    growth, width, *others = _LOSSES[chemistry]
    loss = 1.0 + growth * (np.exp(-grid / width) - np.exp(-1.0 / width))
    return CellShape(np.interp(grid, points[:, 0], points[:, 1]), loss, *others)
