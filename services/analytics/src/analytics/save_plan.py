"""When what was learned is written down: now and then, and far more often while a discharge is recorded. Pure.

A process that is killed loses what it learned since the last write. At float that is nothing: it comes again. Of a
discharge it is the charge that flowed, and an outage of ten minutes with one of them missing proves nothing.
"""

from dataclasses import dataclass
from typing import Final

ON_LOAD_S: Final = 5.0  # event time
BUSY_FRAC: Final = 0.05  # of the real time at most, while a discharge lasts: a large room takes a second per write


@dataclass(slots=True)
class SavePlan:
    """The times of the last write.

    Attributes:
        save_s: real seconds between two writes while nothing discharges.
        real_s: when the last one began; event_s: the same in event time.
        took_s: how long it took, real time.
    """

    save_s: float
    real_s: float
    event_s: float
    took_s: float = 0.0

    def is_due(self, real_s: float, event_s: float, *, is_recording: bool) -> bool:
        """Return whether it is time to write; `is_recording` while a discharge is under way."""
        since_s = real_s - self.real_s
        if since_s >= self.save_s:
            return True
        return is_recording and event_s - self.event_s >= ON_LOAD_S and self.took_s <= BUSY_FRAC * since_s

    def begin(self, real_s: float, event_s: float) -> None:
        """Note that a write begins."""
        self.real_s, self.event_s = real_s, event_s

    def end(self, real_s: float) -> None:
        """Note that it is through."""
        self.took_s = real_s - self.real_s
