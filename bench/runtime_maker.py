"""The maker of the batteries in the runtime figures: his sheet, from a cell model that is neither the twin's nor ours.

    v(d) = e(d) - i (r + 0.25 r d / (1.03 - d)),   charge q (1 + b ln(P / 20 W)),   d = part of it that is gone

Three numbers per battery, least squares to constant-power tests of a new string of the twin: the sheet is within 4.4 %
(lead, 6 min to 10 h) and 1.6 % (LFP) of them, as a maker's sheet is of his batteries. `bench_runtime` prints it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from cellkeeper.contract.battery_type import BatteryType
from numpy.typing import NDArray

type Floats = NDArray[np.float64]

DEPTHS = np.linspace(0.0, 1.0, 2001)


def lead_v(gone: Floats) -> Floats:
    """Return the rested volts of the maker's lead cell."""
    return np.asarray(2.125 - 0.155 * gone - 30.0 * np.maximum(gone - 0.98, 0.0))


def lfp_v(gone: Floats) -> Floats:
    """Return the rested volts of the maker's LFP cell."""
    return np.asarray(3.33 - 0.06 * gone - 0.05 * (gone > 0.42) - 0.35 * np.exp(-(1.0 - gone) / 0.05))


@dataclass(frozen=True, slots=True)
class Maker:
    """One product of 100 Ah."""

    chemistry: str
    rested_v: Callable[[Floats], Floats]
    ah: float
    ohm: float
    bend: float
    ends_v: tuple[float, ...]
    minutes: tuple[float, ...]
    warmth: tuple[float, float]
    float_v: tuple[float, float]

    def lasts_s(self, cell_w: float, end_v: float) -> float:
        """Return how long one cell gives this power."""
        rested = self.rested_v(DEPTHS)
        ohm = self.ohm * (1.0 + 0.25 * DEPTHS / (1.03 - DEPTHS))
        root = rested**2 - 4.0 * cell_w * ohm
        volts = np.where(root > 0.0, 0.5 * (rested + np.sqrt(np.maximum(root, 0.0))), 0.0)
        below = np.flatnonzero(volts < end_v)
        steps = int(below[0]) if len(below) else len(DEPTHS) - 1
        ah = self.ah * (1.0 + self.bend * np.log(cell_w / 20.0))
        return float(np.sum(ah * np.diff(DEPTHS)[:steps] * 3600.0 * volts[:steps] / cell_w))

    def power_w(self, seconds: float, end_v: float) -> float:
        """Return the power that one cell gives for so long."""
        low, high = 1.0, 2000.0
        for _ in range(40):
            middle = (low * high) ** 0.5
            low, high = (middle, high) if self.lasts_s(middle, end_v) > seconds else (low, middle)
        return low

    def sheet(self, cells_per_unit: int) -> BatteryType:
        """Return the sheet as a battery type."""
        rows = [
            {"end_v": end_v, "w": [self.power_w(minutes * 60.0, end_v) for minutes in self.minutes]}
            for end_v in self.ends_v
        ]
        return BatteryType.model_validate(
            {
                "name": f"bench {self.chemistry}",
                "source": "bench/runtime_maker.py",
                "chemistry": self.chemistry,
                "cells_per_unit": cells_per_unit,
                "rated_ah": 100.0,
                "rate_h": 10.0,
                "rated_end_v": self.ends_v[-1],
                "ref_degc": 25.0,
                "design_years": 10.0,
                "float_limits": {"lowest_v": self.float_v[0], "highest_v": self.float_v[1]},
                "temperature": {"frac_per_k_1h": self.warmth[0], "frac_per_k_3h": self.warmth[1]},
                "power": {"per": "cell", "minutes": self.minutes, "row": rows},
            }
        )


LEAD = Maker(
    "vrla_agm", lead_v, 103.05, 1.4043e-3, -0.00374, (1.60, 1.67, 1.75),
    (3, 5, 10, 15, 20, 30, 45, 60, 120, 180, 300, 600), (0.01, 0.006), (2.25, 2.30),
)  # fmt: skip
LFP = Maker(
    "lfp", lfp_v, 95.95, 1e-6, 0.00623, (2.5, 2.7, 2.9),
    (20, 30, 60, 120, 180, 300, 600), (0.006, 0.005), (3.35, 3.40),
)  # fmt: skip
