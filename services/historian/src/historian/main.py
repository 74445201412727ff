"""Composition root: store, intake, session and API, put together and run until a signal."""

import asyncio
import gc
import sys
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from cellkeeper.contract.channels import STORED
from cellkeeper.contract.moment import from_ms
from cellkeeper.contract.telemetry import StoredReceipt
from cellkeeper.contract.wire import encode
from cellkeeper.runtime.clock import Clock, SystemClock
from cellkeeper.runtime.errors import StartRefusedError
from cellkeeper.runtime.metrics import Metrics
from cellkeeper.runtime.service import ServiceVoice, open_voice, run_until_signal, serve
from cellkeeper.runtime.session import Session
from cellkeeper.runtime.settings import ServiceSettings
from fastapi import FastAPI

from historian.api import make_api
from historian.api_server import serve_api
from historian.errors import HistorianError
from historian.gauges import Gauges
from historian.inlet import Inlet
from historian.intake import LivesOf
from historian.life_file import lives_of
from historian.lives import Change
from historian.receipts import Receipt
from historian.recorder import Recorder, keep_up
from historian.settings import HistorianSettings
from historian.stores.embedded.options import EmbeddedOptions
from historian.stores.embedded.store import EmbeddedStore
from historian.stores.port import Notice, Store

SERVICE: Final = "historian"
SWITCH_S: Final = 0.001  # a scan that arrives waits no longer for a thread that packs or computes


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


def _influx_store(settings: HistorianSettings, site: str) -> Store:
    # A site with files needs no client of a server, which takes a quarter of the service's start and its memory.
    from historian.stores.influx.options import InfluxOptions  # noqa: PLC0415
    from historian.stores.influx.server import Target  # noqa: PLC0415
    from historian.stores.influx.store import InfluxStore  # noqa: PLC0415

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
            inlet = Inlet(site, recorder, lives.of)
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
