"""What a current leaves in a unit's voltage: at once, for minutes, for an hour; and what charging leaves on the plates.

Two resistor-capacitor pairs (the usual equivalent circuit), ohms by charge and temperature. A branch state of a curve
with hysteresis moves with the charge that flows. Surface charge comes with charging within minutes, goes at rest
within hours and with the first per cents of a discharge.
"""

from typing import Final

import numpy as np

from analytics.checked_frozen import checked_frozen
from analytics.readings import Floats
from analytics.soc.current import Flow
from analytics.soc.curves import place_of
from analytics.soc.memory import REFERENCE_DEGC, SocMemory
from analytics.soc.owed import Interval
from analytics.soc.rules import SocRules

KELVIN: Final = 273.15
BRANCH_PER_FRAC: Final = 20.0  # a branch changes over about 5 % of charge
SURFACE_RISE_S: Final = 600.0
SURFACE_DISCHARGE_FRAC: Final = 0.02  # discharged, and 1/e of the surface charge is left
COLDEST_DEGC: Final = -30.0  # resistances beyond are not believed to grow further
WARMEST_DEGC: Final = 70.0


@checked_frozen
class Polarised:
    """State of every unit's slow voltages at this scan; (N,) each, volts per cell, positive in discharge.

    Attributes:
        moved_frac: charge that left in the interval, as part of capacity; negative in charge.
        drop_v: at once.
        v1_v, v2_v: slower.
        decay2: what is left of `v2_v` after the time that passed.
        ohm_ah: all three resistances together at this charge and temperature.
        r2_ohm_ah: of the slowest.
        low_v, high_v: how much more than this the current may still hide from the voltage, where none is measured.
        rate_per_h: discharge current over rated capacity.
        degc, branch, surface: see `UnitPast`.
    """

    moved_frac: Floats
    drop_v: Floats
    v1_v: Floats
    v2_v: Floats
    decay2: Floats
    ohm_ah: Floats
    r2_ohm_ah: Floats
    low_v: Floats
    high_v: Floats
    rate_per_h: Floats
    degc: Floats
    branch: Floats
    surface: Floats


def polarise(
    memory: SocMemory, flow: Flow, interval: Interval, own: tuple[Floats, Floats], rules: SocRules
) -> Polarised:
    """Return the slow voltages after the time that passed.

    Args:
        memory: of the units as they were carried on last.
        flow: currents of the strings in this scan.
        interval: since then.
        own: of each unit (N,): temperature, NaN without; capacity in Ah.
        rules: of the site.
    """
    read_degc, capacity_ah = own
    unit, where = memory.unit, rules.layout.string_of
    degc = np.where(np.isnan(read_degc), unit.degc, read_degc)
    hours = (interval.s / 3600.0)[where]
    mean_a = interval.mean_a[where] + interval.bleed_a
    moved = mean_a * hours / capacity_ah
    moved = np.where(moved < 0.0, moved * rules.coulombic_frac, moved)
    rate = (flow.now_a[where] + interval.bleed_a) / rules.rated_ah
    mean_rate = mean_a / rules.rated_ah
    place = place_of(rules.curve_of, memory.soc_frac)
    grown = resistance_factor(degc, rules.arrhenius_k)
    r0, r1, r2 = (
        table.take(place) * grown for table in (rules.curves.r0_ohm_ah, rules.curves.r1_ohm_ah, rules.curves.r2_ohm_ah)
    )
    decay1, decay2 = np.exp(-interval.s / rules.tau1_s)[where], np.exp(-interval.s / rules.tau2_s)[where]
    branch_left = 1.0 / (1.0 + BRANCH_PER_FRAC * np.abs(moved))  # exp(-x) for the small steps of scans
    ohm_ah = r0 + r1 + r2
    return Polarised(
        moved_frac=moved,
        drop_v=r0 * rate,
        v1_v=decay1 * unit.v1_v + (1.0 - decay1) * r1 * mean_rate,
        v2_v=decay2 * unit.v2_v + (1.0 - decay2) * r2 * mean_rate,
        decay2=decay2,
        ohm_ah=ohm_ah,
        r2_ohm_ah=r2,
        low_v=_hidden_v(flow.low_a - flow.now_a, ohm_ah, rules),
        high_v=_hidden_v(flow.high_a - flow.now_a, ohm_ah, rules),
        rate_per_h=rate,
        degc=degc,
        branch=branch_left * unit.branch + (1.0 - branch_left) * np.sign(moved),
        surface=_surface(unit.surface, flow, interval.s, moved, rules),
    )


def _hidden_v(hidden_a: Floats, ohm_ah: Floats, rules: SocRules) -> Floats:
    """Return what a current (S,) that no sensor tells does to the volts (N,)."""
    if not hidden_a.any():
        return np.zeros(len(ohm_ah))
    return np.asarray((hidden_a / rules.string_ah)[rules.layout.string_of] * ohm_ah)


def resistance_factor(degc: Floats, arrhenius_k: Floats) -> Floats:
    """Return by how much resistance is larger than at 25 °C (N,); at least and at most what -30 and 70 °C give."""
    kelvin = np.minimum(np.maximum(degc, COLDEST_DEGC), WARMEST_DEGC) + KELVIN
    return np.asarray(np.exp(arrhenius_k * (1.0 / kelvin - 1.0 / (REFERENCE_DEGC + KELVIN))))


def _surface(surface: Floats, flow: Flow, passed_s: Floats, moved: Floats, rules: SocRules) -> Floats:
    """Return how much surface charge is left (N,)."""
    where = rules.layout.string_of
    left = np.exp(-passed_s / np.where(flow.is_charging, SURFACE_RISE_S, rules.surface_s))[where]
    charged = flow.is_charging[where]
    fallen = surface * left / (1.0 + np.maximum(moved, 0.0) / SURFACE_DISCHARGE_FRAC)
    return np.where(charged, surface + (1.0 - surface) * (1.0 - left), fallen)
