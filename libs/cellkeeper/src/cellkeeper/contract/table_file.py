"""Reads a TOML file that people write into its model, and says file, line and what to do about all that is wrong."""

import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from cellkeeper.contract.table import Table
from cellkeeper.contract.toml_lines import TomlLines, line_of_syntax

MAX_FILE_BYTES: Final = 2 * 1024 * 1024  # a site.toml of 512 strings with every override is below 1 MB

_ADVICE: Final = {
    "extra_forbidden": "unknown key; remove it or correct its spelling",
    "missing": "is missing; add it",
    "string_pattern_mismatch": "use a-z, 0-9, _ and -, beginning with a letter or digit, at most 32 characters",
    "greater_than": "is too small; write a value above {gt}",
    "greater_than_equal": "is too small; write a value of at least {ge}",
    "less_than": "is too large; write a value below {lt}",
    "less_than_equal": "is too large; write a value of at most {le}",
    "finite_number": "is no finite number; write one",
    "literal_error": "is not possible; write {expected}",
    "string_type": "has to be text; put it in quotes",
    "string_too_short": "is too short; write at least {min_length} characters",
    "string_too_long": "is too long; write at most {max_length} characters",
    "too_short": "has {actual_length}; it needs at least {min_length}",
    "list_type": "has to be a list; write its header with two brackets, [[…]], or a value in [ ]",
    "model_type": "has to be a table; write its header with one pair of brackets, […]",
    "tuple_type": "has to be a list; write its values in [ ]",
    "timezone_aware": "needs its zone; write an instant as 2026-11-20T09:30:00Z, without quotes",
    "datetime_type": "has to be an instant; write one as 2026-11-20T09:30:00Z, without quotes",
    "datetime_parsing": "has to be an instant; write one as 2026-11-20T09:30:00Z, without quotes",
    "datetime_from_date_parsing": "has to be an instant; write one as 2026-11-20T09:30:00Z, without quotes",
    "date_type": "has to be a day; write one as 2024-03-18, without quotes",
    "date_from_datetime_parsing": "has to be a day; write one as 2024-03-18, without quotes",
    "date_from_datetime_inexact": "has to be a day without a time; write one as 2024-03-18, without quotes",
    "dict_type": "has to be a table; write its header with one pair of brackets, […]",
}
_NUMBER: Final = "has to be a number; write one without quotes"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, with where and what to do."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


class TableFileError(ValueError):
    """The file cannot be used; `problems` says everything that was found."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def read_bounded(path: Path) -> bytes:
    """Return the bytes of a file.

    Raises:
        TableFileError: it cannot be read, or is larger than any file of its kind.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as exc:
        raise TableFileError(
            [Problem(str(path), 1, f"cannot be read ({exc.strerror}); check name and rights")]
        ) from exc
    if len(raw) > MAX_FILE_BYTES:
        raise TableFileError([Problem(str(path), 1, f"larger than {MAX_FILE_BYTES} bytes; is this a {path.name}?")])
    return raw


def parse_table[T: Table](raw: bytes, name: str, model: type[T]) -> T:
    """Return the checked `model` in the bytes of a file called `name`.

    Raises:
        TableFileError: it is not UTF-8, not TOML, or not what the model allows.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as exc:
        line = raw[: exc.start].count(b"\n") + 1
        raise TableFileError([Problem(name, line, "is not UTF-8; save the file as UTF-8")]) from exc
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise TableFileError(
            [Problem(name, line_of_syntax(exc, text), f"is not TOML: {exc}; correct the syntax there")]
        ) from exc
    try:
        return model.model_validate(tree)
    except ValidationError as exc:
        lines = TomlLines(text)
        raise TableFileError(
            [Problem(name, lines.line_of(e["loc"], e["msg"]), _message(e)) for e in exc.errors()]
        ) from exc


def _known_keys() -> set[str]:
    return {key for table in Table.__subclasses__() for key in table.model_fields}


def _advice(error: ErrorDetails) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        near = get_close_matches(str(error["loc"][-1]), _known_keys(), 1)
        return f"unknown key; did you mean {near[0]}? Else remove it" if near else _ADVICE[kind]
    if kind.startswith(("float_", "int_")):
        return _NUMBER
    if kind in _ADVICE:
        return _ADVICE[kind].format(**context)
    return str(error["msg"]).removeprefix("Value error, ")


def _message(error: ErrorDetails) -> str:
    where = ".".join(str(part + 1) if isinstance(part, int) else part for part in error["loc"])
    told = _advice(error)
    given = error.get("input")
    shown = f" (here {given!r})" if isinstance(given, str | int | float) and error["type"] != "missing" else ""
    return f"{where or 'file'}: {told}{shown}"[:400]
