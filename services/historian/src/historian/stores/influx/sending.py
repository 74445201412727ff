"""Lines on their way to the server: what it will never take is left out, counted and told once."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from historian.stores.influx.server import Partial, Server
from historian.stores.port import Notice

MAX_REFUSED_FIELDS: Final = 8  # fields of conflicting type in one write; each costs one more request
MAX_NOTICES: Final = 100


class Sender:
    """Writes lines; any thread may.

    Args:
        server: where they go.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._lock = threading.Lock()
        self._told: set[str] = set()
        self._notices: deque[Notice] = deque(maxlen=MAX_NOTICES)
        self.refused_rows = 0

    def send(self, bucket: str, build: Callable[[frozenset[str]], bytes]) -> None:
        """Write lines without the fields that the server will never take, so that the rest of their rows is stored.

        Args:
            bucket: `full`, `1m`, …
            build: returns the lines without some fields.

        Raises:
            StoreBusyError, StoreFullError, StoreFailedError: write the same again later.
        """
        refused: frozenset[str] = frozenset()
        for _ in range(MAX_REFUSED_FIELDS):
            partial = self._server.write(bucket, build(refused))
            if partial is None:
                return
            self._tell(bucket, partial)
            if partial.field is None or partial.field in refused:
                return
            refused |= {partial.field}

    def _tell(self, bucket: str, partial: Partial) -> None:
        topic = f"{bucket} {partial.field}"
        with self._lock:
            self.refused_rows += partial.dropped
            if topic in self._told:
                return
            self._told.add(topic)
        what = f"bucket {self._server.target.database}/{bucket}"
        if partial.field is None:
            text = f"{what} refuses {partial.dropped} rows that are older than it keeps; they are not stored again"
        else:
            text = (
                f"{what} refuses field {partial.field}: rows of another type are there. All other fields are stored; "
                f"remove what wrote the other type, the next shard takes the field again. {partial.said[-160:]}"
            )
        self.note(Notice("store.rows_refused", "error", text))

    def note(self, notice: Notice) -> None:
        """Keep something that the log book is to hold."""
        self._notices.append(notice)

    def notices(self) -> tuple[Notice, ...]:
        """Return what is to be told, once."""
        return tuple(self._notices.popleft() for _ in range(len(self._notices)))
