"""Which numbers of which streams are on the server: kept here, and found again after a start."""

import threading
from collections.abc import Iterable

import numpy as np

from historian.receipts import LostSpan, Positions, StreamBook
from historian.stores.block import Block
from historian.stores.influx.reading import Reader
from historian.stores.influx.row_times import RowTimes
from historian.stores.influx.state import LocalState
from historian.stores.port import AsideScan

LOOK_BACK_MS = 10 * 60_000  # what a loss of power may have taken from the saved books, and far more
LOOK_BACK_WITHOUT_BOOKS_MS = 86_400_000
SAVE_EVERY = 16  # writes; what a crash forgets is found among the newest rows, or comes again and changes nothing


class Books:
    """The books of all streams.

    Args:
        state: where they are saved.
    """

    def __init__(self, state: LocalState) -> None:
        self._state = state
        self._lock = threading.Lock()
        self._books, self._newest_ms = state.books()
        self._unsaved: dict[tuple[str, str], StreamBook] = {}
        self._entered = 0

    def recover(self, reader: Reader, times: RowTimes) -> None:
        """Add the newest rows of the server, which the saved books may not know.

        Without any books (a new machine) a day is looked at, and everything before its rows counts as stored: the
        gateway that still has some of it will send it, and then it is stored again.
        """
        for string in reader.strings():
            end_ms = reader.edge_ms(string, newest=True)
            if end_ms is None:
                continue
            saved_ms = self._newest_ms.get(string)
            back_ms = LOOK_BACK_WITHOUT_BOOKS_MS if saved_ms is None else LOOK_BACK_MS
            start_ms = min(end_ms, end_ms if saved_ms is None else saved_ms) - back_ms
            found = reader.scans(string, start_ms, end_ms + 1000)
            if found is not None:
                self._add_rows(string, found.block, assume_earlier=saved_ms is None)
                for stream in set(found.block.stream):
                    last = np.flatnonzero(found.block.stream == stream)[-1]
                    times.note(string, stream, int(found.block.seq[last]), int(found.at_ns[last]))

    def _add_rows(self, string: str, rows: Block, *, assume_earlier: bool) -> None:
        for stream, seq in zip(rows.stream.tolist(), rows.seq.tolist(), strict=True):
            book = self._books.setdefault(string, {}).setdefault(stream, StreamBook())
            if assume_earlier and not len(book.accounted):
                book.accounted.add(0, seq - 1)
            book.store(seq, seq)
        self._newest_ms[string] = max(int(rows.at_ms.max()), self._newest_ms.get(string, 0))

    def has(self, string: str, stream: str, seq: int) -> bool:
        """Return whether a scan is stored."""
        book = self._books.get(string, {}).get(stream)
        return book is not None and seq in book.stored

    def newest_ms(self, string: str) -> int | None:
        """Return the newest stored time of a string."""
        return self._newest_ms.get(string)

    def enter(
        self, rows: Iterable[Block], strings: Iterable[str], aside: Iterable[AsideScan], lost: Iterable[LostSpan]
    ) -> None:
        """Book what is durable now, and save it now and then; what has no row, at once.

        Raises:
            StoreFullError, StoreFailedError: it cannot be saved; write the same batch again.
        """
        changed = self._unsaved
        aside, lost = tuple(aside), tuple(lost)

        def book(string: str, stream: str) -> StreamBook:
            return changed.setdefault(
                (string, stream), self._books.setdefault(string, {}).setdefault(stream, StreamBook())
            )

        with self._lock:
            for string, row in zip(strings, rows, strict=True):
                seq = int(row.seq[0])
                book(string, str(row.stream[0])).store(seq, seq)
                self._newest_ms[string] = max(int(row.at_ms[0]), self._newest_ms.get(string, 0))
            for item in aside:
                book(item.scan.string, item.scan.stream).store(item.scan.seq, item.scan.seq)
            for span in lost:
                book(span.string, span.stream).accounted.add(span.first, span.last)
            self._entered += 1
            if aside or lost or self._entered % SAVE_EVERY == 0:
                self._save(sync=bool(aside or lost))

    def save(self) -> None:
        """Save what changed."""
        with self._lock:
            self._save(sync=False)

    def _save(self, *, sync: bool) -> None:
        if self._unsaved:
            self._state.save_books(self._unsaved, self._newest_ms, sync=sync)
            self._unsaved.clear()

    def positions(self) -> Positions:
        """Return independent copies."""
        with self._lock:
            return {
                string: {stream: book.copy() for stream, book in streams.items()}
                for string, streams in self._books.items()
            }
