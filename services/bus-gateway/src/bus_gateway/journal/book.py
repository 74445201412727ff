"""What the journal holds and what is stored elsewhere: pure bookkeeping of streams, spans and receipts.

A segment holds at most one gapless run of seqs per stream (damage cuts a segment short, and a segment is never
continued), so a span per segment and stream is the whole index, however many scans wait.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

MEMORY: Final = 0
"""Number of the one entry that is not a file; files count from 1."""


class StreamKey(NamedTuple):
    """A stream of a string."""

    string: str
    stream: str


@dataclass(slots=True)
class Position:
    """Where a string stands: its stream, the last seq given in it and that scan's time."""

    stream: str
    seq: int
    measured_ms: int | None


@dataclass(slots=True)
class Span:
    """Seqs `first` to `last`, without a gap."""

    first: int
    last: int


@dataclass(slots=True)
class Entry:
    """A segment (or the memory) and the spans it holds."""

    number: int
    size: int = 0
    spans: dict[StreamKey, Span] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dropped:
    """Scans that left unstored."""

    key: StreamKey
    first: int
    last: int

    @property
    def scans(self) -> int:
        """How many."""
        return self.last - self.first + 1


class JournalBook:
    """The state of the journal.

    Attributes:
        positions: by string.
        entries: oldest first; the last file entry is the one being written.
        foreign_receipts: receipts for streams or seqs that this journal never gave.
    """

    def __init__(self) -> None:
        self.positions: dict[str, Position] = {}
        self.entries: list[Entry] = []
        self.foreign_receipts = 0
        self._covered: dict[StreamKey, int] = {}
        self._given: dict[StreamKey, int] = {}
        self._oldest: dict[StreamKey, int] = {}

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.entries if entry.number != MEMORY)

    def key_of(self, string: str) -> StreamKey:
        """Return the stream that a string writes now."""
        return StreamKey(string, self.positions[string].stream)

    def begin_stream(self, string: str, stream: str, measured_ms: int | None = None) -> None:
        """Let a string count from 1 in a new stream."""
        self.positions[string] = Position(stream, 0, measured_ms)

    def enter(self, entry: Entry, key: StreamKey, seq: int, measured_ms: int) -> None:
        """Note a scan that `entry` holds now."""
        span = entry.spans.get(key)
        if span is None:
            entry.spans[key] = Span(seq, seq)
        else:
            span.last = seq
        self._given[key] = max(seq, self._given.get(key, 0))
        self._oldest.setdefault(key, seq)
        position = self.positions.get(key.string)
        if position is None or position.stream != key.stream:
            self.positions[key.string] = Position(key.stream, seq, measured_ms)
        else:
            position.seq, position.measured_ms = seq, measured_ms

    def restore_position(self, key: StreamKey, seq: int, measured_ms: int | None) -> None:
        """Take over what an older segment says about where a string stood."""
        self.positions[key.string] = Position(key.stream, seq, measured_ms)
        self._given[key] = max(seq, self._given.get(key, 0))

    def cover(self, key: StreamKey, seq: int) -> bool:
        """Note a receipt; False when it says nothing new or is not about anything we gave."""
        if seq > self._given.get(key, -1):
            self.foreign_receipts += 1
            return False
        if seq <= self._covered.get(key, -1):
            return False
        self._covered[key] = seq
        self._find_oldest(key)
        return True

    def covered_to(self, key: StreamKey) -> int:
        """Return the last seq that is stored elsewhere; 0 when none is."""
        return max(0, self._covered.get(key, 0))

    def given_to(self, key: StreamKey) -> int:
        """Return the last seq given in a stream, 0 when none."""
        return self._given.get(key, 0)

    def oldest_seq(self, key: StreamKey) -> int | None:
        """Return the oldest seq that can be sent and is not stored elsewhere, None when there is none."""
        return self._oldest.get(key)

    def next_held(self, key: StreamKey, seq: int) -> int | None:
        """Return the first seq from `seq` on that some entry holds."""
        for entry in self.entries:
            span = entry.spans.get(key)
            if span is not None and span.last >= seq:
                return max(seq, span.first)
        return None

    def waiting(self) -> Iterator[StreamKey]:
        """Yield every stream with scans that are not stored elsewhere."""
        return iter(list(self._oldest))

    def waiting_scans(self, string: str | None = None) -> int:
        """Return how many scans wait for a receipt, of one string or of all."""
        return sum(
            span.last - max(span.first, self.covered_to(key) + 1) + 1
            for entry in self.entries
            for key, span in entry.spans.items()
            if span.last > self.covered_to(key) and string in (None, key.string)
        )

    def take_freed(self) -> list[int]:
        """Forget the files that hold nothing uncovered, but for the newest, and return their numbers."""
        freed = [
            entry
            for entry in self._files()[:-1]
            if all(span.last <= self.covered_to(key) for key, span in entry.spans.items())
        ]
        for entry in freed:
            self.entries.remove(entry)
        self._forget_ended_streams()
        return [entry.number for entry in freed]

    def drop_oldest(self) -> tuple[int, list[Dropped]] | None:
        """Forget the oldest file; return its number and what was lost with it. None when only the newest is left."""
        files = self._files()
        if len(files) < 2:
            return None
        entry = files[0]
        self.entries.remove(entry)
        return entry.number, self.lost_with(entry.spans)

    def shrink(self, entry: Entry, key: StreamKey, first: int) -> None:
        """Note that `entry` holds scans of a stream from `first` on only."""
        span = entry.spans.get(key)
        if span is None:
            return
        span.first = max(span.first, first)
        if span.first > span.last:
            del entry.spans[key]
        self._find_oldest(key)

    def lost_with(self, spans: dict[StreamKey, Span]) -> list[Dropped]:
        """Return what was uncovered in spans that are gone, and let `oldest_seq` move past it."""
        lost = []
        for key, span in spans.items():
            first = max(span.first, self.covered_to(key) + 1)
            if first <= span.last:
                lost.append(Dropped(key, first, span.last))
            self._find_oldest(key)
        return lost

    def receipts(self) -> Iterator[tuple[StreamKey, int]]:
        """Yield how far each stream is stored elsewhere."""
        return iter(list(self._covered.items()))

    def _files(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.number != MEMORY]

    def _find_oldest(self, key: StreamKey) -> None:
        oldest = self.next_held(key, self.covered_to(key) + 1)
        if oldest is None:
            self._oldest.pop(key, None)
        else:
            self._oldest[key] = oldest

    def _forget_ended_streams(self) -> None:
        held = {key for entry in self.entries for key in entry.spans}
        held |= {self.key_of(string) for string in self.positions}
        for known in (self._covered, self._given):
            for key in [key for key in known if key not in held]:
                del known[key]
