"""A balancer on a real broker, and a gateway that is the test's own: it publishes scans and answers commands."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import orjson
from balancer.balancer import Balancer
from balancer.main import compose
from balancer.settings import BalancerSettings
from cellkeeper.contract.channels import BALANCE, COMMAND, EVENT, OUTCOME, SCAN
from cellkeeper.contract.commands import BleedCells
from cellkeeper.contract.moment import from_ms
from cellkeeper.contract.outcomes import Applied, CommandOutcome, Outcome
from cellkeeper.contract.scan_columns import ScanColumns, encode_scan
from cellkeeper.contract.site import Site
from cellkeeper.contract.site_file import parse_site
from cellkeeper.contract.wire import decode, encode
from cellkeeper.runtime.service import ServiceVoice
from cellkeeper.runtime.session import BrokerAddress, Incoming, Session
from cellkeeper.testing.clock import ManualClock
from cellkeeper.testing.patience import until

CELLS = 6
BEGIN_MS = 1_800_000_000_000


def site_of(balance: str = "") -> Site:
    return parse_site(
        f"""
[site]
id = "hh1"
name = "Test room"
[[bus]]
id = "b1"
port = "/dev/null"
[[string]]
id = "s1"
cells = {CELLS}
chemistry = "lfp"
rated_ah = 100.0
[string.balance]
permitted_by = "test room, paper 1"
{balance}
[[string.modules]]
bus = "b1"
first_address = 1
count = {CELLS}
[[string.sensor]]
kind = "current"
bus = "b1"
address = 1001
""".encode()
    )


@dataclass
class Room:
    """What a test holds in its hands."""

    balancer: Balancer
    clock: ManualClock
    voice: ServiceVoice
    gateway: Session
    answer: Callable[[BleedCells], Outcome | None] = lambda _command: Applied()
    commands: list[BleedCells] = field(default_factory=list)
    states: list[dict] = field(default_factory=list)
    events: list[dict] = field(default_factory=list)
    outcomes: list[CommandOutcome] = field(default_factory=list)
    duty: np.ndarray = field(default_factory=lambda: np.zeros(CELLS))
    seq: int = 0

    def scan(self, cell_v: list[float], *, age_s: float = 0.0, cells: int = CELLS, current_a: float = 0.1) -> None:
        """Publish a live scan that was taken `age_s` ago."""
        self.seq += 1
        scan = ScanColumns(
            site="hh1",
            string="s1",
            stream="b7f2",
            seq=self.seq,
            oldest_seq=1,
            measured_ms=self.clock.now_ms() - int(age_s * 1000),
            clock="synced",
            cell_v=np.array((cell_v * cells)[:cells]),
            cell_degc=np.full(cells, 22.0) + 0.01 * (self.seq % 7),
            bleed_frac=np.resize(self.duty, cells),
            quality=np.zeros(cells, dtype=np.uint8),
            degc_quality=np.zeros(cells, dtype=np.uint8),
            status=np.zeros(cells, dtype=np.uint8),
            scalars={"current_a": current_a},
            scalar_quality={"current_a": 0},
        )
        self.gateway.publish(SCAN.topic(site="hh1", string="s1"), encode_scan(scan), qos=1)

    async def scans(self, cell_v: list[float], count: int, every_s: float = 1.0) -> None:
        """Publish scans in event time and wait until the balancer took all of them."""
        for _ in range(count):
            await self.clock.advance(every_s)
            before = self.balancer.counters.scans
            self.scan([v + 0.0001 * (self.seq % 3) for v in cell_v])
            await until(lambda before=before: self.balancer.counters.scans > before, "a scan taken")

    def on_command(self, message: Incoming) -> None:
        ids = COMMAND.match(message.topic)
        if ids is None or ids["service"] != "bus-gateway":
            return
        command = decode(BleedCells, message.payload)
        self.commands.append(command)
        outcome = self.answer(command)
        if outcome is None:
            return
        for cell, duty in zip(command.cells, command.bleed_frac, strict=True):
            self.duty[cell - 1] = duty if isinstance(outcome, Applied) else self.duty[cell - 1]
        body = CommandOutcome(id=command.id, command="bleed", at=from_ms(self.clock.now_ms()), outcome=outcome)
        self.gateway.publish(OUTCOME.topic(site="hh1", service="bus-gateway", issuer="balancer"), encode(body), qos=1)


@asynccontextmanager
async def running_room(
    folder: Path, port: int, balance: str = "", clock: ManualClock | None = None
) -> AsyncIterator[Room]:
    """Run a balancer with its state below `folder`."""
    clock = clock or ManualClock(BEGIN_MS)
    address = BrokerAddress("127.0.0.1", port)
    voice = ServiceVoice(site="hh1", service="balancer", clock=clock, session=Session(address=address, client_id="bal"))

    settings = BalancerSettings(service="balancer", state_dir=folder, save_s=1.0)

    balancer, desk = compose(site_of(balance), settings, voice, clock)
    gateway = Session(address=address, client_id="gw")
    room = Room(balancer, clock, voice, gateway)
    gateway.subscribe(COMMAND.filter(site="hh1"), room.on_command)
    gateway.subscribe(BALANCE.filter(site="hh1"), lambda m: room.states.append(_json(m)))
    gateway.subscribe(EVENT.filter(site="hh1"), lambda m: room.events.append(_json(m)))
    mine = OUTCOME.filter(site="hh1", service="balancer")
    gateway.subscribe(mine, lambda m: room.outcomes.append(decode(CommandOutcome, m.payload)))
    tasks = [
        asyncio.create_task(each, name=name)
        for name, each in (
            ("gateway", gateway.run()),
            ("session", voice.session.run()),
            ("balancer", balancer.run()),
            ("desk", desk.run()),
        )
    ]
    try:
        await until(lambda: gateway.is_up and voice.session.is_up, "links")
        yield room
    finally:
        for task in reversed(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _json(message: Incoming) -> dict:

    return orjson.loads(message.payload) if message.payload else {}
