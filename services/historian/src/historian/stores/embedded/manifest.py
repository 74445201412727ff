"""The manifest: which files are history, in one SQLite database whose transactions move stretches between files.

Tables: `segment` (a Parquet file), `packed` (which strings of which journal already lie in Parquet), `dirty` (tier
windows to be computed again), `position` (accounted numbers per stream), `kept` (what retention deleted up to),
`sweep` and `log` (impedance sweeps and events: few, small, stored whole), `balance`, `mode`,
`estimate` and `cell_estimate` (what other services tell of strings).
"""

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson
from cellkeeper.contract.series import BALANCE, CELL_ESTIMATE, ESTIMATE, MODE, Measurement

from historian.errors import StoreDamagedError, StoreFailedError, StoreFullError, StoreVersionError
from historian.receipts import StreamBook
from historian.seq_spans import SeqSpans

VERSION: Final = 2
MAX_STREAMS_PER_STRING: Final = 256  # a gateway that cannot write its journal makes one stream per start
BUSY_DEADLINE_S: Final = 10.0  # only a person with sqlite3 in hand competes for the lock

_FROM_1: Final = "ALTER TABLE sweep ADD COLUMN lives TEXT;"  # those that are there were stored as of first lives
_SCHEMA: Final = """
CREATE TABLE segment (id INTEGER PRIMARY KEY, string TEXT NOT NULL, tier TEXT NOT NULL, level INTEGER NOT NULL,
    start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL, rows INTEGER NOT NULL, bytes INTEGER NOT NULL,
    file TEXT NOT NULL);
CREATE TABLE packed (journal INTEGER NOT NULL, string TEXT NOT NULL, PRIMARY KEY (journal, string)) WITHOUT ROWID;
CREATE TABLE dirty (string TEXT NOT NULL, tier TEXT NOT NULL, window_ms INTEGER NOT NULL,
    PRIMARY KEY (string, tier, window_ms)) WITHOUT ROWID;
CREATE TABLE position (string TEXT NOT NULL, stream TEXT NOT NULL, seen INTEGER NOT NULL, stored TEXT NOT NULL,
    accounted TEXT NOT NULL, PRIMARY KEY (string, stream)) WITHOUT ROWID;
CREATE TABLE kept (string TEXT NOT NULL, tier TEXT NOT NULL, from_ms INTEGER NOT NULL,
    PRIMARY KEY (string, tier)) WITHOUT ROWID;
CREATE TABLE sweep (string TEXT NOT NULL, at_ms INTEGER NOT NULL, method TEXT NOT NULL, body BLOB NOT NULL,
    lives TEXT, PRIMARY KEY (string, at_ms, method)) WITHOUT ROWID;
CREATE TABLE log (id TEXT PRIMARY KEY, at_ns INTEGER NOT NULL, service TEXT NOT NULL, kind TEXT NOT NULL,
    body BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX log_by_time ON log (at_ns);
"""


def _state_table(measurement: Measurement) -> str:
    columns = "".join(f", {e.stored} {'TEXT' if e.dtype == 'text' else 'INTEGER'}" for e in measurement.fields)
    key = f"string, at_ms, {measurement.told_by}" if measurement.told_by else "string, at_ms"
    return f"""
CREATE TABLE IF NOT EXISTS {measurement.name} (string TEXT NOT NULL, at_ms INTEGER NOT NULL{columns},
    PRIMARY KEY ({key})) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS {measurement.name}_by_time ON {measurement.name} (at_ms);
"""


_CELL_STATES: Final = f"""
CREATE TABLE IF NOT EXISTS {CELL_ESTIMATE.name} (string TEXT NOT NULL, at_ms INTEGER NOT NULL, lives TEXT,
    counts BLOB NOT NULL, PRIMARY KEY (string, at_ms)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS {CELL_ESTIMATE.name}_by_time ON {CELL_ESTIMATE.name} (at_ms);
"""
# tables that came without a new version: a program from before does not look at them
_ADDED: Final = "".join(map(_state_table, (BALANCE, MODE, ESTIMATE))) + _CELL_STATES


@dataclass(frozen=True, slots=True)
class Segment:
    """One Parquet file: rows of `string` in `tier` with times from `start_ms` to `end_ms`, both included.

    `level` is the length in ms of the span it was merged for, 0 when it came straight from a journal or a tier run.
    """

    id: int
    string: str
    tier: str
    level: int
    start_ms: int
    end_ms: int
    rows: int
    bytes: int
    file: str


class Manifest:
    """The open manifest. Safe from several threads; one transaction at a time.

    Raises:
        StoreVersionError: a newer program wrote it.
        StoreDamagedError: it is no manifest.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, timeout=BUSY_DEADLINE_S, isolation_level=None, check_same_thread=False)
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._open_schema(path)
        except sqlite3.DatabaseError as exc:
            self._db.close()
            raise _reaction(exc, StoreDamagedError(f"{path} is not a manifest: {exc}; restore it")) from exc
        except StoreVersionError:
            self._db.close()
            raise

    def _open_schema(self, path: Path) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise StoreVersionError(f"{path} has format {version}, this program knows {VERSION}; use a newer one")
        if version < VERSION:
            steps = _SCHEMA if version == 0 else _FROM_1
            self._db.executescript(f"BEGIN; {steps} PRAGMA user_version={VERSION}; COMMIT;")
        self._db.executescript(f"BEGIN; {_ADDED} COMMIT;")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Give the connection inside a transaction that is durable when the block ends, or undone on any error.

        Raises:
            StoreFullError, StoreFailedError: it could not be written.
        """
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield self._db
                except BaseException:
                    self._db.execute("ROLLBACK")
                    raise
                self._db.execute("COMMIT")
            except sqlite3.DatabaseError as exc:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise _reaction(exc, StoreFailedError(f"manifest: {exc}")) from exc

    def rows(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        """Return the rows of a query."""
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def segments(self) -> list[Segment]:
        """Return all segments, oldest id first."""
        with self._lock:
            found = self._db.execute(
                "SELECT id, string, tier, level, start_ms, end_ms, rows, bytes, file FROM segment ORDER BY id"
            ).fetchall()
        return [Segment(*row) for row in found]

    def positions(self) -> dict[str, dict[str, StreamBook]]:
        """Return the accounted numbers of every stream, in order of first sight."""
        with self._lock:
            found = self._db.execute("SELECT string, stream, stored, accounted FROM position ORDER BY seen").fetchall()
        books: dict[str, dict[str, StreamBook]] = {}
        for string, stream, stored, accounted in found:
            books.setdefault(string, {})[stream] = StreamBook(
                SeqSpans(orjson.loads(stored)), SeqSpans(orjson.loads(accounted))
            )
        return books

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._db.close()


def insert_segment(db: sqlite3.Connection, segment: Segment) -> Segment:
    """Put a segment in; return it with the id it got."""
    row = db.execute(
        "INSERT INTO segment (string, tier, level, start_ms, end_ms, rows, bytes, file) VALUES (?,?,?,?,?,?,?,?)",
        (segment.string, segment.tier, segment.level, segment.start_ms, segment.end_ms, segment.rows, segment.bytes,
         segment.file),
    )  # fmt: skip
    return Segment(
        row.lastrowid or 0, segment.string, segment.tier, segment.level, segment.start_ms, segment.end_ms,
        segment.rows, segment.bytes, segment.file,
    )  # fmt: skip


def delete_segments(db: sqlite3.Connection, segments: Iterable[Segment]) -> None:
    """Take segments out."""
    db.executemany("DELETE FROM segment WHERE id = ?", [(segment.id,) for segment in segments])


def mark_dirty(db: sqlite3.Connection, string: str, tier: str, windows: Iterable[int]) -> None:
    """Note that windows of a tier have to be computed again."""
    db.executemany("INSERT OR IGNORE INTO dirty VALUES (?,?,?)", [(string, tier, int(at)) for at in windows])


def mark_clean(db: sqlite3.Connection, string: str, tier: str, windows: Iterable[int]) -> None:
    """Note that windows of a tier are computed."""
    db.executemany(
        "DELETE FROM dirty WHERE string=? AND tier=? AND window_ms=?", [(string, tier, int(at)) for at in windows]
    )


def put_positions(db: sqlite3.Connection, string: str, streams: Sequence[tuple[str, StreamBook]]) -> None:
    """Write the accounted numbers of a string's streams; the newest `MAX_STREAMS_PER_STRING` are kept."""
    known = {row[0]: row[1] for row in db.execute("SELECT stream, seen FROM position WHERE string=?", (string,))}
    seen = max(known.values(), default=0)
    for stream, book in streams:
        if stream not in known:
            seen += 1
            known[stream] = seen
        spans = [orjson.dumps(list(part)).decode() for part in (book.stored, book.accounted)]
        db.execute("INSERT OR REPLACE INTO position VALUES (?,?,?,?,?)", (string, stream, known[stream], *spans))
    db.execute("DELETE FROM position WHERE string=? AND seen <= ?", (string, seen - MAX_STREAMS_PER_STRING))


def _reaction(
    exc: sqlite3.DatabaseError, otherwise: StoreDamagedError | StoreFailedError
) -> StoreFullError | StoreDamagedError | StoreFailedError:
    if getattr(exc, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
        return StoreFullError(f"manifest: no room on the disk ({exc}); make room, nothing acknowledged is lost")
    return otherwise
