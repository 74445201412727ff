"""The service as a process, a real broker between: scans in, receipts out, kill -9 in the middle, questions by HTTP."""

import csv
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random

import httpx
import paho.mqtt.client as mqtt
import pytest
import typer
from cellkeeper.contract.channels import BACKFILL, BALANCE, ESTIMATE, EVENT, MODE, PRESENCE, SCAN, STORED
from cellkeeper.contract.scan_columns import encode_scan
from cellkeeper.contract.wire import encode
from cellkeeper.runtime.broker import Broker, free_port, running_broker
from cellkeeper.testing.builders import balance_of, estimate_of, mode_of, scan_of
from cellkeeper.testing.patience import PATIENCE_S
from cellkeeper.testing.suite import site_text
from historian import commands
from typer.testing import CliRunner

ROUNDS = 3
BACKFILL_AT_ONCE = 80  # scans of a string
STRINGS = ("s1", "s2")

pytestmark = pytest.mark.skipif(shutil.which("mosquitto") is None, reason="needs Mosquitto")


class Gateway:
    """Sends scans and keeps them until the receipt covers them, as the contract asks of a gateway."""

    def __init__(self, port: int, strings: Sequence[str] = STRINGS, cells: int = 6) -> None:
        self.lock, self.cells = threading.Lock(), cells
        self.receipts: dict[str, int] = dict.fromkeys(strings, 0)
        self.states: list[str] = []
        self.events: list[str] = []
        self.given = 0
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self.client.on_message = self._take
        topics = [STORED.filter(site="hh1"), PRESENCE.filter(site="hh1"), EVENT.filter(site="hh1")]
        self.client.on_connect = lambda client, *_: client.subscribe([(topic, 1) for topic in topics])
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def _take(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        if not message.payload:
            return
        body = json.loads(message.payload)
        with self.lock:
            if STORED.match(message.topic):
                assert body["seq"] <= self.given, "a receipt for a scan that was never sent"
                self.receipts[body["string"]] = max(self.receipts[body["string"]], body["seq"])
            elif PRESENCE.match(message.topic):
                self.states.append(body["state"])
            else:
                self.events.append(body["kind"])

    def live(self, count: int, first_ms: int | None = None) -> None:
        for _ in range(count):
            self.given += 1
            for string in self.receipts:
                self._send(SCAN, string, self.given, first_ms)

    def backfill(self) -> None:
        for string, stored in self.receipts.items():
            for seq in range(stored + 1, min(self.given, stored + BACKFILL_AT_ONCE) + 1):
                self._send(BACKFILL, string, seq)

    def _send(self, channel: object, string: str, seq: int, at_ms: int | None = None) -> None:
        scan = scan_of(self.cells, seq, string=string, measured_ms=at_ms or 1_600_000_000_000 + 1000 * seq)
        self.client.publish(channel.topic(site="hh1", string=string), encode_scan(scan), qos=1)

    def all_receipted(self) -> bool:
        return all(seq == self.given for seq in self.receipts.values())

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


class Service:
    """`python -m historian` as a child."""

    def __init__(self, folder: Path, broker_port: int) -> None:
        self.folder, self.http_port = folder, free_port()
        (folder / "site.toml").write_text(site_text(folder, strings=2, cells=6), "utf-8")
        told = {
            "SERVICE": "historian",
            "SITE_FILE": str(folder / "site.toml"),
            "STATE_DIR": str(folder / "state"),
            "MQTT_PORT": str(broker_port),
            "HTTP_PORT": str(self.http_port),
            "RESERVE_MB": "0",
        }
        self.environment = os.environ | {f"CELLKEEPER_{name}": value for name, value in told.items()}
        self.process: subprocess.Popen[bytes] | None = None

    def replace_cell(self, cell: int) -> None:
        site = self.folder / "site.toml"
        life = f"[string.life]\n{cell} = 2\n[[string.modules]]"
        site.write_text(site.read_text("utf-8").replace("[[string.modules]]", life), "utf-8")

    def start(self) -> None:
        with (self.folder / "historian.log").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "historian"], env=self.environment, stdout=output, stderr=output
            )

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(PATIENCE_S)

    def ask(self, path: str, **asked: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.http_port}{path}", params=asked, timeout=PATIENCE_S)

    def is_ready(self) -> bool:
        try:
            return self.ask("/readyz").status_code == 200
        except httpx.TransportError:
            return False


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    (tmp_path / "broker").mkdir()
    with running_broker(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def service(tmp_path: Path, broker: Broker) -> Iterator[Service]:
    child = Service(tmp_path, broker.port)
    yield child
    child.kill()


@pytest.fixture
def gateway(broker: Broker) -> Iterator[Gateway]:
    sender = Gateway(broker.port)
    yield sender
    sender.close()


def wait(condition: Callable[[], bool], what: str, service: Service, again: Callable[[], None] | None = None) -> None:
    end_s = time.monotonic() + PATIENCE_S
    asked_s = time.monotonic()
    while not condition():
        said = (service.folder / "historian.log").read_text("utf-8", "replace")[-2000:]
        assert time.monotonic() < end_s, f"not within {PATIENCE_S} s: {what}\n{said}"
        time.sleep(0.02)
        if again is not None and time.monotonic() - asked_s > 1.0:
            again()
            asked_s = time.monotonic()


def stored_seqs(service: Service, string: str) -> list[int]:
    answer = service.ask(f"/v1/strings/{string}/string", start="2020-09-13T00:00:00Z", end="2020-09-15T00:00:00Z")
    return answer.json()["columns"]["seq"]


def test_every_scan_is_stored_once_whatever_is_killed(service: Service, gateway: Gateway):
    rng = Random(7)
    for _ in range(ROUNDS):
        service.start()
        wait(service.is_ready, "ready", service)
        gateway.live(rng.randrange(20, 60))
        time.sleep(rng.random() * 0.1)  # a random moment of a real process is what this test is about
        service.kill()
    service.start()
    wait(gateway.all_receipted, "all receipts", service, gateway.backfill)
    wait(service.is_ready, "ready", service)
    for string in STRINGS:
        assert stored_seqs(service, string) == list(range(1, gateway.given + 1))
    assert service.ask("/v1/latest").json()["scans"][0]["seq"] == gateway.given
    assert "cellkeeper_historian_rows" in service.ask("/metrics").text
    assert "scan.lost" not in gateway.events
    assert service.stop() == 0
    wait(lambda: gateway.states[-1] == "gone", "goodbye", service)
    assert "ready" in gateway.states


def test_receipts_stand_after_a_restart_and_a_new_life_begins_with_it(
    service: Service, gateway: Gateway, tmp_path: Path
):
    service.start()
    wait(service.is_ready, "ready", service)
    gateway.live(5)
    wait(gateway.all_receipted, "receipts", service)
    service.kill()
    with gateway.lock:
        gateway.receipts = dict.fromkeys(STRINGS, 0)
    service.replace_cell(4)
    service.start()
    wait(gateway.all_receipted, "receipts again", service)
    wait(lambda: "cell.new_life" in gateway.events, "an entry in the log book", service)
    gateway.live(1, first_ms=time.time_ns() // 1_000_000)
    wait(gateway.all_receipted, "a receipt", service)
    wait(service.is_ready, "ready", service)
    asked = {"start": "2020-09-13T00:00:00Z", "end": "2099-01-01T00:00:00Z"}
    columns = service.ask("/v1/strings/s1/cell", **asked).json()["columns"]
    lives = [life for cell, life in zip(columns["cell"], columns["life"], strict=True) if cell == 4]
    assert lives == [1] * 5 + [2]
    assert sum(service.ask("/v1/strings/s1/cells/4", **asked).json()["columns"]["n_good"]) == 6
    app = typer.Typer()
    app.command()(commands.export)
    url = f"http://127.0.0.1:{service.http_port}"
    told = [f"--{name}={value}" for name, value in (asked | {"string": "s1", "out": str(tmp_path), "url": url}).items()]
    assert CliRunner().invoke(app, told).exit_code == 0
    rows = list(csv.DictReader((tmp_path / "s1-cell-full.csv").read_text("utf-8").splitlines()))
    assert [row["life"] for row in rows if row["cell"] == "4"] == ["1"] * 5 + ["2"]
    assert {row["life"] for row in rows if row["cell"] != "4"} == {"1"}


def test_balancing_is_stored_as_it_was_told(service: Service, gateway: Gateway):
    def tell(string: str, at_s: int, **changes: object) -> None:
        payload = encode(balance_of(1_600_000_000_000 + 1000 * at_s, string=string, **changes))
        gateway.client.publish(BALANCE.topic(site="hh1", string="s1"), payload, qos=1, retain=True)

    tell("s1", 0)  # retained from before the start
    service.start()
    wait(service.is_ready, "ready", service)
    gateway.live(2)
    wait(gateway.all_receipted, "receipts", service)
    tell("s2", 5)  # on the topic of another string
    for at_s in (0, 10, 20, 30):
        tell("s1", at_s, is_milestone=at_s == 20)
    asked = {"start": "2020-09-13T00:00:00Z", "end": "2020-09-15T00:00:00Z"}
    wait(lambda: service.ask("/v1/strings/s1/balance", **asked).json()["rows"] == 2, "two states", service)
    (whole,) = service.ask("/v1/strings/s1/balance/milestones", **asked).json()["states"]
    assert whole["measured_at"] == "2020-09-13T12:27:00.000Z"
    assert whole["duty_frac"] == [0.62, 0.0, 0.0]
    assert service.ask("/v1/strings/s2/balance", **asked).json()["rows"] == 0
    assert "cellkeeper_historian_refused_messages 1.0" in service.ask("/metrics").text


def test_mode_and_estimates_are_stored_with_the_lives_of_their_units(service: Service, gateway: Gateway):
    at_ms = 1_600_000_000_000
    client, topic = gateway.client, ESTIMATE.topic(site="hh1", string="s1")
    service.start()
    wait(service.is_ready, "ready", service)
    gateway.live(2)
    wait(gateway.all_receipted, "receipts", service)
    client.publish(MODE.topic(site="hh1", string="s1"), encode(mode_of(at_ms, mode="discharge")), qos=1, retain=True)
    client.publish(topic, encode(estimate_of(at_ms, string="s2")), qos=1)  # on the topic of another string
    client.publish(topic, b"", qos=1, retain=True)
    for at_s in (0, 10, 20, 60):
        client.publish(topic, encode(estimate_of(at_ms + 1000 * at_s)), qos=1, retain=True)
    asked = {"start": "2020-09-13T00:00:00Z", "end": "2020-09-15T00:00:00Z"}
    wait(lambda: service.ask("/v1/strings/s1/estimates", **asked).json()["rows"] == 2, "two estimates", service)
    units = service.ask("/v1/strings/s1/estimates", **asked, units="true").json()["columns"]
    assert (units["cell"], units["life"], units["soc_frac"]) == ([1, 2, 3], [1, 1, 1], [0.913, 0.887, None])
    assert service.ask("/v1/strings/s1/mode", **asked).json()["columns"]["mode"] == ["discharge"]
    assert "cellkeeper_historian_refused_messages 1.0" in service.ask("/metrics").text


def test_the_service_refuses_a_taken_port_and_a_second_of_itself(service: Service, tmp_path: Path):
    service.start()
    wait(service.is_ready, "ready", service)
    other = service.environment | {"CELLKEEPER_SERVICE": "historian-2"}
    second, taken = (
        subprocess.Popen([sys.executable, "-m", "historian"], env=environment, stderr=subprocess.PIPE)
        for environment in (service.environment, other)
    )
    assert b"already runs here" in second.communicate(timeout=PATIENCE_S)[1]
    last_line = taken.communicate(timeout=PATIENCE_S)[1].splitlines()[-1]
    assert last_line.startswith(b"historian: port ")
    assert b"is taken" in last_line
    assert (second.returncode, taken.returncode) == (1, 1)
