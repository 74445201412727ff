"""A clock that a test moves."""

import asyncio
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count


@dataclass(slots=True)
class ManualClock:
    """Event time that stands until `advance`; `step` moves the wall time alone, as a person or NTP does."""

    wall_ms: int = 1_795_237_200_000  # 2026-11-21T05:00:00Z
    elapsed_s: float = 0.0
    speed: float = 1.0
    _sleepers: list[tuple[float, int, asyncio.Event]] = field(default_factory=list)
    _order: "count[int]" = field(default_factory=count)

    def now_ms(self) -> int:
        """Return the wall time."""
        return self.wall_ms

    def monotonic_s(self) -> float:
        """Return the seconds that were advanced so far."""
        return self.elapsed_s

    async def sleep(self, event_s: float) -> None:
        """Wait until the test has advanced the clock by `event_s`."""
        woken = asyncio.Event()
        heappush(self._sleepers, (self.elapsed_s + max(0.0, event_s), next(self._order), woken))
        await woken.wait()

    async def advance(self, event_s: float) -> None:
        """Let time pass, waking sleepers in order and letting them run."""
        end_s = self.elapsed_s + event_s
        while self._sleepers and self._sleepers[0][0] <= end_s:
            at_s, _, woken = heappop(self._sleepers)
            self._move(at_s - self.elapsed_s)
            woken.set()
            for _ in range(5):
                await asyncio.sleep(0)
        self._move(end_s - self.elapsed_s)

    def step(self, by_ms: int) -> None:
        """Move the wall time without any time passing."""
        self.wall_ms += by_ms

    def _move(self, event_s: float) -> None:
        self.elapsed_s += event_s
        self.wall_ms += round(event_s * 1000.0)
