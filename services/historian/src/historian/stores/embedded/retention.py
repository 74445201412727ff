"""What may be deleted: pure. Days of event time that hold data are counted, so no clock can make history old.

A tier keeps its newest `keep_days` days *that have data*. A clock that jumps ahead by a year makes one day, not 365,
and that one counts only after a second day of data: until then retention looks away from it and says so.
One run deletes at most `MAX_DAYS_PER_RUN` days.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cellkeeper.contract.series import DAY_MS

JUMP_DAYS: Final = 7  # a site that was switched off for longer is seen as a jump until it ran for two days
CONFIRM_DAYS: Final = 2
MAX_DAYS_PER_RUN: Final = 2


@dataclass(frozen=True, slots=True)
class Verdict:
    """What retention may do now.

    Attributes:
        delete_before_ms: files that end before this may go; None when nothing may.
        suspect_day: first day after a jump that nothing confirmed yet, as days since 1970; None when there is none.
    """

    delete_before_ms: int | None
    suspect_day: int | None


def judge(spans_ms: Iterable[tuple[int, int]], keep_days: int) -> Verdict:
    """Return what may be deleted of a tier.

    Args:
        spans_ms: first and last time, both included, of each of its files.
        keep_days: how many days with data are kept; 0 keeps all.
    """
    days = sorted({day for first, last in spans_ms for day in range(first // DAY_MS, last // DAY_MS + 1)})
    believed = _believed(days)
    suspect_day = days[len(believed)] if len(believed) < len(days) else None
    surplus = len(believed) - keep_days
    if keep_days <= 0 or surplus <= 0:
        return Verdict(None, suspect_day)
    return Verdict(believed[min(surplus, MAX_DAYS_PER_RUN)] * DAY_MS, suspect_day)


def _believed(days: list[int]) -> list[int]:
    """Return the days without an island at the top that follows a jump and is shorter than `CONFIRM_DAYS`."""
    top = len(days)
    for at in range(max(len(days) - CONFIRM_DAYS + 1, 1), len(days)):
        if days[at] - days[at - 1] > JUMP_DAYS:
            top = at
            break
    return days[:top]
