"""The newest scans of every string in memory, so that the minute just over is computed without asking the server."""

import threading
from dataclasses import dataclass, field
from typing import Final

from historian.stores.block import Block, join
from historian.stores.questions import Span

KEEP_MS: Final = 150_000  # two whole minutes and what is late: 7 MB at 4096 units and 1 Hz
MAX_SCANS: Final = 600


@dataclass(slots=True)
class _Rows:
    complete_from_ms: int
    blocks: list[Block] = field(default_factory=list)


class Recent:
    """Rows since a known time, without a gap to what the server has."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._strings: dict[str, _Rows] = {}

    def begin(self, string: str, newest_ms: int) -> None:
        """Say that everything of a string that is later than this will come through `add`."""
        with self._lock:
            self._strings[string] = _Rows(newest_ms + 1)

    def add(self, string: str, row: Block) -> None:
        """Take a scan that is on the server."""
        at_ms = int(row.at_ms[0])
        with self._lock:
            rows = self._strings.setdefault(string, _Rows(0))
            if at_ms < rows.complete_from_ms:
                return
            rows.blocks.append(row)
            newest_ms = max(at_ms, int(rows.blocks[-2].at_ms[0])) if len(rows.blocks) > 1 else at_ms
            if newest_ms - rows.complete_from_ms > 2 * KEEP_MS or len(rows.blocks) > MAX_SCANS:
                self._trim(rows, newest_ms)

    def _trim(self, rows: _Rows, newest_ms: int) -> None:
        times = sorted(int(block.at_ms[0]) for block in rows.blocks)
        rows.complete_from_ms = max(newest_ms - KEEP_MS, times[max(len(times) - MAX_SCANS // 2, 0)])
        rows.blocks = [block for block in rows.blocks if int(block.at_ms[0]) >= rows.complete_from_ms]

    def block(self, string: str, span: Span) -> tuple[bool, Block | None]:
        """Return whether all rows of a span are here, and them in order of time when they are."""
        with self._lock:
            rows = self._strings.get(string)
            if rows is None or span.start_ms < rows.complete_from_ms:
                return False, None
            found = [row for row in rows.blocks if span.start_ms <= int(row.at_ms[0]) < span.end_ms]
        if not found:
            return True, None
        whole = join(found).sorted()
        if span.low <= 1 and span.high >= whole.keys[-1][0]:
            return True, whole
        return True, whole.only(frozenset(range(span.low, span.high + 1)))
