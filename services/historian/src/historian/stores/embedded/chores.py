"""What upkeep has to do next, apart from packing: pure choice over files and dirty windows of one string.

A stretch of time is *closed* for a string when newer rows exist and no row of it is only in the journal. Minutes are
computed when their hour is closed, the coarser tiers when their day is; files are merged when their span is closed.
Late rows make windows dirty and files small again, so the same choice repairs everything they touch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from cellkeeper.contract.series import DAY_MS, TIERS

from historian.stores.embedded.manifest import Segment

HOUR_MS: Final = 3_600_000
BUILD_SPAN_MS: Final = (HOUR_MS, DAY_MS, DAY_MS)
"""Per tier: the span whose windows become one file."""
MERGE_SPANS_MS: Final[Mapping[str, tuple[int, ...]]] = {
    "full": (HOUR_MS, 6 * HOUR_MS, DAY_MS),
    "1m": (DAY_MS,),
    "15m": (32 * DAY_MS,),
    "1d": (512 * DAY_MS,),
}
MAX_SMALL_FILES: Final = 32  # an open span is merged too when it has this many files of a lower level


@dataclass(frozen=True, slots=True)
class Build:
    """Compute these windows of a tier (index into TIERS)."""

    tier: int
    windows: list[int]


@dataclass(frozen=True, slots=True)
class Merge:
    """Make one file of these."""

    segments: list[Segment]
    level: int


def next_build(closed_before_ms: int, dirty: Mapping[str, set[int]]) -> Build | None:
    """Return the oldest span of dirty windows that can be computed, finest tier first.

    Args:
        closed_before_ms: end of the closed time of the string.
        dirty: marked windows by tier.
    """
    for tier, (rule, span_ms) in enumerate(zip(TIERS, BUILD_SPAN_MS, strict=True)):
        closed = [at for at in dirty.get(rule.name, ()) if (at // span_ms + 1) * span_ms <= closed_before_ms]
        if closed:
            first = min(closed) // span_ms
            return Build(tier, sorted(at for at in closed if at // span_ms == first))
    return None


def next_merge(closed_before_ms: int, segments: Mapping[str, Sequence[Segment]]) -> Merge | None:
    """Return files to merge, shortest span first, oldest first.

    Args:
        closed_before_ms: end of the closed time of the string.
        segments: files by tier.
    """
    for tier, spans in MERGE_SPANS_MS.items():
        for span_ms in spans:
            inside = sorted((s for s in segments.get(tier, ()) if _span_of(s, span_ms) is not None),
                            key=lambda s: (s.start_ms // span_ms, s.id))  # fmt: skip
            for at, group in groupby(inside, key=lambda s: s.start_ms // span_ms):
                files = list(group)
                small = sum(s.level < span_ms for s in files)
                ripe = (at + 1) * span_ms <= closed_before_ms or small > MAX_SMALL_FILES
                if ripe and small and len(files) > 1:
                    return Merge(files, span_ms)
    return None


def _span_of(segment: Segment, span_ms: int) -> int | None:
    """Return which span a file lies in, or None when it was merged for a longer one."""
    return segment.start_ms // span_ms if segment.level <= span_ms else None
