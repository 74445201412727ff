"""How long a test waits for what has to happen: so long that only something broken, and no slow machine, gets there."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

PATIENCE_S: Final = 120.0
POLL_S: Final = 0.005


async def until(condition: Callable[[], object], what: str = "as told", *, poll_s: float = POLL_S) -> None:
    """Give other tasks, threads and processes their turns until `condition` holds; AssertionError when it never does.

    Args:
        condition: asked again and again.
        what: words for the error.
        poll_s: time between two looks; 0 only lets other tasks run.
    """
    end_s = time.monotonic() + PATIENCE_S
    while not condition():
        _require_time(end_s, what)
        await asyncio.sleep(poll_s)


def wait_until(
    condition: Callable[[], object],
    what: str,
    *,
    told: Callable[[], str] = str,
    patience_s: float = PATIENCE_S,
    poll_s: float = 0.05,
) -> None:
    """Do the same without an event loop; `told` gives what the world last said, for the error."""
    end_s = time.monotonic() + patience_s
    while not condition():
        _require_time(end_s, what, told)
        time.sleep(poll_s)


def _require_time(end_s: float, what: str, told: Callable[[], str] = str) -> None:
    if time.monotonic() >= end_s:
        raise AssertionError(f"not in time: {what}\n{told()}")
