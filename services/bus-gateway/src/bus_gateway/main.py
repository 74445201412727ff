"""The gateway's composition root: builds every part from settings and `site.toml`, and runs them."""

import secrets
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from random import SystemRandom
from typing import Final

from cellkeeper import __version__
from cellkeeper.contract.channels import MODE, PRESENCE
from cellkeeper.runtime.clock import Clock, SystemClock
from cellkeeper.runtime.errors import StartRefusedError
from cellkeeper.runtime.metrics import HealthPage, Metrics
from cellkeeper.runtime.service import ServiceVoice, open_voice, run_until_signal, serve
from cellkeeper.runtime.settings import ServiceSettings

from bus_gateway.downlink.actions import Actions
from bus_gateway.downlink.bleed_hold import BleedHolds
from bus_gateway.downlink.desk import command_desk
from bus_gateway.downlink.interlock import may_disturb
from bus_gateway.downlink.situation import Watchtower
from bus_gateway.driver import Driver, ImpedanceReadings
from bus_gateway.drivers.paths import open_paths
from bus_gateway.errors import GatewayError
from bus_gateway.gateway import Gateway, Grade, ReadPath
from bus_gateway.journal.book import JournalBook
from bus_gateway.journal.files import JournalFiles
from bus_gateway.journal.scan_keeper import KeeperLimits, ScanKeeper
from bus_gateway.kernel_time import always_synced, kernel_sync
from bus_gateway.line.line_configuring import Permit
from bus_gateway.place import Place
from bus_gateway.settings import GatewaySettings
from bus_gateway.timekeeping import Timekeeper
from bus_gateway.uplink.gauges import GatewayGauges
from bus_gateway.uplink.impedance_topic import show_impedance
from bus_gateway.uplink.retained import RetainedBoard, ShownFile
from bus_gateway.uplink.service_register import ServiceRegister
from bus_gateway.uplink.showcase import Showcase
from bus_gateway.uplink.uplink import Uplink, outlet_of

SERVICE: Final = "bus-gateway"

type PathsOf = Callable[[Callable[[], Awaitable[None]], Permit], tuple[Sequence[ReadPath], Mapping[str, Grade]]]
"""Given "wait until there is room" and "may modules be written to", returns what is read and how it is graded."""


def compose(place: Place, voice: ServiceVoice, clock: Clock, paths_of: PathsOf) -> Gateway:
    """Return a gateway, not yet running.

    Raises:
        JournalFullError: the journal's folder cannot be read.
        RecordingError: a recording cannot be replayed.
    """
    site, service = place.site, place.service
    session = voice.session
    board = RetainedBoard(session, site.site.stale_after_s)
    mine = [string for string in site.string if site.gateway_of(string) == service]
    outlets = {string.id: outlet_of(site.site, string) for string in mine}
    keeper = _keeper_of(place, voice)
    uplink = Uplink(
        site=site.site,
        session=session,
        keeper=keeper,
        board=board,
        clock=clock,
        outlets=outlets,
        backfill_per_s=place.backfill_per_s,
    )
    keeper.on_kept = uplink.on_kept
    tower = Watchtower(site=site, outlets=outlets, clock=clock)
    paths, grades = paths_of(uplink.room, lambda strings: may_disturb(strings, tower.around(strings)) is None)
    session.subscribe(MODE.filter(site=site.site.id), tower.on_mode)

    def on_impedance(found: ImpedanceReadings) -> None:
        show_impedance(found, site.site, tower, outlets[found.string], session)

    lines_of = {string.id: frozenset(run.bus for run in string.modules) for string in mine}
    actions = Actions(
        drivers=_driver_by_bus(paths),
        tower=tower,
        holds=BleedHolds(lines_of),
        clock=clock,
        on_impedance=on_impedance,
    )
    downlink = command_desk(site.site.id, service, session, clock, place.folder / "seen-commands", actions)
    register = ServiceRegister([table.service for table in site.gateway], service, __version__)
    session.subscribe(PRESENCE.filter(site=site.site.id), register.on_presence)
    showcase = Showcase(
        site=site,
        service=service,
        board=board,
        file=ShownFile(place.folder / "shown-topics.json"),
        drivers=[path.driver for path in paths],
        tower=tower,
        register=register,
        clock=clock,
    )
    session.on_link(uplink.link_up)
    session.on_link(board.link_up)
    gateway = Gateway(
        paths=paths,
        grade=grades,
        keeper=keeper,
        uplink=uplink,
        downlink=downlink,
        actions=actions,
        showcase=showcase,
        voice=voice,
        timekeeper=Timekeeper(_last_times(keeper.book)),
        kernel_sync=kernel_sync if isinstance(clock, SystemClock) else always_synced,
        clock=clock,
    )
    keeper.say = gateway.say
    return gateway


def _keeper_of(place: Place, voice: ServiceVoice) -> ScanKeeper:
    files = JournalFiles(place.folder / "journal")
    return ScanKeeper(
        site=place.site.site.id,
        files=files,
        recovered=files.recover(),
        limits=KeeperLimits(place.journal_bytes, place.memory_bytes),
        new_stream=lambda: secrets.token_hex(4),
        on_kept=lambda _scans: None,
        say=lambda notice: voice.event(notice.kind, notice.severity, notice.text),
    )


def _last_times(book: JournalBook) -> dict[str, int]:
    return {string: at.measured_ms for string, at in book.positions.items() if at.measured_ms is not None}


def _driver_by_bus(paths: Sequence[ReadPath]) -> dict[str, Driver]:
    return {bus: path.driver for path in paths for bus in path.buses}


async def run(settings: ServiceSettings) -> None:
    """Run the gateway that the settings describe until a signal ends it.

    Raises:
        StartRefusedError: `site.toml` does not know this gateway, or the journal or a recording cannot be used.
    """
    assert isinstance(settings, GatewaySettings)
    site, clock = settings.load_site(), settings.make_clock()
    if settings.service not in {table.service for table in site.gateway}:
        raise StartRefusedError(f"{settings.site_file} has no [[gateway]] with service = {settings.service!r}")
    voice = open_voice(settings, site.site.id, clock)
    place = Place(site, settings.service, settings.own_dir(), settings.backfill_per_s, settings.journal_memory_mb)
    gateway = start_or_refuse(place, voice, clock, settings.site_file.parent)
    metrics = Metrics()
    gateway.on_tend = GatewayGauges(metrics, gateway).update
    page = HealthPage(metrics, lambda: voice.state == "ready", settings.http_port) if settings.http_port else None
    with page or nullcontext():
        await run_until_signal(voice, gateway.run)


def start_or_refuse(place: Place, voice: ServiceVoice, clock: Clock, files_in: Path) -> Gateway:
    """Return the gateway for the buses of `site.toml`; raises StartRefusedError with what to do.

    Args:
        place: site, service and state.
        voice: its voice.
        clock: event time.
        files_in: folder that names of recorded files are relative to.
    """
    try:
        return compose(place, voice, clock, partial(open_paths, place, clock, files_in, SystemRandom()))
    except GatewayError as exc:
        raise StartRefusedError(str(exc)) from exc


def main() -> None:
    """Run as a process: `python -m bus_gateway`."""
    sys.exit(serve(GatewaySettings, SERVICE, run))
