"""Capacity from a part of a discharge: charge that was moved, over the difference of the states of charge at its ends.

    Q = dAh / (soc_a - soc_b)      sd/Q = sqrt((s_a^2 + s_b^2) / (soc_a - soc_b)^2 + s_gain^2)

Both ends have to be known by themselves, never by counting the same charge: the first by a full anchor, the second by
a rested voltage. So a UPS that recharges at once after an outage proves nothing.
"""

from typing import Final

import numpy as np

from analytics.readings import Floats

LEAST_DEPTH_FRAC: Final = 0.05


def capacity_from_part(
    moved_ah: Floats | float, ends: tuple[Floats, Floats], ends_sd: tuple[Floats, Floats], gain_sd_frac: Floats | float
) -> tuple[Floats, Floats]:
    """Return capacity and its standard deviation as part of it, (n,); NaN where nothing can be said.

    Args:
        moved_ah: charge drawn between the ends, of each unit or of all.
        ends: (n,) state of charge before and after.
        ends_sd: (n,) their standard deviations.
        gain_sd_frac: of the charge that was counted.
    """
    depth = ends[0] - ends[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        usable = depth >= LEAST_DEPTH_FRAC
        ah = np.where(usable, moved_ah / depth, np.nan)
        sd_frac = np.sqrt((ends_sd[0] ** 2 + ends_sd[1] ** 2) / depth**2 + np.square(gain_sd_frac))
    return ah, np.where(usable, sd_frac, np.nan)
