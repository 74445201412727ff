"""Lines of text as columns: every row of a batch at once, digits from a table. Pure.

A batch is a matrix of bytes, one row per line. Columns are as wide as their widest entry; what a narrower entry leaves
over, and fields that a row does not have, are gaps: zero bytes, which are deleted when the lines are joined.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

type Chars = NDArray[np.uint8]
type Ints = NDArray[Any]
type Flags = NDArray[np.bool_]

GAP: Final = b"\0"
_GROUP: Final = 10_000  # four digits at a time
_PADDED: Final = np.frombuffer("".join(f"{n:04d}" for n in range(_GROUP)).encode(), np.uint32)  # a group a number
_PLAIN: Final = np.frombuffer(b"".join(str(n).encode().rjust(4, GAP) for n in range(_GROUP)), np.uint32)
_HEAD: Final = np.r_[np.zeros(1, np.uint32), _PLAIN[1:]]  # in front of other digits a zero is a gap


def chars_of(texts: list[bytes]) -> Chars:
    """Return texts as a matrix, one row each; shorter ones have gaps at their end. No text may hold a zero byte."""
    width = max(map(len, texts))
    return np.frombuffer(b"".join(text.ljust(width, GAP) for text in texts), np.uint8).reshape(len(texts), width)


@dataclass(frozen=True, slots=True)
class _Sparse:
    """A piece that few rows have."""

    rows: Ints
    chars: Chars


class TextColumns:
    """Lines of line protocol that grow to the right.

    Args:
        keys: (rows, width) measurement and tags of each row.
    """

    def __init__(self, keys: Chars) -> None:
        self._rows = len(keys)
        self._pieces: list[Chars | bytes | _Sparse] = [keys, b" "]
        self._cleared: list[tuple[int, int, Ints]] = []
        self._begun: Flags | bool = False

    def integer(self, name: str, values: Ints, where: Flags | None = None) -> None:
        """Add an integer field.

        Args:
            name: of the field.
            values: (rows,) numbers; what stands where there is no field does not matter.
            where: rows that have the field; None for all.
        """
        present = self._rows if where is None else int(np.count_nonzero(where))
        if present == 0:
            return
        if where is None or present == self._rows:
            self._pieces += self._comma(None), *_number(name, values)
            self._begun = True
            return
        if 2 * present < self._rows:
            rows = np.flatnonzero(where)
            self._pieces.append(_Sparse(rows, _joined(len(rows), [self._comma(rows), *_number(name, values[rows])])))
        else:
            first = len(self._pieces)
            self._pieces += self._comma(None), *_number(name, np.where(where, values, 0))
            self._cleared.append((first, len(self._pieces), np.flatnonzero(~where)))
        self._begun = where if self._begun is False else self._begun | where

    def _comma(self, rows: Ints | None) -> Chars | bytes:
        """Return what stands before a field: a comma in rows that have another field already."""
        if isinstance(self._begun, bool):
            return b"," if self._begun else b""
        begun = self._begun if rows is None else self._begun[rows]
        return np.where(begun, np.uint8(ord(",")), np.uint8(0))[:, None]

    def end(self, times: Chars) -> bytes:
        """Return the lines, each with its time, a matrix of (rows, width) digits; a row without any field is none."""
        self._pieces += [b" ", times, b"\n"]
        ends = np.cumsum([_width(piece) for piece in self._pieces]).tolist()
        text = _joined(self._rows, self._pieces)
        for first, last, absent in self._cleared:
            text[absent, ends[first] - _width(self._pieces[first]) : ends[last - 1]] = 0
        if self._begun is not True:
            text[~np.broadcast_to(self._begun, self._rows)] = 0
        letters: Chars = text.ravel()
        return bytes(letters[letters != 0].data)  # a fifth faster than deleting from bytes


def _joined(rows: int, pieces: Sequence[Chars | bytes | _Sparse]) -> Chars:
    """Return pieces side by side."""
    template = b"".join(piece if isinstance(piece, bytes) else bytes(_width(piece)) for piece in pieces)
    text = np.empty((rows, len(template)), np.uint8)
    text[:] = np.frombuffer(template, np.uint8)  # one copy a row for all that is the same in every row
    first = 0
    for piece in pieces:
        end = first + _width(piece)
        if isinstance(piece, _Sparse):
            text[piece.rows, first:end] = piece.chars
        elif not isinstance(piece, bytes):
            text[:, first:end] = piece
        first = end
    return text


def _width(piece: Chars | bytes | _Sparse) -> int:
    if isinstance(piece, bytes):
        return len(piece)
    return int((piece.chars if isinstance(piece, _Sparse) else piece).shape[1])


def _number(name: str, values: Ints) -> list[Chars | bytes]:
    """Return the pieces of `name=123i`."""
    pieces: list[Chars | bytes] = [f"{name}=".encode()]
    if int(values.min()) < 0:
        pieces.append(np.where(values < 0, np.uint8(ord("-")), np.uint8(0))[:, None])
        values = np.abs(values.astype(np.int64))
    most, rest = int(values.max()), values
    table = _PLAIN if most < _GROUP else _HEAD
    groups: list[Chars] = []
    while most >= _GROUP:
        rest, low = np.divmod(rest, _GROUP)
        groups.append(_chars(_PADDED[low]))
        most //= _GROUP
    return [*pieces, _chars(table[rest]), *reversed(groups), b"i"]


def _chars(groups: NDArray[np.uint32]) -> Chars:
    return groups.view(np.uint8).reshape(-1, 4)
