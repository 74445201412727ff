"""The broker as we configure it: how fast a new SCADA client sees 4096 cells, and whether a slow one loses any."""

import socket
import statistics
import tempfile
import threading
import time
from pathlib import Path

import paho.mqtt.client as mqtt
from cellkeeper.contract.channels import CELL
from cellkeeper.runtime.broker import running_broker

from bench.figure import Figure

CELLS = 4096
STRINGS = 16
SLOW_CLIENT_S = 200e-6
DEADLINE_S = 30.0
PAYLOAD = (
    b'{"v":1,"cell_v":2.2514,"cell_degc":22.41,"impedance_ohm":null,"bleed_frac":0.0,"quality":0,"degc_quality":0,'
    b'"status":2,"measured_at":"2026-11-21T05:00:00.000Z","measured_ms":1795237200000}'
)


def figures() -> list[Figure]:
    """Return broker_snapshot_ms and broker_lost."""
    with tempfile.TemporaryDirectory() as folder, running_broker(Path(folder)) as broker:
        topics = [
            CELL.topic(site="hh1", string=f"s{1 + number // 256}", cell=1 + number % 256) for number in range(CELLS)
        ]
        _publish(broker.port, topics, retain=True)
        snapshots_s = [_snapshot_s(broker.port) for _ in range(5)]
        lost = CELLS - _slow_client_gets(broker.port, topics)
    return [
        Figure("broker_snapshot_ms", statistics.median(snapshots_s) * 1e3, "ms", 100.0, note="wall, median of 5"),
        Figure("broker_lost", lost, "messages", 0.0, note="burst of 4096 to a client that works 200 us on each"),
    ]


def _client(port: int) -> mqtt.Client:
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.connect("127.0.0.1", port)
    client.loop_start()
    return client


def _publish(port: int, topics: list[str], *, retain: bool) -> None:
    client = _client(port)
    last = [client.publish(topic, PAYLOAD, qos=0, retain=retain) for topic in topics][-1]
    last.wait_for_publish(DEADLINE_S)
    client.publish("bench/done", b"", qos=1).wait_for_publish(DEADLINE_S)
    client.disconnect()
    client.loop_stop()


def _snapshot_s(port: int) -> float:
    """Return the seconds from SUBSCRIBE to the last retained cell, for a client that only counts (MQTT 3.1.1)."""
    topic_filter = CELL.filter(site="hh1").encode()
    subscribe = b"\x00\x01" + len(topic_filter).to_bytes(2, "big") + topic_filter + b"\x01"
    with socket.create_connection(("127.0.0.1", port), DEADLINE_S) as link:
        link.sendall(bytes([0x10, 15]) + b"\x00\x04MQTT\x04\x02\x00\x3c\x00\x03raw")
        link.recv(4)
        start_s = time.perf_counter()
        link.sendall(bytes([0x82, len(subscribe)]) + subscribe)
        pending, seen = b"", 0
        while seen < CELLS:
            pending += link.recv(1 << 18)
            pending, published = _count_publishes(pending)
            seen += published
        return time.perf_counter() - start_s


def _count_publishes(raw: bytes) -> tuple[bytes, int]:
    """Return what is left of `raw` behind its last whole packet, and how many PUBLISH packets it held."""
    at = publishes = 0
    while at + 5 <= len(raw):
        length, shift, head = 0, 0, 1
        while True:
            digit = raw[at + head]
            length |= (digit & 0x7F) << shift
            shift, head = shift + 7, head + 1
            if digit < 0x80:
                break
        if at + head + length > len(raw):
            break
        publishes += raw[at] >> 4 == 3
        at += head + length
    return raw[at:], publishes


def _slow_client_gets(port: int, topics: list[str]) -> int:
    seen: set[str] = set()
    ready = threading.Event()

    def take(_client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        if not message.retain:
            seen.add(message.topic)
        end_s = time.perf_counter() + SLOW_CLIENT_S
        while time.perf_counter() < end_s:
            pass

    client = _client(port)
    client.on_message = take
    client.on_subscribe = lambda *_: ready.set()
    client.subscribe(CELL.filter(site="hh1"), options=mqtt.SubscribeOptions(qos=1, retainHandling=2))
    ready.wait(DEADLINE_S)
    _publish(port, topics, retain=False)
    end_s = time.monotonic() + DEADLINE_S
    while len(seen) < len(topics) and time.monotonic() < end_s:
        time.sleep(0.05)
    client.disconnect()
    client.loop_stop()
    return len(seen)
