"""What the demo says on the terminal while it runs."""

from uuid import uuid4

from cellkeeper.cli.demo_telling import LogBook, Troubles, status_line
from cellkeeper.cli.site_view import MAX_EVENTS, SiteView
from cellkeeper.contract.channels import ESTIMATE, EVENT, MODE, SCAN
from cellkeeper.contract.examples import telemetry_examples
from cellkeeper.contract.moment import from_ms
from cellkeeper.contract.notices import Event, Presence
from cellkeeper.contract.scan_columns import encode_scan
from cellkeeper.contract.telemetry import StringMode
from cellkeeper.contract.wire import encode
from cellkeeper.testing.builders import START_MS, scan_of


def test_the_status_line_says_what_matters():
    view = SiteView("demo")
    assert "0/0 cells good" in status_line(view, 1.0, "12:00:00")
    view.take(SCAN.topic(site="demo", string="s1"), encode_scan(scan_of(4, site="demo")), 1.0)
    assert "4/4 cells good (100.0 %)" in status_line(view, 1.5, "12:00:01")


def test_the_status_line_says_what_the_strings_do_and_which_is_the_first_to_be_empty():
    view = SiteView("demo")
    at = from_ms(START_MS)
    for name, mode, left_s in (("s1", "float", 900.0), ("s2", "discharge", 754.0), ("s3", "discharge", 800.0)):
        body = StringMode(string=name, mode=mode, since=at, measured_at=at, why="as told")
        view.take(MODE.topic(site="demo", string=name), encode(body), 1.0)
        estimate = telemetry_examples()[ESTIMATE.name].model_copy(update={"string": name})
        runtime = estimate.runtime.model_copy(update={"bus_left_s": left_s})
        told = estimate.model_copy(update={"runtime": runtime})
        view.take(ESTIMATE.topic(site="demo", string=name), encode(told), 1.0)
    assert "3 strings (2 discharge, 1 float, s2 lasts 12:34)" in status_line(view, 2.0, "12:00:02")


def test_what_happened_is_told_once_and_small_talk_is_not():
    view, book = SiteView("demo"), LogBook()

    def happen(kind: str, severity: str) -> None:
        told = {"id": str(uuid4()), "at": "2026-01-01T00:00:00.000Z", "service": "analytics", "text": f"of {kind}"}
        event = Event.model_validate(told | {"kind": kind, "severity": severity})
        view.take(EVENT.topic(site="demo", service="analytics"), encode(event), 1.0)

    assert book.new(view) == []
    happen("module.reset", "warning")
    happen("port.open", "info")
    happen("discharge.began", "warning")
    happen("discharge.dossier", "info")
    assert [line.split() for line in book.new(view)] == [
        ["warning", "of", "discharge.began"],
        ["info", "of", "discharge.dossier"],
    ]
    assert book.new(view) == []
    for _ in range(MAX_EVENTS + 50):  # more than are kept
        happen("store.failed", "error")
    assert len(book.new(view)) == MAX_EVENTS


def test_what_hinders_a_service_is_told_once_when_it_lasts():
    view, troubles = SiteView("demo"), Troubles()
    full = {"service": "historian", "state": "degraded", "why": "disk full", "at": "2026-01-01T00:00:00.000Z"}
    view.services["historian"] = Presence.model_validate(full | {"version": "1"})
    assert [troubles.new(view, now_s) for now_s in (1.0, 3.0, 4.5, 5.0)] == [
        [],
        [],
        ["historian degraded: disk full"],
        [],
    ]
    assert "[historian degraded: disk full]" in status_line(view, 5.0, "12:00:05")
    view.services.clear()
    assert troubles.new(view, 6.0) == []
