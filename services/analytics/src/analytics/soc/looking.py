"""What the volts of a scan say against the counted charge, every few seconds: both filters, and the anchors."""

from dataclasses import replace

import numpy as np

from analytics.readings import Flags, Floats
from analytics.soc import anchors, inverse, kalman
from analytics.soc.counting import Counted
from analytics.soc.current import Flow
from analytics.soc.inverse import Doubt
from analytics.soc.memory import SocMemory, Source
from analytics.soc.polarisation import Polarised
from analytics.soc.rules import SocRules
from analytics.soc.scan_time import Passed
from analytics.soc.settling import settle, source_of


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
    where, string = rules.layout.string_of, memory.string
    due, is_every = is_due[where], bool(is_due.all())
    if not is_every:
        cell_v = np.where(due, cell_v, np.nan)
    # The first look stands for no time; later ones for all since the last.
    since_s = np.where(is_due & ~np.isnan(string.looked_s), np.maximum(time.at_s - string.looked_s, 0.0), 0.0)
    time = replace(time, dt_s=since_s, is_new=is_due)
    blocked = now.is_charging[where] & (rules.surface_v > 0.0)
    seen = inverse.sight(cell_v, memory.soc_frac, polar, Doubt(string.unsettled[where], blocked), rules)
    counted = Counted(memory.soc_frac, memory.sd_frac, memory.gain_cov, memory.parts, memory.kalman)
    dt_s = since_s[where]
    first = inverse.corrected(counted, seen, dt_s, memory.source == Source.UNKNOWN)
    is_trusted = now.is_trusted[where]
    may = seen.is_seen & ~blocked & is_trusted
    second = kalman.corrected(memory.kalman, cell_v, polar, may, dt_s, rules)
    known = anchors.found(memory, cell_v, seen, polar, (now, time), rules)
    settled = settle(first, second, replace(known, held=known.held & due), rules)
    source = source_of(settled, known, is_trusted, rules)
    taken, given = memory.unit.taken_frac, memory.unit.given_frac
    if known.is_full.any():
        taken, given = np.where(known.is_full, 0.0, taken), np.where(known.is_full, 0.0, given)
    anchored_at_s = memory.anchored_at_s
    if settled.is_anchor.any():
        anchored_at_s = np.where(settled.is_anchor, time.at_s[where], anchored_at_s)
    return replace(
        memory,
        string=replace(string, looked_s=np.where(is_due, time.at_s, string.looked_s)),
        unit=replace(
            memory.unit,
            full_s=known.full_s,
            taken_frac=taken,
            given_frac=given,
        ),
        soc_frac=settled.soc_frac,
        sd_frac=settled.sd_frac,
        gain_cov=settled.gain_cov,
        parts=settled.parts,
        kalman=settled.kalman,
        source=source if is_every else np.where(due, source, memory.source),
        anchored_at_s=anchored_at_s,
        held=known.held,
    )
