"""A month of a site, asked from the historian's read-only API over HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx
import numpy as np
from cellkeeper.contract.moment import format_ms

from analytics.readings import Floats, Places
from analytics.reports.errors import ReportError

DEFAULT_URL: Final = "http://127.0.0.1:8420"
CONNECT_DEADLINE_S: Final = 5.0
ANSWER_DEADLINE_S: Final = 30.0  # a month of 512 units in daily windows is 48 000 rows
MOST_EVENTS: Final = 10_000
SEEN_TIER: Final = "15m"
SEEN_POINTS: Final = 3000  # 31 days of quarters of an hour


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of time with their least, mean and greatest value; a row each.

    Attributes:
        at_ms: begin of the window.
        cell: position; 0 for values of the string.
        field: name of the value.
        low, mean, high: NaN where nothing was good.
        n_good, n_bad: readings in it.
    """

    at_ms: Places
    cell: Places
    field: tuple[str, ...]
    low: Floats
    mean: Floats
    high: Floats
    n_good: Floats
    n_bad: Floats


@dataclass(frozen=True, slots=True)
class Historian:
    """A running historian's API.

    Args:
        client: already knows the address.
    """

    client: httpx.Client

    def strings(self) -> dict[str, int]:
        """Return the strings and how many units each has; raises ReportError when nobody answers."""
        return {str(each["string"]): int(each["cells"]) for each in self._get("/v1/strings", {})}

    def days(self, string: str, measurement: str, start_ms: int, end_ms: int) -> Windows:
        """Return the daily windows of all units (`cell`) or of the string (`string`); raises ReportError."""
        asked = _asked(start_ms, end_ms) | {"tier": "1d"}
        return _windows(self._get(f"/v1/strings/{string}/{measurement}", asked)["columns"])

    def seen_quarters(self, string: str, start_ms: int, end_ms: int) -> int:
        """Return in how many quarters of an hour there was any scan; raises ReportError."""
        asked = _asked(start_ms, end_ms) | {"field": "cell_v", "tier": SEEN_TIER, "points": str(SEEN_POINTS)}
        columns = self._get(f"/v1/strings/{string}/cells/1", asked)["columns"]
        counts = zip(columns["n_good"], columns["n_bad"], strict=True)
        return sum((good or 0) + (bad or 0) > 0 for good, bad in counts)

    def events(self, start_ms: int, end_ms: int) -> list[dict[str, Any]]:
        """Return the log book of the range, newest first, `MOST_EVENTS` at most; raises ReportError."""
        found = self._get("/v1/events", _asked(start_ms, end_ms) | {"limit": str(MOST_EVENTS)})
        return list(found["events"])

    def _get(self, path: str, asked: dict[str, str]) -> Any:  # noqa: ANN401  # JSON
        try:
            answer = self.client.get(path, params=asked, timeout=ANSWER_DEADLINE_S)
        except httpx.HTTPError as exc:
            raise ReportError(
                f"no historian answers at {self.client.base_url} ({type(exc).__name__}); start it, or give --url"
            ) from exc
        if answer.status_code != httpx.codes.OK:
            raise ReportError(f"the historian refused: {answer.text[:300]}")
        try:
            return answer.json()
        except ValueError as exc:
            raise ReportError(f"what answers at {self.client.base_url} is no historian; give --url") from exc


def _windows(columns: dict[str, list[Any]]) -> Windows:
    def numbers(name: str) -> Floats:
        return np.array([np.nan if value is None else value for value in columns[name]], np.float64)

    return Windows(
        at_ms=np.array([np.datetime64(text.removesuffix("Z"), "ms") for text in columns["measured_at"]]).astype(
            np.int64
        ),
        cell=numbers("cell").astype(np.int64),
        field=tuple(columns["field"]),
        low=numbers("min"),
        mean=numbers("mean"),
        high=numbers("max"),
        n_good=numbers("n_good"),
        n_bad=numbers("n_bad"),
    )


def _asked(start_ms: int, end_ms: int) -> dict[str, str]:
    return {"start": format_ms(start_ms), "end": format_ms(end_ms)}


@contextmanager
def asked(url: str) -> Iterator[Historian]:
    """Give a historian to ask, whatever proxies the environment names."""
    with httpx.Client(base_url=url, timeout=CONNECT_DEADLINE_S, trust_env=False) as client:
        yield Historian(client)
