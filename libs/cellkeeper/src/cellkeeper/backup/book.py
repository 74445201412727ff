"""The book of one backup, `backup.json`: which files belong to it, with their hashes. Beside it lies its own hash.

A backup is whole when both files are there and agree; they are written last.
"""

import hashlib
from pathlib import Path, PurePosixPath
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from cellkeeper.backup.errors import BackupDamagedError
from cellkeeper.contract.identity import Id
from cellkeeper.runtime.whole_file import whole_file

FORMAT: Final = 1
BOOK: Final = "backup.json"
SEAL: Final = "backup.json.sha256"
CHUNK_BYTES: Final = 1 << 20
READABLE: Final = 0o644


def _stays_inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts:
        raise ValueError("leads out of the backup")
    return path


InnerPath = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_stays_inside)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Table(BaseModel):
    # ignore: what a later version adds within this format does not keep this one from restoring
    model_config = ConfigDict(frozen=True, extra="ignore")


class FileEntry(_Table):
    """One file of a backup.

    Attributes:
        path: where it lies, below the folder of all backups; the archive, below this backup's own.
        restores: what it is a copy of, below the service's own folder; of the archive, its name.
        bytes, sha256: of the file as it lies here.
        mark: by which the next backup sees that the original is still the same.
    """

    path: InnerPath
    restores: InnerPath
    bytes: Annotated[int, Field(ge=0)]
    sha256: Sha256
    mark: str = ""


class BackupBook(_Table):
    """What one backup holds.

    Attributes:
        made_by: version of the program.
        store: kind of the history in `files`; None without any.
        site_archive: the site's folder with its keys; None without it.
        encrypted: the archive went through the person's own program.
        learned: what services learned and the papers that they made, below the folder of all state.
        complete_to: history up to here is in it, as far as it was stored then.
    """

    format: Literal[1] = 1
    made_by: Annotated[str, Field(max_length=64)]
    site: Id
    made_at: AwareDatetime
    complete_to: AwareDatetime | None = None
    store: Literal["embedded", "influx"] | None = None
    site_archive: FileEntry | None = None
    encrypted: bool = False
    files: tuple[FileEntry, ...] = ()
    learned: tuple[FileEntry, ...] = ()

    @property
    def shared(self) -> tuple[FileEntry, ...]:
        """Every file outside of this backup's own folder."""
        return (*self.files, *self.learned)


class _Said(BaseModel):
    format: int
    made_by: str = "?"


def write_book(folder: Path, book: BackupBook) -> None:
    """Write a book and its seal; raises OSError."""
    body = book.model_dump_json(indent=1).encode() + b"\n"
    with whole_file(folder / BOOK, mode=READABLE) as sink:
        sink.write(body)
    with whole_file(folder / SEAL, mode=READABLE) as sink:
        sink.write(f"{hashlib.sha256(body).hexdigest()}  {BOOK}\n".encode())


def read_book(folder: Path) -> BackupBook:
    """Return the book of the backup in `folder`.

    Raises:
        BackupDamagedError: it is not what its seal says, or a later version made it.
    """
    path = folder / BOOK
    try:
        body, seal = path.read_bytes(), (folder / SEAL).read_text("ascii").split()
    except (OSError, UnicodeDecodeError) as exc:
        raise BackupDamagedError(f"{path} cannot be read ({exc}); take another backup") from exc
    if seal[:1] != [hashlib.sha256(body).hexdigest()]:
        raise BackupDamagedError(f"{path} is not what {SEAL} says; take another backup, or copy this one again")
    try:
        said = _Said.model_validate_json(body)
        if said.format > FORMAT:
            raise BackupDamagedError(
                f"{path} has format {said.format}, this program knows {FORMAT}; restore it with {said.made_by} or newer"
            )
        return BackupBook.model_validate_json(body)
    except ValidationError as exc:
        problem = exc.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise BackupDamagedError(f"{path} says nothing usable ({where}: {problem['msg']})") from exc


def sha256_of(path: Path) -> str:
    """Return the hash of a file; raises OSError."""
    found = hashlib.sha256()
    with path.open("rb") as source:
        while chunk := source.read(CHUNK_BYTES):
            found.update(chunk)
    return found.hexdigest()


def require_whole(root: Path, entry: FileEntry) -> None:
    """Return when the file of an entry is what the book says.

    Raises:
        BackupDamagedError: the text names the file.
    """
    path = root / entry.path
    try:
        size = path.stat().st_size
        if size != entry.bytes:
            raise BackupDamagedError(f"{path} has {size} bytes, {entry.bytes} belong there; {_ADVICE}")
        if sha256_of(path) != entry.sha256:
            raise BackupDamagedError(f"{path} has other contents than were backed up; {_ADVICE}")
    except OSError as exc:
        raise BackupDamagedError(f"{path}: {exc.strerror or exc}; {_ADVICE}") from exc


_ADVICE: Final = "nothing was restored: take another backup, or copy this one again"
