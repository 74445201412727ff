"""What one discharge proves about capacities."""

from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from analytics.readings import Floats

MOST_SD_FRAC: Final = 0.05  # a capacity that is known no better than this is not known

type Method = Literal["full_discharge", "partial_discharge"]


@dataclass(frozen=True, slots=True)
class CapacityFinding:
    """Capacities that one discharge gave; NaN where it proves nothing.

    Attributes:
        string: id.
        at_s: event time of the end of the discharge.
        method: `full_discharge` down to the end voltage, or `partial_discharge` between two known charges.
        why: what was done with which figures, or why nothing is proven, in one sentence.
        string_frac, string_sd_frac: of the whole string over the rated one, at reference conditions; NaN for a part.
        unit_frac, unit_sd_frac: (n,) of each unit.
    """

    string: str
    at_s: float
    method: Method
    why: str
    string_frac: float
    string_sd_frac: float
    unit_frac: Floats
    unit_sd_frac: Floats

    @property
    def is_proven(self) -> bool:
        """Whether it says anything of any unit."""
        return bool((~np.isnan(self.unit_frac)).any())

    def only_sure(self) -> "CapacityFinding":
        """Return the finding without capacities whose standard deviation is 5 % of them or more."""
        with np.errstate(invalid="ignore"):
            sure = self.unit_sd_frac < MOST_SD_FRAC * self.unit_frac
        if not self.is_proven or sure.all():
            return self
        why = self.why
        if not sure.any():
            sd = float(np.nanmedian(self.unit_sd_frac / self.unit_frac))
            why = f"not proven: known to ± {sd:.1%}, {MOST_SD_FRAC:.0%} is the limit; {why}"
        is_string_sure = self.string_sd_frac < MOST_SD_FRAC * self.string_frac
        return replace(
            self,
            why=why,
            string_frac=self.string_frac if is_string_sure else float("nan"),
            string_sd_frac=self.string_sd_frac if is_string_sure else float("nan"),
            unit_frac=np.where(sure, self.unit_frac, np.nan),
            unit_sd_frac=np.where(sure, self.unit_sd_frac, np.nan),
        )
