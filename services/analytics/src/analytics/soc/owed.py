"""What has happened to units since they were carried on last: a string sums it up, and its units take it at once.

Charge, and how wrong its count may be, only add up while a current stays about the same; what it does to the units'
volts changes over tens of seconds. So a string's scans are summed up as numbers of the string, and every few seconds,
and whenever something is unusual, all of its units are carried on by the sum. Nothing is lost in between: what is told
in a scan has what is owed in it.
"""

from typing import Final, Self

import numpy as np

from analytics.checked_frozen import checked_frozen
from analytics.readings import Flags, Floats
from analytics.soc.current import Flow
from analytics.soc.memory import Owed
from analytics.soc.rules import SocRules
from analytics.soc.scan_time import Passed

LEAK_PER_AH: Final = 0.0002  # a soft short that nobody sees: 20 mA of 100 Ah


def with_scan(owed: Owed, flow: Flow, time: Passed, bleed_a: Floats, rules: SocRules) -> Owed:
    """Return the sums with this scan: currents and times of its strings, bleeds of the units (N,)."""
    dt_s, bleed_as = time.dt_s, owed.bleed_as
    if bleed_a.any():
        bleed_as = bleed_as + bleed_a * dt_s[rules.layout.string_of]
    zero_a = np.where(flow.is_trusted & ~flow.is_open, rules.offset_a, 0.0)
    unknown_a = np.hypot(zero_a, flow.blind_a) + LEAK_PER_AH * rules.string_ah
    return Owed(
        s=owed.s + dt_s,
        moved_as=owed.moved_as + flow.mean_a * dt_s,
        unknown_as=owed.unknown_as + unknown_a * dt_s,
        charges=np.where(time.is_new, flow.is_charging, owed.charges),
        bleed_as=bleed_as,
    )


def without(owed: Owed, carried: Flags, rules: SocRules) -> Owed:
    """Return what is owed after the units of these strings (S,) were carried on."""
    left = (~carried).astype(np.float64)
    bleed_as = owed.bleed_as * left[rules.layout.string_of] if owed.bleed_as.any() else owed.bleed_as
    return Owed(owed.s * left, owed.moved_as * left, owed.unknown_as * left, owed.charges, bleed_as)


def taken_frac(owed: Owed, capacity_ah: Floats, rules: SocRules) -> Floats:
    """Return the charge (N,) that left the units since, as part of their capacities (N,)."""
    moved = (owed.moved_as / 3600.0)[rules.layout.string_of] / capacity_ah
    if owed.bleed_as.any():
        moved = moved + owed.bleed_as / (3600.0 * capacity_ah)
    return np.where(moved < 0.0, moved * rules.coulombic_frac, moved)


@checked_frozen
class Interval:
    """The time over which units are carried on; 0 for those of the other strings.

    Attributes:
        s: (S,) its length.
        mean_a: (S,) current of the string in it.
        unknown_as: (S,) see `Owed`.
        bleed_a: (N,) mean current of the units' bleeds.
    """

    s: Floats
    mean_a: Floats
    unknown_as: Floats
    bleed_a: Floats

    @classmethod
    def of(cls, owed: Owed, carried: Flags, bleed_a: Floats, rules: SocRules) -> Self:
        """Return the interval of strings (S,) that are carried on now; their bleeds in this scan are (N,)."""
        s = np.where(carried, owed.s, 0.0)
        over_s = np.where(s > 0.0, s, 1.0)
        if owed.bleed_as.any():
            has_passed, per_s = s > 0.0, 1.0 / over_s
            where = rules.layout.string_of
            bleed_a = np.where(has_passed[where], owed.bleed_as * per_s[where], bleed_a)
        return cls(
            s=s,
            mean_a=np.where(s > 0.0, owed.moved_as / over_s, 0.0),
            unknown_as=np.where(carried, owed.unknown_as, 0.0),
            bleed_a=bleed_a,
        )
