"""Runs a suite's processes for the length of a command: broker first, services after it, an orderly end."""

import asyncio
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

import typer

from cellkeeper.cli.children import ChildPlan, LineSink, Supervisor
from cellkeeper.runtime.errors import StartRefusedError

BROKER_DEADLINE_S: Final = 10.0  # Mosquitto listens within 0.1 s on an idle machine
POLL_S: Final = 0.05
_COLOURS: Final = (typer.colors.CYAN, typer.colors.YELLOW, typer.colors.BLUE, typer.colors.MAGENTA, typer.colors.WHITE)


def is_open(host: str, port: int) -> bool:
    """Return whether somebody accepts connections there."""
    with suppress(OSError), socket.create_connection((host, port), timeout=1.0):
        return True
    return False


def prefixed(write: Callable[[str], None], *, colour: bool) -> LineSink:
    """Return a sink that writes every line behind the name of its child."""
    colours: dict[str, str] = {}

    def take(name: str, line: str) -> None:
        prefix = f"{name:<14} | "
        if colour:
            prefix = typer.style(prefix, fg=colours.setdefault(name, _COLOURS[len(colours) % len(_COLOURS)]))
        write(f"{prefix}{line}")

    return take


@asynccontextmanager
async def running(
    sink: LineSink, broker: ChildPlan | None, broker_port: int, plans: list[ChildPlan]
) -> AsyncIterator[Supervisor]:
    """Run all processes for the length of the context and stop them in order.

    Raises:
        StartRefusedError: the broker does not come up.
    """
    supervisor = Supervisor(sink)
    try:
        if broker is not None:
            supervisor.start([broker])
            await _broker_listens(supervisor, broker, broker_port)
        supervisor.start(plans)
        yield supervisor
    finally:
        await supervisor.stop()


async def _broker_listens(supervisor: Supervisor, broker: ChildPlan, port: int) -> None:
    if not await until(lambda: is_open("127.0.0.1", port), BROKER_DEADLINE_S):
        told = " / ".join(supervisor.last_words(broker.name)) or "no word"
        raise StartRefusedError(f"the broker did not start on port {port} in {BROKER_DEADLINE_S:g} s: {told}")


async def until(condition: Callable[[], bool], deadline_s: float) -> bool:
    """Poll a condition; False when it is still not so after `deadline_s` of real time."""
    end_s = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end_s:
            return False
        await asyncio.sleep(POLL_S)
    return True


def stop_on_signals() -> asyncio.Event:
    """Return an event of the running loop that Ctrl-C and SIGTERM set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    return stop
