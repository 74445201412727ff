"""`cellkeeper watch`: a live terminal view of all strings of a site."""

import asyncio
import os
import re
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console, RenderableType
from rich.live import Live

from cellkeeper.cli.site_feed import feeding
from cellkeeper.cli.site_view import SiteView
from cellkeeper.cli.suite_run import stop_on_signals, until
from cellkeeper.cli.watch_picture import Look, by_need, picture
from cellkeeper.contract.identity import ID_PATTERN
from cellkeeper.contract.site_file import load_site
from cellkeeper.runtime.session import Session

PICTURE_EVERY_S: Final = 0.5  # scans come once a second; a key is answered at once
FIRST_SCANS_DEADLINE_S: Final = 12.0  # the slowest scan is one in 10 s of event time
SETTLED_S: Final = 2.5  # after the first scan: two of every string, at the usual one per second


def watch(
    *,
    site: Annotated[
        str | None, typer.Option(help="site id, or the site's description; else --site-file, else the demo's id")
    ] = None,
    site_file: Annotated[
        Path, typer.Option(envvar="CELLKEEPER_SITE_FILE", help="where the site id is read from")
    ] = Path("site.toml"),
    host: Annotated[str, typer.Option(envvar="CELLKEEPER_MQTT_HOST", help="where the broker is")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(envvar="CELLKEEPER_MQTT_PORT", min=1, max=65_535, help="the broker's port")
    ] = 1883,
    string: Annotated[
        str | None, typer.Option(help="the string whose units are drawn; else the one that needs it")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="print one picture and end")] = False,
) -> None:
    """Show all strings live: volts, spread, coverage, ages, every unit's deviation, and what to look at first."""
    view = SiteView(site_id_of(site, site_file))
    asyncio.run(_print_once(view, host, port, string) if once else _show_live(view, host, port, string))


def site_id_of(told: str | None, otherwise: Path) -> str:
    """Return the site's id from what a person gave: an id, a description or its folder, or nothing.

    Raises:
        SiteFileError: it is no id, and no description that can be read.
    """
    if told is None:
        return load_site(otherwise).site.id if otherwise.exists() else "demo"
    if re.fullmatch(ID_PATTERN, told) and not Path(told).exists():
        return told
    path = Path(told)
    return load_site(path / "site.toml" if path.is_dir() else path).site.id


async def _print_once(view: SiteView, host: str, port: int, selected: str | None) -> None:
    async with feeding(view, host, port) as session:
        await until(lambda: any(string.scan for string in view.strings.values()), FIRST_SCANS_DEADLINE_S)
        await until(lambda: view.strings != {} and all(string.scans > 1 for string in view.strings.values()), SETTLED_S)
        view.linked = session.is_up
    console = Console()
    look = Look(console.width, 10_000, time.monotonic(), selected, with_keys=False)
    console.print(picture(view, look))
    if not view.strings:
        raise typer.Exit(1)


class _Selection:
    """Which string is drawn; None follows the one that needs it most."""

    def __init__(self, selected: str | None) -> None:
        self.name = selected

    def move(self, view: SiteView, by: int) -> None:
        """Select the string `by` places further than the one that is drawn."""
        names = [string.name for string in view.in_order()]
        if not names:
            return
        shown = by_need(view, Look(80, 24, time.monotonic(), self.name))[0].name
        self.name = names[(names.index(shown) + by) % len(names)]


async def _show_live(view: SiteView, host: str, port: int, selected: str | None) -> None:
    stop = stop_on_signals()
    selection = _Selection(selected)
    console = Console()
    wake = asyncio.Event()

    def on_key(key: str) -> None:
        if key == "q":
            stop.set()
        elif key == "w":
            selection.name = None
        elif key in ("\x1b[A", "\x1b[B"):
            selection.move(view, -1 if key.endswith("A") else 1)
        wake.set()

    async with feeding(view, host, port) as session:
        with _keys(on_key), Live(console=console, screen=True, auto_refresh=False) as live:
            while not stop.is_set():
                live.update(_drawn(view, session, console, selection), refresh=True)
                with suppress(TimeoutError):
                    async with asyncio.timeout(PICTURE_EVERY_S):
                        await wake.wait()
                wake.clear()


def _drawn(view: SiteView, session: Session, console: Console, selection: _Selection) -> RenderableType:
    view.linked = session.is_up
    width, height = console.size
    return picture(view, Look(width, height, time.monotonic(), selection.name))


@contextmanager
def _keys(on_key: Callable[[str], None]) -> Iterator[None]:
    """Call `on_key` for each key of the terminal; without one nothing happens."""
    if not sys.stdin.isatty():
        yield
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    loop = asyncio.get_running_loop()
    tty.setcbreak(descriptor)
    loop.add_reader(descriptor, lambda: on_key(os.read(descriptor, 16).decode("utf-8", "replace")))
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
