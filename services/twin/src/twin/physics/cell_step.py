"""The cell equations of one step, on arrays over all elements.

    v_cell = u + v1 + M h + R0 i,   u = OCV(s, T) + v2 with its Tafel side reaction (`electrode`),
    v1 by R1 and tau1, h the hysteresis state in -1..1, i = string current - bleed - leak - own discharge.

The capacity of a cold cell is smaller at its empty end: the curves are read at s' = 1 - (1 - s) / (1 + c (T - 25)).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from twin.physics.electrode import ElectrodeMove, ElectrodeStep, move
from twin.physics.population import CellState, Elements
from twin.physics.tables import POINTS_PER_SOC, SOC_MAX, SOC_MIN, Column, Floats, rows_of

REF_DEGC: Final = 25.0
KELVIN: Final = 273.15
GAS_EXPONENT_LIMIT: Final = 60.0
WARMTH_LIMIT_K: Final = 60.0  # beyond 85 °C no parameter set claims anything; runaway is long decided


@dataclass(frozen=True, slots=True)
class Decays:
    """Exponentials of one step width, per element: of both RC pairs and of the width itself."""

    dt_s: float
    fast: Floats
    slow: Floats


@dataclass(frozen=True, slots=True)
class Coefficients:
    """What is fixed for a step before its current is known; per element, shape (E,)."""

    decays: Decays
    electrode: ElectrodeStep
    slow_v_per_a: tuple[Floats, Floats]
    u_v: Floats
    ocv_v: Floats
    ocv_v_per_k: Floats
    kelvin: Floats
    sink_a: Floats
    r0_ohm: Floats
    r1_ohm: Floats
    r1_step_ohm: Floats


def capacity_factor(elements: Elements, degc: Floats) -> Floats:
    """Return the usable capacity at `degc` (E,) as part of that at 25 °C."""
    return np.maximum(1.0 + elements.capacity_frac_per_k * (degc - REF_DEGC), 0.3)


def curve_rows(rows: Floats, elements: Elements, soc_frac: Floats, degc: Floats) -> tuple[Floats, Floats]:
    """Return the curve rows (E, columns) of each element and its open-circuit voltage (E,)."""
    below, above = rows_of(1.0 - (1.0 - soc_frac) / capacity_factor(elements, degc))
    found = rows.take(elements.first_row + below, axis=0)
    ocv_v = found[:, Column.OCV_V] + found[:, Column.OCV_STEP_V] * above
    ocv_v += found[:, Column.OCV_V_PER_K] * (degc - REF_DEGC) + elements.ocv_offset_v
    return found, ocv_v


def resistance_factor(elements: Elements, found: Floats, degc: Floats) -> tuple[Floats, Floats]:
    """Return the temperature factor of all resistances, and the same with the state of charge for R0 and R1."""
    cold = np.exp(elements.activation_k * (1.0 / (degc + KELVIN) - 1.0 / (REF_DEGC + KELVIN)))
    return cold, cold * found[:, Column.R_FACTOR]


def coefficients(
    rows: Floats, elements: Elements, state: CellState, degc: Floats, decays: Decays, bleed_a: Floats
) -> Coefficients:
    """Return a step's coefficients; `degc` and `bleed_a` per element (E,), `rows` the stacked curves."""
    e, dt_s = elements, decays.dt_s
    found, ocv_v = curve_rows(rows, e, state.soc_frac, degc)
    cold, factor = resistance_factor(e, found, degc)
    faster = np.exp(e.gas_per_k * np.minimum(degc - REF_DEGC, WARMTH_LIMIT_K))
    u_v = ocv_v + state.v2
    gas_a = e.gas_a * faster * np.exp(np.minimum((u_v - e.gas_ref_v) / e.gas_fold_v, GAS_EXPONENT_LIMIT))
    per_c = found[:, Column.OCV_STEP_V] * (POINTS_PER_SOC / 3600.0) / (e.q_ah * capacity_factor(e, degc))
    slow_ohm = e.r2_ohm * cold * (1.0 - decays.slow)
    slow = (slow_ohm * found[:, Column.SLOW_DISCHARGE_FACTOR], slow_ohm * found[:, Column.SLOW_CHARGE_FACTOR])
    some_left = np.minimum(np.maximum(state.soc_frac * 50.0, 0.0), 1.0)
    r1_ohm = e.r1_ohm * factor
    return Coefficients(
        decays=decays,
        electrode=ElectrodeStep(
            stiffness_v_per_c=(per_c + slow[0] / dt_s, per_c * e.coulombic_frac + slow[1] / dt_s),
            relaxed_v=state.v2 * (1.0 - decays.slow),
            gas_a=gas_a,
            fold_v=e.gas_fold_v,
            dt_s=dt_s,
        ),
        slow_v_per_a=slow,
        u_v=u_v,
        ocv_v=ocv_v,
        ocv_v_per_k=found[:, Column.OCV_V_PER_K],
        kelvin=degc + KELVIN,
        sink_a=bleed_a + e.leak_s * state.v + e.self_discharge_a * faster * some_left,
        r0_ohm=e.r0_ohm * factor,
        r1_ohm=r1_ohm,
        r1_step_ohm=r1_ohm * (1.0 - decays.fast),
    )


def cell_voltage(e: Elements, state: CellState, c: Coefficients, cell_a: Floats, went: ElectrodeMove) -> Floats:
    """Return the voltage of one cell of each element at the end of the step, (E,)."""
    inner = c.u_v + went.du_v + c.decays.fast * state.v1 + c.r1_step_ohm * cell_a + e.hysteresis_v * state.hysteresis
    return e.alive * inner + c.r0_ohm * cell_a


def advance(e: Elements, state: CellState, c: Coefficients, cell_a: Floats) -> Floats:
    """Move `state` through the step with `cell_a` (E,); return the mean heat of one cell of each element in watts."""
    hours = c.decays.dt_s / 3600.0
    went = move(c.electrode, cell_a)
    cell_v = cell_voltage(e, state, c, cell_a, went)
    v1 = c.decays.fast * state.v1 + c.r1_step_ohm * cell_a
    v2 = c.decays.slow * state.v2 + np.where(went.charging, c.slow_v_per_a[1], c.slow_v_per_a[0]) * went.main_a
    kept_a = went.main_a * np.where(went.charging, e.coulombic_frac, 1.0)
    soc_frac = np.minimum(np.maximum(state.soc_frac + kept_a * hours / e.q_ah, SOC_MIN), SOC_MAX)
    moved = soc_frac - state.soc_frac
    side_a = cell_a - went.main_a
    heat_w = (
        cell_a * (c.r0_ohm * cell_a + 0.5 * (v1 + state.v1))
        + went.main_a * (0.5 * (v2 + state.v2) + c.kelvin * c.ocv_v_per_k)
        + (went.main_a - kept_a) * c.ocv_v
        + side_a * (c.u_v + 0.5 * went.du_v - e.gas_carried_v)
    )
    heat_w = np.where(e.alive > 0.0, heat_w, c.r0_ohm * cell_a * cell_a) + e.leak_s * state.v * state.v
    forget = np.exp(-e.hysteresis_rate * np.abs(moved))
    state.hysteresis = forget * state.hysteresis + (1.0 - forget) * np.sign(moved)
    state.stored_ah += moved * e.q_ah
    state.gassed_ah += side_a * hours
    state.lost_ah += went.main_a * hours - moved * e.q_ah
    state.soc_frac, state.v1, state.v2, state.v = soc_frac, v1, v2, cell_v
    return heat_w
