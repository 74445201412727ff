"""`cellkeeper test …`: say that a discharge test of a string begins or is over. Nothing is switched by it."""

import asyncio
from pathlib import Path
from typing import Annotated, Final

import typer
from cellkeeper.contract.channels import MODE
from cellkeeper.contract.commands import MAX_TEST_S
from cellkeeper.contract.moment import seconds_of
from cellkeeper.contract.telemetry import StringMode
from cellkeeper.contract.wire import PayloadRefusedError, decode
from cellkeeper.runtime.asking import asking
from cellkeeper.runtime.session import Incoming
from cellkeeper.runtime.wishing import Reach, reach_of

from analytics.hands_on.options import FAILED, Host, Port, SiteFile, StringName, parsed, string_cells, wished

MODES_WAIT_S: Final = 1.5  # what a broker keeps of a site arrives within 0.1 s
LOOK: Final = "cellkeeper test status"

test = typer.Typer(help="Discharge tests: announce one, end it, and what each string does.", no_args_is_help=True)


@test.command("start")
def start(  # the options of a command line
    string: StringName,
    method: Annotated[str, typer.Option(help="what is done, for log book and dossier: 'capacity, 3 h to 1.80 V'")],
    length: Annotated[str, typer.Option("--for", help="planned length of time, the longest it may take: 90min, 8h")],
    site: SiteFile = Path("site.toml"),
    host: Host = "127.0.0.1",
    port: Port = 1883,
) -> None:
    """Say that a test begins now. You, or the UPS, bring the load; this switches nothing."""
    reach, planned_s = reach_of(site, host, port), parsed("--for", seconds_of, length)
    string_cells(reach, string)
    if not 60.0 <= planned_s <= MAX_TEST_S:
        raise typer.BadParameter(f"--for is 1min at least and {MAX_TEST_S / 86_400.0:g}d at most")
    if not 3 <= len(method) <= 120:
        raise typer.BadParameter("--method has 3 to 120 characters")
    done = f"a test of {string} is announced for {length} at most: {method}; nothing was switched"
    wished(reach, "announce_test", done, LOOK, string=string, method=method, planned_s=planned_s)


@test.command("stop")
def stop(string: StringName, site: SiteFile = Path("site.toml"), host: Host = "127.0.0.1", port: Port = 1883) -> None:
    """Say that the announced test of a string is over; it also ends with its discharge, and after its planned time."""
    reach = reach_of(site, host, port)
    string_cells(reach, string)
    wished(reach, "end_test", f"the test of {string} is announced no more", LOOK, string=string)


@test.command("status")
def status(site: SiteFile = Path("site.toml"), host: Host = "127.0.0.1", port: Port = 1883) -> None:
    """Show what each string does, and why that is believed."""
    reach = reach_of(site, host, port)
    modes = asyncio.run(_modes(reach))
    for string in reach.site.string:
        told = modes.get(string.id)
        typer.echo(f"{string.id}: nobody speaks of it" if told is None else f"{string.id}: {told.mode}, {told.why}")
    if len(modes) < len(reach.site.string):
        typer.echo("do the analytics run? cellkeeper doctor", err=True)
        raise typer.Exit(FAILED)


async def _modes(reach: Reach) -> dict[str, StringMode]:
    """Return the newest mode of each string; raises NobodyThereError when no broker answers."""
    found: dict[str, StringMode] = {}
    wanted = {string.id for string in reach.site.string}
    complete = asyncio.Event()

    def take(message: Incoming) -> None:
        try:
            told = decode(StringMode, message.payload)
        except PayloadRefusedError:
            return
        found[told.string] = told
        if wanted <= found.keys():
            complete.set()

    async with asking(reach.broker, reach.site.site.id, reach.clock, {MODE.filter(site=reach.site.site.id): take}):
        try:
            async with asyncio.timeout(MODES_WAIT_S):
                await complete.wait()
        except TimeoutError:
            pass  # what came is what there is; the caller sees which strings are missing
    return {name: told for name, told in found.items() if name in wanted}
