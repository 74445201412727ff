"""The service as a process with a real InfluxDB: away at the start, away for long, killed in a loop, on a full disk.

The sender is `test_service.Gateway`: it keeps what is not receipted, as the contract asks of a gateway.
"""

import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cellkeeper.contract.channels import EVENT
from cellkeeper.contract.moment import from_ms
from cellkeeper.contract.notices import Event
from cellkeeper.contract.wire import encode
from cellkeeper.runtime.broker import Broker, free_port, running_broker
from cellkeeper.testing.builders import START_MS
from cellkeeper.testing.influxd import Influxd, missing_influxd
from cellkeeper.testing.machine import peak_memory_kb, small_disk
from historian.recorder import BOX_LIMIT
from historian.stores.influx.provision import plan_for, provision
from historian.stores.influx.server import Target

from .conftest import FOR_EVER
from .test_service import Gateway, Service, stored_seqs, wait

ABSENCE = 200  # scans of each of 16 strings: more than the box holds
WATCHED = Path(__file__).parents[3] / "deploy/influxdb/watched"
pytestmark = [
    pytest.mark.skipif(shutil.which("mosquitto") is None, reason="needs Mosquitto"),
    pytest.mark.timeout(600),
]


class Site:
    """Broker, historian and gateway, and an InfluxDB that is not started and not provisioned yet."""

    def __init__(self, folder: Path, broker: Broker, influxd: Influxd) -> None:
        self.influxd, self.tokens = influxd, folder / "tokens"
        self.gateway = Gateway(broker.port)
        self.service = Service(folder, broker.port)
        self.service.environment |= {
            "CELLKEEPER_STORE": "influx",
            "CELLKEEPER_INFLUX_URL": influxd.url,
            "CELLKEEPER_INFLUX_TOKEN_FILE": str(self.tokens / "historian.token"),
        }

    def provision(self) -> None:
        target = Target(self.influxd.url, "cellkeeper", self.tokens / "historian.token", "cellkeeper")
        for _ in provision(plan_for(target, self.tokens, FOR_EVER)):
            pass

    def begin(self) -> None:
        self.influxd.start()
        self.provision()
        self.service.start()
        self.wait(lambda: "ready" in self.gateway.states, "a historian at work")

    def wait(self, condition, what: str, again=None) -> None:
        wait(condition, what, self.service, again)

    def told(self, *kinds: str) -> list[str]:
        return [kind for kind in self.gateway.events if kind in kinds or (not kinds and kind.startswith("store."))]

    def assert_everything_is_stored_once(self) -> None:
        self.wait(self.gateway.all_receipted, "all receipts", self.gateway.backfill)
        for string in self.gateway.receipts:
            assert stored_seqs(self.service, string) == list(range(1, self.gateway.given + 1))
        assert "scan.lost" not in self.gateway.events

    def close(self) -> None:
        self.service.kill()
        self.gateway.close()
        self.influxd.stop() if self.influxd.wrapper else self.influxd.kill()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    (tmp_path / "broker").mkdir()
    with running_broker(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def site(tmp_path: Path, broker: Broker) -> Iterator[Site]:
    if why := missing_influxd():
        pytest.skip(why)
    made = Site(tmp_path, broker, Influxd(tmp_path / "influxd", free_port()))
    yield made
    made.close()


def test_it_starts_without_a_database_and_goes_on_by_itself_when_there_is_one(site: Site):
    gateway, service = site.gateway, site.service
    service.start()
    site.wait(lambda: "degraded" in gateway.states, "a historian that says so")
    site.wait(service.is_ready, "a page")
    gateway.live(20)
    event = Event(id="e" * 32, at=from_ms(START_MS), service="auth", kind="user.added", severity="info", text="x")
    gateway.client.publish(EVENT.topic(site="hh1", service="auth"), encode(event), qos=1)
    site.wait(lambda: "user.added" in gateway.events, "the event on the bus")
    refused = service.ask("/v1/latest")
    assert refused.status_code == 503
    assert "cellkeeper provision" in refused.json()["detail"]  # no token yet
    site.influxd.start()
    service.kill()  # what waits is in a file, and the second start is no better than the first
    service.start()
    site.wait(service.is_ready, "a page again")
    assert set(gateway.receipts.values()) == {0}, "a receipt for what no database has"
    assert "ready" not in gateway.states
    site.provision()
    site.wait(lambda: gateway.states[-1] == "ready", "a historian at work")
    site.assert_everything_is_stored_once()
    asked = {"start": "2026-01-01T00:00:00Z", "kind": "user.added"}
    site.wait(lambda: len(service.ask("/v1/events", **asked).json()["events"]) == 1, "the event in the log book")
    assert site.told() == ["store.failed", "store.failed", "store.writing_again"], "one for each start, one for the end"
    assert service.stop() == 0


def test_a_database_that_is_killed_again_and_again_loses_and_doubles_nothing(site: Site):
    site.begin()
    over = threading.Event()

    def send() -> None:
        while not over.wait(0.02):
            site.gateway.live(1)

    sending = threading.Thread(target=send)
    sending.start()
    for pause_s in (0.4, 0.05, 0.9):  # into the middle of whatever it does
        time.sleep(pause_s)
        site.influxd.kill()
        time.sleep(0.3)
        site.influxd.start()
    over.set()
    sending.join()
    site.assert_everything_is_stored_once()
    assert site.told().count("store.failed") == site.told().count("store.writing_again") <= 3


def test_an_absence_is_bounded_in_memory_and_caught_up_in_order(site: Site, broker: Broker):
    """A room of 4096 cells for longer than the box holds: an hour is the same, with more that waits at the gateway."""
    site.gateway.close()
    site.gateway = gateway = Gateway(broker.port, [f"s{n}" for n in range(1, 17)], 256)
    site.begin()
    gateway.live(10)
    site.wait(gateway.all_receipted, "receipts", gateway.backfill)
    before_kb = peak_memory_kb(site.service.process.pid)
    site.influxd.kill()
    gateway.live(ABSENCE)
    site.wait(lambda: figure(site.service, "refused_by_box") > 0, "a full box")
    assert figure(site.service, "waiting_scans") <= BOX_LIMIT
    assert max(gateway.receipts.values()) < gateway.given
    site.influxd.start()
    site.assert_everything_is_stored_once()
    assert peak_memory_kb(site.service.process.pid) - before_kb < 200_000
    assert site.told() == ["store.failed", "store.writing_again"]


def figure(service: Service, name: str) -> float:
    lines = service.ask("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"cellkeeper_historian_{name} "))


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Path]:
    """A file system of 96 MB."""
    with small_disk(tmp_path / "small", "96m") as is_mounted:
        if not is_mounted:
            pytest.skip("this machine does not let tests mount")
        yield tmp_path / "small"


def healthy() -> bool:
    return subprocess.run(["/bin/bash", WATCHED, "healthy"], check=False).returncode == 0


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as ballast:
        try:
            while ballast.write(bytes(1 << 16)) > 0:
                pass
        except OSError:
            return


def test_a_full_disk_ends_and_what_it_wedged_is_started_again_without_loss(
    room: Path, site: Site, monkeypatch: pytest.MonkeyPatch
):
    influxd, gateway = site.influxd, site.gateway
    influxd.folder, influxd.wrapper = room / "server", ("/bin/bash", str(WATCHED), "run", str(room))
    told = {"INFLUX_PORT": influxd.port, "WATCH_EVERY_S": 1.5, "WATCH_LOOKS": 3, "WATCH_ROOM_KB": 16_384}
    for name, value in (told | {"WATCH_VERDICT": room.parent / "refuses"}).items():
        monkeypatch.setenv(f"CELLKEEPER_{name}", str(value))
    site.begin()
    gateway.live(20)
    site.wait(gateway.all_receipted, "receipts", gateway.backfill)
    assert healthy()
    fill(room / "ballast")
    gateway.live(20)
    site.wait(lambda: "store.full" in gateway.events, "a full disk that is told")
    site.wait(lambda: not healthy(), "a health check that notices")
    assert not influxd.has_ended(), "a restart helps nobody while there is no room"
    stored = dict(gateway.receipts)
    gateway.live(20)
    (room / "ballast").unlink()
    site.wait(influxd.has_ended, "a wedged server that is ended")
    assert gateway.receipts == stored, "it was wedged: there was room, and no row was taken"
    influxd.start()  # as the engine or systemd does
    site.assert_everything_is_stored_once()
    assert healthy()
    assert site.told() == ["store.full", "store.writing_again"]
    influxd.stop()
