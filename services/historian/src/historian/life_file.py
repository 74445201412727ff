"""The book of lives on disk: a small JSON file in the service's folder, replaced as a whole."""

from pathlib import Path
from typing import Annotated, Final, Literal

from cellkeeper.contract.identity import Cell, Id
from cellkeeper.contract.site import Site
from cellkeeper.runtime.errors import StartRefusedError
from cellkeeper.runtime.whole_file import whole_file
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from historian.lives import Change, LifeBook, Since

FILE: Final = "lives.json"


class _Since(BaseModel):
    model_config = ConfigDict(extra="forbid")

    from_ms: int
    lives: dict[Cell, Annotated[int, Field(ge=1, le=9999)]]


class _Book(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = 1
    strings: dict[Id, list[_Since]]


def lives_of(folder: Path, site: Site, now_ms: int) -> tuple[LifeBook, list[Change]]:
    """Return the book of lives as `site` says from now on, and what that changes; it is on disk then.

    Args:
        folder: of the service.
        site: the description that holds from `now_ms` on.
        now_ms: event time.

    Raises:
        StartRefusedError: the file cannot be read or written.
    """
    book = _read(folder / FILE)
    before = {string: list(known) for string, known in book.strings.items()}
    changes = [change for table in site.string for change in book.describe(table.id, table.lives, now_ms)]
    if book.strings != before:
        _write(folder / FILE, book)
    return book, changes


def _read(path: Path) -> LifeBook:
    try:
        body = _Book.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return LifeBook()
    except (OSError, ValidationError) as exc:
        raise StartRefusedError(
            f"{path} does not tell since when cells are in their life ({str(exc).splitlines()[0]}); restore it, or "
            "delete it: then the lives of site.toml hold for every scan that is not stored yet"
        ) from exc
    return LifeBook({string: [Since(s.from_ms, s.lives) for s in known] for string, known in body.strings.items()})


def _write(path: Path, book: LifeBook) -> None:
    strings = {
        string: [_Since(from_ms=since.from_ms, lives=dict(since.lives)) for since in known]
        for string, known in book.strings.items()
    }
    try:
        with whole_file(path) as sink:
            sink.write(_Book(strings=strings).model_dump_json().encode())
    except OSError as exc:
        raise StartRefusedError(f"{path}: {exc.strerror or exc}; make room or give the service its folder") from exc
