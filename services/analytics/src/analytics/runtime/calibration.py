"""What a maker's table says of charge and losses: the cell model that gives the table's own times back.

One resistance for the whole table, the one with which the charge that the model needs depends least on the power; then
at each power the charge with which the model lasts as long as the table says. What a resistance cannot explain (acid
that does not reach the plates in time) is thereby in the charge, as function of power.
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


def multiple_place(multiple: Floats) -> tuple[Places, Floats]:
    """Return the entry of `MULTIPLES` below each multiple, and the fraction of a step above it."""
    at = np.log(multiple / MULTIPLES[0]) / np.log(MULTIPLES[1] / MULTIPLES[0])
    at = np.clip(np.nan_to_num(at, nan=0.0), 0.0, LOSSES - 1.000001)
    below = at.astype(np.intp)
    return below, at - below


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a table implies for one full cell at reference temperature.

    Attributes:
        ohm: its losses.
        ohm_sd_ln: how uncertain their logarithm is: flat curves of lithium say little about losses.
        ah: (LOSSES, POINTS) charge it gives at each power of the curve, if its losses are those multiples of `ohm`
            (`MULTIPLES`) and the times still the table's.
    """

    ohm: float
    ohm_sd_ln: float
    ah: Floats


def calibrate(curve: PowerCurve, shape: CellShape, rated_ah: float, end_v: float) -> Calibration:
    """Return the charge and losses that explain a curve.

    Args:
        curve: ln seconds over ln watts of one cell.
        shape: of its chemistry.
        rated_ah: of one cell, for the range that is searched.
        end_v: of one cell, for which the curve holds.
    """
    within = (curve.ln_w >= curve.known_ln_w[0]) & (curve.ln_w <= curve.known_ln_w[1])
    points = (curve.ln_w[within][::COARSE], curve.ln_s[within][::COARSE])

    def spreads(ohms: Floats) -> Floats:
        return np.array([_spread(_charge(points, shape, rated_ah, (end_v, each)) / rated_ah) for each in ohms])

    coarse = np.geomspace(*OHM_AH_RANGE, TRIED) / rated_ah
    of_coarse = spreads(coarse)
    step = float(coarse[1] / coarse[0])
    fine = coarse[int(np.argmin(of_coarse))] * np.geomspace(1.0 / step, step, TRIED)[1:-1]
    ohms, of_all = np.concatenate([coarse, fine]), np.concatenate([of_coarse, spreads(fine)])
    order = np.argsort(ohms)
    ln_ohms, of_all = np.log(ohms[order]), of_all[order]
    likely = np.gradient(ln_ohms) * np.exp(-0.5 * (of_all**2 - np.min(of_all) ** 2) / ALIKE_FRAC**2)
    likely /= np.sum(likely)
    ln_ohm = float(np.sum(likely * ln_ohms))
    sd_ln = float(np.sqrt(np.sum(likely * (ln_ohms - ln_ohm) ** 2)))
    ohm, whole = float(np.exp(ln_ohm)), (curve.ln_w, curve.ln_s)
    ah = np.array([_charge(whole, shape, rated_ah, (end_v, ohm * each)) for each in MULTIPLES])
    return Calibration(ohm, sd_ln, ah)


def _spread(charge_frac: Floats) -> float:
    """Return by how much the charge (P,) depends on power, and more where none within the range fits."""
    at_edge = (charge_frac < CHARGE_RANGE[0] * (1.0 + EDGE_FRAC)) | (charge_frac > CHARGE_RANGE[1] * (1.0 - EDGE_FRAC))
    return float(np.std(np.log(charge_frac))) + 10.0 * float(np.mean(at_edge))


def _charge(points: tuple[Floats, Floats], shape: CellShape, rated_ah: float, cell: tuple[float, float]) -> Floats:
    """Return the charge (P,) with which a cell of (end volts, ohm) lasts as long as at the points (ln W, ln s)."""
    ln_w, ln_s = points
    n = len(ln_w)
    shapes = Shapes.of([shape] * n, np.full(n, rated_ah))
    one = np.ones((n, 1))
    load, limits = (np.exp(ln_w), np.zeros(n)), (np.full(n, cell[0]), np.zeros(n))
    low, high = (np.full(n, np.log(rated_ah * each)) for each in CHARGE_RANGE)
    for _ in range(ROUNDS):
        middle = 0.5 * (low + high)
        ends = project(Columns(one, one, np.exp(middle)[:, None], one * cell[1]), shapes, load, limits)
        short = ends.column_s[:, 0] < np.exp(ln_s)
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    return np.asarray(np.exp(0.5 * (low + high)))
