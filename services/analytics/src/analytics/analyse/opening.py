"""Opens recorded text files as people have them: Excel's encodings and first line, and what is no text at all."""

import codecs
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Final

from analytics.analyse.errors import AnalyseError

LOOKED_AT: Final = 65_536  # bytes of a file that tell what it is written in
DELIMITERS: Final = ";\t|,"
_NO_TEXT: Final = (
    (b"PK\x03\x04", "is an Excel workbook or another archive; save it as CSV, or unpack it"),
    (b"\xd0\xcf\x11\xe0", "is an old Excel workbook; save it as CSV"),
    (b"\x1f\x8b", "is compressed; unpack it first"),
)
_BOMS: Final = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@contextmanager
def opened(path: Path) -> Iterator[Iterable[str]]:
    """Give the lines of a text file; a byte that is none of it becomes a mark, so that its row is bad and not the file.

    The `sep=;` that Excel looks for in a first line becomes an empty line, which no reader of rows counts.

    Raises:
        AnalyseError: it is no text.
        OSError: it cannot be read.
    """
    with path.open("rb") as raw:
        encoding = _encoding(path, raw.read(LOOKED_AT))
    with path.open(encoding=encoding, errors="replace", newline="") as lines:
        first = lines.readline()
        yield lines if not first else chain(["\n" if is_excels_hint(first) else first], lines)


def is_excels_hint(line: str) -> bool:
    """Whether a line is `sep=;` or the like."""
    return len(line.strip("\r\n")) == 5 and line.lower().startswith("sep=")


def delimiter_in(path: Path, skip_lines: int) -> str:
    """Return what separates the fields of a file, by its header row; a comma where nothing does.

    Raises:
        AnalyseError: it is no text.
        OSError: it cannot be read.
    """
    with opened(path) as lines:
        for at, line in enumerate(lines):
            if at >= skip_lines and line.strip():
                return max(DELIMITERS, key=line.count) if any(map(line.count, DELIMITERS)) else ","
    return ","


def _encoding(path: Path, begin: bytes) -> str:
    for mark, what in _NO_TEXT:
        if begin.startswith(mark):
            raise AnalyseError(f"{path}: {what}")
    for mark, encoding in _BOMS:
        if begin.startswith(mark):
            return encoding
    if b"\x00" in begin:
        raise AnalyseError(f"{path}: is no text; give a CSV or Parquet file")
    try:
        codecs.getincrementaldecoder("utf-8")().decode(begin)  # a character that is cut off at the end is no error
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"
