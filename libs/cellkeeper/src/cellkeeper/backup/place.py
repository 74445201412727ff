"""A folder of backups. Files of history are shared by all of them and never change; each has a folder of its own.

files/...<sha256>...       every file of history once, however many backups it belongs to
2026-11-26T02-00-00Z/      one backup: backup.json, backup.json.sha256, the site's archive

A new one is made in a folder with a dot and renamed when it is whole: a power cut leaves the one before as newest.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from cellkeeper.backup.book import BOOK, CHUNK_BYTES, READABLE, BackupBook, FileEntry, read_book, write_book
from cellkeeper.backup.errors import BackupDamagedError, BackupFailedError, RestoreRefusedError
from cellkeeper.runtime.whole_file import sync_folder, whole_file

STAMP: Final = "%Y-%m-%dT%H-%M-%SZ"
SHARED: Final = "files"
OPEN_FOLDER: Final = 0o755  # history is no secret, and the historian restores it as its own user; archives are 0600
HASH_IN_NAME: Final = 16


@dataclass(slots=True)
class Draft:
    """A backup that is being made.

    Attributes:
        root: the folder of all backups.
        folder: this one's, until it is whole.
        stamp: its name then.
        known: files of the backup before it, by what they restore.
        copied: bytes that this backup added.
    """

    root: Path
    folder: Path
    stamp: str
    known: dict[str, FileEntry] = field(default_factory=dict)
    copied: int = 0

    def unchanged(self, restores: str, mark: str) -> FileEntry | None:
        """Return the file of the backup before when its original has the same mark and it is still there."""
        entry = self.known.get(restores)
        if entry is None or entry.mark != mark:
            return None
        path = self.root / entry.path
        return entry if path.exists() and path.stat().st_size == entry.bytes else None

    def share(self, source: Path, restores: str, mark: str) -> FileEntry:
        """Copy a file that never changes, unless it is here already.

        Raises:
            FileNotFoundError: it is gone.
            BackupFailedError: it changed while it was read.
            OSError: the disk refused.
        """
        with source.open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
            opened.seek(0)
            path = self._shared_path(restores, sha256)
            size = os.fstat(opened.fileno()).st_size
            if not (path.exists() and path.stat().st_size == size):
                self._copy(opened, path, sha256)
        return self._entry(path, restores, size, sha256, mark)

    def keep(self, content: bytes, restores: str, mark: str = "") -> FileEntry:
        """Write a content that is read once, such as a file that grows; raises OSError."""
        sha256 = hashlib.sha256(content).hexdigest()
        path = self._shared_path(restores, sha256)
        if not (path.exists() and path.stat().st_size == len(content)):
            with whole_file(path, mode=READABLE) as sink:
                sink.write(content)
            self.copied += len(content)
        return self._entry(path, restores, len(content), sha256, mark)

    def own(self, name: str, sha256: str, size: int) -> FileEntry:
        """Return the entry of a file that was written into this backup's folder."""
        self.copied += size
        return FileEntry(path=name, restores=name, bytes=size, sha256=sha256)

    def _copy(self, opened: BinaryIO, path: Path, sha256: str) -> None:
        read = hashlib.sha256()
        with whole_file(path, mode=READABLE) as sink:
            while chunk := opened.read(CHUNK_BYTES):
                read.update(chunk)
                sink.write(chunk)
            if read.hexdigest() != sha256:
                raise BackupFailedError(f"{opened.name} reads differently each time; check the disk")
            self.copied += sink.tell()

    def _shared_path(self, restores: str, sha256: str) -> Path:
        below = PurePosixPath(restores)
        name = f"{below.stem}.{sha256[:HASH_IN_NAME]}{below.suffix}"
        folder = self.root / SHARED / below.parent
        _make_folder(folder, self.root)
        return folder / name

    def _entry(self, path: Path, restores: str, size: int, sha256: str, mark: str) -> FileEntry:
        inner = path.relative_to(self.root).as_posix()
        return FileEntry(path=inner, restores=restores, bytes=size, sha256=sha256, mark=mark)


@dataclass(frozen=True, slots=True)
class BackupPlace:
    """A folder of backups."""

    root: Path

    def stamps(self) -> list[str]:
        """Return the names of all backups that were finished, oldest first."""
        return sorted(path.parent.name for path in self.root.glob(f"[0-9]*Z/{BOOK}"))

    def read(self, stamp: str | None = None) -> tuple[str, BackupBook]:
        """Return name and book of a backup, the newest when none is named.

        Raises:
            RestoreRefusedError: there is none, or none of that name.
            BackupDamagedError: its book is damaged.
        """
        stamps = self.stamps()
        if not stamps:
            raise RestoreRefusedError(
                f"{self.root} holds no backup; `cellkeeper backup SITE --to {self.root}` makes one"
            )
        if stamp is not None and stamp not in stamps:
            raise RestoreRefusedError(f"{self.root} holds no backup {stamp}; there are {', '.join(stamps[-10:])}")
        chosen = stamp or stamps[-1]
        return chosen, read_book(self.root / chosen)

    @contextmanager
    def drafting(self, now: datetime, made_of: str | None) -> Iterator[Draft]:
        """Give a draft of a new backup; `finish` makes it one. Without that it leaves no trace.

        Args:
            now: when.
            made_of: the kind of its history; files of the newest backup of that kind are not copied again.

        Raises:
            BackupFailedError: another backup is being made, or the disk refused; what was there stays as it was.
        """
        stamp = now.astimezone(UTC).strftime(STAMP)
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with _alone(self.root):
                if (self.root / stamp).exists():
                    raise BackupFailedError(f"{self.root / stamp} is there already; wait a second")
                for left in self.root.glob(".*Z.new"):
                    shutil.rmtree(left)
                folder = self.root / f".{stamp}.new"
                folder.mkdir()
                folder.chmod(OPEN_FOLDER)
                try:
                    yield Draft(self.root, folder, stamp, self._known(made_of))
                finally:
                    shutil.rmtree(folder, ignore_errors=True)
        except OSError as exc:
            raise BackupFailedError(
                f"{exc.filename or self.root}: {exc.strerror or exc}; no new backup, those before it are untouched"
            ) from exc

    def _known(self, made_of: str | None) -> dict[str, FileEntry]:
        for stamp in reversed(self.stamps()):
            try:
                book = read_book(self.root / stamp)
            except BackupDamagedError:
                continue  # a new backup is needed all the more; `thin` names this one
            if book.store == made_of and made_of is not None:
                return {entry.restores: entry for entry in book.files}
        return {}

    def finish(self, draft: Draft, book: BackupBook) -> None:
        """Make a draft a backup; raises OSError."""
        write_book(draft.folder, book)
        draft.folder.rename(self.root / draft.stamp)
        sync_folder(self.root)

    def thin(self, keep: int) -> list[str]:
        """Remove all but the newest `keep` backups, and files that belong to none; return the names of those removed.

        Raises:
            BackupDamagedError: a book that stays is damaged; no file of history was removed.
            OSError: the disk refused.
        """
        gone = self.stamps()[: -keep or None]
        for stamp in gone:
            hidden = self.root / f".{stamp}.new"  # no backup any more from here on, also after a power cut
            (self.root / stamp).rename(hidden)
            shutil.rmtree(hidden)
        wanted = {entry.path for stamp in self.stamps() for entry in read_book(self.root / stamp).shared}
        for path in (self.root / SHARED).rglob("*"):
            if path.is_file() and path.relative_to(self.root).as_posix() not in wanted:
                path.unlink()
        return gone


def _make_folder(folder: Path, root: Path) -> None:
    """Have a folder below `root`, durable with all its parents."""
    missing = []
    while not folder.exists() and folder != root:
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        each.chmod(OPEN_FOLDER)
        sync_folder(each.parent)


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    handle = os.open(root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as exc:
        raise BackupFailedError(f"another backup is being made in {root}; wait until it ends") from exc
    finally:
        os.close(handle)
