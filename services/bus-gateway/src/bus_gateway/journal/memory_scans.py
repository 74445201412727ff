"""Scans while the journal cannot be written: in memory, bounded, the oldest leave first."""

from collections import deque
from collections.abc import Sequence

from bus_gateway.journal.book import MEMORY, Entry, JournalBook, StreamKey
from bus_gateway.journal.format import Kind, encode_record
from bus_gateway.journal.scan_draft import KeptScan


class MemoryScans:
    """An entry of the journal's book that is not a file.

    Args:
        limit_bytes: bound of the payloads together.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.entry = Entry(MEMORY)
        self._limit_bytes = limit_bytes
        self._records: deque[tuple[StreamKey, int, int, bytes]] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._records)

    def keep(self, scans: Sequence[KeptScan], book: JournalBook) -> int:
        """Take scans; return how many unstored ones had to leave for them."""
        for scan in scans:
            book.enter(self.entry, scan.key, scan.seq, scan.draft.measured_ms)
            self._records.append((scan.key, scan.seq, scan.draft.measured_ms, scan.payload))
            self._bytes += len(scan.payload)
        return self._trim(book)

    def payloads(self) -> dict[tuple[StreamKey, int], bytes]:
        """Return what is held, by stream and seq."""
        return {(key, seq): payload for key, seq, _, payload in self._records}

    def records(self) -> bytes:
        """Return everything as journal records."""
        return b"".join(
            encode_record(Kind.SCAN, key.string, key.stream, seq, measured_ms, payload)
            for key, seq, measured_ms, payload in self._records
        )

    def _trim(self, book: JournalBook) -> int:
        dropped = 0
        while self._records:
            key, seq, _, payload = self._records[0]
            is_stored = seq <= book.covered_to(key)
            if not is_stored and self._bytes <= self._limit_bytes:
                break
            self._records.popleft()
            self._bytes -= len(payload)
            dropped += not is_stored
            book.shrink(self.entry, key, seq + 1)
        return dropped
