"""A timer fine enough for a line: the event loop rounds its own up to a millisecond, a third of a train at 3 MBd."""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final


class WireTimer:
    """Calls back once at a time of the event loop's clock; to some 50 µs where the kernel's timers can be used."""

    def __init__(self, fire: Callable[[], None]) -> None:
        self._fire: Final = fire
        self._handle: asyncio.TimerHandle | None = None
        self._fd = -1

    def arm(self, at_s: float) -> None:
        """Call back at `at_s`, or now when that has passed; an earlier arming is forgotten."""
        loop = asyncio.get_running_loop()
        if sys.version_info >= (3, 13):
            if self._fd < 0:
                self._fd = os.timerfd_create(time.CLOCK_MONOTONIC, flags=os.TFD_CLOEXEC | os.TFD_NONBLOCK)
                loop.add_reader(self._fd, self._expired)
            os.timerfd_settime(self._fd, flags=os.TFD_TIMER_ABSTIME, initial=at_s)
        else:
            if self._handle is not None:
                self._handle.cancel()
            self._handle = loop.call_at(at_s, self._fire)

    def cancel(self) -> None:
        """Forget what was armed and free the kernel's timer."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _expired(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._fd, 8)
            self._fire()
