"""The one command line. Exit codes: 0 ok, 1 failed, 2 used wrongly, 130 Ctrl-C.

Services add commands by entry points of the group `cellkeeper.commands`: the name is the command's, the value a
`typer.Typer` (a group) or a function (one command). Each is loaded only when it is asked for, so a broken one costs one
line and never the other commands.
"""

import os
import sys
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

import typer
from typer import core as typer_core

from cellkeeper.cli.certificates import certificates
from cellkeeper.cli.demo import demo
from cellkeeper.cli.doctor import doctor
from cellkeeper.cli.home_assistant import home_assistant
from cellkeeper.cli.init import init
from cellkeeper.cli.readers import readers
from cellkeeper.cli.up import up
from cellkeeper.cli.validate import validate
from cellkeeper.cli.watch import watch
from cellkeeper.contract.site_file import SiteFileError
from cellkeeper.runtime.errors import RuntimeProblemError

COMMANDS_GROUP: Final = "cellkeeper.commands"
OK: Final = 0
FAILED: Final = 1

OWN_COMMANDS: Final = (init, validate, up, watch, doctor, demo, home_assistant)
OWN_GROUPS: Final = (readers, certificates)


class PlugInError(RuntimeProblemError):
    """A service's command cannot be loaded: the text says which and why."""


class Frame(typer_core.TyperGroup):
    """The command group that finds services' commands when they are asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401  # click's context, whichever click typer brings
        """Return every command's name, own ones first."""
        own = super().list_commands(ctx)
        return own + sorted(set(_plug_ins()) - set(own))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401  # as above
        """Return a command; None when nobody has it. A broken one says so in the list and when it is used."""
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        entry = _plug_ins().get(cmd_name)
        if entry is None:
            return None
        try:
            return _command_of(entry)
        except PlugInError as exc:
            return _broken(exc, cmd_name)


app = typer.Typer(
    name="cellkeeper",
    cls=Frame,
    help="Cellkeeper reads every cell of a battery room, publishes, stores and shows it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _own in OWN_COMMANDS:
    app.command()(_own)
for _group in OWN_GROUPS:
    app.add_typer(_group)


@app.callback()
def _frame() -> None:
    """Cellkeeper reads every cell of a battery room, publishes, stores and shows it."""


def _plug_ins() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=COMMANDS_GROUP)}


def _command_of(entry: EntryPoint) -> Any:  # noqa: ANN401  # click's command
    try:
        found = entry.load()
    except ModuleNotFoundError as exc:
        raise PlugInError(_what_is_missing(entry, exc)) from exc
    except Exception as exc:  # somebody else's code at import: whatever it is, it is one line here
        reason = f"{type(exc).__name__}: {exc}".splitlines()[0][:200]
        raise PlugInError(f"command {entry.name!r} is broken ({entry.value}): {reason}") from exc
    if isinstance(found, typer.Typer):
        command = typer.main.get_command(found)
    elif callable(found):
        single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        single.command(name=entry.name)(found)
        command = typer.main.get_command(single)
    else:
        raise PlugInError(f"command {entry.name!r} is broken ({entry.value}): neither a typer.Typer nor a function")
    command.name = entry.name
    return command


def _what_is_missing(entry: EntryPoint, exc: ModuleNotFoundError) -> str:
    extras = entry.dist.metadata.get_all("Provides-Extra", []) if entry.dist else []
    if entry.dist is None or entry.name not in extras:
        return f"command {entry.name!r} is broken ({entry.value}): {type(exc).__name__}: {exc}"
    return (
        f"command {entry.name!r} needs {exc.name}, which this installation leaves out; use one that has "
        f"{entry.dist.name}[{entry.name}]"
    )


def _broken(problem: PlugInError, name: str) -> Any:  # noqa: ANN401  # click's command
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    anything = {"ignore_unknown_options": True, "allow_extra_args": True}

    @single.command(name=name, help=f"NOT USABLE: {problem}", context_settings=anything)
    def told() -> None:
        raise problem

    return typer.main.get_command(single)


def run(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code; what a person must know is one line on standard error."""
    try:
        app(args=arguments)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else OK
    except (RuntimeProblemError, SiteFileError) as exc:
        sys.stderr.write(f"cellkeeper: {exc}\n")
        return FAILED
    except BrokenPipeError:  # the reader of our output has gone: `cellkeeper watch --once | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    return OK
