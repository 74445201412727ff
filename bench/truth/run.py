"""One run of cells of a string whose charge is known."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

type Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Run:
    """Truth; positive current discharges.

    Attributes:
        at_s, discharge_a: (T,) of the string.
        unit_v, degc, soc_frac: (T, n) of its cells.
        capacity_ah: (n,) of each.
        nominal_ah: of the middle of the population.
    """

    name: str
    at_s: Floats
    discharge_a: Floats
    unit_v: Floats
    degc: Floats
    soc_frac: Floats
    capacity_ah: Floats
    nominal_ah: float

    @property
    def cells(self) -> int:
        return len(self.capacity_ah)
