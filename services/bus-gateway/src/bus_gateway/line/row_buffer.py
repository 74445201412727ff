"""The replies of one line, row by row, reused from sweep to sweep."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bus_gateway.wire.decode import Bytes, Flags
from bus_gateway.wire.frame import FAST_BYTES

LOST_AFTER_SWEEPS: Final = 3  # docs/bus-protocol.md, section 13
NOISY_FOR_SWEEPS: Final = 5  # a line is noisy for this long after its last damaged reply


class RowBuffer:
    """The replies of a line, reused from sweep to sweep.

    Attributes:
        rows: (n, 12) bytes.
        damaged: (n,) bytes came, but no intact reply.
        silent_sweeps: (n,) sweeps in a row without any bytes, up to 255.
        damaged_sweeps: (n,) sweeps in a row with bytes and no intact reply, up to 255.
        heard: (n,) an ask of this sweep that named the row and was not answered whole brought some bytes.
    """

    __slots__ = ("_bytes", "_noisy_sweeps", "damaged", "damaged_sweeps", "heard", "rows", "silent_sweeps")

    def __init__(self, count: int) -> None:
        self._bytes = bytearray(count * FAST_BYTES)
        self.rows: Bytes = np.frombuffer(self._bytes, dtype=np.uint8).reshape(count, FAST_BYTES)
        self.damaged: Flags = np.zeros(count, dtype=np.bool_)
        self.silent_sweeps: NDArray[np.uint8] = np.zeros(count, dtype=np.uint8)
        self.damaged_sweeps: NDArray[np.uint8] = np.zeros(count, dtype=np.uint8)
        self.heard: Flags = np.zeros(count, dtype=np.bool_)
        self._noisy_sweeps = 0

    def put(self, start: int, data: bytes) -> None:
        """Store the bytes of consecutive rows."""
        begin = start * FAST_BYTES
        self._bytes[begin : begin + len(data)] = data

    def forget(self) -> None:
        """Begin a sweep: zeros are no intact reply, and what is never asked is a bus error."""
        self.rows[:] = 0
        self.damaged[:] = True
        self.heard[:] = False
        self._noisy_sweeps -= self._noisy_sweeps > 0

    def note_damage(self, rows: NDArray[np.intp], damaged: Flags) -> None:
        """Note what an ask that brought bytes said of its rows."""
        self.damaged[rows] = damaged
        self.heard[rows] = True
        if damaged.any():
            self._noisy_sweeps = NOISY_FOR_SWEEPS

    def may_be_unasked(self, span: slice) -> Flags:
        """Return the rows of which no ask brought a byte, where noise may have hit the requests themselves.

        On a line whose replies are damaged a request of 12 bytes is lost as often as a reply. That nobody answered it
        says nothing of the modules, until it has happened for as many sweeps as make a module lost.
        """
        if not self._noisy_sweeps:
            return np.zeros(span.stop - span.start, dtype=np.bool_)
        return ~self.heard[span] & (self.silent_sweeps[span] < LOST_AFTER_SWEEPS)

    def raw(self, start: int, stop: int) -> bytes:
        """Return the bytes of rows."""
        return bytes(self._bytes[start * FAST_BYTES : stop * FAST_BYTES])
