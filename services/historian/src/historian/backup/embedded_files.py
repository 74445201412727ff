"""The embedded store in a backup: its own files, which never change, and a picture of its manifest.

The historian need not stop. The manifest is read in one SQLite transaction; upkeep that replaced files or packed a
journal meanwhile is seen afterwards, and everything is looked at again. Files that an earlier backup has are not read.
"""

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from cellkeeper.backup.book import FileEntry
from cellkeeper.backup.errors import BackupFailedError
from cellkeeper.backup.place import Draft

from historian.stores.aside import DIRECTORY as ASIDE
from historian.stores.embedded.journal import journal_numbers, journal_path

FOLDER: Final = "history"
MANIFEST: Final = "manifest.sqlite"
JOURNALS: Final = "journal"
ATTEMPTS: Final = 20
RETRY_S: Final = 3.0  # packing a journal of ten minutes takes seconds, and the next one is ten minutes away
BUSY_S: Final = 10.0


class _MovedOnError(Exception):
    """Upkeep changed what was being copied: look again."""


def copy_store(history: Path, draft: Draft, sleep_s: Callable[[float], None]) -> list[FileEntry]:
    """Put an embedded store into a backup, as of one moment.

    Args:
        history: the store's directory; its historian may be running.
        draft: the backup.
        sleep_s: waits.

    Raises:
        BackupFailedError: there is no store, or upkeep never rested.
        OSError: the disk refused.
    """
    if not (history / MANIFEST).exists():
        raise BackupFailedError(
            f"{history} holds no history; name the services' folder with --state, or set CELLKEEPER_STORE=influx"
        )
    for _ in range(ATTEMPTS):
        try:
            return list(_files(history, draft))
        except _MovedOnError:
            sleep_s(RETRY_S)
    raise BackupFailedError(f"upkeep in {history} changed files all the time; run this again in ten minutes")


def _files(history: Path, draft: Draft) -> Iterator[FileEntry]:
    journals = journal_numbers(history / JOURNALS)
    picture = _picture(history / MANIFEST)
    packed, files = _told(picture)
    try:
        for file in files:
            yield _shared(history, file, draft)
        for number in journals:
            path = journal_path(history / JOURNALS, number)
            yield draft.keep(path.read_bytes(), f"{FOLDER}/{JOURNALS}/{path.name}")  # it grows: a torn end is cut
        for path in sorted((history / ASIDE).glob("*.jsonl")):
            yield draft.keep(path.read_bytes(), f"{FOLDER}/{ASIDE}/{path.name}")
    except FileNotFoundError as exc:
        raise _MovedOnError from exc
    now = _told(_picture(history / MANIFEST))[0]
    if _still_packed(now, packed, journals) and set(journals) <= set(journal_numbers(history / JOURNALS)):
        yield draft.keep(picture, f"{FOLDER}/{MANIFEST}")
        return
    raise _MovedOnError


def _still_packed(now: set[tuple[int, str]], then: set[tuple[int, str]], journals: list[int]) -> bool:
    """Return whether the journals hold the same rows beside the manifest as they did then."""
    ours = set(journals)
    return {each for each in now if each[0] in ours} == {each for each in then if each[0] in ours}


def _shared(history: Path, file: str, draft: Draft) -> FileEntry:
    path, restores = history / file, f"{FOLDER}/{file}"
    mark = f"{path.stat().st_mtime_ns}"
    return draft.unchanged(restores, mark) or draft.share(path, restores, mark)


def _picture(manifest: Path) -> bytes:
    """Return the manifest as of one transaction."""
    with tempfile.TemporaryDirectory(prefix="cellkeeper-backup-") as folder:
        copy = Path(folder) / MANIFEST
        with closing(sqlite3.connect(manifest, timeout=BUSY_S)) as live, closing(sqlite3.connect(copy)) as into:
            live.backup(into)
            into.execute("PRAGMA journal_mode=DELETE")  # one file; the store sets its own mode when it opens it
        return copy.read_bytes()


def _told(picture: bytes) -> tuple[set[tuple[int, str]], list[str]]:
    """Return what the manifest says is packed of which journal, and its files."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.deserialize(picture)
        packed = {(int(number), str(string)) for number, string in db.execute("SELECT journal, string FROM packed")}
        files = [str(file) for (file,) in db.execute("SELECT file FROM segment ORDER BY id")]
    return packed, files
