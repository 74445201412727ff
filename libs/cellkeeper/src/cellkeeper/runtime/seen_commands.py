"""Remembers command ids on disk, so that a command acts at most once also across restarts."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from uuid import UUID

from cellkeeper.runtime.whole_file import whole_file

_COMPACT_LINES: Final = 4000


class SeenCommands:
    """An append-only file of `id expires_ms` lines, written before a command acts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines = 0
        self._compact_at = _COMPACT_LINES

    def read(self) -> dict[UUID, int]:
        """Return the remembered ids with their expiry in ms; a torn or foreign line is passed over."""
        try:
            lines = self._path.read_text("ascii", "replace").splitlines()
        except OSError:
            return {}
        self._lines = len(lines)
        seen = {}
        for line in lines:
            try:
                text, expires_ms = line.split()
                seen[UUID(text)] = int(expires_ms)
            except ValueError:
                continue
        return seen

    def remember(self, command: UUID, expires_ms: int, all_seen: Mapping[UUID, int]) -> bool:
        """Make an id durable; False when the disk does not take it, and then the command must not act."""
        try:
            if self._lines >= self._compact_at:
                self._rewrite(all_seen)
                return True
            with self._path.open("a", encoding="ascii") as file:
                file.write(f"{command} {expires_ms}\n")
                file.flush()
                os.fdatasync(file.fileno())
        except OSError:
            return False
        self._lines += 1
        return True

    def _rewrite(self, seen: Mapping[UUID, int]) -> None:
        newest = sorted(seen.items(), key=lambda item: item[1])
        with whole_file(self._path) as file:
            file.writelines(f"{id_} {expires_ms}\n".encode() for id_, expires_ms in newest)
        self._lines = len(newest)
        self._compact_at = max(_COMPACT_LINES, 2 * self._lines)
