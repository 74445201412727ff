"""Times of scans that never repeat or run backwards within a stream, whatever the system clock does. Pure.

Policy. A clock that is set back by up to `SET_BACK_S` goes on here without a jump: the difference is kept and worked
off at `SLEW_FRAC`, so that no span between two scans is wrong by more than that. Beyond it a new stream begins. A clock
that is set forward is followed at once. Steps above `STEP_S` are told, and show in `clock` for a while.
"""

from dataclasses import dataclass
from typing import Final, Literal

from cellkeeper.contract.scan_columns import ClockState

STEP_S: Final = 2.0
SET_BACK_S: Final = 300.0
SLEW_FRAC: Final = 0.1
NOISE_MS: Final = 50  # scheduling between the two clock readings, and what NTP slews within a scan
SHOWN_S: Final = 60.0  # a step shows in `clock` for at least this long
SYNCED_KEPT_S: Final = 86_400.0  # a quartz drifts below 2 s a day: holdover until then, unsynced after

type KernelSync = Literal["synced", "unsynced"]


@dataclass(frozen=True, slots=True)
class Step:
    """The clock jumped; positive is forward."""

    by_s: float
    new_streams: bool


@dataclass(frozen=True, slots=True)
class Stamp:
    """The time of a scan as it is published."""

    measured_ms: int
    clock: ClockState
    new_stream: bool


class Timekeeper:
    """Watches the clock and stamps scans.

    Args:
        last_ms: by string, the time of the newest scan that is already in its stream.
    """

    def __init__(self, last_ms: dict[str, int]) -> None:
        self._last_ms = dict(last_ms)
        self._before: tuple[int, float] | None = None
        self._ahead_ms = 0.0
        self._stepped_s: float | None = None
        self._synced_s: float | None = None
        self._state: ClockState = "unsynced"
        self._fresh_streams: set[str] = set()

    @property
    def state(self) -> ClockState:
        """How far the time may be trusted now."""
        return self._state

    def watch(self, now_ms: int, monotonic_s: float, kernel: KernelSync) -> Step | None:
        """Look at the clock; call it at least once per scan. Returns a step that is worth an event.

        Args:
            now_ms: event time as the clock shows it.
            monotonic_s: event seconds that never step.
            kernel: what the kernel says of its own discipline.
        """
        step = self._step_since(now_ms, monotonic_s)
        self._before = (now_ms, monotonic_s)
        if kernel == "synced":
            self._synced_s = monotonic_s
        if step is not None:
            self._stepped_s = monotonic_s
        self._state = self._judge(monotonic_s, kernel)
        return step

    def stamp(self, string: str, measured_ms: int) -> Stamp:
        """Return the time under which a scan taken at `measured_ms` of the clock is published."""
        at_ms = measured_ms + round(self._ahead_ms)
        new_stream = string in self._fresh_streams
        last_ms = self._last_ms.get(string)
        if last_ms is not None and last_ms - at_ms > SET_BACK_S * 1000.0:
            new_stream = True  # set back while we were not running
        self._fresh_streams.discard(string)
        if last_ms is not None and not new_stream and at_ms <= last_ms:
            self._ahead_ms += last_ms + 1 - at_ms  # set back while we were not running: go on from there
            at_ms = last_ms + 1
        self._last_ms[string] = at_ms
        return Stamp(at_ms, self._state, new_stream)

    def stamp_as_recorded(self, string: str, measured_ms: int) -> Stamp | None:
        """Return the stamp of a scan whose time comes from a recording; None when the stream is already past it."""
        last_ms = self._last_ms.get(string)
        if last_ms is not None and measured_ms <= last_ms:
            return None
        self._last_ms[string] = measured_ms
        return Stamp(measured_ms, "unsynced", new_stream=False)

    def last_ms(self, string: str) -> int | None:
        """Return the time of a string's newest scan."""
        return self._last_ms.get(string)

    def _step_since(self, now_ms: int, monotonic_s: float) -> Step | None:
        if self._before is None:
            return None
        then_ms, then_s = self._before
        passed_s = max(0.0, monotonic_s - then_s)
        self._ahead_ms = max(0.0, self._ahead_ms - passed_s * 1000.0 * SLEW_FRAC)
        by_ms = (now_ms - then_ms) - passed_s * 1000.0
        if abs(by_ms) <= NOISE_MS:
            return None
        set_back = by_ms < -SET_BACK_S * 1000.0
        if set_back:
            self._ahead_ms = 0.0
            self._fresh_streams |= set(self._last_ms)
        elif by_ms < 0:
            self._ahead_ms -= by_ms
        else:
            self._ahead_ms = max(0.0, self._ahead_ms - by_ms)  # set forward: the difference we kept is gone first
        if self._ahead_ms > SET_BACK_S * 1000.0:  # several small steps back
            set_back, self._ahead_ms = True, 0.0
            self._fresh_streams |= set(self._last_ms)
        return Step(by_ms / 1000.0, set_back) if abs(by_ms) > STEP_S * 1000.0 or set_back else None

    def _judge(self, monotonic_s: float, kernel: KernelSync) -> ClockState:
        recently_stepped = self._stepped_s is not None and monotonic_s - self._stepped_s < SHOWN_S
        if kernel == "synced":
            return "holdover" if recently_stepped or self._ahead_ms > 0.0 else "synced"
        if self._synced_s is not None and monotonic_s - self._synced_s < SYNCED_KEPT_S and not recently_stepped:
            return "holdover"
        return "unsynced"
