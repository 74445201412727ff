"""A board without a Grafana: its questions with the variables filled in as Grafana fills them, asked of an InfluxDB.

Grafana replaces `$timeFilter`, `$__interval` and every `${variable}`, with `:regex` and `:date:iso` as formats, and
sends the text to `/query`; this does the same. Unknown variables stay, so that InfluxDB refuses them.
"""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol, Self

import httpx

from dashboards.errors import DatabaseAwayError
from dashboards.panels import Board, Panel
from dashboards.queries import Query, Question, queries
from dashboards.tier_rule import AUTO, View

DEADLINE_S: Final = 30.0  # of one question; Grafana's own is as long
_STEPS_S: Final = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
STEPS_MS: Final = tuple(step * 1000 for step in _STEPS_S)
_VARIABLE: Final = re.compile(r"\$\{(\w+)(?::([a-z:]+))?\}|\$(\w+)")


@dataclass(frozen=True, slots=True)
class Asked:
    """One query of one panel."""

    board: Board
    panel: Panel
    question: Question
    query: Query
    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What InfluxDB answered: series as its JSON has them, rows of all of them, and the time it took."""

    series: Sequence[Mapping[str, Any]]
    took_ms: float

    @property
    def rows(self) -> int:
        """Return how many rows there are."""
        return sum(len(each["values"]) for each in self.series)


class Questioner(Protocol):
    """Whoever answers InfluxQL."""

    def ask(self, text: str) -> Answer:
        """Return the answer.

        Raises:
            DatabaseAwayError: there is none; the text says what to do.
        """
        ...


def interval_ms(view: View, points: int) -> int:
    """Return the step that gives at most so many points, one of those that Grafana takes."""
    wanted = (view.to_ms - view.from_ms) / points
    return next((step for step in STEPS_MS if step >= wanted), STEPS_MS[-1])


def filled_in(text: str, view: View, chosen: Mapping[str, str], points: int = 500) -> str:
    """Return a query as Grafana sends it.

    Args:
        text: with variables.
        view: range of the board.
        chosen: values of its variables.
        points: most points of a line.
    """
    step_s = interval_ms(view, points) // 1000
    known = {
        "timeFilter": f"time >= {view.from_ms}ms and time <= {view.to_ms}ms",
        "__interval": f"{step_s}s",
        "__from": str(view.from_ms),
        "__to": str(view.to_ms),
        "tier": AUTO,
        **chosen,
    }

    def value(found: re.Match[str]) -> str:
        name, form = found[1] or found[3], found[2] or ""
        if name not in known:
            return found[0]
        match form:
            case "date:iso":
                at = datetime.fromtimestamp(int(known[name]) / 1000, UTC)
                return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            case "regex":
                return re.escape(known[name])
            case _:
                return known[name]

    return _VARIABLE.sub(value, text)


def all_asked(boards: Sequence[Board], view: View, chosen: Mapping[str, str]) -> Iterator[Asked]:
    """Yield every query of every panel."""
    for board in boards:
        for panel in board.panels:
            for question in panel.questions:
                for query in queries(question):
                    yield Asked(board, panel, question, query, filled_in(query.text, view, chosen, panel.points))


def rehearse(
    boards: Sequence[Board], view: View, chosen: Mapping[str, str], questioner: Questioner
) -> Iterator[tuple[Asked, Answer]]:
    """Ask every panel's queries in turn, as Grafana does; yield one answer per panel, its first query standing for it.

    Raises:
        DatabaseAwayError: InfluxDB does not answer or refuses a query.
    """
    by_panel: dict[tuple[str, str], list[Asked]] = {}
    for asked in all_asked(boards, view, chosen):
        by_panel.setdefault((asked.board.uid, asked.panel.title), []).append(asked)
    for several in by_panel.values():
        answers = [questioner.ask(asked.text) for asked in several]
        series = [each for answer in answers for each in answer.series]
        yield several[0], Answer(series, sum(answer.took_ms for answer in answers))


class InfluxQuestioner:
    """Asks one InfluxDB over HTTP.

    Args:
        url: of the server.
        database: first part of the buckets' names.
        token: may read the buckets.
    """

    def __init__(self, url: str, database: str, token: str) -> None:
        self._url, self._database = url, database
        self._client = httpx.Client(base_url=url, timeout=DEADLINE_S, headers={"Authorization": f"Token {token}"})

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self._client.close()

    def ask(self, text: str) -> Answer:
        """See `Questioner.ask`."""
        begin_s = time.perf_counter()
        try:
            answer = self._client.get("/query", params={"db": self._database, "q": text, "epoch": "ms"})
        except httpx.HTTPError as exc:
            raise DatabaseAwayError(
                f"InfluxDB at {self._url} does not answer ({exc}); start it or correct --url"
            ) from exc
        took_ms = (time.perf_counter() - begin_s) * 1000.0
        if answer.status_code in {401, 403}:
            raise DatabaseAwayError(
                f"InfluxDB at {self._url} does not take the token; `cellkeeper provision` makes one"
            )
        if answer.is_error:
            raise DatabaseAwayError(f"InfluxDB says {answer.status_code} to {text}: {answer.text[:300]}")
        (result,) = answer.json()["results"]
        if "error" in result:
            raise DatabaseAwayError(f"InfluxDB refuses {text}: {result['error'][:300]}")
        return Answer(result.get("series", ()), took_ms)
