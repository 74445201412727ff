"""When a row is, for InfluxDB: a grid of 50 ms, with nanoseconds that keep streams apart. Pure, but for its memory.

InfluxDB keeps a time per field and row. Times in equal steps cost nothing there; a jitter of one millisecond costs
1.3 bytes for every one of them, more than a voltage does. So a scan's rows stand on a grid, and the row of `string`
says by `offset_ms` when it really was. Two scans are never one row: the nanoseconds come from the stream, and are one
more for a scan that shares its grid point with the scan of its stream that was written before.
"""

from typing import Final

from cellkeeper.contract.series import row_ns

GRID_MS: Final = 50  # half the shortest scan interval that a site may have
NS_PER_MS: Final = 1_000_000


def grid_ms(measured_ms: int) -> int:
    """Return the grid point of a time."""
    return measured_ms // GRID_MS * GRID_MS


class RowTimes:
    """Gives scans their row times; the same scan written again gets the same."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], tuple[int, dict[int, int]]] = {}

    def note(self, string: str, stream: str, seq: int, at_ns: int) -> None:
        """Remember a row that is stored already: the newest of its stream, after a start."""
        at_ms = at_ns // NS_PER_MS
        self._last[string, stream] = (at_ms, {seq: at_ns - row_ns(at_ms, stream)})

    def of(self, string: str, stream: str, seq: int, measured_ms: int) -> int:
        """Return nanoseconds since 1970 of the scan's rows."""
        at_ms = grid_ms(measured_ms)
        last_ms, places = self._last.get((string, stream), (-1, {}))
        if last_ms != at_ms:
            places = {}
            self._last[string, stream] = (at_ms, places)
        place = places.setdefault(seq, max(places.values(), default=-1) + 1)
        return row_ns(at_ms, stream) + place
