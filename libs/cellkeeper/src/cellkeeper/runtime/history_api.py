"""The historian's read-only API over HTTP, for commands and reports of any service."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx

from cellkeeper.contract.moment import format_ms
from cellkeeper.runtime.errors import RuntimeProblemError

DEFAULT_URL: Final = "http://127.0.0.1:8420"
CONNECT_DEADLINE_S: Final = 5.0
ANSWER_DEADLINE_S: Final = 60.0  # an hour of 512 units is read in well under a second; a busy site server needs more
JSON: Final = "application/json"


class HistoryUnavailableError(RuntimeProblemError):
    """No historian answers, or it refuses; the text says what to do."""


@dataclass(frozen=True, slots=True)
class HistoryApi:
    """A running historian.

    Args:
        client: already knows the address.
    """

    client: httpx.Client

    def body(self, path: str, asked: Mapping[str, str], accept: str = JSON) -> bytes:
        """Return an answer as it came; raises HistoryUnavailableError."""
        return self._answer(path, asked, accept).content

    def read(self, path: str, asked: Mapping[str, str] | None = None) -> Any:  # noqa: ANN401  # JSON
        """Return an answer's JSON; raises HistoryUnavailableError."""
        answer = self._answer(path, asked or {}, JSON)
        try:
            return answer.json()
        except ValueError as exc:
            text = f"what answers at {self.client.base_url} is no historian; give --url"
            raise HistoryUnavailableError(text) from exc

    def _answer(self, path: str, asked: Mapping[str, str], accept: str) -> httpx.Response:
        told = {"accept": accept}
        try:
            answer = self.client.get(path, params=asked, headers=told, timeout=ANSWER_DEADLINE_S)
        except httpx.HTTPError as exc:
            text = f"no historian answers at {self.client.base_url} ({type(exc).__name__}); start it, or give --url"
            raise HistoryUnavailableError(text) from exc
        if answer.status_code != httpx.codes.OK:
            raise HistoryUnavailableError(f"the historian refused: {answer.text[:300]}")
        return answer


def range_asked(start_ms: int, end_ms: int) -> dict[str, str]:
    """Return the parameters that ask for `[start_ms, end_ms)`."""
    return {"start": format_ms(start_ms), "end": format_ms(end_ms)}


@contextmanager
def history_at(url: str) -> Iterator[HistoryApi]:
    """Give a historian to ask, whatever proxies the environment names."""
    with httpx.Client(base_url=url, timeout=CONNECT_DEADLINE_S, trust_env=False) as client:
        yield HistoryApi(client)
