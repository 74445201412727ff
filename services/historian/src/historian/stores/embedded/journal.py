"""The append-only journal of the newest minutes: numbered files of checked records.

    file = magic "CKJRNL" | version u16 | number u64 | crc32 u32 of what precedes | records

A record is durable when `append` has returned: one write and one fdatasync for a whole group. A torn tail (loss of
power, full disk) fails its checksum and is cut when the journal is opened again; it was never acknowledged.
"""

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zlib import crc32

from cellkeeper.runtime.whole_file import sync_folder

from historian.errors import StoreFailedError, StoreFullError, StoreVersionError
from historian.stores.disk_errors import store_error
from historian.stores.embedded.record import (
    HEAD,
    MAX_BODY_BYTES,
    Record,
    RecordDamagedError,
    decode_body,
)

VERSION: Final = 1
MAGIC: Final = b"CKJRNL"
_FILE_HEAD: Final = struct.Struct("<6sHQI")
SUFFIX: Final = ".ckj"


def journal_path(directory: Path, number: int) -> Path:
    """Return where journal `number` lies."""
    return directory / f"{number:012d}{SUFFIX}"


def journal_numbers(directory: Path) -> list[int]:
    """Return the numbers of the journals there, oldest first."""
    return sorted(int(path.stem) for path in directory.glob(f"*{SUFFIX}"))


class JournalFile:
    """One open journal file, at its end.

    Args:
        directory: where journals lie.
        number: of this file; it must not exist yet.

    Raises:
        StoreFullError, StoreFailedError: the file cannot be made.
    """

    def __init__(self, directory: Path, number: int) -> None:
        self.number = number
        self.path = journal_path(directory, number)
        head = MAGIC + struct.pack("<HQ", VERSION, number)
        try:
            self._handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        except OSError as exc:
            raise store_error(exc, f"journal {self.path.name}") from exc
        self.size_bytes = 0
        try:
            self.append(head + struct.pack("<I", crc32(head)))
            sync_folder(directory)
        except (StoreFullError, StoreFailedError, OSError) as exc:
            self.close()
            self.path.unlink(missing_ok=True)
            raise store_error(exc, "journal") if isinstance(exc, OSError) else exc from exc

    def append(self, group: bytes) -> None:
        """Write a group of records and wait until it is on the disk.

        Raises:
            StoreFullError, StoreFailedError: nothing of the group counts; the file ends where it ended before.
        """
        try:
            written = 0
            while written < len(group):
                written += os.pwrite(self._handle, group[written:], self.size_bytes + written)
            os.fdatasync(self._handle)
        except OSError as exc:
            self._cut()
            raise store_error(exc, f"journal {self.path.name}") from exc
        self.size_bytes += len(group)

    def _cut(self) -> None:
        try:
            os.ftruncate(self._handle, self.size_bytes)
        except OSError:
            return  # the next append overwrites the torn group, or the checksum cuts it at the next start

    def close(self) -> None:
        """Close the file; it stays where it is."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


@dataclass(frozen=True, slots=True)
class JournalContents:
    """What a journal file holds: its records, and how many of its bytes are good."""

    records: list[Record]
    good_bytes: int
    total_bytes: int

    @property
    def is_whole(self) -> bool:
        """Whether every byte belongs to a good record."""
        return self.good_bytes == self.total_bytes


def read_journal(path: Path) -> JournalContents:
    """Return the records of a journal file up to the first that is not whole.

    Raises:
        StoreVersionError: a newer program wrote it.
    """
    data = path.read_bytes()
    records: list[Record] = []
    if not _has_good_head(data, path):
        return JournalContents(records, 0, len(data))
    at = _FILE_HEAD.size
    while at < len(data):
        try:
            body = _checked_body(data, at)
            records.append(decode_body(body))
        except RecordDamagedError:
            break
        at += HEAD.size + len(body)
    return JournalContents(records, at, len(data))


def cut_journal(path: Path, good_bytes: int) -> None:
    """Cut a torn tail, durably."""
    handle = os.open(path, os.O_WRONLY)
    try:
        os.ftruncate(handle, good_bytes)
        os.fsync(handle)
    finally:
        os.close(handle)


def _has_good_head(data: bytes, path: Path) -> bool:
    if len(data) < _FILE_HEAD.size:
        return False
    magic, version, _, crc = _FILE_HEAD.unpack_from(data)
    if magic != MAGIC or crc != crc32(data[: _FILE_HEAD.size - 4]):
        return False
    if version > VERSION:
        raise StoreVersionError(f"{path} has journal format {version}, this program knows {VERSION}; use a newer one")
    return True


def _checked_body(data: bytes, at: int) -> bytes:
    if at + HEAD.size > len(data):
        raise RecordDamagedError("head is cut")
    length, crc = HEAD.unpack_from(data, at)
    body = data[at + HEAD.size : at + HEAD.size + length]
    if length > MAX_BODY_BYTES or len(body) < length or crc32(body) != crc:
        raise RecordDamagedError("checksum differs")
    return body
