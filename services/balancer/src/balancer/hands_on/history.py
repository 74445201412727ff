"""Balancing of the past, asked from the historian over HTTP."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson
from cellkeeper.contract.balance_state import BalanceState
from cellkeeper.contract.wire import PayloadRefusedError, decode
from cellkeeper.runtime.history_api import HistoryApi, range_asked
from cellkeeper.runtime.wishing import NotThereError
from numpy.typing import NDArray

type Floats = NDArray[np.float64]

PIECE_MS: Final = 30 * 86_400_000  # 43 200 states: below the API's limit
POINTS: Final = 240
_TEXTS: Final = frozenset({"phase", "inhibit"})


@dataclass(frozen=True, slots=True)
class Course:
    """States of balancing of one string over time, a row each.

    Attributes:
        at_ms: (n,) when.
        phase, inhibit: (n,) texts.
        numbers: the other fields of measurement `balance`, (n,) each, NaN where there is none.
    """

    at_ms: NDArray[np.int64]
    phase: list[str]
    inhibit: list[str]
    numbers: dict[str, Floats]

    def __len__(self) -> int:
        """Return how many states there are."""
        return len(self.at_ms)


@dataclass(frozen=True, slots=True)
class Grid:
    """One value of every unit over time: `values` is (n times, units), NaN where there is none."""

    at_ms: NDArray[np.int64]
    values: Floats


@dataclass(frozen=True, slots=True)
class Historian:
    """What a running historian has of balancing."""

    api: HistoryApi

    def cells(self, string: str) -> int:
        """Return how many units a string has.

        Raises:
            HistoryUnavailableError: no historian answers.
            NotThereError: it has nothing of this string.
        """
        for each in self.api.read("/v1/strings"):
            if each["string"] == string:
                return int(each["cells"])
        raise NotThereError(f"the historian at {self.api.client.base_url} has no history of {string}")

    def course(self, string: str, start_ms: int, end_ms: int) -> Course:
        """Return the states over `[start_ms, end_ms)`, in time order; raises HistoryUnavailableError."""
        columns: dict[str, list[Any]] = {}
        for first_ms, until_ms in _pieces(start_ms, end_ms):
            answer = self.api.read(f"/v1/strings/{string}/balance", range_asked(first_ms, until_ms))["columns"]
            for name, values in answer.items():
                columns.setdefault(name, []).extend(values)
        at_ms = np.array([_ms(text) for text in columns.pop("measured_at")], np.int64)
        texts = {name: [str(value or "") for value in columns.pop(name)] for name in sorted(_TEXTS)}
        numbers = {name: np.array(values, np.float64) for name, values in columns.items()}
        return Course(at_ms, texts["phase"], texts["inhibit"], numbers)

    def milestones(self, string: str, start_ms: int, end_ms: int) -> list[BalanceState]:
        """Return the whole payloads of the range, in time order; raises HistoryUnavailableError."""
        answer = self.api.read(f"/v1/strings/{string}/balance/milestones", range_asked(start_ms, end_ms))
        try:
            return [decode(BalanceState, orjson.dumps(each)) for each in answer["states"]]
        except PayloadRefusedError as exc:
            raise NotThereError(f"the historian has states that this program cannot read: {exc}") from exc

    def grid(
        self, string: str, field: str, cells: int, start_ms: int, end_ms: int, told: Callable[[range], Any] = iter
    ) -> Grid:
        """Return the means of a field of every unit, at most `POINTS` each; raises HistoryUnavailableError.

        Args:
            string: its id.
            field: of measurement `cell`.
            cells: how many units it has.
            start_ms: begin of the range.
            end_ms: end of the range, not included.
            told: lets a person see how far it is.
        """
        rows: dict[int, Floats] = {}
        asked = range_asked(start_ms, end_ms) | {"field": field, "points": str(POINTS)}
        for cell in told(range(1, cells + 1)):
            found = self.api.read(f"/v1/strings/{string}/cells/{cell}", asked)["columns"]
            for text, mean in zip(found["measured_at"], found["mean"], strict=True):
                row = rows.setdefault(_ms(text), np.full(cells, np.nan))
                row[cell - 1] = np.nan if mean is None else mean
        times = sorted(rows)
        values = np.array([rows[at] for at in times]) if times else np.empty((0, cells))
        return Grid(np.array(times, np.int64), values)


def _pieces(start_ms: int, end_ms: int) -> Iterator[tuple[int, int]]:
    for first_ms in range(start_ms, end_ms, PIECE_MS):
        yield first_ms, min(first_ms + PIECE_MS, end_ms)


def _ms(text: str) -> int:
    return int(np.datetime64(text.removesuffix("Z"), "ms").astype(np.int64))
