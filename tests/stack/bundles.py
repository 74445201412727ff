"""Bundles as a site gets them, for the tests of this folder."""

import os
import subprocess
import sys
import tarfile
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
