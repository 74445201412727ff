"""Whether the current of a whole file has the sign that its voltages have. Pure.

Two kinds of evidence, each a number from -1 (the other way round) to 1 (right): sudden steps of the current with those
of the voltage, and stretches of charge or discharge over which the voltage has to rise or fall.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from analytics.analyse.series import Series
from analytics.readings import Floats

STEP_PER_AH: Final = 0.02
SUDDEN_S: Final = 120.0
LOAD_PER_AH: Final = 0.01
STRETCH_S: Final = 600.0
LEAST_MOVE_V: Final = 0.005  # per unit; less is noise
TURNED: Final = -0.5
FEWEST_STEPS: Final = 3


@dataclass(frozen=True, slots=True)
class SignEvidence:
    """Evidence of the whole file, from -1 to 1 each; NaN where there is none."""

    steps: float
    stretches: float

    @property
    def is_turned(self) -> bool:
        """Whether the current has the other sign: something says so and nothing contradicts."""
        known = [each for each in (self.steps, self.stretches) if not np.isnan(each)]
        return bool(known) and min(known) < TURNED and max(known) < -TURNED

    @property
    def is_right(self) -> bool:
        """Whether the current has the sign it should: something says so and nothing contradicts."""
        return SignEvidence(-self.steps, -self.stretches).is_turned


def sign_evidence(series: Series, rated_ah: float) -> SignEvidence:
    """Return what a file says of the sign of its current."""
    known = np.isfinite(series.discharge_a) & np.isfinite(series.unit_v).any(axis=1)
    if known.sum() < FEWEST_STEPS:
        return SignEvidence(np.nan, np.nan)
    at_s, discharge_a = series.at_s[known], series.discharge_a[known]
    mean_v = np.nanmean(series.unit_v[known], axis=1)
    return SignEvidence(
        _steps(at_s, discharge_a, mean_v, rated_ah), _stretches(at_s, discharge_a, mean_v, rated_ah, series.gap_s)
    )


def _steps(at_s: Floats, discharge_a: Floats, mean_v: Floats, rated_ah: float) -> float:
    step_a, step_v = np.diff(discharge_a), np.diff(mean_v)
    sudden = (np.diff(at_s) <= SUDDEN_S) & (np.abs(step_a) >= STEP_PER_AH * rated_ah) & (np.abs(step_v) >= LEAST_MOVE_V)
    if sudden.sum() < FEWEST_STEPS:
        return float("nan")
    product = -step_a[sudden] * step_v[sudden]
    return float(product.sum() / np.abs(product).sum())


def _stretches(at_s: Floats, discharge_a: Floats, mean_v: Floats, rated_ah: float, gap_s: float) -> float:
    """Return how the voltage moves in stretches of one direction, without their first tenth: that is the step."""
    direction = np.where(np.abs(discharge_a) >= LOAD_PER_AH * rated_ah, np.sign(discharge_a), 0.0)
    breaks = np.flatnonzero((np.diff(direction) != 0.0) | (np.diff(at_s) > gap_s)) + 1
    right = total = 0.0
    for first, until in zip([0, *breaks], [*breaks, len(at_s)], strict=True):
        if direction[first] == 0.0 or at_s[until - 1] - at_s[first] < STRETCH_S:
            continue
        begin = first + (until - first) // 10
        moved_v = float(mean_v[until - 1] - mean_v[begin])
        if abs(moved_v) >= LEAST_MOVE_V:
            right -= float(direction[first]) * moved_v
            total += abs(moved_v)
    return right / total if total else float("nan")
