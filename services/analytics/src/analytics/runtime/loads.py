"""Which load a prediction is for: the measured one, else what site.toml says of the dc bus, else the last one."""

from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from analytics.checked_frozen import checked_frozen
from analytics.readings import Flags, Floats, Readings
from analytics.runtime.rules import RuntimeRules

MIN_COVERAGE_FRAC: Final = 0.8  # a sum of fewer units is a guess
LEAST_C_PER_H: Final = 0.005  # of rated Ah: below it a current sensor shows its offset
STEP_FRAC: Final = 0.08  # a load that changes by more is another load, not noise
SMOOTH_S: Final = 15.0


class LoadFrom(IntEnum):
    """Where the power of a prediction is from."""

    UNKNOWN = 0
    CONFIGURED = 1
    LAST_DISCHARGE = 2
    MEASURED = 3


@checked_frozen
class Loads:
    """Watts of each string (S,), and `LoadFrom` of them (S,)."""

    w: Floats
    source: NDArray[np.uint8]


def string_volts(readings: Readings, rules: RuntimeRules) -> Floats:
    """Return each string's volts (S,): measured, else the sum of its units, scaled up where few are missing.

    What a sensor at the UPS shows lacks what the wiring takes, so there the sum comes first.
    """
    at_string_v = np.where(rules.is_at_ups, np.nan, readings.string_v)
    if not np.isnan(at_string_v).any():
        return at_string_v
    layout = rules.layout
    strings = len(layout.strings)
    seen = np.isfinite(readings.unit_v)
    count = np.bincount(layout.string_of, seen, strings)
    units = np.diff(layout.first)
    total = np.bincount(layout.string_of, np.where(seen, readings.unit_v, 0.0), strings)
    with np.errstate(invalid="ignore", divide="ignore"):
        summed = np.where(count >= MIN_COVERAGE_FRAC * units, total * units / count, np.nan)
    best_v = np.where(np.isnan(at_string_v), summed, at_string_v)
    return np.where(np.isnan(best_v), readings.string_v, best_v)


def measured_w(readings: Readings, rules: RuntimeRules) -> Floats:
    """Return the power that each string gives (S,); NaN without a current that discharges and without volts.

    A current that charges while the mode says discharge is a sensor mounted the wrong way round: no power is known.
    """
    giving = readings.discharge_a > LEAST_C_PER_H * rules.rated_ah
    volts = string_volts(readings, rules)
    with np.errstate(invalid="ignore"):
        power_w = volts * readings.discharge_a
    return np.where(giving & (volts > 0.0) & np.isfinite(power_w), power_w, np.nan)


def smoothed_w(before_w: Floats, now_w: Floats, passed_s: Floats) -> Floats:
    """Return the load without its noise (S,): a step counts at once, a missing reading changes nothing."""
    with np.errstate(invalid="ignore"):
        is_other = np.isnan(before_w) | (np.abs(now_w - before_w) > STEP_FRAC * before_w)
        moved = before_w + (1.0 - np.exp(-np.maximum(passed_s, 0.0) / SMOOTH_S)) * (now_w - before_w)
    return np.where(np.isnan(now_w), before_w, np.where(is_other | np.isnan(moved), now_w, moved))


def shared_w(rules: RuntimeRules, soh_frac: Floats, is_open: Flags) -> Floats:
    """Return the configured load of each string (S,): a dc bus's, shared as the strings' conductances are.

    Args:
        rules: of the strings.
        soh_frac: (S,) mean of each string.
        is_open: (S,) strings that carry nothing.
    """
    conductance = np.where(is_open, 0.0, soh_frac / (rules.ohm[:, 0] * rules.cells))
    total = np.bincount(rules.bus, conductance)[rules.bus]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(is_open, np.nan, rules.nominal_w * conductance / total)


def chosen_load(is_loaded: Flags, measured: Floats, configured: Floats, last: Floats) -> Loads:
    """Return the load to predict for; all (S,), NaN where there is none of a kind."""
    known_now = is_loaded & ~np.isnan(measured)
    configured_too = ~np.isnan(configured)
    w = np.where(known_now, measured, np.where(configured_too, configured, last))
    source = np.where(configured_too, LoadFrom.CONFIGURED, LoadFrom.LAST_DISCHARGE)
    source = np.where(known_now, LoadFrom.MEASURED, source)
    return Loads(w, np.where(np.isnan(w), LoadFrom.UNKNOWN, source).astype(np.uint8))
