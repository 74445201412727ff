"""What site.toml tells of the real battery: what is taken, and what each mistake is told to do about it."""

from datetime import UTC, date, datetime

import pytest
from cellkeeper.contract.chemistry import profiles
from cellkeeper.contract.site_battery import CellLife
from cellkeeper.contract.site_file import SiteFileError, parse_site
from cellkeeper.contract.site_string import StringTable

OCV = "soc_frac = [0.0, 0.25, 0.5, 0.75, 1.0]\nocv_v = [1.96, 2.01, 2.05, 2.09, 2.13]\nsd_v = 0.003"


def string(top: str = "", tables: str = "", chemistry: str = "vrla_agm") -> StringTable:
    text = f"""[site]
id = "hh1"
name = "Test room"
[[bus]]
id = "b1"
port = "/dev/null"
[[string]]
id = "s1"
cells = 4
chemistry = "{chemistry}"
rated_ah = 100.0
{top}
[[string.modules]]
bus = "b1"
first_address = 1
count = 4
{tables}
"""
    return parse_site(text.encode()).string[0]


def test_without_a_word_nothing_is_known():
    plain = string()
    assert (plain.commissioned, plain.lives, plain.terminal_of(1)) == (None, {}, "")
    assert plain.profile == profiles()["vrla_agm"]


def test_the_two_forms_of_a_life():
    told = string(tables='[string.life]\n2 = 2\n3 = { life = 4, since = 2026-11-20T10:30:00+01:00, name = "SN 4711" }')
    assert told.lives == {2: 2, 3: 4}
    assert told.life[2] == CellLife(life=2)
    assert (told.life[3].since, told.life[3].name) == (datetime(2026, 11, 20, 9, 30, tzinfo=UTC), "SN 4711")


def test_day_and_terminals():
    told = string('commissioned = 2024-03-18\nterminal = "double-faston"', '[string.terminals]\n2 = "BC6"')
    assert told.commissioned == date(2024, 3, 18)
    assert [told.terminal_of(cell) for cell in (1, 2, 3)] == ["double-faston", "BC6", "double-faston"]


def test_an_own_curve_takes_the_place_of_the_typical_one():
    typical = profiles()["vrla_agm"].estimate
    own = string(tables=f"[string.rested]\n{OCV}").profile.estimate
    assert own.ocv_v == (1.96, 2.01, 2.05, 2.09, 2.13)
    assert (own.ocv_sd_v, own.rest_s, own.full) == (0.003, typical.rest_s, typical.full)
    assert len(own.r0_ohm_ah) in {1, 5}
    assert own.r0_ohm_ah[-1] == pytest.approx(typical.r0_ohm_ah[-1]), "resistances are the typical ones, by charge"
    waits = string(tables=f"[string.rested]\n{OCV}\nrest_s = 43200.0").profile.estimate
    assert waits.rest_s == 43_200.0


def test_a_chemistry_that_never_rests_needs_its_time():
    nicd = OCV.replace("1.96, 2.01, 2.05, 2.09, 2.13", "1.16, 1.20, 1.25, 1.29, 1.33")
    with pytest.raises(SiteFileError, match="write rest_s, or no table"):
        string(tables=f"[string.rested]\n{nicd}", chemistry="nicd")
    assert (
        string(tables=f"[string.rested]\n{nicd}\nrest_s = 86400.0", chemistry="nicd").profile.estimate.rest_s == 86_400
    )


@pytest.mark.parametrize(
    ("top", "tables", "line", "advice"),
    [
        ("commissioned = 1024-03-18", "", 12, "write the day of the first charge"),
        ('commissioned = "last spring"', "", 12, "write one as 2024-03-18"),
        ("commissioned = 2024-03-18T10:00:00Z", "", 12, "a day without a time"),
        ('terminal = ""', "", 12, "too short"),
        ("", "[string.life]\n3 = 0", 18, "at least 1"),
        ("", '[string.life]\n3 = "two"', 18, "a whole number, or a table like"),
        ("", "[string.life]\n3 = true", 18, "a whole number, or a table like"),
        ("", "[string.life]\n3 = { life = 2, since = 2026-11-20 }", 18, "needs its zone"),
        ("", '[string.life]\n3 = { life = 2, since = "soon" }', 18, "has to be an instant"),
        ("", "[string.life]\n3 = { life = 2, sinse = 2026-11-20T09:30:00Z }", 18, "did you mean since"),
        ("", "[string.life]\n9 = 2", 17, "number the cells from 1 to cells"),
        ("", '[string.terminals]\n9 = "BC6"', 17, "number the cells from 1 to cells"),
        ("", "[string.rested]\n" + OCV.replace(", 2.13", ""), 19, "write one for each soc_frac"),
        ("", "[string.rested]\n" + OCV.replace("2.09", "2.04"), 19, "smooth it, or sort it"),
        ("", "[string.rested]\n" + OCV.replace("0.0, 0.25", "0.1, 0.25"), 18, "write both ends"),
        ("", "[string.rested]\n" + OCV.replace("2.13", "4.13"), 17, "write volts of one cell"),
        ("", "[string.rested]\n" + OCV.replace("0.003", "0.0"), 20, "at least 0.0005"),
        ("", "[string.rested]\n" + OCV.replace("\nsd_v = 0.003", ""), 17, "add it"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_what_to_do(top: str, tables: str, line: int, advice: str):
    with pytest.raises(SiteFileError, match=rf"^site\.toml:{line}: .*{advice}"):
        string(top, tables)
