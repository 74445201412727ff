"""Moments at which the charge is known from outside of the counting: full, kept full, empty, rested. Per unit; pure."""

from typing import Final

import numpy as np

from analytics.checked_frozen import checked_frozen
from analytics.readings import Flags, Floats
from analytics.soc.current import FLOAT_DEADBAND_PER_AH, STILL_PER_AH, Flow
from analytics.soc.inverse import Sight
from analytics.soc.memory import REFERENCE_DEGC, SocMemory, StringPast
from analytics.soc.polarisation import Polarised
from analytics.soc.rules import SocRules
from analytics.soc.scan_time import Passed

WITHOUT_CURRENT: Final = 3.0  # so many times longer, and so many times less sure, is full without a current sensor
LONG: Final = 3.0  # so many times its time, and full needs no count of what was given back
STEADY_FRAC: Final = 0.05
STEADY_S: Final = 3600.0
SMOOTH_S: Final = 600.0
DISCHARGE_PER_AH: Final = 0.02
EMPTY_SD_FRAC: Final = 0.03
EMPTY_SD_H: Final = 0.1  # the faster a discharge, the more is left in a cell at its cut-off: 0.1 at 1 C
REST_SD_FRAC: Final = 0.10  # a rested voltage that leaves more open is no anchor …
REST_FLAT_SD_FRAC: Final = 0.03  # … nor, on a flat curve, one that leaves this open


@checked_frozen
class Anchors:
    """What is known of units in this scan; (N,) each.

    Attributes:
        full_s: so long the signs of a full unit have held.
        is_full: long enough.
        held: full, and kept full by its charger.
        full_sd_frac: how far from full they may be.
        is_empty: at its cut-off under load.
        is_rested: without current for long, and its voltage tells the charge.
        end_frac, end_sd_frac: the charge that an empty or rested voltage shows.
    """

    full_s: Floats
    is_full: Flags
    held: Flags
    full_sd_frac: Floats
    is_empty: Flags
    is_rested: Flags
    end_frac: Floats
    end_sd_frac: Floats


def steadied(past: StringPast, flow: Flow, time: Passed, rules: SocRules) -> tuple[Floats, Floats, Floats, Flags]:
    """Return smoothed current, current and age of the running hour, and whether the last one was steady (S,) each."""
    known = flow.is_trusted & np.isfinite(past.slow_a)
    left = np.exp(-time.dt_s / SMOOTH_S)
    slow_a = np.where(known, left * past.slow_a + (1.0 - left) * flow.now_a, past.slow_a)
    hour_s = np.where(time.is_long_gap, 0.0, past.hour_s + time.dt_s)
    is_over = hour_s >= STEADY_S
    is_same = np.abs(slow_a - past.hour_a) <= STEADY_FRAC * np.abs(slow_a) + rules.offset_a
    return (
        slow_a,
        np.where(is_over | np.isnan(past.hour_a), slow_a, past.hour_a),
        np.where(is_over, 0.0, hour_s),
        np.where(is_over, is_same, past.steady & ~time.is_long_gap),
    )


def still(past: StringPast, flow: Flow, time: Passed, rules: SocRules) -> Floats:
    """Return so long (S,) no string current worth a name has flowed."""
    is_still = flow.is_trusted & (np.abs(flow.now_a) < STILL_PER_AH * rules.string_ah) & ~flow.is_charging
    is_still |= flow.is_open & (flow.high_a == flow.low_a)
    kept = np.where(is_still & ~time.is_long_gap, past.still_s + time.dt_s, 0.0)
    return np.where(time.is_new, kept, past.still_s)


def found(
    memory: SocMemory,
    cell_v: Floats,
    seen: Sight,
    polar: Polarised,
    strings: tuple[Flow, Passed],
    rules: SocRules,
) -> Anchors:
    """Return what is known of the units.

    Args:
        memory: counted up to this scan.
        cell_v: (N,) volts per cell; NaN without.
        seen: what the voltages tell.
        polar: slow voltages and temperature.
        strings: their currents and times.
        rules: of the site.
    """
    flow, time = strings
    where = rules.layout.string_of
    full_s, is_full, full_sd = _full(memory, cell_v, polar, strings, rules)
    warmer_v = rules.full_v_per_k * (polar.degc - REFERENCE_DEGC)
    is_kept = (flow.is_charging & ~time.is_long_gap & (flow.now_a < FLOAT_DEADBAND_PER_AH * rules.string_ah))[where]
    sags = cell_v < rules.hold_v + warmer_v  # without a reading nobody says that it does
    held = np.where(time.is_new[where], (memory.held | is_full) & is_kept & ~sags, memory.held)
    under_load = polar.rate_per_h > DISCHARGE_PER_AH
    is_empty = seen.is_seen & under_load & (cell_v <= rules.cutoff_v) & flow.is_trusted[where]
    open_frac = seen.sd_frac + 0.5 * (seen.high_frac - seen.low_frac)
    enough = open_frac < np.where(rules.is_flat, REST_FLAT_SD_FRAC, REST_SD_FRAC)
    is_rested = seen.is_seen & enough & (memory.string.still_s[where] >= rules.rest_s)
    empty_sd = EMPTY_SD_FRAC + EMPTY_SD_H * np.abs(polar.rate_per_h)
    return Anchors(
        full_s=full_s,
        is_full=is_full,
        held=held,
        full_sd_frac=full_sd,
        is_empty=is_empty,
        is_rested=is_rested,
        end_frac=0.5 * (seen.low_frac + seen.high_frac),
        end_sd_frac=np.maximum(open_frac, np.where(is_empty, empty_sd, 0.0)),
    )


def _full(
    memory: SocMemory, cell_v: Floats, polar: Polarised, strings: tuple[Flow, Passed], rules: SocRules
) -> tuple[Floats, Flags, Floats]:
    """Return so long the signs of a full unit have held, whether that is long enough, and its sd (N,) each."""
    flow, time = strings
    where, unit = rules.layout.string_of, memory.unit
    steady = memory.string.steady | ~rules.full_steady | ~flow.is_trusted
    small = (flow.now_a >= -rules.full_a) & (flow.now_a <= FLOAT_DEADBAND_PER_AH * rules.string_ah)
    # Without a current sensor the mode has to say that the charger floats the string.
    signs = flow.is_charging & steady & np.where(flow.is_trusted, small, flow.is_float)
    at_v = rules.full_v + rules.full_v_per_k * (polar.degc - REFERENCE_DEGC)
    holds = signs[where] & (cell_v >= at_v) & ~time.is_long_gap[where]
    full_s = np.where(holds, unit.full_s + time.dt_s[where], np.where(time.is_new[where], 0.0, unit.full_s))
    surely = np.where(flow.is_trusted, 1.0, WITHOUT_CURRENT)[where]
    is_returned = unit.given_frac >= rules.returned_frac * unit.taken_frac
    is_full = holds & (full_s >= rules.full_s * np.where(is_returned, surely, LONG))
    return full_s, is_full, rules.full_sd_frac * surely
