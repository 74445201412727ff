"""The estimate of every unit's charge, scan by scan: counting, and what voltage and anchors say against it. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from analytics.modes import Mode
from analytics.readings import Flags, Floats, Readings
from analytics.soc import anchors
from analytics.soc.capacity_belief import CapacityBelief
from analytics.soc.counting import count
from analytics.soc.current import Flow, ModeFlags, flow
from analytics.soc.looking import look
from analytics.soc.memory import SocEstimate, SocMemory, StringPast, UnitPast
from analytics.soc.owed import Interval, with_scan, without
from analytics.soc.polarisation import Polarised, polarise
from analytics.soc.rules import SocRules
from analytics.soc.scan_time import Passed, passed
from analytics.soc.settling import estimate, with_told

LOOK_S: Final = 5.0  # slower than that a rested voltage changes; what a scan adds to the charge is told at once


def follow_soc(
    memory: SocMemory, readings: Readings, modes: Sequence[Mode], capacity: CapacityBelief, rules: SocRules
) -> tuple[SocMemory, SocEstimate]:
    """Return what is remembered and what is told after one batch of scans.

    Args:
        memory: of the batch before.
        readings: at most one scan of each string; strings without one stay as they are.
        modes: of the strings, in the order of the layout.
        capacity: believed of the units.
        rules: of the site.
    """
    unit, where = memory.unit, rules.layout.string_of
    time = passed(memory.string, readings.at_s, rules.gap_s)
    cell_v = _finite(readings.unit_v) / rules.layout.cells_per_unit
    newest_v = cell_v if time.is_new.all() else np.where(time.is_new[where], cell_v, unit.cell_v)
    said = ModeFlags.of(modes)
    now = flow((memory.string, unit), (_finite(readings.discharge_a), newest_v), said, time, rules)
    string = _string(memory.string, now, time, rules)
    after = replace(
        memory,
        string=string,
        unit=replace(unit, cell_v=newest_v),
        owed=with_scan(memory.owed, now, time, readings.bleed_a, rules),
    )
    is_due = _due(string, time, now)
    carried = is_due | _is_unusual(memory, time, now)
    if carried.any():
        after = _carried_on(after, readings, (now, time, carried, is_due), capacity, rules)
    return after, estimate(after, now, capacity, rules)


def _due(string: StringPast, time: Passed, now: Flow) -> Flags:
    """Return whose volts are looked at in this scan (S,): not more often than they tell something new.

    Strings whose scans are of the same moment are looked at together: all at once costs little more than one.
    """
    is_next = np.floor(time.at_s / LOOK_S) != np.floor(string.looked_s / LOOK_S)
    return np.asarray(time.is_new & ~now.is_step & (time.is_gap | is_next))


def _is_unusual(memory: SocMemory, time: Passed, now: Flow) -> Flags:
    """Return for which strings (S,) this scan cannot be summed up with others: the current is another, or unknown."""
    is_other = now.is_step | time.is_gap | ~now.is_trusted | (now.is_charging != memory.owed.charges)
    return np.asarray(time.is_new & is_other)


def _carried_on(
    memory: SocMemory,
    readings: Readings,
    strings: tuple[Flow, Passed, Flags, Flags],
    capacity: CapacityBelief,
    rules: SocRules,
) -> SocMemory:
    """Return the memory with units carried on to this scan by what is owed.

    Args:
        memory: with this scan owed.
        readings: of this scan.
        strings: their currents and times, whose units are carried on, and whose volts are looked at too, (S,) each.
        capacity: believed of the units.
        rules: of the site.
    """
    now, time, carried, is_due = strings
    where, degc = rules.layout.string_of, _finite(readings.degc)
    if not carried.all():
        degc = np.where(carried[where], degc, np.nan)
    interval = Interval.of(memory.owed, carried, readings.bleed_a, rules)
    polar = polarise(memory, now, interval, (degc, capacity.ah), rules)
    counted = count(memory, polar, interval, capacity, rules)
    memory = replace(
        memory,
        unit=_unit(memory.unit, polar, rules),
        soc_frac=counted.soc_frac,
        sd_frac=counted.sd_frac,
        gain_cov=counted.gain_cov,
        parts=counted.parts,
        kalman=counted.kalman,
        owed=without(memory.owed, carried, rules),
    )
    if is_due.any():
        memory = look(memory, memory.unit.cell_v, polar, (now, time, is_due), rules)
    return with_told(memory, capacity, rules)


def _finite(values: Floats) -> Floats:
    """Return the values with NaN where there is no finite one."""
    return np.where(np.isfinite(values), values, np.nan)


def _string(past: StringPast, now: Flow, time: Passed, rules: SocRules) -> StringPast:
    """Return what is remembered of the strings."""
    slow_a, hour_a, hour_s, steady = anchors.steadied(past, now, time, rules)
    unsettled = past.unsettled * np.exp(-time.dt_s / rules.tau2_s)
    unsettled = np.where(time.is_gap | (time.is_new & (now.low_a < now.high_a)), 1.0, unsettled)
    return replace(
        past,
        at_s=time.at_s,
        behind_s=time.behind_s,
        behind=time.behind,
        discharge_a=now.read_a,
        sign=now.sign,
        still_s=anchors.still(past, now, time, rules),
        slow_a=slow_a,
        hour_a=hour_a,
        hour_s=hour_s,
        steady=steady,
        unsettled=unsettled,
    )


def _unit(past: UnitPast, polar: Polarised, rules: SocRules) -> UnitPast:
    """Return what is remembered of the units."""
    return replace(
        past,
        degc=polar.degc,
        v1_v=polar.v1_v,
        v2_v=polar.v2_v,
        branch=polar.branch,
        surface=polar.surface,
        taken_frac=past.taken_frac + np.maximum(polar.moved_frac, 0.0),
        given_frac=past.given_frac - np.minimum(polar.moved_frac, 0.0) / rules.coulombic_frac,
    )
