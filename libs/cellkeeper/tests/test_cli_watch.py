"""The live view is a pure picture of what the topics told, at every size, and says what is old or wrong."""

import numpy as np
import pytest
from cellkeeper.cli.deviation import deviations_mv, duration, notable_units, scale_mv, spread_mv
from cellkeeper.cli.site_view import MAX_STRINGS, READ, SiteView
from cellkeeper.cli.watch_picture import Look, by_need, picture, worst_units
from cellkeeper.contract.channels import BALANCE, ESTIMATE, PRESENCE, SCAN, STORED, STRING_META
from cellkeeper.contract.moment import from_ms
from cellkeeper.contract.notices import Presence
from cellkeeper.contract.scan_columns import ScanColumns, encode_scan
from cellkeeper.contract.telemetry import StoredReceipt
from cellkeeper.contract.wire import encode
from cellkeeper.testing.builders import START_MS, balance_of, estimate_of, scan_of
from cellkeeper.testing.strategies import scans
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console


def take_scan(view: SiteView, scan: ScanColumns, now_s: float) -> None:
    view.take(SCAN.topic(site="hh1", string=scan.string), encode_scan(scan), now_s)


def room(strings: int, cells: int) -> SiteView:
    view = SiteView("hh1", linked=True)
    for seq in range(1, 4):
        for number in range(1, strings + 1):
            take_scan(view, scan_of(cells, seq, string=f"s{number}"), float(seq))
    return view


def drawn(view: SiteView, look: Look) -> list[str]:
    console = Console(width=look.width, height=look.height, color_system=None, force_terminal=True)
    with console.capture() as capture:
        console.print(picture(view, look))
    return capture.get().splitlines()


def silent(cells: int, cell: int, seq: int, string: str = "s1") -> ScanColumns:
    volts, quality = scan_of(cells).cell_v.copy(), np.zeros(cells, dtype=np.uint8)
    volts[cell - 1], quality[cell - 1] = np.nan, 4
    return scan_of(cells, seq, string=string, cell_v=volts, quality=quality)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (120, 40), (200, 60)])
@pytest.mark.parametrize(("strings", "cells"), [(1, 1), (4, 240), (17, 241), (64, 100), (1, 512)])
def test_the_picture_fits_every_terminal(strings: int, cells: int, width: int, height: int):
    lines = drawn(room(strings, cells), Look(width, height, 3.2))
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    assert "q quit" in lines[-1]
    assert any(line[1:].startswith("s1 ") for line in lines)


def test_4096_units_are_all_counted_and_every_string_is_there_on_a_large_terminal():
    lines = drawn(room(17, 241), Look(200, 60, 3.2))
    assert "4097/4097 good" in lines[0]
    assert [line.split()[0].strip("▸") for line in lines[3:20]] == [f"s{number}" for number in range(1, 18)]


def test_every_unit_of_the_selected_string_is_drawn():
    lines = drawn(room(4, 240), Look(80, 24, 3.2, selected="s3"))
    start = next(index for index, line in enumerate(lines) if line.startswith("s3  each unit"))
    rows = [line[5:] for line in lines[start + 1 : start + 5]]
    assert sum(len(row.replace(" ", "")) for row in rows) == 240


def test_a_silent_module_is_named_with_its_age_and_nothing_else_changes():
    view = room(2, 240)
    for seq in range(4, 12):
        take_scan(view, silent(240, 17, seq), float(seq))
        take_scan(view, scan_of(240, seq, string="s2"), float(seq))
    worst = worst_units(view, 5)
    assert [(unit.string, unit.cell, unit.volts) for unit in worst] == [("s1", 17, None)]
    assert worst[0].why == "module silent for 7.0 s"
    lines = drawn(view, Look(80, 24, 11.2))
    assert "479/480 good" in lines[0]
    assert any("1 silent" in line for line in lines)
    assert any("×" in line and line.startswith("   1 ") for line in lines)


def test_a_string_that_stops_is_stale_and_comes_first():
    view = room(3, 24)
    for seq in range(4, 20):
        take_scan(view, scan_of(24, seq, string="s1"), float(seq))
        take_scan(view, scan_of(24, seq, string="s3"), float(seq))
    look = Look(80, 24, 19.1)
    assert by_need(view, look)[0].name == "s2"
    lines = drawn(view, look)
    assert sum("STALE" in line for line in lines) == 2
    assert any("s2" in line and "16 s" in line for line in lines)


def test_without_a_broker_and_without_a_gateway_it_says_so():
    view = SiteView("hh1")
    assert any("no connection" in line for line in drawn(view, Look(80, 24, 0.0)))
    view.linked = True
    assert any("is a gateway of this site running" in line for line in drawn(view, Look(80, 24, 0.0)))


def test_services_and_unstored_scans_are_shown():
    view = room(1, 24)
    gone = Presence(service="historian", state="gone", why="connection lost", at=from_ms(START_MS), version="1")
    view.take(PRESENCE.topic(site="hh1", service="historian"), encode(gone), 3.0)
    assert "unstored ?" in drawn(view, Look(80, 24, 3.2))[1]
    receipt = StoredReceipt(string="s1", stream="b7f2", seq=1, at=from_ms(START_MS))
    view.take(STORED.topic(site="hh1", string="s1"), encode(receipt), 3.0)
    line = drawn(view, Look(120, 24, 3.2))[1]
    assert "historian gone connection lost" in line
    assert "unstored 2" in line
    view.take(PRESENCE.topic(site="hh1", service="historian"), b"", 3.0)
    assert view.services == {}


def test_missed_scans_are_counted_and_a_new_stream_is_not_a_gap():
    view = SiteView("hh1")
    for seq in (1, 2, 5):
        take_scan(view, scan_of(4, seq), float(seq))
    take_scan(view, scan_of(4, 100, stream="cafe"), 6.0)
    assert view.strings["s1"].missing == 2


def test_a_removed_string_goes_and_their_number_is_bounded():
    view = room(2, 4)
    view.take(STRING_META.topic(site="hh1", string="s1"), b"", 4.0)
    assert list(view.strings) == ["s2"]
    for number in range(MAX_STRINGS + 50):
        take_scan(view, scan_of(1, string=f"x{number}"), 5.0)
    assert len(view.strings) == MAX_STRINGS
    assert view.refused == 51


@given(st.sampled_from(READ), st.binary(max_size=60))
def test_what_cannot_be_read_is_counted_and_never_an_error(channel, payload: bytes):
    view = SiteView("hh1")
    topic = channel.topic(site="hh1", string="s1", service="a")
    view.take(topic, b"{" + payload, 0.0)
    assert view.refused + len(view.strings) >= 0
    view.take("somewhere/else", payload, 0.0)
    assert drawn(view, Look(80, 24, 1.0))


@given(scans(max_cells=40), st.floats(0.0, 100.0))
def test_any_scan_has_a_picture(scan: ScanColumns, now_s: float):
    view = SiteView(scan.site, linked=True)
    view.take(SCAN.topic(site=scan.site, string=scan.string), encode_scan(scan), 0.0)
    assert len(drawn(view, Look(80, 24, now_s))) <= 24
    units = notable_units(scan, np.full(scan.cells, scan.measured_ms), 10)
    assert all(1 <= unit.cell <= scan.cells and unit.why for unit in units)


def test_deviation_is_against_the_middle_of_the_good_units():
    scan = scan_of(5, cell_v=np.array([2.0, 2.1, 2.2, 9.0, np.nan]), quality=np.array([0, 0, 0, 3, 4], dtype=np.uint8))
    assert deviations_mv(scan)[:3] == pytest.approx([-100.0, 0.0, 100.0])
    assert np.isnan(deviations_mv(scan)[3:]).all()
    assert spread_mv(scan) == pytest.approx(200.0)
    assert scale_mv(deviations_mv(scan)) == 200.0


def test_one_bad_unit_does_not_hide_behind_its_own_spread():
    volts = 2.25 + np.random.default_rng(1).normal(0.0, 0.002, 240)
    volts[99] -= 0.060
    worst = notable_units(scan_of(240, cell_v=volts), np.zeros(240, dtype=np.int64), 3)
    assert worst[0].cell == 100
    assert "below the middle" in worst[0].why


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.4, "0.4 s"), (42.0, "42 s"), (600.0, "10 min"), (9000.0, "2.5 h"), (1e6, "12 d")]
)
def test_spans_are_told_as_people_say_them(seconds: float, told: str):
    assert duration(seconds) == told


def test_balancing_of_a_string_is_one_line_below_its_title():
    view, topic = room(2, 20), BALANCE.topic(site="hh1", string="s1")
    look = Look(100, 24, 3.5, "s1")
    without = drawn(view, look)
    told = balance_of(START_MS, findings=[3], reason=["bleeding", "even", "leak"])
    view.take(topic, encode(told), 3.0)
    (line,) = [line for line in drawn(view, look) if "balancing" in line]
    assert "float, 1 bleed, spread 55.0 → 12.0 mV, even in 4.5 h  look at #3 leak" in line
    assert (
        drawn(view, look).index(line) == next(n for n, each in enumerate(without) if "against the middle" in each) + 1
    )
    view.take(topic, encode(told.model_copy(update={"inhibit": "warm_room", "spread_v": None})), 3.0)
    assert any("float, 1 bleed, warm room" in line for line in drawn(view, look))
    view.take(topic, encode(told.model_copy(update={"enabled": False})), 3.0)
    assert drawn(view, look) == without
    view.take(topic, b"", 3.0)
    assert view.strings["s1"].balance is None


def test_estimates_of_a_string_are_one_line_with_their_bounds():
    view, topic, look = room(2, 20), ESTIMATE.topic(site="hh1", string="s1"), Look(130, 24, 3.5, "s1")
    without = drawn(view, look)
    told = estimate_of(START_MS)
    view.take(topic, encode(told), 3.0)
    (line,) = [line for line in drawn(view, look) if "estimates" in line]
    assert "charge 90 % (2 of 3 known), lowest #2 89 % ± 3 %, lasts 8:35 ± 1:00 at 0.082 kW, weakest #2" in line
    assert "impedance watch at #2" in line
    view.take(topic, encode(told.model_copy(update={"soc_frac": [None] * 3, "doubts": ["no_current"]})), 3.0)
    assert any("charge not known yet" in line and "no current" in line for line in drawn(view, look))
    view.take(topic, b"", 3.0)
    assert drawn(view, look) == without


@pytest.mark.parametrize("height", [12, 14, 24, 40])
def test_two_lines_more_still_fits_the_terminal(height):
    view = room(3, 240)
    for string in ("s1", "s2", "s3"):
        view.take(BALANCE.topic(site="hh1", string=string), encode(balance_of(START_MS, string=string)), 3.0)
        view.take(ESTIMATE.topic(site="hh1", string=string), encode(estimate_of(START_MS, string=string)), 3.0)
    assert len(drawn(view, Look(80, height, 3.5))) <= height
