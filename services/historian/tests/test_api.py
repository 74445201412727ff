"""The HTTP API as its readers meet it, over the real store, and what `cellkeeper export` makes of it."""

import asyncio
import csv
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from cellkeeper.contract.balance_state import BalanceState
from cellkeeper.contract.moment import format_ms, from_ms
from cellkeeper.contract.notices import Event
from cellkeeper.contract.scan_columns import decode_scan
from cellkeeper.contract.telemetry import ImpedanceSweep
from cellkeeper.contract.wire import decode
from cellkeeper.runtime import history_api
from cellkeeper.runtime.clock import ScaledClock
from cellkeeper.runtime.metrics import Metrics
from cellkeeper.testing.builders import START_MS, balance_of, estimate_of, mode_of, scan_of
from fastapi import FastAPI
from historian import commands
from historian.api import make_api
from historian.errors import ExportFailedError
from historian.stores.embedded.options import EmbeddedOptions
from historian.stores.embedded.store import EmbeddedStore
from historian.stores.estimate_rows import cell_estimate_row, estimate_row
from historian.stores.port import LivedScan, LivedSweep, WriteBatch
from historian.stores.state_rows import balance_row, mode_row
from typer.testing import CliRunner

SCANS = 120
CELLS = 5
ARROW = "application/vnd.apache.arrow.stream"
START, END = format_ms(START_MS), format_ms(START_MS + 200_000)
CELL = "/v1/strings/s1/cells/2"


def scan(seq: int, string: str = "s1"):
    quality = np.zeros(CELLS, np.uint8)
    volts = np.round(2.25 + 0.001 * np.arange(CELLS) + 0.0001 * (seq % 10), 4)
    if seq == 7:
        volts[1], quality[1] = 53.0, 2
    if seq == 8:
        volts[1], quality[1] = np.nan, 4
    return scan_of(CELLS, seq, string=string, cell_v=volts, quality=quality)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[FastAPI]:
    store = EmbeddedStore(tmp_path / "history", "hh1", EmbeddedOptions(reserve_bytes=0, scans_per_journal=50))
    store.write(WriteBatch(scans=[LivedScan(scan(seq)) for seq in range(1, SCANS + 1)]))
    store.write(WriteBatch(scans=[LivedScan(scan(1, "s2"))]))
    event = Event(id="0" * 32, at=from_ms(START_MS), service="auth", kind="user.added", severity="info", text="x")
    sweep = ImpedanceSweep(string="s1", measured_at=from_ms(START_MS), method="dc_pulse", pulse_s=0.1, test_a=5.0,
                           mode="float", cells=[1, 2], r_ohm=[0.0005, None], cell_measured_at=[None, None],
                           degc=[22.0, None], cell_v=[2.25, None], quality=[0, 4])  # fmt: skip
    store.write(WriteBatch(events=[event], sweeps=[LivedSweep(sweep, (1, 2))]))
    states = [balance_of(START_MS + 60_000 * n, is_milestone=n == 1) for n in range(3)]
    store.write(WriteBatch(states=[balance_row(state) for state in states]))
    told = [estimate_of(START_MS + 60_000 * n) for n in range(2)]
    store.write(WriteBatch(states=[mode_row(mode_of(START_MS)), *map(estimate_row, told)],
                           cell_states=[cell_estimate_row(each, None) for each in told]))  # fmt: skip
    clock = ScaledClock(START_MS + 130_000, speed=1e-9, origin_s=0.0)  # stands
    metrics = Metrics()
    metrics.gauge("historian_rows", "rows").set(3)
    yield make_api(store, clock, metrics.registry, lambda: None, is_ready=lambda: False)
    store.close()


@pytest.fixture
async def client(api: FastAPI):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://historian") as asking:
        yield asking


async def test_latest_of_all_is_what_the_gateway_sent(client: httpx.AsyncClient):
    answer = await client.get("/v1/latest")
    first = decode_scan(orjson.dumps(answer.json()["scans"][0]))
    assert (first.string, first.seq, first.site) == ("s1", SCANS, "hh1")
    assert answer.json()["scans"][0]["cell_v"] == scan(SCANS).cell_v.tolist()
    strings = (await client.get("/v1/strings")).json()
    assert [(entry["string"], entry["cells"]) for entry in strings] == [("s1", CELLS), ("s2", CELLS)]


async def test_one_cell_in_a_range_with_null_where_nothing_usable_came(client: httpx.AsyncClient):
    answer = await client.get(CELL, params={"start": START, "end": END, "points": 1000, "tier": "full"})
    columns = answer.json()["columns"]
    assert answer.json()["rows"] == SCANS
    assert columns["mean"][5:9] == [scan(6).cell_v[1], None, None, scan(9).cell_v[1]]
    assert columns["measured_at"][0] == "2026-11-21T05:00:01.000Z"
    assert sum(columns["n_good"]) == SCANS - 2
    assert sum(columns["n_bad"]) == 2


async def test_at_most_as_many_points_as_asked(client: httpx.AsyncClient):
    columns = (await client.get(CELL, params={"start": START, "end": END, "points": 9, "tier": "full"})).json()[
        "columns"
    ]
    assert len(columns["min"]) <= 9
    assert (min(columns["min"]), max(columns["max"])) == (2.251, 2.2519)


async def test_arrow_has_the_same_as_json(client: httpx.AsyncClient):
    asked = {"start": START, "end": END}
    for path in (CELL, "/v1/strings/s1/cell", "/v1/strings/s1/string", "/v1/strings/s1/impedance"):
        plain = (await client.get(path, params=asked)).json()
        arrow = await client.get(path, params=asked, headers={"accept": ARROW})
        assert arrow.headers["content-type"] == ARROW
        with pa.ipc.open_stream(arrow.content) as stream:
            table = stream.read_all()
        assert table.num_rows == plain["rows"] > 0
        assert list(plain["columns"]) == table.column_names
        for name in set(table.column_names) - {"measured_at"}:
            assert table[name].to_pylist() == plain["columns"][name]


async def test_an_impedance_is_of_the_life_that_its_cell_was_in(client: httpx.AsyncClient):
    columns = (await client.get("/v1/strings/s1/impedance")).json()["columns"]
    assert (columns["cell"], columns["life"], columns["r_ohm"]) == ([1, 2], [1, 2], [0.0005, None])


async def test_a_range_without_ends_is_the_last_hour(client: httpx.AsyncClient):
    answer = await client.get("/v1/strings/s1/string")
    assert answer.json()["rows"] == SCANS


async def test_balancing_as_rows_and_its_milestones_whole(client: httpx.AsyncClient):
    asked = {"start": START, "end": END}
    told = (await client.get("/v1/strings/s1/balance", params=asked)).json()
    assert told["rows"] == 3
    assert told["columns"]["measured_at"][1] == format_ms(START_MS + 60_000)
    assert (told["columns"]["spread_v"][0], told["columns"]["moved_ah"][0]) == (0.012, 0.43)
    assert "body" not in told["columns"]
    (state,) = (await client.get("/v1/strings/s1/balance/milestones", params=asked)).json()["states"]
    assert decode(BalanceState, orjson.dumps(state)) == balance_of(START_MS + 60_000, is_milestone=True)
    assert (await client.get("/v1/strings/s9/balance/milestones")).status_code == 400


async def test_events(client: httpx.AsyncClient):
    found = (await client.get("/v1/events", params={"start": START})).json()["events"]
    assert [event["kind"] for event in found] == ["user.added"]
    assert (await client.get("/v1/events", params={"start": START, "kind": "other.kind"})).json() == {"events": []}


async def test_sweeps_are_as_they_were_published(client: httpx.AsyncClient):
    found = (await client.get("/v1/strings/s1/sweeps", params={"start": START, "end": END})).json()["sweeps"]
    (one,) = found
    sweep = ImpedanceSweep.model_validate(one["sweep"])
    assert (sweep.cells, sweep.r_ohm, sweep.method) == ([1, 2], [0.0005, None], "dc_pulse")
    assert one["lives"] == [1, 2]
    none = await client.get("/v1/strings/s1/sweeps", params={"start": END, "end": format_ms(START_MS + 900_000)})
    assert none.json() == {"sweeps": []}


@pytest.mark.parametrize(
    ("path", "asked", "status", "says"),
    [
        ("/v1/strings/nobody/cell", {}, 400, "there are s1, s2"),
        (CELL, {"start": "yesterday"}, 400, "write 2026-11-21T05:00:00Z"),
        (CELL, {"start": END, "end": START}, 400, "start is not before end"),
        (CELL, {"start": "1900-01-01T00:00:00Z"}, 400, "between 1970 and 2100"),
        (CELL, {"field": "volts"}, 400, "cell_v, degc, bleed_frac"),
        (CELL, {"points": 0}, 422, "greater than or equal to 1"),
        (CELL, {"points": 1_000_000}, 422, "less than or equal to"),
        (CELL, {"tier": "2h"}, 422, "'full', '1m', '15m' or '1d'"),
        (CELL, {"strat": START}, 422, "Extra inputs"),
        ("/v1/strings/s1/cells/999", {}, 422, "512"),
        ("/v1/strings/S1!/cell", {}, 422, "pattern"),
        ("/v1/strings/s1/nothing", {}, 422, "'estimate' or 'cell_estimate'"),
    ],
)
async def test_a_bad_question_is_told_how_to_ask(
    client: httpx.AsyncClient, path: str, asked: dict, status: int, says: str
):
    answer = await client.get(path, params=asked)
    assert answer.status_code == status
    assert says in answer.text


async def test_nothing_can_be_changed(client: httpx.AsyncClient, api: FastAPI):
    assert {method for route in api.routes for method in getattr(route, "methods", ())} <= {"GET", "HEAD"}
    assert (await client.post("/v1/latest")).status_code == 405


async def test_health_metrics_and_openapi(client: httpx.AsyncClient):
    assert (await client.get("/healthz")).text == "alive\n"
    assert (await client.get("/readyz")).status_code == 503
    assert "cellkeeper_historian_rows 3.0" in (await client.get("/metrics")).text
    paths = (await client.get("/openapi.json")).json()["paths"]
    assert "/v1/strings/{string}/cells/{cell}" in paths
    assert "/v1/strings/{string}/balance/milestones" in paths


class _InProcess(httpx.BaseTransport):
    """Lets the synchronous client of the command ask the API of this process."""

    def __init__(self, api: FastAPI) -> None:
        self._transport = httpx.ASGITransport(api)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return asyncio.run(self._answer(request))

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        async with httpx.AsyncClient(transport=self._transport, base_url="http://historian") as asking:
            answer = await asking.request(request.method, str(request.url), headers=dict(request.headers))
        return httpx.Response(answer.status_code, content=answer.content)


@pytest.fixture
def export(api: FastAPI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    real = httpx.Client
    monkeypatch.setattr(history_api.httpx, "Client", lambda **told: real(transport=_InProcess(api), **told))
    app = typer.Typer()
    app.command()(commands.export)

    def run(*options: str, expect: int = 0):
        asked = ["--start", START, "--end", END, "--out", str(tmp_path), *options]
        result = CliRunner().invoke(app, asked)
        assert result.exit_code == expect, result.output
        return result

    return run


def test_csv_long_shows_the_value_as_read_beside_its_quality(export, tmp_path: Path):
    export("--string", "s1")
    rows = list(csv.DictReader((tmp_path / "s1-cell-full.csv").read_text("utf-8").splitlines()))
    assert len(rows) == SCANS * CELLS
    of_two = [row for row in rows if row["cell"] == "2"]
    assert of_two[6]["measured_at"] == "2026-11-21T05:00:07.000Z"
    assert (of_two[5]["cell_v"], of_two[5]["quality"]) == ("2.2516", "0")
    assert (of_two[6]["cell_v"], of_two[6]["quality"]) == ("53", "2")
    assert (of_two[7]["cell_v"], of_two[7]["quality"]) == ("", "4")
    assert {(row["string"], row["life"]) for row in rows} == {("s1", "1")}


def test_an_export_makes_its_folder_and_asks_no_decade_without_rows(export, tmp_path: Path):
    folder = tmp_path / "new" / "folder"
    export("--string", "s1", "--start", "1970-01-01T00:00:00Z", "--end", "2099-01-01T00:00:00Z", "--out", str(folder))
    assert len((folder / "s1-cell-full.csv").read_text("utf-8").splitlines()) == SCANS * CELLS + 1


def test_a_folder_that_cannot_be_is_told(export, tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    result = export("--string", "s1", "--out", str(tmp_path / "file" / "folder"), expect=1)
    assert "choose another --out" in str(result.exception)


def test_csv_wide_for_a_european_spreadsheet(export, tmp_path: Path):
    export("--string", "s1", "--format", "csv-wide", "--delimiter", ";", "--decimal", ",", "--field", "cell_v")
    lines = (tmp_path / "s1-cell-full-wide.csv").read_text("utf-8").splitlines()
    assert lines[0] == "measured_at;cell_v_1;cell_v_2;cell_v_3;cell_v_4;cell_v_5"
    assert lines[8] == "2026-11-21T05:00:08.000Z;2,2508;;2,2528;2,2538;2,2548"
    assert len(lines) == SCANS + 1


def test_parquet_of_every_string(export, tmp_path: Path):
    export("--format", "parquet")
    table = pq.read_table(tmp_path / "s1-cell-full.parquet")
    assert table.num_rows == SCANS * CELLS
    assert pq.read_table(tmp_path / "s2-cell-full.parquet").num_rows == CELLS


def test_values_of_the_string_and_tiers(export, tmp_path: Path):
    export("--string", "s1", "--measurement", "string")
    first = next(csv.DictReader((tmp_path / "s1-string-full.csv").read_text("utf-8").splitlines()))
    assert (first["seq"], first["current_a"], first["float_a"]) == ("1", "0.05", "")
    export("--string", "s1", "--tier", "1m")
    rows = list(csv.DictReader((tmp_path / "s1-cell-1m.csv").read_text("utf-8").splitlines()))
    assert sum(int(row["n_good"]) for row in rows if row["cell"] == "1" and row["field"] == "cell_v") == SCANS


async def test_estimates_of_a_string_and_of_its_units(client: httpx.AsyncClient):
    asked = {"start": format_ms(START_MS), "end": format_ms(START_MS + 600_000)}
    told = (await client.get("/v1/strings/s1/estimates", params=asked)).json()
    assert (told["rows"], told["columns"]["soc_low_frac"], told["columns"]["unit_left_s"]) == (
        2,
        [0.887] * 2,
        [460] * 2,
    )
    units = (await client.get("/v1/strings/s1/estimates", params={**asked, "units": "true"})).json()
    assert units["columns"]["cell"] == [1, 2, 3, 1, 2, 3]
    assert units["columns"]["soc_frac"][:3] == [0.913, 0.887, None]
    assert (await client.get("/v1/strings/s1/mode", params=asked)).json()["columns"]["mode"] == ["float"]
    assert (await client.get("/v1/strings/s9/estimates")).status_code == 400


@pytest.mark.parametrize(("measurement", "rows"), [("estimate", 2), ("cell_estimate", 6), ("mode", 1)])
def test_estimates_as_a_file(export, tmp_path: Path, measurement: str, rows: int):
    export("--string", "s1", "--measurement", measurement)
    found = list(csv.DictReader((tmp_path / f"s1-{measurement}-full.csv").read_text("utf-8").splitlines()))
    assert len(found) == rows
    assert "body" not in found[0]


def test_balancing_as_a_file(export, tmp_path: Path):
    export("--string", "s1", "--measurement", "balance")
    rows = list(csv.DictReader((tmp_path / "s1-balance-full.csv").read_text("utf-8").splitlines()))
    assert [(row["string"], row["phase"], row["spread_v"], row["held_out_spread_v"]) for row in rows] == [
        ("s1", "float", "0.012", "")
    ] * 3


def test_an_export_without_rows_has_its_header(export, tmp_path: Path):
    export("--string", "s1", "--start", "2020-01-01T00:00:00Z", "--end", "2020-01-01T01:00:00Z")
    assert (tmp_path / "s1-cell-full.csv").read_text("utf-8").startswith("measured_at,string,cell,life,cell_v,quality")


@pytest.mark.parametrize("wrong", [["--start", "x"], ["--end", "2020-01-01"], ["--format", "xml"],
                                   ["--format", "csv-wide", "--field", "volts"]])  # fmt: skip
def test_wrong_use_is_told(export, wrong: list[str]):
    export(*wrong, expect=2)


def test_a_failed_export_leaves_no_file(export, tmp_path: Path):
    (tmp_path / "s1-cell-full.csv").write_text("older")
    result = export("--string", "s1", "--delimiter", ".", expect=1)
    assert isinstance(result.exception, ExportFailedError)
    missing = export("--string", "nobody", expect=1)
    assert "there are s1, s2" in str(missing.exception)
    assert (tmp_path / "s1-cell-full.csv").read_text() == "older"
    assert not list(tmp_path.glob(".*"))
