"""The newest minutes in memory, as the journal holds them: appended by one writer, read by anyone without a copy."""

from dataclasses import replace
from operator import attrgetter
from typing import Final

from historian.stores.block import CELL_ARRAYS, ROW_ARRAYS, Block, Key, empty

FIRST_CAPACITY: Final = 64
rows_of: Final = attrgetter(*ROW_ARRAYS)


class GrowingBlock:
    """Rows of one string under fixed keys. Rows below `used` never change, so a view of them stays true."""

    def __init__(self, keys: tuple[Key, ...]) -> None:
        self.used = 0
        self._room = empty(keys, FIRST_CAPACITY)
        self._arrays = rows_of(self._room)

    @property
    def keys(self) -> tuple[Key, ...]:
        """Return the (position, life) of each column."""
        return self._room.keys

    def append(self, row: Block) -> None:
        """Put one row at the end."""
        if self.used == len(self._room):
            self._grow()
        for into, one in zip(self._arrays, rows_of(row), strict=True):
            into[self.used] = one[0]
        self.used += 1

    def _grow(self) -> None:
        larger = empty(self.keys, self.used * 2)
        for name in ROW_ARRAYS:
            getattr(larger, name)[: self.used] = getattr(self._room, name)
        self._room, self._arrays = larger, rows_of(larger)

    def view(self) -> Block:
        """Return the rows so far; no copy, and not changed by later rows."""
        return self._room.take(slice(0, self.used))


class HotRows:
    """All rows that only the journal holds, by journal number and string. Not locked: its owner is."""

    def __init__(self) -> None:
        self._parts: dict[int, dict[str, list[GrowingBlock]]] = {}

    def append(self, journal: int, string: str, row: Block) -> None:
        """Put one durable row in."""
        blocks = self._parts.setdefault(journal, {}).setdefault(string, [])
        if not blocks or (blocks[-1].keys is not row.keys and blocks[-1].keys != row.keys):
            blocks.append(GrowingBlock(row.keys))
        blocks[-1].append(row)

    def views(self, string: str) -> list[Block]:
        """Return the rows of a string, oldest journal first."""
        parts = (self._parts[number].get(string, ()) for number in sorted(self._parts))
        return [block.view() for blocks in parts for block in blocks]

    def of_journal(self, journal: int) -> dict[str, list[Block]]:
        """Return the rows of one journal by string."""
        return {string: [b.view() for b in blocks] for string, blocks in self._parts.get(journal, {}).items()}

    def drop(self, journal: int, string: str) -> None:
        """Forget the rows of a string in a journal: they lie in Parquet now."""
        strings = self._parts.get(journal, {})
        strings.pop(string, None)
        if not strings:
            self._parts.pop(journal, None)

    def strings(self) -> set[str]:
        """Return the strings that have rows here."""
        return {string for strings in self._parts.values() for string in strings}

    def longest(self, journal: int) -> int:
        """Return the number of scans of the string that has most in a journal."""
        parts = self._parts.get(journal, {}).values()
        return max((sum(block.used for block in blocks) for blocks in parts), default=0)

    def count(self) -> int:
        """Return the number of cell rows."""
        parts = (blocks for strings in self._parts.values() for blocks in strings.values())
        return sum(block.used * len(block.keys) for blocks in parts for block in blocks)


def narrowed(block: Block, start_ms: int, end_ms: int) -> Block:
    """Return the rows of `[start_ms, end_ms)`."""
    inside = (block.at_ms >= start_ms) & (block.at_ms < end_ms)
    return block if inside.all() else block.take(inside)


def without_cells(block: Block) -> Block:
    """Return the rows with no cell columns at all."""
    return replace(block, keys=(), **{name: getattr(block, name)[:, :0] for name in CELL_ARRAYS})
