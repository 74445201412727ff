"""Checks of `make e2e` that take the stack apart: backup, a new machine, upgrade and its way back."""

import hashlib
import os
import shutil
import subprocess
import time
from pathlib import Path

from e2e_stack import CELLKEEPER, PROJECT, ROOT, Stack, require, run

GOOD, BROKEN = "0.1.1", "0.1.2"  # the images of this checkout under a later name, and one that cannot start
UPGRADE_WAIT_S, BROKEN_WAIT_S = 240, 75  # a container's start period is 60 s
WENT_BACK = 3
# a day that is over, which a twin that runs for minutes has none of: written by the historian's own store
SEED = """
import numpy as np, time
from cellkeeper.testing.builders import scan_of
from historian.main import open_store
from historian.settings import HistorianSettings
from historian.stores.port import LivedScan, WriteBatch
noon_ms = (int(time.time()) // 86400 - 1) * 86_400_000 + 43_200_000
rng = np.random.default_rng(1)
store = open_store(HistorianSettings.from_environment(service="historian"), "demo")
store.begin()
scans = [scan_of(12, seq, site="demo", stream="seed", measured_ms=noon_ms + 1000 * seq,
                 cell_v=np.round(2.25 + rng.normal(0.0, 0.01, 12), 4)) for seq in range(1, 601)]
for first in range(0, 600, 60):
    store.write(WriteBatch(scans=[LivedScan(scan) for scan in scans[first : first + 60]]))
while store.upkeep().more:
    pass
store.close()
"""


def seed_yesterday(stack: Stack) -> None:
    """Give the empty store ten minutes of yesterday, before the historian runs."""
    stack.compose("up", "-d", "--wait", "influxdb")
    stack.compose("up", "provision")
    stack.run_once("--no-deps", "historian", "python", "-c", SEED)


def files_in(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Return owner, mode and hash of every file."""
    found = {}
    for path in (path for path in sorted(folder.rglob("*")) if path.is_file()):
        told = path.stat()
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        found[str(path.relative_to(folder))] = (told.st_uid, told.st_mode, digest)
    return found


def check_backup(stack: Stack) -> str:
    """Back up the running stack twice; the second one copies no history again."""
    stack.run_once("backup")
    first = files_in(stack.backups / "files")
    require(any(".cell." in name for name in first), f"no day is in the backup, only {', '.join(first) or 'nothing'}")
    time.sleep(1.0)  # a backup is named after its second
    told = stack.run_once("backup")
    require(files_in(stack.backups / "files") == first, "the second backup wrote history again")
    run(CELLKEEPER, "restore", stack.backups)
    return told.strip().splitlines()[0].partition(": ")[2]


def check_restore(stack: Stack) -> str:
    """Lose the machine: no volume and no site's folder is left; then bring all of it back from the backup."""
    oldest, site = stack.oldest(), files_in(stack.site)
    stack.down(with_volumes=True)
    shutil.rmtree(stack.site)
    run(CELLKEEPER, "restore", stack.backups, "--site", stack.site)
    require(files_in(stack.site) == site, "the site's folder is not as it was")
    stack.compose("up", "-d", "--wait", "influxdb")
    stack.compose("up", "provision")
    mount = f"{stack.backups}:/backup:ro"
    stack.run_once("--no-deps", "-v", mount, "historian", "cellkeeper", "restore", "/backup", "--history")
    before_ms = int(time.time() * 1000)
    stack.up()
    stack.wait_until_well()
    stack.wait_for_data(before_ms)
    require(stack.oldest() == oldest, "the oldest row is another one after the restore")
    return f"{len(site)} files of the site and all closed days are back, row by row; all well and data going on"


def check_upgrade(stack: Stack) -> str:
    """Upgrade to a later version, then to one that cannot start: it goes back by itself."""
    now = next(
        each["Config"]["Image"] for each in stack.containers().values() if "historian" in each["Config"]["Image"]
    )
    before = now.partition(":")[2]
    for service in ("bus-gateway", "historian", "balancer", "analytics", "twin"):
        for tag in (GOOD, BROKEN):
            run("docker", "tag", f"cellkeeper/{service}:{before}", f"cellkeeper/{service}:{tag}")
    context = stack.project.parent / "broken"
    context.mkdir()
    (context / "Dockerfile").write_text(
        f'FROM cellkeeper/historian:{before}\nCMD ["python", "-c", "raise SystemExit(1)"]\n'
    )
    run("docker", "build", "--quiet", "--network", "none", "-t", f"cellkeeper/historian:{BROKEN}", context)
    try:
        done = _upgrade(stack, GOOD, UPGRADE_WAIT_S)
        require(done.returncode == 0, f"upgrade to {GOOD}: {done.stdout[-500:]}{done.stderr[-500:]}")
        site = files_in(stack.site)
        done = _upgrade(stack, BROKEN, BROKEN_WAIT_S)
        require(done.returncode == WENT_BACK, f"upgrade to a broken version: {done.stdout[-500:]}{done.stderr[-500:]}")
        require(files_in(stack.site) == site, "the site's folder is not as it was")
        running = {str(each["Config"]["Image"]) for each in stack.containers().values()}
        require(
            f"cellkeeper/historian:{GOOD}" in running, f"after the way back there runs {', '.join(sorted(running))}"
        )
        before_ms = int(time.time() * 1000)
        stack.wait_until_well()
        stack.wait_for_data(before_ms)
    finally:
        stack.down(with_volumes=True)
        for service in ("bus-gateway", "historian", "balancer", "analytics", "twin"):
            for tag in (GOOD, BROKEN):
                run("docker", "image", "rm", "--force", f"cellkeeper/{service}:{tag}", may_fail=True)
    return f"{before} to {GOOD}; to a broken one and back to {GOOD} by itself, all well and data going on"


def _upgrade(stack: Stack, version: str, wait_s: int) -> subprocess.CompletedProcess[str]:
    told = {
        "COMPOSE_PROJECT_NAME": PROJECT,
        "COMPOSE_PROFILES": "demo",
        "UPGRADE_SERVICES": " ".join([*stack.services, "provision"]),
        "UPGRADE_WAIT_S": str(wait_s),
        "CELLKEEPER": str(CELLKEEPER),
    }
    os.environ |= told
    return run(
        "sh", ROOT / "deploy/bundle/upgrade.sh", "--compose", stack.project, version, timeout_s=900.0, may_fail=True
    )
