"""The journal's files: append with fdatasync, recover after any end, read back. Everything here blocks.

Segments are `NNNNNNNNNN.journal`, numbered upwards. A start always begins a new one. What cannot be read is renamed to
`*.set-aside` and told, never deleted.
"""

import errno
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cellkeeper.runtime.whole_file import sync_folder

from bus_gateway.driver import DriverNotice
from bus_gateway.errors import JournalFullError, JournalUnreadableError
from bus_gateway.journal.book import Entry, JournalBook, StreamKey
from bus_gateway.journal.format import Kind, Record, Segment, encode_header, encode_record, read_segment

SEGMENT_BYTES: Final = 4 * 1024 * 1024  # 10 s of 4096 cells with room: one file is read at once to send it again
_NO_ROOM: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a start found: the book, the next segment number, and what a person should know."""

    book: JournalBook
    next_number: int
    notices: list[DriverNotice]


class JournalFiles:
    """The segment files of one folder; used by one thread at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._fd: int | None = None
        self._size = 0

    def path(self, number: int) -> Path:
        """Return where a segment lies."""
        return self.folder / f"{number:010d}.journal"

    def recover(self) -> Recovered:
        """Read every segment, cut torn tails, set aside what cannot be read.

        Raises:
            JournalFullError: the folder cannot be made or read.
        """
        book, notices, next_number = JournalBook(), [], 1
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            paths = sorted(self.folder.glob("*.journal"))
            for path in paths:
                next_number = max(next_number, _number_in(path) + 1)
                notices += self._recover_one(path, book)
        except OSError as exc:
            raise _translated(exc, self.folder) from exc
        return Recovered(book, next_number, notices)

    def _recover_one(self, path: Path, book: JournalBook) -> list[DriverNotice]:
        data = path.read_bytes()
        try:
            segment = read_segment(data)
        except JournalUnreadableError as exc:
            if len(data) < 20:  # the power went while the file was made: there never was a scan in it
                path.unlink()
                return []
            aside = path.with_suffix(".set-aside")
            path.rename(aside)
            text = f"{aside.name}: {exc}; kept aside, its scans are not sent"
            return [DriverNotice("journal.unreadable", "error", text, {"bytes": len(data)})]
        entry = Entry(_number_in(path), segment.good_bytes)
        book.entries.append(entry)
        _enter_all(segment, entry, book)
        if segment.good_bytes == len(data):
            return []
        os.truncate(path, segment.good_bytes)
        text = f"{path.name}: {len(data) - segment.good_bytes} bytes after the last whole record were cut"
        return [DriverNotice("journal.cut", "info", text, {"bytes": len(data) - segment.good_bytes})]

    def begin(self, number: int, book: JournalBook) -> int:
        """Begin segment `number` with the state of `book`, durable on return; return its size.

        Raises:
            JournalFullError: there is no room, or the device failed.
        """
        self.close()
        path = self.path(number)
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o640)
            self._size = 0
            self.append(encode_header(number) + _opening(book))
            sync_folder(self.folder)
        except (OSError, JournalFullError) as exc:
            self.close()
            with suppress(OSError):
                path.unlink()
            if isinstance(exc, OSError):
                raise _translated(exc, path) from exc
            raise
        return self._size

    def append(self, blob: bytes) -> None:
        """Write and fdatasync; after a failure the file is closed and, if possible, as it was before.

        Raises:
            JournalFullError: there is no room, or the device failed.
        """
        fd = self._fd
        if fd is None:
            raise JournalFullError(f"{self.folder}: no segment is open")
        try:
            _write_all(fd, blob)
            os.fdatasync(fd)
        except OSError as exc:
            with suppress(OSError):
                os.ftruncate(fd, self._size)
            self.close()
            raise _translated(exc, self.folder) from exc
        self._size += len(blob)

    def read(self, number: int) -> tuple[bytes, Mapping[tuple[StreamKey, int], Record]]:
        """Return a segment's bytes and where each of its scans lies; nothing when it is gone or damaged."""
        try:
            data = self.path(number).read_bytes()
            segment = read_segment(data)
        except (OSError, JournalUnreadableError):
            return b"", {}
        scans = (record for record in segment.records if record.kind == Kind.SCAN)
        return data, {(StreamKey(record.string, record.stream), record.seq): record for record in scans}

    def remove(self, numbers: list[int]) -> None:
        """Delete segments; one that is already gone is fine."""
        for number in numbers:
            with suppress(OSError):
                self.path(number).unlink()

    def close(self) -> None:
        """Close the segment that is open, if one is."""
        if self._fd is not None:
            with suppress(OSError):
                os.close(self._fd)
            self._fd = None


def _enter_all(segment: Segment, entry: Entry, book: JournalBook) -> None:
    for record in segment.records:
        key = StreamKey(record.string, record.stream)
        match record.kind:
            case Kind.SCAN:
                book.enter(entry, key, record.seq, record.measured_ms)
            case Kind.RECEIPT:
                book.cover(key, record.seq)
            case Kind.POSITION:
                book.restore_position(key, record.seq, record.measured_ms or None)
            case _:  # a kind that a later program of the same version added: nothing we need
                continue


def _opening(book: JournalBook) -> bytes:
    """Return the records that make a segment stand alone: positions first, then receipts."""
    positions = [
        encode_record(Kind.POSITION, string, at.stream, at.seq, at.measured_ms or 0)
        for string, at in book.positions.items()
    ]
    receipts = [encode_record(Kind.RECEIPT, key.string, key.stream, seq, 0) for key, seq in book.receipts()]
    return b"".join(positions + receipts)


def _write_all(fd: int, blob: bytes) -> None:
    view = memoryview(blob)
    while view:
        view = view[os.write(fd, view) :]


def _translated(exc: OSError, where: Path) -> JournalFullError:
    why = "no room" if exc.errno in _NO_ROOM else (exc.strerror or "failed")
    return JournalFullError(f"{where}: {why}")


def _number_in(path: Path) -> int:
    return int(path.stem) if path.stem.isdigit() else 0
