"""Which duties have to be sent now: changes, renewals, ends. Pure.

The gateway renews a hold by broadcast while it runs, and each hold ends by itself after a minute: a balancer that is
gone leaves no module bleeding. So every set-point is sent again well before, all of a string in one command.
"""

from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np

from balancer.pack_view import Flags, Floats

HOLD_S: Final = 60.0  # contract: a bleed ends by itself within this
RENEW_S: Final = 20.0  # two renewals may get lost
WORTH_FRAC: Final = 0.02  # a smaller change of duty is not worth a frame on the bus, the end of a bleed always is
REFUSED_WAIT_S: Final = 30.0  # a gateway that says no is asked again, not hammered
ANSWER_S: Final = 15.0  # event time without an outcome: nobody knows what the modules do


@dataclass(frozen=True, slots=True)
class SetPoints:
    """A command: these units, 1-based, these duties."""

    cells: list[int]
    bleed_frac: list[float]


@dataclass(frozen=True, slots=True)
class Sent:
    """What was asked of the gateway last.

    Attributes:
        duty: (n,) duties; NaN where nobody knows.
        at_s: event time of the last command; minus infinity before the first.
        wait_until_s: after a refusal.
        is_open: a command has no outcome yet.
    """

    duty: Floats
    at_s: float = float("-inf")
    wait_until_s: float = float("-inf")
    is_open: bool = False

    @classmethod
    def unknown(cls, units: int) -> Self:
        """Return the state of a balancer that just began: modules may bleed for another one."""
        return cls(np.full(units, np.nan))

    def next(self, wanted: Floats, reported: Floats, now_s: float) -> tuple[SetPoints | None, Self]:
        """Return the command to send now, None when there is none, and the state after it.

        Args:
            wanted: (n,) duties of the newest decision.
            reported: (n,) duties that the modules report, NaN where unknown.
            now_s: event time.
        """
        known = np.where(np.isnan(self.duty), np.nan_to_num(reported), self.duty)
        is_on, was_on = wanted > 0.0, known > 0.0
        ends: Flags = was_on & ~is_on
        changed: Flags = (np.abs(wanted - known) > WORTH_FRAC) | ends
        is_due = bool(was_on.any()) and now_s - self.at_s >= RENEW_S
        if not (bool(changed.any()) or is_due):
            return None, self if not np.isnan(self.duty).any() else replace(self, duty=known)
        duty = np.where(changed, wanted, known)
        chosen: Flags = was_on | (duty > 0.0)
        if now_s < self.wait_until_s <= now_s + REFUSED_WAIT_S:  # a clock that was set back is not waited for
            if not bool(ends.any()):
                return None, self
            chosen, duty = ends, np.where(ends, 0.0, self.duty)  # what ends is never refused, if it comes alone
        cells = np.flatnonzero(chosen)
        set_points = SetPoints([int(cell) + 1 for cell in cells], [round(float(duty[cell]), 3) for cell in cells])
        return set_points, replace(self, duty=duty, at_s=now_s, is_open=True)

    def refused(self, now_s: float) -> Self:
        """Return the state after the gateway refused: nothing of it is believed, and it is not asked at once."""
        return replace(self, duty=np.full(len(self.duty), np.nan), wait_until_s=now_s + REFUSED_WAIT_S, is_open=False)

    def applied(self) -> Self:
        """Return the state after the gateway saw the effect."""
        return replace(self, is_open=False)

    def is_lost(self, now_s: float) -> bool:
        """Whether an outcome is overdue."""
        return self.is_open and now_s - self.at_s > ANSWER_S
