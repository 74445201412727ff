"""`site.toml`: the complete example is good, and everything wrong is named with file, line and what to do."""

import re
from pathlib import Path

import pytest
from cellkeeper.contract.site_file import SiteFileError, load_site, parse_site

EXAMPLE = Path(__file__).parents[3] / "examples" / "site.toml"
TEXT = EXAMPLE.read_text("utf-8")


def test_the_complete_example_is_a_site():
    site = load_site(EXAMPLE)
    assert [string.id for string in site.string] == ["s1", "block"]
    assert site.string[0].profile.float_v == 2.27
    assert site.string[1].cell_dead_band_v == pytest.approx(0.012)
    assert site.gateway_of(site.string[0]) == "bus-gateway"


WRONG = {
    "unknown key": ("scan_s = 1.0", "scan_seconds = 1.0", "did you mean scan_s?"),
    "unknown table": ("[[aux]]", "[[auxx]]", "did you mean aux?"),
    "bad id": ('id = "hh1"', 'id = "HH 1"', "use a-z"),
    "id too long": ('id = "hh1"', f'id = "{"h" * 33}"', "use a-z"),
    "missing key": ("rated_ah = 200.0", "", "is missing"),
    "impossible value": ("scan_s = 1.0", "scan_s = 0.0", "write a value of at least 0.1"),
    "text for a number": ("scan_s = 1.0", 'scan_s = "fast"', "write one without quotes"),
    "not a number": ("scan_s = 1.0", "scan_s = nan", "no finite number; write one"),
    "baud nobody has": ("baud = 115200                     #", "baud = 115201 #", "take one of 9600"),
    "driver nobody has": ('driver = "c44"', 'driver = "c45"', "write 'c44' or 'replay'"),
    "no port": ('port = "/dev/ttyUSB0"', "", "needs port"),
    "unknown chemistry": ('chemistry = "vrla_agm"            #', 'chemistry = "vrla" #', "take one of lfp"),
    "unknown module type": ('module_type = "c20"', 'module_type = "c99"', "take one of c44"),
    "too few modules": ("cells = 240", "cells = 241", "describe 240; correct cells"),
    "too many cells": ("cells = 240", "cells = 513", "write a value of at most 512"),
    "addresses overlap": ("address = 1002", "address = 1001", "is of"),
    "string given twice": ('id = "block"', 'id = "s1"', "there twice"),
    "unknown bus": ('bus = "line2"\naddress', 'bus = "line9"\naddress', "is not described"),
    "unknown dc bus": ('dcbus = "ups1"', 'dcbus = "ups7"', "is not described"),
    "unit beyond its module": ('module_type = "c20"', 'module_type = "c44"', "more than module_type"),
    "expiry shorter than refresh": ("stale_after_s = 180.0", "stale_after_s = 100.0", "raise it to 180"),
    "port used twice": ('port = "/dev/ttyUSB1"', 'port = "/dev/ttyUSB0"', "there twice"),
    "not TOML": ("[site]", "[site", "is not TOML"),
    "upside-down override": ("float_v = 2.27", "float_v = 2.39", "must be below boost_v"),
    "override of a whole unit": ("float_v = 2.27", "float_v = 4.54", "volts of one electrochemical cell"),
    "override beyond any cell": ("float_v = 2.27", "float_v = 27.2", "write a value of at most 5.0"),
    "compensation the wrong way": ("float_v_per_k = -0.003", "float_v_per_k = 0.003", "write a value of at most 0.0"),
    "end of discharge at a rested voltage": ("end_v = 1.8 ", "end_v = 2.1 ", "to below nominal_v"),
    "one table instead of several": ("[[aux]]", "[aux]", "two brackets"),
    "text without quotes": ('name = "Recorded 12 V block"', "name = 12", "put it in quotes"),
    "nothing between quotes": ('name = "Harbour hospital, UPS room 1"', 'name = ""', "write at least 1 characters"),
    "cell that is not there": ("17 = 2", "241 = 2", "number the cells"),
    "held out cell that is not there": ("hold_out = []", "hold_out = [241]", "number from 1 to cells"),
    "stop above start": ("stop_v = 0.003", "stop_v = 0.02", "must be below start_v"),
    "address beyond the last": ("first_address = 1", "first_address = 65500", "lower first_address"),
}
# a contradiction between two places is told at one of them
ELSEWHERE = ("there twice", "is of", "is not described", "lower first_address", "must be below start_v")


SAYS_WHAT_TO_DO = re.compile(
    r"\b(write|take|add|remove|correct|raise|lower|change|give|put|use|check|number|did you mean)\b"
)


@pytest.mark.parametrize(("good", "bad", "told"), WRONG.values(), ids=WRONG)
def test_a_wrong_file_is_named_with_line_and_advice(good: str, bad: str, told: str):
    assert good in TEXT
    wrong = TEXT.replace(good, bad, 1)
    with pytest.raises(SiteFileError) as caught:
        parse_site(wrong.encode(), "site.toml")
    assert told in str(caught.value)
    changed = TEXT[: TEXT.index(good)].count("\n") + 1
    table = max(n for n, line in enumerate(wrong.splitlines()[:changed], 1) if line.startswith("[") or n == 1)
    assert all(problem.file == "site.toml" and problem.line > 1 for problem in caught.value.problems)
    assert all(SAYS_WHAT_TO_DO.search(problem.message) for problem in caught.value.problems)
    assert any(table <= problem.line <= changed + 1 or told in ELSEWHERE for problem in caught.value.problems)


def test_lithium_is_balanced_only_with_leave():
    lithium = TEXT.replace('"vrla_agm"            #', '"lfp" #').replace("float_v = 2.27", "float_v = 3.38")
    lithium = (
        lithium.replace("float_v_per_k = -0.003", "").replace("bleed_floor_v = 2.0", "").replace("end_v = 1.8 ", "#")
    )
    assert not parse_site(lithium.encode()).string[0].balance.permitted_by
    asked = lithium.replace('strategy = "auto"', 'strategy = "top"')
    with pytest.raises(SiteFileError, match="write permitted_by"):
        parse_site(asked.encode())
    permitted = asked.replace('# permitted_by = "..."', 'permitted_by = "maker, letter of 2026-01-05"')
    assert parse_site(permitted.encode()).string[0].balance.permitted_by


def test_a_file_that_is_not_there_or_not_text_is_told(tmp_path: Path):
    with pytest.raises(SiteFileError, match="cannot be read"):
        load_site(tmp_path / "nothing.toml")
    with pytest.raises(SiteFileError, match="not UTF-8"):
        parse_site(b'[site]\nname = "\xff"\n')
