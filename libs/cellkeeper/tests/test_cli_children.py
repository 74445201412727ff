"""The supervisor: children come back, end in order, and never outlive the one who started them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest
from cellkeeper.cli.children import MAX_LINE_BYTES, ChildPlan, Supervisor
from cellkeeper.testing.patience import PATIENCE_S, until

ENDLESS = "import time\nprint('here', flush=True)\ntime.sleep(600)"


def plan(name: str, code: str) -> ChildPlan:
    return ChildPlan(name, (sys.executable, "-c", code))


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_lines_come_with_the_name_of_their_child():
    lines: list[tuple[str, str]] = []
    supervisor = Supervisor(lambda name, line: lines.append((name, line)), Random(1))
    supervisor.start([plan("a", ENDLESS), plan("b", f"import sys\nsys.stderr.write('x' * 99999 + '\\n')\n{ENDLESS}")])
    await until(lambda: ("a", "here") in lines and ("b", "here") in lines)
    await supervisor.stop()
    assert max(len(line) for _, line in lines) <= MAX_LINE_BYTES
    assert supervisor.last_words("a") == ["here"]


async def test_a_child_that_ends_is_started_again():
    lines: list[str] = []
    supervisor = Supervisor(lambda _name, line: lines.append(line), Random(1))
    supervisor.start([plan("a", "raise SystemExit(3)")])
    await until(lambda: supervisor.children[0].starts >= 2)
    await supervisor.stop()
    assert lines[0].startswith("ended with exit code 3; starts again in")


async def test_a_killed_child_comes_back():
    lines: list[str] = []
    supervisor = Supervisor(lambda _name, line: lines.append(line), Random(1))
    supervisor.start([plan("a", ENDLESS)])
    await until(lambda: lines == ["here"])
    first = supervisor.children[0].pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: lines.count("here") == 2)
    assert supervisor.children[0].pid != first
    assert "signal SIGKILL" in lines[1]
    await supervisor.stop()


async def test_a_program_that_is_not_there_is_told():
    lines: list[str] = []
    supervisor = Supervisor(lambda _name, line: lines.append(line), Random(1))
    supervisor.start([ChildPlan("a", ("/no/such/program",))])
    await until(lambda: len(lines) >= 2)
    await supervisor.stop()
    assert lines[0].startswith("cannot be started")


async def test_the_last_started_ends_first(tmp_path: Path):
    book = tmp_path / "book"
    lines: list[str] = []
    supervisor = Supervisor(lambda _name, line: lines.append(line), Random(1))
    supervisor.start(
        [plan(name, POLITE.format(book=str(book), name=name)) for name in ("historian", "twin", "gateway")]
    )
    await until(lambda: lines.count("here") == 3)
    pids = [child.pid for child in supervisor.children]
    await supervisor.stop()
    assert book.read_text().split() == ["gateway", "twin", "historian"]
    assert not any(is_running(pid) for pid in pids if pid is not None)


POLITE = """
import signal, sys, time
def end(*_):
    with open({book!r}, "a") as book: book.write({name!r} + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("here", flush=True)
time.sleep(600)
"""


async def test_a_child_that_ignores_the_request_is_killed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cellkeeper.cli.children.STOP_DEADLINE_S", 0.3)
    lines: list[str] = []
    supervisor = Supervisor(lambda _name, line: lines.append(line), Random(1))
    supervisor.start([plan("a", "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + ENDLESS)])
    await until(lambda: lines == ["here"])
    pid = supervisor.children[0].pid
    await supervisor.stop()
    assert pid is not None
    assert not is_running(pid)


PARENT = """
import asyncio, sys
from cellkeeper.cli.children import ChildPlan, Supervisor
async def main():
    supervisor = Supervisor(lambda name, line: print(line, flush=True))
    tied = (sys.executable, "-m", "cellkeeper.cli.tied", sys.executable, "-c", CODE)
    service = (sys.executable, "-c", ENDING + CODE)
    supervisor.start([ChildPlan("broker", tied), ChildPlan("service", service)])
    await asyncio.sleep(600)
ENDING = "from cellkeeper.runtime.service import end_with_parent\\nend_with_parent()\\n"
CODE = "import os, time\\nprint(os.getpid(), flush=True)\\ntime.sleep(600)"
asyncio.run(main())
"""


def test_children_end_when_their_parent_is_killed():
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(parent.stdout.readline()) for _ in range(2)]
        assert all(is_running(pid) for pid in pids)
        parent.kill()
        parent.wait()
        end_s = time.monotonic() + PATIENCE_S
        while any(is_running(pid) for pid in pids) and time.monotonic() < end_s:
            time.sleep(0.02)
        left = [pid for pid in pids if is_running(pid)]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        assert left == []
