"""One exchange of bytes on a line: a request and what counts as its answer. No I/O, no clock.

An exchange feeds what arrives; a transaction says when it is complete. All of docs/bus-protocol.md, section 2.3, about
which reply belongs to which request is here and in `decode.intact`.
"""

from collections.abc import Callable
from enum import Enum
from typing import Final

from bus_gateway.wire.frame import FAST_BYTES, LONGEST_BYTES, REPLY_BIT, FrameReader, LongFrame, crc16

MAX_COLLECTED_BYTES: Final = 16_384  # 256 slots of WHO with all of them collided, and then as much noise again
_TRUSTED_TAIL_ROWS: Final = 4


class Ending(Enum):
    """How a transaction ended."""

    COMPLETE = "complete"
    TIMEOUT = "timeout"
    DROPPED = "dropped"
    PORT_LOST = "port_lost"
    SECOND_MASTER = "second_master"


class Transaction:
    """A request without a reply.

    Args:
        request: bytes to send.
        timeout_s: longest wait after the end of the request; 0 where nothing is answered.
        done: called once with this transaction and its ending, after the next request has been sent.
    """

    __slots__ = ("_done", "request", "timeout_s")

    def __init__(self, request: bytes, timeout_s: float, done: Callable[["Transaction", Ending], None]) -> None:
        self.request = request
        self.timeout_s = timeout_s
        self._done = done

    @property
    def is_wanted(self) -> bool:
        """Whether anybody still waits for it."""
        return True

    def feed(self, chunk: bytes) -> bool:
        """Take bytes that arrived; tell whether the answer is complete."""
        del chunk
        return False

    def flush(self) -> None:
        """The line is silent or the time is up: look behind false starts."""

    def end(self, ending: Ending) -> None:
        """Tell whoever waits."""
        self._done(self, ending)


class FastTransaction(Transaction):
    """TRAIN or LIST: `count` slots of 12 bytes, complete with the reply of the last slot.

    Attributes:
        data: all bytes that came.
    """

    __slots__ = ("_last", "_size", "data")

    def __init__(
        self,
        request: bytes,
        timeout_s: float,
        done: Callable[["Transaction", Ending], None],
        count: int,
        last_address: int,
    ) -> None:
        super().__init__(request, timeout_s, done)
        self.data = b""
        self._size = count * FAST_BYTES
        self._last = last_address

    def feed(self, chunk: bytes) -> bool:
        """Take bytes; complete when the last slot's reply is in, or when all slots are and nothing slipped."""
        data = self.data = self.data + chunk if self.data else chunk
        if len(data) < self._size:
            return False
        if self._is_last(data[-FAST_BYTES:]):
            return True
        if len(data) > self._size + MAX_COLLECTED_BYTES:
            self.data = data[-self._size :]  # a babbling line: keep what can still hold the answer
        return len(data) == self._size and self._is_aligned(data)

    def _is_last(self, row: bytes) -> bool:
        return row[1] | row[2] << 8 == self._last and crc16(row) == 0

    def _is_aligned(self, data: bytes) -> bool:
        # The last reply is damaged. If one shortly before it stands in its place, no byte was added or lost so far
        # and the rest is the last slot; else the slots may still run.
        for row in range(2, _TRUSTED_TAIL_ROWS + 1):
            start = len(data) - row * FAST_BYTES
            if start >= 0 and crc16(data[start : start + FAST_BYTES]) == 0:
                return True
        return False


class LongTransaction(Transaction):
    """A request with one long reply.

    Attributes:
        reply: the reply, None until it came.
        strays: intact frames that are neither; requests among them come from a second master.
    """

    __slots__ = ("_address", "_reader", "reply", "strays")

    def __init__(
        self,
        request: bytes,
        timeout_s: float,
        done: Callable[["Transaction", Ending], None],
        address: int | None,
    ) -> None:
        super().__init__(request, timeout_s, done)
        self.reply: LongFrame | None = None
        self.strays: list[LongFrame] = []
        self._address = address
        self._reader = FrameReader(fast=False, long=True)

    def feed(self, chunk: bytes) -> bool:
        """Take bytes; complete with the reply of this type, tag and (unless it names a uid) address."""
        self._sort(self._reader.feed(chunk))
        return self.reply is not None

    def flush(self) -> None:
        """Look behind false starts."""
        self._sort(self._reader.flush())

    @property
    def crc_errors(self) -> int:
        """Replies that were damaged."""
        return self._reader.tally.crc_errors

    def _sort(self, found: list[LongFrame | bytes]) -> None:
        for frame in found:
            if not isinstance(frame, LongFrame):
                continue
            if self.reply is None and self._is_answer(frame):
                self.reply = frame
            else:
                self.strays.append(frame)
                del self.strays[:-8]

    def _is_answer(self, frame: LongFrame) -> bool:
        return (
            frame.type == self.request[1] | REPLY_BIT
            and frame.tag == self.request[4]
            and (self._address is None or frame.address == self._address)
        )


class CollectTransaction(Transaction):
    """WHO: whatever comes until all slots are over.

    Attributes:
        data: all bytes that came, bounded.
    """

    __slots__ = ("data",)

    def __init__(self, request: bytes, timeout_s: float, done: Callable[["Transaction", Ending], None]) -> None:
        super().__init__(request, timeout_s, done)
        self.data = b""

    def feed(self, chunk: bytes) -> bool:
        """Take bytes; never complete before the time is up."""
        self.data = (self.data + chunk)[: MAX_COLLECTED_BYTES + LONGEST_BYTES]
        return False
