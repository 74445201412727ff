"""Heat of a unit: core against ambient, and the negative pole that follows the core late and feels its own losses."""

from typing import Final

import numpy as np

from twin.physics.tables import Floats

DAY_S: Final = 86_400.0
WARMEST_AT_S: Final = 15 * 3600.0  # rooms without cooling are warmest in mid-afternoon


def ambient_degc(base_degc: float, swing_k: float, time_of_day_s: float) -> float:
    """Return the room's temperature: `base_degc` with a daily sine of `swing_k` from lowest to highest."""
    return base_degc + 0.5 * swing_k * float(np.cos(2.0 * np.pi * (time_of_day_s - WARMEST_AT_S) / DAY_S))


def core_degc(core: Floats, heat_w: Floats, around_degc: Floats, ha_w_per_k: Floats, decay: Floats) -> Floats:
    """Return the core after a step: exact for constant heat; `decay` is exp(-dt hA / C). Shapes (N,)."""
    settled = around_degc + heat_w / ha_w_per_k
    return np.asarray(settled + (core - settled) * decay)


def pole_degc(pole: Floats, core: Floats, pole_k: Floats, decay: Floats) -> Floats:
    """Return the pole after a step: it lags behind the core plus local heating; `decay` is exp(-dt / tau)."""
    settled = core + pole_k
    return np.asarray(settled + (pole - settled) * decay)
