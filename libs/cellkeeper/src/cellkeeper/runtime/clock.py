"""Event time. Logic asks a `Clock`; only wire timing, reply deadlines and keep-alives use real time."""

import asyncio
import math
import time
from dataclasses import dataclass
from typing import Protocol, Self


class Clock(Protocol):
    """Event time of a process; all processes of a demo share one scaled clock."""

    @property
    def speed(self) -> float:
        """Event seconds per real second."""

    def now_ms(self) -> int:
        """Return event time in milliseconds since 1970 UTC; it may step, as the system's clock does."""

    def monotonic_s(self) -> float:
        """Return event seconds that never step back."""

    async def sleep(self, event_s: float) -> None:
        """Wait for a span of event time."""


@dataclass(frozen=True, slots=True)
class SystemClock:
    """The machine's own clock."""

    speed: float = 1.0

    def now_ms(self) -> int:
        """Return the system's time."""
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        """Return the system's monotonic time."""
        return time.monotonic()

    async def sleep(self, event_s: float) -> None:
        """Wait in real time."""
        await asyncio.sleep(max(0.0, event_s))


@dataclass(frozen=True, slots=True)
class ScaledClock:
    """Event time that was `start_ms` when the machine's monotonic clock showed `origin_s`, `speed` times as fast.

    The monotonic clock is common to all processes of a machine, so all of them read the same event time.
    """

    start_ms: int
    speed: float
    origin_s: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the clock in `start_ms:speed:origin_s`, as `str()` writes it.

        Raises:
            ValueError: not three numbers, or a speed that is not positive.
        """
        start_ms, speed, origin_s = text.split(":")
        clock = cls(int(start_ms), float(speed), float(origin_s))
        if not (math.isfinite(clock.speed) and clock.speed > 0.0):
            raise ValueError(f"clock speed {speed} is not positive")
        return clock

    def __str__(self) -> str:
        return f"{self.start_ms}:{self.speed!r}:{self.origin_s!r}"

    def now_ms(self) -> int:
        """Return scaled event time."""
        return self.start_ms + int((time.monotonic() - self.origin_s) * self.speed * 1000.0)

    def monotonic_s(self) -> float:
        """Return scaled seconds since the origin."""
        return (time.monotonic() - self.origin_s) * self.speed

    async def sleep(self, event_s: float) -> None:
        """Wait for `event_s` of event time."""
        await asyncio.sleep(max(0.0, event_s / self.speed))


def clock_from(text: str | None) -> Clock:
    """Return the scaled clock in `text`, or the system's when there is none; raises ValueError."""
    return ScaledClock.parse(text) if text else SystemClock()
