"""Units whose module says the same for too long: it may say so for ever. Pure."""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from balancer.pack_view import Flags, Floats, PackView
from balancer.rules import PackRules

FROZEN_S: Final = 300.0
FROZEN_SCANS: Final = 30  # volts and temperature of a live module differ in some of so many samples


@dataclass(frozen=True, slots=True)
class LastSaid:
    """What each unit said last, and how many scans in a row it said just that."""

    cell_v: Floats
    degc: Floats
    times: NDArray[np.int32]

    @classmethod
    def nothing(cls, units: int) -> Self:
        """Return the memory of units that were never heard."""
        return cls(np.full(units, np.nan), np.full(units, np.nan), np.zeros(units, dtype=np.int32))

    def hear(self, view: PackView) -> Self:
        """Return the memory after a scan."""
        same_degc = (view.degc == self.degc) | (np.isnan(view.degc) & np.isnan(self.degc))
        same = (view.cell_v == self.cell_v) & same_degc
        return type(self)(view.cell_v, view.degc, np.where(same, self.times + 1, 0).astype(np.int32))

    def frozen(self, rules: PackRules) -> Flags:
        """Return which units are not believed any more (n,)."""
        return np.asarray(self.times >= max(FROZEN_SCANS, FROZEN_S / rules.scan_s))
