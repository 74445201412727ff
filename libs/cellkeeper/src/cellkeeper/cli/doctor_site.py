"""What the doctor sees of a site's folder, its history, its backups and its serial adapters."""

import grp
import hashlib
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from cellkeeper.backup.errors import BackupProblemError
from cellkeeper.backup.place import STAMP, BackupPlace
from cellkeeper.cli.finding import Finding
from cellkeeper.cli.init import near_their_end
from cellkeeper.cli.suite_run import is_open
from cellkeeper.runtime.errors import RuntimeProblemError
from cellkeeper.site_folder.furnish import SEALED, load_access
from cellkeeper.site_folder.layout import SiteFolder, private_files

LOOPBACK: Final = "127.0.0.1"
PAGE_DEADLINE_S: Final = 3.0
LATENCY_MS: Final = 1  # deploy/udev; 16 ms, as FTDI adapters come, are whole seconds per sweep of 512 modules
OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
STALE_AFTER: Final = timedelta(days=2)  # backups are made every night
SYS: Final = Path("/sys/class/tty")


def folder_findings(folder: SiteFolder, now: datetime) -> Iterator[Finding]:
    """Look at certificates, the broker's seal, rights of private keys and the broker's ports."""
    if not folder.access_file.exists():
        return
    try:
        due = near_their_end(folder, now)
        yield from (Finding("wrong", "certificates", line) for line in due)
        if not due:
            yield Finding("good", "certificates", "none is near its end")
        yield seal_finding(folder)
        yield from _open_keys(folder)
        access = load_access(folder).broker
    except PermissionError as exc:
        yield Finding("note", "site folder", f"{exc.filename} may not be read by user {os.getuid()}; run this as root")
        return
    except RuntimeProblemError as exc:
        yield Finding("wrong", "site folder", str(exc))
        return
    ports = {"services": access.services_port, "readers": access.readers_port}
    ports["readers' certificates"] = access.readers_certificate_port
    silent = [f"{port} ({who})" for who, port in ports.items() if not is_open(access.local_host, port)]
    if silent:
        yield Finding("note", "ports", f"nobody listens at {', '.join(silent)}; is the broker started?")
    else:
        yield Finding("good", "ports", f"the broker listens at {', '.join(map(str, ports.values()))}")


def seal_finding(folder: SiteFolder) -> Finding:
    """Look whether policy and configuration are those that init rendered; else the broker does not start."""
    advice = f"`cellkeeper init {folder.path}` renders it again; ask first who changed it"
    seal = folder.broker / "sealed.sha256"
    lines = [line.split(maxsplit=1) for line in seal.read_text("ascii").splitlines()] if seal.exists() else []
    told = {line[1]: line[0] for line in lines if len(line) == 2}  # hash and name
    for name in SEALED:
        path = folder.broker / name
        found = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "missing"
        if told.get(name) != found:
            return Finding("wrong", "policy", f"{path} is not what sealed.sha256 seals; {advice}")
    return Finding("good", "policy", "policy and configuration of the broker are as sealed")


def _open_keys(folder: SiteFolder) -> Iterator[Finding]:
    for path in private_files(folder):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & OTHERS:
            yield Finding(
                "wrong", "keys", f"{path} has mode {mode:o}: others may read it; chmod 400, and think of a new one"
            )


def history_findings(state_dir: Path) -> Iterator[Finding]:
    """Look at the embedded store of this machine, when there is one."""
    history = state_dir / "historian" / "history"
    try:
        there = (history / "manifest.sqlite").exists()
    except PermissionError:
        there = False
    if not there:
        return
    try:
        with closing(sqlite3.connect(f"file:{history / 'manifest.sqlite'}?mode=ro", uri=True, timeout=5.0)) as db:
            files = [str(file) for (file,) in db.execute("SELECT file FROM segment")]
            waiting = len(list((history / "journal").glob("*.ckj")))
    except sqlite3.Error as exc:
        yield Finding("wrong", "history", f"{history}/manifest.sqlite: {exc}; stop the historian and restore a backup")
        return
    gone = [file for file in files if not (history / file).exists()]
    if len(gone) > 1:  # one may have been merged away between the two looks
        yield Finding("wrong", "history", f"{len(gone)} files of {history} are gone, {gone[0]} first; restore a backup")
    else:
        yield Finding("good", "history", f"{len(files)} files, {waiting} journals in {history}")


def backup_findings(place: Path | None, now: datetime) -> Iterator[Finding]:
    """Look at the newest backup, when somebody said where backups are."""
    if place is None:
        yield Finding("note", "backup", "where are the backups? tell with --backups; `cellkeeper backup` makes one")
        return
    try:
        stamp, _ = BackupPlace(place).read()
    except BackupProblemError as exc:
        yield Finding("wrong", "backup", str(exc))
        return
    age = now - datetime.strptime(stamp, STAMP).replace(tzinfo=UTC)
    if age > STALE_AFTER:
        yield Finding("wrong", "backup", f"the newest in {place} is {age.days} days old; does its timer run?")
    else:
        yield Finding("good", "backup", f"the newest in {place} is {stamp}")


def page_findings(port: int) -> Iterator[Finding]:
    """Look whether the historian's page is ours."""
    if not is_open(LOOPBACK, port):
        return
    try:
        with build_opener(ProxyHandler({})).open(
            f"http://{LOOPBACK}:{port}/healthz", timeout=PAGE_DEADLINE_S
        ) as answer:
            ours = answer.read(16) == b"alive\n"
    except (URLError, OSError):
        ours = False
    if ours:
        yield Finding("good", "page", f"a service answers at {LOOPBACK}:{port}")
    else:
        yield Finding("wrong", "page", f"something else listens at port {port}; stop it, or set CELLKEEPER_HTTP_PORT")


def adapter_findings(bus: str, port: Path, sys: Path = SYS) -> Iterator[Finding]:
    """Look at rights and latency of a serial adapter that is there."""
    if not os.access(port, os.R_OK | os.W_OK):
        told = port.stat()
        try:
            group = grp.getgrgid(told.st_gid).gr_name
        except KeyError:
            group = str(told.st_gid)
        advice = (
            f"add it to the group {group}" if told.st_mode & stat.S_IWGRP else "install deploy/udev, then replug it"
        )
        yield Finding("wrong", f"bus {bus}", f"{port} may not be opened by user {os.getuid()}; {advice}")
        return
    yield Finding("good", f"bus {bus}", f"{port} can be opened")
    timer = sys / port.resolve().name / "device" / "latency_timer"
    if timer.exists() and (latency_ms := int(timer.read_text("ascii").strip() or 0)) > LATENCY_MS:
        yield Finding(
            "wrong", f"bus {bus}", f"{port} collects bytes for {latency_ms} ms; install deploy/udev, then replug it"
        )
