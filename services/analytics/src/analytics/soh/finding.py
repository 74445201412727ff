"""What one discharge proves about capacities."""

from dataclasses import dataclass
from typing import Literal

from analytics.readings import Floats

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
        return bool((self.unit_frac == self.unit_frac).any())  # NaN
