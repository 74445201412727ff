"""What is believed and told in the end: the filter of the unit's kind, anchors over it, the other filter's doubt."""

from dataclasses import replace
from typing import Final

import numpy as np

from analytics.checked_frozen import checked_frozen
from analytics.readings import Codes, Flags, Floats
from analytics.soc.anchors import Anchors
from analytics.soc.capacity_belief import CapacityBelief
from analytics.soc.current import Flow
from analytics.soc.inverse import Moved
from analytics.soc.kalman import Corrected
from analytics.soc.memory import Kalman, Parts, SocEstimate, SocMemory, Source
from analytics.soc.owed import taken_frac
from analytics.soc.parts import anchored, together
from analytics.soc.rules import SocRules

DISAGREE_SD: Final = 2.0  # of both filters together, before their difference makes the estimate less sure
OVERRULED_SD: Final = 2.0  # apart from an anchor that is less sure than the estimate


@checked_frozen
class Settled:
    """Belief after this scan; (N,) each. `is_moved`: by its voltage; `is_anchor`: an anchor holds."""

    soc_frac: Floats
    sd_frac: Floats
    gain_cov: Floats
    parts: Parts
    kalman: Kalman
    is_moved: Flags
    is_anchor: Flags


def settle(first: Moved, second: Corrected, known: Anchors, rules: SocRules) -> Settled:
    """Return the belief: of the inverse filter or, on flat curves, of the other; then what the anchors say."""
    flat, filtered = rules.is_flat, second.kalman
    soc, sd, is_moved = first.soc_frac, first.sd_frac, first.is_moved
    if rules.has_flat:
        soc, sd = np.where(flat, filtered.soc_frac, soc), np.where(flat, np.sqrt(filtered.ss), sd)
        is_moved = np.where(flat, second.is_moved, is_moved)
    is_full = known.is_full | known.held
    apart = (soc - known.end_frac) ** 2 > OVERRULED_SD**2 * (sd**2 + known.end_sd_frac**2)
    at_end = (known.is_empty | (known.is_rested & flat)) & ((sd > known.end_sd_frac) | apart)
    if at_end.any():
        soc, sd = np.where(at_end, known.end_frac, soc), np.where(at_end, known.end_sd_frac, sd)
    if is_full.any():
        soc, sd = np.where(is_full, 1.0, soc), np.where(is_full, known.full_sd_frac, sd)
    is_set = is_full | at_end
    is_any = is_set.any()
    return Settled(
        soc_frac=soc,
        sd_frac=sd,
        gain_cov=np.where(is_set, 0.0, first.gain_cov) if is_any else first.gain_cov,
        parts=anchored(first.parts, is_set, sd) if is_any else first.parts,
        kalman=_restarted(filtered, is_set, soc, sd) if is_any else filtered,
        is_moved=is_moved,
        is_anchor=known.is_full | known.is_empty | known.is_rested,
    )


def _restarted(kalman: Kalman, is_set: Flags, soc_frac: Floats, sd_frac: Floats) -> Kalman:
    """Return the filter at the anchors' values where there is one."""
    kept = (~is_set).astype(np.float64)
    return replace(
        kalman,
        soc_frac=np.where(is_set, soc_frac, kalman.soc_frac),
        ss=np.where(is_set, sd_frac**2, kalman.ss),
        s2=kalman.s2 * kept,
        sb=kalman.sb * kept,
        sg=kalman.sg * kept,
    )


def source_of(settled: Settled, known: Anchors, is_trusted: Flags, rules: SocRules) -> Codes:
    """Return where each unit's charge is known from (N,), the strongest that holds."""
    source = np.full(len(settled.sd_frac), Source.COULOMB, dtype=np.uint8)
    told: tuple[tuple[Source, Flags], ...] = (
        (Source.OCV, settled.is_moved),
        (Source.EKF, settled.is_moved & rules.is_flat),
        (Source.VOLTAGE, ~is_trusted),
        (Source.ANCHOR, settled.is_anchor),
        (Source.FLOAT, known.held),
        (Source.UNKNOWN, settled.sd_frac > rules.unknown_sd_frac),
    )
    for word, holds in told:
        if holds.any():
            source[holds] = word
    return source


def with_told(memory: SocMemory, capacity: CapacityBelief, rules: SocRules) -> SocMemory:
    """Return the memory with the sd that is told from now on; where two filters of a sloped curve disagree, larger."""
    sd = together(memory.parts, memory.gain_cov, capacity.sd_frac**2 + rules.gain_sd_frac**2)
    if rules.has_flat:
        sd = np.where(rules.is_flat, memory.sd_frac, sd)
    second = memory.kalman
    apart = np.abs(memory.soc_frac - second.soc_frac) - DISAGREE_SD * (sd + np.sqrt(second.ss))
    told = sd + rules.doubled_frac * np.maximum(apart, 0.0)
    return replace(memory, parts=replace(memory.parts, told_frac=told))


def estimate(memory: SocMemory, flow: Flow, capacity: CapacityBelief, rules: SocRules) -> SocEstimate:
    """Return what is told."""
    soc = memory.soc_frac
    if memory.owed.s.any():
        soc = np.minimum(np.maximum(soc - taken_frac(memory.owed, capacity.ah, rules), 0.0), 1.0)
    sd = memory.parts.told_frac
    is_unknown = memory.source == Source.UNKNOWN
    if is_unknown.any():
        soc, sd = np.where(is_unknown, np.nan, soc), np.where(is_unknown, np.nan, sd)
    now_s = memory.string.at_s[rules.layout.string_of]
    return SocEstimate(
        soc_frac=soc,
        soc_sd_frac=sd,
        source=memory.source,
        anchor_age_h=(now_s - memory.anchored_at_s) / 3600.0,
        sign_suspect=flow.sign_suspect,
        no_current=np.isnan(flow.read_a) & np.isfinite(memory.string.at_s),
    )
