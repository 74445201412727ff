"""What the historian keeps beside InfluxDB: books of streams, windows to compute, and log rows that wait. SQLite.

None of it is history: with the file lost, books are taken from the newest rows again. What is here is never ahead of
the server: a book is written after its rows, a window is marked before them.
"""

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from historian.errors import StoreDamagedError, StoreFailedError, StoreFullError
from historian.receipts import StreamBook
from historian.seq_spans import SeqSpans

VERSION: Final = 1
MAX_WAITING: Final = 200_000  # log rows of about 500 bytes: 100 MB, months of a site's events
_TABLES: Final = """
CREATE TABLE book (string TEXT, stream TEXT, stored TEXT, accounted TEXT, newest_ms INTEGER,
                   PRIMARY KEY (string, stream));
CREATE TABLE dirty (string TEXT, tier TEXT, window_ms INTEGER, PRIMARY KEY (string, tier, window_ms)) WITHOUT ROWID;
CREATE TABLE waiting (lines BLOB PRIMARY KEY);
"""

type Window = tuple[str, str, int]
"""String, tier, start in ms."""


class LocalState:
    """The file; any thread may use it.

    Args:
        path: of the file; made when it is missing.

    Raises:
        StoreDamagedError: it is no such file, or of a newer program.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            if version == 0:
                self._db.executescript(f"BEGIN; {_TABLES} PRAGMA user_version={VERSION}; COMMIT;")
        except sqlite3.DatabaseError as exc:
            raise StoreDamagedError(f"{path}: {exc}; move the file away, it holds no history") from exc
        if version > VERSION:
            raise StoreDamagedError(f"{path} is of a newer program (version {version}); start that one")

    def books(self) -> tuple[dict[str, dict[str, StreamBook]], dict[str, int]]:
        """Return the books, in order of first sight, and the newest time that they cover by string."""
        books: dict[str, dict[str, StreamBook]] = {}
        newest: dict[str, int] = {}
        rows = self._read("SELECT string, stream, stored, accounted, newest_ms FROM book ORDER BY rowid")
        for string, stream, stored, accounted, newest_ms in rows:
            book = StreamBook(_spans(str(stored)), _spans(str(accounted)))
            books.setdefault(str(string), {})[str(stream)] = book
            newest[str(string)] = max(int(str(newest_ms)), newest.get(str(string), 0))
        return books, newest

    def save_books(
        self, books: Mapping[tuple[str, str], StreamBook], newest_ms: Mapping[str, int], *, sync: bool = False
    ) -> None:
        """Write books of streams; without a sync, what a loss of power takes is found among the newest rows."""
        rows = [
            (string, stream, json.dumps(list(book.stored)), json.dumps(list(book.accounted)), newest_ms.get(string, 0))
            for (string, stream), book in books.items()
        ]
        with self._transaction(sync=sync):
            self._db.executemany(
                "INSERT INTO book VALUES (?,?,?,?,?) ON CONFLICT DO UPDATE SET stored=excluded.stored, "
                "accounted=excluded.accounted, newest_ms=excluded.newest_ms",
                rows,
            )

    def dirty(self) -> list[Window]:
        """Return the marked windows."""
        return [(str(s), str(t), int(str(w))) for s, t, w in self._read("SELECT string, tier, window_ms FROM dirty")]

    def mark(self, windows: Iterable[Window]) -> None:
        """Mark windows, durably."""
        with self._transaction(sync=True):
            self._db.executemany("INSERT OR IGNORE INTO dirty VALUES (?,?,?)", windows)

    def clean(self, windows: Iterable[Window]) -> None:
        """Unmark windows; a mark that comes back after a loss of power only costs computing them again."""
        with self._transaction(sync=False):
            self._db.executemany("DELETE FROM dirty WHERE string=? AND tier=? AND window_ms=?", windows)

    def wait(self, lines: Iterable[bytes]) -> int:
        """Keep log rows for later, durably; return how many of the oldest had to go."""
        with self._transaction(sync=True):
            self._db.executemany("INSERT OR IGNORE INTO waiting VALUES (?)", [(line,) for line in lines])
            newest = "SELECT rowid FROM waiting ORDER BY rowid DESC LIMIT 1 OFFSET ?"
            return self._db.execute(f"DELETE FROM waiting WHERE rowid <= ({newest})", (MAX_WAITING,)).rowcount  # noqa: S608

    def waiting(self, limit: int) -> list[tuple[int, bytes]]:
        """Return the oldest log rows that wait, with their numbers."""
        found = self._read("SELECT rowid, lines FROM waiting ORDER BY rowid LIMIT ?", limit)
        return [(int(str(number)), bytes(lines)) for number, lines in found if isinstance(lines, bytes)]

    def sent(self, up_to: int) -> None:
        """Forget log rows up to a number."""
        with self._transaction(sync=False):
            self._db.execute("DELETE FROM waiting WHERE rowid <= ?", (up_to,))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _read(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        with self._lock:
            return self._db.execute(statement, values).fetchall()

    @contextmanager
    def _transaction(self, *, sync: bool) -> Iterator[None]:
        with self._lock:
            try:
                self._db.execute(f"PRAGMA synchronous={'FULL' if sync else 'NORMAL'}")
                self._db.execute("BEGIN")
                yield
                self._db.execute("COMMIT")
            except sqlite3.Error as exc:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                full = "full" in str(exc)
                text = f"the historian's own state cannot be written: {exc}; make room below its CELLKEEPER_STATE_DIR"
                raise (StoreFullError if full else StoreFailedError)(text) from exc


def _spans(text: str) -> SeqSpans:
    return SeqSpans((int(first), int(last)) for first, last in json.loads(text))
