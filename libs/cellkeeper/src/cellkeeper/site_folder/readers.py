"""`readers.json`: who reads from outside the suite. Passwords are made here, shown once and kept as hashes."""

import secrets
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cellkeeper.contract.identity import Id
from cellkeeper.policy.dynamic_security import SALT_BYTES, PasswordHash, hashed
from cellkeeper.runtime.errors import StartRefusedError
from cellkeeper.site_folder.layout import Desk, SiteFolder

PASSWORD_BYTES: Final = 32
READERS_MODE: Final = 0o600

type Login = Literal["password", "certificate"]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Reader(_Table):
    """One reader: how it proves who it is, and the commands it may give as `service/name`."""

    name: Id
    login: Login
    commands: tuple[str, ...] = ()
    salt: str | None = None
    hash: str | None = None
    rounds: Annotated[int, Field(ge=1)] | None = None

    @property
    def password(self) -> PasswordHash | None:
        """The hash of its password; None when it comes with a certificate."""
        if self.salt is None or self.hash is None or self.rounds is None:
            return None
        return PasswordHash(self.salt, self.hash, self.rounds)


class Readers(_Table):
    """All readers of a site, in the order they were added."""

    readers: tuple[Reader, ...] = ()

    def named(self, name: str) -> Reader | None:
        """Return the reader called `name`, None when there is none."""
        return next((reader for reader in self.readers if reader.name == name), None)

    def without(self, name: str) -> "Readers":
        """Return all readers but one."""
        return Readers(readers=tuple(reader for reader in self.readers if reader.name != name))

    def with_one(self, reader: Reader) -> "Readers":
        """Return all readers and one more."""
        return Readers(readers=(*self.readers, reader))


def load_readers(folder: SiteFolder) -> Readers:
    """Return the readers of a site; raises StartRefusedError when the file is damaged."""
    path = folder.readers_file
    try:
        return Readers.model_validate_json(path.read_bytes()) if path.exists() else Readers()
    except (OSError, ValidationError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else exc.errors()[0]["msg"]
        raise StartRefusedError(f"{path} cannot be used ({reason}); restore it from the backup") from exc


def save_readers(desk: Desk, readers: Readers, owner: int) -> None:
    """Write the readers of a site."""
    desk.put(desk.folder.readers_file, readers.model_dump_json(indent=2).encode() + b"\n", READERS_MODE, owner)


def with_password(name: str, commands: tuple[str, ...]) -> tuple[Reader, str]:
    """Return a new reader and its password, which nobody can tell again."""
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    kept = hashed(password, secrets.token_bytes(SALT_BYTES))
    return Reader(
        name=name, login="password", commands=commands, salt=kept.salt, hash=kept.hash, rounds=kept.rounds
    ), password
