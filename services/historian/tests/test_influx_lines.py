"""Lines of text that are built by columns say what plain formatting says."""

import numpy as np
from cellkeeper.contract.series import SCALAR_FIELDS
from cellkeeper.testing.builders import START_MS, scan_of
from historian.stores.influx import flat_rows as flat_rows_module
from historian.stores.influx.flat_rows import flat_rows
from historian.stores.influx.lines import cell_lines, string_lines
from historian.stores.influx.row_times import GRID_MS, RowTimes, grid_ms
from historian.stores.influx.text_columns import TextColumns, chars_of
from historian.stores.port import LivedScan
from hypothesis import given
from hypothesis import strategies as st

NUMBER = st.integers(-(2**31), 2**31 - 1)
ROW = st.tuples(
    st.one_of(st.none(), NUMBER), st.one_of(st.none(), st.integers(-99, 9999)), st.sampled_from([None, 0, 7])
)


@given(st.lists(ROW, min_size=1, max_size=20))
def test_columns_say_what_formatting_says(rows: list[tuple[int | None, ...]]):
    out = TextColumns(chars_of([b"m,k=%d" % at for at in range(len(rows))]))
    for name, column in zip("abc", zip(*rows, strict=True), strict=True):
        where = np.array([value is not None for value in column])
        out.integer(name, np.array([value or 0 for value in column]), where)
    told = out.end(chars_of([b"%d" % (at * 7) for at in range(len(rows))])).decode().splitlines()
    expected = [(f"m,k={at}", dict(zip("abc", row, strict=True)), at * 7) for at, row in enumerate(rows)]
    kept = [(key, {k: v for k, v in fields.items() if v is not None}, at) for key, fields, at in expected]
    assert [parsed(line) for line in told] == [each for each in kept if each[1]]


def parsed(line: str) -> tuple[str, dict[str, int], int]:
    key, fields, at = line.split(" ")
    pairs = (field.split("=") for field in fields.split(","))
    return key, {name: int(value.removesuffix("i")) for name, value in pairs}, int(at)


def lines_of(**changes: object) -> list[str]:
    return cell_lines(flat_rows([LivedScan(scan_of(2, 1, **changes))]), [START_MS * 10**6]).decode().splitlines()


def test_what_is_as_always_is_left_out_and_the_rest_is_said():
    usual, _ = lines_of()
    assert usual == f"cell,cell=1,life=1,site=hh1,string=s1 cell_v_e4=22500i,degc_e2=2200i {START_MS}000000"
    suspect, silent = lines_of(cell_v=np.array([53.0, np.nan]), quality=np.array([2, 4], np.uint8))
    assert parsed(suspect)[1] == {"cell_v_suspect_e4": 530000, "degc_e2": 2200, "quality": 2}
    assert parsed(silent)[1] == {"degc_e2": 2201, "bleed_frac_e3": 0, "quality": 4}
    bleeding, unknown = lines_of(bleed_frac=np.array([0.125, np.nan]), status=np.array([1, 2], np.uint8))
    assert parsed(bleeding)[1] == {"cell_v_e4": 22500, "degc_e2": 2200, "bleed_frac_e3": 125, "status": 1}
    assert parsed(unknown)[1] == {"cell_v_e4": 22501, "degc_e2": 2201, "bleed_known": 0}


def test_a_row_without_any_value_is_still_a_row():
    nothing = np.full(2, np.nan)
    bare, _ = lines_of(cell_v=nothing, cell_degc=nothing, bleed_frac=nothing)
    assert parsed(bare)[1] == {"quality": 0}


def test_strings_of_unlike_names_and_sizes_share_one_body():
    scans = [scan_of(3, 1, string="a"), scan_of(12, 1, string="a-much-longer-name")]
    told = cell_lines(flat_rows([LivedScan(scan) for scan in scans]), [1, 2]).decode().splitlines()
    keys = [line.split(" ")[0] for line in told]
    assert len(keys) == len(set(keys)) == 15
    assert keys[-1] == "cell,cell=12,life=1,site=hh1,string=a-much-longer-name"


def test_the_string_says_how_late_its_scan_really_was():
    scan = scan_of(2, 7, measured_ms=START_MS + 49)
    (line,) = string_lines(flat_rows([LivedScan(scan)]), [START_MS * 10**6]).decode().splitlines()
    assert 'stream="b7f2",seq=7i,offset_ms=49i,clock="synced"' in line


def test_the_values_of_a_string_are_written_as_they_always_were():
    scan = scan_of(
        2, 7, stream='a"b', clock="holdover",
        scalars={"current_a": -12.4, "string_v": None, "float_a": 0.052},
        scalar_quality={"current_a": 2, "string_v": 4, "ambient_degc": 5},
    )  # fmt: skip
    told = string_lines(flat_rows([LivedScan(scan)]), [17], refused={"float_a_e6"}).decode()
    assert told == (
        'string,site=hh1,string=s1 stream="a\\"b",seq=7i,offset_ms=0i,clock="holdover",current_a_quality=2i,'
        "current_a_e3=-12400i,string_v_quality=4i,float_a_quality=0i,ambient_degc_quality=5i 17\n"
    )


VALUE = st.one_of(st.none(), st.floats(-1e9, 1e9), st.just(float("nan")))


@given(st.lists(st.dictionaries(st.sampled_from([f.shown for f in SCALAR_FIELDS]), VALUE), min_size=1, max_size=5))
def test_few_scans_and_many_have_the_same_values(said: list[dict[str, float | None]]):
    scans = [scan_of(1, seq, scalars=each, scalar_quality={"current_a": 6}) for seq, each in enumerate(said, 1)]
    few, many = flat_rows_module._scalars(scans), flat_rows_module._scalars(scans * 65)
    for one, other in zip(few, many, strict=True):
        assert (other.reshape(65, *one.shape) == one).all()
        assert other.dtype == one.dtype


@given(st.lists(st.integers(0, 400), min_size=1, max_size=60))
def test_no_two_scans_of_a_stream_share_a_row_and_a_repeated_one_keeps_its_own(steps_ms: list[int]):
    times, at_ms, given_ns = RowTimes(), START_MS, {}
    for seq, step_ms in enumerate(steps_ms):
        at_ms += step_ms + 1
        given_ns[seq] = times.of("s1", "b7f2", seq, at_ms)
        assert times.of("s1", "b7f2", seq, at_ms) == given_ns[seq]
        assert given_ns[seq] // 10**6 // GRID_MS * GRID_MS == grid_ms(at_ms)
        assert times.of("s1", "c0de", seq, at_ms) != given_ns[seq]
    assert len(set(given_ns.values())) == len(steps_ms)
