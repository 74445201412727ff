"""Rows of recorded files: values and signs as they are, several units, bad rows by line; bad data never raises."""

import math

import pytest
from cellkeeper.contract.recorded_rows import BadRow, RecordedFileError, RecordedRow, RowLayout, header_of, read_rows
from hypothesis import given
from hypothesis import strategies as st

WIDE = RowLayout(time="t", voltages=("v1", "v2"), temperatures=("k1", "k2"), current="a", string_voltage="u")
HEADER = "t,v1,v2,k1,k2,a,u\n"


def rows(text, layout=WIDE):
    return list(read_rows(text.splitlines(keepends=True), layout))


def test_every_unit_has_its_own_columns_and_an_empty_field_is_no_value():
    found = rows(f"{HEADER}2026-01-01T00:00:00Z,2.25,2.26,20,,-1.5,4.51\n2026-01-01T00:00:01Z,,2.26,,21,,\n")
    assert (found[0].unit_v, found[0].current_a, found[0].string_v) == ((2.25, 2.26), -1.5, 4.51)
    assert math.isnan(found[0].degc[1])
    assert math.isnan(found[1].unit_v[0])
    assert math.isnan(found[1].current_a)
    assert found[1].measured_ms - found[0].measured_ms == 1000


def test_a_decimal_comma_and_the_sign_of_a_file():
    layout = RowLayout(time="s", voltages=("v",), current="a", current_sign=-1, time_format="seconds",
                       start_at="2026-01-01", delimiter=";", decimal=",")  # fmt: skip
    found = rows("s;v;a\n0,5;12,345;3,5\n", layout)
    assert (found[0].unit_v, found[0].current_a) == ((12.345,), -3.5)
    assert found[0].measured_ms % 1000 == 500


def test_a_file_without_a_header_row():
    layout = RowLayout(time="s", voltages=("v",), columns=("no", "s", "v"), time_format="seconds")
    assert rows("x,1.0,3.2\n", layout)[0].unit_v == (3.2,)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("2026-01-01T00:00:00Z,2.2", "2 fields, 7 needed"),
        ("2026-01-01T00:00:00Z,two,2.2,,,,", "voltage 'two' is not a number"),
        ("2026-01-01T00:00:00Z,53,2.2,,,,", "voltage 53 is outside ±40"),
        ("2026-01-01T00:00:00Z,2.2,2.2,,,,9000", "string voltage 9000 is outside ±2000"),
        ("yesterday,2.2,2.2,,,,", "time 'yesterday' is not ISO 8601"),
        ("2026-01-01T00:00:00Z,,,,,,", "no value in any named column"),
        ("2025-12-31T00:00:00Z,2.2,2.2,,,,", "does not increase"),
    ],
)
def test_a_bad_row_has_its_line_and_hides_no_other(line, why):
    text = f"{HEADER}2025-12-31T23:59:59Z,2.2,2.2,,,,\n{line}\n2026-01-01T00:00:01Z,2.2,2.2,,,,\n"
    found = rows(text)
    assert isinstance(found[1], BadRow)
    assert found[1].line == 3
    assert why in found[1].why
    assert isinstance(found[2], RecordedRow)


def test_a_column_that_is_not_there_is_said_with_those_that_are():
    with pytest.raises(RecordedFileError, match=r"no column 'a'; the file has t, v1"):
        rows("t,v1\n")
    with pytest.raises(RecordedFileError, match="the file is empty"):
        header_of([], ",")
    with pytest.raises(RecordedFileError, match="start_at"):
        rows(HEADER, RowLayout(time="t", voltages=("v1",), time_format="seconds", start_at="noon"))


@given(text=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=300))
def test_whatever_a_file_holds_times_increase_and_every_line_is_a_row_or_bad(text):
    last_ms = None
    for row in rows(HEADER + text):
        if isinstance(row, RecordedRow):
            assert last_ms is None or row.measured_ms > last_ms
            last_ms = row.measured_ms
