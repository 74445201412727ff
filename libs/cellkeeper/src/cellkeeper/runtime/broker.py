"""Mosquitto as a child process with the configuration that the suite ships: for the demo and the tests."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import SystemRandom
from typing import Final

from cellkeeper.policy.mosquitto import LIMITS
from cellkeeper.runtime.errors import StartRefusedError

START_DEADLINE_S: Final = 30.0
STOP_DEADLINE_S: Final = 15.0
_ANY: Final = range(12_000, 32_000)
_SBIN: Final = ("/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/opt/homebrew/sbin/mosquitto")

CONFIGURATION: Final = f"""\
# Loopback only.
listener {{port}} 127.0.0.1
allow_anonymous true
{LIMITS}log_type error
log_type warning
"""


def find_mosquitto() -> str:
    """Return the path of the broker's program; raises StartRefusedError when there is none."""
    found = shutil.which("mosquitto") or next((path for path in _SBIN if Path(path).exists()), None)
    if found is None:
        raise StartRefusedError("Mosquitto is not installed; for example: apt-get install mosquitto")
    return found


def free_port(wanted: int = 0) -> int:
    """Return `wanted`, or the next loopback port that nobody listens on (any, for 0).

    Any is one below those that the system gives to outgoing connections, which would take it while a broker is away.
    """
    for port in SystemRandom().sample(_ANY, 200) if wanted == 0 else range(wanted, min(wanted + 200, 65_536)):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise StartRefusedError(f"no free port from {wanted} on; stop what uses them or name another")


@dataclass(slots=True)
class Broker:
    """A Mosquitto that this process started; it can be killed and started again on the same port."""

    folder: Path
    port: int
    _process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self) -> None:
        """Start and wait until it accepts connections; raises StartRefusedError with its own words."""
        self.folder.mkdir(parents=True, exist_ok=True)
        configuration = self.folder / "mosquitto.conf"
        configuration.write_text(CONFIGURATION.format(port=self.port), "utf-8")
        with (self.folder / "mosquitto.log").open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603  # a fixed program and our own file
                [find_mosquitto(), "-c", str(configuration)], stdout=output, stderr=output
            )
        self._wait_until_open()

    def _wait_until_open(self) -> None:
        assert self._process is not None
        end_s = time.monotonic() + START_DEADLINE_S
        while time.monotonic() < end_s and self._process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1.0):
                return
            time.sleep(0.02)
        told = (self.folder / "mosquitto.log").read_text("utf-8", "replace").splitlines()[-3:]
        raise StartRefusedError(f"Mosquitto did not start on port {self.port}: {' / '.join(told) or 'no word'}")

    @property
    def pid(self) -> int:
        """The broker's process id."""
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        """End it in order."""
        self._end(kill=False)

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self._end(kill=True)

    def _end(self, *, kill: bool) -> None:
        if self._process is None:
            return
        (self._process.kill if kill else self._process.terminate)()
        try:
            self._process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


@contextmanager
def running_broker(folder: Path, port: int = 0) -> Iterator[Broker]:
    """Run a broker on a loopback port (a free one for 0) for the length of the context."""
    broker = Broker(folder, port or free_port())
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()
