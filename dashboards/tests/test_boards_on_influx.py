"""Every query of every panel, asked of a real InfluxDB that our own store filled, as Grafana asks it."""

import pytest
from cellkeeper.contract.moment import format_ms
from cellkeeper.contract.series import DAY_MS, LOG
from dashboards.boards import ALL
from dashboards.drawing import drawn
from dashboards.errors import DatabaseAwayError
from dashboards.files import board_files
from dashboards.main import app
from dashboards.rehearsal import InfluxQuestioner, all_asked, filled_in, rehearse
from dashboards.tier_rule import View, chosen
from typer.testing import CliRunner

HOUR_MS = 3_600_000


def view_of(filled, length_ms: int) -> View:
    return View(filled.end_ms - length_ms, filled.end_ms, filled.end_ms)


def answers(filled, view: View) -> dict[tuple[str, str, str], set[str]]:
    """Which tiers answer each question of each panel."""
    found: dict[tuple[str, str, str], set[str]] = {}
    for asked in all_asked(ALL, view, filled.chosen):
        key = (asked.board.title, asked.panel.title, str(asked.panel.questions.index(asked.question)))
        rows = filled.questioner.ask(asked.text).rows
        found.setdefault(key, set()).update({asked.query.source} if rows else ())
    return found


def expected(view: View) -> dict[tuple[str, str, str], set[str]]:
    told = {}
    for board in ALL:
        for panel in board.panels:
            for at, question in enumerate(panel.questions):
                source = LOG if question.log else chosen(question.scope, question.sources(), view).name
                told[board.title, panel.title, str(at)] = {source}
    return told


@pytest.mark.parametrize("length_ms", [HOUR_MS, 3 * HOUR_MS, 2 * DAY_MS, 30 * DAY_MS], ids=["1h", "3h", "2d", "30d"])
def test_every_question_is_answered_by_the_tier_of_its_range_and_no_other(filled, length_ms):
    view = view_of(filled, length_ms)
    assert answers(filled, view) == expected(view)


def test_every_variable_and_every_mark_has_values(filled):
    view = view_of(filled, 2 * DAY_MS)
    wanted = {"site": {"hh1"}, "string": {"s1", "s2"}, "cell": {str(n + 1) for n in range(filled.cells)}}
    for board in ALL:
        model = drawn(board)
        for variable in model["templating"]["list"]:
            if variable["type"] == "query":
                answer = filled.questioner.ask(filled_in(variable["query"], view, filled.chosen))
                assert {value for _, value in answer.series[0]["values"]} == wanted[variable["name"]]
        for mark in model["annotations"]["list"]:
            answer = filled.questioner.ask(filled_in(mark["target"]["query"], view, filled.chosen))
            columns = answer.series[0]["columns"]
            assert {mark["target"]["textColumn"], mark["target"]["titleColumn"], mark["target"]["tagsColumn"]} < set(
                columns
            )
            assert answer.rows == 6


def test_values_are_in_the_units_that_panels_name(filled):
    view = view_of(filled, HOUR_MS)
    seen = {}
    for asked in all_asked(ALL, view, filled.chosen):
        for series in filled.questioner.ask(asked.text).series:
            for name, value in zip(series["columns"], series["values"][-1], strict=True):
                seen[asked.board.uid, asked.panel.title, name, series.get("tags", {}).get("cell", "")] = value
    assert seen["cellkeeper-cell", "Voltage", "cell_v", "2"] == pytest.approx(2.26)
    assert seen["cellkeeper-cell", "Bleed duty", "bleed_frac", "2"] == 0.5
    assert seen["cellkeeper-cell", "Impedance", "r_ohm", "2"] == pytest.approx(0.3)  # milliohms
    assert seen["cellkeeper-balancing", "Spread", "never bled", ""] == pytest.approx(60.0)  # millivolts
    assert seen["cellkeeper-balancing", "Halves in", "half_life_s", ""] == 11_500
    assert seen["cellkeeper-balancing", "Charge moved", "moved_ah", ""] == pytest.approx(0.43)
    assert seen["cellkeeper-balancing", "Bleed duty", "mean", "2"] == 0.5
    assert seen["cellkeeper-balancing", "Phase, and why nothing is bled", "phase", ""] == "float"
    assert seen["cellkeeper-balancing", "Phase, and why nothing is bled", "inhibit", ""] == ""
    assert seen["cellkeeper-balancing", "Highest and lowest against the mean", "lowest", ""] < -20.0
    assert seen["cellkeeper-estimates", "Mode", "mode", ""] == "float"
    assert seen["cellkeeper-estimates", "Charge of the emptiest cell", "estimate", ""] == pytest.approx(0.887)
    assert seen["cellkeeper-estimates", "Charge of the emptiest cell", "lower", ""] == pytest.approx(0.859)
    assert seen["cellkeeper-estimates", "Predicted runtime", "weakest cell", ""] == 460.0
    assert seen["cellkeeper-estimates", "Emptiest cells", "missing", "2"] == pytest.approx(0.113)
    assert seen["cellkeeper-estimates", "Impedance of each cell", "r_own_frac", "2"] == pytest.approx(1.31)
    assert seen["cellkeeper-string", "Voltage", "string_v", ""] == 13.5
    assert seen["cellkeeper-string", "Room", "ambient_degc", ""] == 21.5
    assert seen["cellkeeper-string", "Worst ten", "mean", ""] == pytest.approx(2.275, abs=0.005)
    assert seen["cellkeeper-overview", "Spread of cells", "spread", ""] == pytest.approx(
        20.0
    )  # millivolts, newest string


def test_a_cell_tells_only_its_own_story(filled):
    view = view_of(filled, 2 * DAY_MS)
    rows = {}
    for cell in ("2", "22", "3"):
        for asked in all_asked(ALL, view, {**filled.chosen, "cell": cell}):
            if (asked.board.uid, asked.panel.title) == ("cellkeeper-cell", "Story"):
                rows[cell] = filled.questioner.ask(asked.text).rows
    assert rows == {"2": 2, "22": 0, "3": 0}


def test_rehearsing_says_which_panel_has_no_data(filled):
    nothing = {**filled.chosen, "string": "nowhere"}
    told = {
        (asked.board.uid, asked.panel.title): answer.rows
        for asked, answer in rehearse(ALL, view_of(filled, HOUR_MS), nothing, filled.questioner)
    }
    assert told["cellkeeper-cell", "Voltage"] == 0
    assert told["cellkeeper-overview", "Voltage"] == 2


def test_what_influxdb_refuses_is_told_with_its_words(filled):
    with pytest.raises(DatabaseAwayError, match="refuses"):
        filled.questioner.ask('SELECT 1 FROM "cell"')
    with (
        InfluxQuestioner("http://127.0.0.1:9", "cellkeeper", "x") as nobody,
        pytest.raises(DatabaseAwayError, match="does not answer"),
    ):
        nobody.ask("SHOW DATABASES")


def test_the_command_tells_every_panel(filled, tmp_path):
    token = tmp_path / "token"
    token.write_text(filled.token + "\n")
    site = ["--site", "hh1", "--string", "s1", "--cell", "2", "--hours", "48", "--until", format_ms(filled.end_ms)]
    result = CliRunner().invoke(app, ["check", "--url", filled.url, "--token-file", str(token), *site])
    assert result.exit_code == 0, result.output
    told = result.output.splitlines()
    assert len(told) == sum(len(board.panels) for board in ALL)
    assert all(" rows in " in line for line in told), result.output
    token.write_text("wrong\n")
    refused = CliRunner().invoke(app, ["check", "--url", filled.url, "--token-file", str(token), *site])
    assert "does not take the token" in str(refused.exception)


def test_the_command_refuses_an_end_that_is_no_instant(filled, tmp_path):
    (tmp_path / "token").write_text(filled.token)
    where = ["--url", filled.url, "--token-file", str(tmp_path / "token"), "--site", "hh1", "--string", "s1"]
    result = CliRunner().invoke(app, ["check", *where, "--until", "yesterday"])
    assert "is not an instant like" in str(result.exception)


def test_boards_are_written_as_files(tmp_path):
    assert CliRunner().invoke(app, ["write", str(tmp_path / "boards")]).exit_code == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "boards").iterdir()} == board_files()
