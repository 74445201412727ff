"""Checks of `make e2e` that take the stack apart: backup, a new machine, upgrade and its way back."""

import hashlib
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

from e2e_stack import CELLKEEPER, DATA_S, PROJECT, ROOT, Stack, require, run, until

GOOD, BROKEN = "0.1.1", "0.1.2"  # the images of this checkout under a later name, and one that cannot start
UPGRADE_WAIT_S, BROKEN_WAIT_S = 240, 20  # what ends at once is as broken after 20 s as after 200
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
TAUGHT = "taught by e2e"
PAPER = "analytics/dossiers/e2e.pdf"
LEARNED = {"balancer/learned.json", "analytics/learned.ckm", PAPER}
# what each that learns is given while it stands still
LEARNERS = {
    "balancer": f"""
import json, pathlib
path = pathlib.Path("/state/balancer/learned.json")
body = json.loads(path.read_text())
body["strings"]["s1"]["orders"]["pause_reason"] = {TAUGHT!r}
path.write_text(json.dumps(body))
""",
    "analytics": f"""
import pathlib
path = pathlib.Path("/state/{PAPER}")
path.parent.mkdir(exist_ok=True)
path.write_bytes(b"%PDF")
""",
}
# hashes of what a service learned; fails where the service could not write
HELD = """
import hashlib, json, os, pathlib
state, kept = pathlib.Path("/state"), ("learned.*", "events/*", "dossiers/*")
paths = [path for pattern in kept for path in state.glob(f"*/{pattern}")]
for path in paths: (path.parent / ".probe").touch(); (path.parent / ".probe").unlink()
print(json.dumps({str(path.relative_to(state)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}))
"""
REMEMBERED = """
import json, pathlib
path = pathlib.Path("/state/balancer/learned.json")
written_ms = path.stat().st_mtime * 1000
print(json.dumps([written_ms, json.loads(path.read_text())["strings"]["s1"]["orders"]["pause_reason"]]))
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
    _teach(stack)
    stack.run_once("backup")
    first = _history_in(stack.backups)
    require(any(".cell." in name for name in first), f"no day is in the backup, only {', '.join(first) or 'nothing'}")
    time.sleep(1.0)  # a backup is named after its second
    told = stack.run_once("backup")
    require(_history_in(stack.backups) == first, "the second backup wrote history again")
    missing = LEARNED - _learned_in(stack.backups).keys()
    require(not missing, f"of what services learned the backup lacks {', '.join(sorted(missing))}")
    run(CELLKEEPER, "restore", stack.backups)
    return told.strip().splitlines()[0].partition(": ")[2]


def _teach(stack: Stack) -> None:
    """Have the balancer know something that only its memory can tell it again, and analytics a paper."""
    stack.compose("stop", "--timeout", "20", *LEARNERS)
    for service, code in LEARNERS.items():
        stack.run_once("--no-deps", service, "python", "-c", code)
    stack.compose("start", *LEARNERS)
    stack.wait_until_well()


def _history_in(backups: Path) -> dict[str, tuple[int, int, str]]:
    return {name: told for name, told in files_in(backups / "files").items() if name.partition("/")[0] not in LEARNERS}


def _learned_in(backups: Path) -> dict[str, str]:
    """Return the hash of each file of what services learned, as the newest backup has it."""
    book = json.loads(max(backups.glob("2*/backup.json")).read_text("utf-8"))
    return {each["restores"]: each["sha256"] for each in book["learned"]}


def check_restore(stack: Stack) -> str:
    """Lose the machine: no volume and no site's folder is left; then bring all of it back from the backup."""
    oldest, site = stack.oldest(), files_in(stack.site)
    stack.down(with_volumes=True)
    shutil.rmtree(stack.site)
    run(CELLKEEPER, "restore", stack.backups, "--site", stack.site)
    require(files_in(stack.site) == site, "the site's folder is not as it was")
    stack.run_once("restore")
    found: dict[str, str] = {}
    for service in LEARNERS:
        found |= json.loads(stack.run_once("--no-deps", service, "python", "-c", HELD))
    learned = _learned_in(stack.backups)
    require(found == learned, f"services learned {sorted(learned)}, and have {sorted(found)} after the restore")
    before_ms = int(time.time() * 1000)
    stack.up()
    stack.wait_until_well()
    stack.wait_for_data(before_ms)
    require(stack.oldest() == oldest, "the oldest row is another one after the restore")
    _require_remembered(stack, before_ms)
    return (
        f"{len(site)} files of the site, {len(learned)} of what services learned and all closed days are back; "
        "all well, the balancer goes on from what it knew, and data going on"
    )


def _require_remembered(stack: Stack, after_ms: int) -> None:
    """See that services began with what was restored: the balancer writes it again from its memory."""

    def told() -> bool | None:
        written_ms, reason = json.loads(stack.compose("exec", "-T", "balancer", "python", "-c", REMEMBERED))
        if written_ms < after_ms:
            return None
        require(reason == TAUGHT, f"the balancer remembers {reason!r}, not {TAUGHT!r}")
        return True

    until("the balancer's memory written again", DATA_S, told)
    logs = stack.compose("logs", "--no-log-prefix", *LEARNERS)
    lost = [line for line in logs.splitlines() if "memory_lost" in line or ".anew" in line]
    require(not lost, f"services began anew: {lost[:3]}")


def check_upgrade(stack: Stack) -> str:
    """Upgrade to a later version, then to one that cannot start: it goes back by itself."""
    images = [str(each["Config"]["Image"]) for each in stack.containers().values()]
    now = [image for image in images if "historian" in image]
    require(now, "there is no stack to upgrade: the check before took it down")
    before = now[0].partition(":")[2]
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
