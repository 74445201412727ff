"""Recordings of others as what modules measure: every row of the measured files as bytes; options, holds, bad rows."""

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from cellkeeper.contract.moment import to_ms
from cellkeeper.contract.site_file import parse_site
from cellkeeper.testing.measured import GEL_FILE, LEAF_FILE, MeasuredRow, gel_rows, leaf_rows
from hypothesis import given, settings
from hypothesis import strategies as st
from twin.bus.wire_codec import FAST_LENGTH, TemperatureCode, Type, crc16, long_frame
from twin.errors import TwinFileError, TwinUseError
from twin.physics.sensors import PERFECT
from twin.script.trace_files import TraceColumns, read_recording
from twin.script.trace_options import traced_units
from twin.script.traces import Trace
from twin.twin_room import TwinOptions, TwinRoom

MEASURED = Path(__file__).parents[3] / "tests" / "measured"
LEAF = f"string=leaf,cell=1,file={MEASURED / LEAF_FILE},header=no,time=2,v=10,current=9,hold_s=61"
GEL = (
    f"string=gel,cell=1,file={MEASURED / GEL_FILE},time_format=iso,current=current,sign=-1,degc=temperature,hold_s=601"
)
START = datetime(2026, 1, 1, tzinfo=UTC)

SITE = """
[site]
id = "hh1"
name = "Recorded batteries"
[[bus]]
id = "leaf"
port = "/nowhere/leaf"
[[bus]]
id = "gel"
port = "/nowhere/gel"
[[string]]
id = "leaf"
cells = 1
chemistry = "nmc"
rated_ah = 33.1
modules = [{ bus = "leaf", first_address = 1, count = 1 }]
sensor = [{ kind = "current", bus = "leaf", address = 2 }]
[[string]]
id = "gel"
cells = 1
cells_per_unit = 6
chemistry = "vrla_agm"
module_type = "c20"
rated_ah = 17.0
modules = [{ bus = "gel", first_address = 1, count = 1 }]
sensor = [{ kind = "current", bus = "gel", address = 2 }]
"""


class Bus:
    """One line of a room whose own clock runs as fast as the test likes."""

    def __init__(self, traces: str, bus: str):
        self.room = TwinRoom(parse_site(SITE.encode()), TwinOptions(errors=PERFECT, strict=False, start=START))
        for traced in traced_units(traces, START):
            self.room.physics.follow_trace(traced)
        self.bus = bus
        self.wire_s = 0.0
        self.sample_id = 0

    def ask(self, frame_type: int, address: int, payload: bytes, event_s: float) -> bytes:
        self.wire_s += 0.2
        emitted = self.room.feed(self.bus, long_frame(frame_type, address, 1, payload), self.wire_s, event_s)
        return b"".join(data for _, data in emitted)

    def at(self, event_s: float) -> dict[int, tuple[int, int]]:
        """Sample at a moment of the room; return counts and temperature code by address, for those who answer."""
        self.sample_id = (self.sample_id + 1) % 256
        self.ask(Type.SAMPLE, 0xFFFF, bytes((self.sample_id, 30)), event_s)
        data = self.ask(Type.TRAIN, 1, bytes((2, self.sample_id, 0)), event_s)
        frames = [data[at : at + FAST_LENGTH] for at in range(0, len(data), FAST_LENGTH)]
        assert not any(map(crc16, frames))
        return {frame[1] | frame[2] << 8: shown(frame) for frame in frames}


def shown(frame: bytes) -> tuple[int, int]:
    """Value and temperature as docs/bus-protocol.md, section 5, lays them out: 20 and 16 bits, signed."""
    word = int.from_bytes(frame[3:6], "little") & 0xFFFFF
    return word - ((word & 0x80000) << 1), int.from_bytes(frame[6:8], "little", signed=True)


def seconds_after(start_ms: int, row: MeasuredRow) -> float:
    return (row.at_ms - start_ms) / 1000.0


def test_every_row_of_the_lithium_cell_leaves_its_module_as_bytes():
    rows = leaf_rows(MEASURED)
    bus = Bus(f"{LEAF},start_at=2026-01-01T00:00:00Z", "leaf")  # second 0 of the file is the room's start
    assert bus.at(0.5) == {}
    for row in rows:
        found = bus.at(seconds_after(to_ms(START), row) + 1e-3)
        assert found[1] == (round(row.v * 10_000), TemperatureCode.OPEN), row
        assert found[2][0] == round(row.a * 1000), row
    assert bus.at(seconds_after(to_ms(START), rows[-1]) + 62.0) == {}
    assert len(rows) == 2507


def test_every_row_of_the_lead_block_leaves_its_module_as_bytes():
    rows = gel_rows(MEASURED)
    bus = Bus(GEL, "gel")
    v = a = degc = None
    for row in rows:
        v, a, degc = (new if new is not None else old for new, old in ((row.v, v), (row.a, a), (row.degc, degc)))
        found = bus.at(seconds_after(rows[0].at_ms, row) + 1e-3)
        assert abs(found[1][0] * 5e-4 - v) <= 2.5001e-4, row
        assert abs(found[2][0] * 1e-3 - a) <= 0.5001e-3, row
        if degc is None:
            assert found[1][1] == TemperatureCode.OPEN, row
        else:
            assert abs(found[1][1] * 1e-2 - degc) <= 0.5001e-2, row
    assert len(rows) == 826
    assert degc is not None


def test_the_blocks_own_times_are_the_rooms_times():
    room_start = datetime(2017, 3, 29, 13, 0, tzinfo=UTC)
    (traced,) = traced_units(f"{GEL},start_at=recorded", room_start)
    row = datetime(2017, 3, 29, 13, 7, 41, tzinfo=UTC) - room_start
    assert traced.trace.at(row.total_seconds() - 1e-3).v[0] == 10.4781872282
    assert traced.trace.at(row.total_seconds() + 1e-3).v[0] == 10.427893492
    assert traced.trace.at(row.total_seconds() + 1e-3).string_a == -1.54329747463


def test_start_at_an_instant_shifts_the_first_row_of_instants_there():
    (traced,) = traced_units(f"{GEL},start_at=2026-01-01T01:00:00+01:00", START - timedelta(hours=2))
    assert traced.trace.time_s[0] == 7200.0
    assert traced.trace.time_s[2] == pytest.approx(7200.0 + 600.0)


def test_a_quantity_that_is_not_measured_again_ends_after_its_own_hold():
    bus = Bus(f"{GEL},degc_hold_s=250,start_at=now".replace("hold_s=601", "hold_s=300"), "gel")
    volts = round(13.3046463722 / 5e-4)
    assert bus.at(200.0)[1] == (volts, 2631)  # temperature alone in the row at 178.7 s
    assert bus.at(299.9)[1] == (volts, 2631)
    assert bus.at(300.1) == {}  # voltage and current are 300 s old: silent, the temperature with them
    assert bus.at(428.0) == {}
    assert bus.at(600.1)[1] == (round(13.2853589685 / 5e-4), TemperatureCode.OPEN)  # temperature is 421 s old


@given(
    gaps=st.lists(st.floats(0.5, 500.0), min_size=1, max_size=40),
    has=st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=41, max_size=41),
    looks=st.lists(st.floats(-10.0, 20_000.0), min_size=1, max_size=20),
    holds=st.tuples(st.floats(1.0, 900.0), st.floats(1.0, 900.0)),
)
@settings(deadline=None)
def test_each_quantity_shows_its_newest_row_or_nothing(gaps, has, looks, holds):
    time_s = np.concatenate([[0.0], np.cumsum(gaps)])
    v, degc, a = (
        np.array([row + which * 1000.0 if has[row][which] else np.nan for row in range(len(time_s))])
        for which in range(3)
    )
    trace = Trace(time_s, v[:, np.newaxis], degc[:, np.newaxis], a, holds[0], holds[1])
    for look in looks:
        sample = trace.at(look)
        seen = ((sample.v[0], v, holds[0]), (sample.degc[0], degc, holds[1]), (sample.string_a, a, holds[0]))
        for value, values, hold_s in seen:
            known = [row for row in range(len(time_s)) if time_s[row] <= look and not math.isnan(values[row])]
            counts = bool(known) and look - hold_s <= time_s[known[-1]]
            assert value == values[known[-1]] if counts else math.isnan(value)


def test_a_csv_recording_is_read_with_its_names_sign_and_delimiter(tmp_path: Path):
    path = tmp_path / "cell.csv"
    path.write_text("\ufeffTime;U;I;T\n100;3.65;2.5;25.1\n\n101.5;3.64;-1.0;\n", "utf-8")
    columns = TraceColumns("Time", "U", degc="T", string_a="I", current_sign=-1.0, delimiter=";", bad_rows="fail")
    recording = read_recording(path, columns)
    assert recording.time_s.tolist() == [100.0, 101.5]
    assert recording.v.tolist() == [3.65, 3.64]
    assert recording.string_a is not None
    assert recording.string_a.tolist() == [-2.5, 1.0]
    assert recording.degc is not None
    assert math.isnan(recording.degc[1])
    assert recording.bad.count == 0


BAD = "time,voltage,current\n0,3.6,1\n1,oops,1\n2,3650,1\nlater,3.5,1\n0,3.4,1\n3\n4,,\n5,3.3,inf\n6,3.2,\n"


def test_bad_rows_are_counted_with_their_lines_and_skipped(tmp_path: Path):
    path = tmp_path / "cell.csv"
    path.write_text(BAD)
    (traced,) = traced_units(f"string=s1,cell=1,file={path},current=current")
    assert traced.trace.time_s.tolist() == [0.0, 6.0]
    assert traced.bad.count == 7
    assert [line.partition(":")[0] for line in traced.bad.shown] == [f"line {n}" for n in range(3, 10)]
    said = str(traced.bad)
    assert "'oops' is not a number" in said
    assert "3650 is outside ±40; volts" in said
    assert "time 'later' is no number of seconds (instants need time_format=iso)" in said
    assert "line 6: its time is not after that of line 2" in said
    assert "1 fields, 2 needed" not in said
    assert "line 7: 1 fields, 3 needed" in said
    assert "no value in any named column" in said


def test_a_bad_row_is_fatal_when_asked(tmp_path: Path):
    path = tmp_path / "cell.csv"
    path.write_text(BAD)
    with pytest.raises(TwinFileError, match=r"cell\.csv, line 3: voltage 'oops' is not a number; correct it, or set"):
        traced_units(f"string=s1,cell=1,file={path},current=current,bad_rows=fail")


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("Time,V\n0,1\n", "", "line 1: no column 'time'; there is Time, V; name another column, or .* header=no"),
        ("0,1\n", "header=no,time=1,v=V", "a column is a number from 1, not 'V'"),
        ("0,1\n", "header=no,time=1,v=0", "a column is a number from 1, not '0'"),
        ("0,1\n", "header=no,time=1,v=3", "holds no row .*; 1 bad rows, the first is line 1: 2 fields, 3 needed"),
        ("time,voltage\n", "", "holds no row that can be followed"),
        ("", "", "no column 'time'; there is nothing"),
        ("time,voltage\n2026-01-01 00:00:00,3\n", "", "instants need time_format=iso"),
        ("time,voltage\n17,3\n", "time_format=iso", "'17' is not ISO 8601"),
        ("time,voltage\n2025-01-01,3\n", "time_format=iso,start_at=recorded", "31536000 s before .*set start_at=now"),
    ],
)
def test_a_file_that_cannot_be_followed_says_what_to_do(tmp_path: Path, text, options, said):
    path = tmp_path / "cell.csv"
    path.write_text(text)
    with pytest.raises(TwinFileError, match=r"cell\.csv.*" + said):
        traced_units(",".join(filter(None, (f"string=s1,cell=1,file={path}", options))), START)


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path: Path):
    with pytest.raises(TwinFileError, match=r"gone\.csv: cannot be read as CSV"):
        traced_units(f"string=s1,cell=1,file={tmp_path / 'gone.csv'}")
    (tmp_path / "blob.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TwinFileError, match=r"blob\.csv: cannot be read as CSV"):
        traced_units(f"string=s1,cell=1,file={tmp_path / 'blob.csv'}")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("header=maybe", "header is one of yes, no"),
        ("header=no", "header=no needs the column numbers"),
        ("sign=2", "sign is one of 1, -1"),
        ("time_format=days", "time_format is one of seconds, iso"),
        ("bad_rows=ignore", "bad_rows is one of skip, fail"),
        ("start_at=recorded", "start_at=recorded needs time_format=iso"),
        ("start_at=soon", "start_at is now, recorded or an instant"),
        ("hold_s=0", "numbers above zero"),
        ("hold_s=nan", "numbers above zero"),
        ("cell=2", "cell is there twice; a second recording begins after a semicolon"),
    ],
)
def test_wrong_options_are_named(options, said):
    with pytest.raises(TwinUseError, match=said):
        traced_units(f"string=s1,cell=1,file=x.csv,{options}")
