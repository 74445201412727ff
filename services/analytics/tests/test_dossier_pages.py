"""The numbers of a dossier beyond capacity, and what its pages and files say."""

import csv
import io
import os
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from analytics.dossier.__main__ import main
from analytics.dossier.context import DossierBasis
from analytics.dossier.csv_files import csv_files
from analytics.dossier.files import write_dossier
from analytics.dossier.gaps import gaps_in
from analytics.dossier.model import dossier_of, result_of
from analytics.dossier.pages import document_of
from analytics.dossier.plots import course_plot, evenness_plot, units_plot
from analytics.dossier.record_file import save_record
from analytics.dossier.words import length, number, verdict_sentences
from analytics.paper.blocks import Document, Facts, Grid, Heading, Text
from analytics.paper.errors import PaperError
from analytics.paper.pdf import pdf_of
from dossier_room import Room, basis_of, context_of, record_of
from hypothesis import given
from hypothesis import strategies as st

WEAK = Room(health=(1.0, 0.93, 1.0, 0.78), samples=300)


@pytest.fixture(scope="module")
def weak():
    return dossier_of(basis_of(WEAK))


def test_the_weakest_unit_is_first_with_its_minutes_before_the_end_and_its_own_capacity(weak):
    first, second = weak.units[:2]
    assert (first.cell, second.cell) == (4, 2)
    assert first.before_end_s == pytest.approx(weak.duration_s - 0.78 * 36_000.0, abs=40.0)
    assert abs(weak.unit_frac[3] - 0.78) < 0.01
    assert abs(weak.unit_frac[1] - 0.93) < 0.01
    assert weak.weak_cells == (4,)
    assert weak.verdict == "pass_weak_units"
    assert "Cell 4 was first at its end voltage" in " ".join(verdict_sentences(weak))


def test_a_reversed_unit_is_pointed_out():
    dossier = dossier_of(basis_of(Room(cells_per_unit=1, health=(0.6,), samples=200)))
    assert dossier.units[0].reversed
    assert dossier.weak_cells == (1,)
    assert "Reversed below 0 V: cell 1" in " ".join(verdict_sentences(dossier))


def test_charge_energy_spread_and_warmth_are_those_of_the_room(weak):
    assert weak.moved_ah == pytest.approx(10.0 * weak.duration_s / 3600.0, rel=1e-6)
    assert weak.mean_a == pytest.approx(10.0, rel=1e-3)
    assert weak.moved_wh == pytest.approx(weak.mean_w * weak.duration_s / 3600.0, rel=1e-9)
    assert 0.0 < weak.spread.half_v < weak.spread.end_v
    assert weak.warmth.start_degc == pytest.approx(20.0, abs=0.1)
    assert 3.0 <= weak.warmth.largest_rise_k <= 4.2


def test_predictions_stand_beside_what_came(weak):
    bus = [row for row in weak.forecasts if row.target == "dc bus"]
    assert [round(row.at_s / weak.duration_s, 2) for row in bus] == [0.0, 0.26, 0.51, 0.76]
    assert all(row.error_frac == pytest.approx(0.03, abs=0.01) for row in bus)
    early = dossier_of(basis_of(Room(drawn_frac=0.5, samples=200)))
    assert all(row.came_s is None and row.error_frac is None for row in early.forecasts)


def test_earlier_results_are_compared_and_this_one_becomes_one(weak):
    result = result_of(weak)
    later = dossier_of(replace(weak.basis, earlier=(*weak.basis.earlier, result)))
    rows = [block for block in document_of(later).blocks if isinstance(block, Grid) and block.header[0] == "began"]
    assert len(rows[0].rows) == 4
    assert "cell 4" in rows[0].rows[-1]


def test_the_document_has_every_chapter_and_the_hash_on_each_page(weak):
    document = document_of(weak)
    headings = [block.text for block in document.blocks if isinstance(block, Heading)]
    assert headings == [
        "Battery and event", "Course of the string", "Onset", "Units", "Evenness and warmth",
        "Predicted and real runtime", "Earlier discharges of this string", "Quality of the data", "Method", "Integrity",
    ]  # fmt: skip
    assert weak.data_sha256 in document.footer
    assert weak.data_sha256 in document.keywords


def test_csv_files_hold_the_numbers_and_empty_fields_for_what_is_unknown():
    record = record_of(Room(samples=80))
    unit_v = record.unit_v.copy()
    unit_v[:, 4] = np.nan
    dossier = dossier_of(DossierBasis(replace(record, unit_v=unit_v), context_of(Room())))
    texts = csv_files(dossier)
    units = {row["cell"]: row for row in csv.DictReader(io.StringIO(texts["units.csv"]))}
    assert units["5"]["end_v"] == ""
    assert units["5"]["readings"] == "0"
    assert units["5"]["rank"] == "16"
    course = list(csv.DictReader(io.StringIO(texts["course.csv"])))
    assert len(course) == len(record.at_s)
    assert course[20]["unit_v_5"] == ""
    assert float(course[20]["unit_v_6"]) == pytest.approx(float(unit_v[20, 5]), abs=1e-4)
    summary = {row["what"]: row["value"] for row in csv.DictReader(io.StringIO(texts["summary.csv"]))}
    assert summary["data_sha256"] == dossier.data_sha256
    assert summary["unread_cells"] == "5"


def test_the_same_record_gives_the_same_bytes_and_another_one_another_hash(tmp_path):
    basis = basis_of(Room(samples=60, units=4))
    markup = replace(basis.context, site_name="<b>A & B</b> <para>", string_name="<i>")  # is text, and no markup
    basis = replace(basis, context=markup)
    one, two = (write_dossier(basis, tmp_path / name) for name in ("one", "two"))
    for a, b in zip((one.pdf, *one.csv), (two.pdf, *two.csv), strict=True):
        assert a.name == b.name
        assert a.read_bytes() == b.read_bytes()
    other = replace(basis, context=replace(basis.context, rated_ah=101.0))
    assert dossier_of(other).data_sha256 != one.dossier.data_sha256


def test_the_command_makes_a_dossier_in_a_process_of_its_own(tmp_path, capsys):
    path = save_record(tmp_path / "records", basis_of(Room(samples=60, units=4)))
    command = [sys.executable, "-m", "analytics.dossier", str(path), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "TZ": "UTC"})
    assert done.returncode == 0, done.stderr
    pdf = (tmp_path / "out" / f"{path.stem}.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    pages = len(re.findall(rb"/Type /Page\b", pdf))
    assert 4 <= pages <= 6
    path.with_suffix(".npz").write_bytes(b"half")
    assert main([str(path), "--out", str(tmp_path), "--memory-mb", "0"]) == 1
    assert "take both files from the backup" in capsys.readouterr().err


def test_a_document_that_cannot_be_set_says_so():
    grid = Grid(("a",), (("word " * 12_000,),), (1.0,), ("l",))
    with pytest.raises(PaperError, match="cannot be set"):
        pdf_of(Document("title", "", "", "", "", "", (grid,)))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "—"), (float("nan"), "—"), (5.4, "5 s"), (65.0, "1 min 05 s"), (3661.0, "1 h 01 min"), (-30.0, "-30 s")],
)
def test_lengths_of_time(seconds, words):
    assert length(seconds) == words


def test_numbers_have_no_negative_zero():
    assert number(-0.0001, 1, "mV") == "0.0 mV"


def test_an_announced_test_is_named_with_who_led_it():
    named = document_of(dossier_of(basis_of(Room(units=4, samples=60), method="capacity, 3 h", led_by="bms")))
    assert named.subtitle.startswith("Test (capacity, 3 h) of ")
    facts = next(block for block in named.blocks if isinstance(block, Facts))
    assert {("Test", "capacity, 3 h"), ("Led by", "bms")} <= set(facts.pairs)


def texts_of(dossier):
    return [block.text for block in document_of(dossier).blocks if isinstance(block, Text)]


def test_the_paper_says_what_was_never_held_against_measured_cells(weak):
    assert any(text.startswith("Not validated: the charge curves of Lead-acid") for text in texts_of(weak))


def unread(from_s, until_s):
    """Return the basis of an outage in which nobody read for some time."""
    basis = basis_of(Room(units=4, dip_v=0.0))
    t_s = basis.record.at_s - basis.record.began_s
    kept = (t_s <= from_s) | (t_s >= until_s)
    arrays = ("at_s", "discharge_a", "string_v", "ambient_degc", "unit_v", "degc")
    return replace(
        basis,
        record=replace(
            basis.record, **{name: getattr(basis.record, name)[kept] for name in arrays}, missing_s=until_s - from_s
        ),
    )


def test_whether_there_was_a_coup_de_fouet_is_not_known_where_nobody_read():
    (told,) = [text for text in texts_of(dossier_of(unread(5.0, 400.0))) if "coup de fouet" in text]
    assert "is not known: 6 min 3" in told
    assert any(text.startswith("No coup de fouet") for text in texts_of(dossier_of(unread(9000.0, 9900.0))))


def test_energy_is_not_known_where_the_charge_is_not():
    basis = basis_of(Room(units=4))
    lost = replace(basis, record=replace(basis.record, moved_ah=float("nan")))
    assert dossier_of(basis).moved_wh is not None
    assert dossier_of(lost).moved_wh is None


def test_lines_end_where_nobody_read():
    for plot_of in (course_plot, units_plot, evenness_plot):
        for panel in plot_of(dossier_of(unread(9000.0, 9900.0))).panels:
            for line in panel.lines:
                assert np.isnan(line.x).sum() == 1
                assert np.isnan(line.y[np.isnan(line.x)]).all()
        whole = plot_of(dossier_of(basis_of(Room(units=4)))).panels
        assert not any(np.isnan(line.x).any() for panel in whole for line in panel.lines)


@given(steps=st.lists(st.floats(0.1, 5.0), min_size=2, max_size=40), data=st.data())
def test_gaps_are_the_largest_steps_that_make_up_the_time_without_a_scan(steps, data):
    places = data.draw(st.sets(st.integers(0, len(steps) - 1), max_size=3))
    steps = [60.0 + at if at in places else step for at, step in enumerate(steps)]
    t_s = np.concatenate([[0.0], np.cumsum(steps)])
    assert gaps_in(t_s, sum(60.0 + at for at in places)).tolist() == sorted(places)
