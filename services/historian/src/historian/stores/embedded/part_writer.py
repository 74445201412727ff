"""New Parquet files: where they lie, and how they become durable before the manifest names them."""

import os
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path
from typing import Final, Protocol

import pyarrow as pa
from cellkeeper.contract.moment import from_ms
from cellkeeper.runtime.whole_file import sync_folder

from historian.errors import StoreFullError
from historian.stores.disk_errors import store_error

SUFFIX: Final = ".parquet"
NO_ROOM_TEXT: Final = ("No space left", "Disk quota exceeded", "File too large")


class TableWriter(Protocol):
    """The part of a Parquet writer that is used here."""

    def write_table(self, table: pa.Table, row_group_size: int | None = None) -> None:
        """Write one table as row groups."""
        ...

    def close(self) -> None:
        """Write the footer."""
        ...


class PartWriter:
    """Makes new files under names that were never used before.

    Args:
        directory: root of the store.
        first_number: above every number that the manifest names.
    """

    def __init__(self, directory: Path, first_number: int) -> None:
        self._directory = directory
        self._numbers = count(first_number)

    def write(
        self,
        tier: str,
        string: str,
        start_ms: int,
        open_writer: Callable[[Path], TableWriter],
        tables: Iterable[pa.Table],
    ) -> tuple[str, int]:
        """Write tables, a row group each, as one durable file.

        Returns:
            The path below the root, and the size in bytes.

        Raises:
            StoreFullError, StoreFailedError: it could not be written; what there was of it is gone again.
        """
        stamp = from_ms(start_ms).strftime("%Y-%m-%dT%H-%M-%S")
        name = f"{tier}/{string}/{stamp}_{next(self._numbers):08d}{SUFFIX}"
        path = self._directory / name
        try:
            fresh = not path.parent.exists()
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_tables(path, open_writer, tables)
            size = _make_durable(path)
            if fresh:
                sync_folder(path.parent.parent)
                sync_folder(self._directory)
        except OSError as exc:  # pyarrow's I/O errors are OSErrors too
            path.unlink(missing_ok=True)
            if any(text in str(exc) for text in NO_ROOM_TEXT):
                raise StoreFullError(f"{name}: no room on the disk; make room, nothing acknowledged is lost") from exc
            raise store_error(exc, name) from exc
        return name, size


def _write_tables(path: Path, open_writer: Callable[[Path], TableWriter], tables: Iterable[pa.Table]) -> None:
    writer = open_writer(path)
    try:
        for table in tables:
            writer.write_table(table, row_group_size=max(table.num_rows, 1))
    finally:
        writer.close()


def _make_durable(path: Path) -> int:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
        size = os.fstat(handle).st_size
    finally:
        os.close(handle)
    sync_folder(path.parent)
    return size


def number_of(file: str) -> int:
    """Return the number in a file's name."""
    return int(Path(file).stem.rpartition("_")[2])


def remove_orphans(directory: Path, known: frozenset[str]) -> int:
    """Delete Parquet files that no manifest row names: a crash came between writing and naming them.

    Returns:
        How many there were.
    """
    orphans = [path for path in directory.rglob(f"*{SUFFIX}") if str(path.relative_to(directory)) not in known]
    for path in orphans:
        path.unlink()
    return len(orphans)
