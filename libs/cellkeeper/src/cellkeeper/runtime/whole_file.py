"""Replaces a file so that every reader, and every start after a power cut, finds the old one or the new one whole."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def whole_file(path: Path, *, mode: int | None = None, uid: int | None = None) -> Iterator[BinaryIO]:
    """Give a file to write that takes the place of `path` when the block ends well, and leaves no trace else.

    It is written beside, synced, renamed, and the folder is synced after it.

    Args:
        path: the file to replace; its folder must exist.
        mode: exact permissions of the new file, which never has wider ones; what the umask leaves when None.
        uid: who owns the new file, user and group; this process when None.

    Raises:
        OSError: the disk or the folder does not take it; `path` is as it was.
    """
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666 if mode is None else 0o600)
    try:
        with os.fdopen(handle, "wb") as sink:
            yield sink
            sink.flush()
            if mode is not None:
                os.fchmod(handle, mode)
            if uid is not None and uid != os.fstat(handle).st_uid:
                os.fchown(handle, uid, uid)
            os.fsync(handle)
        beside.replace(path)
    finally:
        with suppress(OSError):  # a folder that went away has no draft left either
            beside.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable; raises OSError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
