"""What lies between a string's ends and the UPS where a sensor shows it: ohms, seen in a discharge that is on.

A string-voltage sensor at the UPS shows the sum of the units less what cables and breaker take. Two instruments differ
by as much as that, so how they differ without current is remembered, and only what a load adds counts. What is seen and
what was told or guessed before are weighed by their variances: a coarse sensor changes nothing.
"""

from typing import Final

import numpy as np

from analytics.readings import Floats, Places, Readings
from analytics.runtime.loads import LEAST_C_PER_H
from analytics.runtime.rules import RuntimeRules

APART_SD: Final = 3e-3  # of the volts: instruments that nobody has held against each other
HELD_SD: Final = 2e-4  # of the volts: those that were, at float, and now are read at a lower voltage
MOST_APART_FRAC: Final = 0.01  # instruments that differ by more do not measure the same string
MOST_DROP_FRAC: Final = 0.05  # of the volts at which the UPS stops: more is no wiring
LEAST_SD: Final = 0.1  # of its sd: what wiring is at least, so that nothing seen still has a bar


def held_together(before: Floats, string: Places, readings: Readings, rules: RuntimeRules) -> Floats:
    """Return the sum of the units over the sensor at the UPS, without current (S,); NaN until it was seen.

    Args:
        before: (S,) the same as known until now.
        string: places of the strings that are judged, with closed breaker and without a load.
        readings: newest scans.
        rules: of all strings.
    """
    at = string[rules.is_at_ups[string]]
    if not len(at):
        return before
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = units_v(readings, rules)[at] / readings.string_v[at]
        idle = np.abs(readings.discharge_a[at]) <= LEAST_C_PER_H * rules.rated_ah[at]
        usable = idle & (np.abs(ratio - 1.0) <= MOST_APART_FRAC)
    held = before.copy()
    held[at] = np.where(usable, ratio, before[at])
    return held


def with_wiring_seen(rules: RuntimeRules, string: Places, readings: Readings, held: Floats) -> RuntimeRules:
    """Return the rules with the wiring of these strings as their sensors at the UPS show it now.

    Args:
        rules: of all strings.
        string: places of the strings that carry a load.
        readings: newest scans.
        held: (S,) from `held_together`.
    """
    at = string[rules.is_at_ups[string]]
    if not len(at):
        return rules
    whole_v, amps, ratio = units_v(readings, rules)[at], readings.discharge_a[at], held[at]
    was_held = ~np.isnan(ratio)
    drop_v = whole_v - readings.string_v[at] * np.where(was_held, ratio, 1.0)
    drop_sd = whole_v * np.where(was_held, HELD_SD, APART_SD)
    with np.errstate(invalid="ignore"):
        usable = (amps > LEAST_C_PER_H * rules.rated_ah[at]) & (drop_v >= -3.0 * drop_sd)
        usable &= drop_v <= MOST_DROP_FRAC * rules.bus_end_v[at]
    before_ohm, before_sd = rules.wiring_ohm[at], rules.wiring_ohm[at] * rules.wiring_sd_frac[at]
    seen_ohm, seen_sd = (np.where(usable, volts, 1.0) / np.where(usable, amps, 1.0) for volts in (drop_v, drop_sd))
    weight = np.where(usable, before_sd**2 / (before_sd**2 + seen_sd**2), 0.0)
    sd_ohm = before_sd * np.sqrt(1.0 - weight)
    ohm = np.maximum(before_ohm + weight * (seen_ohm - before_ohm), LEAST_SD * sd_ohm)
    return rules.with_wiring(at, ohm, sd_ohm)


def units_v(readings: Readings, rules: RuntimeRules) -> Floats:
    """Return the sum of each string's units (S,); NaN where one is missing: a guess for it is more than the wiring."""
    return np.asarray(np.add.reduceat(readings.unit_v, rules.layout.first[:-1]))
