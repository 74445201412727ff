"""Real Mosquittos with the policy of a site, for tests: the installed one and what `scripts/real-brokers` got."""

import os
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cellkeeper.contract.site_file import load_site
from cellkeeper.policy.access import Access, BrokerAccess, ServicesAccess
from cellkeeper.runtime.broker import START_DEADLINE_S, STOP_DEADLINE_S, find_mosquitto, free_port
from cellkeeper.runtime.errors import StartRefusedError
from cellkeeper.site_folder.furnish import Wish, furnish
from cellkeeper.site_folder.identities import Registry
from cellkeeper.site_folder.layout import Desk, SiteFolder
from cellkeeper.site_folder.readers import Readers

CACHE_VARIABLE: Final = "CELLKEEPER_SERVERS_CACHE"
CACHE: Final = Path(".cache/servers")
HOST: Final = "127.0.0.1"
ANSWER_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Mosquitto:
    """One Mosquitto of this machine: version, program, and plugin where `start` cannot know its place."""

    version: str
    program: str
    plugin: str | None = None


def real_brokers(root: Path) -> list[Mosquitto]:
    """Return the installed Mosquitto and those in the cache of the checkout `root`, one of each version."""
    cache = Path(os.environ.get(CACHE_VARIABLE, str(root / CACHE)))
    found = [Mosquitto("", find_mosquitto())]
    found += [
        Mosquitto("", str(place / "mosquitto"), str(place / "plugin.so"))
        for place in sorted(cache.glob("mosquitto-*"))
        if (place / "plugin.so").exists()
    ]
    told = [replace(each, version=_version_of(each.program)) for each in found]
    return list({each.version: each for each in reversed(told)}.values())[::-1]


def _version_of(program: str) -> str:
    done = subprocess.run([program, "-h"], capture_output=True, text=True, timeout=ANSWER_S, check=False)  # noqa: S603
    return done.stdout.partition("mosquitto version ")[2].split()[0]


def furnished(
    folder: Path,
    site_text: str,
    kinds: Mapping[str, str],
    readers: Readers | None = None,
    *,
    now: datetime | None = None,
    hand_over: Sequence[str] = (),
) -> SiteFolder:
    """Make a site's folder on free loopback ports, owned by whoever runs the test; now is the machine's, else given."""
    place, own = SiteFolder(folder), os.geteuid()
    access = Access(
        broker=BrokerAccess(hosts=["localhost", HOST], uid=own, **_free_ports()), services=ServicesAccess(uid=own)
    )
    wish = wish_of(site_text, access, kinds, readers, now)
    furnish(place, wish)
    registry = Registry(Desk(place), load_site(place.site_file).site.id, access, wish.now, renew=False, owner=own)
    for reader in hand_over:
        registry.hand_over(reader)
    return place


def wish_of(
    site_text: str,
    access: Access,
    kinds: Mapping[str, str],
    readers: Readers | None = None,
    now: datetime | None = None,
) -> Wish:
    """Return a wish with the kinds of services that a test names, whatever is installed."""
    return Wish(
        site_text=site_text.encode(),
        access=access,
        kinds_of=lambda _: kinds,
        now=now or datetime.now(UTC).replace(microsecond=0),
        owner=os.geteuid(),
        readers=readers,
    )


def _free_ports() -> dict[str, int]:
    names = ("services_port", "readers_port", "readers_certificate_port")
    found: set[int] = set()
    while len(found) < len(names):
        found.add(free_port())
    return dict(zip(names, found, strict=True))


@dataclass(slots=True)
class SecuredBroker:
    """The broker of a site's folder as a child process, started by the folder's own `start`."""

    folder: SiteFolder
    mosquitto: Mosquitto
    port: int
    run_dir: Path
    _process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def log(self) -> str:
        """What it has said so far."""
        return (self.run_dir / "broker.log").read_text("utf-8", "replace")

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start and wait until it listens; raises StartRefusedError with its last words when it does not."""
        self.run_dir.mkdir(parents=True, exist_ok=True)
        told = {"MOSQUITTO": self.mosquitto.program, "CELLKEEPER_BROKER_RUN": str(self.run_dir)}
        if self.mosquitto.plugin is not None:
            told["MOSQUITTO_DYNAMIC_SECURITY"] = self.mosquitto.plugin
        with (self.run_dir / "broker.log").open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603  # our own script
                ["/bin/sh", str(self.folder.broker / "start")], env=os.environ | told, stdout=output, stderr=output
            )
        end_s = time.monotonic() + START_DEADLINE_S
        while time.monotonic() < end_s and self._process.poll() is None:
            if self._listens():
                return
            time.sleep(0.02)
        self.stop()
        raise StartRefusedError(self.log.strip().splitlines()[-1])

    def _listens(self) -> bool:
        """Look for all its listeners in the kernel's table: a connection of ours would be in the broker's log."""
        with suppress(OSError, IndexError):
            configuration = (self.folder.broker / "mosquitto.conf").read_text("utf-8")
            wanted = {int(port) for port in re.findall(r"^listener (\d+)", configuration, re.MULTILINE)} | {self.port}
            rows = [row.split() for row in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]]
            return wanted <= {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A"}
        return False

    def stop(self) -> None:
        """End it in order."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
