"""`cellkeeper twin ...`: run the twin, and tell a running one what to do."""

import json
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from cellkeeper.runtime.errors import RuntimeProblemError

from twin import control
from twin.errors import TwinError
from twin.faults import KINDS
from twin.main import run_in_foreground
from twin.script.scenario import SHIPPED, load_scenario
from twin.script.trace_options import KEYS
from twin.settings import TwinSettings

FAILED: Final = 1

app = typer.Typer(help="The battery-room twin: run it, break things in it.", no_args_is_help=True)

StringOption = Annotated[str | None, typer.Option("--string", help="id of a string")]
CellOption = Annotated[int | None, typer.Option("--cell", help="1-based position of a unit")]
BusOption = Annotated[str | None, typer.Option("--bus", help="id of a bus")]
Reply = dict[str, Any]


@app.command("run")
def run_command(
    site: Annotated[Path | None, typer.Option("--site", help="site.toml")] = None,
    trace: Annotated[
        list[str] | None,
        typer.Option("--trace", help=f"recording to follow: string=s1,cell=1,file=x.csv,...; keys: {', '.join(KEYS)}"),
    ] = None,
    scenario: Annotated[str | None, typer.Option("--scenario", help="name, or file.toml")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="of all chance")] = None,
    *,
    paced: Annotated[bool, typer.Option(help="give bytes when the wire would have delivered them")] = True,
) -> None:
    """Run the twin of a site in the foreground until Ctrl-C."""
    asked = {
        "CELLKEEPER_SITE_FILE": str(site) if site else None,
        "CELLKEEPER_TWIN_TRACES": ";".join(trace) if trace else None,
        "CELLKEEPER_SCENARIO": scenario,
        "CELLKEEPER_TWIN_SEED": None if seed is None else str(seed),
        "CELLKEEPER_TWIN_PACE": None if paced else "false",
    }
    raise typer.Exit(run_in_foreground({name: value for name, value in asked.items() if value is not None}))


@app.command("fault", help=f"Begin a fault, or `clear`. Kinds: {', '.join(KINDS)}.")
def fault_command(  # noqa: PLR0913, PLR0917  # each is an option that a person may give
    kind: Annotated[str, typer.Argument(help="kind of fault, or clear")],
    string: StringOption = None,
    cell: CellOption = None,
    bus: BusOption = None,
    value: Annotated[float | None, typer.Option("--value", help="size of the fault, by its kind")] = None,
    seconds: Annotated[float | None, typer.Option("--seconds", help="ends by itself after this")] = None,
    over: Annotated[float, typer.Option("--over", help="seconds over which a physical fault grows")] = 0.0,
    only: Annotated[str, typer.Option("--only", help="with clear: this kind alone")] = "all",
    number: Annotated[int | None, typer.Option("--number", help="with clear: this fault alone")] = None,
) -> None:
    """Begin a fault, or end faults with `clear` and what they have to match."""
    place = {"string": string, "cell": cell, "bus": bus}
    if kind == "clear":
        cleared = _ask({"do": "clear", "number": number, "fault": {"kind": only, **place}})["cleared"]
        typer.echo(f"cleared {len(cleared)}: {', '.join(map(str, cleared)) or 'none matched'}")
        return
    fault = {"kind": kind, **place, "value": value, "for_s": seconds, "over_s": over}
    typer.echo(f"fault {_ask({'do': 'fault', 'fault': fault})['number']} acts")


@app.command("status")
def status_command(
    *, as_json: Annotated[bool, typer.Option("--json", help="the whole answer as JSON")] = False
) -> None:
    """Say how the buses, the dc buses and the faults are."""
    found = _ask({"do": "status"})
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    typer.echo(f"{found['now']}  up {found['uptime_s']:.0f} s")
    for bus in found["buses"]:
        sweep = f"  sweep {1000 * bus['sweep_s']:.1f} ms of {bus['replies']}" if "sweep_s" in bus else ""
        use = f", {100 * bus['utilisation_frac']:.1f} % used" if sweep else ""
        gone = "" if bus["plugged"] else "  PORT AWAY"
        typer.echo(
            f"bus {bus['id']}: {bus['hearing']} of {bus['modules']} modules at {bus['baud']} Bd{sweep}{use}{gone}"
        )
    for dcbus in found["dcbuses"]:
        typer.echo(f"dc bus {dcbus['id']}: {dcbus['phase']}, {dcbus['v']:.2f} V, {dcbus['a']:+.2f} A")
    for fault in found["faults"]:
        where = " ".join(f"{key} {fault[key]}" for key in ("string", "cell", "bus", "value") if fault[key] is not None)
        typer.echo(f"fault {fault['number']}: {fault['kind']} {where}")
    for refused in found["refused"]:
        typer.echo(f"refused: {refused}")


@app.command("outage")
def outage_command(
    seconds: Annotated[float | None, typer.Option("--seconds", help="mains comes back after this")] = None,
    dcbus: Annotated[str | None, typer.Option("--dcbus", help="id of a dc bus; all without it")] = None,
) -> None:
    """Let mains fail."""
    _ask({"do": "outage", "seconds": seconds, "dcbus": dcbus})
    typer.echo("mains is away" + (f" for {seconds:g} s" if seconds else " until a scenario brings it back"))


@app.command("play")
def play_command(scenario: Annotated[str, typer.Argument(help="name, or file.toml")]) -> None:
    """Let a scenario happen from now on."""
    _ask({"do": "play", "scenario": scenario})
    typer.echo(f"{scenario} has begun")


@app.command("input")
def input_command(
    bus: Annotated[str, typer.Option("--bus", help="id of a bus")],
    address: Annotated[int, typer.Option("--address", help="of the AUX device")],
    number: Annotated[int, typer.Option("--number", help="input 1 to 4")],
    *,
    active: Annotated[bool, typer.Option("--on/--off", help="what it becomes")] = True,
) -> None:
    """Set an input of an AUX device."""
    _ask({"do": "input", "bus": bus, "address": address, "number": number, "active": active})
    typer.echo(f"input {number} is {'active' if active else 'idle'}")


@app.command("scenarios")
def scenarios_command() -> None:
    """List the scenarios that come with the twin."""
    for path in sorted(SHIPPED.glob("*.toml")):
        typer.echo(f"{path.stem:14} {load_scenario(path).title}")


def _ask(request: Reply) -> Reply:
    try:
        return control.ask(TwinSettings.from_environment(service="twin").own_dir(), request)
    except (TwinError, RuntimeProblemError) as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(FAILED) from exc
