"""Battery-type files: the shipped ones are good, and everything wrong is named with file, line and what to do."""

import re
from importlib.resources import files
from pathlib import Path

import pytest
from cellkeeper.contract.battery_type import (
    load_batteries,
    load_battery_type,
    parse_battery_type,
    shipped_battery_types,
)
from cellkeeper.contract.site_file import SiteFileError, load_site, parse_site
from cellkeeper.contract.table_file import TableFileError

EXAMPLE = Path(__file__).parents[3] / "examples" / "site.toml"
BLOCK = "generic-vrla-12v-100ah.toml"
TEXT = (files("cellkeeper.contract") / "batteries" / BLOCK).read_text("utf-8")
MINUTES = "minutes = [5, 10, 15, 20, 30, 45, 60, 120, 180, 300, 480, 600]"


def test_the_shipped_types_are_good_and_say_that_they_are_generic():
    shipped = shipped_battery_types()
    assert len(shipped) >= 4
    assert {battery.chemistry for battery in shipped.values()} == {"vrla_agm", "lfp", "nicd"}
    assert all(battery.is_generic and "generic" in battery.source for battery in shipped.values())


def test_watts_are_told_per_cell_whatever_the_sheet_counts():
    per_cell = parse_battery_type(TEXT.encode(), BLOCK)
    rows = re.sub(
        r"w = \[(.+)\]", lambda found: f"w = [{', '.join(str(6 * float(w)) for w in found[1].split(','))}]", TEXT
    )
    per_unit = parse_battery_type(rows.replace('per = "cell"', 'per = "unit"').encode(), BLOCK)
    for a, b in zip(per_cell.power.row, per_unit.power.row, strict=True):
        assert per_unit.cell_w(b) == pytest.approx(per_cell.cell_w(a))


WRONG = {
    "unknown key": ("rate_h = 10.0", "rate_hours = 10.0", "did you mean rate_h?"),
    "text for a number": ("rated_ah = 100.0", 'rated_ah = "many"', "write one without quotes"),
    "unknown chemistry": ('chemistry = "vrla_agm"', 'chemistry = "lead"', "take one of lfp"),
    "minutes out of order": ("minutes = [5, 10, 15,", "minutes = [5, 15, 10,", "order them"),
    "watts that rise": ("w = [560, 430, 350,", "w = [560, 430, 450,", "is not below 430 W"),
    "energy that falls": ("w = [560, 430, 350,", "w = [560, 270, 265,", "give less energy than"),
    "a value too few": ("w = [560, 430, 350,", "w = [560, 430,", "write one for each"),
    "end voltage of a block": ("end_v = 1.67", "end_v = 10.0", "write a value of at most 5"),
    "end voltage of another chemistry": ("rated_end_v = 1.80", "rated_end_v = 2.60", "volts of one electrochemical"),
    "end voltage twice": ("end_v = 1.67", "end_v = 1.60", "there twice"),
    "rows that contradict each other": ("end_v = 1.60", "end_v = 1.70", "check both rows"),
    "float of a block": ("lowest_v = 2.25", "lowest_v = 1.25", "write volts of one"),
    "float upside down": ("lowest_v = 2.25", "lowest_v = 2.35", "must be below highest_v"),
    "watts of a block": ('per = "cell"', 'per = "unit"', 'write per = "cell"'),
    "hours": (MINUTES, "minutes = [0.08, 0.17, 0.25, 0.33, 0.5, 0.75, 1, 2, 3, 5, 8, 10]", "instead of hours"),
    "no table": ("[power] ", "[powder] ", "did you mean power?"),
    "not TOML": ("[float_limits]", "[float_limits", "is not TOML"),
}


@pytest.mark.parametrize(("good", "bad", "told"), WRONG.values(), ids=WRONG)
def test_a_wrong_file_is_named_with_line_and_advice(good: str, bad: str, told: str):
    assert good in TEXT
    with pytest.raises(TableFileError) as caught:
        parse_battery_type(TEXT.replace(good, bad, 1).encode(), "own.toml")
    assert told in str(caught.value)
    found = [problem for problem in caught.value.problems if told in problem.message]
    assert all(problem.file == "own.toml" and problem.line > 4 for problem in found)


def test_kilowatts_and_seconds_are_found_out():
    kilowatts = re.sub(
        r"w = \[(.+)\]", lambda found: f"w = [{', '.join(str(float(w) / 1000) for w in found[1].split(','))}]", TEXT
    )
    with pytest.raises(TableFileError, match="watts instead of kilowatts"):
        parse_battery_type(kilowatts.encode(), "own.toml")
    short = "minutes = [300, 600, 900, 1200, 1800, 2700, 3600]"  # seconds of a sheet up to an hour
    seconds = re.sub(r"(w = \[(?:[\d.]+, ){6}[\d.]+)[^\]]*\]", r"\1]", TEXT.replace(MINUTES, short))
    with pytest.raises(TableFileError, match="minutes instead of seconds"):
        parse_battery_type(seconds.encode(), "own.toml")


def test_a_site_names_files_beside_it_and_shipped_ones(tmp_path: Path):
    (tmp_path / "own.toml").write_text(TEXT.replace("VRLA block", "Own block"), "utf-8")
    assert load_battery_type("own.toml", tmp_path).name.startswith("Own block")
    assert load_battery_type(BLOCK, tmp_path).name.startswith("VRLA block")
    (tmp_path / BLOCK).write_text(TEXT.replace("VRLA block", "Copied block"), "utf-8")
    assert load_battery_type(BLOCK, tmp_path).name.startswith("Copied block")
    with pytest.raises(TableFileError, match=r"is not there; put it beside site\.toml"):
        load_battery_type("nothing.toml", tmp_path)


def test_the_example_site_has_the_type_of_its_battery():
    found = load_batteries(load_site(EXAMPLE), EXAMPLE.parent)
    assert found["s1"].rated_ah == 200.0
    assert "block" not in found


def test_a_type_of_another_battery_is_refused(tmp_path: Path):
    text = EXAMPLE.read_text("utf-8").replace("generic-vrla-2v-200ah.toml", "own.toml")
    (tmp_path / "own.toml").write_text(TEXT, "utf-8")
    with pytest.raises(TableFileError, match=r"string s1: cells_per_unit is 1 in site\.toml but 6 here; correct one"):
        load_batteries(parse_site(text.encode()), tmp_path)


def test_a_battery_that_is_no_file_and_a_cutoff_of_one_cell_are_refused():
    text = EXAMPLE.read_text("utf-8")
    with pytest.raises(SiteFileError, match=r"ends in \.toml"):
        parse_site(text.replace("generic-vrla-2v-200ah.toml", "opzv 200").encode())
    with pytest.raises(SiteFileError, match="volts of the whole bus"):
        parse_site(text.replace("# cutoff_v = 408.0", "cutoff_v = 1.7 #").encode())


@pytest.mark.parametrize(
    ("cutoff", "wiring", "advice"),
    [
        ("cutoff_v = 408.0", "wiring_ohm = 3.0", "wiring_ohm"),  # milliohms
        ("cutoff_v = 408.0", "wiring_ohm = 0.3", r"takes 29\.4 V, .* write ohms: 3 milliohms are 0\.003"),
        ("cutoff_v = 408.0", "wiring_ohm = -0.003", "wiring_ohm"),
        ("# cutoff_v = 408.0", "wiring_ohm = 0.003", "write cutoff_v of its dcbus too"),
    ],
)
def test_wiring_that_cannot_be_or_that_leads_nowhere_is_refused(cutoff: str, wiring: str, advice: str):
    text = EXAMPLE.read_text("utf-8").replace("# cutoff_v = 408.0", cutoff)
    with pytest.raises(SiteFileError, match=advice):
        parse_site(text.replace("# wiring_ohm = 0.003", wiring).encode())


def test_wiring_up_to_what_cables_may_take_is_accepted_and_nobody_has_to_tell_it():
    text = EXAMPLE.read_text("utf-8").replace("# cutoff_v = 408.0", "cutoff_v = 408.0")
    assert parse_site(text.encode()).string[0].wiring_ohm is None
    for wiring_ohm in (0.0, 0.003, 0.05):
        told = text.replace("# wiring_ohm = 0.003", f"wiring_ohm = {wiring_ohm}")
        assert parse_site(told.encode()).string[0].wiring_ohm == wiring_ohm
