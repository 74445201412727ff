"""Notices of the driver: bounded, and the same thing is not said again and again."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal

from bus_gateway.driver import DriverNotice

MAX_NOTICES: Final = 200
REPEAT_AFTER_S: Final = 60.0
MAX_SUBJECTS: Final = 4096
MAX_NAMED: Final = 8
MAX_TEXT: Final = 500  # what another machine sent may be in it


class NoticeBoard:
    """Collects notices until somebody takes them.

    The same kind about the same subject is said once in 60 s; when nobody takes them, the oldest go and are counted.

    Args:
        now_s: monotonic real seconds.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        self.lost = 0
        self._now_s = now_s
        self._waiting: deque[DriverNotice] = deque()
        self._said_s: dict[tuple[str, str], float] = {}

    def say(
        self,
        kind: str,
        severity: Literal["info", "warning", "error"],
        text: str,
        about: str,
        data: Mapping[str, str | int | float | bool | None],
    ) -> None:
        """Add a notice, unless the same was said about the same subject a moment ago."""
        now_s = self._now_s()
        subject = (kind, about)
        if now_s - self._said_s.get(subject, float("-inf")) < REPEAT_AFTER_S:
            return
        self._said_s.pop(subject, None)
        self._said_s[subject] = now_s
        if len(self._said_s) > MAX_SUBJECTS:
            del self._said_s[next(iter(self._said_s))]
        self._waiting.append(DriverNotice(kind, severity, text[:MAX_TEXT], dict(data)))
        if len(self._waiting) > MAX_NOTICES:
            self._waiting.popleft()
            self.lost += 1

    def take(self) -> Sequence[DriverNotice]:
        """Return and forget what waits, oldest first."""
        taken = list(self._waiting)
        self._waiting.clear()
        return taken


def named(addresses: Sequence[int]) -> str:
    """Return addresses as text, the first few of them by number."""
    shown = ", ".join(str(address) for address in addresses[:MAX_NAMED])
    more = len(addresses) - MAX_NAMED
    return f"{shown} and {more} more" if more > 0 else shown
