"""What a report says follows from history: spreads, charge over several runs, who does not converge, and the files."""

import csv
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from balancer.hands_on.history import Course, Grid
from balancer.hands_on.report import gini, report_of, told
from balancer.hands_on.report_files import csv_text, write_report
from balancer.hands_on.tables import status_lines, status_table
from balancer.hands_on.words import (
    FINDING_WORDS,
    INHIBIT_WORDS,
    bands_text,
    findings_text,
    length_text,
)
from cellkeeper.contract.balance_state import CellReason, Inhibit
from cellkeeper.contract.moment import from_ms, seconds_of
from cellkeeper.runtime.wishing import NotThereError
from cellkeeper.testing.builders import START_MS, balance_of
from rich.console import Console

HOUR_MS = 3_600_000
UNITS = 6
HOURS = 24


def course() -> Course:
    """A day in which the spread halves every two hours, after an hour of rest."""
    at_h = np.arange(HOURS + 1)
    spread_v = np.where(at_h < 1, 0.080, 0.080 * 0.5 ** ((at_h - 1) / 2.0))
    nothing = np.full(len(at_h), np.nan)
    moved = np.where(at_h < 10, at_h * 0.5, (at_h - 10) * 0.25)
    return Course(
        START_MS + HOUR_MS * at_h,
        ["charge" if hour < 1 else "float" for hour in at_h],
        ["phase" if hour < 1 else "" for hour in at_h],
        {"spread_v": spread_v, "held_out_spread_v": nothing, "half_life_s": np.full(len(at_h), 7200.0),
         "finish_s": np.full(len(at_h), 5400.0), "moved_ah": moved, "heat_wh": 2.25 * moved},
    )  # fmt: skip


def state(hour: float, moved_ah: list[float], **changes):
    columns = {
        "duty_frac": [0.0, 0.1, 0.3, 0.5, 0.7, 0.9],
        "moved_ah": moved_ah,
        "heat_wh": [2.0 * each for each in moved_ah],
        "leak_a": [None] * UNITS,
        "reason": ["bleeding"] * UNITS,
        "began_at": from_ms(START_MS + HOUR_MS),
    }
    return balance_of(START_MS + round(hour * HOUR_MS), **(columns | changes))


def grid(*, stuck: int | None = None, left_alone: int | None = None) -> Grid:
    at = np.arange(0, HOURS + 0.01, 0.25)
    begin_v = np.array([-0.03, -0.02, -0.01, 0.01, 0.02, 0.03])
    values = 2.25 + begin_v * 0.5 ** (at[:, None] / 2.0)
    if stuck is not None:
        values[:, stuck - 1] = 2.25 + 0.04
    if left_alone is not None:
        values[:, left_alone - 1] = 2.25 + 0.1
    return Grid((START_MS + HOUR_MS * at).astype(np.int64), values)


def a_report(states=None, **bent):
    states = [state(1, [0.0] * UNITS), state(24, [0.5, 0, 0, 0, 0, 1.5])] if states is None else states
    duties = Grid(grid().at_ms, np.full_like(grid().values, 0.25))
    return report_of("s1", course(), grid(**bent), duties, states, START_MS)


def test_every_word_of_the_contract_has_words_for_people():
    assert set(INHIBIT_WORDS) == set(get_args(Inhibit.__value__))
    assert set(FINDING_WORDS) <= set(get_args(CellReason.__value__))


@pytest.mark.parametrize(("text", "seconds"), [("90min", 5400), ("8h", 28_800), ("1.5d", 129_600), ("2 w", 1_209_600)])
def test_lengths_of_time_are_read(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["8", "h", "-1h", "8 hours", "1y", ""])
def test_what_is_no_length_of_time_is_told(text):
    with pytest.raises(ValueError, match="write 90min"):
        seconds_of(text)


def test_lengths_are_said_in_the_unit_that_suits():
    told_s = [None, 600.0, 7200.0, 5 * 86_400.0, 1e10]
    assert [length_text(each) for each in told_s] == ["—", "10 min", "2.0 h", "5.0 d", "years"]


def test_bands_are_those_that_people_know():
    assert bands_text([0.0, 0.01, 0.2, 0.4, 0.41, 0.8, 0.81, 1.0]) == "boost 2, power 1, normal 1, eco 1, eco+ 2"
    assert bands_text([0.0, 0.0]) == ""


def test_findings_are_told_with_their_amount():
    found = balance_of(START_MS, findings=[1, 3], reason=["leak", "bleeding", "weak"], leak_a=[0.021, None, None])
    assert findings_text(found) == "#1 leaks 21 mA, #3 weak in discharge"
    assert findings_text(found, most=1) == "#1 leaks 21 mA and 1 more"


def test_the_status_fits_a_terminal_and_says_why():
    states = {"s1": balance_of(START_MS, inhibit="paused", until=from_ms(START_MS + HOUR_MS), findings=[2])}
    console = Console(width=80, record=True)
    console.print(status_table(["s1", "s2"], states))
    shown = console.export_text()
    assert "1/3" in shown
    assert "silent" in shown
    assert all(len(line) <= 80 for line in shown.splitlines())
    assert len(shown.strip().splitlines()) == 4, "one line for each string"
    lines = list(status_lines(["s1", "s2"], states))
    assert lines[0] == "s1: nothing is bled: paused until 2026-11-21 06:00 UTC"
    assert lines[-1].startswith("s1: look at #2")


@pytest.mark.parametrize(
    ("amounts", "expected"), [([1, 1, 1, 1], 0.0), ([0, 0, 0, 4], 0.75), ([1, 2, 3, 4], 0.25), ([0, 0], None)]
)
def test_gini(amounts, expected):
    found = gini(np.array(amounts, float))
    assert found is None if expected is None else found == pytest.approx(expected)


def test_the_proof_in_sentences():
    lines = "\n".join(told(a_report()))
    assert "spread 80.0 mV before, 0.0 mV after" in lines
    assert "phases: charge 4%, float 96%" in lines
    assert "nothing was bled for 4% of the states: not in this phase" in lines
    assert "the spread halves in 2.0 h" in lines
    assert "even in 90 min" in lines or "even in 1.5 h" in lines
    assert "moved in this range: 8.00 Ah, 18.0 Wh" in lines
    assert "2.00 Ah, Gini 0.75; most: #6 1.50 Ah 3.0 Wh, #1 0.50 Ah" in lines
    assert "does not converge" not in lines
    assert "none can be told" in lines


def test_a_unit_that_keeps_its_deviation_is_named_with_what_the_balancer_says():
    reason = ["bleeding"] * UNITS
    reason[3] = "leak"
    leak_a = [0.001, None, None, 0.0198, None, -0.002]
    found = a_report([state(24, [1.0] * UNITS, reason=reason, leak_a=leak_a, findings=[4])], stuck=4)
    assert [unit.cell for unit in found.units if unit.is_stuck] == [4]
    lines = "\n".join(told(found))
    assert "cell 4 does not converge: +" in lines
    assert "leaks" in lines
    assert "inferred leaks above the median unit: #4 19.8 mA, #1 1.0 mA" in lines
    assert found.units[0].after_v == pytest.approx(0.0, abs=0.001), "a finding does not pull the mean of the others"


def test_units_that_are_never_bled_are_the_comparison_and_no_reproach():
    reason = ["held_out", *["bleeding"] * (UNITS - 1)]
    held_out = replace(course(), numbers=course().numbers | {"held_out_spread_v": np.full(HOURS + 1, 0.02)})
    duties = Grid(grid().at_ms, np.zeros_like(grid().values))
    states = [state(24, [0.0] * UNITS, reason=reason)]
    found = report_of("s1", held_out, grid(left_alone=1), duties, states, START_MS)
    lines = "\n".join(told(found))
    assert "never bled, for comparison: spread 20.0 mV before, 20.0 mV after" in lines
    assert "they (#1) are" in lines
    assert "100.0 mV after" in lines
    assert not any(unit.is_stuck for unit in found.units)


def test_charge_goes_over_several_runs_and_what_was_before_the_range_does_not_count():
    runs = [[1.0] * UNITS, [3.0] * UNITS, [0.0] * UNITS, [0.5] * UNITS]
    before = from_ms(START_MS - HOUR_MS)
    states = [state(hour, moved, **({"began_at": before} if hour < 3 else {})) for hour, moved in enumerate(runs, 1)]
    found = a_report(states)
    assert found.units[0].moved_ah == pytest.approx(2.0 + 0.5)
    assert found.counted_from_ms == START_MS + HOUR_MS
    whole = a_report([state(hour, moved) for hour, moved in enumerate(runs, 1)])
    assert whole.units[0].moved_ah == pytest.approx(3.0 + 0.5)


def test_without_a_state_that_fits_nothing_is_invented():
    found = a_report([])
    assert found.newest is None
    assert np.isnan(found.units[0].moved_ah)
    assert "nobody counted" in "\n".join(told(found))
    assert csv_text(found).splitlines()[1].startswith("1,-0.02")
    grown = a_report([state(24, [1.0] * UNITS, reason=["bleeding"] * 3)])
    assert grown.newest is None


def test_the_csv_has_a_row_per_unit():
    rows = list(csv.DictReader(csv_text(a_report(stuck=4)).splitlines()))
    assert [row["cell"] for row in rows] == [str(n + 1) for n in range(UNITS)]
    assert rows[5]["moved_ah"] == "1.5000"
    assert (rows[3]["does_not_converge"], rows[0]["does_not_converge"]) == ("yes", "no")
    assert rows[0]["leak_a"] == ""


def test_pictures_are_written_whole_and_the_same_report_is_the_same_file(tmp_path: Path):
    found = a_report(stuck=4)
    for name in ("a.svg", "b.svg", "a.png"):
        write_report(tmp_path / name, found)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    words = [text for node in ET.parse(tmp_path / "a.svg").iter() if (text := (node.text or "").strip())]
    assert "Balancing of s1 (times are UTC)" in words
    assert {"charge", "float", "nothing is bled", "cell 4 does not converge"} <= set(words)


def test_a_report_without_any_reading_is_still_a_page(tmp_path: Path):
    empty = Grid(np.empty(0, np.int64), np.empty((0, UNITS)))
    found = report_of("s1", course(), empty, empty, [], START_MS)
    write_report(tmp_path / "empty.svg", found)
    assert "nobody counted" in (tmp_path / "empty.svg").read_text("utf-8")


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(NotThereError, match="choose another --out"):
        write_report(tmp_path / "file" / "r.csv", a_report())


def test_without_the_library_for_pictures_everything_else_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(sys.modules, "balancer.hands_on.pictures", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(NotThereError, match=r"install cellkeeper-balancer\[report\], or choose --out NAME.csv"):
        write_report(tmp_path / "r.svg", a_report())
    write_report(tmp_path / "r.csv", a_report())
    assert not (tmp_path / "r.svg").exists()


def test_neither_the_service_nor_a_command_loads_the_library_for_pictures():
    asked = "import sys, balancer.main, balancer.hands_on.commands; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False"
