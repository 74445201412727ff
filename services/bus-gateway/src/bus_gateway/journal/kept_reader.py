"""Reads scans back from the journal in order, a few at a time, so that they can be sent again."""

from collections.abc import Mapping
from typing import Final

from bus_gateway.journal.book import Entry, StreamKey
from bus_gateway.journal.scan_draft import with_oldest
from bus_gateway.journal.scan_keeper import PayloadOf, ScanKeeper

_HELD_ENTRIES: Final = 2  # segments kept in memory between two calls

type Found = list[tuple[StreamKey, int, bytes]]


class KeptReader:
    """Looks up ranges of kept scans.

    Attributes:
        unreadable: scans that the book knows and the file no longer holds; they are given up.
    """

    def __init__(self, keeper: ScanKeeper) -> None:
        self._keeper = keeper
        self._held: dict[int, PayloadOf] = {}
        self.unreadable = 0

    async def fetch(self, wanted: Mapping[StreamKey, tuple[int, int]], limit: int) -> Found:
        """Return up to `limit` scans of the wanted seq ranges (inclusive), each stream in order."""
        next_seq = {key: first for key, (first, _) in wanted.items()}
        found: Found = []
        for entry in list(self._keeper.book.entries):
            keys = [
                key
                for key, seq in next_seq.items()
                if key in entry.spans and entry.spans[key].first <= wanted[key][1] and entry.spans[key].last >= seq
            ]
            if not keys:
                continue
            payload_of = await self._payloads(entry.number)
            share = max(1, (limit - len(found)) // len(keys))
            for key in keys:
                found += self._some_of(entry, key, (next_seq[key], wanted[key][1]), payload_of, share)
                if found and found[-1][0] == key:
                    next_seq[key] = found[-1][1] + 1
            if len(found) >= limit:
                break
        return found[:limit]

    def _some_of(
        self, entry: Entry, key: StreamKey, wanted: tuple[int, int], payload_of: PayloadOf, limit: int
    ) -> Found:
        span = entry.spans.get(key)
        if span is None:
            return []
        book = self._keeper.book
        first, last = max(wanted[0], span.first), min(wanted[1], span.last)
        found: Found = []
        for seq in range(first, min(last, first + limit - 1) + 1):
            payload = payload_of(key, seq)
            if payload is None:
                if entry in book.entries:  # not freed while we read: the file is damaged since
                    self.unreadable += 1
                    book.shrink(entry, key, seq + 1)
                break
            found.append((key, seq, with_oldest(payload, book.oldest_seq(key) or seq)))
        return found

    async def _payloads(self, number: int) -> PayloadOf:
        held = self._held.pop(number, None)
        if held is None:
            held = await self._keeper.payloads(number)
        if not self._keeper.is_growing(number):
            self._held[number] = held
            while len(self._held) > _HELD_ENTRIES:
                del self._held[next(iter(self._held))]
        return held
