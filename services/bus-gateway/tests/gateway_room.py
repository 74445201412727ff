"""A gateway with a fake driver on a real broker, and a reader that writes receipts as a historian does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bus_gateway.gateway import Gateway, ReadPath
from bus_gateway.main import compose
from bus_gateway.place import Place
from cellkeeper.contract.channels import BACKFILL, SCAN, STORED
from cellkeeper.contract.moment import from_ms
from cellkeeper.contract.scan_columns import decode_scan
from cellkeeper.contract.site import Site
from cellkeeper.contract.site_file import parse_site
from cellkeeper.contract.telemetry import StoredReceipt
from cellkeeper.contract.wire import encode
from cellkeeper.runtime.broker import Broker
from cellkeeper.runtime.clock import Clock, SystemClock
from cellkeeper.runtime.service import ServiceVoice
from cellkeeper.runtime.session import BrokerAddress, Incoming, Session
from fake_driver import FakeDriver


def site_of(strings: int = 1, cells: int = 8, scan_s: float = 0.1, journal_max_mb: int = 16) -> Site:
    text = f"""
[site]
id = "hh1"
name = "Test room"
scan_s = {scan_s}
refresh_s = 5.0
stale_after_s = 15.0
[[gateway]]
service = "bus-gateway"
journal_max_mb = {journal_max_mb}
[[bus]]
id = "b1"
port = "/dev/null"
[[dcbus]]
id = "ups1"
"""
    for number in range(1, strings + 1):
        text += f"""
[[string]]
id = "s{number}"
dcbus = "ups1"
cells = {cells}
chemistry = "vrla_agm"
rated_ah = 100.0
[[string.modules]]
bus = "b1"
first_address = {1 + 600 * (number - 1)}
count = {cells}
"""
    return parse_site(text.encode())


@dataclass
class Reader:
    """Sees every scan, counts it, and (as long as `gives_receipts`) writes receipts without a gap."""

    session: Session
    gives_receipts: bool = True
    seen: dict[tuple[str, str, int], int] = field(default_factory=dict)
    topics: dict[tuple[str, str, int], list[str]] = field(default_factory=dict)
    messages: list[Incoming] = field(default_factory=list)
    _up_to: dict[tuple[str, str], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.session.subscribe(SCAN.filter(), lambda message: self._on_scan(message, "scan"))
        self.session.subscribe(BACKFILL.filter(), lambda message: self._on_scan(message, "backfill"))

    def also(self, topic_filter: str) -> None:
        self.session.subscribe(topic_filter, self.messages.append)

    def _on_scan(self, message: Incoming, kind: str) -> None:
        scan = decode_scan(message.payload)
        key = (scan.string, scan.stream, scan.seq)
        self.seen[key] = self.seen.get(key, 0) + 1
        self.topics.setdefault(key, []).append(kind)
        if self.gives_receipts:
            self.receipt(scan.string, scan.stream, scan.oldest_seq)

    def receipt(self, string: str, stream: str, oldest_seq: int = 1) -> None:
        start = self._up_to.get((string, stream), 0)
        up_to = max(start, oldest_seq - 1)
        while (string, stream, up_to + 1) in self.seen:
            up_to += 1
        self._up_to[string, stream] = up_to
        body = StoredReceipt(string=string, stream=stream, seq=up_to, at=from_ms(0))
        topic = STORED.topic(site="hh1", string=string)
        self.session.publish(topic, encode(body), qos=1, retain=True)

    def seqs(self, string: str) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for name, stream, seq in self.seen:
            if name == string:
                found.setdefault(stream, []).append(seq)
        return {stream: sorted(seqs) for stream, seqs in found.items()}


@dataclass
class Room:
    gateway: Gateway
    driver: FakeDriver
    voice: ServiceVoice
    reader: Reader


def make_gateway(site: Site, folder: Path, port: int, clock: Clock) -> tuple[Gateway, FakeDriver, ServiceVoice]:
    session = Session(address=BrokerAddress("127.0.0.1", port), client_id="hh1-bus-gateway")
    voice = ServiceVoice(site=site.site.id, service="bus-gateway", clock=clock, session=session)
    cells = {string.id: string.cells for string in site.string}
    driver = FakeDriver(clock, cells)
    path = ReadPath(driver, ["b1"], cells, site.site.scan_s)
    folder.mkdir(parents=True, exist_ok=True)
    gateway = compose(Place(site, "bus-gateway", folder), voice, clock, lambda _room, _permits: ([path], {}))
    return gateway, driver, voice


@asynccontextmanager
async def running_room(
    site: Site, folder: Path, broker: Broker, clock: Clock | None = None, reader: Reader | None = None
) -> AsyncIterator[Room]:
    clock = clock or SystemClock()
    gateway, driver, voice = make_gateway(site, folder, broker.port, clock)
    reader = reader or Reader(Session(address=BrokerAddress("127.0.0.1", broker.port), client_id="reader"))
    tasks = [
        asyncio.create_task(reader.session.run(), name="reader"),
        asyncio.create_task(voice.session.run(), name="session"),
        asyncio.create_task(gateway.run(), name="gateway"),
    ]
    try:
        yield Room(gateway, driver, voice, reader)
    finally:
        for task in reversed(tasks):
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        failures = [each for each in results if isinstance(each, Exception)]
    assert not failures
