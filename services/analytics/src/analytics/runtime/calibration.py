"""What a maker's table says of charge and losses: the cell model that gives the table's own times back.

One resistance for the whole table: the one with which the charge that the model needs depends least on the power. Then
at each power the charge with which the model lasts as long as the table says; what a resistance cannot explain (acid
that does not reach the plates in time) is thereby in the charge. Where that would be more than a slow discharge gives,
the losses are made smaller instead: no cell gives more charge at a higher power.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from analytics.readings import Floats, Places
from analytics.runtime.cell_shape import CellShape
from analytics.runtime.power_curve import PowerCurve
from analytics.runtime.projection import Columns, Shapes, project

LOSSES: Final = 9
MULTIPLES: Final = np.geomspace(0.25, 4.0, LOSSES)
TRIED: Final = 16
COARSE: Final = 4  # every fourth point of the curve is enough to choose a resistance
ROUNDS: Final = 18
EDGE_FRAC: Final = 0.01  # of the range; charge there means that no charge fits
CHARGE_RANGE: Final = (0.2, 3.0)
ALIKE_FRAC: Final = 0.02  # charges that differ by less over the table are equally likely
OHM_AH_RANGE: Final = (0.02, 1.0)  # of stationary cells: 0.2 to 10 mohm at 100 Ah
MOST_AH_FRAC: Final = 1.05  # of what a slow discharge gives: cells that warm themselves give a little more
OHM_RANGE: Final = (0.2, 1.0)  # by which the losses are made smaller


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a table implies for one full cell at reference temperature.

    Attributes:
        ohm: (POINTS,) its losses at each power of the curve.
        ohm_sd_ln: how uncertain their logarithm is: flat curves of lithium say little about losses.
        ah: (LOSSES, POINTS) charge it gives, if its losses are those multiples of `ohm` (`MULTIPLES`) and the times
            still the table's.
    """

    ohm: Floats
    ohm_sd_ln: float
    ah: Floats


def multiple_place(multiple: Floats) -> tuple[Places, Floats]:
    """Return the entry of `MULTIPLES` below each multiple, and the fraction of a step above it."""
    at = np.log(multiple / MULTIPLES[0]) / np.log(MULTIPLES[1] / MULTIPLES[0])
    at = np.clip(np.nan_to_num(at, nan=0.0), 0.0, LOSSES - 1.000001)
    below = at.astype(np.intp)
    return below, at - below


@dataclass(frozen=True, slots=True)
class _Points:
    """Points of a curve (P,), and the cell that they are of."""

    ln_w: Floats
    ln_s: Floats
    shape: CellShape
    rated_ah: float
    end_v: float

    def lasts_s(self, ah: Floats, ohm: Floats) -> Floats:
        """Return how long the model lasts (P,) with these charges and losses (P,)."""
        n = len(self.ln_w)
        one = np.ones((n, 1))
        shapes = Shapes.of([self.shape] * n, np.full(n, self.rated_ah))
        load, limits = (np.exp(self.ln_w), np.zeros(n)), (np.full(n, self.end_v), np.zeros(n), np.zeros(n))
        return project(Columns(one, one, ah[:, None], ohm[:, None]), shapes, load, limits).column_s[:, 0]

    def charge(self, ohm: Floats) -> Floats:
        """Return the charge (P,) with which the model lasts as long as the points."""
        low, high = (np.full(len(self.ln_w), np.log(self.rated_ah * each)) for each in CHARGE_RANGE)
        for _ in range(ROUNDS):
            middle = 0.5 * (low + high)
            short = self.lasts_s(np.exp(middle), ohm) < np.exp(self.ln_s)
            low, high = np.where(short, middle, low), np.where(short, high, middle)
        return np.asarray(np.exp(0.5 * (low + high)))

    def smaller_ohm(self, ah: Floats, ohm: Floats) -> Floats:
        """Return losses (P,), at most `ohm`, with which the model lasts as long as the points with at most `ah`."""
        low, high = (np.log(ohm * each) for each in OHM_RANGE)
        long_enough = self.lasts_s(ah, ohm) >= np.exp(self.ln_s)
        for _ in range(ROUNDS):
            middle = 0.5 * (low + high)
            short = self.lasts_s(ah, np.exp(middle)) < np.exp(self.ln_s)
            low, high = np.where(short, low, middle), np.where(short, middle, high)
        return np.where(long_enough, ohm, np.exp(0.5 * (low + high)))

    def unevenness(self, ohm: float) -> float:
        """Return by how much the charge depends on power, and more where none within the range fits."""
        frac = self.charge(np.full(len(self.ln_w), ohm)) / self.rated_ah
        low, high = CHARGE_RANGE[0] * (1.0 + EDGE_FRAC), CHARGE_RANGE[1] * (1.0 - EDGE_FRAC)
        return float(np.std(np.log(frac))) + 10.0 * float(np.mean((frac < low) | (frac > high)))


def calibrate(curve: PowerCurve, shape: CellShape, rated_ah: float, end_v: float) -> Calibration:
    """Return the charge and losses that explain a curve.

    Args:
        curve: ln seconds over ln watts of one cell.
        shape: of its chemistry.
        rated_ah: of one cell, for the range that is searched.
        end_v: of one cell, for which the curve holds.
    """
    within = (curve.ln_w >= curve.shaped_ln_w[0]) & (curve.ln_w <= curve.shaped_ln_w[1])
    some = _Points(curve.ln_w[within][::COARSE], curve.ln_s[within][::COARSE], shape, rated_ah, end_v)
    every = _Points(curve.ln_w, curve.ln_s, shape, rated_ah, end_v)
    ln_ohm, sd_ln = _likely_ln_ohm(some)
    ohm = np.full(len(curve.ln_w), np.exp(ln_ohm))
    slow_ah = every.charge(ohm)[within][0]
    ohm = every.smaller_ohm(np.full(len(ohm), MOST_AH_FRAC * slow_ah), ohm)
    return Calibration(ohm, sd_ln, np.array([every.charge(ohm * each) for each in MULTIPLES]))


def _likely_ln_ohm(points: _Points) -> tuple[float, float]:
    """Return mean and sd of the logarithm of the losses, weighted by how even they make the charge."""
    coarse = np.geomspace(*OHM_AH_RANGE, TRIED) / points.rated_ah
    of_coarse = [points.unevenness(float(ohm)) for ohm in coarse]
    step = float(coarse[1] / coarse[0])
    fine = coarse[int(np.argmin(of_coarse))] * np.geomspace(1.0 / step, step, TRIED)[1:-1]
    ohms = np.concatenate([coarse, fine])
    uneven = np.array([*of_coarse, *(points.unevenness(float(ohm)) for ohm in fine)])
    order = np.argsort(ohms)
    ln_ohms, uneven = np.log(ohms[order]), uneven[order]
    likely = np.gradient(ln_ohms) * np.exp(-0.5 * (uneven**2 - np.min(uneven) ** 2) / ALIKE_FRAC**2)
    likely /= np.sum(likely)
    mean = float(np.sum(likely * ln_ohms))
    return mean, float(np.sqrt(np.sum(likely * (ln_ohms - mean) ** 2)))
