"""Tiers in InfluxDB, always exact: a window counts from the tier below until it was computed and stored.

A window is dirty from before its first row is written until upkeep has stored it; a late row makes it dirty again. The
mark has a version, which every write into the window raises before and after its rows: upkeep takes away only a mark
that nobody touched since it began.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import numpy as np
from cellkeeper.contract.series import TIERS

from historian.buckets import Buckets, combine, join_buckets, no_buckets, runs_of
from historian.stores.block import Block
from historian.stores.influx.reading import MAX_CELL, Reader
from historian.stores.influx.recent import Recent
from historian.stores.influx.state import LocalState, Window
from historian.stores.questions import Span
from historian.stores.usable import STRING_CELL
from historian.stores.windows import windows_of

AT_ONCE: Final = 60  # windows of one piece of work: an hour of minutes
NEAR: Final = 8  # windows of a gap that cost less than a question
ROWS_AT_ONCE: Final = 100_000  # of units, of one question: some 35 MB while they are read


class DirtyWindows:
    """Which windows do not count, kept in the local state."""

    def __init__(self, state: LocalState) -> None:
        self._state = state
        self._lock = threading.Lock()
        self._versions: dict[tuple[str, str], dict[int, int]] = {}
        for string, tier, window in state.dirty():
            self._versions.setdefault((string, tier), {})[window] = 0

    def touch(self, string: str, times_ms: Iterable[int]) -> list[Window]:
        """Raise the versions of the windows of some times; return those that had no mark: they want `keep`."""
        fresh: list[Window] = []
        times = tuple(times_ms)
        with self._lock:
            for tier in TIERS:
                versions = self._versions.setdefault((string, tier.name), {})
                for window in sorted({at_ms // tier.window_ms * tier.window_ms for at_ms in times}):
                    if window not in versions:
                        fresh.append((string, tier.name, window))
                    versions[window] = versions.get(window, 0) + 1
        return fresh

    def keep(self, windows: list[Window]) -> None:
        """Make new marks durable."""
        if windows:
            self._state.mark(windows)

    def of(self, string: str, tier: str, among: Iterable[int] | None = None) -> dict[int, int]:
        """Return the marked windows of a tier (among some, or all) with their versions."""
        with self._lock:
            marked = self._versions.get((string, tier), {})
            return dict(marked) if among is None else {at: marked[at] for at in set(among) & marked.keys()}

    def strings(self) -> list[str]:
        """Return the strings that have marked windows."""
        with self._lock:
            return sorted({string for (string, _), versions in self._versions.items() if versions})

    def clean(self, string: str, tier: str, versions: dict[int, int]) -> None:
        """Take away the marks that have not been touched since."""
        with self._lock:
            now = self._versions.get((string, tier), {})
            done = [window for window, version in versions.items() if now.get(window) == version]
            for window in done:
                del now[window]
        self._state.clean((string, tier, window) for window in done)


class Tiers:
    """Reads and computes tiers.

    Args:
        reader: asks the server.
        recent: newest rows.
        dirty: which windows do not count.
        write: makes rows of a tier durable: name of the tier, string, rows.
    """

    def __init__(
        self, reader: Reader, recent: Recent, dirty: DirtyWindows, write: Callable[[str, str, Buckets], None]
    ) -> None:
        self._reader, self._recent, self._dirty, self._write = reader, recent, dirty, write

    def rows(self, at: int, string: str, span: Span) -> Buckets:
        """Return the rows of a tier (index into TIERS) in order; `span` is widened to whole windows."""
        tier = TIERS[at]
        width = tier.window_ms
        start, end = span.start_ms // width * width, -(-span.end_ms // width) * width
        dirty = sorted(window for window in self._dirty.of(string, tier.name) if start <= window < end)
        stored = self._reader.tier(tier.name, string, span.over(start, end))
        if not dirty:
            return stored
        return join_buckets(
            [stored.take(~np.isin(stored.at_ms, dirty)), self._fresh(at, string, span, dirty)]
        ).in_order()

    def _fresh(self, at: int, string: str, span: Span, windows: list[int]) -> Buckets:
        """Return windows, sorted, computed from what lies below; a few between them are read for fewer questions."""
        runs = runs_of(windows, TIERS[at].window_ms, NEAR)
        found = join_buckets([no_buckets(), *(self._below(at, string, span.over(*run)) for run in runs)])
        return found.take(np.isin(found.at_ms, windows))

    def _below(self, at: int, string: str, span: Span) -> Buckets:
        width = TIERS[at].window_ms
        if at > 0:
            return combine(self.rows(at - 1, string, span), width)
        complete, block = self._recent.block(string, span)
        blocks = [block] if complete else self._stored(string, span, width)
        found = [each for block in blocks if block is not None for each in windows_of(block, span, width)]
        return join_buckets([no_buckets(), *found]).in_order()

    def _stored(self, string: str, span: Span, width: int) -> Iterator[Block | None]:
        """Yield the rows of a span that the server has, whole windows at a time: as many as fit `ROWS_AT_ONCE`.

        What a window holds is seen in those before: after a long absence an hour of a large string would be 300 MB.
        """
        start_ms, windows = span.start_ms, 1
        while start_ms < span.end_ms:
            end_ms = min(start_ms + windows * width, span.end_ms)
            block = self._reader.block(string, span.over(start_ms, end_ms))
            yield block
            rows = 0 if block is None else len(block.at_ms) * max(1, len(block.keys))
            start_ms, windows = end_ms, max(1, min(ROWS_AT_ONCE * windows // rows, 2 * windows)) if rows else 1

    def work(self, string: str, newest_ms: int) -> str:
        """Compute and store one stretch of windows that are over; return what was done, "" for nothing."""
        for at, tier in enumerate(TIERS):
            versions = self._dirty.of(string, tier.name)
            over = sorted(window for window in versions if window + tier.window_ms <= newest_ms)
            if over:
                first = over[:AT_ONCE]
                self._build(at, string, first)
                self._dirty.clean(string, tier.name, {window: versions[window] for window in first})
                return f"{len(first)} windows of {tier.name} of {string} computed"
        return ""

    def _build(self, at: int, string: str, windows: list[int]) -> None:
        rows = self._fresh(at, string, Span(STRING_CELL, MAX_CELL, 0, 0), windows)
        if len(rows):
            self._write(TIERS[at].name, string, rows)
