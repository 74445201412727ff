"""The real suite as child processes, for system tests and benchmarks: started, killed and watched from outside."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from cellkeeper.runtime.broker import Broker, free_port
from cellkeeper.testing.patience import PATIENCE_S, wait_until


class SuiteError(AssertionError):
    """The suite did not do in time what the test waits for; the text holds the last words of every service."""


@dataclass(slots=True)
class Suite:
    """Broker, twin and services of one site in one folder.

    Attributes:
        folder: everything of this run: state, logs, ports.
        site_file: the site that all of them read.
        broker: the Mosquitto, not started by the constructor.
        http_port: where the historian answers.
        clock: a scaled clock for all, as `str(ScaledClock)` writes it.
    """

    folder: Path
    site_file: Path
    broker: Broker
    http_port: int
    clock: str | None = None
    extra: dict[str, str] = field(default_factory=dict)
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, *services: str, **extra: str) -> None:
        """Start services by their instance names; `bus-gateway-2` runs the program of `bus-gateway`."""
        for service in services:
            with self.log_of(service).open("ab") as output:
                self._running[service] = subprocess.Popen(  # noqa: S603  # our own module
                    [sys.executable, "-m", _module_of(service)],
                    env=self._environment(service) | extra,
                    stdout=output,
                    stderr=output,
                    cwd=self.folder,
                )

    def kill(self, service: str) -> None:
        """End a service (or the broker) as `kill -9` does."""
        if service == "broker":
            self.broker.kill()
            return
        if service == "twin":
            self._unplug()
        process = self._running.pop(service)
        process.kill()
        process.wait()

    def _unplug(self) -> None:
        """Take away the names of the twin's lines, as an adapter's goes with it.

        The next pseudo terminal of this machine gets the number of one that is gone: behind a name that stayed, the
        gateway would find the line of another test's twin, and hold it.
        """
        for path in self.folder.iterdir():
            if path.is_symlink() and str(path.readlink()).startswith("/dev/pts/"):
                path.unlink()

    def stop(self, *services: str) -> None:
        """End services in order; all of them, newest first, when none is named."""
        for service in services or tuple(reversed(self._running)):
            process = self._running.pop(service)
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired as exc:
                process.kill()
                process.wait()
                raise SuiteError(f"{service} did not stop within {PATIENCE_S} s\n{self.last_words()}") from exc

    def exit_code(self, service: str) -> int:
        """Wait until a service ends by itself and return its exit code."""
        try:
            return self._running.pop(service).wait(PATIENCE_S)
        except subprocess.TimeoutExpired as exc:
            raise SuiteError(f"{service} still runs after {PATIENCE_S} s\n{self.last_words()}") from exc

    def pid(self, service: str) -> int:
        """Return a service's process id."""
        return self.broker.pid if service == "broker" else self._running[service].pid

    def wait_until(self, condition: Callable[[], object], what: str, patience_s: float = PATIENCE_S) -> None:
        """Poll `condition`; raises AssertionError with every service's last words when it stays false."""
        wait_until(condition, what, told=self.last_words, patience_s=patience_s)

    def tell(self, *words: str) -> str:
        """Run the `cellkeeper` command with this suite's settings and return what it prints; raises SuiteError."""
        done = subprocess.run(  # noqa: S603  # our own command
            [str(Path(sys.executable).with_name("cellkeeper")), *words],
            env=self._environment("twin"),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        if done.returncode:
            raise SuiteError(f"cellkeeper {' '.join(words)}: {done.stdout}{done.stderr}\n{self.last_words()}")
        return done.stdout

    def ask(self, path: str) -> Any:  # noqa: ANN401  # JSON
        """Return the historian's answer to a path below /v1/; raises SuiteError with its own words."""
        try:
            with urlopen(f"http://127.0.0.1:{self.http_port}/v1/{path}", timeout=PATIENCE_S) as answer:
                return json.load(answer)
        except HTTPError as exc:
            raise SuiteError(f"{path}: {exc.read().decode('utf-8', 'replace')}") from exc

    def log_of(self, service: str) -> Path:
        """Return the file that holds what a service says."""
        return self.folder / f"{service}.log"

    def last_words(self) -> str:
        """Return the end of every log."""
        logs = sorted(self.folder.glob("*.log"))
        return "\n".join(f"--- {log.stem}\n" + log.read_text("utf-8", "replace")[-1500:] for log in logs)

    def _environment(self, service: str) -> dict[str, str]:
        told = {
            "CELLKEEPER_SERVICE": service,
            "CELLKEEPER_SITE_FILE": str(self.site_file),
            "CELLKEEPER_STATE_DIR": str(self.folder / "state"),
            "CELLKEEPER_MQTT_PORT": str(self.broker.port),
            "CELLKEEPER_HTTP_PORT": str(self.http_port if service.startswith("historian") else 0),
            "CELLKEEPER_DIE_WITH_PARENT": "1",
        }
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("CELLKEEPER_")}
        return inherited | told | ({"CELLKEEPER_CLOCK": self.clock} if self.clock else {}) | self.extra


@contextmanager
def running_suite(folder: Path, site: str, *services: str, clock: str | None = None) -> Iterator[Suite]:
    """Run a broker and `services` for a site described by the TOML text `site`."""
    folder.mkdir(parents=True, exist_ok=True)
    site_file = folder / "site.toml"
    site_file.write_text(site, "utf-8")
    suite = Suite(folder, site_file, Broker(folder / "broker", free_port()), free_port(), clock)
    suite.broker.start()
    try:
        suite.start(*services)
        yield suite
        suite.stop()
    finally:
        for service in list(suite._running):  # noqa: SLF001  # its own file
            suite.kill(service)
        suite.broker.stop()


def site_text(
    folder: Path, strings: int = 1, cells: int = 8, *, per_line: int = 512, baud: int = 3_000_000, scan_s: float = 1.0
) -> str:
    """Return a site of equal lead-acid strings `s1`, `s2`, … with sensors; the lines are ports below `folder`."""
    parts = [f'[site]\nid = "hh1"\nname = "Test room"\nscan_s = {scan_s}\nrefresh_s = 5.0\nstale_after_s = 15.0\n']
    parts.append('[[dcbus]]\nid = "ups1"\n')
    for number in range(1, strings + 1):
        runs = [min(per_line, cells - done) for done in range(0, cells, per_line)]
        lines = [f"b{number}-{line}" for line in range(1, len(runs) + 1)]
        parts += [f'[[bus]]\nid = "{line}"\nport = "{folder / line}"\nbaud = {baud}\n' for line in lines]
        parts.append(
            f'[[string]]\nid = "s{number}"\ndcbus = "ups1"\ncells = {cells}\nchemistry = "vrla_agm"\nrated_ah = 100.0\n'
        )
        parts += [
            f'[[string.modules]]\nbus = "{line}"\nfirst_address = 1\ncount = {count}\n'
            for line, count in zip(lines, runs, strict=True)
        ]
        parts += [
            f'[[string.sensor]]\nkind = "{kind}"\nbus = "{lines[0]}"\naddress = {address}\n'
            for kind, address in (("current", 1001), ("string_voltage", 1003))
        ]
    return "\n".join(parts)


def _module_of(service: str) -> str:
    found = {entry.name: entry.value for entry in entry_points(group="cellkeeper.services")}
    name = max((known for known in found if service.startswith(known)), key=len, default=None)
    if name is None:
        raise SuiteError(f"no installed service is called {service}; there are {', '.join(sorted(found)) or 'none'}")
    return found[name].partition(".")[0]
