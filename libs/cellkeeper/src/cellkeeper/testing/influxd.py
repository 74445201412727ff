"""A real InfluxDB for tests and benchmarks: the program that `scripts/real-servers` builds, as a child process."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import urlopen

from cellkeeper.runtime.broker import free_port
from cellkeeper.runtime.errors import StartRefusedError

START_DEADLINE_S: Final = 120.0  # it applies its migrations first
STOP_DEADLINE_S: Final = 60.0


def servers_cache() -> Path:
    """Return where `scripts/real-servers` puts what it builds, found from the working directory upwards."""
    if shared := os.environ.get("CELLKEEPER_SERVERS_CACHE"):
        return Path(shared)
    here = Path.cwd()
    root = next((folder for folder in (here, *here.parents) if (folder / "scripts" / "real-servers").exists()), here)
    return root / ".cache" / "servers"


def find_influxd() -> str | None:
    """Return the path of the program, or None where there is none."""
    built = servers_cache() / "influxd"
    return str(built) if built.exists() else shutil.which("influxd")


def missing_influxd() -> str | None:
    """Return why a test of InfluxDB is to be skipped, None when it is not: where CI is set, nothing is skipped."""
    if find_influxd() is not None or os.environ.get("CI", "").lower() in {"1", "true"}:
        return None
    return "no influxd here; scripts/real-servers builds it"


@dataclass(slots=True)
class Influxd:
    """An InfluxDB on loopback in one folder; it can be killed and started again on the same port.

    Attributes:
        folder: everything of it, its log as well.
        port: where it listens.
        extra: further options of influxd.
        wrapper: a command that runs it as a child, as a container's entry point does; it has to be stopped, not killed.
    """

    folder: Path
    port: int
    extra: tuple[str, ...] = ()
    wrapper: tuple[str, ...] = ()
    _process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start and wait until it is healthy; raises StartRefusedError with its own words."""
        program = find_influxd()
        if program is None:
            raise StartRefusedError("no influxd here; run scripts/real-servers")
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [
            *self.wrapper,
            program,
            *("--bolt-path", str(self.folder / "influxd.bolt")),
            *("--sqlite-path", str(self.folder / "influxd.sqlite")),
            *("--engine-path", str(self.folder / "engine")),
            *("--http-bind-address", f"127.0.0.1:{self.port}"),
            *("--reporting-disabled", "--log-level", "warn"),
            *self.extra,
        ]
        with (self.folder / "influxd.log").open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output)  # noqa: S603  # our own build
        self._wait_until_healthy()

    def _wait_until_healthy(self) -> None:
        assert self._process is not None
        end_s = time.monotonic() + START_DEADLINE_S
        while time.monotonic() < end_s and self._process.poll() is None:
            with suppress(URLError, OSError), urlopen(f"{self.url}/health", timeout=2.0):  # noqa: S310  # our own
                return
            time.sleep(0.05)
        told = (self.folder / "influxd.log").read_text("utf-8", "replace").splitlines()[-3:]
        raise StartRefusedError(f"InfluxDB did not start on port {self.port}: {' / '.join(told) or 'no word'}")

    def has_ended(self) -> bool:
        """Return whether it ended by itself since it was started."""
        return self._process is not None and self._process.poll() is not None

    def stop(self) -> None:
        """End it in order."""
        if self._process is not None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_DEADLINE_S)
            self.kill()

    def kill(self) -> None:
        """End it as `kill -9` does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def running_influxd(folder: Path, *extra: str) -> Iterator[Influxd]:
    """Run an InfluxDB on a free loopback port for the length of the context; `extra` are options of influxd."""
    server = Influxd(folder, free_port(), extra)
    server.start()
    try:
        yield server
    finally:
        server.stop()
