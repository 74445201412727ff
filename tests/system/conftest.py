"""What the system tests share: a foreign MQTT client that writes down everything it sees."""

import json
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from cellkeeper.testing.patience import PATIENCE_S, wait_until

TREE = "cellkeeper/v1/hh1/"


class ForeignReader:
    """A client that is not ours: subscribes to everything and keeps it, by topic below the site.

    `keep` is how many messages of a topic are kept, the newest ones; all without it.
    """

    def __init__(self, port: int, *, version: int = mqtt.MQTTv5, keep: int | None = None) -> None:
        self.messages: dict[str, deque[mqtt.MQTTMessage]] = defaultdict(lambda: deque(maxlen=keep))
        self.lock = threading.Lock()
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=version)
        self.client.on_message = self._take
        self.client.on_connect = lambda client, *_: client.subscribe(TREE + "#", qos=1)
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def _take(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        with self.lock:
            self.messages[message.topic.removeprefix(TREE)].append(message)

    def bodies(self, topic: str) -> list[dict[str, Any]]:
        with self.lock:
            return [json.loads(message.payload) for message in self.messages[topic] if message.payload]

    def last(self, topic: str) -> dict[str, Any] | None:
        with self.lock:
            newest = next((message for message in reversed(self.messages[topic]) if message.payload), None)
        return None if newest is None else json.loads(newest.payload)

    def topics(self) -> set[str]:
        with self.lock:
            return {topic for topic, messages in self.messages.items() if messages}

    def wait(self, condition: Callable[["ForeignReader"], object], what: str, patience_s: float = PATIENCE_S) -> None:
        wait_until(lambda: condition(self), what, told=lambda: str(sorted(self.topics())[:40]), patience_s=patience_s)

    def publish(self, topic: str, body: dict[str, Any], *, retain: bool = False) -> None:
        self.client.publish(TREE + topic, json.dumps(body), qos=1, retain=retain).wait_for_publish(PATIENCE_S)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def read() -> Iterator[Callable[..., ForeignReader]]:
    """Return a function that opens a foreign reader on a port; all are closed at the end."""
    opened: list[ForeignReader] = []

    def open_reader(port: int, **options: Any) -> ForeignReader:
        opened.append(ForeignReader(port, **options))
        return opened[-1]

    yield open_reader
    for reader in opened:
        reader.close()
