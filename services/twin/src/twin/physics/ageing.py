"""Slow growth of the resistances with calendar time and temperature: what an impedance trend shows."""

from typing import Final

import numpy as np

from twin.physics.population import Elements, Units
from twin.physics.tables import Floats

YEAR_S: Final = 365.25 * 86_400.0
REF_DEGC: Final = 25.0
WARMTH_LIMIT_K: Final = 60.0  # beyond 85 °C a cell is not ageing but failing


def grow_resistance(elements: Elements, units: Units, core_degc: Floats, dt_s: float) -> None:
    """Let all resistances grow for `dt_s` at the units' core temperatures (N,); exact while these are constant."""
    warmth_k = np.minimum(core_degc - REF_DEGC, WARMTH_LIMIT_K)
    rate = units.r_frac_per_year / YEAR_S * np.exp(units.ageing_per_k * warmth_k)
    factor = np.exp(rate * dt_s)[elements.unit]
    elements.r0_ohm *= factor
    elements.r1_ohm *= factor
    elements.r2_ohm *= factor
