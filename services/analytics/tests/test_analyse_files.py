"""Files of `cellkeeper analyse` as people have them: each is read rightly, or refused with what to do about it."""

import csv

import numpy as np
import pytest
from analyse_runs import refused, require_wrong_use, run
from analytics.analyse.battery import Battery, rules_of
from analytics.analyse.errors import AnalyseError
from analytics.analyse.offline import estimated
from analytics.analyse.row_order import order_of
from analytics.analyse.series import series_of
from analytics.analyse.telling import Analysis, plot_of
from cellkeeper.contract.recorded_rows import RecordedRow
from hypothesis import given
from hypothesis import strategies as st

COLUMNS = ("--time", "time", "--voltage", "voltage", "--current", "current", "--temperature", "temperature")


HEADER = "time,voltage,current,temperature"
TELLING = ("--chemistry", "vrla_agm", "--rated-ah", "17", "--cells-per-unit", "6")


def written(tmp_path, lines, *, name="file.csv", encoding="utf-8", first="", end="\n"):
    path = tmp_path / name
    path.write_bytes((first + end.join(lines) + end).encode(encoding))
    return path


def blocks_day(time="2026-03-01 {h:02d}:{m:02d}:00", volts="13.{v}", rows=600, sep=","):
    """A block at float, a row a minute."""
    made = [
        sep.join([time.format(h=n // 60, m=n % 60), volts.format(v=50 + n % 3), "0.01", "20.5"]) for n in range(rows)
    ]
    return [HEADER.replace(",", sep), *made]


def test_a_file_with_its_newest_row_first_is_turned_round(tmp_path):
    head, *rows = blocks_day()
    output = run(written(tmp_path, [head, *rows[::-1]]), *TELLING, *COLUMNS).output
    assert "600 rows, 2026-03-01 00:00:00 UTC to 2026-03-01 09:59:00 UTC" in output
    assert "newest row first" in output
    assert "bad row" not in output


def test_a_clock_that_slipped_once_costs_its_own_row_and_no_other(tmp_path):
    lines = blocks_day()
    lines[7] = lines[7].replace("2026-03-01", "2037-03-01")
    output = run(written(tmp_path, lines), *TELLING, *COLUMNS).output
    assert "599 rows" in output
    assert "1 bad row was left out" in output
    assert "line 8: time 2037-03-01T00:06:00+00:00 does not fit in between its neighbours" in output


def test_rows_without_any_order_are_refused_and_not_thrown_away(tmp_path):
    head, *rows = blocks_day()
    mixed = [rows[n * 7 % len(rows) if n % 2 else n] for n in range(len(rows))]
    why = refused(written(tmp_path, [head, *mixed]), *TELLING, *COLUMNS)
    assert "rows are out of order, the first in line" in why
    assert "sort the file by its time column" in why


def test_an_hour_that_comes_twice_in_autumn_needs_its_zone(tmp_path):
    rows = [
        f"2017-10-29 0{h}:{m:02d}:{s:02d},13.5,0.01,20" for h, s in ((1, 0), (2, 0), (2, 30), (3, 0)) for m in range(60)
    ]
    path = written(tmp_path, [HEADER, *rows])
    assert "--timezone Europe/Berlin" in refused(path, *TELLING, *COLUMNS)
    for lines in (rows, rows[::-1]):
        path = written(tmp_path, [HEADER, *lines])
        output = run(path, *TELLING, *COLUMNS, "--timezone", "Europe/Berlin").output
        assert "240 rows, 2017-10-28 23:00:00 UTC to 2017-10-29 02:59:00 UTC" in output
        assert "bad row" not in output
        assert "no zone" not in output


def test_times_without_a_zone_are_said_to_be_taken_as_utc(tmp_path):
    assert "times name no zone and were taken as UTC" in run(written(tmp_path, blocks_day()), *TELLING, *COLUMNS).output


@pytest.mark.parametrize(
    ("time", "form"),
    [("01.03.2026 {h:02d}:{m:02d}", "%d.%m.%Y %H:%M"), ("03/01/2026 {h:02d}:{m:02d}", "%m/%d/%Y %H:%M")],
)
def test_dates_of_any_country_are_read_once_their_form_is_told(tmp_path, time, form):
    path = written(tmp_path, blocks_day(time))
    assert "--time-format '%d.%m.%Y %H:%M:%S'" in refused(path, *TELLING, *COLUMNS)
    output = run(path, *TELLING, *COLUMNS, "--time-format", form).output
    assert "600 rows, 2026-03-01 00:00:00 UTC to 2026-03-01 09:59:00 UTC" in output


def test_excels_files_are_read_as_they_are(tmp_path):
    comma = [line.replace(".", ",") for line in blocks_day(sep=";")]
    for name, encoding, first in (("a", "utf-8-sig", ""), ("b", "cp1252", "sep=;\r\n"), ("c", "utf-16", "")):
        path = written(tmp_path, comma, name=name, encoding=encoding, first=first, end="\r\n")
        assert "600 rows" in run(path, *TELLING, *COLUMNS, "--decimal", ",").output
    latin = [comma[0].replace("temperature", "Temperatur [°C]"), *comma[1:]]
    columns = (*COLUMNS[:-1], "Temperatur [°C]")
    path = written(tmp_path, latin, encoding="cp1252")
    assert "600 rows" in run(path, *TELLING, *columns, "--decimal", ",").output


def test_lines_before_the_header_are_skipped_when_told_and_count(tmp_path):
    lines = ["# logger 4711", "# of a block, room 3", *blocks_day()]
    lines[5] = lines[5].replace("13.", "x")
    output = run(written(tmp_path, lines), *TELLING, *COLUMNS, "--skip-lines", "2").output
    assert "599 rows" in output
    assert "line 6: voltage" in output


def test_millivolts_and_milliamperes_are_found_out_and_read_when_told(tmp_path):
    milli = written(tmp_path, blocks_day(volts="13{v}0"))
    assert "--voltage-in mV" in refused(milli, *TELLING, *COLUMNS)
    assert "600 rows" in run(milli, *TELLING, *COLUMNS, "--voltage-in", "mV").output
    amps = written(tmp_path, [line.replace(",0.01,", ",-1530,") for line in blocks_day()])
    why = refused(amps, *TELLING, *COLUMNS)
    assert "currents of 1530 A are not of a battery of 17 Ah; for milliamperes --current-in mA" in why
    assert "600 rows" in run(amps, *TELLING, *COLUMNS, "--current-in", "mA").output


def test_milliseconds_told_as_seconds_are_no_traceback(tmp_path):
    lines = [HEADER, *(f"{1_767_225_600_000 + 60_000 * n},13.5,0.01,20" for n in range(60))]
    path = written(tmp_path, lines)
    why = refused(path, *TELLING, *COLUMNS, "--time-format", "seconds")
    assert "lies beyond the year 2200; for milliseconds --time-format milliseconds" in why
    output = run(path, *TELLING, *COLUMNS, "--time-format", "milliseconds").output
    assert "60 rows, 2026-01-01 00:00:00 UTC" in output


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (["time,voltage,voltage,current,temperature", "2026-01-01,2,13.5,0,20"], "2 columns are called 'voltage'"),
        (
            [HEADER, *(f"2026-01-01 00:{m:02d}:00,13,50,0,01,20,5" for m in range(60))],
            "need another delimiter, or quotes",
        ),
        ([HEADER, *(f"2026-01-01 00:{m:02d}:00,13.5 V,0,20" for m in range(60))], "values have no units and no %"),
        ([HEADER, *(f"2026-01-01 00:{m:02d}:00,13.5%,,20" for m in range(60))], "values have no units and no %"),
    ],
)
def test_what_a_row_says_in_a_way_that_cannot_be_read_comes_with_advice(tmp_path, lines, why):
    assert why in refused(written(tmp_path, lines), *TELLING, *COLUMNS)


@pytest.mark.parametrize(
    ("begin", "why"),
    [(b"PK\x03\x04..", "Excel workbook"), (b"\x1f\x8b..", "is compressed"), (b"a\x00b", "is no text")],
)
def test_what_is_no_text_is_said(tmp_path, begin, why):
    path = tmp_path / "file.csv"
    path.write_bytes(begin)
    assert why in refused(path, *TELLING, *COLUMNS)


def test_a_decimal_comma_between_commas_is_refused(tmp_path):
    path = written(tmp_path, blocks_day())
    assert "separated by commas" in refused(path, *TELLING, *COLUMNS, "--decimal", ",")


@pytest.mark.parametrize(("option", "value"), [("--timezone", "Mars/Base"), ("--time-format", "european")])
def test_a_zone_or_format_that_is_none_is_said(tmp_path, option, value):
    path = written(tmp_path, blocks_day())
    assert value in refused(path, *TELLING, *COLUMNS, option, value)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=40))
def test_what_is_kept_of_any_times_rises_and_nothing_is_lost_unseen(times):
    at_ms = np.array(times)
    try:
        order = order_of(at_ms, range(1, len(times) + 1))
    except AnalyseError:
        return
    assert (np.diff(at_ms[order.kept]) > 0).all()
    assert sorted([*order.kept, *order.left_out]) == list(range(len(times)))


def test_the_strings_file_may_be_written_in_another_way_and_have_its_newest_row_first(tmp_path):
    cells = [f"2026-01-01T00:{m:02d}:00Z;2,25" for m in range(60)]
    cells = written(tmp_path, ["measured_at;cell_v_1", *cells])
    amps = [f"2026-01-01T00:{m:02d}:00Z,{-0.1 * m:.1f}" for m in range(60)]
    string = written(tmp_path, ["measured_at,current_a", *amps[::-1]], name="string.csv")
    table = tmp_path / "table.csv"
    options = ("--chemistry", "vrla_agm", "--rated-ah", "100", "--decimal", ",", "--string-file", string)
    run(cells, *options, "--out", table)
    told = [float(row["current_a"]) for row in csv.DictReader(table.read_text().splitlines())]
    assert told == pytest.approx([-0.1 * m for m in range(60)])


def test_voltages_of_another_chemistry_are_refused(tmp_path):
    path = written(tmp_path, blocks_day(volts="2.0{v}"))
    assert "take another chemistry" in refused(path, "--chemistry", "lfp", "--rated-ah", "17", *COLUMNS)


def test_the_plot_has_no_line_across_a_gap():
    nan = float("nan")
    minutes = [*range(60), *range(600, 660)]
    series = series_of(
        [RecordedRow(n, 60_000 * m, (13.5,), (20.0,), 0.0, nan) for n, m in enumerate(minutes)], fatal=False
    )
    battery = Battery("vrla_agm", 17.0, 6)
    plot = plot_of(Analysis("file", battery, series, estimated(series, rules_of(battery, series))))
    for panel in plot.panels[:2]:
        (line,) = panel.lines
        assert np.flatnonzero(np.isnan(np.asarray(line.y).ravel())).tolist() == [60]
        assert len(line.x) == 121


@pytest.mark.parametrize(
    "options",
    [
        ("--table", "10:1.7,1:1.0"),
        ("--table", "1:17,10:2.0,20:0.5"),
        ("--table", "10:1.7,10:1.8"),
        ("--table", "10:nan"),
        ("--degc", "900"),
        ("--rated-ah", "inf"),
        ("--start-at", "2026-01-01"),
    ],
)
def test_what_no_battery_or_file_can_have_is_a_wrong_use(tmp_path, options):
    require_wrong_use(options[0], written(tmp_path, blocks_day()), *TELLING, *COLUMNS, *options)


def test_one_column_is_one_unit(tmp_path):
    why = refused(written(tmp_path, blocks_day()), *TELLING, *COLUMNS, "--voltage", "voltage")
    assert "name each once" in why


def test_a_full_test_in_a_slow_file_proves_the_health_of_the_block():
    """Rows ten minutes apart: the temperature before is that of the last row, and the block has 92 Ah of 100."""
    nan = float("nan")
    drawn = [n / 6.0 * 10.0 / 92.0 for n in range(1, 57)]
    volts = [13.62] * 300 + [6.0 * (2.05 - 0.10 * x - 0.15 * x**10) for x in drawn] + [13.2] * 60
    amps = [0.05] * 300 + [-10.0] * len(drawn) + [10.0] * 60
    rows = [
        RecordedRow(n, 600_000 * n, (v,), (20.0,), a, nan) for n, (v, a) in enumerate(zip(volts, amps, strict=True))
    ]
    series, battery = series_of(rows, fatal=False), Battery("vrla_agm", 100.0, 6, end_v=1.8)
    outcome = estimated(series, rules_of(battery, series))
    assert outcome.soh_frac[0] == pytest.approx(0.92, abs=0.02)
