"""Composition root: rules, memory, estimators, session and papers, put together and run until a signal."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Final

import structlog
from cellkeeper import __version__
from cellkeeper.contract.battery_type import BatteryType, load_batteries
from cellkeeper.contract.commands import ANALYTICS_COMMANDS
from cellkeeper.contract.moment import from_ms
from cellkeeper.contract.site import Site
from cellkeeper.contract.table_file import TableFileError
from cellkeeper.runtime.answering import CommandDesk
from cellkeeper.runtime.clock import Clock
from cellkeeper.runtime.command_gate import CommandGate
from cellkeeper.runtime.errors import StartRefusedError
from cellkeeper.runtime.metrics import HealthPage, Metrics
from cellkeeper.runtime.refusals import RefusalLog
from cellkeeper.runtime.seen_commands import SeenCommands
from cellkeeper.runtime.service import ServiceVoice, open_voice, run_until_signal, serve
from cellkeeper.runtime.settings import ServiceSettings

from analytics.analytics import Analytics
from analytics.asked import Requests
from analytics.belongings import brought
from analytics.catching_up import CatchUp
from analytics.cell_book import CellBook
from analytics.cell_telling import CellTelling
from analytics.cells import Cells
from analytics.dossier.context import DossierContext, Sensor
from analytics.engine import Engine
from analytics.errors import MemoryUnreadableError
from analytics.estimating import Memory
from analytics.gauges import Gauges
from analytics.intake import Intake
from analytics.late_scans import LateScans
from analytics.ledger_file import FILE as LEDGER
from analytics.log_book import LogBook
from analytics.memory_file import MemoryFile
from analytics.older_memories import completed
from analytics.papers import Papers
from analytics.settings import AnalyticsSettings
from analytics.site_rules import SiteRules, layout_of
from analytics.telling import Pace, Telling

SERVICE: Final = "analytics"
MEMORY: Final = "learned.ckm"

log = structlog.get_logger()


def batteries_of(site: Site, site_file: Path) -> Mapping[str, BatteryType]:
    """Return the battery types that a site names.

    Raises:
        StartRefusedError: a file is missing or impossible; the text says what to do.
    """
    try:
        return load_batteries(site, site_file.resolve().parent)
    except TableFileError as exc:
        raise StartRefusedError(str(exc)) from exc


def recalled(rules: SiteRules, file: MemoryFile, voice: ServiceVoice, clock: Clock) -> Memory:
    """Return what was learned, in today's shape; what cannot be read or has no place begins anew, is told, and kept."""
    empty = Memory.empty(rules)
    try:
        found = file.read(empty, rules.layout)
    except MemoryUnreadableError as exc:
        voice.event("estimate.memory_lost", "warning", f"{exc}; every string begins anew; {_aside(file, clock)}")
        return empty
    for string in found.strings_anew:
        log.info("estimate.anew", string=string)
    memory = completed(found.memory, rules.layout).without(found.strings_anew)
    if not found.parts_anew and not found.strings_lost:
        return memory
    kept = _aside(file, clock)
    for part in found.parts_anew:
        voice.event("estimate.memory_lost", "warning", f"{file.path}: {part}; this part begins anew; {kept}")
    for string in found.strings_lost:
        text = f"site.toml has no string {string} with the units it had: what was learned of them begins anew"
        voice.event("estimate.anew", "warning", f"{text}; {kept}", string=string)
    return memory


def _aside(file: MemoryFile, clock: Clock) -> str:
    """Keep a copy of a memory that is about to be written over; return in words where."""
    copy = file.set_aside(from_ms(clock.now_ms()).strftime("%Y%m%dT%H%M%SZ"))
    return f"what there was is in {copy}" if copy is not None else "there was no room to keep what there was"


def running_at(memory: Memory) -> frozenset[int]:
    """Return the places of strings whose discharge was under way when the memory was written."""
    return frozenset(place for place, each in enumerate(memory.recorder.strings) if each.running is not None)


def context_of(site: Site, batteries: Mapping[str, BatteryType], timezone: str) -> Callable[[str], DossierContext]:
    """Return what gives the papers of a string its battery and surroundings."""
    strings = {string.id: string for string in site.string}

    def of(name: str) -> DossierContext:
        string, battery = strings[name], batteries.get(name)
        end_v = string.end_v if string.end_v is not None else string.profile.cutoff_v
        return DossierContext(
            site=site.site.id,
            site_name=site.site.name,
            string_name=string.name or string.id,
            chemistry=string.chemistry,
            battery_type="" if battery is None else battery.name,
            rated_ah=string.rated_ah,
            rate_h=string.rate_h,
            ref_degc=string.ref_degc,
            end_v=end_v * string.cells_per_unit,
            cells_per_unit=string.cells_per_unit,
            sensors=tuple(
                Sensor(
                    each.kind,
                    "degC" if each.kind == "ambient" else "V" if each.kind == "string_voltage" else "A",
                    each.range_v if each.kind == "string_voltage" else each.range_a,
                    each.accuracy,
                )
                for each in string.sensor
            ),
            software=f"Cellkeeper {__version__}",
            timezone=timezone,
            resolution_v=string.resolution_v,
        )

    return of


def compose(
    site: Site, settings: AnalyticsSettings, voice: ServiceVoice, clock: Clock
) -> tuple[Analytics, CommandDesk]:
    """Return the analytics and their desk, not yet running; raises StartRefusedError."""
    batteries = batteries_of(site, settings.site_file)
    book = CellBook.opened(site, settings.own_dir() / LEDGER, clock, voice)
    cells = Cells.of(layout_of(site), book.ledger)
    rules = SiteRules.of(site, batteries, cells)
    memory = MemoryFile(settings.own_dir() / MEMORY)
    papers = Papers(
        folder=settings.own_dir(),
        context_of=context_of(site, batteries, settings.dossier_timezone),
        voice=voice,
        keep=settings.keep_events,
        draws=settings.dossier,
    )
    refusals = RefusalLog()
    engine = Engine(rules, brought(recalled(rules, memory, voice, clock), cells, rules.layout).memory)
    pace, layout = Pace(site.site.refresh_s, site.site.stale_after_s), rules.layout
    many = len(layout.strings)
    analytics = Analytics(
        site=site,
        engine=engine,
        clock=clock,
        voice=voice,
        memory=memory,
        papers=papers,
        book=book,
        late=LateScans(
            site=site.site.id,
            catch_up=CatchUp(engine, rules.bleed_a),
            voice=voice,
            papers=papers,
            refusals=refusals,
        ),
        refusals=refusals,
        save_s=settings.save_s,
        intake=Intake(layout, rules.bleed_a),
        telling=Telling(layout, dict(rules.not_validated), pace),
        cells={
            string.id: CellTelling(string.cells, site.site.refresh_s, (place + 0.5) / many)
            for place, string in enumerate(site.string)
        },
        log_book=LogBook(layout, voice, running_at(engine.memory)),
    )
    analytics.subscribe()
    return analytics, desk_of(analytics, settings)


def desk_of(analytics: Analytics, settings: AnalyticsSettings) -> CommandDesk:
    """Return where the analytics are asked."""
    seen = SeenCommands(settings.own_dir() / "seen-commands")
    return CommandDesk(
        site=analytics.site.site.id,
        service=analytics.voice.service,
        session=analytics.voice.session,
        clock=analytics.clock,
        gate=CommandGate(seen.read()),
        memory=seen,
        models=ANALYTICS_COMMANDS,
        act=Requests(analytics=analytics, clock=analytics.clock, voice=analytics.voice).act,
    )


async def run(settings: ServiceSettings) -> None:
    """Run the analytics until a signal."""
    if not isinstance(settings, AnalyticsSettings):
        raise StartRefusedError("analytics was started with the settings of another service")
    site, clock = settings.load_site(), settings.make_clock()
    voice = open_voice(settings, site.site.id, clock)
    analytics, desk = compose(site, settings, voice, clock)
    metrics = Metrics()
    analytics.on_tend = Gauges(metrics, analytics).update
    page = HealthPage(metrics, lambda: voice.session.is_up, settings.http_port) if settings.http_port else None

    async def work() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(analytics.run(), name="watch")
            tasks.create_task(analytics.papers.run(), name="papers")
            tasks.create_task(desk.run(), name="commands")
            tasks.create_task(analytics.late.run(), name="late scans")

    with page or nullcontext():
        await run_until_signal(voice, work)


def main() -> int:
    """Run as a process; return the exit code."""
    return serve(AnalyticsSettings, SERVICE, run)
