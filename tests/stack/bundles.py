"""Bundles as a site gets them, for the tests of this folder and for scripts/e2e-systemd-checks."""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
# whatever would ask an index asks a port that nobody listens on
NO_NETWORK = {
    "PIP_INDEX_URL": "http://127.0.0.1:9/",
    "PIP_FIND_LINKS": "",
    "UV_OFFLINE": "1",
    "PIP_CONFIG_FILE": os.devnull,
}


def unpacked_bundle(place: Path) -> Path:
    """Make a bundle for the interpreter of these tests below `place` and return its folder."""
    wheelhouse = ROOT / f".cache/wheelhouse-{VERSION}"
    told = {"BUNDLE_DIR": str(place), "CELLKEEPER_PYTHON": VERSION, "WHEELHOUSE": str(wheelhouse)}
    made = subprocess.run([ROOT / "scripts/bundle"], env=os.environ | told, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    with tarfile.open(made.stdout.strip().splitlines()[-1]) as archive:
        archive.extractall(place, filter="data")
    return next(path for path in place.iterdir() if path.is_dir())


def install(bundle: Path, place: Path) -> subprocess.CompletedProcess[str]:
    """Run a bundle's installer where no index answers."""
    command = ["sh", bundle / "install.sh", place]
    environment = os.environ | NO_NETWORK | {"PYTHON": sys.executable}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def next_version(bundle: Path, place: Path, number: str, spoil: dict[str, bytes]) -> Path:
    """Return the same bundle as a later version, some files of its wheels replaced."""
    shutil.copytree(bundle, place, copy_function=os.link)
    for wheel in place.glob("wheelhouse/cellkeeper*.whl"):
        name, old, rest = wheel.name.split("-", 2)
        fresh = wheel.with_name(f"{name}-{number}-{rest}")
        with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED) as target:
            for item in source.namelist():
                if item.endswith(".dist-info/RECORD"):
                    continue
                body = spoil.get(item, source.read(item))
                if item.endswith(".dist-info/METADATA"):
                    body = body.replace(f"\nVersion: {old}\n".encode(), f"\nVersion: {number}\n".encode())
                target.writestr(item.replace(f"-{old}.dist-info", f"-{number}.dist-info"), body)
            record = f"{name}-{number}.dist-info/RECORD"
            target.writestr(record, "".join(f"{item},,\n" for item in (*target.namelist(), record)))
        wheel.unlink()
    (place / "SHA256SUMS").unlink()
    files = sorted(path for path in place.rglob("*") if path.is_file())
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  ./{path.relative_to(place)}\n" for path in files]
    (place / "SHA256SUMS").write_text("".join(lines), "utf-8")
    return place
