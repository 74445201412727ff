"""What a discharge shows of its units: losses and charge that differ from what table and health say.

Two unknowns per unit, the factor e on its losses and the relative error c of its charge, and one voltage per scan:

    v = rested(d) - i r e loss(d) built(t),   d = 1 - gone / (ah (1 + c))

An extended Kalman filter of two states, all units at once. Early the losses show, near the end, where the curve bends,
the charge. A model's error is the same from scan to scan, so a scan counts for no more than the depth it adds.
"""

from dataclasses import dataclass, fields, replace
from typing import Final, Self

import numpy as np
from cellkeeper.contract.physical import Quality

from analytics.readings import Flags, Floats, Places, Readings
from analytics.runtime.believed import Units
from analytics.runtime.cell_shape import STEP_FRAC
from analytics.runtime.outlook import Outlook, Standing
from analytics.runtime.projection import MOST_WARMER_K
from analytics.runtime.rules import RuntimeRules

LOSS_SD: Final = 0.30  # of the losses against those of the table, before a discharge has shown them
EXCESS_RANGE: Final = (0.2, 6.0)
CHARGE_RANGE: Final = (-0.3, 0.3)
SHAPE_FRAC: Final = 0.10  # of the losses: how far their growth with depth is from the model's
SHIFT_DEPTH: Final = 0.04  # of a full cell: how far the curve's steps may lie from the model's
SHIFT_LEAST: Final = 0.5  # part of it that remains at the empty end
BEND_FRAC: Final = 0.15  # above it an offset of the whole curve looks like an error of the charge
DRIFT_SD: Final = 0.5  # of the losses over a whole discharge: cells warm up
ALIKE_DEPTH: Final = 0.05  # over so much of the depth the model's error stays the same


@dataclass(frozen=True, slots=True)
class Learned:
    """What is known of units, (U,) or (N,) each.

    Attributes:
        excess: losses as multiple of what table and health say.
        charge: relative error of the charge that table and health say.
        warmer_k: by which the losses have warmed the unit since the load came, as if no heat had left it.
        excess_var, cross_cov, charge_var: of both; the last is NaN until a discharge has begun to show it.
    """

    excess: Floats
    charge: Floats
    warmer_k: Floats
    excess_var: Floats
    cross_cov: Floats
    charge_var: Floats

    @classmethod
    def nothing(cls, units: int) -> Self:
        """Return what is known before a discharge."""
        zero = np.zeros(units)
        return cls(np.ones(units), zero, zero, np.full(units, LOSS_SD**2), zero, np.full(units, np.nan))

    def at(self, places: Places) -> Self:
        """Return what is known of some units."""
        return type(self)(*(getattr(self, field.name)[places] for field in fields(self)))

    def put(self, places: Places, new: Self) -> Self:
        """Return the same with other knowledge of some units."""
        changed = []
        for field in fields(self):
            values = getattr(self, field.name).copy()
            values[places] = getattr(new, field.name)
            changed.append(values)
        return type(self)(*changed)


def learn(
    units: Units,
    standing: Standing,
    readings: Readings,
    watched: tuple[Flags, Floats, Floats],
    known: Learned,
    rules: RuntimeRules,
) -> Learned:
    """Return what is known of units after this scan's voltages.

    Args:
        units: of D strings.
        standing: of them, as known.
        readings: newest scans.
        watched: (D,) strings to learn from, seconds that their load is on, and seconds since they were judged last.
        known: (U,) until now.
        rules: of all strings.
    """
    is_watched, loaded_s, passed_s = watched
    row, string = units.row, units.string[units.row]
    discharge_a = readings.discharge_a[units.string][row]
    cell_v = readings.unit_v[units.at] / rules.layout.cells_per_unit[units.at]
    rested_v, loss = standing.shapes.read(row, standing.left_frac)
    less_v, less = standing.shapes.read(row, standing.left_frac - STEP_FRAC)
    drop_v = discharge_a * standing.shapes.built(loaded_s)[row] * standing.ohm
    per_excess_v = -drop_v * loss / known.excess
    per_left_v = (rested_v - less_v - drop_v * (loss - less)) / STEP_FRAC
    per_charge_v = np.where(standing.left_frac < BEND_FRAC, per_left_v * (1.0 - standing.left_frac), 0.0)
    charge_sd = np.hypot(units.soh_sd_frac / units.soh_frac, rules.curves.sd_frac[string])
    known = replace(known, charge_var=np.where(np.isnan(known.charge_var), charge_sd**2, known.charge_var))
    j_per_k = standing.shapes.j_per_k
    seconds = np.where(np.isnan(passed_s), loaded_s, np.minimum(passed_s, loaded_s))[row]
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):  # scans may be next to no time apart
        added = discharge_a * seconds / (3600.0 * standing.ah)
        repeated = np.maximum(2.0 * ALIKE_DEPTH / added, 1.0)
    shift_v = SHIFT_DEPTH * np.clip(standing.left_frac, SHIFT_LEAST, 1.0) * per_left_v
    noise = (rules.rested_sd_v[string] ** 2 + (SHAPE_FRAC * per_excess_v) ** 2 + shift_v**2) * repeated
    drift = np.where(np.isfinite(added), DRIFT_SD**2 * added, 0.0)
    with np.errstate(invalid="ignore"):
        heat_w = np.where(np.isfinite(cell_v), discharge_a * np.maximum(rested_v - cell_v, 0.0), 0.0)
    warmer_k = known.warmer_k + np.where(is_watched[row] & np.isfinite(heat_w), heat_w * seconds / j_per_k[row], 0.0)
    known = replace(
        known,
        excess_var=np.minimum(known.excess_var + drift, LOSS_SD**2),
        warmer_k=np.minimum(warmer_k, MOST_WARMER_K),
    )
    surprise_v = cell_v - (rested_v - drop_v * loss)
    usable = is_watched[row] & (drop_v > 0.0) & np.isfinite(surprise_v) & np.isfinite(noise)
    return _updated(known, (per_excess_v, per_charge_v), noise, surprise_v, usable)


def _updated(
    known: Learned, slopes: tuple[Floats, Floats], noise: Floats, surprise_v: Floats, usable: Flags
) -> Learned:
    """Return the filter after one measurement; units that are not usable stay as they are."""
    by_excess, by_charge = (np.where(usable, slope, 0.0) for slope in slopes)
    surprise_v, noise = np.where(usable, surprise_v, 0.0), np.where(usable, noise, 1.0)
    with_excess = known.excess_var * by_excess + known.cross_cov * by_charge
    with_charge = known.cross_cov * by_excess + known.charge_var * by_charge
    total = by_excess * with_excess + by_charge * with_charge + noise
    excess_gain, charge_gain = with_excess / total, with_charge / total
    return replace(
        known,
        excess=np.clip(known.excess + excess_gain * surprise_v, *EXCESS_RANGE),
        charge=np.clip(known.charge + charge_gain * surprise_v, *CHARGE_RANGE),
        excess_var=known.excess_var - excess_gain * with_excess,
        cross_cov=known.cross_cov - excess_gain * with_charge,
        charge_var=known.charge_var - charge_gain * with_charge,
    )


def has_ended(ahead: Outlook, units: Units, readings: Readings, watched: Flags, rules: RuntimeRules) -> Outlook:
    """Return the outlook in which units that are below their limit now, or reversed, have no time left.

    A unit below its module's range counts as read: the reversal of a cell is the most important reading of all.
    """
    as_read = np.isin(readings.quality[units.at], (Quality.GOOD, Quality.OUT_OF_RANGE))
    limit_v = rules.end_v[units.string][units.row] * rules.layout.cells_per_unit[units.at]
    below_v = limit_v - np.where(as_read & watched[units.row], readings.unit_v_as_read[units.at], np.nan)
    if not np.any(below_v > 0.0):
        return ahead
    deepest = np.full(len(units.count), -np.inf)
    np.fmax.at(deepest, units.row, below_v)
    is_over = deepest > 0.0
    first = np.concatenate([[0], np.cumsum(units.count)[:-1]]).astype(np.intp)
    at = np.flatnonzero(is_over[units.row] & (below_v == deepest[units.row]))
    cell = ahead.cell.copy()
    cell[units.row[at]] = at - first[units.row[at]] + 1
    return replace(
        ahead,
        unit_s=np.where(is_over, 0.0, ahead.unit_s),
        unit_sd_s=np.where(is_over, 0.0, ahead.unit_sd_s),
        cell=cell,
    )
