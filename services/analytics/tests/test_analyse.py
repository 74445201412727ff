"""`cellkeeper analyse`: measured files as the estimators see them, every form of file, and what is said of bad ones."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from analyse_runs import refused, require_wrong_use, run
from analytics.analyse.battery import Battery, require_fit
from analytics.analyse.series import series_of, with_string_values
from analytics.analyse.sign import SignEvidence, sign_evidence
from analytics.analyse.sources import known_layout, long_rows, names_in, rows_of
from analytics.reports.verify import verify
from cellkeeper.contract.recorded_rows import BadRow, RecordedRow, RowLayout

MEASURED = Path(__file__).parents[3] / "tests" / "measured"
GEL = MEASURED / "gel-vrla-12v.csv"
LEAF = MEASURED / "leaf-2c-discharge.csv"
GEL_BATTERY = ("--chemistry", "vrla_agm", "--rated-ah", "17", "--cells-per-unit", "6", "--end-v", "1.77")
GEL_COLUMNS = ("--time", "time", "--voltage", "voltage", "--current", "current", "--temperature", "temperature")
LEAF_OPTIONS = (
    "--chemistry", "nmc", "--rated-ah", "33.1", "--columns", "ex,s,cycle,l1,l2,l3,step,st,a,v,w,ah,wh,mode,rest",
    "--time", "s", "--voltage", "v", "--current", "a", "--time-format", "seconds", "--end-v", "3.0",
)  # fmt: skip
LAYOUT = RowLayout(time="measured_at", voltages=("cell_v",))


@pytest.fixture(scope="module")
def gel(tmp_path_factory):
    """The measured lead block, with its table and plot."""
    folder = tmp_path_factory.mktemp("gel")
    out = [option for name in ("t.csv", "t.parquet", "p.svg", "p.png") for option in ("--out", folder / name)]
    result = run(
        GEL,
        *GEL_BATTERY,
        *GEL_COLUMNS,
        "--sign",
        "discharge",
        "--test",
        "--table",
        "20:0.9,10:1.7,5:3.1",
        "--dossier",
        folder,
        *out,
    )
    return result.output, folder


def test_the_discharge_of_a_measured_block_is_found_with_its_charge(gel):
    """By hand from the file: 1.53 A from 00:34:37 on for 12.55 h, 19.2 Ah, down to 10.44 V."""
    output, _ = gel
    assert "discharge of 2017-03-29 00:34:37 UTC: 12 h 33 min, 19.29 Ah" in output
    assert "the load ended; the battery rested" in output
    assert "THE CURRENT" not in output
    assert "bad rows" not in output


def test_capacity_of_a_measured_block_is_told_with_its_doubts(gel):
    output, _ = gel
    assert "indicative only" in output or "at least" in output
    assert "not known whether the string was full" in output


def test_the_table_has_a_row_per_usable_row_and_charge_falls_in_the_discharge(gel):
    _, folder = gel
    rows = list(csv.DictReader(io.StringIO((folder / "t.csv").read_text())))
    assert list(rows[0])[:4] == ["measured_at", "mode", "current_a", "sign_suspect"]
    running = [row for row in rows if row["mode"] == "discharge"]
    charge = [float(row["soc_frac_1"]) for row in running if row["soc_frac_1"]]
    assert charge[60] - charge[-1] > 0.8
    assert all(float(row["current_a"]) < 0.1 for row in running)
    assert any(row["soc_frac_1"] == "" and row["soc_source_1"] == "unknown" for row in rows)
    table = pq.read_table(folder / "t.parquet")
    assert table.num_rows == len(rows)
    assert table.column("measured_at").type == pa.timestamp("ms", "UTC")


def test_every_discharge_gets_a_dossier_that_verifies(gel):
    _, folder = gel
    record = folder / "file_20170329T003437Z_test.json"
    assert verify(record, None, folder).is_intact
    assert verify(record.with_name(f"{record.stem}-units.csv"), None, folder).is_intact
    assert record.with_suffix(".pdf").read_bytes().startswith(b"%PDF")


def test_a_plot_is_written_in_both_forms(gel):
    _, folder = gel
    assert "<svg" in (folder / "p.svg").read_text()[:600]
    assert (folder / "p.png").read_bytes().startswith(b"\x89PNG")


def test_a_measured_lithium_cell_without_a_header_row():
    output = run(LEAF, *LEAF_OPTIONS, "--degc", "25", "--ref-degc", "25", "--rate-h", "0.541", "--test").output
    assert "temperature: 25 °C as told" in output
    assert "29.96 Ah" in output
    assert "capacity 90.5" in output
    assert "it was under way at the first scan" in output


def test_without_a_temperature_no_capacity_is_proven(tmp_path):
    short = tmp_path / "short.csv"
    short.write_text("".join(LEAF.read_text().splitlines(keepends=True)[:400]))
    output = run(short, *LEAF_OPTIONS).output
    assert "no temperature in the file" in output
    assert "state of health at the end: not proven\n  1 x not proven: " in output


@pytest.mark.parametrize(
    ("file", "options"), [(GEL, (*GEL_BATTERY, *GEL_COLUMNS)), (LEAF, (*LEAF_OPTIONS, "--sign", "discharge"))]
)
def test_a_wrong_sign_is_said(tmp_path, file, options):
    short = tmp_path / file.name
    short.write_text("".join(file.read_text().splitlines(keepends=True)[:700]))
    output = run(short, *options).output
    assert "THE CURRENT SEEMS TO HAVE THE OTHER SIGN" in output
    assert "state of health at the end: not proven" in output


def test_evidence_of_the_sign_needs_a_majority_and_no_contradiction():
    assert SignEvidence(-0.9, float("nan")).is_turned
    assert SignEvidence(-0.9, 0.2).is_turned
    assert not SignEvidence(-0.9, 0.9).is_turned
    assert not SignEvidence(float("nan"), float("nan")).is_turned
    assert SignEvidence(0.9, 0.9).is_right


def row(line, ms, volts, degc=(), current=float("nan"), string_v=float("nan")):
    return RecordedRow(line, ms, volts, degc, current, string_v)


def test_temperatures_in_rows_of_their_own_hold_for_half_an_hour_and_voltages_never():
    nan = float("nan")
    found = series_of(
        [row(1, 0, (nan,), (20.0,)), row(2, 60_000, (2.2,), (nan,), 0.0), row(3, 120_000, (nan,), (nan,), 1.0),
         row(4, 3_600_000, (2.1,), (nan,), 0.0)],
        fatal=False,
    )  # fmt: skip
    assert found.at_s.tolist() == [60.0, 120.0, 3600.0]
    assert found.degc[0, 0] == 20.0
    assert np.isnan(found.degc[2, 0])
    assert np.isnan(found.unit_v[1, 0])
    assert found.discharge_a.tolist() == [0.0, -1.0, 0.0]


def test_bad_rows_are_counted_shown_and_fatal_when_asked(tmp_path):
    path = tmp_path / "file.csv"
    lines = ["measured_at,cell_v,current_a,cell_degc"]
    lines += [f"2026-01-01T00:{n // 60:02d}:{n % 60:02d}Z,2.{2 + n % 2},0,20" for n in range(120)]
    lines[5] = "2026-01-01T00:00:04Z,lots,0,20"
    lines[9] = lines[8]
    path.write_text("\n".join(lines))
    output = run(path, "--chemistry", "vrla_agm", "--rated-ah", "100").output
    assert "2 bad rows were left out" in output
    assert "line 6: voltage 'lots' is not a number" in output
    assert "line 10: time 2026-01-01T00:00:07+00:00 comes again" in output
    why = refused(path, "--chemistry", "vrla_agm", "--rated-ah", "100", "--bad-rows", "fail")
    assert "line 6: voltage 'lots' is not a number; correct it, or use --bad-rows skip" in why


def test_our_exports_are_known_by_their_headers(tmp_path):
    wide = tmp_path / "wide.csv"
    wide.write_text(
        "measured_at,cell_v_1,cell_v_2,quality_1,quality_2,degc_1,degc_2\n2026-01-01T00:00:00.000Z,2.2,,0,4,20,\n"
    )
    layout = known_layout(names_in(wide, ","), LAYOUT)
    assert layout.voltages == ("cell_v_1", "cell_v_2")
    assert layout.temperatures == ("degc_1", "degc_2")
    long = tmp_path / "long.csv"
    long.write_text(
        "measured_at,string,cell,life,cell_v,quality,degc,degc_quality,bleed_frac,status\n"
        "2026-01-01T00:00:00.000Z,s1,1,1,2.2501,0,20.5,0,0,0\n"
        "2026-01-01T00:00:00.000Z,s1,2,1,53.0,2,20.6,0,0,0\n"
        "2026-01-01T00:00:01.000Z,s1,1,1,2.25,0,20.5,4,0,0\n"
        "2026-01-01T00:00:01.000Z,s1,2,1,-0.4,3,20.6,0,0,0\n"
        "2026-01-01T00:00:01.000Z,s1,x,1,2.25,0,20.5,0,0,0\n"
        "2025-12-31T00:00:00.500Z,s1,1,1,2.25,0,20.5,0,0,0\n"
    )
    found = list(long_rows(long, ",", "."))
    assert found[0].unit_v[0] == 2.2501
    assert np.isnan(found[0].unit_v[1])
    assert isinstance(found[1], BadRow)
    assert found[2].measured_ms < found[0].measured_ms, "who makes arrays of them puts them in order"
    repaired = tmp_path / "repaired.csv"
    repaired.write_text("".join(line for line in long.read_text().splitlines(keepends=True) if ",x," not in line))
    second = list(long_rows(repaired, ",", "."))[1]
    assert second.unit_v[1] == -0.4
    assert np.isnan(second.degc[0])


def test_a_loggers_file_with_decimal_commas_is_known(tmp_path):
    path = tmp_path / "logger.csv"
    path.write_text("measured_at;cell_v;current_a;cell_degc\n2026-01-01T00:00:00Z;12,61;-1,5;21,5\n")
    given = replace(LAYOUT, time="", voltages=(), delimiter=";", decimal=",")
    found = next(rows_of(path, known_layout(names_in(path, ";"), given)))
    assert (found.unit_v, found.current_a, found.degc) == ((12.61,), -1.5, (21.5,))


def test_parquet_is_read_like_csv(tmp_path):
    path = tmp_path / "wide.parquet"
    times = pa.array([1_767_225_600_000, 1_767_225_601_000], pa.timestamp("ms", "UTC"))
    pq.write_table(pa.table({"measured_at": times, "cell_v_1": [2.25, None], "cell_v_2": [2.26, 2.27]}), path)
    found = list(rows_of(path, known_layout(names_in(path, ","), LAYOUT)))
    assert found[0].measured_ms == 1_767_225_600_000
    assert found[0].unit_v == (2.25, 2.26)
    assert np.isnan(found[1].unit_v[0])


def test_the_current_comes_from_a_file_of_its_own_at_the_same_times():
    series = series_of([row(n, 1000 * n, (2.2, 2.2)) for n in range(1, 5)], fatal=False)
    string = [row(1, 2000, (), (), -40.0, 4.4), row(2, 3000, (), (), -41.0, 4.3), row(3, 3500, (), (), 7.0, 1.0)]
    joined = with_string_values(series, string)
    assert joined.discharge_a[1:3].tolist() == [40.0, 41.0]
    assert np.isnan(joined.discharge_a[[0, 3]]).all()
    assert joined.string_v[1] == 4.4


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (
            (GEL, "--chemistry", "gold", "--rated-ah", "17", *GEL_COLUMNS),
            "chemistry 'gold' is unknown; take one of",
        ),
        ((GEL, "--chemistry", "vrla_agm", "--rated-ah", "17", *GEL_COLUMNS), "--cells-per-unit 6 would fit"),
        ((GEL, *GEL_BATTERY), "--time NAME --voltage NAME"),
        ((GEL, *GEL_BATTERY, "--time", "time", "--voltage", "volts"), "there is no column 'volts'; the file has time,"),
        ((GEL, *GEL_BATTERY, "--time", "time", "--voltage", "v_*"), "no column fits 'v_*'"),
        ((GEL, *GEL_BATTERY, "--time", "voltage", "--voltage", "time"), "no usable row in the file"),
        ((GEL.with_name("none.csv"), *GEL_BATTERY), "No such file"),
        ((GEL, *GEL_BATTERY[:-1], "12.0", *GEL_COLUMNS), "write volts of one electrochemical cell"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_do(arguments, why):
    assert why in refused(*arguments)


@pytest.mark.parametrize("options", [("--out", "x.doc"), ("--delimiter", "."), ("--table", "ten"), ("--table", "1:-5")])
def test_impossible_options_are_used_wrongly(options):
    require_wrong_use(options[0], GEL, *GEL_BATTERY, *GEL_COLUMNS, *options)


def test_a_battery_that_fits_is_taken_and_evidence_without_current_is_none():
    series = series_of([row(n, 60_000 * n, (13.0,)) for n in range(5)], fatal=False)
    require_fit(Battery("vrla_agm", 17.0, 6), series)
    evidence = sign_evidence(series, 17.0)
    assert np.isnan(evidence.steps)
    assert np.isnan(evidence.stretches)
