"""Counted charge and how its uncertainty grows: gain, zero of the sensor, gaps, losses, leaks that nobody sees."""

from typing import Final

import numpy as np

from analytics.checked_frozen import checked_frozen
from analytics.readings import Floats
from analytics.soc import kalman, parts
from analytics.soc.capacity_belief import CapacityBelief
from analytics.soc.memory import REFERENCE_DEGC, Kalman, Parts, SocMemory
from analytics.soc.owed import Interval
from analytics.soc.polarisation import Polarised
from analytics.soc.rules import SocRules

LOSS_SD_PART: Final = 0.5  # of self-discharge, and of the charge that charging loses
DOUBLES_K: Final = 10.0  # self-discharge


@checked_frozen
class Counted:
    """Belief after charge has moved and before the voltages are looked at; (N,) each."""

    soc_frac: Floats
    sd_frac: Floats
    gain_cov: Floats
    parts: Parts
    kalman: Kalman


def count(
    memory: SocMemory, polar: Polarised, interval: Interval, capacity: CapacityBelief, rules: SocRules
) -> Counted:
    """Return the belief after the time that passed.

    Args:
        memory: of the units as they were carried on last.
        polar: charge that moved.
        interval: since then.
        capacity: believed of the units.
        rules: of the site.
    """
    where = rules.layout.string_of
    lost = rules.lost_per_s * interval.s[where] * np.exp2((polar.degc - REFERENCE_DEGC) / DOUBLES_K)
    unknown_ah = (interval.unknown_as / 3600.0)[where]
    given = np.maximum(-polar.moved_frac, 0.0)
    grown = unknown_ah / capacity.ah + LOSS_SD_PART * (lost + (1.0 - rules.coulombic_frac) * given)
    gain2 = capacity.sd_frac**2 + rules.gain_sd_frac**2
    moved = polar.moved_frac + lost
    variance = memory.sd_frac**2 + polar.moved_frac * (polar.moved_frac * gain2 - 2.0 * memory.gain_cov)
    return Counted(
        soc_frac=np.minimum(np.maximum(memory.soc_frac - moved, 0.0), 1.0),
        sd_frac=np.sqrt(np.maximum(variance, 0.0)) + grown,
        gain_cov=memory.gain_cov - polar.moved_frac * gain2,
        parts=parts.grown(memory.parts, grown),
        kalman=kalman.predicted(memory.kalman, moved, grown, gain2, polar.decay2, polar.v2_v),
    )
