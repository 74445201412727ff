"""Float balancing: a proportional-integral controller per unit brings the string to its mean. Pure.

Lead at float: each unit's voltage settles where its gassing takes the common current (a Tafel line), so unequal units
stand far apart. A bleed takes the difference of their currents; in the end each unit carries the part that its
neighbours gas more. The controller has no dead band: with one it stalls.

Gains are for a bleed of 1 mA/Ah at duty 1 and scale with the real one, so the loop is the same for every module.
A plant from 1 to 72 h and a Tafel slope from half to twice the usual stay stable, see `docs/balancing.md`.
"""

from typing import Final

import numpy as np

from balancer.pack_stats import middle
from balancer.pack_view import Flags, Floats
from balancer.rules import PackRules

GAIN_PER_V: Final = 60.0  # duty per volt and electrochemical cell
RESET_S: Final = 2.0 * 3600.0  # time in which the integral does what the proportional part does at once
BLEED_PER_AH: Final = 1e-3  # amperes that the gains are for
FAR_SIGMA: Final = 6.0  # a unit further from the middle is not of this population
FAR_V: Final = 0.05  # … but never one nearer than this (per cell; grows with the root): noise is no fault
SIGMA_OF_MAD: Final = 1.4826


def counted_units(cell_v: Floats, usable: Flags, rules: PackRules) -> Flags:
    """Return which units make the mean: the usable ones that are not far from the middle (n,)."""
    if not usable.any():
        return usable
    middle_v = middle(np.sort(cell_v[usable]))
    off_v = np.abs(cell_v - middle_v)
    sigma_v = SIGMA_OF_MAD * middle(np.sort(off_v[usable]))
    return np.asarray(usable & (off_v <= max(FAR_SIGMA * sigma_v, FAR_V * rules.cells_per_unit**0.5)))


def wanted(
    cell_v: Floats, counted: Flags, integral: Floats, cap: Floats, dt_s: float, rules: PackRules
) -> tuple[Floats, Floats]:
    """Return the duty that every unit should have, and the integral that the next scan starts from.

    Args:
        cell_v: (n,) volts; NaN is left alone.
        counted: (n,) units that make the mean.
        integral: (n,) integral part of the duty.
        cap: (n,) duty that limits allow at most: the integral stops there instead of winding up. Where it is 0 the
            integral waits: a reading that is missing once does not unlearn what days have found.
        dt_s: event time since the last scan.
        rules: of the string.
    """
    if not counted.any():
        return np.zeros(len(cell_v)), integral
    counted_v = cell_v[counted]
    off_v = np.where(np.isnan(cell_v), 0.0, cell_v - float(counted_v.sum()) / len(counted_v))
    push = off_v * (GAIN_PER_V / rules.cells_per_unit * BLEED_PER_AH * rules.rated_ah / max(rules.bleed_a, 1e-6))
    moved = integral + push * (dt_s / RESET_S)
    # What all have in common moves no unit against another: only differences count, and the lowest carries nothing.
    # Without this a lone low unit would be lifted by what its many peers are above the mean: n times slower. No faster
    # than the integral itself, or one missing reading of the lowest unit would lower all others at once.
    common = min(float(np.min(moved[counted])), dt_s / RESET_S)
    moved = np.where(cap > 0.0, np.minimum(np.maximum(moved - common, 0.0), cap), integral)
    return np.minimum(np.maximum(push + moved, 0.0), cap), moved


def settled_integral(duty: Floats, cell_v: Floats, counted: Flags, rules: PackRules) -> Floats:
    """Return the integral with which the controller takes over units that already have a duty, without a jump."""
    push, _ = wanted(cell_v, counted, np.zeros(len(duty)), np.ones(len(duty)), 0.0, rules)
    return np.clip(np.nan_to_num(duty) - push, 0.0, 1.0)
