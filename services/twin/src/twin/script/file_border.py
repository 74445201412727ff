"""Border between TOML files and the twin: a file becomes a checked dataclass, or one error that says what to do."""

import tomllib
from pathlib import Path

from cellkeeper.contract.toml_lines import TomlLines, line_of_syntax
from pydantic import TypeAdapter, ValidationError

from twin.errors import TwinFileError

MAX_FILE_BYTES = 1 << 20  # parameter sets and scenarios are a few kB; a larger file is the wrong file
MAX_FAULTS_SHOWN = 8


def read_toml[T](path: Path, shape: TypeAdapter[T]) -> T:
    """Read `path` into the dataclass behind `shape`.

    Raises:
        TwinFileError: unreadable, not TOML, or a key has a wrong value; names file, key and what was expected.
    """
    try:
        raw = path.read_bytes()
    except OSError as exc:
        raise TwinFileError(f"{path}: cannot be read ({exc.strerror}); check the path and its permissions") from exc
    if len(raw) > MAX_FILE_BYTES:
        raise TwinFileError(f"{path}: {len(raw)} bytes, limit {MAX_FILE_BYTES}; this is not a file of the twin")
    text = raw.decode("utf-8", "replace")
    try:
        return shape.validate_python(tomllib.loads(raw.decode()))
    except UnicodeDecodeError as exc:
        raise TwinFileError(f"{path}: not valid TOML: {exc}; save it as UTF-8") from exc
    except tomllib.TOMLDecodeError as exc:
        line = line_of_syntax(exc, text)
        raise TwinFileError(f"{path}:{line}: not valid TOML: {exc}; correct the syntax there") from exc
    except ValidationError as exc:
        raise TwinFileError(describe(exc, path, TomlLines(text))) from exc


def describe(error: ValidationError, path: Path, lines: TomlLines) -> str:
    """Return one sentence per faulty key: file and line, what is wrong, what to do."""
    faults = error.errors(include_url=False)
    shown = [
        f"{path}:{lines.line_of(fault['loc'])}: " + _sentence(fault["loc"], fault["type"], fault["msg"], fault["input"])
        for fault in faults[:MAX_FAULTS_SHOWN]
    ]
    if len(faults) > MAX_FAULTS_SHOWN:
        shown.append(f"and {len(faults) - MAX_FAULTS_SHOWN} more")
    return "; ".join(shown)


def _sentence(where: tuple[int | str, ...], kind: str, message: str, value: object) -> str:
    key = ".".join(str(part) for part in where) or "the file"
    if kind in {"unexpected_keyword_argument", "extra_forbidden"}:
        return f"key '{key}': not known here; remove it or correct its spelling"
    if kind in {"missing", "missing_argument"}:
        return f"key '{key}': missing; add it"
    return f"key '{key}': {message}, found {str(value)[:60]!r}; change the value"
