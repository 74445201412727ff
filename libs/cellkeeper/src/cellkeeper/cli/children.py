"""Supervised child processes: started in order, restarted with back-off, one log stream, stopped in reverse order.

A child ends with this process however it ends (`CELLKEEPER_DIE_WITH_PARENT`, `cellkeeper.cli.tied`). It has its own
process group, so a Ctrl-C on the terminal reaches the supervisor alone and the end is orderly: whoever feeds others
stops first.
"""

import asyncio
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from cellkeeper.runtime.backoff import retry_delays_s

STOP_DEADLINE_S: Final = 10.0  # a historian's last group commit and tier work take less than two
STEADY_AFTER_S: Final = 20.0  # a child that ran this long starts its back-off anew
MAX_LINE_BYTES: Final = 4000  # what a child writes is shortened, never collected without limit
LAST_WORDS: Final = 15  # lines kept per child, to show when it does not come up

type LineSink = Callable[[str, str], None]
"""Takes the name of a child and one line of what it said."""


@dataclass(frozen=True, slots=True)
class ChildPlan:
    """What to run.

    Attributes:
        name: prefix of its log lines.
        command: program and arguments.
        environment: variables on top of this process's own.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Child:
    """One supervised process and what is known of it."""

    plan: ChildPlan
    starts: int = 0
    pid: int | None = None
    last_words: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_WORDS))


@dataclass(slots=True)
class Supervisor:
    """Keeps children running until it is told to stop.

    Attributes:
        sink: where every line of every child goes.
        rng: the random part of the delays before a restart.
    """

    sink: LineSink
    rng: Random = field(default_factory=Random)
    children: list[Child] = field(default_factory=list)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self, plans: Sequence[ChildPlan]) -> None:
        """Begin to supervise more children, in this order."""
        for plan in plans:
            child = Child(plan)
            self.children.append(child)
            self._tasks.append(asyncio.create_task(self._keep_running(child), name=f"child-{plan.name}"))

    async def stop(self) -> None:
        """End all children in order, the last started first, each within a deadline."""
        while self._tasks:
            task = self._tasks.pop()
            task.cancel()
            await asyncio.wait([task])

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a child, if it runs now."""
        for child in self.children:
            if child.plan.name == name and child.pid is not None:
                os.kill(child.pid, number)

    def last_words(self, name: str) -> list[str]:
        """Return the newest lines of a child."""
        return [line for child in self.children if child.plan.name == name for line in child.last_words]

    async def _keep_running(self, child: Child) -> None:
        delays_s = retry_delays_s(self.rng, first_s=0.5)
        while True:
            began_s = time.monotonic()
            code = await self._run_once(child)
            if time.monotonic() - began_s > STEADY_AFTER_S:
                delays_s = retry_delays_s(self.rng, first_s=0.5)
            delay_s = next(delays_s)
            self.sink(child.plan.name, f"ended with {_ending(code)}; starts again in {delay_s:.1f} s")
            await asyncio.sleep(delay_s)

    async def _run_once(self, child: Child) -> int:
        try:
            process = await asyncio.create_subprocess_exec(
                *child.plan.command,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **child.plan.environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as exc:
            self._hear(child, f"cannot be started: {exc}")
            return os.EX_OSERR
        child.starts, child.pid = child.starts + 1, process.pid
        try:
            assert process.stdout is not None
            await self._listen(child, process.stdout)
            return await process.wait()
        finally:
            child.pid = None
            await _end(process)

    async def _listen(self, child: Child, output: asyncio.StreamReader) -> None:
        rest = b""
        while chunk := await output.read(65_536):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._hear(child, line[:MAX_LINE_BYTES].decode("utf-8", "replace").rstrip())
            rest = rest[:MAX_LINE_BYTES]
        if rest:
            self._hear(child, rest.decode("utf-8", "replace"))

    def _hear(self, child: Child, line: str) -> None:
        child.last_words.append(line)
        self.sink(child.plan.name, line)


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a process that may have ended already: SIGTERM, then SIGKILL after the deadline."""
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    drained = asyncio.create_task(process.communicate(), name="last-output")  # a full pipe would keep it from ending
    try:
        async with asyncio.timeout(STOP_DEADLINE_S):
            await asyncio.shield(drained)
    except TimeoutError:
        process.kill()
        await drained


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
