"""Tiers in InfluxDB, always exact: a window counts from the tier below until it was computed and stored.

A window is dirty from before its first row is written until upkeep has stored it; a late row makes it dirty again. The
mark has a version, which every write into the window raises before and after its rows: upkeep takes away only a mark
that nobody touched since it began.
"""

import threading
from collections.abc import Callable, Iterable
from typing import Final

import numpy as np
from cellkeeper.contract.series import TIERS

from historian.buckets import Buckets, combine, join_buckets, no_buckets, runs_of
from historian.stores.influx.reading import MAX_CELL, Reader
from historian.stores.influx.recent import Recent
from historian.stores.influx.state import LocalState, Window
from historian.stores.questions import Span
from historian.stores.usable import STRING_CELL
from historian.stores.windows import windows_of

AT_ONCE: Final = 60  # windows of one piece of work: an hour of minutes
NEAR: Final = 8  # windows of a gap that cost less than a question


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
        if not complete:
            block = self._reader.block(string, span)
        if block is None:
            return no_buckets()
        return join_buckets([no_buckets(), *windows_of(block, span, width)]).in_order()

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
