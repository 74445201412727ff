"""Composition root: store, intake, session and API, put together and run until a signal."""

import asyncio
import gc
import sys
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from cellkeeper.contract.balance_state import BalanceState
from cellkeeper.contract.channels import BACKFILL, BALANCE, EVENT, IMPEDANCE, SCAN, STORED
from cellkeeper.contract.moment import from_ms
from cellkeeper.contract.notices import Event
from cellkeeper.contract.scan_columns import decode_scan
from cellkeeper.contract.telemetry import ImpedanceSweep, StoredReceipt
from cellkeeper.contract.wire import PayloadRefusedError, decode, encode
from cellkeeper.runtime.clock import Clock, SystemClock
from cellkeeper.runtime.errors import StartRefusedError
from cellkeeper.runtime.metrics import Metrics
from cellkeeper.runtime.refusals import RefusalLog
from cellkeeper.runtime.service import ServiceVoice, open_voice, run_until_signal, serve
from cellkeeper.runtime.session import Incoming, Session
from cellkeeper.runtime.settings import ServiceSettings
from fastapi import FastAPI

from historian.api import make_api
from historian.api_server import serve_api
from historian.balance_sieve import BalanceSieve
from historian.errors import HistorianError
from historian.gauges import Gauges
from historian.intake import LivesOf
from historian.life_file import lives_of
from historian.lives import Change
from historian.receipts import Receipt
from historian.recorder import Recorder, keep_up
from historian.settings import HistorianSettings
from historian.stores.balance_rows import balance_row
from historian.stores.embedded.options import EmbeddedOptions
from historian.stores.embedded.store import EmbeddedStore
from historian.stores.influx.options import InfluxOptions
from historian.stores.influx.server import Target
from historian.stores.influx.store import InfluxStore
from historian.stores.port import Notice, Store

SERVICE: Final = "historian"
SWITCH_S: Final = 0.001  # a scan that arrives waits no longer for a thread that packs or computes


@dataclass(slots=True)
class Inlet:
    """Hands messages of the broker to the recorder; what does not parse, or is of another string, is counted."""

    site: str
    recorder: Recorder
    refusals: RefusalLog = field(default_factory=RefusalLog)
    sieve: BalanceSieve = field(default_factory=BalanceSieve)

    def subscribe(self, session: Session) -> None:
        """Ask for everything that is stored."""
        for channel in (SCAN, BACKFILL):
            session.subscribe(channel.filter(site=self.site), self.scan, qos=channel.qos)
        session.subscribe(IMPEDANCE.filter(site=self.site), self.impedance, qos=IMPEDANCE.qos)
        session.subscribe(EVENT.filter(site=self.site), self.event, qos=EVENT.qos)
        session.subscribe(BALANCE.filter(site=self.site), self.balance, qos=BALANCE.qos)

    def scan(self, message: Incoming) -> None:
        """Take a scan or a backfilled one."""
        ids = SCAN.match(message.topic) or BACKFILL.match(message.topic)
        try:
            scan = decode_scan(message.payload)
        except PayloadRefusedError as exc:
            self._refuse(message, str(exc))
            return
        if ids is None or scan.string != ids["string"] or scan.site != self.site:
            self._refuse(message, f"payload is of {scan.site[:32]}/{scan.string[:32]}")
            return
        self.recorder.box.put(scan)

    def impedance(self, message: Incoming) -> None:
        """Take an impedance sweep."""
        self._take(message, ImpedanceSweep)

    def event(self, message: Incoming) -> None:
        """Take an event of any service."""
        self._take(message, Event)

    def balance(self, message: Incoming) -> None:
        """Take a state of balancing; what a cleared topic leaves is none."""
        if not message.payload:
            return
        ids = BALANCE.match(message.topic)
        try:
            state = decode(BalanceState, message.payload)
        except PayloadRefusedError as exc:
            self._refuse(message, str(exc))
            return
        if ids is None or state.string != ids["string"]:
            self._refuse(message, f"payload is of {state.string}")
        elif self.sieve.keeps(state):
            self.recorder.log_box.put(balance_row(state))

    def _take(self, message: Incoming, model: type[ImpedanceSweep] | type[Event]) -> None:
        try:
            self.recorder.log_box.put(decode(model, message.payload))
        except PayloadRefusedError as exc:
            self._refuse(message, str(exc))

    def _refuse(self, message: Incoming, why: str) -> None:
        self.refusals.add(message.topic, why)


def new_life(change: Change) -> Notice:
    """Return what the log book is told of a unit that was replaced."""
    text = f"cell {change.cell} of {change.string} is in its life {change.life} from now on, as site.toml says"
    return Notice("cell.new_life", "info", text, change.string)


def receipt_giver(site: str, session: Session, clock: Clock) -> Callable[[Receipt], None]:
    """Return how a receipt is published; while the link is down it is left to `on_link`."""

    def give(receipt: Receipt) -> None:
        payload = StoredReceipt(
            string=receipt.string, stream=receipt.stream, seq=receipt.seq, at=from_ms(clock.now_ms())
        )
        topic = STORED.topic(site=site, string=receipt.string)
        session.publish(topic, encode(payload), qos=STORED.qos, retain=STORED.retain)

    return give


def open_store(settings: HistorianSettings, site: str) -> Store:
    """Open the store that the settings choose; what it keeps here lies below the service's folder.

    Raises:
        StartRefusedError: it cannot be used; the text says why.
    """
    try:
        if settings.store == "influx":
            return _influx_store(settings, site)
        options = EmbeddedOptions(reserve_bytes=settings.reserve_mb << 20, keep_days=settings.keep_days)
        return EmbeddedStore(settings.own_dir() / "history", site, options)
    except (HistorianError, OSError) as exc:
        raise StartRefusedError(str(exc)) from exc


def _influx_store(settings: HistorianSettings, site: str) -> InfluxStore:
    target = Target(settings.influx_url, settings.influx_org, settings.influx_token_file, settings.influx_database)
    wall = SystemClock()  # retention is the server's, which knows no scaled time
    return InfluxStore(site, InfluxOptions(target, settings.own_dir() / "influx", wall.now_ms))


def recorder_of(
    store: Store, site: str, clock: Clock, voice: ServiceVoice, writer: ThreadPoolExecutor, lives: LivesOf
) -> Recorder:
    """Return the write side; it goes on from what the store has once that can be asked."""
    return Recorder(
        store=store,
        lives=lives,
        clock=clock,
        voice=voice,
        give=receipt_giver(site, voice.session, clock),
        writer=writer,
    )


async def run(settings: ServiceSettings) -> None:
    """Run the historian until a signal."""
    if not isinstance(settings, HistorianSettings):
        raise StartRefusedError("historian was started with the settings of another service")
    described = settings.load_site()
    site = described.site.id
    clock = settings.make_clock()
    lives, changes = lives_of(settings.own_dir(), described, clock.now_ms())
    voice = open_voice(settings, site, clock, keep_session=True)
    store = open_store(settings, site)
    with ThreadPoolExecutor(1, "store-writer") as writer, ThreadPoolExecutor(1, "store-upkeep") as worker:
        try:
            recorder = recorder_of(store, site, clock, voice, writer, lives.of)
            for change in changes:
                recorder.say(new_life(change))
            inlet = Inlet(site, recorder)
            inlet.subscribe(voice.session)
            voice.session.on_link(recorder.give_standing)
            api = _api_of(store, clock, voice, recorder, inlet)

            sys.setswitchinterval(SWITCH_S)
            gc.freeze()  # what was imported stays: a full collection would walk it for 20 ms each time

            jobs = {
                "begin": recorder.begin(),
                "record-scans": recorder.record_scans(),
                "record-log": recorder.record_log(),
                "upkeep": keep_up(store, worker, recorder),
            }
            if settings.http_port:
                jobs["api"] = serve_api(api, settings.http_port)
            await run_until_signal(voice, lambda: _side_by_side(jobs))
        finally:
            writer.shutdown(wait=True)
            worker.shutdown(wait=True)
            store.close()


def _api_of(store: Store, clock: Clock, voice: ServiceVoice, recorder: Recorder, inlet: Inlet) -> FastAPI:
    metrics = Metrics()
    gauges = Gauges(metrics, store, recorder, inlet_refused=lambda: inlet.refusals.count)
    return make_api(store, clock, metrics.registry, gauges.refresh, is_ready=lambda: voice.session.is_up)


async def _side_by_side(jobs: Mapping[str, Coroutine[None, None, None]]) -> None:
    """Run all jobs until one fails or all are cancelled; the first refusal to start is told as itself."""
    try:
        async with asyncio.TaskGroup() as tasks:
            for name, job in jobs.items():
                tasks.create_task(job, name=name)
    except* StartRefusedError as refusals:
        raise refusals.exceptions[0] from None


def main() -> int:
    """Run as a process; return the exit code."""
    return serve(HistorianSettings, SERVICE, run)
