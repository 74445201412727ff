"""The embedded store out of a backup: beside its place first, opened once to see that it is a store, then there."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from cellkeeper.backup.book import FileEntry
from cellkeeper.backup.errors import RestoreRefusedError
from cellkeeper.backup.site_archive import require_empty
from cellkeeper.runtime.whole_file import sync_folder, whole_file

from historian.backup.embedded_files import FOLDER
from historian.stores.embedded.options import EmbeddedOptions
from historian.stores.embedded.store import EmbeddedStore
from historian.stores.port import StoreStats

FILE_MODE = 0o640
FOLDER_MODE = 0o750


def put_store_back(root: Path, entries: Iterable[FileEntry], history: Path, site: str) -> StoreStats:
    """Restore checked files of an embedded store.

    Args:
        root: the folder of all backups.
        entries: of one backup.
        history: the store's directory; new or empty. Files get the owner of the folder above it.
        site: id of the site.

    Raises:
        RestoreRefusedError: the directory is not empty, or the disk refused; nothing is in its place.
        HistorianError: the files are no store that this program reads; nothing is in its place.
    """
    require_empty(history)
    beside = history.with_name(f".{history.name}.restoring")
    try:
        shutil.rmtree(beside, ignore_errors=True)
        for entry in entries:
            if entry.restores.startswith(f"{FOLDER}/"):
                _copy(root / entry.path, beside / entry.restores.removeprefix(f"{FOLDER}/"))
        store = EmbeddedStore(beside, site, EmbeddedOptions(reserve_bytes=0))
        try:
            stats = store.stats()
        finally:
            store.close()
        _give(beside, history.parent)
        beside.rename(history)
        sync_folder(history.parent)
    except OSError as exc:
        raise RestoreRefusedError(f"{exc.filename or history}: {exc.strerror or exc}; nothing was restored") from exc
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return stats


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as opened, whole_file(target, mode=FILE_MODE) as sink:
        shutil.copyfileobj(opened, sink)


def _give(folder: Path, like: Path) -> None:
    """Give everything in a folder to whoever owns `like`, when root restores."""
    told = like.stat()
    for path in (folder, *folder.rglob("*")):
        path.chmod(FOLDER_MODE if path.is_dir() else FILE_MODE)
        if os.geteuid() == 0:
            os.chown(path, told.st_uid, told.st_gid)
