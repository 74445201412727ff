"""A month of a site, asked from the historian's read-only API over HTTP."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from cellkeeper.runtime.history_api import HistoryApi, range_asked

from analytics.readings import Floats, Places

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
    """What a running historian has of a month; every answer may raise HistoryUnavailableError."""

    api: HistoryApi

    def strings(self) -> dict[str, int]:
        """Return the strings and how many units each has."""
        return {str(each["string"]): int(each["cells"]) for each in self.api.read("/v1/strings")}

    def days(self, string: str, measurement: str, start_ms: int, end_ms: int) -> Windows:
        """Return the daily windows of all units (`cell`) or of the string (`string`)."""
        asked = range_asked(start_ms, end_ms) | {"tier": "1d"}
        return _windows(self.api.read(f"/v1/strings/{string}/{measurement}", asked)["columns"])

    def seen_quarters(self, string: str, start_ms: int, end_ms: int) -> int:
        """Return in how many quarters of an hour there was any scan."""
        asked = range_asked(start_ms, end_ms) | {"field": "cell_v", "tier": SEEN_TIER, "points": str(SEEN_POINTS)}
        columns = self.api.read(f"/v1/strings/{string}/cells/1", asked)["columns"]
        counts = zip(columns["n_good"], columns["n_bad"], strict=True)
        return sum((good or 0) + (bad or 0) > 0 for good, bad in counts)

    def events(self, start_ms: int, end_ms: int) -> list[dict[str, Any]]:
        """Return the log book of the range, newest first, `MOST_EVENTS` at most."""
        found = self.api.read("/v1/events", range_asked(start_ms, end_ms) | {"limit": str(MOST_EVENTS)})
        return list(found["events"])


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
