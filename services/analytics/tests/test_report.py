"""`cellkeeper report`: events, capacities, verification, and a month from a real historian's API."""

import asyncio
import csv
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import pytest
from analytics.dossier.context import EarlierResult
from analytics.dossier.csv_files import csv_files
from analytics.dossier.model import dossier_of
from analytics.dossier.record_file import load_record, save_record
from analytics.paper.blocks import Document, Text
from analytics.paper.pdf import pdf_of
from analytics.reports import gathering
from analytics.reports.capacities import YEAR_S, capacities_of, capacity_document, capacity_lines, trend_of
from analytics.reports.commands import report
from analytics.reports.errors import ReportError
from analytics.reports.events import earlier_results, event_paths, named_event
from analytics.reports.history import Historian, Windows
from analytics.reports.month import event_counts, span_of, string_month
from analytics.reports.month_pages import month_document, month_lines
from analytics.reports.verify import verify
from analytics.settings import AnalyticsSettings
from cellkeeper import __version__
from cellkeeper.contract.moment import from_ms, to_ms
from cellkeeper.contract.notices import Event
from cellkeeper.runtime.clock import ScaledClock
from cellkeeper.runtime.history_api import HistoryApi, HistoryUnavailableError
from cellkeeper.runtime.metrics import Metrics
from cellkeeper.testing.builders import scan_of
from dossier_room import BEGAN_S, Room, basis_of
from historian.api import make_api
from historian.stores.embedded.options import EmbeddedOptions
from historian.stores.embedded.store import EmbeddedStore
from historian.stores.port import LivedScan, WriteBatch
from typer.testing import CliRunner

NOVEMBER_MS = to_ms(datetime(2026, 11, 1, tzinfo=UTC))
DAY_MS = 86_400_000
SMALL = Room(units=4, samples=40)


def basis_at(years: float, room: Room = SMALL, string: str = "s1"):
    basis = basis_of(room)
    shift_s = years * YEAR_S
    record = replace(
        basis.record,
        string=string,
        began_s=basis.record.began_s + shift_s,
        ended_s=basis.record.ended_s + shift_s,
        at_s=basis.record.at_s + shift_s,
        said=(),
    )
    return replace(basis, record=record, earlier=())


@pytest.fixture
def state(tmp_path):
    """Three tests of s1 and an outage of s2, as the service leaves them."""
    folder = tmp_path / "state" / "analytics" / "events"
    for years, health in ((-2.0, 1.0), (-1.0, 0.96), (0.0, 0.92)):
        save_record(folder, basis_at(years, replace(SMALL, health=(health,) * 4)))
    save_record(folder, basis_at(-0.5, replace(SMALL, kind="outage", drawn_frac=0.4), "s2"))
    return tmp_path / "state"


def run(*arguments):
    return CliRunner().invoke(report, [str(each) for each in arguments], env={"COLUMNS": "160"})


def test_events_are_listed_with_their_verdicts_and_found_by_the_begin_of_their_names(state):
    told = run("discharge", "--state", state)
    assert told.exit_code == 0, told.output
    assert len(event_paths(state)) == 4
    assert "s2_2026" in told.output
    only = run("discharge", "--state", state, "--string", "s2")
    assert "s1_" not in only.output
    assert named_event(state, "s2").stem.startswith("s2_")
    with pytest.raises(ReportError, match="3 records begin with 's1'"):
        named_event(state, "s1")
    with pytest.raises(ReportError, match="see cellkeeper report discharge"):
        named_event(state, "s9")


def test_the_name_of_an_event_is_whole_on_a_narrow_terminal(state):
    told = CliRunner(env={"COLUMNS": "80"}).invoke(report, ["discharge", "--state", str(state)])
    for path in event_paths(state):
        assert path.stem in told.output


def test_a_string_without_discharges_or_an_unknown_zone_is_refused(state):
    with pytest.raises(ReportError, match=r"no discharge of 's9' is recorded in .*; there are some of s1, s2"):
        CliRunner().invoke(report, ["discharge", "--state", str(state), "--string", "s9"], catch_exceptions=False)
    for command in ("discharge", "capacity"):
        told = run(command, "--state", state, "--timezone", "Mars/Base")
        assert told.exit_code == 2, told.output
    assert "Europe/Berlin" in run("discharge", "--state", state, "--timezone", "Europe/Berlin").output
    with pytest.raises(ValueError, match="zone 'Mars/Base' is not known here"):
        AnalyticsSettings(service="analytics", state_dir=state, dossier_timezone="Mars/Base")


def test_a_capacity_report_says_which_records_it_could_not_read(state):
    event_paths(state)[0].with_suffix(".npz").write_bytes(b"half")
    told = run("capacity", "--state", state)
    assert told.exit_code == 0
    assert f"left out: {event_paths(state)[0].parent}" in told.output


def test_a_damaged_record_hides_no_other_and_is_said(state):
    event_paths(state)[0].with_suffix(".npz").write_bytes(b"half")
    told = run("discharge", "--state", state)
    assert told.exit_code == 1
    assert "take both files from the backup" in told.output
    assert "s2_2026" in told.output


def test_a_dossier_is_made_again_and_every_file_of_it_verifies(state, tmp_path):
    event = named_event(state, "s2").stem
    out = tmp_path / "paper"
    assert run("discharge", event, "--state", state, "--out", out).exit_code == 0
    for path in (out / f"{event}.pdf", *sorted(out.glob("*.csv")), state / "analytics" / "events" / f"{event}.json"):
        told = run("verify", path, "--state", state)
        assert told.exit_code == 0, told.output
        assert "SHA-256" in told.output


def test_a_changed_paper_or_one_of_other_data_does_not_verify(state, tmp_path):
    record = named_event(state, "s2")
    other = tmp_path / f"{record.stem}.pdf"
    page = Document("title", "", "", "", "", f"data-sha256:{'0' * 64}", (Text("of another discharge"),))
    other.write_bytes(pdf_of(page))
    assert "made from other data" in verify(other, record, state).lines[0]
    units = tmp_path / f"{record.stem}-units.csv"
    units.write_text(csv_files(dossier_of(load_record(record)))["units.csv"].replace("no\n", "yes\n", 1))
    told = run("verify", units, "--state", state)
    assert told.exit_code == 1
    assert "CHANGED" in told.output
    for software in (f"Cellkeeper {__version__}", f"cellkeeper {__version__} analyse"):  # as they are written by both
        basis = load_record(record)
        own = replace(basis, context=replace(basis.context, software=software))
        again = save_record(tmp_path / software.split()[-1], own)
        paper = again.with_name(units.name)
        paper.write_text(csv_files(dossier_of(own))["units.csv"].replace("no\n", "yes\n", 1))
        assert "CHANGED" in verify(paper, again, state).lines[0]
    with pytest.raises(ReportError, match="give it with --record"):
        verify(units, None, tmp_path / "nowhere")
    with pytest.raises(ReportError, match="give a PDF or CSV"):
        verify(tmp_path / "letter.docx", None, state)


def test_earlier_results_are_those_before_and_of_the_same_string(state):
    found = earlier_results(event_paths(state), "s1", BEGAN_S)
    assert [round(each.capacity_frac, 2) for each in found] == [1.0, 0.96]
    assert earlier_results(event_paths(state), "s1", BEGAN_S, most=1)[0].capacity_frac == pytest.approx(0.96, abs=0.01)


def test_capacities_have_a_trend_and_an_outage_proves_none(state, tmp_path):
    pdf, rows = tmp_path / "capacity.pdf", tmp_path / "capacity.csv"
    told = run("capacity", "--state", state, "--out", pdf, "--out", rows)
    assert told.exit_code == 0, told.output
    assert "s1: 92.0" in told.output
    assert "-4.0" in told.output
    assert "s2: capacity not proven (1 recorded discharge)" in told.output
    assert pdf.read_bytes().startswith(b"%PDF")
    assert [row["proof"] for row in csv.DictReader(rows.read_text().splitlines())] == ["proven"] * 3 + ["at_least"]


def test_a_paper_of_capacities_names_the_zone_of_its_times(state):
    bases = [load_record(path) for path in event_paths(state)]
    assert "Times are Europe/Berlin" in capacity_document(capacities_of(bases), "Site", "Europe/Berlin", "x").footer


def test_a_trend_needs_two_results_at_different_times():
    def result(years, frac, sd=0.01):
        return EarlierResult(years * YEAR_S, "test", 1.0, 1.0, 1.0, "proven", frac, sd, 1, 1.0)

    assert trend_of([result(0.0, 1.0)]) is None
    assert trend_of([result(1.0, 1.0), result(1.0, 0.9)]) is None
    trend = trend_of([result(0.0, 1.0), result(1.0, 0.97), result(2.0, 0.94)])
    assert trend.per_year_frac == pytest.approx(-0.03)
    assert trend.sd_frac == pytest.approx(0.01 / 2.0**0.5)
    blurred = trend_of([result(0.0, 1.0), result(1.0, 0.97), result(2.0, 0.5, sd=5.0)])
    assert blurred.per_year_frac == pytest.approx(-0.03, abs=0.001)


def test_without_recorded_discharges_it_says_so(tmp_path):
    (tmp_path / "events").mkdir()
    assert "no discharge is recorded" in run("discharge", "--state", tmp_path).output
    with pytest.raises(ReportError, match="a capacity needs one"):
        CliRunner().invoke(report, ["capacity", "--state", str(tmp_path)], catch_exceptions=False)
    with pytest.raises(ReportError, match="give the suite's state"):
        event_paths(tmp_path / "nowhere")
    assert list(capacity_lines(capacities_of([]), "UTC")) == []


def windows(rows):
    at, cell, field, low, mean, high, good, bad = zip(*rows, strict=True) if rows else ((),) * 8
    numbers = [np.array(each, np.float64) for each in (low, mean, high, good, bad)]
    return Windows(np.array(at, np.int64), np.array(cell, np.int64), tuple(field), *numbers)


def test_a_month_names_extremes_silent_units_and_those_that_stand_out():
    span = span_of("2026-11", NOVEMBER_MS + 10 * DAY_MS)
    rows = []
    for day in range(10):
        at = NOVEMBER_MS + day * DAY_MS
        for cell, mean in ((1, 2.25), (2, 2.21), (3, 2.251)):
            low = 1.70 if (day, cell) == (4, 3) else mean - 0.01
            rows.append((at, cell, "cell_v", low, mean, mean + 0.01, 1000, 10 if cell == 2 else 0))
            rows.append((at, cell, "degc", 20.0, 22.0, 31.5 if (day, cell) == (7, 1) else 24.0, 1000, 0))
        rows.append((at, 4, "cell_v", np.nan, np.nan, np.nan, 0, 1000))
    own = windows([(NOVEMBER_MS, 0, "current_a", -40.0, 0.1, 5.0, 1000, 0)])
    found = string_month("s1", 4, span, 480, (windows(rows), own))
    assert found.seen_frac == pytest.approx(0.5)
    assert found.silent_cells == (4,)
    assert (found.lowest_v.value, found.lowest_v.cell, found.lowest_v.day_ms) == (1.70, 3, NOVEMBER_MS + 4 * DAY_MS)
    assert (found.hottest.value, found.hottest.cell) == (31.5, 1)
    assert found.weakest[0].cell == 2
    assert found.weakest[0].volts == pytest.approx(-0.04)
    assert found.current_a == (-40.0, 5.0)
    assert found.good_frac == pytest.approx(30_000 / 40_100)


def test_a_month_without_a_single_reading_is_unknown_and_not_zero():
    span = span_of("2026-11", NOVEMBER_MS + 10 * DAY_MS)
    found = string_month("s1", 4, span, 0, (windows([]), windows([])))
    assert (found.good_frac, found.lowest_v, found.hottest, found.current_a) == (None, None, None, None)
    assert found.weakest == ()


@pytest.mark.parametrize("text", ["2026", "2026-13", "november", ""])
def test_no_month_is_refused(text):
    with pytest.raises(ReportError, match="write 2026-11"):
        span_of(text, NOVEMBER_MS + DAY_MS)


def test_a_month_that_has_not_begun_is_refused_and_one_under_way_ends_now():
    with pytest.raises(ReportError, match="has not begun"):
        span_of("2027-01", NOVEMBER_MS)
    assert span_of("2026-11", NOVEMBER_MS + DAY_MS).quarters == 96
    assert span_of("2026-11", NOVEMBER_MS + 90 * DAY_MS).quarters == 30 * 96


def test_the_gravest_events_come_first():
    events = [{"severity": "info", "kind": "a.b"}] * 3 + [{"severity": "error", "kind": "c.d"}]
    assert event_counts(events) == (("error", "c.d", 1), ("info", "a.b", 3))


class Inside(httpx.BaseTransport):
    """Asks an application in this process as if it answered on a socket."""

    def __init__(self, api):
        self._transport = httpx.ASGITransport(api)

    def handle_request(self, request):
        async def ask():
            answer = await self._transport.handle_async_request(request)
            return httpx.Response(answer.status_code, headers=answer.headers, content=await answer.aread())

        return asyncio.run(ask())


@pytest.fixture
def historian(tmp_path):
    """A historian's own API over its own store: three days of a string, an hour a scan, cell 2 silent."""
    store = EmbeddedStore(tmp_path / "history", "hh1", EmbeddedOptions(reserve_bytes=0, scans_per_journal=50))
    quality = np.array([0, 4, 0], np.uint8)
    scans = [
        scan_of(
            3, n + 1, measured_ms=NOVEMBER_MS + n * 3_600_000, quality=quality,
            cell_v=np.array([2.25, np.nan, 2.24 - 0.001 * (n == 30)]),
        )
        for n in range(72)
    ]  # fmt: skip
    store.write(WriteBatch(scans=[LivedScan(each) for each in scans]))
    event = Event(id="0" * 32, at=from_ms(NOVEMBER_MS + 1), service="bus-gateway", kind="module.silent",
                  severity="warning", text="cell 2 is silent")  # fmt: skip
    store.write(WriteBatch(events=[event]))
    clock = ScaledClock(NOVEMBER_MS + 5 * DAY_MS, speed=1e-9, origin_s=0.0)
    api = make_api(store, clock, Metrics().registry, lambda: None, lambda: True)
    with httpx.Client(transport=Inside(api), base_url="http://historian") as client:
        yield client
    store.close()


def test_a_month_is_read_from_the_historian(historian, state, monkeypatch):
    @contextmanager
    def here(url):
        yield HistoryApi(historian)

    monkeypatch.setattr(gathering, "history_at", here)
    span = span_of("2026-11", NOVEMBER_MS + 3 * DAY_MS)
    found = gathering.month_of(span, "", "http://historian", state)
    assert found.site_name == "Site"
    string = found.strings[0]
    assert string.seen_frac == pytest.approx(72 / 288)
    assert string.silent_cells == (2,)
    assert (string.lowest_v.value, string.lowest_v.cell) == (pytest.approx(2.239), 3)
    assert found.kinds == (("warning", "module.silent", 1),)
    assert "cell 2 is silent" in found.shown[0][2]
    assert any("read in 25.0 %" in line for line in month_lines(found))
    assert "Strings" in [getattr(block, "text", "") for block in month_document(found, "test").blocks]


def test_without_a_historian_a_month_has_its_discharges_and_says_so(state, tmp_path, monkeypatch):
    monkeypatch.delenv("CELLKEEPER_CLOCK", raising=False)
    month = datetime.fromtimestamp(BEGAN_S, UTC).strftime("%Y-%m")
    out = tmp_path / "month.pdf"
    told = run("monthly", month, "--state", state, "--url", "http://127.0.0.1:1", "--out", out)
    assert told.exit_code == 0, told.output
    assert "recorded discharges only: no historian answers" in told.output
    assert "s1: test of" in told.output
    assert out.read_bytes().startswith(b"%PDF")


def test_a_month_without_the_folder_of_discharges_or_with_a_damaged_one_says_so(state, tmp_path, monkeypatch):
    monkeypatch.delenv("CELLKEEPER_CLOCK", raising=False)
    month = datetime.fromtimestamp(BEGAN_S, UTC).strftime("%Y-%m")
    asked = ("monthly", month, "--url", "http://127.0.0.1:1", "--state")
    assert "no recorded discharges, for there is no folder" in run(*asked, tmp_path / "nowhere").output
    event_paths(state)[0].with_suffix(".npz").write_bytes(b"half")
    assert "recorded discharges, without 1 that cannot be read (s1_" in run(*asked, state).output


def test_another_suffix_is_refused(state, tmp_path):
    arguments = ["capacity", "--state", str(state), "--out", str(tmp_path / "x.xlsx")]
    with pytest.raises(ReportError, match=r"ends in \.csv or \.pdf"):
        CliRunner().invoke(report, arguments, catch_exceptions=False)


def test_a_server_that_is_no_historian_is_said():
    def page(_request):
        return httpx.Response(200, text="<html>")

    client = httpx.Client(transport=httpx.MockTransport(page), base_url="http://printer")
    with client, pytest.raises(HistoryUnavailableError, match="no historian"):
        Historian(HistoryApi(client)).strings()


def test_paths_are_ordered_by_time_whatever_the_string(state):
    assert [path.stem.split("_")[0] for path in event_paths(state)] == ["s1", "s1", "s2", "s1"]
    assert event_paths(state) == event_paths(Path(state / "analytics"))
