"""One scan in, one duty per unit out: phase, reasons against it, strategy, limits. Pure; time comes with the scan.

Unknown leads to stop: a phase that scans do not show, a gap, a clock that stepped, a unit or neighbour without a good
fresh reading. What is asked here is asked again by the gateway and by the module.
"""

from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
from cellkeeper.contract.balance_state import Inhibit

from balancer import limits
from balancer.findings import Findings
from balancer.frozen_units import LastSaid
from balancer.limits import Reason, Reasons
from balancer.orders import Orders
from balancer.pack_stats import PackStats
from balancer.pack_view import Flags, Floats, PackView
from balancer.phase import ALLOWED, MIN_COVERAGE_FRAC, PhaseMemory, follow, gap_limit_s
from balancer.rules import PackRules
from balancer.seen import Seen
from balancer.strategies import float_pi, top

FLOAT_A_PER_AH: Final = 1e-3  # VRLA, while balancing: what IEC 62485-2 takes for the ventilation of the room
FLOAT_FADE_FRAC: Final = 0.2  # above it duties fade out over this much more, instead of switching

_TOP_LEAVES_OUT: Final = (Reason.NEW_BATTERY,)
_FLOAT_LEAVES_OUT: Final = (Reason.NEW_BATTERY, Reason.HELD_OUT)  # nobody can bring others to what nobody moves
_BLEEDING, _EVEN = np.int8(Reason.BLEEDING), np.int8(Reason.EVEN)


@dataclass(frozen=True, slots=True)
class PackMemory:
    """What the next decision on a string depends on, beside the scan itself; survives restarts.

    Attributes:
        phase: see `phase.py`.
        said: what the units said last.
        duty: (n,) what was decided last.
        integral: (n,) of strategy float_pi.
        is_active: (n,) units that strategy top bleeds until they are even.
        findings: what was found out about units over days.
    """

    phase: PhaseMemory
    said: LastSaid
    duty: Floats
    integral: Floats
    is_active: Flags
    findings: Findings
    is_new: bool = True

    @classmethod
    def empty(cls, units: int) -> Self:
        """Return the memory of a string that was never seen."""
        return cls(
            PhaseMemory(),
            LastSaid.nothing(units),
            np.zeros(units),
            np.zeros(units),
            np.zeros(units, dtype=np.bool_),
            Findings.none(units),
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """What should be, and why.

    Attributes:
        duty: (n,) bleed duty from 0 to 1.
        reason: (n,) `Reason` per unit.
        inhibit: why nothing of the string is bled; empty while it may be.
        stats: figures of the usable units.
        counted: (n,) units that made the reference.
        memory: for the next scan.
    """

    duty: Floats
    reason: Reasons
    inhibit: Inhibit
    stats: PackStats
    counted: Flags
    memory: PackMemory


@dataclass(frozen=True, slots=True)
class _Wish:
    """What a strategy wants, and what it goes on from."""

    duty: Floats
    integral: Floats
    is_active: Flags
    counted: Flags


def decide(view: PackView, memory: PackMemory, rules: PackRules, orders: Orders) -> Decision:
    """Return the duties of all units of a string at this scan."""
    said = memory.said.hear(view)
    frozen = said.frozen(rules)
    seen, phase = _understood(view, frozen, memory.phase, rules)
    findings = memory.findings.observe(seen, memory.duty, orders.spared, rules)
    memory = replace(memory, phase=phase, said=said, findings=findings)
    inhibit = _inhibit(seen, memory, rules, orders)
    return _stopped(seen, memory, rules, inhibit) if inhibit else _balanced(seen, memory, rules, orders)


def _understood(view: PackView, frozen: Flags, before: PhaseMemory, rules: PackRules) -> tuple[Seen, PhaseMemory]:
    no_v = np.isnan(view.cell_v)
    known_v = np.where(no_v, 0.0, view.cell_v)
    stats = PackStats.of(view, ~(no_v | frozen | view.is_cut_off))
    phase = follow(before, view, stats, rules)
    gap_s = view.at_s - before.at_s
    dt_s = gap_s if 0.0 < gap_s <= gap_limit_s(rules) else 0.0
    full_w = known_v * known_v * (rules.bleed_a / rules.float_v)
    return Seen(view, stats, known_v, full_w, frozen, phase.phase, gap_s, dt_s), phase


def _balanced(seen: Seen, memory: PackMemory, rules: PackRules, orders: Orders) -> Decision:
    spared = _spared(memory.findings, rules, orders)
    allowed = limits.borders(seen, rules)
    cap = allowed.cap if spared is None else np.where(spared == Reason.EVEN, allowed.cap, 0.0)
    if (factor := _float_current_factor(seen.view, rules)) < 1.0:
        cap = cap * factor
    wish = _wish(seen, cap, spared, memory, rules)
    wanted = wish.duty
    if orders.forced:
        wanted = wanted.copy()
        wanted[list(orders.forced)] = [each.bleed_frac for each in orders.forced.values()]
    duty = limits.within_charger(limits.share_heat(np.minimum(wanted, cap), seen, rules), seen, rules)
    is_on = duty > 0.0
    reason = _reasons(duty, is_on, wanted, wish.counted, seen, rules)
    for place in orders.forced:
        reason[place] = Reason.FORCED if is_on[place] else reason[place]
    for stronger in () if spared is None else (memory.findings.reason, spared):
        np.maximum(reason, stronger, out=reason)
    np.maximum(reason, allowed.blocked, out=reason)
    memory = replace(memory, duty=duty, integral=wish.integral, is_active=wish.is_active & is_on, is_new=False)
    return Decision(duty, reason, "", seen.stats, wish.counted, memory)


def _wish(seen: Seen, cap: Floats, spared: Reasons | None, memory: PackMemory, rules: PackRules) -> _Wish:
    view, usable = seen.view, seen.stats.usable
    if rules.strategy == "top":
        counted = _references(usable, spared, memory.findings, _TOP_LEAVES_OUT)
        duty, is_active = top.wanted(view.cell_v, counted, memory.is_active, rules)
        return _Wish(duty, memory.integral, is_active, counted)
    references = _references(usable, spared, memory.findings, _FLOAT_LEAVES_OUT)
    counted = float_pi.counted_units(view.cell_v, references, rules)
    integral = memory.integral
    if memory.is_new:  # another process may have bled until now: go on from what the modules do
        integral = float_pi.settled_integral(view.bleed_frac, view.cell_v, counted, rules)
    duty, integral = float_pi.wanted(view.cell_v, counted, integral, cap, seen.dt_s, rules)
    return _Wish(duty, integral, memory.is_active, counted)


def _inhibit(seen: Seen, memory: PackMemory, rules: PackRules, orders: Orders) -> Inhibit:
    """Return the first reason why nothing may be bled, empty when there is none."""
    view, stats = seen.view, seen.stats
    checks: tuple[tuple[Inhibit, bool], ...] = (
        ("strategy_none", rules.strategy == "none"),
        ("not_permitted", not rules.is_permitted),
        ("paused", orders.paused_until_s > view.at_s),
        ("mode_forbids", orders.mode_forbids),
        ("no_current", view.current_a is None),
        ("coverage", stats.coverage_frac < MIN_COVERAGE_FRAC),
        ("warm_room", stats.median_degc >= rules.stop_degc),
        ("settling", memory.phase.phase == "idle" and memory.phase.ready_s is not None),
        ("phase", memory.phase.phase not in ALLOWED),
        ("float_current", _float_current_factor(view, rules) == 0.0),
    )
    return next((why for why, holds in checks if holds), "")


def _stopped(seen: Seen, memory: PackMemory, rules: PackRules, inhibit: Inhibit) -> Decision:
    blocked = limits.blocked_units(seen, rules)
    reason = np.where(blocked == Reason.EVEN, Reason.INHIBITED, blocked).astype(np.int8)
    nothing = np.zeros(seen.view.units)
    # The integral waits: an outage does not unlearn what days have found.
    memory = replace(memory, duty=nothing, is_active=np.zeros(len(nothing), dtype=np.bool_))
    return Decision(nothing, reason, inhibit, seen.stats, seen.stats.usable, memory)


def _spared(findings: Findings, rules: PackRules, orders: Orders) -> Reasons | None:
    """Return why a strategy must leave a unit alone (n,), EVEN where it need not; None where nothing is to be told."""
    if not (rules.held_out or orders.spared or findings.reason.any()):
        return None
    spared = np.where(findings.not_to_bleed, findings.reason, _EVEN)
    spared[list(rules.held_out)] = Reason.HELD_OUT
    spared[list(orders.spared)] = Reason.NEW_BATTERY
    return spared


def _references(usable: Flags, spared: Reasons | None, findings: Findings, left_out: tuple[Reason, ...]) -> Flags:
    """Return the usable units that the others may be brought to (n,)."""
    if spared is None:
        return usable
    return usable & ~(findings.not_a_reference | np.isin(spared, left_out))


def _float_current_factor(view: PackView, rules: PackRules) -> float:
    """Return by how much all duties shrink because the string already takes much float current; 1 where unknown."""
    if rules.strategy != "float_pi" or view.float_a is None:
        return 1.0
    most_a = FLOAT_A_PER_AH * rules.rated_ah
    left = (most_a * (1.0 + FLOAT_FADE_FRAC) - view.float_a) / (most_a * FLOAT_FADE_FRAC)
    return min(max(left, 0.0), 1.0)


def _reasons(duty: Floats, is_on: Flags, wanted: Floats, counted: Flags, seen: Seen, rules: PackRules) -> Reasons:
    reason = np.where(is_on, _BLEEDING, _EVEN)
    reason[duty < wanted - 1e-9] = Reason.BUDGET
    if rules.strategy == "top" and counted.any():
        v = seen.known_v
        lowest_v = float(v[counted].min())
        reason[counted & (v == lowest_v)] = Reason.REFERENCE
        reason[(v > lowest_v + rules.start_v) & (v <= rules.bleed_above_v)] = Reason.FLAT
    return reason
