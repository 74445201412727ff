"""Where everything lies in a site's folder, and how a file gets there: whole, with its owner, only when it is new.

site.toml  access.toml  readers.json      what people say
ca/                                       two authorities; only who renews needs their keys
batteries/                                files of battery types that site.toml names as batteries/NAME.toml
broker/                                   policy, configuration, certificate, `start`; mounted read-only
secrets/<service>/                        ca.crt, client.crt, client.key; one folder for each service, mounted whole
handover/<reader>/                        for whoever asked for a certificate: hand it over, then delete it
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cellkeeper.runtime.errors import StartRefusedError
from cellkeeper.runtime.whole_file import whole_file

PRIVATE_DIR: Final = 0o700
PRIVATE: Final = 0o400
PUBLIC: Final = 0o644
READABLE_DIR: Final = 0o755


@dataclass(frozen=True, slots=True)
class SiteFolder:
    """Paths of a site's folder."""

    path: Path

    @property
    def site_file(self) -> Path:
        """The description of the site."""
        return self.path / "site.toml"

    @property
    def access_file(self) -> Path:
        """Where the broker listens and which users own what."""
        return self.path / "access.toml"

    @property
    def readers_file(self) -> Path:
        """Who reads from outside the suite, with hashes of their passwords."""
        return self.path / "readers.json"

    @property
    def batteries(self) -> Path:
        """Files of battery types, copied from a maker's sheet."""
        return self.path / "batteries"

    @property
    def authorities(self) -> Path:
        """Keys and certificates of the two authorities."""
        return self.path / "ca"

    @property
    def broker(self) -> Path:
        """What the broker is started from."""
        return self.path / "broker"

    @property
    def probe(self) -> Path:
        """The papers of the broker's health check."""
        return self.broker / "probe"

    @property
    def state(self) -> Path:
        """Where services keep what must survive when `cellkeeper up` runs them."""
        return self.path / "state"

    def secrets_of(self, user: str) -> Path:
        """The folder of a service, or of the command line."""
        return self.path / "secrets" / user

    def handover_of(self, reader: str) -> Path:
        """What is to be handed to a reader."""
        return self.path / "handover" / reader

    def require(self) -> None:
        """Raise StartRefusedError when this is no site folder."""
        if not self.access_file.exists():
            raise StartRefusedError(
                f"{self.path} is no site folder (no {self.access_file.name}); `cellkeeper init {self.path}` makes one"
            )


@dataclass(slots=True)
class Desk:
    """Writes files of a site's folder and remembers what it changed; what is there already stays untouched.

    Attributes:
        folder: the site's folder.
        changes: what was written, as lines for a person.
    """

    folder: SiteFolder
    changes: list[str] = field(default_factory=list)

    def make_dir(self, path: Path, mode: int, uid: int) -> None:
        """Have a folder with this mode and owner."""
        try:
            path.mkdir(parents=True, exist_ok=True)
            _give(path, mode, uid)
        except OSError as exc:
            raise StartRefusedError(_advice(path, exc)) from exc

    def put(self, path: Path, content: bytes, mode: int, uid: int) -> bool:
        """Have a file with this content, mode and owner; True when its content is new.

        The file is whole at every moment, also for a process that reads it now: written beside, synced, renamed.
        """
        try:
            there = path.read_bytes() if path.exists() else None
            if there == content:
                _give(path, mode, uid)
                return False
            with whole_file(path, mode=mode, uid=uid) as file:
                file.write(content)
        except OSError as exc:
            raise StartRefusedError(_advice(path, exc)) from exc
        self.changes.append(f"{'new     ' if there is None else 'changed '} {path.relative_to(self.folder.path)}")
        return True

    def put_once(self, path: Path, content: bytes, mode: int, uid: int) -> bool:
        """Have a file: one that is there keeps its content."""
        return self.put(path, path.read_bytes() if path.exists() else content, mode, uid)


def _give(path: Path, mode: int, uid: int) -> None:
    told = path.stat()
    if told.st_mode & 0o7777 != mode:
        path.chmod(mode)
    if told.st_uid != uid:
        os.chown(path, uid, uid)


def _advice(path: Path, exc: OSError) -> str:
    return f"{path}: {exc.strerror}; run `cellkeeper init` as the user that owns the folder, or as root for other users"


def private_files(folder: SiteFolder) -> Iterator[Path]:
    """Yield every file that nobody but its owner may read."""
    for room in (folder.authorities, folder.broker, folder.path / "secrets", folder.path / "handover"):
        yield from (path for path in room.rglob("*.key") if path.is_file())
