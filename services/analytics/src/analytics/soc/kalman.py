"""An extended Kalman filter over charge and slow voltage with two errors that it considers and never corrects.

The relative error of current over capacity and a constant error of the curve go into its covariances (Schmidt's
filter), and what the circuit model leaves is taken as noise that lasts for minutes, not as white: both together keep
it from claiming a certainty it does not have. It corrects flat curves where they are steep and gives sloped ones a
second opinion.
"""

from typing import Final

import numpy as np

from analytics.checked_frozen import checked_frozen
from analytics.readings import Flags, Floats
from analytics.soc.curves import place_of, rested_v
from analytics.soc.memory import REFERENCE_DEGC, Kalman
from analytics.soc.polarisation import Polarised
from analytics.soc.rules import SocRules

SENSOR_SD_V: Final = 0.0015
FIT_SD_V: Final = 0.004  # of the circuit against a real cell
FIT_LASTS_S: Final = 60.0
LOAD_FRAC: Final = 0.12  # of the voltage a current leaves …
LOAD_LASTS_S: Final = 1200.0  # … is wrong for so long
LASTING_PART: Final = 0.25
GATE_SD: Final = 5.0
SLOW_SD_FRAC: Final = 0.10  # of the slow voltage that the resistance is not exact for
TELLING_SD_FRAC: Final = 0.05  # a flat curve is believed where it would notice this much
LARGEST_MOVE_FRAC: Final = 0.045  # of one scan
KNOWN_SD_FRAC: Final = 0.10  # a flat curve tells a unit only near which of its steps it is


@checked_frozen
class Corrected:
    """The filter after a scan, and which units (N,) their voltage has moved."""

    kalman: Kalman
    is_moved: Flags


def predicted(
    kalman: Kalman, moved_frac: Floats, grown_frac: Floats, gain2: Floats, decay2: Floats, slow_v: Floats
) -> Kalman:
    """Return the filter after charge has moved.

    Args:
        kalman: before.
        moved_frac: (N,) charge that left, as part of capacity, losses included.
        grown_frac: (N,) what else the sd of the charge has grown by: zero of the sensor, gaps, leaks.
        gain2: (N,) variance of current over capacity.
        decay2: (N,) what is left of the slow voltage.
        slow_v: (N,) the circuit's slow voltage.
    """
    ss = kalman.ss + moved_frac * (moved_frac * gain2 - 2.0 * kalman.sg)
    ss = np.maximum(ss, 0.0)
    ss = ss + grown_frac * (2.0 * np.sqrt(ss) + grown_frac)  # of the sum of both sds
    noise = (SLOW_SD_FRAC * slow_v) ** 2 * (1.0 - decay2**2)
    return Kalman(
        soc_frac=_within(kalman.soc_frac - moved_frac),
        slow_v=kalman.slow_v * decay2,
        ss=ss,
        s2=kalman.s2 * decay2,
        s22=kalman.s22 * decay2**2 + noise,
        sb=kalman.sb,
        b2=kalman.b2 * decay2,
        sg=kalman.sg - moved_frac * gain2,
    )


def corrected(kalman: Kalman, cell_v: Floats, polar: Polarised, may: Flags, dt_s: Floats, rules: SocRules) -> Corrected:
    """Return the filter after it has seen the voltages.

    Args:
        kalman: predicted to this scan.
        cell_v: (N,) volts per cell; NaN without.
        polar: slow voltages of the circuit.
        may: (N,) whose voltage may be believed.
        dt_s: (N,) since the last scan.
        rules: of the site.
    """
    ocv_v, slope_v = _expected(kalman, polar, rules)
    table_v2 = rules.table_v2
    left_v = polar.drop_v + polar.v1_v + polar.v2_v + kalman.slow_v
    error_v = cell_v - (ocv_v - left_v)
    toward_s = slope_v * kalman.ss - kalman.s2 + kalman.sb
    toward_2 = slope_v * kalman.s2 - kalman.s22 + kalman.b2
    toward_b = slope_v * kalman.sb - kalman.b2 + table_v2
    variance = slope_v * toward_s - toward_2 + toward_b + _noise(polar, dt_s, rules)
    is_telling = slope_v**2 * np.minimum(kalman.ss, TELLING_SD_FRAC**2) > table_v2
    known = may & np.isfinite(error_v) & (error_v**2 < GATE_SD**2 * variance)
    known &= ~rules.is_flat | (is_telling & (kalman.ss < KNOWN_SD_FRAC**2))
    per_v = np.where(known, 1.0 / np.maximum(variance, 1e-12), 0.0)
    gain_s, gain_2, error_v = toward_s * per_v, toward_2 * per_v, np.where(known, error_v, 0.0)
    move = np.minimum(np.maximum(gain_s * error_v, -LARGEST_MOVE_FRAC), LARGEST_MOVE_FRAC)
    return Corrected(
        Kalman(
            soc_frac=_within(kalman.soc_frac + move),
            slow_v=kalman.slow_v + gain_2 * error_v,
            ss=np.maximum(kalman.ss - gain_s * toward_s, 1e-8),
            s2=kalman.s2 - gain_s * toward_2,
            s22=np.maximum(kalman.s22 - gain_2 * toward_2, 0.0),
            sb=kalman.sb - gain_s * toward_b,
            b2=kalman.b2 - gain_2 * toward_b,
            sg=kalman.sg * (1.0 - gain_s * slope_v),
        ),
        known,
    )


def _within(soc_frac: Floats) -> Floats:
    """Return charges in [0, 1]."""
    return np.minimum(np.maximum(soc_frac, 0.0), 1.0)


def _expected(kalman: Kalman, polar: Polarised, rules: SocRules) -> tuple[Floats, Floats]:
    """Return rested volts and their slope (N,)."""
    ocv_v, slope_v = rested_v(rules.curves, rules.curve_of, kalman.soc_frac)
    per_k = rules.curves.ocv_v_per_k.take(place_of(rules.curve_of, kalman.soc_frac))
    return ocv_v + per_k * (polar.degc - REFERENCE_DEGC) - rules.hysteresis_v * polar.branch, slope_v


def _noise(polar: Polarised, dt_s: Floats, rules: SocRules) -> Floats:
    """Return the variance of a voltage (N,): what lasts counts as often as it is seen."""
    once_s = np.maximum(dt_s, 1.0)
    fit = LASTING_PART * FIT_SD_V**2 * (2.0 * FIT_LASTS_S / once_s)
    load = LASTING_PART * (LOAD_FRAC * polar.rate_per_h * polar.ohm_ah) ** 2 * (2.0 * LOAD_LASTS_S / once_s)
    surface = (rules.surface_v * polar.surface) ** 2
    return np.asarray(SENSOR_SD_V**2 + fit + load + surface)
