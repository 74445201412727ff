"""What all discharges together say of each unit's capacity: a scalar Kalman filter per unit, with a short history.

A capacity walks at random by 0.5 % in a month. Only findings with a standard deviation below 5 % count. Findings share
the errors of one sensor and of one curve, so many of them together are never surer than `SHARED_SD_FRAC`.
"""

from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np

from analytics.readings import Codes, Flags, Floats
from analytics.soh.finding import MOST_SD_FRAC, CapacityFinding

MONTH_S: Final = 30.44 * 86_400.0
WALK_SD_FRAC: Final = 0.005  # in a month
SHARED_SD_FRAC: Final = 0.01
SURPRISE_SD: Final = 4.0  # a finding that is further off tells of another unit, or of one that failed
HISTORY: Final = 8
METHODS: Final = ("not_proven", "full_discharge", "partial_discharge", "fused")
"""Names of the codes in `SohEstimate.method`."""
_FULL, _PARTIAL, _FUSED = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Learned:
    """What was learned of N units; capacities over the rated one, NaN where nothing is proven.

    Attributes:
        frac, variance: (N,) of the filter at its newest finding.
        at_s: (N,) event time of that.
        method: (N,) codes of `METHODS`.
        past_at_s, past_frac, past_sd_frac: (HISTORY, N) accepted findings, newest in row 0; NaN where there are fewer.
    """

    frac: Floats
    variance: Floats
    at_s: Floats
    method: Codes
    past_at_s: Floats
    past_frac: Floats
    past_sd_frac: Floats

    @classmethod
    def nothing(cls, units: int) -> Self:
        """Return what is known of units that were never discharged."""
        none, past = np.full(units, np.nan), np.full((HISTORY, units), np.nan)
        return cls(none, none, none, np.zeros(units, np.uint8), past, past, past)

    def forget(self, units: Flags, born_s: Floats) -> "Learned":
        """Return what is left when some units (N,) were replaced at a time (N,): what was found since.

        A replacement that happened now, or that nobody dated (minus infinity), leaves nothing.
        """
        with np.errstate(invalid="ignore"):
            gone = units & ~(np.isfinite(born_s) & (self.past_at_s > born_s))
        past_at_s, past_frac, past_sd_frac = (
            np.where(gone, np.nan, each) for each in (self.past_at_s, self.past_frac, self.past_sd_frac)
        )
        frac, variance, at_s, method = self.frac, self.variance, self.at_s, self.method
        found = _folded(past_at_s, past_frac, past_sd_frac)
        return Learned(
            np.where(units, found[0], frac),
            np.where(units, found[1], variance),
            np.where(units, found[2], at_s),
            # By which method each was found is not kept: several, or one of an unknown kind, are told as fused.
            np.where(units, np.where(np.isnan(found[0]), 0, _FUSED), method).astype(np.uint8),
            past_at_s,
            past_frac,
            past_sd_frac,
        )

    def variance_at(self, now_s: float) -> Floats:
        """Return the variance (N,) with what may have happened since."""
        return self.variance + WALK_SD_FRAC**2 / MONTH_S * np.maximum(now_s - self.at_s, 0.0)


def learn(learned: Learned, finding: CapacityFinding, span: slice) -> Learned:
    """Return what is known after a finding on the units of one string.

    A finding from before the newest one changes nothing: the filter goes on in time only.
    """
    z, sd = finding.unit_frac, finding.unit_sd_frac
    with np.errstate(invalid="ignore"):
        counts = (sd < MOST_SD_FRAC * z) & ~(finding.at_s <= learned.at_s[span])
    x, p = learned.frac[span], learned.variance_at(finding.at_s)[span]
    frac, variance, is_first = _step(x, p, z, np.square(sd))
    own = _FULL if finding.method == "full_discharge" else _PARTIAL
    method = np.where(is_first | (learned.method[span] == own), own, _FUSED)
    return replace(
        learned,
        frac=_put(learned.frac, span, counts, frac),
        variance=_put(learned.variance, span, counts, variance),
        at_s=_put(learned.at_s, span, counts, np.full(len(z), finding.at_s)),
        method=_put(learned.method, span, counts, method.astype(np.uint8)),
        past_at_s=_pushed(learned.past_at_s, span, counts, np.full(len(z), finding.at_s)),
        past_frac=_pushed(learned.past_frac, span, counts, z),
        past_sd_frac=_pushed(learned.past_sd_frac, span, counts, sd),
    )


def _step(x: Floats, p: Floats, z: Floats, r: Floats) -> tuple[Floats, Floats, Flags]:
    """Return belief and variance after a finding with variance `r`, and where it stands alone; NaN `x` is none yet."""
    with np.errstate(invalid="ignore"):
        is_first = np.isnan(x) | (np.abs(z - x) > SURPRISE_SD * np.sqrt(p + r))
        gain = np.where(is_first, 1.0, p / (p + r))
        frac = np.where(is_first, z, x + gain * (z - x))
        variance = np.where(is_first, r, np.maximum((1.0 - gain) * p, SHARED_SD_FRAC**2))
    return frac, variance, is_first


def _folded(past_at_s: Floats, past_frac: Floats, past_sd_frac: Floats) -> tuple[Floats, Floats, Floats]:
    """Return belief, variance and time (N,) that follow from a history, newest in row 0; NaN without one."""
    frac, variance, at_s = (np.full(past_at_s.shape[1], np.nan) for _ in range(3))
    for now_s, z, sd in zip(past_at_s[::-1], past_frac[::-1], past_sd_frac[::-1], strict=True):
        is_there = ~np.isnan(now_s)
        with np.errstate(invalid="ignore"):
            grown = variance + WALK_SD_FRAC**2 / MONTH_S * np.maximum(now_s - at_s, 0.0)
        after, left, _ = _step(frac, grown, z, np.square(sd))
        frac, variance = np.where(is_there, after, frac), np.where(is_there, left, variance)
        at_s = np.where(is_there, now_s, at_s)
    return frac, variance, at_s


def _put[A: (Floats, Codes)](column: A, span: slice, counts: Flags, new: A) -> A:
    after = column.copy()
    after[span][counts] = new[counts]
    return after


def _pushed(past: Floats, span: slice, counts: Flags, new: Floats) -> Floats:
    after = past.copy()
    own = after[:, span]
    own[1:, counts] = past[:-1, span][:, counts]
    own[0, counts] = new[counts]
    return after
