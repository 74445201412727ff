"""How the units of some strings stand at a load: what each has left, what its losses are, and when it ends."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from analytics.readings import Floats, Places
from analytics.runtime.believed import Units
from analytics.runtime.calibration import multiple_place
from analytics.runtime.projection import Columns, Shapes, project
from analytics.runtime.rules import RuntimeRules

ALONE: Final = 8  # the weakest units of a string are walked one by one,
GROUPS: Final = 8  # all others in groups of alike ones: they matter for the sum only
FAR_V: Final = 1000.0
WARMTH_RANGE_K: Final = 40.0  # no battery works farther from its reference
SHAPE_SD_LN: Final = 0.05  # cells of one chemistry differ by so much from its shape, as seen in the losses
BATTERY_SD_LN: Final = 0.10  # by which batteries differ from the one in the maker's table
MODEL_SD: Final = 0.04  # of what is left, once the losses are seen: shapes of one chemistry differ by so much


@dataclass(frozen=True, slots=True)
class Standing:
    """What U units have at the present power, per electrochemical cell; see `Columns`.

    Attributes:
        left_frac: (U,) of `ah`.
        ah, ohm: (U,) full, at this power, temperature and state of health.
        exponent: (U,) by how much the time falls with capacity at this power.
        shapes: of the D strings.
    """

    left_frac: Floats
    ah: Floats
    ohm: Floats
    exponent: Floats
    shapes: Shapes


def stand(units: Units, power_w: Floats, learned: tuple[Floats, Floats, Floats], rules: RuntimeRules) -> Standing:
    """Return how units stand.

    An aged unit at P is a healthy one at P / SoH, so both its charge and its conductance are SoH times those.

    Args:
        units: of the D strings.
        power_w: (D,) of the whole string.
        learned: (U,) losses as multiple of what the table implies for a unit of this health and temperature, the
            relative error of its charge, and by how much the discharge has warmed it.
        rules: of all strings.
    """
    string, soh = units.string[units.row], units.soh_frac
    excess, charge, own_k = learned
    warmer_k = np.clip(units.degc - rules.curves.ref_degc[string], -WARMTH_RANGE_K, WARMTH_RANGE_K)
    cell_w = (power_w / rules.cells[units.string])[units.row] / soh
    point, part = rules.curves.place(string, cell_w)
    healthy_ah, ohm = _calibrated(units, (point, part), _misjudged(units, excess, rules), rules)
    healthy_ah = healthy_ah * np.maximum(1.0 + rules.curves.ah_frac_per_k[string] * warmer_k, 0.3)
    healthy_ah = healthy_ah * (1.0 + charge)
    return Standing(
        left_frac=1.0 - (1.0 - units.soc_frac) * rules.rated_ah[string] / healthy_ah,
        ah=healthy_ah * soh,
        ohm=ohm / soh * np.exp(-rules.shapes.ohm_frac_per_k[string] * (warmer_k + own_k)) * excess,
        exponent=rules.curves.exponent(string, point),
        shapes=rules.shapes.some(units.string),
    )


def _calibrated(
    units: Units, at: tuple[Places, Floats], multiple: Floats, rules: RuntimeRules
) -> tuple[Floats, Floats]:
    """Return charge and losses of a healthy full unit (U,) at a power: a point of the curve's grid, and part of a step.

    The charge is the one with which the table's times hold if the losses are so many times (D,) those that it implies.
    """
    string, (point, part) = units.string[units.row], at
    entry, above = multiple_place(multiple)
    entry, above = entry[units.row], above[units.row]

    def along(low: Floats, high: Floats, part: Floats) -> Floats:
        return np.asarray(low + part * (high - low))

    less, more = (
        along(rules.ah[string, row, point], rules.ah[string, row, point + 1], part) for row in (entry, entry + 1)
    )
    return along(less, more, above), along(rules.ohm[string, point], rules.ohm[string, point + 1], part)


def _misjudged(units: Units, excess: Floats, rules: RuntimeRules) -> Floats:
    """Return by which factor the losses were misjudged when they were taken out of the table (D,).

    What all units of a string have in common is the less their own, the less the table says about losses. Then the
    charge was misjudged with them, so that the times remain the table's.
    """
    common = np.bincount(units.row, np.log(excess), len(units.count)) / units.count
    variance = rules.ohm_sd_ln[units.string] ** 2 + SHAPE_SD_LN**2
    return np.exp(common * variance / (variance + BATTERY_SD_LN**2))


@dataclass(frozen=True, slots=True)
class Outlook:
    """When D strings end: first unit at its limit, which (1-based), and the sum; with standard deviations."""

    unit_s: Floats
    unit_sd_s: Floats
    cell: Places
    string_s: Floats
    string_sd_s: Floats


def look_ahead(
    units: Units, standing: Standing, load: tuple[Floats, Floats], expected_s: Floats, rules: RuntimeRules
) -> Outlook:
    """Return when strings end at constant power.

    Args:
        units: of the D strings.
        standing: of these units.
        load: watts of each string (D,), and seconds that it has been on (D,).
        expected_s: (D,) a first idea of how long; NaN where there is none.
        rules: of all strings.
    """
    order, column = _columns(units, standing, load, expected_s, rules)
    columns = _gathered(units, standing, column, rules)
    limits = rules.end_v[units.string], rules.bus_end_v[units.string], rules.wiring_ohm[units.string]
    ends = project(columns, standing.shapes, load, limits)
    weakest = np.argmin(ends.column_s[:, :ALONE], axis=1)
    first = np.concatenate([[0], np.cumsum(units.count)[:-1]]).astype(np.intp)
    unit = order[np.minimum(first + weakest, len(order) - 1)]
    unit_s = ends.column_s[np.arange(len(weakest)), weakest]
    wiring_sd_s = rules.wiring_sd_frac[units.string] * ends.wiring_s
    return Outlook(
        unit_s=unit_s,
        unit_sd_s=_sd_s(units, standing, unit, (unit_s, load), rules),
        cell=np.where(np.isnan(unit_s), 0, unit - first + 1),
        string_s=ends.bus_s,
        string_sd_s=np.hypot(_sd_s(units, standing, unit, (ends.bus_s, load), rules), wiring_sd_s),
    )


def _columns(
    units: Units, standing: Standing, load: tuple[Floats, Floats], expected_s: Floats, rules: RuntimeRules
) -> tuple[Places, Places]:
    """Return the units' order, weakest of each string first, and the column of each unit (U,).

    Weakest is whose voltage is lowest when about so much charge is gone as the string still gives.
    """
    row, power_w = units.row, load[0]
    charge_ah = np.bincount(row, standing.left_frac * standing.ah, len(power_w)) / units.count
    about_a = power_w / np.maximum(rules.end_v[units.string] * rules.cells[units.string] * 1.1, 1e-9)
    gone_ah = np.where(np.isnan(expected_s), 0.7 * charge_ah, about_a * expected_s / 3600.0)
    left = standing.left_frac - np.minimum(gone_ah, 0.9 * charge_ah)[row] / standing.ah
    rested_v, loss = standing.shapes.read(row, left)
    then_v = rested_v - about_a[row] * standing.ohm * loss
    # Rows lie behind each other already, and no cell is near these volts: one plain sort is several times as fast.
    order = np.argsort(row * (2.0 * FAR_V) + np.fmin(np.fmax(then_v, -FAR_V), FAR_V))
    first = np.concatenate([[0], np.cumsum(units.count)[:-1]])
    rank = np.empty(len(row))
    rank[order] = np.arange(len(row)) - first[row[order]]
    others = np.maximum(units.count - ALONE, 1.0)[row]
    group = ALONE + np.floor((rank - ALONE) * GROUPS / others)
    return order, np.where(rank < ALONE, rank, group).astype(np.intp)


def _gathered(units: Units, standing: Standing, column: Places, rules: RuntimeRules) -> Columns:
    width, rows = ALONE + GROUPS, len(units.count)
    place = units.row * width + column

    def total(values: Floats) -> Floats:
        return np.bincount(place, values, rows * width).reshape(rows, width)

    count = total(np.ones(len(place)))
    some = np.maximum(count, 1.0)
    ah = total(standing.ah) / some
    charge_ah = total(standing.left_frac * standing.ah) / some
    ohm = total(standing.ohm) / some
    per_unit = (rules.cells[units.string] / units.count)[:, None]
    empty = count == 0.0
    return Columns(
        cells=count * per_unit,
        left_frac=np.where(empty, 0.0, charge_ah / np.where(empty, 1.0, ah)),
        ah=np.where(empty, 1.0, ah),
        ohm=ohm,
    )


def _sd_s(
    units: Units,
    standing: Standing,
    unit: Places,
    ends: tuple[Floats, tuple[Floats, Floats]],
    rules: RuntimeRules,
) -> Floats:
    """Return the sd of a time that is left (D,), from charge, capacity, table and model of the weakest unit.

    The table's part is replaced by the model's once the losses have been seen, over the first tenth of the discharge.
    """
    left_s, (power_w, loaded_s) = ends
    whole_s = left_s + loaded_s
    soh_sd = units.soh_sd_frac[unit] / units.soh_frac[unit]
    table_sd = rules.curves.relative_sd(units.string, power_w / rules.cells[units.string])
    with np.errstate(invalid="ignore", divide="ignore"):
        seen = np.clip(10.0 * loaded_s / whole_s, 0.0, 1.0)
    seen = np.where(np.isnan(seen), 0.0, seen)
    exponent = standing.exponent[unit] * (1.0 - seen) + seen  # what the losses add to it is seen, the charge is not
    own_sd = (1.0 - seen) * table_sd + seen * MODEL_SD * standing.exponent[unit]  # a cliff makes a small error large
    parts = (left_s * own_sd, whole_s * exponent * soh_sd, whole_s * units.soc_sd_frac[unit])
    return np.sqrt(sum(part * part for part in parts))
