"""Child processes that draw dossiers: as many as there is work and processors, each for many papers, none when idle.

What a paper costs most is the start of a process and its libraries; so one that has drawn takes the next. They give way
to everything else on the machine, and one that hangs, dies or fails takes nothing with it but its own paper.
"""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import orjson

DRAW_DEADLINE_S: Final = 600.0  # a dossier of 512 units takes some 10 s of a small server, and others may need it
END_S: Final = 10.0  # for a child that has nothing to do any more
PAPERS_EACH: Final = 16  # then a new one: whatever libraries leave behind stays small
MOST: Final = 3  # children at once: each takes 200 MB for 240 units, and the service may have 1 GB in all
MAX_ANSWER: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Drawn:
    """What came of one paper: its files, the PDF first; or why there are none."""

    files: tuple[str, ...] = ()
    failed: str = ""


def many() -> int:
    """Return how many children draw at once on this machine."""
    return min(MOST, len(os.sched_getaffinity(0)))


@dataclass(slots=True)
class _Drawer:
    process: Process
    papers: int = 0


@dataclass(slots=True)
class Drawers:
    """Draws papers.

    Attributes:
        out: folder for them.
        most: children at once.
    """

    out: Path
    most: int = field(default_factory=many)
    _free: list[_Drawer] = field(default_factory=list)
    _asked: int = 0
    _places: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._places = asyncio.Semaphore(self.most)

    async def draw(self, record: Path) -> Drawn:
        """Return what came of the paper of a record, once there is a child for it."""
        self._asked += 1
        try:
            async with self._places:
                return await self._drawn(record)
        finally:
            self._asked -= 1
            if not self._asked:
                await self.close()

    async def close(self) -> None:
        """End the children that have nothing to do."""
        idle, self._free = self._free, []
        await asyncio.gather(*(_end(drawer.process) for drawer in idle))

    async def _drawn(self, record: Path) -> Drawn:
        drawer: _Drawer | None = None
        is_whole = False
        try:
            self.out.mkdir(parents=True, exist_ok=True)  # told before anything is drawn in vain
            drawer = self._free.pop() if self._free else _Drawer(await _started(self.out))
            async with asyncio.timeout(DRAW_DEADLINE_S):
                answer = await _answer(drawer.process, record)
            drawer.papers += 1
            is_whole = drawer.papers < PAPERS_EACH
        except TimeoutError:
            return Drawn(failed=f"not drawn within {DRAW_DEADLINE_S:g} s")
        except OSError as exc:
            return Drawn(failed=f"{type(exc).__name__} {exc}")
        finally:
            if drawer is not None and not is_whole:
                await _killed(drawer.process)
        if answer is None:
            return Drawn(failed=f"its process ended with {await _killed(drawer.process)}")
        if is_whole:
            self._free.append(drawer)
        return answer


async def _started(out: Path) -> Process:
    words = (sys.executable, "-m", "analytics.dossier", "--out", str(out), "--serve")
    return await asyncio.create_subprocess_exec(  # what it complains of is in our log
        *words, stdin=PIPE, stdout=PIPE, limit=MAX_ANSWER
    )


async def _answer(child: Process, record: Path) -> Drawn | None:
    """Return what a child says of a record; None when it is no more."""
    if child.stdin is None or child.stdout is None:  # they are pipes
        return None
    try:
        child.stdin.write(orjson.dumps(str(record)) + b"\n")
        await child.stdin.drain()
        line = await child.stdout.readline()
        told = orjson.loads(line) if line else None
    except (ConnectionError, orjson.JSONDecodeError, ValueError):
        return None
    return None if told is None else Drawn(tuple(told["files"]), told["failed"])


async def _killed(child: Process) -> int:
    """End a child at once, with its pipes; return what it ended with."""
    with suppress(ProcessLookupError):
        child.kill()
    return await _gone(child)


async def _end(child: Process) -> None:
    """Let a child end by itself, and end it when it does not."""
    try:
        async with asyncio.timeout(END_S):
            await _gone(child)
    except TimeoutError:
        pass
    finally:
        await _killed(child)


async def _gone(child: Process) -> int:
    """Close the pipes of a child that ends, and return what it ended with."""
    await child.communicate()  # closes what it hears and reads what it still says: a wait alone leaves both open
    return await child.wait()
