"""A support bundle: what helps to find a fault from afar, and nothing that opens a door.

Never in it: files of keys, tokens, passwords, and of the policy with its hashes. Whatever else holds one of these
values, such as a log, has it removed; so has everything that looks like one.
"""

import io
import platform
import re
import stat
import subprocess
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from importlib.metadata import distributions
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import orjson

from cellkeeper.cli.finding import Finding
from cellkeeper.runtime.certificate_facts import utc
from cellkeeper.runtime.errors import StartRefusedError
from cellkeeper.runtime.whole_file import whole_file
from cellkeeper.site_folder.identities import all_certificates
from cellkeeper.site_folder.layout import SiteFolder

MAX_TEXT_BYTES: Final = 2_000_000  # of each text; its end is kept
PROGRAM_DEADLINE_S: Final = 20.0
PAGE_DEADLINE_S: Final = 3.0
PRIVATE: Final = 0o600
SHORTEST_SECRET: Final = 12  # shorter words stand in texts by chance
PAGES: Final = range(8420, 8432)  # where services of one machine have their pages
CONTAINERS: Final = """
of="--all --filter label=com.docker.compose.project=cellkeeper"
docker ps $of
for id in $(docker ps --quiet $of); do docker logs --tail 2000 "$id" 2>&1; done
"""
PROGRAMS: Final[Mapping[str, tuple[str, ...]]] = {
    "machine/uname": ("uname", "-a"),
    "machine/disks": ("df", "-h"),
    "machine/memory": ("free", "-m"),
    "machine/clock": ("timedatectl",),
    "machine/adapters": ("lsusb",),
    "machine/serial": ("sh", "-c", "ls -l /dev/ttyUSB* /dev/ttyACM* /dev/serial/by-id /dev/cellkeeper"),
    "logs/units": ("journalctl", "--unit=cellkeeper-*", "--lines=5000", "--no-pager", "--output=short-iso"),
    "logs/unit-states": ("systemctl", "list-units", "--all", "--no-pager", "cellkeeper*"),
    "logs/containers": (
        "sh",
        "-c",
        CONTAINERS,
    ),
}
GONE: Final = "[removed]"
_SHAPES: Final = (
    re.compile(r"-----BEGIN [A-Z ]*(?:PRIVATE KEY|CERTIFICATE)-----.*?(?:-----END [A-Z ]*-----|\Z)", re.DOTALL),
    re.compile(
        r"""(?ix)(?<=[\s"'_\-{,;&?])(?:[\w-]*(?:password|passwd|passphrase|token|secret|community|api[_-]?key))
        ["']?\s*[=:]\s*(?:"[^"]*"|'[^']*'|[^\s,;}"']+)"""
    ),
    re.compile(r"(?i)\b(?:authorization|proxy-authorization|cookie)\s*:\s*[^\r\n]+"),
    re.compile(r"(?i)\b(?:token|bearer|basic)\s+[\w.~+/=-]{12,}"),
    re.compile(r"(?<=://)[^\s/@:]+:[^\s/@]+(?=@)"),
    # what is long and mixed is a token or a password of ours; hashes in hexadecimal have no capitals
    re.compile(r"(?<![\w+=-])(?=[\w+=-]*[a-z])(?=[\w+=-]*[A-Z])(?=[\w+=-]*\d)[\w+=-]{32,}"),
)


def known_secrets(folder: SiteFolder) -> set[str]:
    """Return every secret of a site that this user may read: tokens, passwords, hashes, lines of keys."""
    found: set[str] = set()
    rooms = [folder.authorities, folder.broker, folder.path / "secrets", folder.path / "handover"]
    for path in (path for room in rooms for path in _readable(room)):
        if path.suffix in {".key", ".token", ".password"}:
            found.update(line.strip() for line in path.read_text("utf-8", "replace").splitlines())
    for path in (folder.readers_file, folder.broker / "policy.json"):
        try:
            found.update(_texts(orjson.loads(path.read_bytes())))
        except (OSError, orjson.JSONDecodeError):
            continue
    return {each for each in found if len(each) >= SHORTEST_SECRET and not each.startswith("-----")}


def _readable(room: Path) -> Iterator[Path]:
    try:
        yield from (path for path in room.rglob("*") if path.is_file())
    except OSError:
        return


def _texts(body: object, name: str = "") -> Iterator[str]:
    if isinstance(body, dict):
        for key, value in body.items():
            yield from _texts(value, str(key))
    elif isinstance(body, list):
        for value in body:
            yield from _texts(value, name)
    elif isinstance(body, str) and name in {"salt", "hash", "password"}:
        yield body


def scrubbed(text: str, secrets: Iterable[str]) -> str:
    """Return a text without any of these secrets, and without what looks like one."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, GONE)
    for shape in _SHAPES:
        text = shape.sub(GONE, text)
    return text


def contents(
    folder: SiteFolder | None, site_file: Path, findings: Iterable[Finding], logs: Iterable[Path]
) -> dict[str, str]:
    """Return the texts of a bundle by name, not yet scrubbed."""
    found = {"findings": "\n".join(f"{each.verdict:<6} {each.about:<14} {each.text}" for each in findings)}
    found["machine/python"] = f"{platform.python_version()} {platform.platform()}"
    found["machine/packages"] = "\n".join(sorted(f"{each.name} {each.version}" for each in distributions()))
    found |= {name: text for name, command in PROGRAMS.items() if (text := _said(command))}
    found |= {
        f"pages/{port}-{page}": text for port in PAGES for page in ("readyz", "metrics") if (text := _page(port, page))
    }
    for path in (site_file, *([folder.access_file] if folder else [])):
        found |= {f"site/{path.name}": path.read_text("utf-8", "replace")} if path.exists() else {}
    if folder is not None:
        found["site/files"] = "\n".join(_listing(folder.path))
        found["site/certificates"] = _certificates(folder)
    for path in logs:
        found[f"logs/{path.name}"] = path.read_text("utf-8", "replace")
    return found


def _said(command: tuple[str, ...]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, timeout=PROGRAM_DEADLINE_S, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout + done.stderr).decode("utf-8", "replace")


def _page(port: int, page: str) -> str:
    try:
        opener = build_opener(ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{port}/{page}", timeout=PAGE_DEADLINE_S) as answer:
            body: bytes = answer.read(MAX_TEXT_BYTES)
    except URLError as exc:
        return "" if isinstance(exc.reason, ConnectionRefusedError) else str(exc)
    except OSError:
        return ""
    return body.decode("utf-8", "replace")


def _listing(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        told = path.lstat()
        yield f"{stat.filemode(told.st_mode)} {told.st_uid}:{told.st_gid} {told.st_size} {path.relative_to(folder)}"


def _certificates(folder: SiteFolder) -> str:
    try:
        found = all_certificates(folder)
    except (OSError, StartRefusedError) as exc:
        return str(exc)
    return "\n".join(f"{path.relative_to(folder.path)} {each.name} until {utc(each.not_after)}" for path, each in found)


def write_bundle(path: Path, texts: Mapping[str, str], secrets: Iterable[str], now: datetime) -> None:
    """Write a bundle, every text scrubbed; only its owner may read it. Raises OSError."""
    known = set(secrets)
    with whole_file(path, mode=PRIVATE) as sink, tarfile.open(fileobj=sink, mode="w:gz") as archive:
        for name, text in sorted(texts.items()):
            body = scrubbed(text, known).encode()[-MAX_TEXT_BYTES:]
            member = tarfile.TarInfo(f"cellkeeper-support/{name}.txt")
            member.size, member.mtime, member.mode = len(body), int(now.timestamp()), PRIVATE
            archive.addfile(member, io.BytesIO(body))
