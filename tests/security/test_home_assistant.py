"""Home Assistant's way in, as docs/integrators.md tells it: a bridge of its own broker, and its devices."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from getpass import getuser
from pathlib import Path

import orjson
import paho.mqtt.client as mqtt
import pytest
from cellkeeper.cli.main import main
from cellkeeper.contract.channels import CHANNELS, ESTIMATE, MODE, PRESENCE, SUMMARY
from cellkeeper.contract.examples import telemetry_examples
from cellkeeper.contract.home_assistant import discovery
from cellkeeper.contract.payload import Telemetry
from cellkeeper.contract.site_file import load_site
from cellkeeper.contract.wire import encode
from cellkeeper.runtime.broker import free_port
from cellkeeper.site_folder.furnish import load_access
from cellkeeper.site_folder.layout import SiteFolder
from cellkeeper.testing.patience import PATIENCE_S, wait_until
from cellkeeper.testing.real_brokers import Mosquitto
from guarded_site import Outsiders, PlainClient, context_of, secured

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs/integrators.md").read_text("utf-8")
SITE = load_site(Path(__file__).resolve().parents[2] / "examples/site.toml")
SHOWN = (SUMMARY, MODE, ESTIMATE)


def block(kind: str) -> str:
    (found,) = re.findall(rf"^```{kind}\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
    return found


def components() -> list[dict[str, str]]:
    return [each for _, told in discovery(SITE) for each in told["components"].values()]


def test_there_is_one_device_for_each_string_and_no_id_twice():
    told = dict(discovery(SITE))
    assert len(told) == len(SITE.string)
    ids = [each["unique_id"] for each in components()]
    assert len(ids) == len(set(ids)) == 11 * len(told)
    (identifiers,) = {tuple(payload["device"]["identifiers"]) for topic, payload in told.items() if "_s1/" in topic}
    assert identifiers == ("cellkeeper_hh1_s1",)


def test_every_value_is_a_field_of_what_travels_on_its_topic():
    payloads = {channel.name: channel.payload for channel in SHOWN}
    seen = set()
    for each in components():
        (channel,) = [channel for channel in CHANNELS if channel.match(each["state_topic"])]
        payload: type[Telemetry] = payloads[channel.name]
        for path in re.findall(r"value_json\.([a-z_.]+)", each["value_template"]):
            field, _, part = path.partition(".")
            assert field in payload.model_fields, path
            inner = payload.model_fields[field].annotation
            assert not part or part in inner.model_fields, path
        assert PRESENCE.match(each["availability_topic"])
        seen.add(channel.name)
    assert seen == payloads.keys(), "nothing is fetched that nobody shows"
    fetched = re.findall(r"^topic (\S+) in 1$", block("conf"), re.MULTILINE)
    wanted = {channel.topic(site="hh1", string="s1").replace("/s1/", "/+/") for channel in SHOWN}
    assert set(fetched) == wanted | {PRESENCE.topic(site="hh1", service="x").replace("/x", "/+")}


@contextmanager
def home_broker(folder: Path, bridge: str, program: str) -> Iterator[int]:
    """Run the Mosquitto of a house, with this bridge."""
    folder.mkdir()
    port = free_port()
    own = f"user {getuser()}\nlistener {port} 127.0.0.1\nallow_anonymous true\n"  # as who may read this test's files
    (folder / "mosquitto.conf").write_text(own + bridge, "utf-8")
    command = [program, "-c", str(folder / "mosquitto.conf")]
    with (folder / "said").open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as running:
        try:
            yield port
        finally:
            running.terminate()


@contextmanager
def everything_on(port: int) -> Iterator[list[tuple[str, bytes]]]:
    """Give what arrives on a broker of this machine, which may still be starting."""
    found: list[tuple[str, bytes]] = []
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.on_connect = lambda each, *_: each.subscribe("#", 1)
    client.on_message = lambda _c, _d, message: found.append((message.topic, message.payload))
    client.reconnect_delay_set(1, 1)
    client.connect_async("127.0.0.1", port)
    client.loop_start()
    try:
        yield found
    finally:
        client.disconnect()
        client.loop_stop()


def test_strings_come_to_the_broker_of_a_house_and_devices_with_them(
    guarded_site: SiteFolder, newest: Mosquitto, outsiders: Outsiders, tmp_path: Path
):
    access = load_access(guarded_site).broker
    bridge = block("conf").replace("battery-room.example", "localhost").replace("8884", str(access.readers_port))
    bridge = bridge.replace("ca.crt", str(guarded_site.secrets_of("cli") / "ca.crt"))
    bridge = bridge.replace("THE-PASSWORD", outsiders.passwords["scada"])
    summary = telemetry_examples()[SUMMARY.name]
    told = (SUMMARY.topic(site="hh1", string="s1"), encode(summary))
    with ExitStack() as stack:
        stack.enter_context(secured(guarded_site, newest, tmp_path / "run"))
        port = stack.enter_context(home_broker(tmp_path / "house", bridge, newest.program))
        gateway = PlainClient(client_id="gateway")
        gateway.connect(access.services_port, context_of(guarded_site.secrets_of("bus-gateway")))
        arrived = stack.enter_context(everything_on(port))

        def is_there() -> bool:
            gateway.publish_all([told])
            return told in arrived

        wait_until(is_there, "a summary in the house")
        text = block("bash").replace("home-assistant.example", "127.0.0.1").replace("1883", str(port))
        text = text.replace("cellkeeper home-assistant site/site.toml", f"{sys.executable} -m cellkeeper.cli.main "
                            f"home-assistant {guarded_site.site_file}")  # fmt: skip
        subprocess.run(["/bin/bash", "-c", text], check=True, timeout=PATIENCE_S)
        wanted = {(topic, orjson.dumps(payload)) for topic, payload in discovery(load_site(guarded_site.site_file))}
        wait_until(lambda: wanted <= set(arrived), "the devices")
        gateway.close()


def test_lines_that_take_the_devices_away_have_no_payload(capsys: pytest.CaptureFixture[str]):
    file = Path(__file__).resolve().parents[2] / "examples/site.toml"
    assert main(["home-assistant", str(file), "--remove"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"{topic}\t" for topic, _ in discovery(SITE)]
    assert main(["home-assistant", "/nonexistent/site.toml"]) == 1
    assert "site.toml" in capsys.readouterr().err
