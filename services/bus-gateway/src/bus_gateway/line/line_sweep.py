"""One sweep of one line.

Every ask goes out once, rows are checked when their segment is complete, the missing are asked again, and nothing waits
longer than its share.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bus_gateway.line.counters import LineCounters
from bus_gateway.line.exchange import Exchange
from bus_gateway.line.line_turns import Priority
from bus_gateway.line.row_buffer import LOST_AFTER_SWEEPS, RowBuffer
from bus_gateway.line.slot_damage import damaged_slots
from bus_gateway.line.sweep import MAX_RE_ASKS, Ask, LinePlan, Segment, re_asks
from bus_gateway.line.transaction import Ending, FastTransaction, Transaction
from bus_gateway.wire import encode
from bus_gateway.wire.decode import FastColumns, Flags, ValueCode, columns, intact
from bus_gateway.wire.frame import FAST_BYTES, LongFrame, find_frames

type SegmentTaker = Callable[[Segment, FastColumns, Flags, Flags], None]
"""Called with the segment, its replies (rubbish where not answered), who answered, and where damaged bytes came."""


class LineSweep:
    """Reads one sample from one line.

    Args:
        plan: of the line.
        buffer: of the line.
        exchange: of the line's open port.
        counters: counted up here.
        sample_id: that was broadcast.
        take: called once for each segment; the pseudo segment of the sensors has string "".
        done: called once after the last segment.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # everything a sweep touches
        self,
        plan: LinePlan,
        buffer: RowBuffer,
        exchange: Exchange,
        counters: LineCounters,
        sample_id: int,
        take: SegmentTaker,
        done: Callable[[], None],
    ) -> None:
        self.replies = 0
        self._plan = plan
        self._buffer = buffer
        self._exchange = exchange
        self._counters = counters
        self._sample_id = sample_id
        self._take = take
        self._done = done
        self._is_over = False
        self._asks_left = len(plan.asks)
        self._segments = [Segment("", 0, plan.sensor_rows, 0)] if plan.sensor_rows else []
        self._segments += plan.segments
        self._next_segment = 0
        self._rows_done = 0
        self._incomplete: list[Segment] = []
        self._open_re_asks = 0
        self._whole: list[Ask] = []
        self._round = 0
        self._is_late = False

    @property
    def is_over(self) -> bool:
        """Whether every segment has been handed over."""
        return self._is_over

    def start(self) -> None:
        """Queue every ask of the plan."""
        self._buffer.forget()
        timing = self._exchange.timing
        tag = self._exchange.next_tag
        for ask in self._plan.asks:
            if ask.first is None:
                addresses = self._plan.addresses[ask.start : ask.stop].tolist()
                request = encode.listed(addresses, self._sample_id, ask.page, tag())
            else:
                request = encode.train(ask.first, ask.count, self._sample_id, ask.page, tag())
            timeout_s = timing.slots_end_s(ask.count) + timing.slack_s
            last = int(self._plan.addresses[ask.stop - 1])
            self._exchange.submit(_AskTransaction(request, timeout_s, self._on_ask, ask, last), Priority.SWEEP)
        if not self._plan.asks:
            self._finish()

    def abandon(self) -> None:
        """The time is up: hand over what is there, the rest as bus errors."""
        self._is_late = True
        self._exchange.drop(Priority.SWEEP)  # ends every queued ask, and with the last of them perhaps this sweep
        if not self.is_over:
            self._incomplete += self._segments[self._next_segment :]
            self._next_segment = len(self._segments)
            self._finish()

    def _on_ask(self, transaction: Transaction, ending: Ending) -> None:
        if self._is_over or not isinstance(transaction, _AskTransaction):
            return
        ask = transaction.ask
        if len(transaction.data) == ask.count * FAST_BYTES:
            self._buffer.put(ask.start, transaction.data)
            self._whole.append(ask)
        elif ending in {Ending.COMPLETE, Ending.TIMEOUT}:
            self._place(transaction.data, np.arange(ask.start, ask.stop), is_first=True)
        self._asks_left -= 1
        self._rows_done = ask.stop
        self._close_segments()
        if not self._asks_left:
            self._ask_again()

    def _close_segments(self) -> None:
        while self._next_segment < len(self._segments) and self._segments[self._next_segment].stop <= self._rows_done:
            segment = self._segments[self._next_segment]
            self._next_segment += 1
            if not self._is_handed_over(segment, is_last=False):
                self._incomplete.append(segment)

    def _is_handed_over(self, segment: Segment, *, is_last: bool) -> bool:
        """Check a segment's rows and hand it over, unless asking again may complete it."""
        start, stop = segment.start, segment.stop
        rows = self._buffer.rows[start:stop]
        answered = intact(rows, self._plan.addresses[start:stop], self._sample_id)
        replies = columns(rows)
        is_complete = bool(answered.all())
        is_early = replies.code is not None and bool(((replies.code == ValueCode.NOT_FINISHED) & answered).any())
        if not is_last and (not is_complete or (is_early and self._round == 0)):
            return False
        damaged = self._buffer.damaged[start:stop]
        if not is_complete:
            damaged = damaged | self._buffer.may_be_unasked(slice(start, stop))
        self._count(segment, answered, is_complete=is_complete)
        self._take(segment, replies, answered, damaged)
        return True

    def _count(self, segment: Segment, answered: Flags, *, is_complete: bool) -> None:
        span = slice(segment.start, segment.stop)
        silent, spoiled = self._buffer.silent_sweeps[span], self._buffer.damaged_sweeps[span]
        if is_complete:
            self.replies += len(silent)
            silent[:] = 0
            spoiled[:] = 0
            return
        self.replies += int(answered.sum())
        damaged = self._buffer.damaged[span] & ~answered
        silent[:] = np.where(~answered & ~damaged, np.minimum(silent, 254) + 1, 0)
        spoiled[:] = np.where(damaged, np.minimum(spoiled, 254) + 1, 0)

    def _ask_again(self) -> None:
        if self._incomplete and self._round == 0:
            self._hunt_slipped()
        self._incomplete = [segment for segment in self._incomplete if not self._is_handed_over(segment, is_last=False)]
        missing = self._missing_rows()
        is_dead = not self.replies and len(missing) >= self._plan.rows and self._was_silent()
        if not len(missing) or is_dead or self._round >= MAX_RE_ASKS or self._is_late:
            self._finish()
            return
        self._round += 1
        timing = self._exchange.timing
        lists = list(re_asks(self._plan, missing))
        self._open_re_asks = len(lists)
        for rows, first in lists:
            self._counters.retries += len(rows)
            addresses = self._plan.addresses[rows].tolist()
            page = int(self._plan.pages[rows[0]])
            tag = self._exchange.next_tag()
            if first is None:
                request = encode.listed(addresses, self._sample_id, page, tag)
            else:
                request = encode.train(first, len(rows), self._sample_id, page, tag)
            timeout_s = timing.slots_end_s(len(rows)) + timing.slack_s
            self._exchange.submit(
                _AgainTransaction(request, timeout_s, self._on_again, rows, addresses[-1]), Priority.SWEEP
            )

    def _was_silent(self) -> bool:
        """Whether nobody has answered for longer than one request that noise may have hit explains."""
        return self._round > 0 or bool(self._buffer.silent_sweeps.all())

    def _missing_rows(self) -> NDArray[np.intp]:
        """Return rows worth another LIST: damaged ones, those that answered a sweep ago, and other silent ones once.

        One that has been silent for three sweeps keeps its slot in the train and costs no LIST.
        """
        worth = np.zeros(self._plan.rows, dtype=np.bool_)
        for segment in self._incomplete:
            span = slice(segment.start, segment.stop)
            rows = self._buffer.rows[span]
            answered = intact(rows, self._plan.addresses[span], self._sample_id)
            silent_sweeps = self._buffer.silent_sweeps[span]
            again = ~answered & (self._buffer.damaged[span] | (silent_sweeps < (LOST_AFTER_SWEEPS, 1)[self._round > 0]))
            code = columns(rows).code
            if code is not None and self._round == 0:
                again |= answered & (code == ValueCode.NOT_FINISHED)
            worth[span] = again
        return np.flatnonzero(worth)

    def _hunt_slipped(self) -> None:
        """Look for replies that do not stand at their slot's place in asks of the right length."""
        for ask in self._whole:
            span = slice(ask.start, ask.stop)
            if intact(self._buffer.rows[span], self._plan.addresses[span], self._sample_id).all():
                continue
            raw = self._buffer.raw(ask.start, ask.stop)
            self._buffer.rows[span] = 0
            self._place(raw, np.arange(ask.start, ask.stop), is_first=True)

    def _on_again(self, transaction: Transaction, ending: Ending) -> None:
        if self._is_over or not isinstance(transaction, _AgainTransaction):
            return
        if ending in {Ending.COMPLETE, Ending.TIMEOUT}:
            self._place(transaction.data, transaction.rows, is_first=False)
        self._open_re_asks -= 1
        if not self._open_re_asks:
            self._ask_again()

    def _place(self, data: bytes, rows: NDArray[np.intp], *, is_first: bool) -> None:
        """Put the intact replies in `data` where they belong, and note which of the missing may have been damaged.

        Args:
            data: everything that came.
            rows: asked and not answered before, in the order of their slots.
            is_first: nothing is known of these rows yet.
        """
        before = np.zeros(len(rows), dtype=np.bool_) if is_first else self._buffer.damaged[rows]
        found, tally = find_frames(data, fast=True, long=True)
        self._counters.crc_errors += tally.crc_errors
        slot_of = dict(zip(self._plan.addresses[rows].tolist(), range(len(rows)), strict=True))
        answered: list[tuple[int, int]] = []
        strays: list[LongFrame] = []
        position = 0
        for frame in found:
            if isinstance(frame, LongFrame):
                strays.append(frame)
                continue
            position = data.index(frame, position)
            slot = slot_of.pop(frame[1] | frame[2] << 8, None)
            if slot is None:
                self._counters.unexpected += 1
            else:
                self._buffer.put(int(rows[slot]), frame)
                answered.append((slot, position))
            position += FAST_BYTES
        damaged = damaged_slots(answered, len(rows), len(data), before)
        if data:
            self._buffer.note_damage(rows, damaged)
        else:
            self._buffer.damaged[rows] = damaged
        self._exchange.note_strays(strays)

    def _finish(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._is_late = True
        for segment in self._incomplete:
            self._is_handed_over(segment, is_last=True)
        self._counters.frames += self.replies
        self._counters.sweeps += 1
        self._done()


class _AskTransaction(FastTransaction):
    __slots__ = ("ask",)

    def __init__(
        self,
        request: bytes,
        timeout_s: float,
        done: Callable[[Transaction, Ending], None],
        ask: Ask,
        last_address: int,
    ) -> None:
        super().__init__(request, timeout_s, done, ask.count, last_address)
        self.ask = ask


class _AgainTransaction(FastTransaction):
    __slots__ = ("rows",)

    def __init__(
        self,
        request: bytes,
        timeout_s: float,
        done: Callable[[Transaction, Ending], None],
        rows: NDArray[np.intp],
        last_address: int,
    ) -> None:
        super().__init__(request, timeout_s, done, len(rows), last_address)
        self.rows = rows
