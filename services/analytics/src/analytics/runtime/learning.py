"""What a discharge shows of the units: losses that differ from the table's, and units that are at their limit now."""

from dataclasses import replace
from typing import Final

import numpy as np
from cellkeeper.contract.physical import Quality

from analytics.readings import Flags, Floats, Readings
from analytics.runtime.believed import Units
from analytics.runtime.outlook import Outlook, Standing
from analytics.runtime.rules import RuntimeRules

PRIOR_SD: Final = 0.30  # of the losses against those of the table
EXCESS_RANGE: Final = (0.2, 6.0)
SETTLE_S: Final = 20.0


def learned(
    units: Units,
    standing: Standing,
    readings: Readings,
    watched: tuple[Flags, Floats, Floats],
    excess: Floats,
    rules: RuntimeRules,
) -> Floats:
    """Return the losses (U,) as multiple of what table and health say, with this scan's voltages taken in.

    What a voltage says counts by how far the losses stand out of what is uncertain about the rested curve.

    Args:
        units: of D strings.
        standing: of them, with the losses as known.
        readings: newest scans.
        watched: (D,) strings to learn from, seconds that their load is on, and seconds since they were judged last.
        excess: (U,) as known.
        rules: of all strings.
    """
    is_watched, loaded_s, passed_s = watched
    row, string = units.row, units.string[units.row]
    rested_v, loss = standing.shapes.read(row, standing.left_frac)
    discharge_a = readings.discharge_a[units.string]
    cell_v = readings.unit_v[units.at] / rules.layout.cells_per_unit[units.at]
    usual_v = (discharge_a * standing.shapes.built(loaded_s))[row] * standing.ohm * loss / excess
    with np.errstate(invalid="ignore", divide="ignore"):
        shown = (rested_v - cell_v) / usual_v
        trust = PRIOR_SD**2 / (PRIOR_SD**2 + (rules.rested_sd_v[string] / usual_v) ** 2)
    aim = np.clip(1.0 + trust * (shown - 1.0), *EXCESS_RANGE)
    is_first = np.isnan(passed_s) | (passed_s >= loaded_s)
    step = np.where(is_first, 1.0, 1.0 - np.exp(-np.maximum(passed_s, 0.0) / SETTLE_S))[row]
    usable = is_watched[row] & (usual_v > 0.0) & ~np.isnan(aim)
    return np.where(usable, excess + step * (aim - excess), excess)


def has_ended(ahead: Outlook, units: Units, readings: Readings, watched: Flags, rules: RuntimeRules) -> Outlook:
    """Return the outlook in which units that are below their limit now, or reversed, have no time left.

    A unit below its module's range counts as read: the reversal of a cell is the most important reading of all.
    """
    as_read = np.isin(readings.quality[units.at], (Quality.GOOD, Quality.OUT_OF_RANGE))
    limit_v = rules.end_v[units.string][units.row] * rules.layout.cells_per_unit[units.at]
    with np.errstate(invalid="ignore"):
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
