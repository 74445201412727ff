"""Move history: scans piece by piece, then tiers whose full rows are gone, then the log; at last both are compared.

What the target has already is not written again: a run that was cut off goes on where it was. The source is only read.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from cellkeeper.contract.moment import to_ms
from cellkeeper.contract.series import DAY_MS, TIERS, TierName

from historian.errors import StoreBusyError
from historian.migration.rebuilding import buckets_of, scans_of
from historian.receipts import LostSpan
from historian.stores.port import (
    CellStateRow,
    EventQuestion,
    History,
    LivedScan,
    StateQuestion,
    StateRow,
    Store,
    StringQuestion,
    WriteBatch,
)
from historian.stores.state_rows import NAMES, StateName, rows_of

PIECE_MS: Final = 600_000
TIER_PIECE_MS: Final = 32 * 86_400_000
SCANS_AT_ONCE: Final = 60
EVENTS_AT_ONCE: Final = 10_000
MAX_ROWS: Final = 100_000_000  # a piece is bounded by its length
BUSY_S: Final = 0.05
ALWAYS: Final = (0, 4_102_444_800_000)  # 1970 to 2100


@dataclass(frozen=True, slots=True)
class Progress:
    """Piece `done` of `pieces` of a part; `moved` scans, rows of a tier or log rows were new to the target."""

    part: str
    done: int
    pieces: int
    moved: int = 0


@dataclass(frozen=True, slots=True)
class Difference:
    """The stores do not say the same over `[start_ms, end_ms)`."""

    string: str
    tier: TierName
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Move:
    """From one store of a site, or a backup, into a store.

    Attributes:
        source: only read.
        target: gets everything; its upkeep is done here.
        site: id of the site.
    """

    source: History
    target: Store
    site: str

    def run(self) -> Iterator[Progress]:
        """Move everything; yield after every piece.

        Raises:
            HistorianError: a store refuses; run it again later, it goes on.
        """
        for string in self.source.strings():
            yield from self._scans(string)
            self._write(WriteBatch(lost=self._accounted(string)))
        self._tend()
        for string in self.source.strings():
            for tier in TIERS:
                yield from self._tier(string, tier.name)
        yield from self._log()

    def compare(self) -> Iterator[Progress | Difference]:
        """Read both stores and compare; yield after every piece, and every difference."""
        for string in self.source.strings():
            for tier, piece_ms in (("full", PIECE_MS), *((tier.name, TIER_PIECE_MS) for tier in TIERS)):
                pieces = _pieces(self.source.spans(_ask(string, "cell", ALWAYS, tier)), piece_ms)
                for done, span in enumerate(pieces, 1):
                    if not all(self._agree(_ask(string, each, span, tier)) for each in ("cell", "string")):
                        yield Difference(string, tier, *span)
                    yield Progress(f"compare {tier} of {string}", done, len(pieces))

    def _scans(self, string: str) -> Iterator[Progress]:
        pieces = _pieces(self.source.spans(_ask(string, "cell", ALWAYS, "full")), PIECE_MS)
        for done, span in enumerate(pieces, 1):
            strings = self.source.string_series(_ask(string, "string", span, "full"))
            known = _keys(self.target.string_series(_ask(string, "string", span, "full")))
            moved = 0
            if _keys(strings) - known:
                cells = self.source.string_series(_ask(string, "cell", span, "full"))
                scans = scans_of(strings, cells, self.site, string)
                new = [each for each in scans if (each.scan.stream, each.scan.seq) not in known]
                moved = len(new)
                self._write_scans(new)
            yield Progress(f"scans of {string}", done, len(pieces), moved)

    def _write_scans(self, scans: Sequence[LivedScan]) -> None:
        for first in range(0, len(scans), SCANS_AT_ONCE):
            self._write(WriteBatch(scans=scans[first : first + SCANS_AT_ONCE]))

    def _write(self, batch: WriteBatch) -> None:
        while True:
            try:
                self.target.write(batch)
            except StoreBusyError:
                if not self.target.upkeep().more:
                    time.sleep(BUSY_S)
            else:
                return

    def _tend(self) -> None:
        while self.target.upkeep().more:
            pass

    def _accounted(self, string: str) -> list[LostSpan]:
        """Return what the source has accounted for: numbers without a row must not be waited for in the target."""
        return [
            LostSpan(string, stream, first, last)
            for stream, book in self.source.positions().get(string, {}).items()
            for first, last in book.accounted
        ]

    def _tier(self, string: str, tier: TierName) -> Iterator[Progress]:
        """Move windows that began before the first full row; the target computed the others itself."""
        full = self.source.spans(_ask(string, "cell", ALWAYS, "full"))
        first_ms = full[0][0] if full else ALWAYS[1]
        held = [span for span in self.source.spans(_ask(string, "cell", ALWAYS, tier)) if span[0] < first_ms]
        pieces = _pieces([(start, min(end, first_ms)) for start, end in held], TIER_PIECE_MS)
        for done, span in enumerate(pieces, 1):
            moved = 0
            for measurement in ("cell", "string"):
                rows = self.source.string_series(_ask(string, measurement, span, tier))
                if rows.num_rows and not self._agree(_ask(string, measurement, span, tier)):
                    self.target.adopt_tier(tier, string, buckets_of(rows))
                    moved += rows.num_rows
            yield Progress(f"{tier} of {string}", done, len(pieces), moved)

    def _log(self) -> Iterator[Progress]:
        sweeps = [each for string in self.source.strings() for each in self.source.impedance(string, *ALWAYS)]
        self._write(WriteBatch(sweeps=sweeps))
        yield Progress("impedance sweeps", 1, 1, len(sweeps))
        for string in self.source.strings():
            for name in NAMES:
                yield from self._states(string, name)
        end_ms = ALWAYS[1]
        while events := self.source.events(EventQuestion(ALWAYS[0], end_ms, EVENTS_AT_ONCE)):
            self._write(WriteBatch(events=events))
            yield Progress("events", 1, 1, len(events))
            oldest_ms = to_ms(events[-1].at)
            if len(events) < EVENTS_AT_ONCE or oldest_ms + 1 >= end_ms:
                return
            end_ms = oldest_ms + 1  # those of the same millisecond come again and are the same rows

    def _states(self, string: str, name: StateName) -> Iterator[Progress]:
        """Move what was told of a string; a day at the ends is for what came without a scan."""
        spans = [*self.source.spans(_ask(string, "cell", ALWAYS, "full")),
                 *self.source.spans(_ask(string, "cell", ALWAYS, TIERS[-1].name))]  # fmt: skip
        first_ms, end_ms = min(span[0] for span in spans), max(span[1] for span in spans)
        pieces = _pieces([(first_ms - DAY_MS, end_ms + DAY_MS)], TIER_PIECE_MS)
        for done, span in enumerate(pieces, 1):
            question = StateQuestion(name, string, *span, max_rows=MAX_ROWS)
            known = set(rows_of(self.target.states(question), name, string))
            new = [row for row in rows_of(self.source.states(question), name, string) if row not in known]
            if new:
                of_units = [row for row in new if isinstance(row, CellStateRow)]
                self._write(WriteBatch(states=[r for r in new if isinstance(r, StateRow)], cell_states=of_units))
            yield Progress(f"{name} of {string}", done, len(pieces), len(new))

    def _agree(self, question: StringQuestion) -> bool:
        ours, theirs = self.source.string_series(question), self.target.string_series(question)
        if ours.num_rows != theirs.num_rows:
            return False
        return all(_same(name, *(_in_order(each)[name] for each in (ours, theirs))) for name in ours.column_names)


def _in_order(table: pa.Table) -> pa.Table:
    """Return rows in one order, whatever order two scans of one millisecond had; a mean, which is rounded, last."""
    names = [name for name in table.column_names if name != "mean"]
    return table.sort_by([(name, "ascending") for name in names])


def _same(name: str, ours: Any, theirs: Any) -> bool:  # noqa: ANN401  # columns of pyarrow
    if name != "mean":
        return bool(ours.equals(theirs))
    # a store rounds a mean to a tenth of the field's resolution; the coarsest resolution of a tiered field is 0.01
    return bool(np.allclose(ours.to_numpy(), theirs.to_numpy(), rtol=0.0, atol=0.0011, equal_nan=True))


def _ask(string: str, measurement: str, span: tuple[int, int], tier: TierName) -> StringQuestion:
    return StringQuestion(string, "cell" if measurement == "cell" else "string", *span, tier, MAX_ROWS)


def _keys(strings: pa.Table) -> set[tuple[str, int]]:
    return {(str(row["stream"]), int(row["seq"])) for row in strings.select(["stream", "seq"]).to_pylist()}


def _pieces(spans: Sequence[tuple[int, int]], step_ms: int) -> list[tuple[int, int]]:
    pieces = []
    for first, end in spans:
        start = first
        while start < end:
            until = min((start // step_ms + 1) * step_ms, end)
            pieces.append((start, until))
            start = until
    return pieces
