"""Composition root: strings, memory, session and desk, put together and run until a signal."""

import asyncio
from contextlib import nullcontext
from typing import Final

import structlog
from cellkeeper.contract.commands import BALANCER_COMMANDS
from cellkeeper.contract.site import Site
from cellkeeper.runtime.answering import CommandDesk
from cellkeeper.runtime.clock import Clock
from cellkeeper.runtime.command_gate import CommandGate
from cellkeeper.runtime.errors import StartRefusedError
from cellkeeper.runtime.metrics import HealthPage, Metrics
from cellkeeper.runtime.seen_commands import SeenCommands
from cellkeeper.runtime.service import ServiceVoice, open_voice, run_until_signal, serve
from cellkeeper.runtime.settings import ServiceSettings

from balancer.asked import Requests
from balancer.balancer import Balancer
from balancer.errors import StateUnreadableError
from balancer.gauges import Gauges
from balancer.memory_file import MemoryFile
from balancer.rules import packs_of
from balancer.settings import BalancerSettings
from balancer.string_loop import StringLoop

SERVICE: Final = "balancer"

log = structlog.get_logger()


def loops_of(site: Site) -> dict[str, StringLoop]:
    """Return a control loop for every string of the site, also for those that nobody balances: they say so."""
    return {string.id: StringLoop(packs_of(site, string)) for string in site.string}


def compose(site: Site, settings: BalancerSettings, voice: ServiceVoice, clock: Clock) -> tuple[Balancer, CommandDesk]:
    """Return the balancer and its desk, not yet running."""
    loops = loops_of(site)
    memory = MemoryFile(settings.own_dir() / "learned.json")
    try:
        anew = memory.read_into(loops)
    except StateUnreadableError as exc:
        voice.event("balance.memory_lost", "warning", f"{exc}; every string begins anew")
        anew = []
    for string in anew:
        log.info("balance.anew", string=string)
    balancer = Balancer(
        site=site,
        loops=loops,
        gateway_of={string.id: site.gateway_of(string) for string in site.string},
        clock=clock,
        voice=voice,
        memory=memory,
        save_s=settings.save_s,
    )
    balancer.subscribe()
    seen = SeenCommands(settings.own_dir() / "seen-commands")
    desk = CommandDesk(
        site=site.site.id,
        service=voice.service,
        session=voice.session,
        clock=clock,
        gate=CommandGate(seen.read()),
        memory=seen,
        models=BALANCER_COMMANDS,
        act=Requests(loops=loops, clock=clock, voice=voice, save=balancer.save).act,
    )
    return balancer, desk


async def run(settings: ServiceSettings) -> None:
    """Run the balancer until a signal."""
    if not isinstance(settings, BalancerSettings):
        raise StartRefusedError("balancer was started with the settings of another service")
    site, clock = settings.load_site(), settings.make_clock()
    voice = open_voice(settings, site.site.id, clock)
    balancer, desk = compose(site, settings, voice, clock)
    metrics = Metrics()
    balancer.on_tend = Gauges(metrics, balancer).update
    page = HealthPage(metrics, lambda: voice.session.is_up, settings.http_port) if settings.http_port else None

    async def work() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(balancer.run(), name="watch")
            tasks.create_task(desk.run(), name="commands")

    with page or nullcontext():
        await run_until_signal(voice, work)


def main() -> int:
    """Run as a process; return the exit code."""
    return serve(BalancerSettings, SERVICE, run)
