"""The gateway's commands of the one command line: `scan`, `modules …`, `replay`."""

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from cellkeeper.contract.outcomes import Applied, Outcome
from cellkeeper.contract.site_file import load_site
from cellkeeper.runtime.address import address_for_people
from cellkeeper.runtime.logs import configure_logs
from cellkeeper.runtime.wishing import reach_of, told_outcome
from rich.console import Console
from rich.table import Table

from bus_gateway.hands_on.holding_ports import ask_modules, known_modules, next_scans, own_sweep
from bus_gateway.hands_on.replay_run import OWN_SITE, ReplayWish, replay_files
from bus_gateway.readings.scan_table import Sweep, scan_table

FAILED: Final = 1

SiteFile = Annotated[Path, typer.Option("--site", envvar="CELLKEEPER_SITE_FILE", help="the site's description")]
Host = Annotated[str, typer.Option("--host", envvar="CELLKEEPER_MQTT_HOST", help="the broker")]
Port = Annotated[int, typer.Option("--port", envvar="CELLKEEPER_MQTT_PORT", help="the broker's port")]
Bus = Annotated[str, typer.Argument(help="id of the bus in site.toml")]
Address = Annotated[int, typer.Argument(min=1, max=0xFFEF, help="address on the bus")]
Vouched = Annotated[bool, typer.Option("--not-on-battery", help="you looked: the strings are not on battery")]

modules = typer.Typer(help="Find, address and identify modules.", no_args_is_help=True)


def scan(site: SiteFile = Path("site.toml"), host: Host = "127.0.0.1", port: Port = 1883) -> None:
    """Show one sweep of everything: from the running gateway, else with the ports to ourselves."""
    reach = reach_of(site, host, port)
    console = Console()
    live = asyncio.run(next_scans(reach))
    if live is None:
        console.print("no gateway runs; reading the buses directly")
    scans: Sequence[Sweep] = live if live is not None else asyncio.run(own_sweep(reach))
    seen = {each.string for each in scans}
    for each in sorted(scans, key=lambda found: found.string):
        console.print(scan_table(each))
    missing = [string.id for string in reach.site.string if string.id not in seen]
    if missing:
        typer.echo(f"no scan of string {', '.join(missing)}", err=True)
        raise typer.Exit(FAILED)


@modules.command("search")
def search(bus: Bus, site: SiteFile = Path("site.toml"), host: Host = "127.0.0.1", port: Port = 1883) -> None:
    """Find modules without an address, and addresses that answer twice."""
    outcome = asyncio.run(ask_modules(reach_of(site, host, port), bus, "search_modules", vouched=False))
    found = (outcome.found or []) if isinstance(outcome, Applied) else []
    table = Table("uid", "address", "serial", "type", "firmware", "")
    for each in found:
        address = str(each.address) if each.address else "none"
        table.add_row(each.uid, address, each.serial, each.type, each.firmware, "twice" if each.duplicate else "")
    if found:
        Console().print(table)
    _end(outcome, f"{len(found)} found")


@modules.command("address")
def address(  # noqa: PLR0913, PLR0917  # the options of a command line
    bus: Bus,
    uid: Annotated[str, typer.Argument(help="unique id of the module, as search shows it")],
    new_address: Address,
    not_on_battery: Vouched = False,  # noqa: FBT002  # a flag of the command line
    site: SiteFile = Path("site.toml"),
    host: Host = "127.0.0.1",
    port: Port = 1883,
) -> None:
    """Give a module its address and confirm it."""
    if not re.fullmatch(r"[0-9a-f]{8,16}", uid.lower()):
        raise typer.BadParameter(
            f"{uid!r} is no unique id; `cellkeeper modules search {bus}` shows them in hexadecimal"
        )
    reach = reach_of(site, host, port)
    work = ask_modules(reach, bus, "assign_address", vouched=not_on_battery, uid=uid.lower(), address=new_address)
    _end(asyncio.run(work), f"module {uid} is at address {new_address} of bus {bus}")


@modules.command("clear")
def clear(  # the options of a command line
    bus: Bus,
    old_address: Address,
    not_on_battery: Vouched = False,  # noqa: FBT002  # a flag of the command line
    site: SiteFile = Path("site.toml"),
    host: Host = "127.0.0.1",
    port: Port = 1883,
) -> None:
    """Make the module at an address unaddressed."""
    work = ask_modules(reach_of(site, host, port), bus, "clear_address", vouched=not_on_battery, address=old_address)
    _end(asyncio.run(work), f"address {old_address} of bus {bus} is free")


@modules.command("identify")
def identify(  # the options of a command line
    bus: Bus,
    at: Address,
    on_s: Annotated[float, typer.Option("--seconds", min=0.0, max=600.0, help="how long; 0 ends it")] = 60.0,
    site: SiteFile = Path("site.toml"),
    host: Host = "127.0.0.1",
    port: Port = 1883,
) -> None:
    """Let the module at an address blink."""
    work = ask_modules(reach_of(site, host, port), bus, "identify_address", vouched=False, address=at, on_s=on_s)
    _end(asyncio.run(work), f"address {at} of bus {bus} blinks for {on_s:g} s" if on_s else "it blinks no more")


@modules.command("list")
def list_known(site: SiteFile = Path("site.toml"), host: Host = "127.0.0.1", port: Port = 1883) -> None:
    """Show every module that the running gateways know."""
    table = Table("bus", "address", "serial", "type", "firmware", "string", "cell", "LED", "resets", "")
    for each in asyncio.run(known_modules(reach_of(site, host, port))):
        flags = [name for name in ("silent", "fuse_open", "disconnected") if getattr(each, name)]
        place = (each.string or "", "" if each.cell is None else str(each.cell))
        table.add_row(
            each.bus,
            str(each.address),
            each.serial,
            each.type,
            each.firmware,
            *place,
            each.led,
            str(each.resets),
            ", ".join(flags),
        )
    Console().print(table)


def replay(  # noqa: PLR0913, PLR0917  # the options of a command line
    files: Annotated[list[Path], typer.Argument(help="CSV files, one unit each")],
    voltage_column: Annotated[str, typer.Option(help="name of the voltage column")] = "voltage",
    time_column: Annotated[str, typer.Option(help="name of the time column")] = "time",
    current_column: Annotated[str | None, typer.Option(help="name of the current column")] = None,
    temperature_column: Annotated[str | None, typer.Option(help="name of the temperature column")] = None,
    columns: Annotated[str | None, typer.Option(help="names, comma-separated, of a file without header")] = None,
    discharge_positive: Annotated[bool, typer.Option(help="the file counts discharge as positive")] = False,  # noqa: FBT002
    seconds: Annotated[bool, typer.Option("--seconds", help="time is in seconds, counted from --start-at")] = False,  # noqa: FBT002
    start_at: Annotated[str | None, typer.Option(help="instant of second 0, ISO 8601")] = None,
    delimiter: Annotated[str, typer.Option(help="between two fields")] = ",",
    strict: Annotated[bool, typer.Option("--strict", help="a bad row ends the replay")] = False,  # noqa: FBT002
    chemistry: Annotated[str, typer.Option(help="chemistry profile of the unit")] = "vrla_agm",
    cells_per_unit: Annotated[int, typer.Option(min=1, max=24, help="cells in series in the unit")] = 1,
    rated_ah: Annotated[float, typer.Option(min=0.001, help="rated capacity")] = 100.0,
    site: SiteFile = Path("site.toml"),
    site_id: Annotated[str | None, typer.Option(help="site id to publish under; default: that of --site")] = None,
    string_id: Annotated[str, typer.Option(help="string id; further files get -2, -3, …")] = "recording",
    state_dir: Annotated[Path, typer.Option(envvar="CELLKEEPER_STATE_DIR", help="journal of the replay")] = Path(
        "state"
    ),
    host: Host = "127.0.0.1",
    port: Port = 1883,
    wait_s: Annotated[float, typer.Option(help="real seconds to wait for the last receipts")] = 60.0,
) -> None:
    """Send recorded data through the gateway's own path into the running system: journal, scans, receipts."""
    configure_logs("cellkeeper", form="console", level="error")  # what a person asked for is on standard output
    if seconds and start_at is None:
        raise typer.BadParameter("--seconds counts from an instant: name it with --start-at 2026-01-01T00:00:00Z")
    wish = ReplayWish(
        files=files,
        table={
            "time_column": time_column,
            "voltage_column": voltage_column,
            "current_column": current_column,
            "temperature_column": temperature_column,
            "columns": columns.split(",") if columns else None,
            "current_sign": -1 if discharge_positive else 1,
            "time_format": "seconds" if seconds else "iso",
            "start_at": start_at,
            "delimiter": delimiter,
            "bad_rows": "fail" if strict else "skip",
        },
        string={"chemistry": chemistry, "cells_per_unit": cells_per_unit, "rated_ah": rated_ah},
        site_id=site_id or (load_site(site).site.id if site.exists() else OWN_SITE),
        string_id=string_id,
        state_dir=state_dir,
        broker=address_for_people(host, port),
        wait_s=wait_s,
    )
    report = asyncio.run(replay_files(wish))
    for line in report.lines:
        typer.echo(line)
    if report.failed:
        raise typer.Exit(FAILED)


def _end(outcome: Outcome, done: str) -> None:
    followed, told = told_outcome(outcome, done, "`cellkeeper modules list`")
    typer.echo(told, err=not followed)
    if not followed:
        raise typer.Exit(FAILED)
