"""What is told of a string: the payload of its `balance` topic, and the log book's sentences. Pure."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from cellkeeper.contract.balance_state import BalanceState, Inhibit
from cellkeeper.contract.moment import from_ms

from balancer.limits import WORDS, Reason
from balancer.pack_view import Floats
from balancer.proof import Proof
from balancer.string_loop import StringLoop

FINDINGS: Final = (Reason.LEAK, Reason.WEAK, Reason.SENSOR, Reason.PERSISTENT, Reason.DRYING_OUT)


def state_of(loop: StringLoop, *, is_milestone: bool, inhibit: Inhibit | None = None) -> BalanceState:
    """Return the payload for the newest decision on a string.

    Args:
        loop: the string; it has decided at least once.
        is_milestone: whether the historian should keep the columns.
        inhibit: stands over that of the decision: scans no longer come, or the gateway refuses.
    """
    rules, decisions = loop.packs[0], loop.decisions
    proof = _slowest(loop)
    findings = np.concatenate([memory.findings.reason for memory in loop.memories])
    paused = loop.orders.paused_until_s > loop.at_s
    return BalanceState(
        string=loop.string,
        measured_at=from_ms(round(loop.at_s * 1000.0)),
        strategy=rules.strategy,
        enabled=rules.strategy != "none" and rules.is_permitted,
        phase=loop.memories[0].phase.phase,
        inhibit=next((each.inhibit for each in decisions if each.inhibit), "") if inhibit is None else inhibit,
        until=from_ms(round(loop.orders.paused_until_s * 1000.0)) if paused else None,
        bleed_max_a=rules.bleed_a,
        budget_w=rules.budget_w,
        spread_v=_rounded(proof.spread_v, 4),
        began_at=None if proof.began_s is None else from_ms(round(proof.began_s * 1000.0)),
        began_spread_v=None if proof.began_s is None else _rounded(proof.began_v, 4),
        half_life_s=_rounded(proof.half_life_s, 0),
        finish_s=_rounded(proof.finish_s(rules), 0),
        held_out_spread_v=_rounded(proof.held_out_v, 4),
        is_milestone=is_milestone,
        findings=[int(place) + 1 for place in np.flatnonzero(findings)],
        duty_frac=_column(loop.duty, 3),
        moved_ah=_column(np.concatenate([memory.findings.moved_ah for memory in loop.memories]), 4),
        heat_wh=_column(np.concatenate([memory.findings.heat_wh for memory in loop.memories]), 3),
        leak_a=_known(np.concatenate([memory.findings.leak_a for memory in loop.memories])),
        reason=[WORDS[int(code)] for each in decisions for code in each.reason],
    )


def finding_text(string: str, cell: int, finding: int, leak_a: float) -> str:
    """Return what the log book says of a new finding, with what a person should do."""
    texts = {
        Reason.LEAK: f"loses {leak_a * 1000.0:.0f} mA more than its neighbours; look for a leak, plan its replacement",
        Reason.WEAK: "falls behind the others in discharge; test its capacity",
        Reason.SENSOR: "reads off the others where all should be alike; check sense leads and module",
        Reason.PERSISTENT: "has been bled for more than 1 % of its capacity a day for a week; it is not bled any more "
        "until a person has looked: cellkeeper balance resume",
        Reason.DRYING_OUT: "has been lifted by the bleeds of all others for a week; it dries out or has a short. It is "
        "left out now; test it, and plan its replacement",
    }
    return f"cell {cell} of {string} {texts[Reason(finding)]}"


def new_findings(before: Sequence[int], now: Sequence[int]) -> list[tuple[int, int]]:
    """Return places (from 0) and findings that are new."""
    return [
        (place, after)
        for place, (was, after) in enumerate(zip(before, now, strict=True))
        if after != was and after in FINDINGS
    ]


def _slowest(loop: StringLoop) -> Proof:
    """Return the proof of the more uneven half."""
    return max(loop.proofs, key=lambda proof: proof.spread_v or 0.0)


def _rounded(value: float | None, decimals: int) -> float | None:
    return None if value is None else round(value, decimals)


def _column(values: Floats, decimals: int) -> list[float]:
    return [float(each) for each in np.round(values, decimals)]


def _known(values: Floats) -> list[float | None]:
    return [None if np.isnan(each) else round(float(each), 5) for each in values]
