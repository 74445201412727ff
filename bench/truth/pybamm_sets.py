"""Runs of PyBaMM cells: generated once, in an environment of their own, kept under .cache/truth."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import numpy as np

from bench.truth.run import Run

HERE: Final = Path(__file__).parent
STORE: Final = HERE.parent.parent / ".cache" / "truth"
GENERATE_S: Final = 900.0  # a set of 64 cells takes half a minute on a free core
INSTALL_S: Final = 900.0


class NoTruthError(RuntimeError):
    """PyBaMM can not be had here; the text is one line that says why."""


def pybamm_run(chemistry: str, profile: str, *, cells: int, seed: int, degc: float = 25.0) -> Run:
    """Return a run, from the store or made now.

    Raises:
        NoTruthError: there is no PyBaMM and no way to install it, or it failed.
    """
    name = f"{chemistry}-{profile}-{cells}-{seed}-{degc:g}"
    file = STORE / f"{name}.npz"
    if not file.exists():
        made = [chemistry, profile, str(file), "--cells", str(cells), "--seed", str(seed), "--degc", f"{degc:g}"]
        _call([str(_python()), str(HERE / "generate.py"), *made], GENERATE_S, f"PyBaMM failed on {name}")
    return read_run(file, name)


def read_run(file: Path, name: str) -> Run:
    """Return the run in a file of the generator."""
    with np.load(file) as held:
        wide = {key: held[key].astype(np.float64) for key in held.files if key != "about"}
    return Run(
        name=name,
        at_s=wide["at_s"],
        discharge_a=wide["discharge_a"],
        unit_v=wide["unit_v"],
        degc=wide["degc"],
        soc_frac=wide["soc_frac"],
        capacity_ah=wide["capacity_ah"],
        nominal_ah=float(wide["nominal_ah"]),
    )


def _python() -> Path:
    """Return the interpreter that has PyBaMM, made ready first."""
    home, mark = STORE / "venv", STORE / "venv" / "ready"
    python = home / "bin" / "python"
    wanted = (HERE / "requirements.txt").read_text("utf-8")
    if mark.exists() and mark.read_text("utf-8") == wanted:
        return python
    STORE.mkdir(parents=True, exist_ok=True)
    print("# installing PyBaMM into .cache/truth ...", flush=True)
    _call([sys.executable, "-m", "venv", str(home)], INSTALL_S, "no environment for PyBaMM")
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _call([*install, "-r", str(HERE / "requirements.txt")], INSTALL_S, "PyBaMM can not be installed")
    mark.write_text(wanted, "utf-8")
    return python


def _call(command: list[str], limit_s: float, problem: str) -> None:
    try:
        ran = subprocess.run(
            command,
            env=os.environ | {"PYBAMM_DISABLE_TELEMETRY": "true", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise NoTruthError(f"{problem}: {exc}"[:300]) from exc
    if ran.returncode:
        last = (ran.stderr.strip().splitlines() or ["no message"])[-1]
        raise NoTruthError(f"{problem}: {last}"[:300])
