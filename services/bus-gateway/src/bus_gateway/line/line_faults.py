"""What changed on a line since the last look: who fell silent, who is back, whether it is dead or babbles. Pure."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bus_gateway.line.row_buffer import LOST_AFTER_SWEEPS, RowBuffer

BABBLE_BYTES: Final = 256


@dataclass(frozen=True, slots=True)
class LineChanges:
    """News of one line.

    Attributes:
        lost, back: rows that fell silent, rows that answer again.
        is_newly_dead: no row answers any more.
        stray_bytes: bytes outside of any transaction, where they are too many to be noise; 0 else.
    """

    lost: NDArray[np.intp]
    back: NDArray[np.intp]
    is_newly_dead: bool
    stray_bytes: int


class LineFaults:
    """Remembers what was told, so that each fault is told once.

    Args:
        rows: of the line.
    """

    __slots__ = ("_is_dead", "_strays", "_told")

    def __init__(self, rows: int) -> None:
        self._told = np.zeros(rows, dtype=np.bool_)
        self._is_dead = False
        self._strays = 0

    def changes(self, buffer: RowBuffer, stray_bytes: int) -> LineChanges:
        """Return what is new.

        Args:
            buffer: of the line, after any number of sweeps.
            stray_bytes: counted since the start.
        """
        is_lost = buffer.silent_sweeps >= LOST_AFTER_SWEEPS
        lost, back = np.flatnonzero(is_lost & ~self._told), np.flatnonzero(~is_lost & self._told)
        is_dead = bool(len(is_lost) > 1 and is_lost.all())
        is_newly_dead = is_dead and not self._is_dead
        strays = stray_bytes - self._strays
        is_spoiled = bool(len(is_lost) > 1 and (buffer.damaged_sweeps >= LOST_AFTER_SWEEPS).all())
        self._told, self._is_dead, self._strays = is_lost, is_dead, stray_bytes
        return LineChanges(lost, back, is_newly_dead, strays if strays > BABBLE_BYTES else int(is_spoiled))
