"""Analytics on a real broker, and a gateway that is the test's own: it publishes scans and reads what is told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import numpy as np
import orjson
from analytics.analytics import Analytics
from analytics.main import compose
from analytics.settings import AnalyticsSettings
from cellkeeper.contract.channels import (
    CELL_ESTIMATE,
    COMMAND,
    ESTIMATE,
    EVENT,
    MODE,
    MODULE,
    OUTCOME,
    PRESENCE,
    SCAN,
)
from cellkeeper.contract.moment import format_ms, from_ms
from cellkeeper.contract.scan_columns import ScanColumns, encode_scan
from cellkeeper.contract.site import Site
from cellkeeper.contract.site_file import parse_site
from cellkeeper.contract.telemetry import ModuleState
from cellkeeper.contract.wire import encode
from cellkeeper.runtime.service import ServiceVoice
from cellkeeper.runtime.session import BrokerAddress, Incoming, Session
from cellkeeper.testing.clock import ManualClock
from cellkeeper.testing.patience import until

CELLS = 8
BEGIN_MS = 1_800_000_000_000
FLOAT_V = 2.27


def site_of(*strings: str, cells: int = CELLS, more: str = "") -> Site:
    """Return a site of VRLA strings of 100 Ah with current sensors, all on one dc bus."""
    tables = "".join(
        f"""
[[string]]
id = "{string}"
cells = {cells}
chemistry = "vrla_agm"
rated_ah = 100.0
dcbus = "ups1"
[[string.modules]]
bus = "b1"
first_address = {1 + 1000 * place}
count = {cells}
[[string.sensor]]
kind = "current"
bus = "b1"
address = {900 + 1000 * place}
{more}
"""
        for place, string in enumerate(strings or ("s1",))
    )
    head = '[site]\nid = "hh1"\nname = "Test room"\n[[bus]]\nid = "b1"\nport = "/dev/null"\n[[dcbus]]\nid = "ups1"\n'
    return parse_site((head + tables).encode())


@dataclass
class Room:
    """What a test holds in its hands."""

    analytics: Analytics
    clock: ManualClock
    voice: ServiceVoice
    gateway: Session
    modes: list[dict] = field(default_factory=list)
    estimates: list[dict] = field(default_factory=list)
    cells: dict[int, dict] = field(default_factory=dict)
    events: list[dict] = field(default_factory=list)
    presences: list[dict] = field(default_factory=list)
    outcomes: list[dict] = field(default_factory=list)
    seq: int = 0

    def kinds(self) -> list[str]:
        return [event["kind"] for event in self.events]

    def scan(self, cell_v: float = FLOAT_V, current_a: float | None = 0.05, string: str = "s1", **changes) -> None:
        """Publish a live scan as of now; a positive current charges."""
        self.seq += 1
        cells, channel = changes.pop("cells", CELLS), changes.pop("channel", SCAN)
        values = {
            "site": "hh1", "string": string, "stream": "b7f2", "seq": self.seq, "oldest_seq": 1,
            "measured_ms": self.clock.now_ms(), "clock": "synced",
            "cell_v": np.round(cell_v + 0.001 * np.arange(cells) + 0.0001 * (self.seq % 3), 4),
            "cell_degc": np.full(cells, 22.0) + 0.01 * (self.seq % 7), "bleed_frac": np.zeros(cells),
            "quality": np.zeros(cells, dtype=np.uint8), "degc_quality": np.zeros(cells, dtype=np.uint8),
            "status": np.full(cells, 2, dtype=np.uint8), "scalars": {"current_a": current_a}, "scalar_quality": {},
        } | changes  # fmt: skip
        self.gateway.publish(channel.topic(site="hh1", string=string), encode_scan(ScanColumns(**values)), qos=1)

    async def scans(self, count: int, cell_v: Callable[[int], float], current_a: float, every_s: float = 1.0) -> None:
        """Publish scans in event time; `cell_v` gives the voltage of each. Waits for each one to be estimated.

        Without that a slow machine sees time run ahead of the scans, and rightly calls the string silent.
        """
        for n in range(count):
            await self.clock.advance(every_s)
            self.scan(cell_v(n), current_a)
            await self.taken()

    async def ask(self, name: str, **fields) -> dict:
        """Ask the analytics for something as the BMS, and return the outcome."""
        command = {"id": str(uuid4()), "expires_at": format_ms(self.clock.now_ms() + 30_000)} | fields
        topic = COMMAND.topic(site="hh1", service="analytics", name=name, issuer="bms")
        self.gateway.publish(topic, orjson.dumps(command), qos=1)
        await until(lambda: any(told["id"] == command["id"] for told in self.outcomes), f"an answer to {name}")
        return next(told["outcome"] for told in self.outcomes if told["id"] == command["id"])

    def module(self, serial: str, cell: int | None, string: str = "s1") -> None:
        """Let a module introduce itself as of now; `cell` None lets it go."""
        told = ModuleState(
            serial=serial, at=from_ms(self.clock.now_ms()), type="c44", hardware="1", firmware="1.0.0", bus="b1",
            address=cell or 1, string=string, cell=cell, led="off", fuse_open=False, disconnected=False, resets=0,
            silent=False,
        )  # fmt: skip
        payload = b"" if cell is None else encode(told)
        self.gateway.publish(MODULE.topic(site="hh1", serial=serial), payload, qos=1, retain=True)

    async def taken(self) -> None:
        """Wait until everything that was published is estimated."""
        analytics, at_s = self.analytics, self.clock.now_ms() / 1000.0
        await until(
            lambda: analytics.newest is not None and np.nanmax(analytics.newest.at_s) >= at_s,
            "scans estimated",
            poll_s=0.001,
        )


@asynccontextmanager
async def running_room(
    folder: Path,
    port: int,
    *strings: str,
    clock: ManualClock | None = None,
    dossier: bool = False,
    site: Site | None = None,
    save_s: float = 1.0,
) -> AsyncIterator[Room]:
    """Run analytics with their state below `folder`."""
    clock = clock or ManualClock(BEGIN_MS)
    address = BrokerAddress("127.0.0.1", port)
    session = Session(address=address, client_id="analytics")
    voice = ServiceVoice(site="hh1", service="analytics", clock=clock, session=session)
    settings = AnalyticsSettings(service="analytics", state_dir=folder, save_s=save_s, dossier=dossier)
    gateway = Session(address=address, client_id="gw")
    analytics, desk = compose(site or site_of(*strings), settings, voice, clock)
    room = Room(analytics, clock, voice, gateway)
    gateway.subscribe(MODE.filter(site="hh1"), lambda m: room.modes.append(_json(m)))
    gateway.subscribe(ESTIMATE.filter(site="hh1"), lambda m: room.estimates.append(_json(m)))
    gateway.subscribe(EVENT.filter(site="hh1"), lambda m: room.events.append(_json(m)))
    gateway.subscribe(OUTCOME.filter(site="hh1", issuer="bms"), lambda m: room.outcomes.append(_json(m)))
    gateway.subscribe(PRESENCE.filter(site="hh1"), lambda m: room.presences.append(_json(m)))
    of_cells = CELL_ESTIMATE.filter(site="hh1", string="s1")
    gateway.subscribe(of_cells, lambda m: room.cells.update({int(m.topic.split("/")[-2]): _json(m)}))
    jobs = {"gateway": gateway.run(), "session": session.run()}
    tasks = [asyncio.create_task(each, name=name) for name, each in jobs.items()]
    try:
        await until(lambda: gateway.is_up and session.is_up, "links")
        jobs = {
            "analytics": analytics.run(),
            "papers": analytics.papers.run(),
            "desk": desk.run(),
            "late": analytics.late.run(),
        }
        tasks += [asyncio.create_task(each, name=name) for name, each in jobs.items()]
        yield room
    finally:
        for task in reversed(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _json(message: Incoming) -> dict:
    return orjson.loads(message.payload) if message.payload else {}
