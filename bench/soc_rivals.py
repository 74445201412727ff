"""What others do, on the same readings: plain counting, and the extended Kalman filter of the textbook.

The filter has the same circuit and the same tables as ours; its noises are white and its sds are those that its authors
usually choose (5 mV, 1 % of charge per root hour). It knows of no error that lasts.
"""

from typing import Final

import numpy as np
from analytics.soc.curves import CurveOf, Curves, place_of, rested_v
from analytics.soc.polarisation import resistance_factor
from cellkeeper.contract.chemistry import Chemistry

from bench.soc_play import Seen, Told
from bench.truth.run import Floats

VOLT_SD: Final = 0.005
CHARGE_SD_PER_ROOT_HOUR: Final = 0.01
SLOW_SD_V: Final = 0.001


def counting(seen: Seen, start_frac: Floats) -> Told:
    """Return what counting alone tells; it knows no standard deviation."""
    run = seen.run
    current = np.repeat(seen.discharge_a, run.cells, axis=1)
    moved = 0.5 * (current[1:] + current[:-1]) * np.diff(run.at_s)[:, None] / 3600.0 / run.nominal_ah
    soc = np.clip(start_frac - np.concatenate([np.zeros((1, moved.shape[1])), np.cumsum(moved, axis=0)]), 0.0, 1.0)
    return Told(soc, np.full_like(soc, np.nan), np.tile(run.soc_frac, (1, seen.draws)))


def textbook_filter(seen: Seen, chemistry: Chemistry, start_frac: Floats, start_sd: float) -> Told:
    """Return what the textbook's filter tells."""
    run, cell = seen.run, chemistry.estimate
    m = len(start_frac)
    curves = Curves.of([cell])
    where = CurveOf.of(np.zeros(m, dtype=np.intp), curves)
    current = np.repeat(seen.discharge_a, run.cells, axis=1) / run.nominal_ah
    state = np.zeros((3, m))
    state[0] = start_frac
    spread = np.zeros((3, 3, m))
    spread[0, 0] = start_sd**2
    soc, sd = np.empty((2, len(run.at_s), m))
    for k, at_s in enumerate(run.at_s):
        dt_s = at_s - run.at_s[k - 1] if k else 0.0
        place = place_of(where, state[0])
        factor = resistance_factor(seen.degc[k], np.float64(cell.arrhenius_k))
        r0, r1, r2 = (table.take(place) * factor for table in (curves.r0_ohm_ah, curves.r1_ohm_ah, curves.r2_ohm_ah))
        a1, a2 = np.exp(-dt_s / cell.tau1_s), np.exp(-dt_s / cell.tau2_s)
        state = np.array(
            [
                state[0] - current[k] * dt_s / 3600.0,
                a1 * state[1] + (1.0 - a1) * r1 * current[k],
                a2 * state[2] + (1.0 - a2) * r2 * current[k],
            ]
        )
        keep = np.array([1.0, a1, a2])
        spread = keep[:, None, None] * keep[None, :, None] * spread
        spread[0, 0] += CHARGE_SD_PER_ROOT_HOUR**2 * dt_s / 3600.0
        spread[1, 1] += SLOW_SD_V**2 * (1.0 - a1**2)
        spread[2, 2] += SLOW_SD_V**2 * (1.0 - a2**2)
        ocv_v, slope_v = rested_v(curves, where, state[0])
        seen_by = np.array([slope_v, np.full(m, -1.0), np.full(m, -1.0)])
        toward = np.einsum("ijm,jm->im", spread, seen_by)
        gain = toward / (np.einsum("im,im->m", seen_by, toward) + VOLT_SD**2)
        error_v = seen.unit_v[k] - (ocv_v - state[1] - state[2] - r0 * current[k])
        state = state + gain * error_v
        state[0] = np.clip(state[0], 0.0, 1.0)
        spread = spread - gain[:, None] * toward[None, :]
        soc[k], sd[k] = state[0], np.sqrt(np.maximum(spread[0, 0], 1e-12))
    return Told(soc, sd, np.tile(run.soc_frac, (1, seen.draws)))
