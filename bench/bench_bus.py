"""Wire time of full sweeps and of a search: the gateway's own driver as master, the twin in another process as line.

Figures are of the twin's bus clock: an unpaced twin hands bytes over at once and books what they would have taken, so
the master's turn-around between two trains is the pause that the protocol asks for, as long as the host is faster than
the wire. `sweep_paced_ratio` says what this host adds when the twin keeps bytes back until they are due.
"""

import asyncio
import statistics
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from bus_gateway.driver import StringReadings
from bus_gateway.drivers.c44 import C44Driver
from bus_gateway.line.counters import LineCounters
from bus_gateway.line.discovery import search
from bus_gateway.line.exchange import Exchange
from bus_gateway.line.serial_port import open_port
from bus_gateway.wire.timing import LineTiming
from cellkeeper.contract.site import Site
from cellkeeper.contract.site_file import parse_site
from cellkeeper.runtime.broker import Broker, free_port
from cellkeeper.runtime.clock import SystemClock
from cellkeeper.testing.suite import Suite
from twin.bus.bus_clock import LATEST_START_CHARACTERS
from twin.bus.devices import fixed_source, unit_modules
from twin.bus.line import TwinLine
from twin.bus.ports import PtyPort
from twin.bus.transmitter import Emission
from twin.bus.wire_codec import Type
from twin.control import ask
from twin.errors import TwinAwayError
from twin.firmware.addressing import WHO_REPLY_LENGTH

from bench.figure import Figure

NAMES = ("bus_utilisation_4096", "bus_net_frac", "sweep_s_512", "sweep_s_4096", "sweep_paced_ratio", "search_s_240")
SWEEPS = 5
SWEEP_EVERY_S = 0.9
SETTLE_S = 120.0  # a slow machine introduces 4096 modules in some ten seconds
UNADDRESSED = 240
SEEDS = 24
SEARCH_SLACK_S = 0.5  # real patience with 24 searches in one process; the bus clock has none of it


@dataclass(frozen=True, slots=True)
class Swept:
    """Medians of some sweeps of one line, and the master's wall clock beside them."""

    sweep_s: float
    utilisation_frac: float
    net_frac: float
    wall_s: float

    @property
    def net_of_sent_frac(self) -> float:
        return self.net_frac / self.utilisation_frac


def figures() -> list[Figure]:
    """Return the figures of NAMES."""
    small, small_paced = (asyncio.run(sweeps(512, 115_200, paced=paced)) for paced in (False, True))
    large, large_paced = (asyncio.run(sweeps(4096, 3_000_000, paced=paced)) for paced in (False, True))
    bus_clock = f"bus clock, median of {SWEEPS}, gateway's driver as master, turn-around = the pause"
    paced = (
        f"wall / bus clock at 3 MBd: {large_paced.wall_s:.3f} s, utilisation then {large_paced.utilisation_frac:.3f}; "
        f"512 at 115.2 kBd: {small_paced.wall_s / small.sweep_s:.3f}"
    )
    net = f"value and temperature bits / bits sent; of the line's time at 3 MBd {large.net_frac:.3f}"
    return [
        Figure("bus_utilisation_4096", large.utilisation_frac, "ratio", 0.77, "higher", bus_clock),
        Figure("bus_net_frac", large.net_of_sent_frac, "ratio", note=net),
        Figure("sweep_s_512", small.sweep_s, "s", 0.65, note=bus_clock),
        Figure("sweep_s_4096", large.sweep_s, "s", 0.25, note=bus_clock),
        Figure("sweep_paced_ratio", large_paced.wall_s / large.sweep_s, "ratio", note=paced),
        asyncio.run(search_figure()),
    ]


async def sweeps(modules: int, baud: int, *, paced: bool) -> Swept:
    """Return what sweeps of `modules` on one line take once every module has introduced itself."""
    with tempfile.TemporaryDirectory() as name:
        suite = Suite(Path(name), Path(name) / "site.toml", Broker(Path(name) / "broker", free_port()), free_port())
        site = room(Path(name), modules, baud)
        suite.start("twin", CELLKEEPER_TWIN_PACE=str(int(paced)))
        try:
            async with settled_driver(site, suite, modules) as driver:
                taken = [await one_sweep(driver, suite, modules) for _ in range(SWEEPS)]
        finally:
            suite.stop("twin")
    columns = zip(*((one.sweep_s, one.utilisation_frac, one.net_frac, one.wall_s) for one in taken), strict=True)
    return Swept(*map(statistics.median, columns))


def room(folder: Path, modules: int, baud: int) -> Site:
    """Write a site of strings of 512 on one line and return it."""
    parts = [f'[site]\nid = "hh1"\nname = "Bench"\n[[bus]]\nid = "b1"\nport = "{folder / "b1"}"\nbaud = {baud}\n']
    parts += [
        f'[[string]]\nid = "s{first}"\ncells = 512\nchemistry = "vrla_agm"\nrated_ah = 100.0\n'
        f'[[string.modules]]\nbus = "b1"\nfirst_address = {first}\ncount = 512\n'
        for first in range(1, modules, 512)
    ]
    raw = "".join(parts).encode()
    (folder / "site.toml").write_bytes(raw)
    return parse_site(raw)


@asynccontextmanager
async def settled_driver(site: Site, suite: Suite, modules: int) -> AsyncIterator[C44Driver]:
    """Run the driver until every module has introduced itself and every reading is good."""
    await until_ready(suite)
    driver = C44Driver(site, "bus-gateway", SystemClock(), Random(1))
    keeper = asyncio.create_task(driver.keep_open())
    try:
        async with asyncio.timeout(SETTLE_S):
            while not await is_settled(driver, modules):  # noqa: ASYNC110  # sweeps are what it waits for
                await asyncio.sleep(SWEEP_EVERY_S)
        yield driver
    finally:
        keeper.cancel()
        with suppress(asyncio.CancelledError):
            await keeper


async def until_ready(suite: Suite) -> None:
    """Wait until the twin has opened its port."""
    async with asyncio.timeout(SETTLE_S):
        while not (suite.folder / "b1").is_symlink():  # noqa: ASYNC110  # another process, a moment
            await asyncio.sleep(0.05)


async def is_settled(driver: C44Driver, modules: int) -> bool:
    """Sweep once and return whether it was clean and every module had introduced itself before it began.

    The clock of an unpaced line runs ahead while modules introduce themselves; a sweep that follows at once asks before
    the sample's window has ended on that clock.
    """
    all_known = len(driver.modules()) >= modules
    return await is_clean(driver, modules) and all_known


async def is_clean(driver: C44Driver, modules: int) -> bool:
    """Sweep once and return whether each module gave a good reading without being asked again."""
    retries = driver.counters["b1"].retries
    taken: list[StringReadings] = []
    await driver.sweep(taken.append)
    good = sum(int(np.count_nonzero(each.quality == 0)) for each in taken)
    return good == modules and driver.counters["b1"].retries == retries


async def one_sweep(driver: C44Driver, suite: Suite, modules: int) -> Swept:
    """Sweep once and return what the line says of it; raises RuntimeError when a reply was missing."""
    await asyncio.sleep(SWEEP_EVERY_S)
    if not await is_clean(driver, modules):
        raise RuntimeError(f"a sweep was not complete at once: {driver.counters['b1']}")
    line = twin_status(suite)["buses"][0]
    wall_s = driver.counters["b1"].sweep_s
    return Swept(line["sweep_s"], line["utilisation_frac"], line["net_frac"], wall_s)


def twin_status(suite: Suite) -> dict[str, Any]:
    """Return what the running twin says of itself."""
    try:
        return ask(suite.folder / "state" / "twin", {"do": "status"})
    except TwinAwayError as exc:
        raise RuntimeError(f"{exc}\n{suite.last_words()}") from exc


async def search_figure() -> Figure:
    """Return search_s_240 over SEEDS searches of lines whose modules have no address."""
    with tempfile.TemporaryDirectory() as name:
        found = await asyncio.gather(*(search_line(Path(name) / f"b{seed}", seed) for seed in range(SEEDS)))
    seconds = sorted(line.free_s for line in found)
    rounds, slots = (statistics.mean(counts) for counts in zip(*((x.rounds, x.slots) for x in found), strict=True))
    note = (
        f"115.2 kBd, bus clock, median of {SEEDS} seeds ({seconds[0]:.2f}-{seconds[-1]:.2f}); {rounds:.1f} rounds and "
        f"{slots:.0f} slots on average; the host's slack of each round is not in it"
    )
    return Figure("search_s_240", statistics.median(seconds), "s", note=note)


class GrantedLine:
    """A line whose master sends as early as section 3 of the protocol allows: never inside slots it has granted."""

    def __init__(self, line: TwinLine) -> None:
        self.line = line
        self.free_s = -line.timing.gap_s
        self.rounds = 0
        self.slots = 0

    @property
    def waiting(self) -> bool:
        return self.line.waiting

    def handed_over(self, end_s: float) -> None:
        """Nothing here asks when bytes were really written."""

    def idle(self) -> list[Emission]:
        return []

    def feed(self, data: bytes) -> list[Emission]:
        """Take whole frames of the master, which a pty may hand over together."""
        emitted: list[Emission] = []
        while data:
            size = 9 + data[5]
            emitted += self._take(data[:size])
            data = data[size:]
        return emitted

    def _take(self, request: bytes) -> list[Emission]:
        timing = self.line.timing
        begin_s = self.free_s + timing.gap_s
        emitted = self.line.feed(request, begin_s)
        self.free_s = begin_s + len(request) * timing.char_s
        if request[1] == Type.WHO:
            slots = 1 << request[9]
            self.free_s += slots * timing.slot_s(WHO_REPLY_LENGTH) + LATEST_START_CHARACTERS * timing.char_s
            self.rounds += 1
            self.slots += slots
        return emitted


async def search_line(path: Path, seed: int) -> GrantedLine:
    """Search one line with the gateway's own search; raises RuntimeError when a module was not found."""
    devices = unit_modules(UNADDRESSED, first_address=0, first_uid=1 + 1000 * seed)
    line = GrantedLine(TwinLine(devices, fixed_source(np.full(UNADDRESSED, 2.25)), baud=115_200))
    port = PtyPort(path, line, paced=False)
    await port.open()
    exchange = Exchange(
        open_port(str(path), 115_200), LineTiming(115_200, SEARCH_SLACK_S), LineCounters(), lambda _: None
    )
    try:
        uids = {module.uid for module in await search(exchange, Random(seed))}
    finally:
        exchange.close()
        port.close()
    if len(uids) != UNADDRESSED or line.line.clock.collisions:
        raise RuntimeError(
            f"seed {seed}: {len(uids)} of {UNADDRESSED}, {line.line.clock.collisions} requests too early"
        )
    return line
