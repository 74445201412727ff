"""What the volts of a scan say against the counted charge, every few seconds: both filters, and the anchors."""

from dataclasses import replace

import numpy as np

from analytics.readings import Codes, Flags, Floats
from analytics.soc import anchors, inverse, kalman
from analytics.soc.anchors import Anchors
from analytics.soc.counting import Counted
from analytics.soc.current import Flow
from analytics.soc.inverse import Doubt
from analytics.soc.memory import SocMemory, Source, StringPast
from analytics.soc.polarisation import Polarised
from analytics.soc.rules import SocRules
from analytics.soc.scan_time import Passed
from analytics.soc.settling import Settled, settle, source_of


def look(
    memory: SocMemory, cell_v: Floats, polar: Polarised, strings: tuple[Flow, Passed, Flags], rules: SocRules
) -> SocMemory:
    """Return the memory after the volts were looked at.

    Args:
        memory: with the charge counted up to this scan.
        cell_v: (N,) volts per cell; NaN without.
        polar: slow voltages.
        strings: their currents and times, and whose volts are to be looked at (S,).
        rules: of the site.
    """
    now, time, is_due = strings
    where = rules.layout.string_of
    due, is_trusted = is_due[where], now.is_trusted[where]
    if not is_due.all():
        cell_v = np.where(due, cell_v, np.nan)
    time = _since_last(memory.string, time, is_due)
    dt_s = time.dt_s[where]
    blocked = now.is_charging[where] & (rules.surface_v > 0.0)
    seen = inverse.sight(cell_v, memory.soc_frac, polar, Doubt(memory.string.unsettled[where], blocked), rules)
    counted = Counted(memory.soc_frac, memory.sd_frac, memory.gain_cov, memory.parts, memory.kalman)
    first = inverse.corrected(counted, seen, dt_s, memory.source == Source.UNKNOWN)
    may = seen.is_seen & ~blocked & is_trusted
    second = kalman.corrected(memory.kalman, cell_v, polar, may, dt_s, rules)
    known = anchors.found(memory, cell_v, seen, polar, (now, time), rules)
    settled = settle(first, second, replace(known, held=known.held & due), rules)
    source = source_of(settled, known, is_trusted, rules)
    return _remembered(memory, settled, (known, source), time, rules)


def _since_last(past: StringPast, time: Passed, is_due: Flags) -> Passed:
    """Return the times since each of the strings (S,) was looked at last; its first look stands for no time."""
    since_s = np.where(is_due & ~np.isnan(past.looked_s), np.maximum(time.at_s - past.looked_s, 0.0), 0.0)
    return replace(time, dt_s=since_s, is_new=is_due)


def _remembered(
    memory: SocMemory, settled: Settled, found: tuple[Anchors, Codes], time: Passed, rules: SocRules
) -> SocMemory:
    """Return the memory with what came of a look.

    Args:
        memory: before.
        settled: belief of the units.
        found: their anchors, and where their charge is known from (N,).
        time: since the last look; new for the strings that were looked at.
        rules: of the site.
    """
    known, source = found
    where, is_due = rules.layout.string_of, time.is_new
    unit, anchored_at_s = replace(memory.unit, full_s=known.full_s), memory.anchored_at_s
    if known.is_full.any():
        taken, given = (np.where(known.is_full, 0.0, each) for each in (unit.taken_frac, unit.given_frac))
        unit = replace(unit, taken_frac=taken, given_frac=given)
    if settled.is_anchor.any():
        anchored_at_s = np.where(settled.is_anchor, time.at_s[where], anchored_at_s)
    return replace(
        memory,
        string=replace(memory.string, looked_s=np.where(is_due, time.at_s, memory.string.looked_s)),
        unit=unit,
        soc_frac=settled.soc_frac,
        sd_frac=settled.sd_frac,
        gain_cov=settled.gain_cov,
        parts=settled.parts,
        kalman=settled.kalman,
        source=source if is_due.all() else np.where(is_due[where], source, memory.source),
        anchored_at_s=anchored_at_s,
        held=known.held,
    )
