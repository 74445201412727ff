"""Bytes reach the master when the wire would have delivered them, or at once when the twin runs unpaced.

One timer per portion of a train.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from twin.bus.transmitter import Emission
from twin.bus.wire_timer import WireTimer

MOST_UNREAD_BYTES: Final = 256 * 1024  # a master that does not read loses the rest, as on a wire


class PacedWriter:
    """Gives bytes to `write` when they are due; never more than `MOST_UNREAD_BYTES` wait."""

    def __init__(self, write: Callable[[Emission], None], *, paced: bool) -> None:
        self.dropped_bytes = 0
        self._write: Final = write
        self._paced: Final = paced
        self._due: deque[Emission] = deque()
        self._held = 0
        self._armed = False
        self._timer: Final = WireTimer(self._fire)

    def give(self, emitted: list[Emission]) -> None:
        """Take bytes with their times, in order."""
        for emission in emitted:
            size = len(emission[1])
            if not self._paced:
                self._write(emission)
            elif self._held + size > MOST_UNREAD_BYTES:
                self.dropped_bytes += size
            else:
                self._due.append(emission)
                self._held += size
        self._arm()

    def forget(self) -> None:
        """Drop what is not yet due."""
        self._due.clear()
        self._held = 0
        self._armed = False
        self._timer.cancel()

    def _arm(self) -> None:
        if self._due and not self._armed:
            self._armed = True
            self._timer.arm(self._due[0][0])

    def _fire(self) -> None:
        self._armed = False
        now_s = asyncio.get_running_loop().time()
        while self._due and self._due[0][0] <= now_s:
            emission = self._due.popleft()
            self._held -= len(emission[1])
            self._write(emission)
        self._arm()
