"""Top balancing: in the last charging phase every unit is bled down to the lowest healthy one. Pure.

Lithium, where the voltage tells of the charge near the top alone. The reference has to be the lowest unit: with a
mean or median the string stays uneven for ever. Only a unit above `bleed_above_v` is bled: below, a few millivolts are
many percent of charge, or nothing but noise.
"""

import numpy as np

from balancer.pack_view import Flags, Floats
from balancer.rules import PackRules


def wanted(cell_v: Floats, counted: Flags, was_active: Flags, rules: PackRules) -> tuple[Floats, Flags]:
    """Return the duty that every unit should have and whether it is being bled.

    Args:
        cell_v: (n,) volts.
        counted: (n,) units that the lowest is sought among.
        was_active: (n,) units that the last decision bled: they go on until `stop_v`.
        rules: of the string.
    """
    if not counted.any():
        return np.zeros(len(cell_v)), np.zeros(len(cell_v), dtype=np.bool_)
    above_v = cell_v - float(np.min(cell_v[counted]))
    is_active = (above_v > np.where(was_active, rules.stop_v, rules.start_v)) & (cell_v > rules.bleed_above_v)
    return is_active.astype(np.float64), is_active
