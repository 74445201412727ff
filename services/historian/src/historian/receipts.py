"""What may be receipted: pure bookkeeping of streams, gaps and what the gateway had to drop.

Per string and stream two sets of numbers are kept: the stored ones, and the accounted ones, which also hold what the
gateway said, by `oldest_seq`, that it can never send (a loss, told once). The receipt is the end of the accounted span
from 0. A number told as lost that arrives after all is stored nevertheless.
Nothing here changes before the store has confirmed: `plan` looks, `confirm` books.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from historian.seq_spans import SeqSpans


@dataclass(frozen=True, slots=True)
class ScanKey:
    """The part of a scan that receipts depend on."""

    string: str
    stream: str
    seq: int
    oldest_seq: int


@dataclass(frozen=True, slots=True)
class LostSpan:
    """Numbers `first`..`last` of a stream that the gateway can not send any more."""

    string: str
    stream: str
    first: int
    last: int

    @property
    def is_loss(self) -> bool:
        """Whether scans are really gone; a stream that counts from 1 never had a number 0."""
        return self.last > 0


@dataclass(slots=True)
class StreamBook:
    """What the store has of one stream, and what is accounted for, lost numbers included."""

    stored: SeqSpans = field(default_factory=SeqSpans)
    accounted: SeqSpans = field(default_factory=SeqSpans)

    def copy(self) -> "StreamBook":
        """Return an independent book with the same entries."""
        return StreamBook(self.stored.copy(), self.accounted.copy())

    def store(self, first: int, last: int) -> None:
        """Enter numbers that are durable."""
        self.stored.add(first, last)
        self.accounted.add(first, last)

    @property
    def receipt_seq(self) -> int:
        """Return the last number of the gapless stretch from 0, or -1."""
        return self.accounted.covered_to()


type Positions = Mapping[str, Mapping[str, StreamBook]]
"""By string, by stream in order of first sight."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Everything of `stream` up to `seq` is durable or told as lost."""

    string: str
    stream: str
    seq: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What one batch means: which scans are new (by position in the batch), and which numbers are lost."""

    fresh: tuple[int, ...]
    lost: tuple[LostSpan, ...]


class Receipts:
    """Knows for every stream what is durable.

    Args:
        positions: what the store has.
    """

    def __init__(self, positions: Positions) -> None:
        self._books = {
            string: {stream: book.copy() for stream, book in streams.items()} for string, streams in positions.items()
        }

    def plan(self, keys: Iterable[ScanKey]) -> Plan:
        """Return what a batch would add; changes nothing."""
        fresh: list[int] = []
        lost: list[LostSpan] = []
        ahead: dict[tuple[str, str], StreamBook] = {}
        for at, key in enumerate(keys):
            book = ahead.get((key.string, key.stream))
            if book is None:
                known = self._books.get(key.string, {}).get(key.stream)
                book = ahead[key.string, key.stream] = known.copy() if known else StreamBook()
            for first, last in book.accounted.missing(0, key.oldest_seq - 1):
                book.accounted.add(first, last)
                lost.append(LostSpan(key.string, key.stream, first, last))
            if key.seq not in book.stored:
                book.store(key.seq, key.seq)
                fresh.append(at)
        return Plan(tuple(fresh), tuple(lost))

    def confirm(self, keys: Iterable[ScanKey], lost: Iterable[LostSpan]) -> list[Receipt]:
        """Book what is durable now; return the receipts that moved, at most one per stream."""
        before: dict[tuple[str, str], int] = {}
        for span in lost:
            book = self._book(span.string, span.stream)
            before.setdefault((span.string, span.stream), book.receipt_seq)
            book.accounted.add(span.first, span.last)
        for key in keys:
            book = self._book(key.string, key.stream)
            before.setdefault((key.string, key.stream), book.receipt_seq)
            book.store(key.seq, key.seq)
        return [
            Receipt(string, stream, now)
            for (string, stream), then in before.items()
            if (now := self._books[string][stream].receipt_seq) > then
        ]

    def standing(self) -> list[Receipt]:
        """Return the receipt of every known stream, oldest stream of each string first."""
        return [
            Receipt(string, stream, book.receipt_seq)
            for string, streams in self._books.items()
            for stream, book in streams.items()
            if book.receipt_seq >= 0
        ]

    def open_gaps(self) -> int:
        """Return how many gaps wait for `backfill`, over all streams."""
        return sum(
            len(book.accounted) - (book.receipt_seq >= 0)
            for streams in self._books.values()
            for book in streams.values()
        )

    def _book(self, string: str, stream: str) -> StreamBook:
        return self._books.setdefault(string, {}).setdefault(stream, StreamBook())


@dataclass(slots=True)
class ReceiptPace:
    """Holds back the receipts of a string that moves one by one: each second scan is told, a single one after a while.

    A receipt stands for all before it and costs historian, broker and gateway a message each, as much as a tenth of the
    whole path at 1 Hz. A string that catches up is told with every group.

    Attributes:
        hold_s: how long a receipt waits at most, in seconds of the caller's clock.
    """

    hold_s: float
    _given: dict[tuple[str, str], tuple[int, float]] = field(default_factory=dict)
    _held: dict[tuple[str, str], Receipt] = field(default_factory=dict)

    def offer(self, receipts: Iterable[Receipt], now_s: float) -> list[Receipt]:
        """Return those of `receipts` that are to be given now; the others wait."""
        due = []
        for receipt in receipts:
            key = (receipt.string, receipt.stream)
            seq, at_s = self._given.get(key, (-1, -math.inf))
            if receipt.seq == seq + 1 and now_s < at_s + self.hold_s:
                self._held[key] = receipt
            else:
                due.append(receipt)
                self.gave(receipt, now_s)
        return due

    def overdue(self, now_s: float) -> list[Receipt]:
        """Return what has waited long enough, as given."""
        due = [receipt for key, receipt in self._held.items() if now_s >= self._given[key][1] + self.hold_s]
        for receipt in due:
            self.gave(receipt, now_s)
        return due

    def gave(self, receipt: Receipt, now_s: float) -> None:
        """Note that a receipt was given."""
        key = (receipt.string, receipt.stream)
        self._held.pop(key, None)
        self._given[key] = (receipt.seq, now_s)

    @property
    def holds(self) -> bool:
        """Whether a receipt waits."""
        return bool(self._held)
