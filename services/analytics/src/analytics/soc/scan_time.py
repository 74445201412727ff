"""How much event time has passed since each string's last scan. Pure; repeated and out-of-order scans pass no time."""

from typing import Final

import numpy as np

from analytics.checked_frozen import checked_frozen
from analytics.readings import Flags, Floats
from analytics.soc.memory import Counts, StringPast

LONG_GAP_S: Final = 900.0  # a discharge and its whole recharge do not fit into less
BEHIND_SCANS: Final = 5  # so many in a row, each newer than the one before: the clock was set back


@checked_frozen
class Passed:
    """What one batch of scans says of time; all (S,).

    Attributes:
        dt_s: since the last scan of the string; 0 for its first, and where there is nothing new.
        is_new: the batch holds a scan of this string that is newer than the last.
        is_gap: nobody saw what happened in between.
        is_long_gap: and it may have been a discharge that was recharged.
        at_s, behind_s, behind: see `StringPast`.
    """

    dt_s: Floats
    is_new: Flags
    is_gap: Flags
    is_long_gap: Flags
    at_s: Floats
    behind_s: Floats
    behind: Counts


def passed(past: StringPast, at_s: Floats, gap_s: float) -> Passed:
    """Return how far each string's time moved to its scan at `at_s` (S,), NaN where the batch holds none.

    A clock that was set back shows as several scans in a row that are older than the newest, each newer than the one
    before: they are then taken as the new time. What happened in between is unknown, as in a gap.
    """
    step_s = at_s - past.at_s
    if (step_s > 0.0).all():  # as in almost every batch; what follows would find the same
        every = np.ones(len(at_s), dtype=np.bool_)
        never_s, none_behind = np.full(len(at_s), -np.inf), np.zeros_like(past.behind)
        is_long = step_s > max(gap_s, LONG_GAP_S)
        return Passed(step_s, every, step_s > gap_s, is_long, at_s, never_s, none_behind)
    is_here = np.isfinite(at_s)
    is_first = is_here & np.isnan(past.at_s)
    step_s = np.where(is_first, 0.0, at_s - past.at_s)
    is_forward = is_here & ~is_first & (step_s > 0.0)
    is_late = is_here & (step_s < 0.0)
    goes_on = is_late & (at_s > past.behind_s)
    behind = np.where(is_late, np.where(goes_on, past.behind + 1, 1), np.where(is_forward, 0, past.behind))
    is_set_back = goes_on & (behind >= BEHIND_SCANS)
    is_new = is_first | is_forward | is_set_back
    return Passed(
        dt_s=np.where(is_forward, step_s, 0.0),
        is_new=is_new,
        is_gap=(is_forward & (step_s > gap_s)) | is_set_back,
        is_long_gap=(is_forward & (step_s > max(gap_s, LONG_GAP_S))) | is_set_back,
        at_s=np.where(is_new, at_s, past.at_s),
        behind_s=np.where(is_late & ~is_set_back, at_s, np.where(is_new, -np.inf, past.behind_s)),
        behind=np.where(is_set_back, 0, behind),
    )
