"""Stores for the contract tests: every implementation of the port is one entry of STORES."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest
from cellkeeper.contract.notices import Event
from cellkeeper.testing.builders import scan_of
from cellkeeper.testing.influxd import Influxd, missing_influxd, running_influxd
from historian.stores.embedded.options import EmbeddedOptions
from historian.stores.embedded.store import EmbeddedStore
from historian.stores.influx.options import InfluxOptions
from historian.stores.influx.provision import plan_for, provision
from historian.stores.influx.server import Server, Target
from historian.stores.influx.store import InfluxStore
from historian.stores.port import EventQuestion, LivedScan, Store, StringQuestion, WriteBatch

type OpenStore = Callable[[], Store]
FOREVER = (0, 4_000_000_000_000)
FOR_EVER = {"full": 0, "1m": 0, "15m": 0, "1d": 0}


@dataclass
class InfluxSite:
    """A real server, and databases on it that nobody else uses."""

    server: Influxd
    tokens: Path
    numbers: Iterator[int] = field(default_factory=count)

    def target(self) -> Target:
        """Return a new database, its buckets made, that keeps everything."""
        name = f"site{next(self.numbers)}"
        operator = self.tokens / "operator.token"
        target = Target(self.server.url, "cellkeeper", self.tokens / name / "historian.token", name)
        plan = plan_for(target, self.tokens / name, FOR_EVER)
        for _ in provision(plan.with_operator(operator)):
            pass
        return target


@pytest.fixture(scope="session")
def influx_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxSite]:
    """Run one influxd for all tests."""
    if why := missing_influxd():
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("influx")
    with running_influxd(folder / "server") as server:
        yield InfluxSite(server, folder / "tokens")


def open_influx(folder: Path, target: Target) -> InfluxStore:
    """Open a store with its local state below a folder."""
    store = InfluxStore("hh1", InfluxOptions(target, folder / "history", lambda: int(time.time() * 1000)))
    store.begin()
    return store


class Room:
    """A store on a real server, and the operator's hands on it."""

    def __init__(self, site: InfluxSite, folder: Path) -> None:
        self.site, self.folder = site, folder
        self.target = site.target()
        self.operator = Server(
            Target(self.target.url, "cellkeeper", site.tokens / "operator.token", self.target.database)
        )
        self.store = open_influx(folder, self.target)

    def provision(self, **keep_days: int) -> list[str]:
        plan = plan_for(self.target, self.target.token_file.parent, FOR_EVER | keep_days)
        return list(provision(plan.with_operator(self.operator.target.token_file)))

    def write(self, *seqs: int, store: InfluxStore | None = None) -> None:
        (store or self.store).write(WriteBatch(scans=[LivedScan(scan_of(seq=seq)) for seq in seqs]))

    def seqs(self) -> list[int]:
        return self.store.string_series(StringQuestion("s1", "string", *FOREVER))["seq"].to_pylist()

    def tend(self) -> list[str]:
        kinds = []
        while True:
            done = self.store.upkeep()
            kinds += [notice.kind for notice in done.notices]
            if not done.more:
                return kinds

    def events(self) -> tuple[Event, ...]:
        return self.store.events(EventQuestion(*FOREVER, 10))

    def bucket(self, tier: str) -> str:
        name = f"{self.target.database}/{tier}"
        (found,) = self.operator.manage("GET", "/api/v2/buckets", org="cellkeeper", name=name)["buckets"]
        return str(found["id"])


@pytest.fixture
def room(influx_site: InfluxSite, tmp_path: Path) -> Iterator[Room]:
    """Open a store on the real server, with an operator at hand."""
    found = Room(influx_site, tmp_path)
    yield found
    found.store.close()
    found.operator.close()


def _embedded(folder: Path) -> Store:
    return EmbeddedStore(folder / "history", "hh1", EmbeddedOptions(reserve_bytes=0, scans_per_journal=40))


@pytest.fixture(params=["embedded", "influx"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenStore]:
    """Open the store; opening again closes it first, as a restart does."""
    opened: list[Store] = []
    target = request.getfixturevalue("influx_site").target() if request.param == "influx" else None

    def open_again() -> Store:
        if opened:
            opened.pop().close()
        opened.append(_embedded(tmp_path) if target is None else open_influx(tmp_path, target))
        return opened[0]

    yield open_again
    for store in opened:
        store.close()
