"""Start of a room: strings that have floated for months, or rest at a given charge."""

from typing import Final

import numpy as np

from twin.physics.cell_step import REF_DEGC, capacity_factor, curve_rows
from twin.physics.cells import UnitBank
from twin.physics.population import string_seed
from twin.physics.tables import POINTS_PER_SOC, ROWS, SOC_MIN, Column, Floats

MIN_GAS_A_PER_AH: Final = 1e-6  # below this at float the side reaction does not set the voltage: lithium
NEWTON_ROUNDS: Final = 40
BISECTIONS: Final = 40
WARMING_LIMIT_K: Final = 10.0  # a unit that warms more is running away: let the room show it


def warm_by_float(bank: UnitBank, cool_degc: Floats) -> None:
    """Bring all units to the temperature at which the heat of their float current leaves them, over `cool_degc`."""
    u, carried_v = bank.units, bank.elements.gas_carried_v[: bank.size]
    heat_w = bank.string_a[u.string] * np.maximum(bank.v - carried_v * u.cells, 0.0)
    bank.core_degc = cool_degc + np.minimum(heat_w / u.ha_w_per_k, WARMING_LIMIT_K)
    bank.degc = bank.core_degc.copy()


def settle_at_float(bank: UnitBank, string: int, cell_v: float, seed: int) -> float:
    """Put a string where months of float at a mean of `cell_v` per cell leave it; return its float current in amperes.

    Lead-acid and NiCd: the common current at which the Tafel voltages sum to the charger's. Lithium: cells spread in
    charge as the parameter set says, their voltages with the mean of `cell_v`, no current. All were charged last, so
    hysteresis is on its upper branch.
    """
    build = bank.strings[string]
    span = bank.span[build.id]
    e = bank.elements
    bank.state.hysteresis[span] = 1.0
    inner_v = cell_v - e.hysteresis_v[span]
    faster = np.exp(e.gas_per_k[span] * (bank.core_degc[span] - REF_DEGC))
    gas_a, own_a = e.gas_a[span] * faster, e.self_discharge_a[span] * faster
    over = (inner_v - e.gas_ref_v[span]) / e.gas_fold_v[span]
    if float(np.mean(gas_a * np.exp(np.minimum(over, 50.0)))) < MIN_GAS_A_PER_AH * build.rated_ah:
        _spread_around(bank, string, float(np.mean(inner_v)), seed)
        return 0.0
    fold, ohm, most_own_a = e.gas_fold_v[span], e.r0_ohm[span] + e.r1_ohm[span], float(np.max(own_a))
    log_a = float(np.mean(np.log(gas_a) + over))  # of the current beyond the largest own discharge: that stays positive
    for _ in range(NEWTON_ROUNDS):
        cell_a = most_own_a + np.exp(log_a) - own_a
        wrong_v = inner_v - (e.gas_ref_v[span] + fold * np.log(cell_a / gas_a) + ohm * cell_a)
        log_a += float(np.mean(wrong_v)) / float(np.mean(np.exp(log_a) * (fold / cell_a + ohm)))
    cell_a = most_own_a + np.exp(log_a) - own_a
    _put(bank, string, _charge_at(bank, string, e.gas_ref_v[span] + fold * np.log(cell_a / gas_a)))
    return float(most_own_a + np.exp(log_a))


def rest_at(bank: UnitBank, string: int, soc_frac: float, seed: int) -> None:
    """Put a string at rest at a mean charge, spread as its parameter set says."""
    _put(bank, string, np.clip(soc_frac + _spread(bank, string, seed), 0.0, 1.0))


def _spread(bank: UnitBank, string: int, seed: int) -> Floats:
    build = bank.strings[string]
    rng = np.random.default_rng(string_seed(seed, build.id, 1))
    return build.parameters.spread.soc_frac * rng.standard_normal(build.units)


def _spread_around(bank: UnitBank, string: int, cell_v: float, seed: int) -> None:
    span = bank.span[bank.strings[string].id]
    spread = _spread(bank, string, seed)
    low, high = -1.0, 1.5
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        charge = np.ones(bank.size)
        charge[span] = middle + spread
        degc = bank.core_degc
        _, ocv_v = curve_rows(bank.rows, bank.elements, charge[bank.elements.unit], degc[bank.elements.unit])
        low, high = (middle, high) if float(np.mean(ocv_v[span])) < cell_v else (low, middle)
    _put(bank, string, 0.5 * (low + high) + spread)


def _charge_at(bank: UnitBank, string: int, ocv_v: Floats) -> Floats:
    """Return the charge (units,) at which each unit's open-circuit voltage per cell is `ocv_v`."""
    span = bank.span[bank.strings[string].id]
    e = bank.elements
    first = int(e.first_row[span.start])
    curve = bank.rows[first : first + ROWS]
    # The curve above full has no temperature term in any set: it is read at 25 °C.
    place = np.interp(ocv_v - e.ocv_offset_v[span], curve[:, Column.OCV_V], SOC_MIN + np.arange(ROWS) / POINTS_PER_SOC)
    factor = capacity_factor(e, bank.core_degc[e.unit])[span]
    return np.asarray(1.0 - (1.0 - place) * factor)


def _put(bank: UnitBank, string: int, soc_frac: Floats) -> None:
    charge = bank.state.soc_frac[: bank.size].copy()
    charge[bank.span[bank.strings[string].id]] = soc_frac
    bank.set_charge(charge)
