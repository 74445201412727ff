"""The charge of strings that were never seen before and stand at float: nearly full, with honest bounds. Pure.

A full unit is only known after a day of float. Until then a string whose charger holds it at float, and that takes next
to no current, is not empty either: its last few percent are what takes that day. Without a current sensor nobody can
tell it from a string in the middle of its recharge, so nothing is assumed there.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Final

import numpy as np

from analytics.mode import ModeSaid
from analytics.readings import Readings
from analytics.soc.memory import REFERENCE_DEGC, Kalman, SocMemory, Source
from analytics.soc.parts import anchored
from analytics.soc.rules import SocRules

FLOATED_S: Final = 30.0
NEARLY_FULL_FRAC: Final = 0.94
NEARLY_FULL_SD_FRAC: Final = 0.04  # from 86 % on; the current of a VRLA string below that is larger

_NAMES: Final = tuple(each.name for each in fields(Kalman))
OFFSET_SD: Final = 2.0  # a sensor's zero may hide so much of the current


def with_first_float(memory: SocMemory, readings: Readings, modes: Sequence[ModeSaid], rules: SocRules) -> SocMemory:
    """Return the memory with a first belief where nothing was known; the same where there is none.

    Args:
        memory: of the batch before.
        readings: the batch.
        modes: (S) of this batch.
        rules: of the site.
    """
    unknown = memory.source == Source.UNKNOWN
    if not unknown.any():
        return memory
    floats = np.array([each.mode == "float" and each.at_s - each.since_s >= FLOATED_S for each in modes])
    most_a = rules.full_a + OFFSET_SD * rules.offset_a
    with np.errstate(invalid="ignore"):
        floats &= np.abs(readings.discharge_a) <= most_a
        where, warmth_k = rules.layout.string_of, np.nan_to_num(readings.degc, nan=REFERENCE_DEGC) - REFERENCE_DEGC
        is_held = readings.unit_v / rules.layout.cells_per_unit >= rules.hold_v + rules.full_v_per_k * warmth_k
        chosen = unknown & floats[where] & is_held & ~(memory.sd_frac <= NEARLY_FULL_SD_FRAC)
    if not chosen.any():
        return memory
    soc_frac = np.where(chosen, NEARLY_FULL_FRAC, memory.soc_frac)
    sd_frac = np.where(chosen, NEARLY_FULL_SD_FRAC, memory.sd_frac)
    begun = Kalman.begin(soc_frac, sd_frac)
    kalman = {name: np.where(chosen, getattr(begun, name), getattr(memory.kalman, name)) for name in _NAMES}
    source = np.where(chosen, np.uint8(Source.FLOAT), memory.source)
    parts = anchored(memory.parts, chosen, sd_frac)
    return replace(memory, soc_frac=soc_frac, sd_frac=sd_frac, parts=parts, kalman=Kalman(**kalman), source=source)
