"""Options that commands of this package share, and how the end of a wish is told."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from cellkeeper.runtime.wishing import Reach, told_outcome, wish

ANALYTICS: Final = "analytics"
FAILED: Final = 1

SiteFile = Annotated[Path, typer.Option("--site", envvar="CELLKEEPER_SITE_FILE", help="the site's description")]
Host = Annotated[str, typer.Option("--host", envvar="CELLKEEPER_MQTT_HOST", help="the broker")]
Port = Annotated[int, typer.Option("--port", envvar="CELLKEEPER_MQTT_PORT", help="the broker's port")]
StringName = Annotated[str, typer.Argument(metavar="STRING", help="id of the string in site.toml")]


def string_cells(reach: Reach, name: str) -> int:
    """Return how many cells a string has; a usage error when the site has no such string."""
    found = next((string for string in reach.site.string if string.id == name), None)
    if found is None:
        there = ", ".join(string.id for string in reach.site.string)
        raise typer.BadParameter(f"site.toml has no string {name!r}; there are {there}")
    return found.cells


def parsed[T](option: str, parse: Callable[[str], T], text: str) -> T:
    """Return what `parse` makes of a text; its ValueError is a usage error of the option."""
    try:
        return parse(text)
    except ValueError as exc:
        raise typer.BadParameter(f"{option}: {exc}") from exc


def wished(reach: Reach, name: str, done: str, look: str, **fields: Any) -> None:  # noqa: ANN401  # the command's own
    """Ask the analytics for something and tell how that ended; exit code 1 when it was not done."""
    outcome = asyncio.run(wish(reach, ANALYTICS, name, **fields))
    is_done, text = told_outcome(outcome, done, look)
    typer.echo(text, err=not is_done)
    if not is_done:
        raise typer.Exit(FAILED)
