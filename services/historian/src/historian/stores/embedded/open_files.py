"""Parquet files that are open for reading: the newest used ones stay open, with their footers."""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from historian.stores.block import Key
from historian.stores.embedded.file_format import require_known_format
from historian.stores.embedded.full_file import cell_column

NOTHING: Final = (1, 0)
MAX_OPEN: Final = 128  # about 0.3 MB each at 240 units; a day in hours and minutes of one string is 30


@dataclass(frozen=True, slots=True)
class OpenFile:
    """An open Parquet file.

    Attributes:
        column_at: index by column name.
        groups: (smallest, largest) value of the choosing column per row group.
        keys: (position, life) of the columns of full rows, in order.
    """

    file: pq.ParquetFile
    column_at: dict[str, int]
    groups: tuple[tuple[Any, Any], ...]
    keys: tuple[Key, ...]
    lock: threading.Lock

    def read(self, groups: Sequence[int], columns: Sequence[str]) -> pa.Table:
        """Return these columns, as far as the file has them, of these row groups, in the file's order."""
        at = sorted(self.column_at[name] for name in columns if name in self.column_at)
        with self.lock:
            # the inner reader: ParquetFile.read_row_groups matches names against every column in Python, on each call
            return self.file.reader.read_row_groups(list(groups), column_indices=at, use_threads=False)

    def groups_touching(self, low: Any, high: Any) -> list[int]:  # noqa: ANN401 - the choosing column's type
        """Return the row groups that may hold values from `low` to `high`, both included."""
        return [at for at, (first, last) in enumerate(self.groups) if first <= high and last >= low]


class OpenFiles:
    """A bounded cache of open files; the longest unused is closed.

    Args:
        directory: where the paths that segments name begin.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._open: OrderedDict[str, OpenFile] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, path: str, chooser: str) -> OpenFile:
        """Return the file at `path`, whose row groups are chosen by the statistics of column `chooser`."""
        with self._lock:
            found = self._open.get(path)
            if found is not None:
                self._open.move_to_end(path)
                return found
        found = _opened(self._directory / path, chooser)
        with self._lock:
            self._open[path] = found
            while len(self._open) > MAX_OPEN:
                self._open.popitem(last=False)
        return found

    def close(self) -> None:
        """Close every file; nobody reads any more."""
        with self._lock:
            while self._open:
                self._open.popitem()[1].file.close()

    def forget(self, path: str) -> None:
        """Let go of a file that will be deleted."""
        with self._lock:
            self._open.pop(path, None)


def _opened(path: Path, chooser: str) -> OpenFile:
    file = pq.ParquetFile(path)
    metadata = file.metadata
    require_known_format(path, metadata.metadata)
    column_at = {metadata.schema.column(at).name: at for at in range(metadata.num_columns)}
    chosen = column_at[chooser]
    groups: list[tuple[Any, Any]] = []
    for at in range(metadata.num_row_groups):
        statistics = metadata.row_group(at).column(chosen).statistics
        if statistics is not None and statistics.has_min_max:  # an empty row group has none
            groups.append((_plain(statistics.min), _plain(statistics.max)))
        else:
            groups.append(NOTHING)
    return OpenFile(file, column_at, tuple(groups), _keys(column_at), threading.Lock())


def _keys(names: Iterable[str]) -> tuple[Key, ...]:
    return tuple(sorted({column.key for name in names if (column := cell_column(name)) is not None}))


def _plain(value: Any) -> Any:  # noqa: ANN401 - datetimes become milliseconds, numbers stay
    return round(value.timestamp() * 1000) if hasattr(value, "timestamp") else value
