"""docs/integrators.md: its examples are copied and run against a real broker with the site's policy."""

import re
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import orjson
import pyarrow as pa
import pytest
import yaml
from cellkeeper.contract.channels import CELL, CHANNELS, DCBUS, PRESENCE, SCAN, SUMMARY, Channel
from cellkeeper.contract.examples import telemetry_examples
from cellkeeper.contract.moment import to_ms
from cellkeeper.contract.physical import WITHOUT_VALUE, Quality
from cellkeeper.contract.telemetry import StringSummary
from cellkeeper.contract.wire import encode
from cellkeeper.runtime.broker import free_port
from cellkeeper.site_folder.furnish import load_access
from cellkeeper.site_folder.layout import SiteFolder
from cellkeeper.testing.influxd import missing_influxd, running_influxd
from cellkeeper.testing.patience import PATIENCE_S
from cellkeeper.testing.real_brokers import Mosquitto
from cellkeeper.testing.real_tools import find_node_red, find_telegraf
from guarded_site import Outsiders, PlainClient, context_of, secured
from historian.stores.influx.provision import plan_for, provision
from historian.stores.influx.server import Server, Target

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs/integrators.md").read_text("utf-8")
IDS = {"site": "hh1", "string": "s1", "cell": 17, "dcbus": "ups1"}


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)


@pytest.fixture
def room(guarded_site: SiteFolder, newest: Mosquitto, tmp_path: Path) -> Iterator[SiteFolder]:
    """A broker on which the gateway says everything again and again, as it would in a room."""
    over = threading.Event()
    gateway = PlainClient(client_id="gateway")
    said = [
        (channel.topic(**IDS), encode(telemetry_examples()[channel.name])) for channel in (SCAN, SUMMARY, CELL, DCBUS)
    ]

    def speak() -> None:
        while not over.wait(0.1):
            gateway.publish_all(said)

    with secured(guarded_site, newest, tmp_path / "run"):
        papers = context_of(guarded_site.secrets_of("bus-gateway"))
        gateway.connect(load_access(guarded_site).broker.services_port, papers)
        speaking = threading.Thread(target=speak)
        speaking.start()
        yield guarded_site
        over.set()
        speaking.join()
        gateway.close()


def run(command: list[str], text: str, site: SiteFolder, outsiders: Outsiders) -> str:
    """Run an example with this test's host, port, file and password in the place of the document's."""
    done = subprocess.run(
        [*command, filled(text, site, outsiders)], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def filled(text: str, site: SiteFolder, outsiders: Outsiders) -> str:
    port = str(load_access(site).broker.readers_port)
    changed = text.replace("battery-room.example", "localhost").replace("8884", port)
    changed = changed.replace("ca.crt", str(site.secrets_of("cli") / "ca.crt"))
    return changed.replace("THE-PASSWORD", outsiders.passwords["scada"])


def test_every_example_that_is_code_runs(room: SiteFolder, outsiders: Outsiders):
    (look,) = blocks("sh")
    summary = run(["/bin/sh", "-c"], look, room, outsiders)
    assert summary.startswith("cellkeeper/v1/hh1/string/s1/summary {")
    told = [run([sys.executable, "-c"], example, room, outsiders) for example in blocks("python")]
    assert told[0] == "cellkeeper/v1/hh1/string/s1/cell/17 2.249 2026-11-21T05:00:00.000Z\n"
    assert told[1] == "s1 48213 2026-11-21T05:00:00.000Z 2 of 3\n"
    assert orjson.loads(told[2])["dcbus"] == "ups1"
    assert len(told) == 3


def channel_of(topic_filter: str) -> Channel[Any]:
    levels = topic_filter.replace("hh1", "{site}")
    found = [c for c in CHANNELS if re.fullmatch(re.sub(r"{\w+}", r"(\\+|[\\w{}-]+)", c.template), levels)]
    assert len(found) == 1, topic_filter
    return found[0]


def fields_of(channel: Channel[Any]) -> set[str]:
    return set(channel.payload.model_fields)


def test_telegraf_reads_what_there_is():
    (text,) = blocks("toml")
    (consumer,) = tomllib.loads(text)["inputs"]["mqtt_consumer"]
    (channel,) = {channel_of(topic) for topic in consumer["topics"]}
    (parser,) = consumer["json_v2"]
    paths = {parser["timestamp_path"], *(field["path"] for field in parser["field"])}
    assert channel is SUMMARY
    assert paths <= fields_of(channel)
    may_be_null = {field["path"] for field in parser["field"] if field.get("optional")}
    nullable = {name for name in paths if type(None) in get_args(channel.payload.model_fields[name].annotation)}
    assert nullable == may_be_null
    (topic,) = consumer["topic_parsing"]
    levels = consumer["topics"][0].split("/")
    assert [len(topic[key].split("/")) for key in ("topic", "tags")] == [len(levels)] * 2


@pytest.mark.skipif(find_telegraf() is None, reason="no Telegraf here; scripts/real-telegraf builds it")
@pytest.mark.skipif(missing_influxd() is not None, reason="no InfluxDB here; scripts/real-servers builds it")
def test_telegraf_brings_what_it_reads_into_influxdb(room: SiteFolder, outsiders: Outsiders, tmp_path: Path):
    (text,) = blocks("toml")
    with running_influxd(tmp_path / "influxd") as influxd:
        target = Target(influxd.url, "cellkeeper", tmp_path / "historian.token", "cellkeeper")
        for _ in provision(plan_for(target, tmp_path, dict.fromkeys(("full", "1m", "15m", "1d"), 0))):
            pass
        output = (
            f'[[outputs.influxdb_v2]]\n  urls = ["{influxd.url}"]\n  organization = "cellkeeper"\n'
            f'  bucket = "cellkeeper/full"\n  token = "{(tmp_path / "historian.token").read_text("utf-8").strip()}"\n'
        )
        agent = '[agent]\n  interval = "1s"\n  flush_interval = "1s"\n  omit_hostname = true\n'
        (tmp_path / "telegraf.conf").write_text(agent + filled(text, room, outsiders) + output, "utf-8")
        program = [str(find_telegraf()), "--config", str(tmp_path / "telegraf.conf")]
        with (tmp_path / "said").open("wb") as said, subprocess.Popen(program, stdout=said, stderr=said) as running:
            try:
                row = first_row(Server(target), running, tmp_path / "said")
            finally:
                running.terminate()
    summary = telemetry_examples()[SUMMARY.name]
    assert isinstance(summary, StringSummary)
    assert row["tags"] == "site=hh1,string=s1"
    assert (row["string_v"], row["min_v"], row["coverage_frac"]) == (
        summary.string_v,
        summary.min_v,
        summary.coverage_frac,
    )
    assert row["time"] == to_ms(summary.measured_at) * 10**6


def first_row(server: Server, running: subprocess.Popen[bytes], said: Path) -> dict[str, Any]:
    numbers = dict.fromkeys(("string_v", "min_v", "coverage_frac"), pa.float64())
    question = f'SELECT {", ".join(numbers)} FROM "string_summary" GROUP BY "site", "string"'
    end_s = time.monotonic() + PATIENCE_S
    while (table := server.ask("full", question, numbers)) is None:
        assert time.monotonic() < end_s, said.read_text("utf-8")[-2000:]
        assert running.poll() is None, said.read_text("utf-8")[-2000:]
        time.sleep(0.1)
    server.close()
    return table.to_pylist()[0]


def test_home_assistant_reads_what_there_is():
    (text,) = blocks("yaml")
    sensors = yaml.safe_load(text)["mqtt"]["sensor"]
    assert len(sensors) == 2
    for sensor in sensors:
        (field,) = re.findall(r"value_json\.(\w+)", sensor["value_template"])
        assert field in fields_of(channel_of(sensor["state_topic"]))
        if "availability_topic" in sensor:
            assert channel_of(sensor["availability_topic"]) is PRESENCE


def test_the_node_red_flow_is_wired():
    (text,) = blocks("json")
    nodes = {node["id"]: node for node in orjson.loads(text)}
    source = nodes["summaries"]
    assert (source["broker"], nodes["broker"]["tls"], source["z"]) == ("broker", "tls", "flow")
    assert {target for node in nodes.values() for out in node.get("wires", []) for target in out} <= nodes.keys()
    used = re.findall(r"msg\.payload\.(\w+)", nodes["weakest"]["func"])
    assert set(used) <= fields_of(channel_of(source["topic"]))


@pytest.mark.skipif(find_node_red() is None, reason="no Node-RED here; scripts/real-node-red installs it")
def test_the_node_red_flow_runs(room: SiteFolder, outsiders: Outsiders, tmp_path: Path):
    """The flow as it stands, with what the document tells to give it, and its debug node also on the console."""
    (text,) = blocks("json")
    nodes = {node["id"]: node for node in orjson.loads(text)}
    nodes["broker"] |= {"broker": "localhost", "port": str(load_access(room).broker.readers_port)}
    nodes["tls"]["ca"] = str(room.secrets_of("cli") / "ca.crt")
    nodes["show"]["console"] = "true"
    (tmp_path / "flows.json").write_bytes(orjson.dumps(list(nodes.values())))
    login = {"broker": {"user": "scada", "password": outsiders.passwords["scada"]}}
    (tmp_path / "flows_cred.json").write_bytes(orjson.dumps(login))
    (tmp_path / "settings.js").write_text(
        "module.exports = {flowFile: 'flows.json', credentialSecret: false, httpAdminRoot: false, httpNodeRoot: false, "
        f"uiHost: '127.0.0.1', uiPort: {free_port()}, telemetry: {{enabled: false, updateNotification: false}}}}",
        "utf-8",
    )
    program = ["node", str(find_node_red()), "--userDir", str(tmp_path), "--settings", str(tmp_path / "settings.js")]
    shown = re.compile(r"\[debug:show\]\s*(\{[^}]*\})")
    with (tmp_path / "said").open("wb") as output, subprocess.Popen(program, stdout=output, stderr=output) as running:
        try:
            end_s = time.monotonic() + PATIENCE_S
            while (found := shown.search(said := (tmp_path / "said").read_text("utf-8"))) is None:
                assert time.monotonic() < end_s, said[-2000:]
                assert running.poll() is None, said[-2000:]
                time.sleep(0.05)
        finally:
            running.terminate()
    summary = telemetry_examples()[SUMMARY.name]
    told = dict(re.findall(r"(\w+): '?([\w.]+)'?", found[1]))
    assert told == {"string": "s1", "cell": str(summary.min_v_cell), "volts": str(summary.min_v)}


def test_every_quality_has_a_status():
    rows = re.findall(r"^\| (\d) \| ([^|]*)\| (\w+)[^|]*\| 0x([0-9A-F]{8}) \|$", DOCUMENT, re.MULTILINE)
    assert [int(code) for code, *_ in rows] == sorted(Quality)
    for code, meaning, name, status in rows:
        severity = {0: "Good", 1: "Uncertain", 2: "Bad"}[int(status, 16) >> 30]
        assert name.startswith(severity), code
        assert ("value null" in meaning) == (Quality(int(code)) in WITHOUT_VALUE), code
