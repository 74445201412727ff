"""Tables and payloads as HTTP answers."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa
from cellkeeper.contract.moment import to_ms
from cellkeeper.contract.notices import Event
from cellkeeper.contract.wire import encode
from fastapi import Request, Response

from historian.errors import QueryRefusedError
from historian.stores.port import LivedSweep

ARROW: Final = "application/vnd.apache.arrow.stream"
MAX_JSON_ROWS: Final = 200_000  # about 20 MB of text; more is for Arrow
EARLIEST_MS: Final = 0
LATEST_MS: Final = 4_102_444_800_000  # 2100-01-01


def as_ms(name: str, text: str) -> int:
    """Return milliseconds since 1970 of an RFC 3339 instant; a time without a zone is UTC.

    Raises:
        QueryRefusedError: it is none, or not between 1970 and 2100.
    """
    try:
        at = datetime.fromisoformat(text.strip().replace(" ", "+"))  # an unquoted + arrives as a space
    except ValueError as exc:
        raise QueryRefusedError(f"{name}={text[:40]!r} is not an instant; write 2026-11-21T05:00:00Z") from exc
    ms = to_ms(at if at.tzinfo else at.replace(tzinfo=UTC))
    if not EARLIEST_MS <= ms <= LATEST_MS:
        raise QueryRefusedError(f"{name}={text[:40]!r} is not between 1970 and 2100")
    return ms


def wants_arrow(request: Request) -> bool:
    """Whether the asker takes an Arrow stream."""
    return ARROW in request.headers.get("accept", "")


def answer(request: Request, table: pa.Table) -> Response:
    """Return a table as the asker accepts it: an Arrow stream, or JSON with one array per column.

    Raises:
        QueryRefusedError: too many rows for JSON.
    """
    if wants_arrow(request):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        return Response(sink.getvalue().to_pybytes(), media_type=ARROW)
    if table.num_rows > MAX_JSON_ROWS:
        raise QueryRefusedError(
            f"{table.num_rows} rows are too many for JSON; send 'Accept: {ARROW}', or ask for a shorter range"
        )
    return raw_json({"rows": table.num_rows, "columns": {name: _values(table[name]) for name in table.column_names}})


def _values(column: "pa.ChunkedArray[Any]") -> Any:  # noqa: ANN401 - what orjson takes
    if pa.types.is_timestamp(column.type):
        times = column.cast(pa.timestamp("ms")).to_numpy()
        return [f"{time}Z" for time in np.datetime_as_string(times, unit="ms").tolist()]
    if pa.types.is_floating(column.type):
        return column.to_numpy().astype(np.float64)  # NaN leaves as null
    return column.to_pylist()


def raw_json(body: object) -> Response:
    """Return JSON; numpy times are written in UTC with a Z."""
    options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z
    return Response(orjson.dumps(body, option=options), media_type="application/json")


def events_answer(events: tuple[Event, ...]) -> Response:
    """Return events as they were published."""
    return _payloads(b"events", (encode(event) for event in events))


def sweeps_answer(sweeps: tuple[LivedSweep, ...]) -> Response:
    """Return impedance sweeps as they were published, each with the lives of its cells (null: all in their first)."""
    bodies = (b'{"lives":' + orjson.dumps(each.lives) + b',"sweep":' + encode(each.sweep) + b"}" for each in sweeps)
    return _payloads(b"sweeps", bodies)


def milestones_answer(bodies: Iterable[str | None]) -> Response:
    """Return payloads as they were published."""
    return _payloads(b"states", (body.encode() for body in bodies if body))


def _payloads(name: bytes, bodies: Iterable[bytes]) -> Response:
    return Response(b'{"' + name + b'":[' + b",".join(bodies) + b"]}", media_type="application/json")
