"""The estimate of every unit's charge, scan by scan: counting, and what voltage and anchors say against it. Pure."""

from collections.abc import Sequence

import numpy as np

from analytics.modes import Mode
from analytics.readings import Floats, Readings
from analytics.soc import anchors, inverse, kalman
from analytics.soc.anchors import Anchors
from analytics.soc.capacity_belief import CapacityBelief
from analytics.soc.counting import count
from analytics.soc.current import Flow, ModeFlags, flow
from analytics.soc.inverse import Doubt
from analytics.soc.memory import SocEstimate, SocMemory, Source, StringPast, UnitPast
from analytics.soc.polarisation import Polarised, polarise
from analytics.soc.rules import SocRules
from analytics.soc.scan_time import Passed, passed
from analytics.soc.settling import estimate, settle, source_of


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
    cell_v = np.where(time.is_new[where], _finite(readings.unit_v) / rules.layout.cells_per_unit, np.nan)
    said = ModeFlags.of(modes)
    now = flow((memory.string, unit), (_finite(readings.discharge_a), cell_v), said, time, rules)
    polar = polarise(memory, now, time, (_finite(readings.degc), np.nan_to_num(readings.bleed_a), capacity.ah), rules)
    string = _string(memory.string, now, time, rules)
    counted = count(memory, polar, (now, time), capacity, rules)
    blocked = now.is_charging[where] & (rules.surface_v > 0.0)
    doubt = Doubt(string.unsettled[where], blocked, now.is_step[where])
    seen = inverse.sight(cell_v, counted.soc_frac, polar, doubt, rules)
    dt_s, is_unknown = time.dt_s[where], memory.source == Source.UNKNOWN
    first = inverse.corrected(counted, seen, dt_s, is_unknown)
    may = seen.is_seen & ~blocked & now.is_trusted[where]
    second = kalman.corrected(counted.kalman, cell_v, polar, may, dt_s, rules)
    known = anchors.found(memory, cell_v, seen, polar, (now, time, string), rules)
    settled = settle(first, second, known, rules)
    after = SocMemory(
        string=string,
        unit=_unit(memory, np.where(time.is_new[where], cell_v, unit.cell_v), polar, known, rules),
        soc_frac=settled.soc_frac,
        sd_frac=settled.sd_frac,
        gain_cov=settled.gain_cov,
        kalman=settled.kalman,
        source=np.where(time.is_new[where], source_of(settled, known, now.is_trusted[where], rules), memory.source),
        anchored_at_s=np.where(settled.is_anchor, time.at_s[where], memory.anchored_at_s),
        held=known.held,
    )
    return after, estimate(after, now, rules)


def _finite(values: Floats) -> Floats:
    """Return the values with NaN where there is no finite one."""
    return np.where(np.isfinite(values), values, np.nan)


def _string(past: StringPast, now: Flow, time: Passed, rules: SocRules) -> StringPast:
    """Return what is remembered of the strings."""
    slow_a, hour_a, hour_s, steady = anchors.steadied(past, now, time, rules)
    unsettled = past.unsettled * np.exp(-time.dt_s / rules.tau2_s)
    unsettled = np.where(time.is_gap | (time.is_new & (now.low_a < now.high_a)), 1.0, unsettled)
    return StringPast(
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


def _unit(memory: SocMemory, cell_v: Floats, polar: Polarised, known: Anchors, rules: SocRules) -> UnitPast:
    """Return what is remembered of the units."""
    past, is_full = memory.unit, known.is_full
    return UnitPast(
        cell_v=cell_v,
        degc=polar.degc,
        v1_v=polar.v1_v,
        v2_v=polar.v2_v,
        branch=polar.branch,
        surface=polar.surface,
        full_s=known.full_s,
        taken_frac=np.where(is_full, 0.0, past.taken_frac + np.maximum(polar.moved_frac, 0.0)),
        given_frac=np.where(is_full, 0.0, past.given_frac - np.minimum(polar.moved_frac, 0.0) / rules.coulombic_frac),
    )
