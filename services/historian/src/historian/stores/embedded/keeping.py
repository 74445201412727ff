"""Upkeep of the embedded store, one bounded piece of work per call."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cellkeeper.contract.moment import from_ms
from cellkeeper.contract.series import DAY_MS, FULL, TIERS, TierName
from cellkeeper.runtime.whole_file import sync_folder

from historian.buckets import Buckets
from historian.receipts import StreamBook
from historian.stores.embedded import log_tables, state_tables
from historian.stores.embedded.adopting import adopt
from historian.stores.embedded.chores import next_build, next_merge
from historian.stores.embedded.manifest import Segment, delete_segments
from historian.stores.embedded.merging import merge
from historian.stores.embedded.packing import pack_string
from historian.stores.embedded.retention import judge
from historian.stores.embedded.shop import Shop
from historian.stores.embedded.tiering import build_windows
from historian.stores.port import Notice, Upkeep
from historian.stores.questions import TIER_AT

TIER_ORDER: Final = (FULL, *TIERS)


@dataclass(frozen=True, slots=True)
class _Doomed:
    string: str
    tier: str
    before_ms: int
    segments: list[Segment]


class Keeping:
    """Packs, computes tiers, merges and deletes.

    Args:
        shop: the parts of the store.
        keep_days: days with data per tier, 0 for ever.
    """

    def __init__(self, shop: Shop, keep_days: Mapping[str, int]) -> None:
        self._shop, self._keep_days = shop, keep_days
        self._kept = {
            (str(string), str(tier)): int(str(at))
            for string, tier, at in shop.manifest.rows("SELECT string, tier, from_ms FROM kept")
        }
        self._suspected: set[tuple[str, int]] = set()

    def kept_from_ms(self, string: str, tier: str) -> int | None:
        """Return what retention deleted up to, or None."""
        return self._kept.get((string, tier))

    def pack(self, journal: int, string: str, streams: list[tuple[str, StreamBook]]) -> None:
        """Move a string's rows of a closed journal into Parquet."""
        pack_string(self._shop, journal, string, streams)

    def adopt(self, tier: TierName, string: str, rows: Buckets) -> None:
        """Take windows of a tier whose full rows are elsewhere, or nowhere."""
        if len(rows):
            adopt(self._shop, string, TIER_AT[tier], rows)

    def forget_journal(self, directory: Path, number: int) -> None:
        """Drop the marks of a journal whose file is gone, after that is durable; else its rows would come twice."""
        sync_folder(directory)
        with self._shop.manifest.transaction() as db:
            db.execute("DELETE FROM packed WHERE journal = ?", (number,))
            log_tables.trim(db)
            state_tables.trim(db)

    def step(self) -> Upkeep:
        """Do the first piece of work there is."""
        for string in self._shop.holdings.strings():
            if did := self._tend(string):
                return Upkeep(more=True, did=did)
        notices = tuple(self._suspicions())
        for doomed in self._doomed():
            self._delete(doomed)
            return Upkeep(more=True, did=f"{doomed.tier} of {doomed.string} deleted", notices=notices)
        return Upkeep(more=False, notices=notices)

    def _tend(self, string: str) -> str:
        held = self._shop.holdings
        segments: dict[str, list[Segment]] = {tier.name: held.segments(string, tier.name) for tier in TIER_ORDER}
        closed = self._closed_before_ms(string, segments["full"])
        build = next_build(closed, {tier.name: held.dirty(string, tier.name) for tier in TIERS})
        chore = next_merge(closed, segments)
        if chore is not None and (build is None or chore.segments[0].tier == "full"):
            merge(self._shop, chore.segments, chore.level)
            return f"{chore.segments[0].tier} of {string} merged"
        if build is not None:
            build_windows(self._shop, string, build.tier, build.windows)
            return f"{TIERS[build.tier].name} of {string} computed"
        return ""

    def _closed_before_ms(self, string: str, full: list[Segment]) -> int:
        with self._shop.holdings.lock:
            hot = self._shop.holdings.hot.views(string)
        if hot:
            return min(int(block.at_ms.min()) for block in hot)
        return max((segment.end_ms for segment in full), default=0)

    def _suspicions(self) -> Iterator[Notice]:
        for string in self._shop.holdings.strings():
            day = judge(_spans(self._shop.holdings.segments(string, FULL.name)), 0).suspect_day
            if day is not None and (string, day) not in self._suspected:
                self._suspected.add((string, day))
                yield Notice(
                    "retention.clock_doubted",
                    "warning",
                    f"rows of {string} jump ahead to {from_ms(day * DAY_MS):%Y-%m-%d}; retention ignores them until a "
                    "second day confirms them. Check the clock of the gateway",
                    string,
                )

    def _doomed(self) -> Iterator[_Doomed]:
        for string in self._shop.holdings.strings():
            for at, tier in enumerate(TIER_ORDER):
                segments = self._shop.holdings.segments(string, tier.name)
                before = judge(_spans(segments), self._keep_days.get(tier.name, tier.keep_days)).delete_before_ms
                if before is None:
                    continue
                needed = [w for above in TIERS[at:] for w in self._shop.holdings.dirty(string, above.name)]
                going = [s for s in segments if s.end_ms < before and not any(s.end_ms >= w for w in needed)]
                if going:
                    yield _Doomed(string, tier.name, before, going)

    def _delete(self, doomed: _Doomed) -> None:
        before = max(doomed.before_ms, self._kept.get((doomed.string, doomed.tier), 0))
        with self._shop.manifest.transaction() as db:
            delete_segments(db, doomed.segments)
            db.execute("INSERT OR REPLACE INTO kept VALUES (?,?,?)", (doomed.string, doomed.tier, before))
        self._kept[doomed.string, doomed.tier] = before
        self._shop.holdings.swap(gone=doomed.segments)


def _spans(segments: list[Segment]) -> Iterator[tuple[int, int]]:
    return ((segment.start_ms, segment.end_ms) for segment in segments)
