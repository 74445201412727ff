"""The main filter of sloped curves: the charge at which a unit would rest at its voltage, less what current left in it.

One state. The voltage is freed of what the current left in it and read through the inverse of the rested curve; the
table's own error, carried through the same inverse, is the least that the estimate may ever claim to be wrong. Where
surface charge, or a current that nobody measures, may explain a voltage, it becomes an interval, and only what lies
outside of it moves the estimate.
"""

from typing import Final

import numpy as np

from analytics.checked_frozen import checked_frozen
from analytics.readings import Flags, Floats
from analytics.soc.counting import Counted
from analytics.soc.curves import charge_at, place_of
from analytics.soc.memory import REFERENCE_DEGC, Parts
from analytics.soc.parts import believed
from analytics.soc.polarisation import Polarised
from analytics.soc.rules import SocRules

SENSOR_SD_V: Final = 0.0005  # of a module, per cell: noise, rounding and gain
TEMPERATURE_SD_V_PER_K: Final = 1.3e-4  # of a rested curve's temperature coefficient
MODEL_SD_FRAC: Final = 0.15  # of what the current leaves in the voltage
NOISE_FRAC2_S: Final = 0.0015  # variance of one reading over the time it stands for
FIRST_S: Final = 60.0  # the first reading counts as if it had been seen for so long
LARGEST_MOVE_FRAC: Final = 0.045  # of one scan, unless it is the first
UNSEEN_RATE_FRAC: Final = 0.5  # of the present current, where nobody saw how long it flows
UNSEEN_PER_AH: Final = 0.02  # A per Ah that may have flowed just before
CONTRADICTED_SD2: Final = 25.0  # five standard deviations: on load the circuit itself is wrong for long
CONTRADICTED_S: Final = 1800.0  # longer than lead dips at the onset of a discharge
SURFACE_BLIND: Final = 0.7  # above, right after charging, nothing is known of how much is surface


@checked_frozen
class Sight:
    """What the voltages of this scan tell of the charge; (N,) each.

    Attributes:
        low_frac, high_frac: between these the charge lies, if the curve were exact.
        sd_frac: what the curve's and the model's error leave open beside that, all of one sign.
        apart_sd_frac: the same with errors that have nothing to do with each other, and what is between the table's
            values.
        is_seen: there is a voltage that belongs to a known state of the unit.
    """

    low_frac: Floats
    high_frac: Floats
    sd_frac: Floats
    apart_sd_frac: Floats
    is_seen: Flags


@checked_frozen
class Doubt:
    """Why a voltage may not be the rested one; (N,) each.

    Attributes:
        unsettled: how much of the slow voltages is unknown because nobody saw the past, 0 to 1.
        is_blocked: charging, of a chemistry whose voltage then only tells what the charge is not above.
    """

    unsettled: Floats
    is_blocked: Flags


def sight(cell_v: Floats, soc_frac: Floats, polar: Polarised, doubt: Doubt, rules: SocRules) -> Sight:
    """Return what the voltages tell.

    Args:
        cell_v: (N,) volts per cell, NaN without.
        soc_frac: (N,) belief before; it only chooses temperature coefficients.
        polar: slow voltages.
        doubt: about them.
        rules: of the site.
    """
    place = place_of(rules.curve_of, soc_frac)
    per_k = rules.curves.ocv_v_per_k.take(place)
    left_v = polar.drop_v + polar.v1_v + polar.v2_v
    rested = cell_v + left_v - per_k * (polar.degc - REFERENCE_DEGC) + rules.hysteresis_v * polar.branch
    low_v = rested + polar.low_v - rules.surface_v * polar.surface
    high_v = rested + polar.high_v
    in_doubt_v = MODEL_SD_FRAC * (np.abs(polar.drop_v) + np.abs(polar.v1_v) + np.abs(polar.v2_v))
    unseen_v = doubt.unsettled * polar.ohm_ah * (UNSEEN_RATE_FRAC * np.abs(polar.rate_per_h) + UNSEEN_PER_AH)
    away_v = TEMPERATURE_SD_V_PER_K * (polar.degc - REFERENCE_DEGC)
    table_v2 = rules.ocv_sd_v**2 + away_v**2 + SENSOR_SD_V**2
    sd_v = np.sqrt(table_v2) + in_doubt_v + unseen_v
    apart_v2 = table_v2 + rules.curves.bend_v.take(place) ** 2 + in_doubt_v**2 + unseen_v**2
    at, of = rules.curves, rules.curve_of
    high = charge_at(at, of, high_v)
    low = charge_at(at, of, low_v) if (low_v != high_v).any() else high
    # Straight on beyond the ends, so that a voltage above the curve is not taken for certainty.
    sd = np.maximum(charge_at(at, of, high_v + sd_v) - high, low - charge_at(at, of, low_v - sd_v))
    is_blocked = doubt.is_blocked | ((rules.surface_v > 0.0) & (polar.surface > SURFACE_BLIND))
    low = np.where(is_blocked, 0.0, np.minimum(np.maximum(low, 0.0), 1.0))
    apart_sd = sd * np.sqrt(apart_v2) / sd_v
    return Sight(low, np.minimum(np.maximum(high, 0.0), 1.0), sd, apart_sd, np.isfinite(cell_v))


@checked_frozen
class Moved:
    """Belief after the voltages were seen; (N,) each, see `SocMemory`; `is_moved`: the voltage had a say."""

    soc_frac: Floats
    sd_frac: Floats
    gain_cov: Floats
    parts: Parts
    is_moved: Flags


def corrected(counted: Counted, seen: Sight, dt_s: Floats, is_first: Flags) -> Moved:
    """Return the belief after the voltages were seen.

    The part of the variance that the table leaves open is never taken away: the estimate cannot claim to know more
    than its curve does. A voltage that contradicts the estimate for long makes it less sure, then moves it.

    Args:
        counted: belief before.
        seen: what the voltages tell.
        dt_s: (N,) since the last scan.
        is_first: (N,) nothing was told of the unit yet: it may move at once.
    """
    soc_frac = counted.soc_frac
    target = np.minimum(np.maximum(soc_frac, seen.low_frac), seen.high_frac)
    apart = np.where(seen.is_seen, target - soc_frac, 0.0)
    between = 0.5 * (seen.high_frac - seen.low_frac)
    open_frac2 = (seen.sd_frac + between) ** 2
    variance = counted.sd_frac**2
    against = apart**2 - CONTRADICTED_SD2 * (variance + seen.sd_frac**2)
    against = np.fmax(against, 0.0) * np.minimum(dt_s / CONTRADICTED_S, 1.0)
    variance = variance + against
    excess = np.where(seen.is_seen, np.fmax(variance - open_frac2, 0.0), 0.0)
    noise2 = NOISE_FRAC2_S / np.where(is_first, FIRST_S, np.maximum(dt_s, 1.0))
    gain = excess / (excess + noise2)
    limit = np.where(is_first, 1.0, LARGEST_MOVE_FRAC)
    move = np.minimum(np.maximum(gain * apart, -limit), limit)
    return Moved(
        soc_frac=soc_frac + move,
        sd_frac=np.sqrt(np.fmax(variance - gain * excess, 0.0)),
        gain_cov=counted.gain_cov * (1.0 - gain),
        parts=believed(counted.parts, gain, (against, noise2), seen.apart_sd_frac + between),
        is_moved=gain > 0.0,
    )
