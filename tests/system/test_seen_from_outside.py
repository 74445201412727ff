"""What a foreign client sees of a running suite is what the contract says, topic by topic."""

import re
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from cellkeeper.contract import channels
from cellkeeper.contract.scan_columns import decode_scan
from cellkeeper.contract.wire import decode
from cellkeeper.testing.suite import running_suite, site_text


@pytest.mark.timeout(600)
def test_every_topic_keeps_its_word(tmp_path: Path, read):
    with running_suite(tmp_path, site_text(tmp_path, 2, 12, per_line=8), "twin", "historian", "bus-gateway") as suite:
        reader = read(suite.broker.port)
        reader.wait(lambda r: len(r.bodies("string/s2/scan")) >= 12, "twelve scans")
        reader.wait(lambda r: (r.last("string/s1/stored") or {"seq": -1})["seq"] >= 5, "receipts")
        for topic in sorted(reader.topics()):
            _check_topic(reader, topic)
        for string in ("s1", "s2"):
            scans = reader.bodies(f"string/{string}/scan")
            seqs = [scan["seq"] for scan in scans]
            assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
            times = [scan["measured_at"] for scan in scans]
            assert times == sorted(set(times))
            assert len({topic for topic in reader.topics() if re.fullmatch(rf"string/{string}/cell/\d+", topic)}) == 12
            good = scans[-1]
            assert good["quality"] == [0] * 12
            assert abs(sum(good["cell_v"]) - good["string_v"]) < 0.5
        assert {reader.last(f"service/{name}")["state"] for name in ("historian", "bus-gateway")} == {"ready"}
        late = read(suite.broker.port, version=mqtt.MQTTv311)
        wanted = {t for t in reader.topics() if re.fullmatch(r"string/\w+/cell/\d+", t)}
        late.wait(lambda r: wanted <= {t for t in r.topics() if r.messages[t][0].retain}, "a latecomer gets every cell")


def _check_topic(reader, topic: str) -> None:
    channel = next((c for c in channels.CHANNELS if c.match(f"cellkeeper/v1/hh1/{topic}")), None)
    assert channel is not None, f"{topic} is in no row of the table"
    for message in reader.messages[topic]:
        if not message.payload:
            continue
        if channel in (channels.SCAN, channels.BACKFILL):
            decode_scan(message.payload)
        decode(channel.payload, message.payload)
        assert channel.retain or not message.retain, f"{topic} is retained"
        if not message.retain:
            assert message.qos == channel.qos, topic
        if channel.lifetime == "expiring":
            assert message.properties.MessageExpiryInterval > 0, topic
