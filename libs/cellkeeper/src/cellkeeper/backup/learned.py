"""What services learned over months and the papers that they made: into a backup, and back where nothing is.

A service that has something worth keeping puts it into its own folder under one of the names in `KEPT`. Every such
file is replaced whole, never changed in place, so each copy is one that the service could start from.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from cellkeeper.backup.book import READABLE, FileEntry
from cellkeeper.backup.errors import BackupFailedError
from cellkeeper.backup.place import Draft
from cellkeeper.runtime.whole_file import whole_file

KEPT: Final = ("learned.*", "events/*", "dossiers/*")


def copy_learned(state: Path, draft: Draft) -> Iterator[FileEntry]:
    """Put what all services of a site learned into a backup.

    Args:
        state: where services keep their state, one folder each.
        draft: the backup.

    Raises:
        BackupFailedError: a file may not be read.
        OSError: the disk refused.
    """
    for path in sorted(path for pattern in KEPT for path in state.glob(f"*/{pattern}")):
        if path.is_symlink() or not path.is_file():
            continue
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            continue  # the oldest papers make room for new ones while this runs
        except PermissionError as exc:
            raise BackupFailedError(f"{path} may not be read; run it as root, who may read all state") from exc
        yield draft.keep(content, path.relative_to(state).as_posix())


def put_learned_back(place: Path, entries: Iterable[FileEntry], state: Path, like: Path) -> int:
    """Write what was learned below the folder of state; a file that is there stays. Return how many were written.

    Args:
        place: the folder of all backups.
        entries: of one backup, already checked.
        state: where services keep their state.
        like: a folder whose owner the files get.

    Raises:
        OSError: the disk refused.
    """
    uid, written = like.stat().st_uid, 0
    for entry in entries:
        path = state / entry.restores
        if path.exists():
            continue
        for folder in (state / Path(entry.restores).parts[0], path.parent):
            _make_folder(folder, like)
        with whole_file(path, mode=READABLE, uid=uid) as sink:
            sink.write((place / entry.path).read_bytes())
        written += 1
    return written


def _make_folder(folder: Path, like: Path) -> None:
    if not folder.exists():
        folder.mkdir()
        model = like.stat()
        folder.chmod(model.st_mode & 0o777)
        if folder.stat().st_uid != model.st_uid:
            os.chown(folder, model.st_uid, model.st_gid)
