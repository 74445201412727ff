"""What came of balancing: spread before and after, how fast it falls, how long it still takes. Pure.

A run begins when a string may be balanced and is uneven, and ends when it is even. Only time in an allowed phase
counts: a string that charges twice a year takes years, and says so.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from balancer.decision import Decision
from balancer.pack_view import PackView
from balancer.phase import gap_limit_s
from balancer.rules import PackRules

SAMPLE_S: Final = 600.0  # of allowed time
MAX_SAMPLES: Final = 288  # two days of it
FEWEST_SAMPLES: Final = 6
FIT_SAMPLES: Final = 36  # the newest six hours tell how it goes now
DAY_S: Final = 86_400.0
BEGIN_FRAC: Final = 1.5  # of even: a string at the border does not begin and end a run every minute

type Milestone = Literal["began", "even", "day"]


@dataclass(frozen=True, slots=True)
class Proof:
    """A run of balancing.

    Attributes:
        began_s, began_v: when it began, and the spread then; None outside of a run.
        allowed_s: time in an allowed phase since then.
        samples: spread over that time, newest last.
        spread_v, held_out_v: now; None when too few units count.
        at_s: of the newest scan.
    """

    began_s: float | None = None
    began_v: float | None = None
    allowed_s: float = 0.0
    samples: tuple[tuple[float, float], ...] = ()
    spread_v: float | None = None
    held_out_v: float | None = None
    at_s: float = float("-inf")

    @property
    def half_life_s(self) -> float | None:
        """Time in an allowed phase in which the spread halves, by least squares; None while it does not fall."""
        newest = [(s, v) for s, v in self.samples[-FIT_SAMPLES:] if v > 0.0]
        if len(newest) < FEWEST_SAMPLES:
            return None
        at_s, v = np.array(newest).T
        slope, _ = np.polyfit(at_s - at_s[0], np.log2(v), 1)
        return float(-1.0 / slope) if slope < 0.0 else None

    def finish_s(self, rules: PackRules) -> float | None:
        """Return the time in an allowed phase until the spread is even at the present rate; None while unknown."""
        half_life_s = self.half_life_s
        if half_life_s is None or not self.spread_v or self.began_s is None:
            return None
        return max(0.0, half_life_s * float(np.log2(self.spread_v / even_v(rules))))


def even_v(rules: PackRules) -> float:
    """Return the spread at which a string counts as even."""
    return rules.start_v


def follow(proof: Proof, decision: Decision, view: PackView, rules: PackRules) -> tuple[Proof, Milestone | None]:
    """Return the run after a decision, and what happened with it."""
    gap_s = view.at_s - proof.at_s
    day_ends = proof.at_s > 0.0 and int(view.at_s // DAY_S) > int(proof.at_s // DAY_S)
    spread_v = _spread_v(decision, view, rules)
    proof = replace(proof, held_out_v=_held_out_v(view, rules), spread_v=spread_v, at_s=view.at_s)
    milestone: Milestone | None = "day" if day_ends else None
    if decision.inhibit or spread_v is None:
        return proof, milestone
    if proof.began_s is None:
        if spread_v <= BEGIN_FRAC * even_v(rules):
            return proof, milestone
        return replace(proof, began_s=view.at_s, began_v=spread_v, allowed_s=0.0, samples=((0.0, spread_v),)), "began"
    proof = _sampled(proof, spread_v, gap_s if 0.0 < gap_s <= gap_limit_s(rules) else 0.0)
    if spread_v <= even_v(rules):
        return replace(proof, began_s=None), "even"
    return proof, milestone


def _sampled(proof: Proof, spread_v: float, dt_s: float) -> Proof:
    allowed_s, samples = proof.allowed_s + dt_s, proof.samples
    if not samples or allowed_s - samples[-1][0] >= SAMPLE_S:
        samples = (*samples, (allowed_s, spread_v))[-MAX_SAMPLES:]
    return replace(proof, allowed_s=allowed_s, samples=samples)


def _spread_v(decision: Decision, view: PackView, rules: PackRules) -> float | None:
    counted = decision.counted.copy()
    counted[list(rules.held_out)] = False
    v = view.cell_v[counted & ~np.isnan(view.cell_v)]
    return float(np.ptp(v)) if len(v) > 1 else None


def _held_out_v(view: PackView, rules: PackRules) -> float | None:
    v = view.cell_v[list(rules.held_out)]
    v = v[~np.isnan(v)]
    return float(np.ptp(v)) if len(v) > 1 else None
