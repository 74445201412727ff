"""What is believed of each unit's capacity: learned from discharges, or the rating until then."""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from analytics.readings import Floats

UNPROVEN_SD_FRAC: Final = 0.05  # of the rating, before a discharge has shown anything


@dataclass(frozen=True, slots=True)
class CapacityBelief:
    """Capacity at the reference temperature and rate of the battery type.

    Attributes:
        ah: (N,) ampere-hours.
        sd_frac: (N,) its standard deviation as part of it.
    """

    ah: Floats
    sd_frac: Floats

    @classmethod
    def rated(cls, rated_ah: Floats, sd_frac: float = UNPROVEN_SD_FRAC) -> Self:
        """Return the belief of units (N,) that nothing has been learned of."""
        return cls(np.array(rated_ah, dtype=np.float64), np.full(len(rated_ah), sd_frac))
