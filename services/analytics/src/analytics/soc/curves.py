"""Curves of several chemistries in one table, looked up for all units at once by index arithmetic.

Every curve lies on the same uniform grid of charge, every inverse on a uniform grid of its own range of volts, one
kind after the other: a unit's value is one `take` at the start of its kind plus the place. Volts per electrochemical
cell; resistances for a cell of 1 Ah, so that they are multiplied by the current per Ah.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from cellkeeper.contract.estimating import EstimateProfile

from analytics.readings import Floats, Places

PLACES: Final = 401  # 0.25 % of charge: finer than any table
INVERSE_PLACES: Final = 1024


@dataclass(frozen=True, slots=True)
class Curves:
    """Tables of K kinds, flat arrays of K blocks.

    Attributes:
        ocv_v, slope_v, ocv_v_per_k: (K * PLACES,) rested voltage, its slope over charge, its growth per kelvin.
        bend_v: (K * PLACES,) how far a smooth curve may be from the straight lines between the table's values.
        r0_ohm_ah, r1_ohm_ah, r2_ohm_ah: (K * PLACES,) at 25 °C.
        low_v, per_v: (K,) first volt of the inverse and its places per volt.
        charge_frac, charge_per_place: (K * INVERSE_PLACES,) charge at that voltage, and its growth to the next place.
    """

    ocv_v: Floats
    slope_v: Floats
    ocv_v_per_k: Floats
    bend_v: Floats
    r0_ohm_ah: Floats
    r1_ohm_ah: Floats
    r2_ohm_ah: Floats
    low_v: Floats
    per_v: Floats
    charge_frac: Floats
    charge_per_place: Floats

    @classmethod
    def of(cls, kinds: Sequence[EstimateProfile]) -> Self:
        """Return the tables of these profiles, in their order."""
        grid = np.linspace(0.0, 1.0, PLACES)
        ocv = np.array([np.interp(grid, kind.soc_frac, kind.ocv_v) for kind in kinds])
        slope = np.gradient(ocv, grid, axis=1)
        low, high = ocv[:, 0], ocv[:, -1]
        volts = np.linspace(low, high, INVERSE_PLACES, axis=1)
        charge = np.array([np.interp(v, curve, grid) for v, curve in zip(volts, ocv, strict=True)])
        return cls(
            ocv_v=ocv.ravel(),
            slope_v=slope.ravel(),
            ocv_v_per_k=np.array([_on(grid, kind, kind.ocv_v_per_k or (0.0,)) for kind in kinds]).ravel(),
            bend_v=np.array([_bend(grid, kind) for kind in kinds]).ravel(),
            r0_ohm_ah=np.array([_on(grid, kind, kind.r0_ohm_ah) for kind in kinds]).ravel(),
            r1_ohm_ah=np.array([_on(grid, kind, kind.r1_ohm_ah) for kind in kinds]).ravel(),
            r2_ohm_ah=np.array([_on(grid, kind, kind.r2_ohm_ah) for kind in kinds]).ravel(),
            low_v=low,
            per_v=(INVERSE_PLACES - 1) / (high - low),
            charge_frac=charge.ravel(),
            charge_per_place=np.hstack([np.diff(charge, axis=1), np.diff(charge[:, -2:], axis=1)]).ravel(),
        )


def _on(grid: Floats, kind: EstimateProfile, values: tuple[float, ...]) -> Floats:
    """Return a table on the grid; one value stands for all places."""
    if len(values) == 1:
        return np.full(len(grid), values[0])
    return np.asarray(np.interp(grid, kind.soc_frac, values), dtype=np.float64)


def _bend(grid: Floats, kind: EstimateProfile) -> Floats:
    """Return how far an evenly bent curve is from its chords: an eighth of what its slope changes by over one step."""
    step_frac = np.diff(kind.soc_frac)
    turn_v = np.abs(np.diff(np.diff(kind.ocv_v) / step_frac)) * 0.5 * (step_frac[1:] + step_frac[:-1])
    return np.asarray(np.interp(grid, kind.soc_frac[1:-1], turn_v / 8.0), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class CurveOf:
    """Where the units' curves begin.

    Attributes:
        start: (N,) of the unit's kind in the tables over charge.
        inverse_start: (N,) in the tables over volts.
        low_v, per_v: (N,) of the unit's kind.
    """

    start: Places
    inverse_start: Places
    low_v: Floats
    per_v: Floats

    @classmethod
    def of(cls, kind: Places, curves: Curves) -> Self:
        """Return the places of units whose kind (N,) is given."""
        return cls(kind * PLACES, kind * INVERSE_PLACES, curves.low_v[kind], curves.per_v[kind])


def place_of(curve_of: CurveOf, soc_frac: Floats) -> Places:
    """Return the place in the tables over charge that is nearest to each unit's charge (N,)."""
    # A belief lies in [0, 1]: no need to clip it.
    return np.asarray((soc_frac * (PLACES - 1) + 0.5).astype(np.intp) + curve_of.start)


def rested_v(curves: Curves, curve_of: CurveOf, soc_frac: Floats) -> tuple[Floats, Floats]:
    """Return rested voltage at 25 °C and its slope per unit of charge (N,) each."""
    place = place_of(curve_of, soc_frac)
    slope_v = curves.slope_v.take(place)
    beyond_frac = soc_frac - (place - curve_of.start) / (PLACES - 1)
    return curves.ocv_v.take(place) + slope_v * beyond_frac, slope_v


def charge_at(curves: Curves, curve_of: CurveOf, cell_v: Floats) -> Floats:
    """Return the charge (N,) at which a cell of each unit's kind rests at this voltage.

    Beyond both ends the curve goes on straight, below 0 and above 1: how uncertain a charge is does not vanish there.
    NaN stays NaN.
    """
    along = (cell_v - curve_of.low_v) * curve_of.per_v
    place = np.fmax(np.fmin(along, INVERSE_PLACES - 1.0), 0.0).astype(np.intp)  # both take the number beside a NaN
    at = place + curve_of.inverse_start
    return curves.charge_frac.take(at) + curves.charge_per_place.take(at) * (along - place)
