"""Asks a running historian for history, piece by piece."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import orjson
import pyarrow as pa
from cellkeeper.contract.moment import parse_ms
from cellkeeper.contract.series import DAY_MS, FULL, TierName
from cellkeeper.runtime.history_api import HistoryApi, range_asked

from historian.api_answers import ARROW

FULL_PIECE_MS: Final = 900_000  # 460 800 rows of 512 units at 1 Hz: below the API's limit
TIER_PIECE_MS: Final = {"1m": DAY_MS // 4, "15m": 4 * DAY_MS, "1d": 365 * DAY_MS}

type Measurement = Literal["cell", "string", "balance", "mode", "estimate", "cell_estimate"]


@dataclass(frozen=True, slots=True)
class Piece:
    """What one request covers."""

    string: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Historian:
    """All that a running historian has; every answer may raise HistoryUnavailableError."""

    api: HistoryApi

    def strings(self) -> list[str]:
        """Return the strings that have history."""
        return [entry["string"] for entry in self.api.read("/v1/strings")]

    def spans(self, string: str, start_ms: int, end_ms: int, tier: TierName) -> list[tuple[int, int]]:
        """Return where in a range the string may have rows."""
        asked = range_asked(start_ms, end_ms) | {"tier": tier}
        found = self.api.read(f"/v1/strings/{string}/spans", asked)["spans_ms"]
        return [(int(first), int(last)) for first, last in found]

    def table(self, piece: Piece, measurement: Measurement, tier: TierName) -> pa.Table:
        """Return the rows of a piece, without whole payloads."""
        found = self.whole_table(piece, measurement, tier)
        return found.drop_columns("body") if measurement == "balance" else found

    def whole_table(self, piece: Piece, measurement: Measurement, tier: TierName) -> pa.Table:
        """Return the rows of a piece with everything that is stored of them."""
        asked = range_asked(piece.start_ms, piece.end_ms) | {"tier": tier}
        answer = self.api.body(f"/v1/strings/{piece.string}/{measurement}", asked, accept=ARROW)
        with pa.ipc.open_stream(answer) as stream:
            return stream.read_all()

    def sweeps(self, string: str, start_ms: int, end_ms: int) -> list[bytes]:
        """Return impedance sweeps as they were published, in time order."""
        found = self.api.read(f"/v1/strings/{string}/sweeps", range_asked(start_ms, end_ms))["sweeps"]
        return [orjson.dumps(each) for each in found]

    def events(self, start_ms: int, end_ms: int, limit: int) -> list[tuple[int, bytes]]:
        """Return times and payloads of the log book, newest first."""
        asked = range_asked(start_ms, end_ms) | {"limit": str(limit)}
        found = self.api.read("/v1/events", asked)["events"]
        return [(parse_ms(each["at"]), orjson.dumps(each)) for each in found]


def pieces_of(string: str, spans: Sequence[tuple[int, int]], tier: TierName) -> Iterator[Piece]:
    """Yield pieces of spans in order of time that each fit into one answer."""
    step_ms = FULL_PIECE_MS if tier == FULL.name else TIER_PIECE_MS[tier]
    for first_ms, end_ms in spans:
        start_ms = first_ms
        while start_ms < end_ms:
            until_ms = min((start_ms // step_ms + 1) * step_ms, end_ms)
            yield Piece(string, start_ms, until_ms)
            start_ms = until_ms
