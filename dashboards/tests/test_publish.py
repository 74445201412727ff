"""Pushing boards, over real HTTP to a stand-in that keeps the part of Grafana's API that is used."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from dashboards.boards import ALL
from dashboards.drawing import DATA_SOURCE, drawn
from dashboards.errors import GrafanaAwayError, GrafanaRefusedError
from dashboards.main import app
from dashboards.publish import publish
from typer.testing import CliRunner

BOARDS = [drawn(board) for board in ALL]


class Desk(ThreadingHTTPServer):
    """What was put into the stand-in."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folders: dict[str, str] = {}
        self.boards: dict[str, dict] = {}
        self.source_type = "influxdb"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/grafana"


class Handler(BaseHTTPRequestHandler):
    server: Desk

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, body: object) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def refused(self) -> bool:
        if self.headers["Authorization"] == "Bearer right":
            return False
        self.answer(401, {"message": "Unauthorized"})
        return True

    def do_GET(self) -> None:
        if self.refused():
            return
        match self.path.removeprefix("/grafana/api/").split("/"):
            case ["datasources", "uid", uid] if uid == DATA_SOURCE:
                self.answer(200, {"uid": uid, "type": self.server.source_type})
            case ["folders", uid] if uid in self.server.folders:
                self.answer(200, {"uid": uid, "title": self.server.folders[uid]})
            case _:
                self.answer(404, {"message": "not found"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.refused():
            return
        match self.path.removeprefix("/grafana/api/"):
            case "folders":
                self.server.folders[body["uid"]] = body["title"]
                self.answer(200, body)
            case "dashboards/db" if body["folderUid"] in self.server.folders and body["overwrite"]:
                self.server.boards[body["dashboard"]["uid"]] = body["dashboard"]
                self.answer(200, {"status": "success"})
            case _:
                self.answer(400, {"message": "bad"})


@pytest.fixture
def desk() -> Iterator[Desk]:
    with Desk() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_all_boards_arrive_and_a_second_push_replaces_them(desk):
    first = list(publish(desk.url, "right", "Battery room", DATA_SOURCE, BOARDS))
    assert desk.folders == {"cellkeeper": "Battery room"}
    assert list(desk.boards.values()) == BOARDS
    assert len(first) == 1 + len(BOARDS)
    assert len(list(publish(desk.url + "/", "right", "Another", DATA_SOURCE, BOARDS))) == len(BOARDS)
    assert desk.folders == {"cellkeeper": "Battery room"}


@pytest.mark.parametrize(
    ("token", "source", "kind", "said"),
    [
        ("wrong", DATA_SOURCE, "influxdb", "does not know the token"),
        ("right", "elsewhere", "influxdb", "no data source elsewhere"),
        ("right", DATA_SOURCE, "prometheus", "is prometheus, not influxdb"),
    ],
)
def test_what_grafana_refuses_is_said_before_anything_is_pushed(desk, token, source, kind, said):
    desk.source_type = kind
    with pytest.raises(GrafanaRefusedError, match=said):
        list(publish(desk.url, token, "Cellkeeper", source, BOARDS))
    assert desk.boards == {}


def test_a_grafana_that_is_away_is_told():
    with pytest.raises(GrafanaAwayError, match="correct --url"):
        list(publish("http://127.0.0.1:9", "right", "Cellkeeper", DATA_SOURCE, BOARDS))


def test_the_command_takes_the_token_from_a_file(desk, tmp_path):
    token = tmp_path / "token"
    token.write_text("right\n")
    result = CliRunner().invoke(app, ["push", "--url", desk.url, "--token-file", str(token)])
    assert result.exit_code == 0, result.output
    assert set(desk.boards) == {board.uid for board in ALL}


def test_another_data_source_is_named_in_every_panel():
    text = json.dumps(drawn(ALL[0], "theirs"))
    assert DATA_SOURCE not in text
    assert '"uid": "theirs"' in text
