"""The site server of `make e2e-systemd`: a Debian with systemd as process 1, in a container without network."""

import json
import os
import shutil
import subprocess
import tarfile
import time
from collections import defaultdict
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from e2e_stack import CheckFailedError, require, run, until

BOOT_S = 90.0
SETTLE_S = 120.0  # all ready on a slow machine, after a start or a kill
DOWN_S = 60.0
START_AGAIN = 133  # systemd-nspawn: "the container wants to be rebooted"
NAME = "cellkeeper-e2e"
PYTHON = "/opt/cellkeeper/bin/python"
CELLKEEPER = "/opt/cellkeeper/bin/cellkeeper"
SERVICES = ("broker", "historian", "bus-gateway", "balancer", "analytics")
PAGES = {"historian": 8420, "bus-gateway": 8421, "balancer": 8422, "analytics": 8423}
FETCH = """
import sys, urllib.request as r
for url in sys.argv[1:]:
    try: print(r.urlopen(url, timeout=5).read().decode().strip())
    except OSError as exc: print(f"no answer: {exc}")
"""

type Rows = dict[tuple[str, int], tuple[str, float]]  # stream and number: when it was measured, volts of the string


class Machine:
    """A machine of its own: disk, processes, network without any way out.

    Its power can be switched: `power_on`, `reboot`, `cut_power`, `power_off`. Everything is gone with its folder.

    Args:
        base: an installed Debian; it is copied and stays as it is.
        room: gets the machine's disk.
    """

    def __init__(self, base: Path, room: Path) -> None:
        self.disk = room / "disk"
        run("cp", "-a", "--reflink=auto", base, self.disk)
        (self.disk / "etc/hostname").write_text(f"{NAME}\n", "utf-8")
        self._console = room / "console.log"
        self._power: subprocess.Popen[bytes] | None = None

    def put(self, path: str, text: str) -> None:
        """Write a file of the machine."""
        target = self.disk / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, "utf-8")

    def unpack(self, bundle: Path, path: str) -> str:
        """Unpack a bundle on the machine; return its folder there."""
        target = self.disk / path.lstrip("/")
        with tarfile.open(bundle) as archive:
            archive.extractall(target, filter="data")
        return f"{path}/{next(target.iterdir()).name}"

    def outside(self, path: str) -> str:
        """Return a path of the running machine, devices included, as this machine sees it."""
        return f"/proc/{self._leader()}/root{path}"

    # ---- power

    def power_on(self) -> float:
        """Boot; return how many seconds that took."""
        begun_s = time.monotonic()
        # a manager of this machine would keep a list of containers; where there is none, nobody is asked
        alone = [] if Path("/run/systemd/system").exists() else ["--register=no", "--keep-unit"]
        command = ["systemd-nspawn", "--quiet", "--boot", "--private-network", "--console=pipe", *alone]
        command.append("--system-call-filter=bpf")  # how a manager enforces rules for devices and addresses
        with self._console.open("ab") as console:
            self._power = subprocess.Popen(
                [*command, f"--machine={NAME}", f"--directory={self.disk}"],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
                # the hierarchy of today's systems also where this machine mounts that of yesterday
                env=os.environ | {"UNIFIED_CGROUP_HIERARCHY": "yes"},
            )
        self._wait_until_up(before=None)
        return time.monotonic() - begun_s

    def _wait_until_up(self, before: int | None) -> None:
        def is_up() -> bool | None:
            require(self._power is not None and self._power.poll() is None, f"it does not boot: {self._last_words()}")
            leader = self._leader()
            if leader is None or leader == before:
                return None
            told = self.do("systemctl", "is-system-running", may_fail=True).strip()
            return True if told in {"running", "degraded"} else None

        until("systemd running in the container", BOOT_S, is_up)

    def _leader(self) -> int | None:
        require(self._power is not None, "the machine is off")
        assert self._power is not None
        with suppress(OSError):
            children = Path(f"/proc/{self._power.pid}/task/{self._power.pid}/children").read_text("ascii").split()
            for child in map(int, children):
                if Path(f"/proc/{child}/comm").read_text("ascii").strip() == "systemd":
                    return child
        return None

    def reboot(self) -> float:
        """Reboot in order; return how many seconds that took."""
        begun_s, before = time.monotonic(), self._leader()
        self.do("systemctl", "reboot", may_fail=True)

        def is_down() -> bool | None:
            assert self._power is not None
            return True if self._power.poll() is not None or self._leader() != before else None

        until("going down", DOWN_S, is_down)
        assert self._power is not None
        # without a manager of this machine nspawn ends and leaves the next start to whoever started it
        if self._power.poll() is not None:
            require(
                self._power.returncode == START_AGAIN, f"it ended with {self._power.returncode}: {self._last_words()}"
            )
            self.power_on()
        else:
            self._wait_until_up(before)
        return time.monotonic() - begun_s

    def cut_power(self) -> None:
        """End process 1, and by that everything, without a word; what was written stays written."""
        if self._power is None:
            return
        leader = self._leader()
        if leader is not None:
            os.kill(leader, 9)
        try:
            self._power.wait(DOWN_S)
        except subprocess.TimeoutExpired:
            self._power.kill()
            self._power.wait(DOWN_S)
        self._power = None

    def _last_words(self) -> str:
        return " / ".join(self._console.read_text("utf-8", "replace").strip().splitlines()[-3:])

    # ---- what somebody at its keyboard sees

    def do(self, *words: str, timeout_s: float = 120.0, may_fail: bool = False) -> str:
        """Run a command as its root; return what it printed."""
        leader = self._leader()
        require(leader is not None, "the machine is not up")
        spaces = [f"--{each}" for each in ("mount", "uts", "ipc", "net", "pid", "cgroup")]
        enter = ["nsenter", f"--target={leader}", *spaces, "--"]
        clean = ["env", "-i", "--chdir=/root", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"]
        return run(*enter, *clean, *words, timeout_s=timeout_s, may_fail=may_fail).stdout

    def shell(self, line: str, *, timeout_s: float = 120.0) -> str:
        """Run a line of shell, as documents write it."""
        return self.do("sh", "-ec", line, timeout_s=timeout_s)

    def property_of(self, name: str, unit: str) -> str:
        """Return a property that systemd knows of a unit."""
        return self.do("systemctl", "show", "--property", name, "--value", unit).strip()

    def pid_of(self, service: str) -> int:
        """Return the process of a service, as its number inside; 0 when there is none."""
        return int(self.property_of("MainPID", f"cellkeeper-{service}.service"))

    def journal(self, service: str, *, since: str = "-1h") -> str:
        """Return what a service wrote in this boot."""
        return self.do(
            "journalctl", "--boot", "--no-pager", "--output=cat", f"--since={since}", f"--unit=cellkeeper-{service}"
        )

    # ---- the site on it

    def unready(self) -> str | None:
        """Return which services are not ready, None when all are."""
        urls = [f"http://127.0.0.1:{port}/readyz" for port in PAGES.values()]
        told = self.do(PYTHON, "-c", FETCH, *urls).splitlines()
        bad = [name for name, answer in zip(PAGES, told, strict=True) if answer != "ready"]
        return ", ".join(bad) or None

    def wait_until_well(self) -> None:
        """Wait until all services are ready; raises CheckFailedError with the last words of those that are not."""
        try:
            until("all ready", SETTLE_S, lambda: None if self.unready() else True)
        except CheckFailedError as exc:
            bad = (self.unready() or "").split(", ")
            words = "\n".join(line for name in bad for line in self.journal(name).splitlines()[-6:])
            raise CheckFailedError(f"{exc}; not ready: {', '.join(bad)}\n{words}") from exc

    def rows(self, string: str = "s1") -> Rows:
        """Return all stored scans of a string; {} while the historian does not answer."""
        told = self.do(PYTHON, "-c", FETCH, f"http://127.0.0.1:{PAGES['historian']}/v1/strings/{string}/string")
        if not told.startswith('{"rows"'):
            return {}
        found = json.loads(told)["columns"]
        keys = zip(found["stream"], found["seq"], strict=True)
        return dict(zip(keys, zip(found["measured_at"], found["string_v"], strict=True), strict=True))

    def wait_for_data(self, after: datetime | None = None) -> None:
        """Wait until a scan is stored that was measured after a time, by default now."""
        after = after or datetime.now(UTC)

        def newest() -> bool | None:
            at = max((measured for measured, _ in self.rows().values()), default=None)
            return True if at is not None and datetime.fromisoformat(at) > after else None

        until("data in history", SETTLE_S, newest)


def lost(rows: Rows, *, from_the_first: bool = True) -> str | None:
    """Return which numbers of which stream are missing up to its last, None when none is.

    Args:
        rows: all stored scans of a string.
        from_the_first: streams begin with 1; else with the first that is stored, as where another store took over.
    """
    numbers: dict[str, list[int]] = defaultdict(list)
    for stream, seq in rows:
        numbers[stream].append(seq)
    gaps = {
        stream: sorted(set(range(1 if from_the_first else min(seen), max(seen) + 1)) - set(seen))
        for stream, seen in numbers.items()
    }
    return ", ".join(f"{stream}: {seqs[:5]}" for stream, seqs in gaps.items() if seqs) or None


def remove(folder: Path) -> None:
    """Remove a machine's folder, immutable files included."""
    run("chattr", "-R", "-i", folder, may_fail=True)
    shutil.rmtree(folder, ignore_errors=True)
