"""One InfluxDB 2 server over HTTP: ready lines in, tables out. The only file that knows influxdb-client.

The token is read from its file again whenever the server does not take it, so that a renewed one works at once.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv as pa_csv
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS, WriteApi
from influxdb_client.rest import ApiException
from urllib3.exceptions import HTTPError

from historian.errors import (
    StoreBusyError,
    StoreFailedError,
    StoreFullError,
    StoreMissingError,
    StoreRefusedError,
)

CONNECT_DEADLINE_MS: Final = 3_000  # a server that is there accepts at once
ANSWER_DEADLINE_MS: Final = 30_000  # of a write of 100 000 rows while the server compacts, or of a long question
MAX_TEXT: Final = 300  # of what the server says
_CONFLICT: Final = re.compile(r'input field \\?"(?P<field>[^"\\]+)\\?" on measurement \\?"(?P<measurement>[^"\\]+)')
_DROPPED: Final = re.compile(r"dropped=(\d+)")


@dataclass(frozen=True, slots=True)
class Target:
    """Where the server is and how it is spoken to.

    Attributes:
        url, org: of the server.
        token_file: holds the token and nothing else.
        database: first part of the buckets' names.
    """

    url: str
    org: str
    token_file: Path
    database: str


@dataclass(frozen=True, slots=True)
class Partial:
    """The server stored the rest of a write and will never store these rows.

    Attributes:
        dropped: how many rows, as the server counts them.
        field: whose type conflicts with rows that are there; None when rows are older than the bucket keeps.
        said: the server's words.
    """

    dropped: int
    field: str | None
    said: str


@dataclass(frozen=True, slots=True)
class _Link:
    token: str
    client: InfluxDBClient
    writer: WriteApi


@dataclass(slots=True)
class Server:
    """Speaks to one server; any thread may."""

    target: Target
    _link: _Link | None = None

    def write(self, bucket: str, lines: bytes) -> Partial | None:
        """Make lines durable in a bucket (`full`, `1m`, …); return what the server refused for good.

        Raises:
            StoreBusyError, StoreFullError, StoreFailedError: write the same again later; the text says what to do.
        """
        name = f"{self.target.database}/{bucket}"
        try:
            self._tried(lambda link: link.writer.write(name, self.target.org, lines), name)
        except _PartialWriteError as exc:
            conflict, dropped = _CONFLICT.search(exc.said), _DROPPED.search(exc.said)
            return Partial(int(dropped[1]) if dropped else 0, conflict["field"] if conflict else None, exc.said)
        return None

    def ask(self, bucket: str, question: str, types: Mapping[str, pa.DataType]) -> pa.Table | None:
        """Return the rows that an InfluxQL question finds, or None where there are none.

        Args:
            bucket: `full`, `1m`, …
            question: one SELECT or SHOW statement.
            types: of columns, by name; `time` is nanoseconds, `tags` and texts are dictionaries.

        Raises:
            StoreFailedError: no answer, or the server does not take the question.
        """
        parameters = {"db": self.target.database, "rp": bucket, "q": question, "epoch": "ns"}
        raw = self._tried(
            lambda link: _call(link, "GET", "/query", parameters, None, {"Accept": "application/csv"}).data,
            f"{self.target.database}/{bucket}",
        )
        return _table(raw, types, question)

    def manage(self, method: str, path: str, body: object = None, **parameters: str) -> Any:  # noqa: ANN401  # JSON
        """Return the answer of the management API, None for an empty one.

        Raises:
            StoreFailedError: it does not answer, or refuses; the text holds its words.
        """
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        answer = self._tried(lambda link: _call(link, method, path, parameters, body, headers), path)
        try:
            return answer.json() if answer.data else None
        except ValueError as exc:
            raise StoreFailedError(
                f"what answers at {self.target.url} is no InfluxDB 2; correct CELLKEEPER_INFLUX_URL"
            ) from exc

    def metrics(self) -> str:
        """Return the server's page of metrics, which it shows to anybody.

        Raises:
            StoreFailedError: it does not answer, or has no such page.
        """
        headers = {"Accept": "text/plain"}
        answer = self._tried(lambda link: _call(link, "GET", "/metrics", {}, None, headers), "metrics")
        return bytes(answer.data).decode("utf-8", "replace")

    def close(self) -> None:
        """Give connections back."""
        link, self._link = self._link, None
        if link is not None:
            link.client.close()  # type: ignore[no-untyped-call]

    def _open(self) -> _Link:
        link = self._link
        if link is None:
            token = _token_in(self.target.token_file)
            deadline = (CONNECT_DEADLINE_MS, ANSWER_DEADLINE_MS)
            client = InfluxDBClient(self.target.url, token=token, org=self.target.org, timeout=deadline)
            link = self._link = _Link(token, client, client.write_api(write_options=SYNCHRONOUS))
        return link

    def _tried[T](self, act: Callable[[_Link], T], what: str) -> T:
        link = self._open()
        try:
            return self._understood(act, link, what)
        except StoreRefusedError:
            if _token_in(self.target.token_file) == link.token:
                raise
        self.close()  # the token was renewed
        return self._understood(act, self._open(), what)

    def _understood[T](self, act: Callable[[_Link], T], link: _Link, what: str) -> T:
        try:
            return act(link)
        except ApiException as exc:
            raise self._meaning(exc.status, _words(exc), what) from exc
        except HTTPError as exc:
            raise self._away(type(exc).__name__) from exc

    def _away(self, why: str) -> StoreFailedError:
        return StoreFailedError(
            f"InfluxDB at {self.target.url} does not answer ({why}); start it, or correct "
            "CELLKEEPER_INFLUX_URL. The gateways keep what is not stored"
        )

    def _meaning(self, status: int | None, said: str, what: str) -> Exception:
        match status:
            case 422 if "partial write" in said:
                return _PartialWriteError(said)
            case 401 | 403:
                return StoreRefusedError(
                    f"InfluxDB refuses the token in {self.target.token_file.name} for {what}; run `cellkeeper "
                    f"provision` to issue a new one ({said[:MAX_TEXT]})"
                )
            case 404:
                return StoreMissingError(
                    f"InfluxDB has not what {what} needs; run `cellkeeper provision` to make it ({said[:MAX_TEXT]})"
                )
            case 429:
                return StoreBusyError("InfluxDB asks to wait")
            case _ if "no space left" in said:
                return StoreFullError(
                    "InfluxDB has no space left; make room. It refuses on until it is started again: "
                    "deploy/influxdb/watched does that, elsewhere restart it"
                )
            case _:
                return StoreFailedError(f"InfluxDB answers {status} for {what}: {said[:MAX_TEXT]}")


def _call(
    link: _Link, method: str, path: str, parameters: Mapping[str, str], body: object, headers: dict[str, str]
) -> Any:  # noqa: ANN401  # an untyped answer
    call: Any = link.client.api_client.call_api  # untyped, like its answer
    answer = call(
        path,
        method,
        query_params=list(parameters.items()),
        header_params=headers,
        body=body,
        _preload_content=False,
        _return_http_data_only=True,
    )
    answer.read(cache_content=True)
    return answer


class _PartialWriteError(Exception):
    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.said = said


def _words(exc: ApiException) -> str:
    body = exc.body
    return body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body or exc.reason or "")


def _token_in(file: Path) -> str:
    try:
        return file.read_text("utf-8").strip()
    except OSError as exc:
        raise StoreFailedError(
            f"{file}: {exc.strerror}; run `cellkeeper provision`, or correct CELLKEEPER_INFLUX_TOKEN_FILE"
        ) from exc


def _table(raw: bytes, types: Mapping[str, pa.DataType], question: str) -> pa.Table | None:
    if not raw.strip():
        return None
    if raw.startswith(b"error"):
        raise StoreFailedError(
            f"InfluxDB does not take {question[:MAX_TEXT]}: {raw[:MAX_TEXT].decode('utf-8', 'replace')}"
        )
    text = pa.dictionary(pa.int32(), pa.string())
    known = {"name": text, "tags": text, "time": pa.int64()} | dict(types)
    options = pa_csv.ConvertOptions(column_types=known, strings_can_be_null=True, null_values=[""])
    parse = pa_csv.ParseOptions(newlines_in_values=True)
    return pa_csv.read_csv(BytesIO(raw), parse_options=parse, convert_options=options)
