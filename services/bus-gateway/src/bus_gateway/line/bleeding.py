"""Set-points of one line: asked, shown, sent again: docs/bus-protocol.md, section 6."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bus_gateway.wire import encode
from bus_gateway.wire.decode import Flags
from bus_gateway.wire.encode import LEAVE_DUTY, MAX_SET_POINTS

HOLD_S: Final = 59.0
SWEEPS_BEFORE_REPEAT: Final = 2
SWEEPS_BEFORE_STOP: Final = 5
_HIGHEST_DUTY: Final = 200
_LONGEST_LEAP: Final = 16  # addresses that one frame leaves out before a second frame is shorter

type Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Disagreement:
    """What a sweep showed to be wrong.

    Attributes:
        repeat: rows whose set-point is sent again.
        ended: rows where the module ended the bleed by itself.
        disobedient: rows that bleed although they were told to stop, again and again.
    """

    repeat: Rows
    ended: Rows
    disobedient: Rows


class SetPoints:
    """Set-points of the rows of one line; a row nobody set since the start is left alone.

    Attributes:
        asked: (n,) duty in 1/200, 255 where nothing was asked.
        renewals_stopped: a module does not obey: no renewal until it does.
    """

    __slots__ = ("_until_s", "_wrong_sweeps", "asked", "renewals_stopped")

    def __init__(self, rows: int) -> None:
        self.asked = np.full(rows, LEAVE_DUTY, dtype=np.uint8)
        self.renewals_stopped = False
        self._until_s = np.zeros(rows)
        self._wrong_sweeps = np.zeros(rows, dtype=np.uint8)

    def ask(self, rows: Rows, duties: NDArray[np.uint8], now_s: float) -> None:
        """Note new set-points."""
        self.asked[rows] = duties
        self._until_s[rows] = now_s + HOLD_S
        self._wrong_sweeps[rows] = 0

    def stop(self) -> None:
        """Note that everything was told to stop."""
        self.asked[self.asked != LEAVE_DUTY] = 0
        self._wrong_sweeps[:] = 0

    def renew(self, now_s: float) -> None:
        """Note that the hold of all bleeding modules was restarted."""
        running = (self.asked > 0) & (self.asked <= _HIGHEST_DUTY) & (self._until_s > now_s)
        self._until_s[running] = now_s + HOLD_S

    def judge(self, shown: NDArray[np.uint8], answered: Flags, now_s: float) -> Disagreement | None:
        """Compare a sweep with what was asked; None where all agree.

        Args:
            shown: (n,) bleed bytes.
            answered: (n,) which of them are of this sweep.
            now_s: monotonic real seconds; a set-point whose hold has run out counts as zero.
        """
        is_set = self.asked <= _HIGHEST_DUTY
        if not is_set.any():
            return None
        self.asked[is_set & (self._until_s < now_s)] = 0
        wrong = is_set & answered & (shown != self.asked) & ~((self.asked == 0) & (shown > _HIGHEST_DUTY))
        if not wrong.any():
            self._wrong_sweeps[answered] = 0
            self.renewals_stopped = False
            return None
        ended = np.flatnonzero(wrong & (shown > _HIGHEST_DUTY))
        self.asked[ended] = 0
        wrong[ended] = False
        self._wrong_sweeps[answered & ~wrong] = 0
        self._wrong_sweeps[wrong] = np.minimum(self._wrong_sweeps[wrong], 254) + 1
        repeat = wrong & (self._wrong_sweeps % SWEEPS_BEFORE_REPEAT == 0)
        stuck = wrong & (self.asked == 0) & (self._wrong_sweeps >= SWEEPS_BEFORE_STOP)
        self.renewals_stopped = bool(stuck.any())
        return Disagreement(np.flatnonzero(repeat), ended, np.flatnonzero(stuck))


@dataclass(frozen=True, slots=True)
class SetPointFrame:
    """One BLEED_SET: duties for consecutive addresses from `first`."""

    first: int
    duties: tuple[int, ...]

    def encoded(self, tag: int) -> bytes:
        """Return the frame's bytes."""
        return encode.bleed_set(self.first, self.duties, tag)


def set_point_frames(addresses: Sequence[int], duties: Sequence[int]) -> list[SetPointFrame]:
    """Return the frames that set these duties and leave every other module as it is."""
    wanted = dict(sorted(zip(addresses, duties, strict=True)))
    frames: list[SetPointFrame] = []
    first, body = -1, list[int]()
    for address, duty in wanted.items():
        leap = address - (first + len(body))
        if first < 0 or leap > _LONGEST_LEAP or len(body) + leap >= MAX_SET_POINTS:
            if body:
                frames.append(SetPointFrame(first, tuple(body)))
            first, body, leap = address, [], 0
        body += [LEAVE_DUTY] * leap
        body.append(duty)
    if body:
        frames.append(SetPointFrame(first, tuple(body)))
    return frames
