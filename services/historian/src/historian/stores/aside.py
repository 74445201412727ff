"""Scans that are kept as they came, outside of history: JSON lines in numbered files, bounded in size."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import orjson
from cellkeeper.contract.scan_columns import encode_scan
from cellkeeper.runtime.whole_file import sync_folder

from historian.stores.disk_errors import store_error
from historian.stores.port import AsideScan

DIRECTORY: Final = "aside"  # below the store's own
MAX_FILE_BYTES: Final = 64 << 20
MAX_FILES: Final = (
    16  # 1 GiB: a gateway whose clock is a year ahead fills it in about a week; then the oldest file goes
)


class AsideFiles:
    """Appends scans that must not become rows; a line is `{"reason": …, "scan": {…}}`.

    Args:
        directory: where the files lie; made when it is missing.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        self._directory = directory
        self._numbers = sorted(int(path.stem) for path in directory.glob("*.jsonl"))

    def append(self, scans: Sequence[AsideScan]) -> bool:
        """Make the scans durable.

        Returns:
            Whether the oldest file had to go to make room.

        Raises:
            StoreFullError, StoreFailedError: nothing of them counts.
        """
        lines = b"".join(
            b'{"reason":' + orjson.dumps(aside.reason) + b',"scan":' + encode_scan(aside.scan) + b"}\n"
            for aside in scans
        )
        try:
            path, dropped = self._current()
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            try:
                _append(handle, lines)
            finally:
                os.close(handle)
        except OSError as exc:
            raise store_error(exc, "scans set aside") from exc
        return dropped

    def _current(self) -> tuple[Path, bool]:
        dropped = False
        if not self._numbers or self._path(self._numbers[-1]).stat().st_size >= MAX_FILE_BYTES:
            self._numbers.append(self._numbers[-1] + 1 if self._numbers else 1)
            self._path(self._numbers[-1]).touch()
            if len(self._numbers) > MAX_FILES:
                self._path(self._numbers.pop(0)).unlink(missing_ok=True)
                dropped = True
            sync_folder(self._directory)
        return self._path(self._numbers[-1]), dropped

    def _path(self, number: int) -> Path:
        return self._directory / f"{number:06d}.jsonl"


def _append(handle: int, lines: bytes) -> None:
    """Add lines and wait until they are on the disk; a line that a loss of power tore ends before them."""
    size = os.fstat(handle).st_size
    if size and os.pread(handle, 1, size - 1) != b"\n":
        lines = b"\n" + lines
    try:
        written = 0
        while written < len(lines):  # a disk that is nearly full takes a part and says nothing
            written += os.pwrite(handle, lines[written:], size + written)
        os.fdatasync(handle)
    except OSError:
        os.ftruncate(handle, size)
        raise
