"""A furnished site with everybody who can have a right, and plain MQTT clients that are not ours."""

import socket
import ssl
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from cellkeeper.site_folder.furnish import load_access
from cellkeeper.site_folder.layout import SiteFolder
from cellkeeper.site_folder.readers import Reader, Readers, with_password
from cellkeeper.testing.patience import PATIENCE_S
from cellkeeper.testing.real_brokers import HOST, Mosquitto, SecuredBroker, furnished

ROOT = "cellkeeper/v1/hh1/"
KINDS = {
    "bus-gateway": "bus-gateway",
    "bus-gateway-2": "bus-gateway",
    "historian": "historian",
    "balancer": "balancer",
    "analytics": "analytics",
}
TWO_GATEWAYS = """
[site]
id = "hh1"
name = "Two gateways"
[[gateway]]
service = "bus-gateway"
[[gateway]]
service = "bus-gateway-2"
[[bus]]
id = "b1"
port = "/dev/ttyUSB0"
[[bus]]
id = "b2"
port = "/dev/ttyUSB1"
gateway = "bus-gateway-2"
[[dcbus]]
id = "ups1"
[[dcbus]]
id = "ups2"
gateway = "bus-gateway-2"
[[string]]
id = "s1"
dcbus = "ups1"
cells = 240
chemistry = "vrla_agm"
rated_ah = 100.0
[[string.modules]]
bus = "b1"
first_address = 1
count = 240
[[string]]
id = "s2"
dcbus = "ups2"
cells = 240
chemistry = "vrla_agm"
rated_ah = 100.0
[[string.modules]]
bus = "b2"
first_address = 1
count = 240
"""


@dataclass
class Outsiders:
    """Readers of the site: `scada` and `scada3` with passwords, `operator` with a certificate and one command."""

    passwords: dict[str, str] = field(default_factory=dict)
    readers: Readers = field(default_factory=Readers)

    def __post_init__(self) -> None:
        for name in ("scada", "scada3"):
            reader, self.passwords[name] = with_password(name, ())
            self.readers = self.readers.with_one(reader)
        operator = Reader(name="operator", login="certificate", commands=("bus-gateway/identify",))
        self.readers = self.readers.with_one(operator)


def new_site(folder: Path, outsiders: Outsiders, now: datetime | None = None) -> SiteFolder:
    """Return a folder that was furnished now, or then, with the operator's certificate handed over."""
    return furnished(folder / "site", TWO_GATEWAYS, KINDS, outsiders.readers, now=now, hand_over=("operator",))


@contextmanager
def secured(site: SiteFolder, mosquitto: Mosquitto, run_dir: Path) -> Iterator[SecuredBroker]:
    """Run the broker of a site for the length of the context."""
    broker = SecuredBroker(site, mosquitto, load_access(site).broker.services_port, run_dir)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


class RefusedError(Exception):
    """The broker did not let the client in."""


class PlainClient:
    """A paho client without a thread: it is driven by whoever waits for an answer, with a deadline."""

    def __init__(self, version: int = mqtt.MQTTv5, client_id: str = "") -> None:
        self.version = version
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=client_id, protocol=version)
        self.answers: deque = deque()
        self.acknowledged: deque = deque()
        self.granted: deque = deque()
        self.messages: deque = deque()
        self.client.on_connect = lambda _c, _d, _f, code, properties: self.answers.append((code, properties))
        self.client.on_publish = lambda _c, _d, number, code, _p: self.acknowledged.append((number, code))
        self.client.on_subscribe = lambda _c, _d, _n, codes, _p: self.granted.append(codes)
        self.client.on_message = lambda _c, _d, message: self.messages.append(message)
        self.connack = None

    def connect(self, port: int, context: ssl.SSLContext, *, user: str | None = None, password: str | None = None):
        """Connect; raises RefusedError with what was answered."""
        self.client.tls_set_context(context)
        self.client.username_pw_set(user, password)
        try:
            self.client.connect(HOST, port, keepalive=30)
        except OSError as exc:
            raise RefusedError(str(exc)) from exc
        code, self.connack = self._next(self.answers)
        if code.is_failure:
            self.close()
            raise RefusedError(str(code))
        return self

    def _next(self, kind: deque):
        """Drive the client until there is a next answer of a kind; raises RefusedError when the connection ends."""
        end_s = time.monotonic() + PATIENCE_S
        while not kind:
            if self.client.loop(0.2) != mqtt.MQTT_ERR_SUCCESS and not kind:
                self.close()
                raise RefusedError("closed")
            if time.monotonic() > end_s:
                self.close()
                raise RefusedError("no answer")
        return kind.popleft()

    def publish_all(self, messages: Sequence[tuple[str, bytes]]) -> list[bool]:
        """Publish all with QoS 1 and return whether each was accepted."""
        numbers = [self.client.publish(topic, payload, qos=1).mid for topic, payload in messages]
        codes = dict(self._next(self.acknowledged) for _ in numbers)
        return [not codes[number].is_failure for number in numbers]

    def subscribe_all(self, filters: Sequence[str]) -> list[bool]:
        """Subscribe to all in one packet and return whether each was granted."""
        self.client.subscribe([(each, 1) for each in filters])
        return [not code.is_failure for code in self._next(self.granted)]

    def until(self, topic: str, payload: bytes) -> list[mqtt.MQTTMessage]:
        """Return what came until (and without) this message."""
        found = []
        while True:
            message = self._next(self.messages)
            if message.topic == topic and message.payload == payload:
                return found
            found.append(message)

    def is_connected(self) -> bool:
        """Look whether the connection still stands, by what has come in."""
        self.client.loop(0.2)
        return self.client.is_connected()

    def until_closed(self) -> None:
        """Wait until the broker ends the connection."""
        with pytest.raises(RefusedError, match="closed"):
            self._next(deque())

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop(0.0)
        self.client._reset_sockets()  # or the garbage collector finds paho's pair of sockets open


def context_of(folder: Path, *, with_certificate: bool = True) -> ssl.SSLContext:
    """Return a client's TLS as anybody would set it up from a folder of papers."""
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    if with_certificate:
        context.load_cert_chain(folder / "client.crt", folder / "client.key")
    return context


def served_certificate(site: SiteFolder, port: int) -> bytes:
    """Return the certificate that the broker shows now, PEM."""
    with (
        socket.create_connection((HOST, port), timeout=PATIENCE_S) as plain,
        context_of(site.secrets_of("historian")).wrap_socket(plain, server_hostname=HOST) as encrypted,
    ):
        shown = encrypted.getpeercert(binary_form=True)
    assert shown
    return ssl.DER_cert_to_PEM_cert(shown).encode()


@contextmanager
def everybody(site: SiteFolder, passwords: dict[str, str]) -> Iterator[dict[str, PlainClient]]:
    """Connect every user of a site as it is meant to, each on its listener."""
    broker = load_access(site).broker
    clients: dict[str, PlainClient] = {}
    try:
        for service in KINDS:
            context = context_of(site.secrets_of(service))
            clients[service] = PlainClient(client_id=f"hh1-{service}").connect(broker.services_port, context)
        papers = {
            "cli": site.secrets_of("cli"),
            "probe": site.probe,
            "operator": site.handover_of("operator"),
        }
        for user, folder in papers.items():
            clients[user] = PlainClient().connect(broker.readers_certificate_port, context_of(folder))
        anybody = context_of(site.secrets_of("cli"), with_certificate=False)
        scada = PlainClient(client_id="plc-7")
        clients["scada"] = scada.connect(broker.readers_port, anybody, user="scada", password=passwords["scada"])
        yield clients
    finally:
        for client in clients.values():
            client.close()
