"""Every board is sound: what it asks exists in the storage table, and Grafana can read it."""

import json
import re
from pathlib import Path

import pytest
from cellkeeper.contract.series import LOG, MEASUREMENTS, STATISTICS, TIERS, tier_field
from dashboards.boards import ALL, uids
from dashboards.drawing import DATA_SOURCE, drawn
from dashboards.errors import QuestionImpossibleError
from dashboards.files import board_files
from dashboards.palette import OKABE_ITO
from dashboards.queries import Question, column, queries
from dashboards.shown import shown

ROOT = Path(__file__).resolve().parents[2]
BUILT_IN = {"__to", "__from", "__interval", "__url_time_range", "__data", "timeFilter", "col"}
BOARDS = {board.uid: drawn(board) for board in ALL}


def stored_names(source: str, measurement: str) -> set[str]:
    """Fields and tags that a bucket holds of a measurement, from the storage table alone."""
    (found,) = (each for each in MEASUREMENTS if each.name == measurement)
    tags = {*found.tags, "time"}
    if source in {tier.name for tier in TIERS}:
        return tags | {tier_field(field, each) for field in found.fields if field.tiered for each in STATISTICS}
    assert source in {"full", LOG}
    return tags | {field.stored for field in found.fields}


def texts(node: object) -> list[str]:
    """All texts of a JSON tree."""
    if isinstance(node, str):
        return [node]
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return [text for child in children for text in texts(child)]


def all_queries(board: dict) -> list[str]:
    targets = [target["query"] for panel in board["panels"] for target in panel["targets"]]
    return targets + [mark["target"]["query"] for mark in board["annotations"]["list"]]


@pytest.mark.parametrize("uid", BOARDS)
def test_every_query_asks_for_what_the_storage_table_has(uid):
    asked = all_queries(BOARDS[uid])
    assert len(asked) > 10
    for text in asked:
        read = re.fullmatch(r'SELECT (?P<what>.+) FROM "(?P<source>\w+)"\."(?P<name>\w+)" (?P<rest>WHERE .+)', text)
        assert read is not None, text
        what = re.sub(r' AS "\w+"', "", read["what"])
        named = set(re.findall(r'"(\w+)"', what)) | set(re.findall(r'"(\w+)" (?:=|!=|=~) ', read["rest"]))
        grouped = re.search(r"GROUP BY (.*?)(?: fill| ORDER|$)", read["rest"])
        named |= set(re.findall(r'"(\w+)"', grouped[1])) if grouped else set()
        assert named, text
        assert named <= stored_names(read["source"], read["name"]), text


@pytest.mark.parametrize("uid", BOARDS)
def test_grafana_can_read_it(uid):
    board = BOARDS[uid]
    assert board["schemaVersion"] == 41
    assert board["uid"] == uid
    assert len(uid) <= 40
    titles = [panel["title"] for panel in board["panels"]]
    assert len(set(titles)) == len(titles)
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in board["panels"]:
        assert panel["type"] in {"timeseries", "stat", "table", "heatmap", "state-timeline"}
        assert panel["datasource"] == {"type": "influxdb", "uid": DATA_SOURCE}
        refs = [target["refId"] for target in panel["targets"]]
        assert len(set(refs)) == len(refs) > 0
        assert all(target["rawQuery"] and target["datasource"]["uid"] == DATA_SOURCE for target in panel["targets"])


@pytest.mark.parametrize("uid", BOARDS)
def test_panels_do_not_lie_on_each_other(uid):
    taken: set[tuple[int, int]] = set()
    for panel in BOARDS[uid]["panels"]:
        at = panel["gridPos"]
        squares = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not squares & taken, panel["title"]
        taken |= squares


@pytest.mark.parametrize("uid", BOARDS)
def test_no_variable_dangles(uid):
    board = BOARDS[uid]
    has = {variable["name"] for variable in board["templating"]["list"]}
    used = {name for text in texts(board) for name in re.findall(r"\$\{?(\w+)", text)}
    unknown = {name for name in used - has - BUILT_IN if not name.startswith("tag_")}
    assert unknown == set()
    assert has - used == set()


def links(board: dict) -> list[str]:
    return [link["url"] for panel in board["panels"] for link in panel["fieldConfig"]["defaults"].get("links", ())]


def test_links_lead_to_boards_and_set_all_that_they_need():
    for uid, board in BOARDS.items():
        for url in links(board):
            target = re.match(r"/d/([\w-]+)\?", url)[1]
            needed = {each["name"] for each in BOARDS[target]["templating"]["list"]} - {"tier"}
            assert set(re.findall(r"var-(\w+)=", url)) == needed, (uid, url)
            assert "${__url_time_range}" in url


def test_a_cell_is_two_clicks_from_the_overview():
    first = {re.match(r"/d/([\w-]+)", url)[1] for url in links(BOARDS[uids.OVERVIEW])}
    second = {re.match(r"/d/([\w-]+)", url)[1] for uid in first for url in links(BOARDS[uid])}
    assert uids.CELL in second


def test_a_column_of_a_clicked_row_is_there_when_the_link_needs_it():
    for board in BOARDS.values():
        for panel in board["panels"]:
            for link in panel["fieldConfig"]["defaults"].get("links", ()):
                for name in re.findall(r"\$\{__data\.fields\.(\w+)\}", link["url"]):
                    assert f'"{name}"' in panel["targets"][0]["query"].split("GROUP BY")[1]
                    kept = [s for s in panel.get("transformations", ()) if s["id"] == "filterFieldsByName"]
                    assert all(name in step["options"]["include"]["names"] for step in kept)


def test_every_colour_is_one_that_all_people_can_tell_apart():
    found = {colour for board in BOARDS.values() for colour in re.findall(r"#[0-9A-Fa-f]{6}", json.dumps(board))}
    assert found <= OKABE_ITO
    named = {name for board in BOARDS.values() for name in re.findall(r'"color": "([a-z-]+)"', json.dumps(board))}
    assert named == set()


def test_units_and_decimals_come_from_the_table():
    for board in ALL:
        for panel, model in zip(board.panels, BOARDS[board.uid]["panels"], strict=True):
            if model["type"] == "timeseries":
                own = panel.questions[0].columns[0].shown
                defaults = model["fieldConfig"]["defaults"]
                assert (defaults["unit"], defaults["decimals"]) == (own.unit, own.decimals)
    volts, ohms = (MEASUREMENTS[0].field(name) for name in ("cell_v", "r_ohm"))
    assert (shown(volts).unit, shown(volts).decimals) == ("suffix:V", volts.decimals)
    assert (shown(ohms).unit, shown(ohms).decimals, shown(ohms).factor) == ("suffix:mΩ", ohms.decimals - 3, 1000)


def test_a_question_that_no_tier_can_answer_is_refused():
    cell = MEASUREMENTS[0]
    with pytest.raises(QuestionImpossibleError):
        queries(Question(cell, (column(cell.field("status"), "mean"),), "steps", tiers=TIERS))
    with pytest.raises(QuestionImpossibleError):
        queries(Question(cell, (column(cell.field("degc"), "mean"),), "steps", by=("rule",)))


def test_a_zero_that_the_full_tier_leaves_out_is_never_averaged():
    bleed = MEASUREMENTS[0].field("bleed_frac")
    sources = [query.source for query in queries(Question(MEASUREMENTS[0], (column(bleed, "mean"),), "steps"))]
    assert sources == [tier.name for tier in TIERS]


def test_the_files_are_those_of_the_tables():
    folder = ROOT / "dashboards" / "generated"
    assert {path.name: path.read_bytes() for path in folder.glob("*.json")} == board_files()
