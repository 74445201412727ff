"""Asks a running historian for history, piece by piece."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import httpx
import orjson
import pyarrow as pa
from cellkeeper.contract.moment import format_ms, parse_ms
from cellkeeper.contract.series import DAY_MS, FULL, TierName

from historian.api_answers import ARROW
from historian.errors import ExportFailedError

ANSWER_DEADLINE_S: Final = 60.0  # an hour of 512 units is read in well under a second; a busy site server may need more
FULL_PIECE_MS: Final = 900_000  # 460 800 rows of 512 units at 1 Hz: below the API's limit
TIER_PIECE_MS: Final = {"1m": DAY_MS // 4, "15m": 4 * DAY_MS, "1d": 365 * DAY_MS}

type Measurement = Literal["cell", "string", "balance", "mode", "estimate", "cell_estimate"]


@dataclass(frozen=True, slots=True)
class Piece:
    """What one request covers."""

    string: str
    start_ms: int
    end_ms: int


class Historian:
    """A running historian's API.

    Args:
        client: already knows the address.
    """

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def strings(self) -> list[str]:
        """Return the strings that have history; raises ExportFailedError."""
        return [entry["string"] for entry in self._get("/v1/strings", {}).json()]

    def spans(self, string: str, start_ms: int, end_ms: int, tier: TierName) -> list[tuple[int, int]]:
        """Return where in a range the string may have rows; raises ExportFailedError."""
        asked = {"start": format_ms(start_ms), "end": format_ms(end_ms), "tier": tier}
        found = self._get(f"/v1/strings/{string}/spans", asked).json()["spans_ms"]
        return [(int(first), int(last)) for first, last in found]

    def table(self, piece: Piece, measurement: Measurement, tier: TierName) -> pa.Table:
        """Return the rows of a piece, without whole payloads; raises ExportFailedError."""
        found = self.whole_table(piece, measurement, tier)
        return found.drop_columns("body") if measurement == "balance" else found

    def whole_table(self, piece: Piece, measurement: Measurement, tier: TierName) -> pa.Table:
        """Return the rows of a piece with everything that is stored of them; raises ExportFailedError."""
        asked = {"start": format_ms(piece.start_ms), "end": format_ms(piece.end_ms), "tier": tier}
        answer = self._get(f"/v1/strings/{piece.string}/{measurement}", asked, accept=ARROW)
        with pa.ipc.open_stream(answer.content) as stream:
            return stream.read_all()

    def sweeps(self, string: str, start_ms: int, end_ms: int) -> list[bytes]:
        """Return impedance sweeps as they were published, in time order; raises ExportFailedError."""
        asked = {"start": format_ms(start_ms), "end": format_ms(end_ms)}
        return [orjson.dumps(each) for each in self._get(f"/v1/strings/{string}/sweeps", asked).json()["sweeps"]]

    def events(self, start_ms: int, end_ms: int, limit: int) -> list[tuple[int, bytes]]:
        """Return times and payloads of the log book, newest first; raises ExportFailedError."""
        asked = {"start": format_ms(start_ms), "end": format_ms(end_ms), "limit": str(limit)}
        found = self._get("/v1/events", asked).json()["events"]
        return [(parse_ms(each["at"]), orjson.dumps(each)) for each in found]

    def _get(self, path: str, asked: dict[str, str], accept: str = "application/json") -> httpx.Response:
        try:
            answer = self._client.get(path, params=asked, headers={"accept": accept}, timeout=ANSWER_DEADLINE_S)
        except httpx.HTTPError as exc:
            raise ExportFailedError(
                f"no historian answers at {self._client.base_url} ({type(exc).__name__}); start it, or give --url"
            ) from exc
        if answer.status_code != httpx.codes.OK:
            raise ExportFailedError(f"the historian refused: {answer.text[:300]}")
        return answer


def pieces_of(string: str, spans: Sequence[tuple[int, int]], tier: TierName) -> Iterator[Piece]:
    """Yield pieces of spans in order of time that each fit into one answer."""
    step_ms = FULL_PIECE_MS if tier == FULL.name else TIER_PIECE_MS[tier]
    for first_ms, end_ms in spans:
        start_ms = first_ms
        while start_ms < end_ms:
            until_ms = min((start_ms // step_ms + 1) * step_ms, end_ms)
            yield Piece(string, start_ms, until_ms)
            start_ms = until_ms
