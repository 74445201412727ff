"""One line: one transaction at a time, who comes next, and when to stop waiting.

Nothing here awaits a module: bytes wake a callback, and the next request leaves in the same callback that took the last
byte of a reply. What becomes of the reply is decided after that, while the next one travels.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from enum import IntEnum
from typing import Final

from bus_gateway.errors import GatewayError, PortLostError, SecondMasterError
from bus_gateway.line.counters import LineCounters
from bus_gateway.line.serial_port import BytePort
from bus_gateway.line.transaction import (
    CollectTransaction,
    Ending,
    LongTransaction,
    Transaction,
)
from bus_gateway.wire.frame import REPLY_BIT, FrameReader, LongFrame, find_frames, long_frame
from bus_gateway.wire.timing import LineTiming

COMMAND_PATIENCE_S: Final = 0.5  # after this a command goes between two trains of a sweep that takes long
LONGEST_SPIN_S: Final = 100e-6  # shorter pauses than a timer can keep are waited out
REMEMBERED_REQUESTS: Final = 16


class Priority(IntEnum):
    """Who comes first on the line."""

    STOP = 0
    SWEEP = 1
    COMMAND = 2
    BACKGROUND = 3


class LineTurns:
    """The master's end of one open port.

    Args:
        port: open; this exchange reads and writes it until `close`.
        timing: of the line.
        counters: counted up here.
        on_end: called once when the exchange ends by itself, with the reason.
    """

    def __init__(
        self,
        port: BytePort,
        timing: LineTiming,
        counters: LineCounters,
        on_end: Callable[[GatewayError], None],
    ) -> None:
        self.timing = timing
        self.ended: GatewayError | None = None
        self._port = port
        self.counters = counters
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._queues: tuple[deque[tuple[float, Transaction]], ...] = tuple(deque() for _ in Priority)
        self._active: Transaction | None = None
        self._deadline_s = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._free_at_s = 0.0
        self._hold: asyncio.Future[None] | None = None
        self._idle_reader = FrameReader(fast=False, long=True)
        self._sent: deque[bytes] = deque(maxlen=REMEMBERED_REQUESTS)
        self._tag = 0
        self._loop.add_reader(port.fileno(), self._on_readable)

    def next_tag(self) -> int:
        """Return a tag that tells this request's reply from late ones."""
        self._tag = (self._tag + 1) & 0xFF
        return self._tag

    def submit(self, transaction: Transaction, priority: Priority) -> None:
        """Queue a transaction; its `done` is called in any case, at once when the line has ended."""
        if self.ended is not None:
            transaction.end(_ending_of(self.ended))
            return
        self._queues[priority].append((self._loop.time(), transaction))
        if self._active is None and self._pause is None:
            self._start_next()

    def drop(self, priority: Priority) -> None:
        """Forget what is queued with this priority; the active transaction runs on."""
        queue = self._queues[priority]
        while queue:
            queue.popleft()[1].end(Ending.DROPPED)

    async def hold(self) -> None:
        """Wait until the line is idle and keep it so until `send_held`; a second hold takes over from the first.

        Raises:
            GatewayError: the line has ended.
        """
        if self.ended is not None:
            raise self.ended
        waiter = self._hold = self._loop.create_future()
        if self._active is None and self._pause is None:
            waiter.set_result(None)
        await waiter

    def send_held(self, frame: bytes | None) -> None:
        """Send a broadcast on the held line at once (None: nothing), and let it go on."""
        self._hold = None
        if self.ended is None:
            if frame is not None:
                self._write(frame)
            self._start_next()

    def note_strays(self, frames: list[LongFrame]) -> None:
        """Judge frames that were no answer: an echo, an unexpected reply, or somebody else's request."""
        for frame in frames:
            if long_frame(frame.type, frame.address, frame.tag, frame.payload) in self._sent:
                continue
            self.counters.unexpected += 1
            if not frame.type & REPLY_BIT:
                self._end(
                    SecondMasterError(f"{self._port.name}: somebody else sent a request of type 0x{frame.type:02x}")
                )
                return

    def close(self) -> None:
        """Stop reading, end everything that waits, and let go of the port."""
        self._end(PortLostError(f"{self._port.name} is closed"), tell=False)

    def _on_readable(self) -> None:
        try:
            chunk = self._port.read()
        except PortLostError as exc:
            self._end(exc)
            return
        self.counters.bytes_in += len(chunk)
        active = self._active
        if active is None:
            self.counters.stray_bytes += len(chunk)
            self.note_strays([frame for frame in self._idle_reader.feed(chunk) if isinstance(frame, LongFrame)])
        elif active.feed(chunk):
            self._end_active(Ending.COMPLETE)

    def _end_active(self, ending: Ending) -> None:
        ended = self._active
        self._active = None
        self._free_at_s = self._loop.time() + self.timing.gap_s
        self._start_next()
        if ended is not None:
            self._look_for_strays(ended)
            ended.end(ending)

    def _look_for_strays(self, ended: Transaction) -> None:
        if isinstance(ended, LongTransaction):
            self.counters.frames += ended.reply is not None
            self.counters.crc_errors += ended.crc_errors
            if ended.strays:
                self.note_strays(ended.strays)
        elif isinstance(ended, CollectTransaction):
            found, tally = find_frames(ended.data, fast=False, long=True)
            self.counters.crc_errors += tally.crc_errors
            requests = [frame for frame in found if isinstance(frame, LongFrame) and not frame.type & REPLY_BIT]
            self.counters.frames += len(found) - len(requests)
            self.note_strays(requests)

    def _start_next(self) -> None:
        if self._active is not None or self.ended is not None:
            return
        if self._hold is not None:
            if not self._hold.done():
                self._hold.set_result(None)
            return
        if not self._port.is_stream and self._must_pause():
            return
        while (chosen := self._choose()) is not None:
            if not chosen.is_wanted:
                chosen.end(Ending.DROPPED)
                continue
            self._begin(chosen)
            return

    def _must_pause(self) -> bool:
        """Keep the pause between two transmitters; a short one is waited out, a long one by a timer."""
        wait_s = self._free_at_s - self._loop.time()
        if wait_s > LONGEST_SPIN_S:
            if self._pause is None:
                self._pause = self._loop.call_later(wait_s, self._after_pause)
            return True
        while self._loop.time() < self._free_at_s:
            pass
        return False

    def _after_pause(self) -> None:
        self._pause = None
        self._start_next()

    def _choose(self) -> Transaction | None:
        stop, sweep, command, background = self._queues
        if stop:
            return stop.popleft()[1]
        waits_long = bool(command) and self._loop.time() - command[0][0] > COMMAND_PATIENCE_S
        for queue in (command, sweep, background) if waits_long else (sweep, command, background):
            if queue:
                return queue.popleft()[1]
        return None

    def _begin(self, transaction: Transaction) -> None:
        if not self._write(transaction.request):
            transaction.end(Ending.PORT_LOST)
            return
        if not transaction.timeout_s:
            self._loop.call_soon(self._sent_alone, transaction)
            self._active = transaction
            self._deadline_s = float("inf")
            return
        self._active = transaction
        self._deadline_s = self._free_at_s + transaction.timeout_s
        if self._alarm is None or self._deadline_s < self._alarm.when():
            self._set_alarm()

    def _sent_alone(self, transaction: Transaction) -> None:
        if self._active is transaction:
            free_at_s = self._free_at_s
            self._active = None
            self._free_at_s = free_at_s + self.timing.gap_s
            self._start_next()
            transaction.end(Ending.COMPLETE)

    def _write(self, frame: bytes) -> bool:
        try:
            self._port.write(frame)
        except PortLostError as exc:
            self._end(exc)
            return False
        self._sent.append(frame)
        self.counters.requests += 1
        self.counters.bytes_out += len(frame)
        self._free_at_s = max(self._loop.time(), self._free_at_s) + self.timing.frame_s(len(frame))
        return True

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._loop.call_at(self._deadline_s, self._on_alarm)

    def _on_alarm(self) -> None:
        # One timer serves all transactions of the line: it looks whether its time has come and sets itself again.
        self._alarm = None
        active = self._active
        if active is None or self._deadline_s == float("inf"):
            return
        if self._loop.time() < self._deadline_s:
            self._set_alarm()
            return
        active.flush()
        self.counters.timeouts += 1
        self._end_active(Ending.TIMEOUT)

    def _end(self, reason: GatewayError, *, tell: bool = True) -> None:
        if self.ended is not None:
            return
        self.ended = reason
        for handle in (self._alarm, self._pause):
            if handle is not None:
                handle.cancel()
        self._loop.remove_reader(self._port.fileno())
        self._port.close()
        if self._hold is not None and not self._hold.done():
            self._hold.set_exception(reason)
        waiting = [] if self._active is None else [self._active]
        self._active = None
        for queue in self._queues:
            waiting += [transaction for _, transaction in queue]
            queue.clear()
        for transaction in waiting:
            transaction.end(_ending_of(reason))
        if tell:
            self._on_end(reason)


def _ending_of(reason: GatewayError) -> Ending:
    return Ending.SECOND_MASTER if isinstance(reason, SecondMasterError) else Ending.PORT_LOST
