"""The stack of `make e2e`, and somebody outside of it: what all checks need."""

import json
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parent.parent
CELLKEEPER = ROOT / ".venv/bin/cellkeeper"
PROJECT = "cellkeeper-e2e"
READER = "e2e-reader"
READERS_PORT = 8884
SETTLE_S = 240.0  # all healthy on a slow machine, after a start or a restart
DATA_S = 120.0
CYCLE_S = 1.0
# The engine asks first after a whole interval, and with those of a site the checks would mostly wait for that.
OFTEN = {"interval": "3s"}


class CheckFailedError(Exception):
    """A check found something else than it must; the text says what."""


def require(condition: object, told: str) -> None:
    """Raise CheckFailedError with `told` unless the condition holds."""
    if not condition:
        raise CheckFailedError(told)


def run(*command: str | Path, timeout_s: float = 120.0, may_fail: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; raises CheckFailedError with its last words."""
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=timeout_s, check=False
    )
    if done.returncode and not may_fail:
        words = " / ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise CheckFailedError(f"{' '.join(map(str, command))[:200]}: {words}")
    return done


def until[T](what: str, limit_s: float, look: Callable[[], T | None]) -> T:
    """Return what `look` finds; raises CheckFailedError when it finds nothing in time."""
    end_s = time.monotonic() + limit_s
    while (found := look()) is None:
        require(time.monotonic() < end_s, f"{what}: not within {limit_s:.0f} s")
        time.sleep(CYCLE_S)
    return found


class Stack:
    """The project under docker compose, in a folder of its own as on a site server.

    Args:
        room: gets the site's folder, the project's, and backups.
    """

    def __init__(self, room: Path) -> None:
        self.site, self.project, self.backups = room / "site", room / "project", room / "backups"
        self.project.mkdir()
        shutil.copy(ROOT / "docker-compose.yml", self.project)
        for each in ("deploy", "dashboards/generated"):
            shutil.copytree(ROOT / each, self.project / each)
        asked = ("broker", "influxdb", "historian", "bus-gateway", "balancer", "analytics", "twin", "grafana")
        more = {"services": {name: {"healthcheck": OFTEN} for name in asked}}
        (self.project / "docker-compose.override.yml").write_text(json.dumps(more), "utf-8")  # JSON is YAML
        self.services = ["broker", "influxdb", "historian", "bus-gateway", "balancer", "analytics", "twin"]
        if os.environ.get("CELLKEEPER_GRAFANA_IMAGE"):
            self.services.append("grafana")
        told = {"SITE": self.site, "BACKUP": self.backups, "PULL": "never"}
        os.environ |= {f"CELLKEEPER_{name}": str(value) for name, value in told.items()}
        if not os.environ.get("CELLKEEPER_GRAFANA_IMAGE"):
            os.environ.pop("CELLKEEPER_GRAFANA_IMAGE", None)

    def compose(self, *words: str, timeout_s: float = 300.0) -> str:
        """Run docker compose for this project; return what it printed."""
        base = [
            *shlex.split(os.environ["COMPOSE"]),
            "-p",
            PROJECT,
            "--project-directory",
            self.project,
            "--profile",
            "demo",
        ]
        return run(*base, *words, timeout_s=timeout_s).stdout

    def run_once(self, *words: str) -> str:
        """Run a service's container once, to its end; return what it printed."""
        return self.compose("run", "--rm", "-T", *words)

    def up(self) -> None:
        """Start everything that there are images for."""
        self.compose("up", "-d", *self.services, "provision")

    def down(self, *, with_volumes: bool) -> None:
        """Stop and remove the containers."""
        self.compose("down", "--timeout", "30", *(["--volumes"] if with_volumes else []))

    def containers(self) -> dict[str, dict[str, object]]:
        """Return `docker inspect` of each container, by service."""
        ids = self.compose("ps", "--all", "--quiet").split()
        found = json.loads(run("docker", "inspect", *ids).stdout) if ids else []
        return {each["Config"]["Labels"]["com.docker.compose.service"]: each for each in found}

    def unwell(self) -> str | None:
        """Return which services are not healthy, None when all are."""
        states = {name: each["State"] for name, each in self.containers().items()}
        bad = [name for name in self.services if states.get(name, {}).get("Health", {}).get("Status") != "healthy"]
        return ", ".join(bad) or None

    def wait_until_well(self) -> None:
        """Wait until all services are healthy; raises CheckFailedError with the last words of those that are not."""
        try:
            until("all healthy", SETTLE_S, lambda: None if self.unwell() else True)
        except CheckFailedError as exc:
            bad = (self.unwell() or "").split(", ")
            words = self.compose("logs", "--tail", "6", *bad) if bad != [""] else ""
            raise CheckFailedError(f"{exc}; not healthy: {', '.join(bad)}\n{words}") from exc

    def address(self, service: str) -> str:
        """Return the address of a service in the internal network, which this machine reaches as its router."""
        networks = self.containers()[service]["NetworkSettings"]["Networks"]
        return str(networks[f"{PROJECT}_internal"]["IPAddress"])

    def ask(self, question: str) -> list[list[object]]:
        """Return the rows that InfluxDB has for a question, with the reader's token."""
        token = (self.site / "secrets/grafana/reader.token").read_text().strip()
        answer = httpx.get(
            f"http://{self.address('influxdb')}:8086/query",
            params={"db": "cellkeeper", "rp": "full", "q": question, "epoch": "ms"},
            headers={"Authorization": f"Token {token}"},
            timeout=15.0,
            trust_env=False,
        )
        require(answer.status_code == 200, f"InfluxDB answers {answer.status_code}: {answer.text[:200]}")
        series = answer.json()["results"][0].get("series", [])
        return [row for each in series for row in each["values"]]

    def newest_ms(self) -> int | None:
        """Return the time of the newest stored cell, None when nothing is stored."""
        with suppress(httpx.HTTPError, OSError, KeyError):
            rows = self.ask("SELECT cell_v_e4 FROM cell ORDER BY time DESC LIMIT 1")
            return int(str(rows[0][0])) if rows else None
        return None

    def oldest(self) -> list[object]:
        """Return the oldest stored row."""
        return self.ask("SELECT cell_v_e4 FROM cell ORDER BY time ASC LIMIT 1")[0]

    def wait_for_data(self, after_ms: int) -> None:
        """Wait until something is stored that was measured after a time."""
        until("data in InfluxDB", DATA_S, lambda: True if (self.newest_ms() or 0) > after_ms else None)


class Reader:
    """Somebody outside, with mosquitto's own clients."""

    def __init__(self, stack: Stack) -> None:
        told = run(CELLKEEPER, "readers", "add", stack.site, READER).stdout
        self.password = next(line.split()[1] for line in told.splitlines() if line.startswith("password"))
        self.authority = stack.site / "secrets/cli/ca.crt"

    def _said(self, program: str, *words: str, known: bool = True) -> str:
        login = ["-u", READER, "-P", self.password] if known else []
        base = [program, "-h", "localhost", "-p", str(READERS_PORT), "--cafile", self.authority, "-V", "5", *login]
        done = run(*base, *words, may_fail=True)
        return f"{done.stdout}{done.stderr}"

    def reads(self, *, known: bool = True) -> str:
        """Subscribe to everything of the site; return one message or the broker's refusal."""
        return self._said("mosquitto_sub", "-C", "1", "-W", "15", "-t", "cellkeeper/v1/demo/#", known=known)

    def publishes(self, topic: str) -> str:
        """Publish; return the broker's answer."""
        return self._said("mosquitto_pub", "-q", "1", "-t", topic, "-m", "{}")
