"""Which scans are sent again, and when: pure state per stream, driven by receipts and real time.

A scan goes on `backfill` when no receipt covers it and it was not published live, or was but `LIVE_S` ago. Per stream
a window of scans is under way. It opens with a single probe after each connect, since a broker says nothing of who
listens: the gateway is often back before the historian, and what it sent then is lost. Each receipt doubles the window
up to `WINDOW`; when none moves for a while, what is under way is sent again and the window shrinks, so that a site
without a historian is not flooded. A historian that comes back repeats its standing receipts: then the probe goes again
at once. Order within a stream is kept.
"""

from dataclasses import dataclass, field
from typing import Final

from bus_gateway.journal.book import JournalBook, StreamKey

LIVE_S: Final = 5.0  # contract: what is older goes on backfill
SETTLE_S: Final = 1.0  # after a connect the retained receipts arrive first
WINDOW: Final = 300
RETRY_FIRST_S: Final = 10.0  # a historian commits within a second; ten says that the message or the historian is gone
RETRY_CAP_S: Final = 60.0


@dataclass(slots=True)
class _Flow:
    next_seq: int = 1
    window: int = 1
    retry_s: float = RETRY_FIRST_S
    moved_s: float = 0.0
    live: dict[int, float] = field(default_factory=dict)


class Backfill:
    """Decides from the journal's book what to send again.

    Args:
        book: the journal's; it knows what is held and what is stored elsewhere.
    """

    def __init__(self, book: JournalBook) -> None:
        self._book = book
        self._flows: dict[StreamKey, _Flow] = {}
        self._linked_s: float | None = None

    def link_up(self, now_s: float) -> None:
        """The link is new: whatever was under way may be lost."""
        self._linked_s = now_s
        for key, flow in self._flows.items():
            flow.next_seq, flow.moved_s = self._book.covered_to(key) + 1, now_s
            flow.window, flow.retry_s = 1, RETRY_FIRST_S

    def published_live(self, key: StreamKey, seq: int, now_s: float) -> None:
        """Note that a scan went out on `scan`."""
        live = self._flow(key).live
        live[seq] = now_s
        while live and next(iter(live.values())) <= now_s - LIVE_S:
            del live[next(iter(live))]

    def sent(self, key: StreamKey, seq: int, now_s: float) -> None:
        """Note that a scan went out on `backfill`."""
        flow = self._flow(key)
        if flow.next_seq <= self._book.covered_to(key) + 1:
            flow.moved_s = now_s  # the first one under way starts the wait for a receipt
        flow.next_seq = seq + 1

    def receipt(self, key: StreamKey, now_s: float) -> None:
        """Note that a receipt moved."""
        flow = self._flow(key)
        flow.moved_s, flow.retry_s = now_s, RETRY_FIRST_S
        flow.window = min(WINDOW, flow.window * 2)
        covered = self._book.covered_to(key)
        for seq in [seq for seq in flow.live if seq <= covered]:
            del flow.live[seq]

    def receipt_repeated(self, key: StreamKey, now_s: float) -> None:
        """Note a receipt that says nothing new: who stores came back, and never got what was sent before."""
        flow = self._flows.get(key)
        is_settled = self._linked_s is not None and now_s >= self._linked_s + SETTLE_S
        if flow is not None and is_settled and now_s >= flow.moved_s + SETTLE_S:
            flow.next_seq, flow.moved_s, flow.window = self._book.covered_to(key) + 1, now_s, 1

    def wanted(self, now_s: float) -> dict[StreamKey, tuple[int, int]]:
        """Return the seq ranges (inclusive) to send now, by stream."""
        self._forget()
        if self._linked_s is None or now_s < self._linked_s + SETTLE_S:
            return {}
        ranges = {}
        for key in self._book.waiting():
            span = self._range(key, self._flow(key), now_s)
            if span is not None:
                ranges[key] = span
        return ranges

    def _range(self, key: StreamKey, flow: _Flow, now_s: float) -> tuple[int, int] | None:
        covered = self._book.covered_to(key)
        flow.next_seq = max(flow.next_seq, covered + 1)
        if flow.next_seq > covered + 1 and now_s > flow.moved_s + flow.retry_s:
            flow.next_seq = covered + 1
            flow.window = max(1, flow.window // 4)
            flow.retry_s = min(RETRY_CAP_S, flow.retry_s * 2)
            flow.moved_s = now_s
        first = self._book.next_held(key, flow.next_seq)
        if first is None:
            return None
        oldest = self._book.oldest_seq(key) or first
        last = min(self._book.given_to(key), oldest + flow.window - 1)
        fresh = self._first_fresh(flow, first, now_s)
        if fresh is not None:
            last = min(last, fresh - 1)
        return (first, last) if first <= last else None

    @staticmethod
    def _first_fresh(flow: _Flow, first: int, now_s: float) -> int | None:
        return next((seq for seq, at_s in flow.live.items() if seq >= first and at_s > now_s - LIVE_S), None)

    def _flow(self, key: StreamKey) -> _Flow:
        flow = self._flows.get(key)
        if flow is None:
            flow = self._flows[key] = _Flow(self._book.covered_to(key) + 1)
        return flow

    def _forget(self) -> None:
        """Drop the state of streams that ended and hold nothing."""
        if len(self._flows) > 4 * max(16, len(self._book.positions)):
            alive = set(self._book.waiting()) | {self._book.key_of(string) for string in self._book.positions}
            self._flows = {key: flow for key, flow in self._flows.items() if key in alive}
