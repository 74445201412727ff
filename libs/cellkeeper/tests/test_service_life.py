"""The life of a service: one instance per folder, words that wait, an end that is said, a page that tells."""

import asyncio
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from cellkeeper.contract.channels import EVENT, PRESENCE
from cellkeeper.runtime.broker import Broker, free_port, running_broker
from cellkeeper.runtime.clock import SystemClock
from cellkeeper.runtime.errors import StartRefusedError
from cellkeeper.runtime.metrics import HealthPage, Metrics
from cellkeeper.runtime.service import MAX_EVENTS_WAITING, only_instance, open_voice, run_until_signal
from cellkeeper.runtime.session import BrokerAddress, Incoming, Session
from cellkeeper.runtime.settings import ServiceSettings
from cellkeeper.testing.patience import PATIENCE_S, until


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with running_broker(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CELLKEEPER_")]:
        monkeypatch.delenv(name)


def test_a_second_instance_is_refused_by_name(tmp_path: Path):
    with only_instance(tmp_path, "bus-gateway"):
        told = rf"'bus-gateway' already runs here \(process {os.getpid()}"
        with pytest.raises(StartRefusedError, match=told), only_instance(tmp_path, "bus-gateway"):
            pytest.fail("two instances at once")
        with only_instance(tmp_path, "bus-gateway-2"):
            pass
    with only_instance(tmp_path, "bus-gateway"):
        pass


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path):
    code = (
        "import sys, time; from pathlib import Path; from cellkeeper.runtime.service import only_instance\n"
        "with only_instance(Path(sys.argv[1]), 'x'): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(StartRefusedError), only_instance(tmp_path, "x"):
            pass
        process.kill()
        process.wait()
    with only_instance(tmp_path, "x"):
        pass


def test_settings_name_the_variable_that_is_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("CELLKEEPER_MQTT_PORT", "70000")
    with pytest.raises(StartRefusedError, match="CELLKEEPER_MQTT_PORT"):
        ServiceSettings.from_environment(service="x")
    monkeypatch.setenv("CELLKEEPER_MQTT_PORT", "1999")
    monkeypatch.setenv("CELLKEEPER_SERVICE", "Bad Name")
    with pytest.raises(StartRefusedError, match="CELLKEEPER_SERVICE"):
        ServiceSettings.from_environment(service="x")
    monkeypatch.setenv("CELLKEEPER_SERVICE", "bus-gateway-2")
    monkeypatch.setenv("CELLKEEPER_CLOCK", "nonsense")
    settings = ServiceSettings.from_environment(service="x")
    assert (settings.service, settings.mqtt_port) == ("bus-gateway-2", 1999)
    with pytest.raises(StartRefusedError, match="CELLKEEPER_CLOCK"):
        settings.make_clock()
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(StartRefusedError, match="CELLKEEPER_STATE_DIR"):
        settings.model_copy(update={"state_dir": blocked}).own_dir()


def test_the_page_tells_health_readiness_and_metrics():
    metrics = Metrics()
    metrics.counter("scans", "scans seen").inc(3)
    ready = [False]

    def ask(path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{page.port}{path}", timeout=PATIENCE_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as exc:
            with exc:
                return exc.code, exc.read().decode()

    with HealthPage(metrics, lambda: ready[0], 0) as page:
        assert ask("/healthz") == (200, "alive\n")
        assert ask("/readyz")[0] == 503
        ready[0] = True
        assert ask("/readyz") == (200, "ready\n")
        status, text = ask("/metrics")
        assert status == 200
        assert "cellkeeper_scans_total 3.0" in text
        assert ask("/etc/passwd")[0] == 404
        with pytest.raises(StartRefusedError, match="another CELLKEEPER_HTTP_PORT"):
            HealthPage(metrics, lambda: True, page.port)


async def test_events_wait_for_the_broker_bounded_and_the_end_is_said(broker: Broker):
    seen: list[Incoming] = []
    reader = Session(address=BrokerAddress("127.0.0.1", broker.port), client_id="life-reader")
    reader.subscribe(EVENT.filter(site="hh1"), seen.append)
    reader.subscribe(PRESENCE.filter(site="hh1"), seen.append)
    settings = ServiceSettings(service="historian", mqtt_port=broker.port)
    voice = open_voice(settings, "hh1", SystemClock())
    for number in range(MAX_EVENTS_WAITING + 20):
        voice.event("test.said", "info", f"{number}")
    assert voice.dropped_events == 20
    reading = asyncio.create_task(reader.run())

    async def work() -> None:
        voice.be("ready")
        await until(lambda: len(seen) > MAX_EVENTS_WAITING)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(PATIENCE_S)

    await until(lambda: reader.is_up)
    async with asyncio.timeout(PATIENCE_S):
        await run_until_signal(voice, work)
    await until(lambda: b'"gone"' in seen[-1].payload)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    said = [orjson.loads(message.payload)["text"] for message in seen if "/event/" in message.topic]
    assert said == [str(number) for number in range(20, MAX_EVENTS_WAITING + 20)]
    assert orjson.loads(seen[-1].payload)["why"] == "stopped"


def test_a_free_port_is_the_wanted_one_or_the_next(broker: Broker):
    assert free_port(broker.port) > broker.port
    assert free_port() > 0
