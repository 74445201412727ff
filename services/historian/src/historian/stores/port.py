"""The port of a store. Every implementation faces the same tests: tests/store_contract."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import pyarrow as pa
from cellkeeper.contract.notices import Event
from cellkeeper.contract.scan_columns import ScanColumns
from cellkeeper.contract.series import TierName
from cellkeeper.contract.telemetry import ImpedanceSweep

from historian.buckets import Buckets
from historian.receipts import LostSpan, Positions

FIRST_LIFE = 1  # life of a position whose unit was never replaced


@dataclass(frozen=True, slots=True)
class LivedScan:
    """A scan and the life of each of its positions; None means that nothing was ever replaced."""

    scan: ScanColumns
    lives: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class LivedSweep:
    """An impedance sweep and the life of each of its `cells`, in their order; None where all are in their first."""

    sweep: ImpedanceSweep
    lives: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class AsideScan:
    """A scan that is kept as it came but not as a row: of the future, or older than what is kept."""

    scan: ScanColumns
    reason: Literal["future", "too_old"]


@dataclass(frozen=True, slots=True)
class StateRow:
    """What another service told of a string at one moment.

    Attributes:
        measurement: `balance`, `mode` or `estimate`.
        stored: an entry per field of the measurement, as it is stored; None where there is none.
    """

    measurement: str
    string: str
    at_ms: int
    stored: tuple[int | str | None, ...]


@dataclass(frozen=True, slots=True)
class CellStateRow:
    """What was told of all units of a string at one moment.

    Attributes:
        lives: of each position; None where all are in their first.
        counts: fields of measurement `cell_estimate` × units as they are stored, 16 bits each, little end first.
    """

    string: str
    at_ms: int
    lives: tuple[int, ...] | None
    counts: bytes


@dataclass(frozen=True, slots=True)
class WriteBatch:
    """What becomes durable together."""

    scans: Sequence[LivedScan] = ()
    lost: Sequence[LostSpan] = ()
    aside: Sequence[AsideScan] = ()
    sweeps: Sequence[LivedSweep] = ()
    events: Sequence[Event] = ()
    states: Sequence[StateRow] = ()
    cell_states: Sequence[CellStateRow] = ()


@dataclass(frozen=True, slots=True)
class CellQuestion:
    """One value of one position over `[start_ms, end_ms)`, at most `points` rows.

    Attributes:
        field: shown name of a tiered field of measurement `cell` (or `string`, with `cell` 0).
        tier: None lets the store take the coarsest tier that still gives `points` rows.
    """

    string: str
    cell: int
    field: str
    start_ms: int
    end_ms: int
    points: int
    tier: TierName | None = None


@dataclass(frozen=True, slots=True)
class StringQuestion:
    """All rows of measurement `cell` or `string` of one string over `[start_ms, end_ms)` from one tier."""

    string: str
    measurement: Literal["cell", "string"]
    start_ms: int
    end_ms: int
    tier: TierName = "full"
    max_rows: int = 1_000_000


@dataclass(frozen=True, slots=True)
class EventQuestion:
    """Events over `[start_ms, end_ms)`, newest first, at most `limit`."""

    start_ms: int
    end_ms: int
    limit: int
    kind: str | None = None
    service: str | None = None


@dataclass(frozen=True, slots=True)
class StateQuestion:
    """What was told of one string over `[start_ms, end_ms)`; only rows with a whole payload if `milestones`.

    Attributes:
        measurement: `balance`, `mode`, `estimate` or `cell_estimate`.
    """

    measurement: str
    string: str
    start_ms: int
    end_ms: int
    milestones: bool = False
    max_rows: int = 100_000


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the store wants the log book to hold."""

    kind: str
    severity: Literal["info", "warning", "error"]
    text: str
    string: str | None = None


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What one bounded step of upkeep did; `more` asks for another step soon."""

    more: bool
    did: str = ""
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True)
class StoreStats:
    """Counters for metrics and `doctor`.

    Attributes:
        bytes_on_disk: of all history, wherever it lies; None when that is not known.
        files: that the store has; None where they are a server's.
        rows_refused: those that a server will never take.
    """

    bytes_on_disk: int | None
    files: int | None
    journal_bytes: int
    rows_waiting: int
    oldest_ms: int | None
    newest_ms: int | None
    rows_refused: int = 0


class History(Protocol):
    """History of a site that is read as a whole: a store, or a backup of one.

    All tables carry `measured_at` (or `at`) as UTC milliseconds; values are in plain units, null where there is none.
    """

    def strings(self) -> list[str]:
        """Return the strings that have rows, in order of name."""
        ...

    def positions(self) -> Positions:
        """Return which numbers of which streams are durable or told as lost."""
        ...

    def string_series(self, question: StringQuestion) -> pa.Table:
        """Return rows of the storage table with shown names, in time order; of a tier, fields × statistics.

        Raises:
            QueryRefusedError: more than `max_rows` would come.
        """
        ...

    def spans(self, question: StringQuestion) -> list[tuple[int, int]]:
        """Return the `[start, end)` outside of which the question has no rows, in time order; cheap, reads no rows.

        There are never more of them than files and hours with rows.
        """
        ...

    def impedance(self, string: str, start_ms: int, end_ms: int) -> tuple[LivedSweep, ...]:
        """Return the sweeps of a string in time order."""
        ...

    def events(self, question: EventQuestion) -> tuple[Event, ...]:
        """Return the events asked for, newest first."""
        ...

    def states(self, question: StateQuestion) -> pa.Table:
        """Return `measured_at` and the fields of the measurement in plain units, in time order.

        Rows of `cell_estimate` have `cell` and `life` too, and are in order of position within a moment.

        Raises:
            QueryRefusedError: more than `max_rows` would come.
        """
        ...


class Store(History, Protocol):
    """History of a site.

    `begin` comes first. `write`, `upkeep` and `close` come from one thread at a time each; questions from any thread,
    at any time.
    """

    def begin(self) -> None:
        """Find out what is stored. Before that, sweeps and events may be written, and nothing else be asked.

        Raises:
            StoreFailedError: that cannot be found out now; try again, the text says what to do meanwhile.
        """
        ...

    def write(self, batch: WriteBatch) -> None:
        """Make the batch durable; when this returns it survives loss of power.

        A scan is one by (string, stream, seq), a sweep by (string, time, method), an event by id, a state by
        (string, time) and the field that tells rows of its measurement apart: what is already there is skipped, so a
        batch may be written again after any error. Nothing already stored is overwritten; two different scans of one
        millisecond both stay.

        Raises:
            StoreBusyError: upkeep is behind; write the same batch again in a moment.
            StoreFullError: no room; nothing of the batch may be receipted.
            StoreFailedError: the disk refused; nothing of the batch may be receipted.
        """
        ...

    def kept_from_ms(self, string: str) -> int | None:
        """Return the time before which full rows of `string` were deleted by retention; None when none ever were."""
        ...

    def latest(self) -> tuple[LivedScan, ...]:
        """Return the newest scan of every string, by measured time."""
        ...

    def cell_series(self, question: CellQuestion) -> pa.Table:
        """Return `measured_at, min, mean, max, last, n_good, n_bad`, one row per bucket that has rows, in time order.

        Extremes are exact in every tier. Where the tier has no more rows than `points`, a row is a row of the tier
        (of the full tier: min = mean = max = last). Buckets are of whole seconds, or of whole windows of the tier.
        """
        ...

    def adopt_tier(self, tier: TierName, string: str, rows: Buckets) -> None:
        """Store windows of a tier (not of full) as they are: history whose full rows are gone, from another store.

        They count instead of what there is of the same windows. Not beside `upkeep` in another thread.

        Raises:
            StoreFullError, StoreFailedError: nothing of it counts.
        """
        ...

    def upkeep(self) -> Upkeep:
        """Do one bounded step of upkeep (packing, tiers, merging, retention).

        Raises:
            StoreFullError: no room to do it; nothing is lost, try again later.
            StoreFailedError: the disk refused; nothing is lost, try again later.
        """
        ...

    def stats(self) -> StoreStats:
        """Return counters, cheap."""
        ...

    def close(self) -> None:
        """Release files; what was written stays durable."""
        ...
