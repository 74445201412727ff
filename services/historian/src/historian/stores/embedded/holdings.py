"""What the store holds now: newest rows, Parquet files and dirty windows, swapped together under one lock."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from cellkeeper.contract.series import TIERS

from historian.stores.block import Block
from historian.stores.embedded.hot import HotRows
from historian.stores.embedded.manifest import Segment


@dataclass(frozen=True, slots=True)
class View:
    """A consistent picture of one string that stays readable until it is given back.

    Attributes:
        hot: newest rows, not cut to any range.
        segments: by tier, oldest id first.
        dirty: by tier, starts of windows whose stored rows do not count; hot rows make their windows dirty too.
    """

    string: str
    hot: list[Block]
    segments: dict[str, list[Segment]]
    dirty: dict[str, frozenset[int]]


@dataclass(slots=True)
class _StringHoldings:
    segments: dict[str, list[Segment]] = field(default_factory=dict)
    dirty: dict[str, set[int]] = field(default_factory=dict)


class Holdings:
    """Owner of the picture.

    Args:
        discard: called, outside the lock, with a file that left the manifest and has no reader any more.
    """

    def __init__(self, segments: Iterable[Segment], discard: Callable[[Segment], None]) -> None:
        self.lock = threading.RLock()
        self.hot = HotRows()
        self._discard = discard
        self._strings: dict[str, _StringHoldings] = {}
        self._readers: dict[int, int] = {}
        self._leaving: dict[int, Segment] = {}
        for segment in segments:
            self._add(segment)

    def _add(self, segment: Segment) -> None:
        self._of(segment.string).segments.setdefault(segment.tier, []).append(segment)

    def _of(self, string: str) -> _StringHoldings:
        return self._strings.setdefault(string, _StringHoldings())

    def strings(self) -> list[str]:
        """Return every string that has rows, in order of name."""
        with self.lock:
            return sorted(self.hot.strings() | {name for name, held in self._strings.items() if held.segments})

    def segments(self, string: str, tier: str) -> list[Segment]:
        """Return the files of a string in a tier, oldest id first."""
        with self.lock:
            return list(self._of(string).segments.get(tier, ()))

    def all_segments(self) -> list[Segment]:
        """Return every file."""
        with self.lock:
            return [s for held in self._strings.values() for files in held.segments.values() for s in files]

    def dirty(self, string: str, tier: str) -> set[int]:
        """Return the marked windows of a tier; those of hot rows are not among them."""
        with self.lock:
            return set(self._of(string).dirty.get(tier, ()))

    def swap(self, *, gone: Iterable[Segment] = (), come: Iterable[Segment] = ()) -> None:
        """Replace files; the caller has committed the same to the manifest."""
        free: list[Segment] = []
        with self.lock:
            for segment in gone:
                self._of(segment.string).segments[segment.tier].remove(segment)
                if self._readers.get(segment.id):
                    self._leaving[segment.id] = segment
                else:
                    free.append(segment)
            for segment in come:
                self._add(segment)
        for segment in free:
            self._discard(segment)

    def mark(self, string: str, tier: str, windows: Iterable[int]) -> None:
        """Make windows of a tier dirty."""
        with self.lock:
            self._of(string).dirty.setdefault(tier, set()).update(windows)

    def clean(self, string: str, tier: str, windows: Iterable[int]) -> None:
        """Make windows of a tier clean."""
        with self.lock:
            self._of(string).dirty.setdefault(tier, set()).difference_update(windows)

    @contextmanager
    def view(self, string: str) -> Iterator[View]:
        """Give a picture of a string; its files stay until the block ends."""
        with self.lock:
            held = self._of(string)
            hot = self.hot.views(string)
            segments = {tier: list(files) for tier, files in held.segments.items()}
            dirty: dict[str, frozenset[int]] = {tier.name: frozenset(held.dirty.get(tier.name, ())) for tier in TIERS}
            leased = [segment.id for files in segments.values() for segment in files]
            for number in leased:
                self._readers[number] = self._readers.get(number, 0) + 1
        try:
            yield View(string, hot, segments, _with_hot(dirty, hot))
        finally:
            self._give_back(leased)

    def _give_back(self, leased: list[int]) -> None:
        free: list[Segment] = []
        with self.lock:
            for number in leased:
                self._readers[number] -= 1
                if not self._readers[number]:
                    del self._readers[number]
                    if (segment := self._leaving.pop(number, None)) is not None:
                        free.append(segment)
        for segment in free:
            self._discard(segment)


def _with_hot(dirty: dict[str, frozenset[int]], hot: list[Block]) -> dict[str, frozenset[int]]:
    return {tier.name: dirty[tier.name].union(*(windows_of(block, tier.window_ms) for block in hot)) for tier in TIERS}


def windows_of(block: Block, window_ms: int) -> list[int]:
    """Return the starts of the windows that a block's rows touch."""
    starts: list[int] = (np.unique(block.at_ms // window_ms) * window_ms).tolist()
    return starts
