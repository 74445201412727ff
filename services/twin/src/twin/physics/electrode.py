"""One step of a cell's slow electrode, in closed form: no step width makes it unstable.

The electrode potential is u = OCV(s) + v2. The cell current i splits into the main reaction, which stores charge and
drives the slow pair (R2, tau2), and the Tafel side current g(u) = g0 exp((u - u0) / w). With the curve straight over
a step,

    du/dt = k (i' - g(u)),   k = dOCV/dq + R2 (1 - a2) / dt,   i' = i - v2 (1 - a2) / (k dt),   a2 = exp(-dt / tau2),

and y = exp(-u / w) obeys a linear equation, hence with D = k dt / w and x = i' D:

    u - u0 = w (x - log(1 + g0 D (exp(x) - 1) / x)).

At rest the potential decays by gassing; at float it settles where g = i. In a string the current is common: each
unit's float voltage follows from its own Tafel line.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from twin.physics.tables import Floats

STRAIGHT: Final = 1e-5  # below this |x| the series is exact to double precision, the quotient is not
X_LIMIT: Final = 600.0  # exp() of it is still a number; steps that large belong to no battery


@dataclass(frozen=True, slots=True)
class ElectrodeStep:
    """What a step needs, fixed before the current is known; (E,) each, stiffness for discharge (0) and charge (1)."""

    stiffness_v_per_c: tuple[Floats, Floats]
    relaxed_v: Floats
    gas_a: Floats
    fold_v: Floats
    dt_s: float


@dataclass(frozen=True, slots=True)
class ElectrodeMove:
    """Answer to a current: charge branch or not, change of u, its derivative, mean current of the main reaction."""

    charging: NDArray[np.bool_]
    du_v: Floats
    du_ohm: Floats
    main_a: Floats


def move(step: ElectrodeStep, cell_a: Floats) -> ElectrodeMove:
    """Return how the electrode moves when `cell_a` (E,) flows through the whole step."""
    charging = cell_a > step.gas_a
    k = np.where(charging, step.stiffness_v_per_c[1], step.stiffness_v_per_c[0])
    k_dt = k * step.dt_s
    d = k_dt / step.fold_v
    x = np.minimum(np.maximum((cell_a - step.relaxed_v / k_dt) * d, -X_LIMIT), X_LIMIT)
    near = np.abs(x) < STRAIGHT
    safe = np.where(near, 1.0, x)
    grown = np.expm1(x)
    mean_growth = np.where(near, 1.0 + 0.5 * x, grown / safe)
    slope = np.where(near, 0.5, (grown + 1.0 - mean_growth) / safe)
    gd = step.gas_a * d
    ratio = gd * mean_growth
    du_v = step.fold_v * (x - np.log1p(ratio))
    du_ohm = k_dt * (1.0 - gd * slope / (1.0 + ratio))
    return ElectrodeMove(charging=charging, du_v=du_v, du_ohm=du_ohm, main_a=(du_v + step.relaxed_v) / k_dt)
