"""The control loop of one string: a scan in; set-points, what to tell, and what to remember out. Pure.

A bipolar string is two packs here: each half has a charger, a mean and a lowest unit of its own. What is asked of the
gateway is one command for the whole string.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from cellkeeper.contract.scan_columns import ScanColumns

from balancer import proof as proofs
from balancer.decision import Decision, PackMemory, decide
from balancer.dispatch import Sent, SetPoints
from balancer.orders import Orders
from balancer.pack_view import Floats, PackView
from balancer.proof import Milestone, Proof
from balancer.rules import PackRules

_NEVER: Final = float("-inf")


@dataclass(frozen=True, slots=True)
class Turn:
    """What follows from one scan.

    Attributes:
        set_points: to be sent now; None when there is nothing to send.
        milestones: what happened with the proof of each pack.
    """

    set_points: SetPoints | None
    milestones: Sequence[Milestone | None]


@dataclass(slots=True)
class StringLoop:
    """One string.

    Attributes:
        packs: its rules, one or two.
        memories, proofs: of each pack.
        orders: wishes of people.
        sent: what the gateway was asked.
        decisions: of the newest scan; empty before the first.
        at_s: event time of that scan.
    """

    packs: tuple[PackRules, ...]
    memories: list[PackMemory] = field(init=False)
    proofs: list[Proof] = field(init=False)
    sent: Sent = field(init=False)
    orders: Orders = field(default_factory=Orders)
    decisions: list[Decision] = field(default_factory=list)
    at_s: float = _NEVER

    def __post_init__(self) -> None:
        self.memories = [PackMemory.empty(rules.units) for rules in self.packs]
        self.proofs = [Proof() for _ in self.packs]
        self.sent = Sent.unknown(self.units)

    @property
    def string(self) -> str:
        """Id of the string."""
        return self.packs[0].string

    @property
    def units(self) -> int:
        """Units in the whole string."""
        return sum(rules.units for rules in self.packs)

    @property
    def duty(self) -> Floats:
        """Duties of the newest decision (n,)."""
        return np.concatenate([memory.duty for memory in self.memories])

    def on_scan(self, scan: ScanColumns, *, mode_forbids: bool) -> Turn:
        """Decide on a live scan of this string; one that is delivered twice changes nothing."""
        now_s = scan.measured_ms / 1000.0
        if now_s == self.at_s:
            return Turn(None, ())
        self.orders = replace(self.orders.at(now_s), mode_forbids=mode_forbids)
        self.at_s = now_s
        decisions, milestones = [], []
        for at, rules in enumerate(self.packs):
            view = PackView.of_scan(scan, slice(rules.first, rules.first + rules.units))
            decision = decide(view, self.memories[at], rules, self.orders.within(rules.first, rules.units))
            self.proofs[at], milestone = proofs.follow(self.proofs[at], decision, view, rules)
            memory = decision.memory
            if milestone == "began":
                memory = replace(memory, findings=memory.findings.new_run())
            self.memories[at] = memory
            decisions.append(decision)
            milestones.append(milestone)
        self.decisions = decisions
        if self.sent.is_lost(now_s):
            self.sent = self.sent.refused(now_s)
        set_points, self.sent = self.sent.next(self.duty, scan.bleed_frac, now_s)
        return Turn(set_points, milestones)

    def forget_findings(self) -> None:
        """Open every verdict on single units again: a person has looked."""
        self.memories = [replace(memory, findings=memory.findings.forgotten()) for memory in self.memories]
