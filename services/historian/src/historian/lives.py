"""Which life the unit at a position was in at an instant: what `site.toml` said, and since when.

A change of `life` counts from the moment on that the historian runs with it. Older rows keep their life, and so do
scans of before that arrive later, on `backfill`. The first description holds for all time before it. When the clock was
set back, what was to begin later has never begun.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from historian.stores.port import FIRST_LIFE

type Lives = Mapping[int, int]
"""Life by position; a position that is not named is in its first."""
ALWAYS_MS: Final = -(1 << 62)
MAX_CHANGES: Final = 1000  # a change a week for 20 years; the oldest is forgotten, and its rows are written long ago


@dataclass(frozen=True, slots=True)
class Since:
    """Lives of one string from an instant on, in ms since 1970 UTC."""

    from_ms: int
    lives: Lives


@dataclass(frozen=True, slots=True)
class Change:
    """A position of a string that is in another life from now on."""

    string: str
    cell: int
    life: int


@dataclass(slots=True)
class LifeBook:
    """Lives of all strings, oldest first; a string that nobody described is in its first life.

    `strings` is what has to be kept between two runs.
    """

    strings: dict[str, list[Since]] = field(default_factory=dict)

    def describe(self, string: str, lives: Lives, now_ms: int) -> list[Change]:
        """Take what `site.toml` says now; return what that changes, nothing when it is known or the first word."""
        said = {cell: life for cell, life in lives.items() if life != FIRST_LIFE}
        known = self.strings.get(string)
        if known is None:
            self.strings[string] = [Since(ALWAYS_MS, said)]
            return []
        before = known[-1].lives
        if before == said:
            return []
        begun = [since for since in known if since.from_ms < now_ms]
        self.strings[string] = [*begun, Since(now_ms, said)][-MAX_CHANGES:]
        cells = sorted({*before, *said})
        return [
            Change(string, cell, said.get(cell, FIRST_LIFE))
            for cell in cells
            if before.get(cell, FIRST_LIFE) != said.get(cell, FIRST_LIFE)
        ]

    def of(self, string: str, at_ms: int, cells: int) -> tuple[int, ...] | None:
        """Return the life of each of `cells` positions at `at_ms`; None where all are in their first."""
        for since in reversed(self.strings.get(string, ())):
            if since.from_ms <= at_ms or since.from_ms == ALWAYS_MS:
                return _as_tuple(tuple(since.lives.items()), cells)
        return None


@lru_cache(maxsize=128)  # asked at every scan
def _as_tuple(lives: tuple[tuple[int, int], ...], cells: int) -> tuple[int, ...] | None:
    named = {cell: life for cell, life in lives if cell <= cells}
    return tuple(named.get(cell, FIRST_LIFE) for cell in range(1, cells + 1)) if named else None
