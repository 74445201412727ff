"""The read-only HTTP API: what was measured, for every other service, for exports and for people with curl.

Answers are JSON, or an Arrow stream when `application/vnd.apache.arrow.stream` is accepted. Times are RFC 3339 UTC;
values are in the units that their names end in. Ranges are half open and bounded; a question that cannot be answered
gets a text that says how to ask.
"""

from collections.abc import Callable
from typing import Annotated, Final, Literal

from cellkeeper import __version__
from cellkeeper.contract.identity import ID_PATTERN, MAX_CELLS_PER_STRING
from cellkeeper.contract.scan_columns import encode_scan
from cellkeeper.runtime.clock import Clock
from fastapi import FastAPI, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ConfigDict, Field

from historian.api_answers import (
    answer,
    as_ms,
    events_answer,
    milestones_answer,
    raw_json,
    sweeps_answer,
    wants_arrow,
)
from historian.errors import HistorianError, QueryRefusedError
from historian.stores.plain_tables import impedance_table
from historian.stores.port import CellQuestion, EventQuestion, StateQuestion, Store, StringQuestion
from historian.stores.state_rows import NAMES

MAX_POINTS: Final = 20_000
MAX_ROWS: Final = 1_000_000
MAX_EVENTS: Final = 10_000
MAX_MILESTONES: Final = 1000  # 25 MB of a string of 512 units; a year has 365 days and few runs
DEFAULT_RANGE_MS: Final = 3_600_000
ABOUT: Final = (
    "History of a battery room. Read-only. Ask for `application/vnd.apache.arrow.stream` to get Arrow instead of JSON."
)

type TierText = Literal["full", "1m", "15m", "1d"]
StringName = Annotated[str, Path(pattern=ID_PATTERN, description="id of the string")]
Position = Annotated[int, Path(ge=0, le=MAX_CELLS_PER_STRING, description="position; 0 for values of the string")]


class RangeQuery(BaseModel):
    """A half-open range of time; a parameter that nobody knows is refused."""

    model_config = ConfigDict(extra="forbid")

    start: Annotated[str | None, Field(description="RFC 3339 instant, included; an hour before `end` if absent")] = None
    end: Annotated[str | None, Field(description="RFC 3339 instant, not included; now if absent")] = None


class CellQuery(RangeQuery):
    """What is asked of one position."""

    field: Annotated[str, Field(max_length=32, description="cell_v, degc, bleed_frac; of position 0: current_a …")] = (
        "cell_v"
    )
    points: Annotated[int, Field(ge=1, le=MAX_POINTS, description="at most this many rows")] = 500
    tier: Annotated[TierText | None, Field(description="the coarsest that has a row per point if absent")] = None


class StringQuery(RangeQuery):
    """What is asked of a whole string."""

    tier: TierText = "full"


class EstimateQuery(RangeQuery):
    """What is asked of estimates."""

    units: Annotated[bool, Field(description="a row per unit instead of one per string")] = False


class EventQuery(RangeQuery):
    """What is asked of the log book."""

    limit: Annotated[int, Field(ge=1, le=MAX_EVENTS)] = 200
    kind: Annotated[str | None, Field(max_length=64)] = None
    service: Annotated[str | None, Field(max_length=32)] = None


def make_api(
    store: Store,
    clock: Clock,
    registry: CollectorRegistry,
    refresh: Callable[[], None],
    is_ready: Callable[[], bool],
) -> FastAPI:
    """Return the API over a store.

    Args:
        store: asked in threads; it answers any number at a time.
        clock: event time, for ranges without an end.
        registry: the process's metrics.
        refresh: brings the metrics up to date.
        is_ready: whether the service does its work.
    """
    api = FastAPI(title="Cellkeeper historian", version=__version__, description=ABOUT, docs_url="/docs")
    api.add_exception_handler(QueryRefusedError, _refused)
    api.add_exception_handler(HistorianError, _failed)
    _add_health(api, registry, refresh, is_ready)
    _add_now(api, store)
    _add_history(api, store, clock)
    _add_states(api, store, clock)
    _add_rows(api, store, clock)
    _add_log(api, store, clock)
    return api


async def _refused(_: Request, exc: Exception) -> Response:
    return JSONResponse({"detail": str(exc)}, 400)


async def _failed(_: Request, exc: Exception) -> Response:
    return JSONResponse({"detail": str(exc)}, 503)


def _add_health(
    api: FastAPI, registry: CollectorRegistry, refresh: Callable[[], None], is_ready: Callable[[], bool]
) -> None:
    @api.get("/healthz", tags=["health"])
    def health() -> Response:
        """The process answers."""
        return Response("alive\n", media_type="text/plain")

    @api.get("/readyz", tags=["health"])
    def ready() -> Response:
        """The service takes scans from the broker."""
        return Response("ready\n", media_type="text/plain") if is_ready() else Response("not ready\n", 503)

    @api.get("/metrics", tags=["health"])
    def metrics() -> Response:
        """Figures for Prometheus."""
        refresh()
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


def _add_now(api: FastAPI, store: Store) -> None:
    @api.get("/v1/strings", tags=["now"])
    async def strings() -> Response:  # from memory, at once: a thread for it costs more, and waits for others
        """Which strings there are, with their number of cells and newest time."""
        return raw_json(
            [
                {"string": lived.scan.string, "cells": lived.scan.cells, "measured_ms": lived.scan.measured_ms}
                for lived in store.latest()
            ]
        )

    @api.get("/v1/latest", tags=["now"])
    def latest() -> Response:
        """The newest scan of every string, as StringScan payloads."""
        scans = b",".join(encode_scan(lived.scan) for lived in store.latest())
        return Response(b'{"scans":[' + scans + b"]}", media_type="application/json")


def _add_history(api: FastAPI, store: Store, clock: Clock) -> None:
    @api.get("/v1/strings/{string}/cells/{cell}", tags=["history"])
    def cell(request: Request, string: StringName, cell: Position, query: Annotated[CellQuery, Query()]) -> Response:
        """One value of one position: min, mean, max, last, n_good, n_bad per row; extremes are exact."""
        start_ms, end_ms = _range(clock, query)
        _require_known(store, string)
        question = CellQuestion(string, cell, query.field, start_ms, end_ms, query.points, query.tier)
        return answer(request, store.cell_series(question))

    @api.get("/v1/strings/{string}/spans", tags=["history"])
    def spans(string: StringName, query: Annotated[StringQuery, Query()]) -> Response:
        """Where in a range a string may have rows, as [start, end) in ms since 1970; elsewhere it has none."""
        start_ms, end_ms = _range(clock, query)
        _require_known(store, string)
        return raw_json({"spans_ms": store.spans(StringQuestion(string, "cell", start_ms, end_ms, query.tier))})

    @api.get("/v1/strings/{string}/sweeps", tags=["history"])
    def sweeps(string: StringName, query: Annotated[RangeQuery, Query()]) -> Response:
        """Impedance sweeps of a string as they were published, in time order."""
        start_ms, end_ms = _range(clock, query)
        _require_known(store, string)
        return sweeps_answer(store.impedance(string, start_ms, end_ms))


def _add_states(api: FastAPI, store: Store, clock: Clock) -> None:
    @api.get("/v1/strings/{string}/balance/milestones", tags=["history"])
    def milestones(string: StringName, query: Annotated[RangeQuery, Query()]) -> Response:
        """Whole BalanceState payloads of a string, with a value per unit: a run begins, is even, or a day ends."""
        start_ms, end_ms = _range(clock, query)
        _require_known(store, string)
        found = store.states(
            StateQuestion("balance", string, start_ms, end_ms, milestones=True, max_rows=MAX_MILESTONES)
        )
        return milestones_answer(found["body"].to_pylist())

    @api.get("/v1/strings/{string}/estimates", tags=["history"])
    def estimates(request: Request, string: StringName, query: Annotated[EstimateQuery, Query()]) -> Response:
        """Estimates of a string in time order: its worst units and its runtime, or with `units` those of every unit."""
        start_ms, end_ms = _range(clock, query)
        _require_known(store, string)
        name = "cell_estimate" if query.units else "estimate"
        return answer(request, store.states(StateQuestion(name, string, start_ms, end_ms, max_rows=MAX_ROWS)))


def _add_rows(api: FastAPI, store: Store, clock: Clock) -> None:
    @api.get("/v1/strings/{string}/{measurement}", tags=["history"])
    def rows(
        request: Request,
        string: StringName,
        measurement: Literal["cell", "string", "impedance", "balance", "mode", "estimate", "cell_estimate"],
        query: Annotated[StringQuery, Query()],
    ) -> Response:
        """All rows of a string: readings of its units, values of its own, impedances, or what services tell.

        Whole payloads of balancing (`body`, at milestones) come with Arrow alone.
        """
        start_ms, end_ms = _range(clock, query)
        _require_known(store, string)
        if measurement == "impedance":
            return answer(request, impedance_table(store.impedance(string, start_ms, end_ms)))
        if measurement in NAMES:
            states = store.states(StateQuestion(measurement, string, start_ms, end_ms, max_rows=MAX_ROWS))
            has_body = "body" in states.column_names and not wants_arrow(request)
            return answer(request, states.drop_columns("body") if has_body else states)
        of: Literal["cell", "string"] = "cell" if measurement == "cell" else "string"
        question = StringQuestion(string, of, start_ms, end_ms, query.tier, MAX_ROWS)
        return answer(request, store.string_series(question))


def _add_log(api: FastAPI, store: Store, clock: Clock) -> None:
    @api.get("/v1/events", tags=["log"])
    def events(query: Annotated[EventQuery, Query()]) -> Response:
        """Entries of the log book, newest first."""
        start_ms, end_ms = _range(clock, query)
        return events_answer(store.events(EventQuestion(start_ms, end_ms, query.limit, query.kind, query.service)))


def _range(clock: Clock, query: RangeQuery) -> tuple[int, int]:
    start, end = query.start, query.end
    end_ms = as_ms("end", end) if end is not None else clock.now_ms() + 1
    start_ms = as_ms("start", start) if start is not None else end_ms - DEFAULT_RANGE_MS
    if start_ms >= end_ms:
        raise QueryRefusedError("start is not before end; give start=<earlier instant>&end=<later instant>")
    return start_ms, end_ms


def _require_known(store: Store, string: str) -> None:
    known = [lived.scan.string for lived in store.latest()]
    if string not in known:
        raise QueryRefusedError(f"no string {string!r} here; there are {', '.join(known) or 'none yet'}")
