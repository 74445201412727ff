"""An upgrade of the programs of a running site, and the way back when the new version does not get healthy.

The two bundles, their programs and the suite are real; `systemctl` is a stand-in that starts and stops `cellkeeper up`
of whatever is installed, as no service manager runs here.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cellkeeper.runtime.broker import free_port
from cellkeeper.testing.suite import site_text

from .bundles import ROOT, install, next_version

pytestmark = pytest.mark.timeout(900)
UPGRADE_DEADLINE_S = 600.0
SYSTEMCTL = """\
#!/bin/sh
# stop|start cellkeeper.target, and nothing else
set -eu
cd "{room}"
stop() {{ if [ -e up.pid ]; then kill -INT "$(cat up.pid)" 2>/dev/null || true
    i=0; while kill -0 "$(cat up.pid)" 2>/dev/null && [ $i -lt 200 ]; do sleep 0.1; i=$((i+1)); done
    rm -f up.pid; fi; }}
case $1 in
stop) stop ;;
start) stop
    setsid "{place}/bin/cellkeeper" up --broker --site site --with twin --http-port {port} >>up.log 2>&1 </dev/null &
    echo $! >up.pid ;;
esac
"""


@dataclass(frozen=True)
class Machine:
    """A machine that runs a site from an installed bundle.

    Attributes:
        room: site's folder, programs and logs.
        environment: of the upgrade script.
    """

    room: Path
    environment: dict[str, str]

    @property
    def place(self) -> Path:
        """Where the programs are."""
        return self.room / "opt"

    def control(self, word: str) -> None:
        """Start or stop."""
        subprocess.run(["systemctl", word, "cellkeeper.target"], env=self.environment, check=True, timeout=60)

    def upgrade(self, bundle: Path, wait_s: int) -> subprocess.CompletedProcess[str]:
        """Run the new bundle's upgrade."""
        return subprocess.run(
            ["sh", bundle / "upgrade.sh", self.place],
            env=self.environment | {"UPGRADE_WAIT_S": str(wait_s)},
            capture_output=True,
            text=True,
            timeout=UPGRADE_DEADLINE_S,
            check=False,
        )

    def version(self) -> str:
        """Return the version that is installed."""
        code = "import importlib.metadata as m; print(m.version('cellkeeper'))"
        return subprocess.run(
            [self.place / "bin/python", "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()

    def files_of_site(self) -> dict[str, tuple[int, bytes]]:
        """Return mode and content of every file of the site's folder but its state."""
        site = self.room / "site"
        found = (path for path in site.rglob("*") if path.is_file() and path.relative_to(site).parts[0] != "state")
        return {str(path.relative_to(site)): (path.stat().st_mode, path.read_bytes()) for path in found}


@pytest.fixture(scope="module")
def machine(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Run a site from the installed bundle."""
    tmp_path = tmp_path_factory.mktemp("machine")
    port = free_port()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/systemctl").write_text(SYSTEMCTL.format(room=tmp_path, place=tmp_path / "opt", port=port), "utf-8")
    (tmp_path / "bin/systemctl").chmod(0o755)
    told = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "PYTHON": sys.executable}
    told |= {"CELLKEEPER_SITE": str(tmp_path / "site"), "CELLKEEPER_PAGES": f"{port} {port + 1}"}
    plain = {name: value for name, value in os.environ.items() if not name.startswith("CELLKEEPER_")}
    made = Machine(tmp_path, plain | told)
    done = install(bundle, made.place)
    assert done.returncode == 0, done.stderr
    (tmp_path / "bus").mkdir()
    (tmp_path / "given.toml").write_text(site_text(tmp_path / "bus", 1, 4), "utf-8")
    own = str(os.geteuid())
    command = [made.place / "bin/cellkeeper", "init", "site", "--site", "given.toml", "--uid", own, "--broker-uid", own]
    subprocess.run(command, cwd=tmp_path, env=plain, check=True, capture_output=True, timeout=60)
    access = tmp_path / "site/access.toml"
    text = access.read_text("utf-8")
    for number in ("8883", "8884", "8885"):
        text = text.replace(f"port = {number}", f"port = {free_port()}")
    access.write_text(text, "utf-8")
    subprocess.run(command[:3], cwd=tmp_path, env=plain, check=True, capture_output=True, timeout=60)
    made.control("start")
    try:
        yield made
    finally:
        made.control("stop")


def wait_until_ready(machine: Machine) -> None:
    """Wait until every page says ready, with curl's own patience instead of ours."""
    for port in machine.environment["CELLKEEPER_PAGES"].split():
        code = (
            "import sys, time, urllib.request as r\n"
            "end = time.monotonic() + 240\n"
            "while True:\n"
            "    try: r.urlopen(sys.argv[1], timeout=2).close(); break\n"
            "    except OSError:\n"
            "        if time.monotonic() > end: sys.exit('not ready')\n"
            "        time.sleep(0.2)\n"
        )
        subprocess.run([sys.executable, "-c", code, f"http://127.0.0.1:{port}/readyz"], check=True, timeout=300)


def test_a_damaged_bundle_is_refused_then_a_good_one_comes_then_a_broken_one_goes_back(
    bundle: Path, machine: Machine, tmp_path: Path
):
    wait_until_ready(machine)
    good = next_version(bundle, tmp_path / "good", "0.2.0", {})
    whole = (good / "docker-compose.yml").read_bytes()
    for content, told in ((whole + b"#", 1), (whole, 0)):
        (good / "docker-compose.yml").unlink()  # a link to the bundle's own
        (good / "docker-compose.yml").write_bytes(content)
        done = machine.upgrade(good, wait_s=300)
        log = (machine.room / "up.log").read_text("utf-8")[-2000:]
        assert done.returncode == told, done.stdout + done.stderr + log
        if told:
            assert "docker-compose.yml" in done.stderr
            assert "nothing was changed" in done.stderr
            assert machine.version() == "0.1.0"
    assert machine.version() == "0.2.0"

    before = machine.files_of_site()
    broken = {"historian/main.py": b'raise SystemExit("this version is broken on purpose")\n'}
    script = "cellkeeper/policy/healthy.sh"  # a later version renders something else into the site's folder
    broken[script] = (ROOT / "libs/cellkeeper/src" / script).read_bytes() + b"# later\n"
    done = machine.upgrade(next_version(bundle, tmp_path / "broken", "0.3.0", broken), wait_s=10)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "from 0.2.0 to 0.3.0" in done.stdout
    assert "changed  broker/healthy" in done.stdout
    assert "went back" in done.stdout
    assert machine.version() == "0.2.0"
    assert machine.files_of_site() == before
    wait_until_ready(machine)

    machine.control("stop")
    done = machine.upgrade(good, wait_s=5)
    assert done.returncode == 1
    assert "no service is ready" in done.stderr
    assert machine.version() == "0.2.0"
