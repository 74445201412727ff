"""A site's folder as one archive: keys, policy, tokens, with owners and modes; through a program of the person or not.

Encryption is left to a program that the person has and trusts, such as age or gpg: the archive goes into its standard
input, and what comes out is kept.
"""

import hashlib
import os
import shlex
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from cellkeeper.backup.book import FileEntry
from cellkeeper.backup.errors import BackupDamagedError, BackupFailedError, RestoreRefusedError
from cellkeeper.backup.place import Draft
from cellkeeper.runtime.whole_file import sync_folder

ARCHIVE: Final = "site.tar.gz"
ENCRYPTED: Final = "site.tar.gz.encrypted"
LEFT_OUT: Final = "state"  # of `cellkeeper up`: history has its own way, journals are never restored
PRIVATE: Final = 0o600
PROGRAM_DEADLINE_S: Final = 600.0  # a site's folder is below a megabyte; the program may ask a person or a token
ROOT_UID: Final = 0


def write_archive(site: Path, draft: Draft, program: str | None) -> FileEntry:
    """Put a site's folder into a backup.

    Args:
        site: the folder.
        draft: the backup.
        program: encrypts standard input to standard output; None to leave the archive as it is.

    Raises:
        BackupFailedError: a file cannot be read, or the program failed.
        OSError: the disk refused.
    """
    name = ENCRYPTED if program else ARCHIVE
    path = draft.folder / name
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
    with os.fdopen(handle, "wb") as sink:
        if program is None:
            _pack(site, sink)
        else:
            with _running(program, stdin=subprocess.PIPE, stdout=sink) as process:
                assert process.stdin is not None
                with process.stdin as entrance:
                    _pack(site, entrance)
        sink.flush()
        os.fsync(handle)
    with path.open("rb") as written:
        sha256 = hashlib.file_digest(written, "sha256").hexdigest()
    return draft.own(name, sha256, path.stat().st_size)


def _pack(site: Path, sink: IO[bytes]) -> None:
    try:
        with tarfile.open(fileobj=sink, mode="w|gz") as archive:
            for path in _contents(site):
                archive.add(path, path.relative_to(site).as_posix() or ".", recursive=False, filter=_by_number)
    except PermissionError as exc:
        raise BackupFailedError(f"{exc.filename} may not be read; run it as root, who may read all keys") from exc
    except BrokenPipeError as exc:
        raise BackupFailedError("the program for the archive ended too early; try it by hand") from exc


def _contents(site: Path) -> Iterator[Path]:
    yield site
    for top in sorted(site.iterdir()):
        if top.name == LEFT_OUT:
            continue
        yield top
        if top.is_dir() and not top.is_symlink():
            yield from (path for path in sorted(top.rglob("*")) if not path.name.endswith(".new"))


def _by_number(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    member.uname = member.gname = ""  # another machine may give the names to other numbers
    return member if member.isfile() or member.isdir() or member.issym() else None


def unpack_archive(archive: Path, target: Path, program: str | None) -> None:
    """Unpack an archive that was checked into a folder that is new or empty; owners too when root does it.

    Raises:
        RestoreRefusedError: the folder is not empty.
        BackupDamagedError: it is no archive, or the program failed.
    """
    require_empty(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.restoring")
    if beside.exists():
        raise RestoreRefusedError(f"{beside} is left of a restore that was cut off; remove it and run this again")
    beside.mkdir(mode=0o700)
    try:
        if program is None:
            with archive.open("rb") as source:
                _unpack(source, beside)
        else:
            with archive.open("rb") as source, _running(program, stdin=source, stdout=subprocess.PIPE) as process:
                assert process.stdout is not None
                _unpack(process.stdout, beside)
    except (tarfile.TarError, EOFError, OSError) as exc:
        remove_tree(beside)
        raise BackupDamagedError(
            f"{archive} does not unpack ({exc}); is --decrypt right? nothing was restored"
        ) from exc
    except BackupFailedError:
        remove_tree(beside)
        raise
    beside.rename(target)
    sync_folder(target.parent)


def _unpack(source: IO[bytes], target: Path) -> None:
    with tarfile.open(fileobj=source, mode="r|gz") as archive:
        archive.extractall(target, filter=_as_it_was, numeric_owner=True)  # noqa: S202  # the filter keeps it inside
        while source.read(1 << 16):  # what follows the archive belongs to it; a program that still writes must end well
            pass


def _as_it_was(member: tarfile.TarInfo, target: str) -> tarfile.TarInfo:
    """Let nothing out of the target; keep mode, and owner when root restores."""
    checked = tarfile.tar_filter(member, target)
    return checked if os.geteuid() == ROOT_UID else checked.replace(uid=os.geteuid(), gid=os.getegid(), deep=False)


def require_empty(folder: Path) -> None:
    """Return when a folder is not there or holds nothing; raises RestoreRefusedError."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RestoreRefusedError(f"{folder} is not empty; move it away, or name another folder. Nothing was restored")


def remove_tree(folder: Path) -> None:
    """Remove a folder that was just made, read-only files in it too."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)
            path.rmdir()
        else:
            path.unlink()
    folder.rmdir()


@contextmanager
def _running(program: str, *, stdin: int | IO[bytes], stdout: int | IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a person's program; raises BackupFailedError when it cannot be run or does not end well."""
    words = shlex.split(program)
    try:
        process = subprocess.Popen(words, stdin=stdin, stdout=stdout)  # noqa: S603  # the person's own, without a shell
    except (OSError, IndexError, ValueError) as exc:
        raise BackupFailedError(f"{program!r} cannot be run ({exc}); give a program that reads and writes") from exc
    try:
        yield process
        ended = process.wait(PROGRAM_DEADLINE_S)
    except subprocess.TimeoutExpired as exc:
        raise BackupFailedError(f"{program!r} did not end within {PROGRAM_DEADLINE_S:.0f} s") from exc
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
    if ended:
        raise BackupFailedError(f"{program!r} ended with exit code {ended}; try it by hand")
