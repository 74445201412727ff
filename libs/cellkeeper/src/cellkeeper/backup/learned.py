"""What services learned over months and the papers that they made: into a backup, and back where nothing is.

A service that has something worth keeping puts it into its own folder under one of the names in `KEPT`. Every such
file is replaced whole, never changed in place, so each copy is one that the service could start from.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from cellkeeper.backup.book import READABLE, FileEntry
from cellkeeper.backup.errors import BackupFailedError, RestoreRefusedError
from cellkeeper.backup.place import Draft
from cellkeeper.runtime.whole_file import whole_file

KEPT: Final = ("learned.*", "events/*", "dossiers/*")


@dataclass(frozen=True, slots=True)
class StateFolders:
    """Where the services of a site keep their state.

    Attributes:
        shared: one folder per service below it, as natively.
        apart: for services that share none, as each container has a volume of its own: `apart/NAME/NAME` is the folder
            of service NAME. A service that is not below it is in `shared`. None where all share one.
    """

    shared: Path
    apart: Path | None = None

    def roots(self) -> dict[str, Path]:
        """Return by service what its own folder lies in; raises OSError."""
        found = {path.name: self.shared for path in sorted(self.shared.glob("*")) if path.is_dir()}
        if self.apart is not None:
            found |= {path.name: path for path in sorted(self.apart.iterdir()) if path.is_dir()}
        return found


def copy_learned(states: StateFolders, draft: Draft) -> Iterator[FileEntry]:
    """Put what all services of a site learned into a backup.

    Args:
        states: where services keep their state.
        draft: the backup.

    Raises:
        BackupFailedError: a file may not be read.
        OSError: the disk refused.
    """
    for service, root in states.roots().items():
        for path in sorted(path for pattern in KEPT for path in (root / service).glob(pattern)):
            if path.is_symlink() or not path.is_file():
                continue
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                continue  # the oldest papers make room for new ones while this runs
            except PermissionError as exc:
                raise BackupFailedError(f"{path} may not be read; run it as root, who may read all state") from exc
            yield draft.keep(content, path.relative_to(root).as_posix())


def require_places(entries: Iterable[FileEntry], states: StateFolders) -> None:
    """Return when there is a place for all that is to be put back.

    Raises:
        RestoreRefusedError: a service of the backup has no folder here, and nobody would read what is put elsewhere.
    """
    if states.apart is None:
        return
    services = sorted({_service_of(entry) for entry in entries})
    missing = [name for name in services if not (states.apart / name).is_dir()]
    if missing:
        raise RestoreRefusedError(
            f"{', '.join(missing)}: what was learned has no place, as {states.apart / missing[0]} is not there; mount "
            "the volume of the service there. Nothing was restored"
        )


def put_learned_back(place: Path, entries: Iterable[FileEntry], states: StateFolders, like: Path) -> int:
    """Write what was learned where its services find it; a file that is there stays. Return how many were written.

    Args:
        place: the folder of all backups.
        entries: of one backup, already checked.
        states: where services keep their state.
        like: a folder whose owner the files get.

    Raises:
        OSError: the disk refused.
    """
    uid, written, roots = like.stat().st_uid, 0, states.roots()
    for entry in entries:
        service = _service_of(entry)
        root = roots.get(service, states.shared)
        path = root / entry.restores
        if path.exists():
            continue
        for folder in (root / service, path.parent):
            _make_folder(folder, like)
        with whole_file(path, mode=READABLE, uid=uid) as sink:
            sink.write((place / entry.path).read_bytes())
        written += 1
    return written


def _service_of(entry: FileEntry) -> str:
    return PurePosixPath(entry.restores).parts[0]


def _make_folder(folder: Path, like: Path) -> None:
    if not folder.exists():
        folder.mkdir()
        model = like.stat()
        folder.chmod(model.st_mode & 0o777)
        if folder.stat().st_uid != model.st_uid:
            os.chown(folder, model.st_uid, model.st_gid)
