"""The way down of a gateway without broker above or bus below: commands in, and what would have acted."""
# the arguments are the Protocol's

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import numpy as np
import orjson
from bus_gateway.downlink.actions import Actions
from bus_gateway.downlink.bleed_hold import BleedHolds
from bus_gateway.downlink.desk import command_desk
from bus_gateway.downlink.situation import Watchtower
from bus_gateway.driver import ImpedanceReadings, StringReadings
from bus_gateway.drivers.read_only import ReadOnlyDriver
from bus_gateway.uplink.uplink import outlet_of
from cellkeeper.contract.channels import COMMAND, MODE
from cellkeeper.contract.commands import MeasureImpedance
from cellkeeper.contract.moment import from_ms
from cellkeeper.contract.outcomes import Applied, CommandOutcome, FoundModule, NoReply, Outcome, Refused
from cellkeeper.contract.physical import Quality
from cellkeeper.contract.site_file import parse_site
from cellkeeper.contract.telemetry import StringMode
from cellkeeper.contract.wire import decode, encode
from cellkeeper.runtime.session import Incoming
from cellkeeper.testing.clock import ManualClock

CELLS = 4
SITE = parse_site(
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
chemistry = "vrla_agm"
rated_ah = 100.0
[[string.modules]]
bus = "b1"
first_address = 1
count = {CELLS}
""".encode()
)


@dataclass
class SpyDriver(ReadOnlyDriver):
    """Does nothing, and writes down what it was asked."""

    asked: list[str] = field(default_factory=list)

    def _note(self, what: str) -> Outcome:
        self.asked.append(what)
        return Applied()

    async def keep_open(self) -> None:
        await asyncio.Event().wait()

    async def sweep(self, take: Callable[[StringReadings], None]) -> None:
        raise NotImplementedError

    def take_notices(self) -> Collection[object]:
        return ()

    async def set_bleed(self, string: str, cells: Sequence[int], bleed_frac: Sequence[float]) -> Outcome:
        return self._note("bleed" if any(bleed_frac) else "zero")

    async def stop_bleed(self) -> Outcome:
        return self._note("stop_bleed")

    async def identify(self, string: str, cells: Sequence[int], on_s: float) -> Outcome:
        return self._note("identify")

    async def identify_address(self, bus: str, address: int, on_s: float) -> Outcome:
        return self._note("identify_address")

    async def measure_impedance(
        self, wanted: MeasureImpedance, forbidden: Callable[[], Refused | None]
    ) -> ImpedanceReadings | Refused | NoReply:
        self._note("measure_impedance")
        return NoReply(waited_s=0.0)

    async def search(self, bus: str) -> list[FoundModule] | Refused | NoReply:
        self._note("search_modules")
        return []

    async def assign(self, bus: str, uid: str, address: int) -> Outcome:
        return self._note("assign_address")

    async def clear(self, bus: str, address: int) -> Outcome:
        return self._note("clear_address")


def readings(current_a: float | None = 0.1, cell_v: float = 2.25) -> StringReadings:
    scalars = {} if current_a is None else {"current_a": current_a}
    good = np.zeros(CELLS, dtype=np.uint8)
    return StringReadings(
        string="s1",
        measured_ms=0,
        cell_v=np.full(CELLS, cell_v),
        cell_degc=np.full(CELLS, 22.0),
        bleed_frac=np.zeros(CELLS),
        quality=good if cell_v == cell_v else np.full(CELLS, Quality.SILENT, dtype=np.uint8),  # noqa: PLR0124  # NaN
        degc_quality=good,
        status=good,
        scalars=scalars,
        scalar_quality=dict.fromkeys(scalars, 0),
    )


@dataclass
class Desk:
    """The downlink of one gateway with a spy below it and no broker above it; it is its own session."""

    folder: Path
    clock: ManualClock = field(default_factory=ManualClock)
    spy: SpyDriver = field(default_factory=SpyDriver)
    answers: list[CommandOutcome] = field(default_factory=list)
    handlers: dict[str, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.outlet = outlet_of(SITE.site, SITE.string[0])
        self.tower = Watchtower(site=SITE, outlets={"s1": self.outlet}, clock=self.clock)
        self.actions = Actions(
            drivers={"b1": self.spy},
            tower=self.tower,
            holds=BleedHolds({"s1": frozenset({"b1"})}),
            clock=self.clock,
            on_impedance=lambda _found: None,
        )
        self.downlink = command_desk(
            "hh1", "bus-gateway", self, self.clock, self.folder / "seen-commands", self.actions
        )

    def subscribe(self, topic_filter: str, _handler: object, *, with_retained: bool = True) -> None:
        self.handlers[topic_filter] = with_retained

    def publish(self, _topic: str, payload: bytes, **_options: object) -> bool:
        self.answers.append(decode(CommandOutcome, payload))
        return True

    def sees(self, found: StringReadings | None, age_s: float = 1.0) -> None:
        self.outlet.readings, self.outlet.measured_s = found, self.clock.monotonic_s() - age_s

    def hears_mode(self, mode: str, age_s: float = 0.0) -> None:
        at = from_ms(self.clock.now_ms()) - timedelta(seconds=age_s)
        body = StringMode(string="s1", mode=mode, since=at, measured_at=at, why="test")
        self.tower.on_mode(Incoming(MODE.topic(site="hh1", string="s1"), encode(body), retained=True))

    def send(self, name: str, number: int = 1, *, retained: bool = False, **fields: object) -> None:
        expires = (from_ms(self.clock.now_ms()) + timedelta(seconds=30)).isoformat(timespec="milliseconds")
        body = {"v": 1, "id": str(UUID(int=number)), "expires_at": expires.replace("+00:00", "Z"), **fields}
        topic = COMMAND.topic(site="hh1", service="bus-gateway", name=name, issuer="tester")
        self.downlink.on_command(Incoming(topic, orjson.dumps(body), retained=retained))

    async def work(self) -> None:
        """Let everything that is in line act."""
        jobs = [asyncio.create_task(self.downlink.run()), asyncio.create_task(self.downlink.run_urgent())]
        for _ in range(20):
            await asyncio.sleep(0)
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
