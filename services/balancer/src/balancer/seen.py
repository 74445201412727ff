"""One scan as the decision sees it: the view, what its usable units say together, the phase, the time that passed."""

from dataclasses import dataclass

from cellkeeper.contract.balance_state import BalancePhase

from balancer.pack_stats import PackStats
from balancer.pack_view import Flags, Floats, PackView


@dataclass(frozen=True, slots=True)
class Seen:
    """A scan, understood.

    Attributes:
        view: the scan.
        stats: figures of the units that can be trusted.
        known_v: (n,) volts, 0 where there is no good reading.
        full_w: (n,) watts that each module gives off at duty 1, its bleed is a resistor; 0 where nobody knows.
        frozen: (n,) units that have said the same for too long.
        phase: what the string does.
        gap_s: since the scan before; infinity at the first, negative when the clock was set back.
        dt_s: the same; 0 when nothing may be concluded over it.
    """

    view: PackView
    stats: PackStats
    known_v: Floats
    full_w: Floats
    frozen: Flags
    phase: BalancePhase
    gap_s: float
    dt_s: float
