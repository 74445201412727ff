"""Run the benchmarks: `python -m bench.run [name,name]`; one line `name value unit (goal)` per figure, JSON beside.

Every file bench_*.py has a function `figures()` that returns its figures, and may have `NAMES`, the names of them, so
that `ONLY=` runs no file in vain.
"""

import argparse
import importlib
import json
import os
import platform
import sys
import time
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

from bench.figure import Figure

HERE = Path(__file__).parent
RESULTS = HERE / "results"


def machine_class() -> str:
    """Return CPU model, cores and memory in one line; figures mean nothing without it."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = models[0] if models else model
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    version = platform.python_version()
    return f"{model}, {os.cpu_count()} cores, {memory_gb:.0f} GB, {platform.system()}, Python {version}"


def wanted_files(only: set[str]) -> list[str]:
    """Return the modules that may hold a wanted figure: all, unless none of their texts begins with its name."""
    files = sorted(HERE.glob("bench_*.py"))
    return [file.stem for file in files if not only or any(f'"{name}' in file.read_text("utf-8") for name in only)]


def is_wanted(figure: str, only: set[str]) -> bool:
    """Return whether a figure is asked for, by its name or by a beginning of it that ends before an underscore."""
    return not only or any(figure == name or figure.startswith(f"{name}_") for name in only)


def run(only: set[str]) -> tuple[list[Figure], list[str]]:
    """Return the figures, and the files that failed, with the reason."""
    found: list[Figure] = []
    failed: list[str] = []
    for name in wanted_files(only):
        try:
            module: ModuleType = importlib.import_module(f"bench.{name}")
            if not hasattr(module, "figures"):
                continue
            figures: list[Figure] = module.figures()
        except Exception as exc:  # noqa: BLE001  # one broken benchmark must not hide the figures of the others
            failed.append(f"{name}: {type(exc).__name__}: {exc}".splitlines()[0][:300])
            continue
        for figure in figures:
            if is_wanted(figure.name, only):
                found.append(figure)
                print(figure.line() + (f"  # {figure.note}" if figure.note else ""), flush=True)
    return found, failed


def write(figures: list[Figure]) -> Path:
    """Write the figures with the machine class."""
    RESULTS.mkdir(exist_ok=True)
    at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    rows = [asdict(figure) | {"reached": figure.reached} for figure in figures]
    body = json.dumps({"at": at, "machine": machine_class(), "figures": rows}, indent=2, ensure_ascii=False) + "\n"
    file = RESULTS / f"{at}.json"
    file.write_text(body, "utf-8")
    return file


def main() -> int:
    """Run what is asked for; exit code 1 when a benchmark could not be run or a wanted figure is unknown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="?", default="", help="names of figures or their beginnings, separated by commas")
    only = {name.strip() for name in parser.parse_args().only.split(",") if name.strip()}
    print(f"# {machine_class()}", flush=True)
    figures, failed = run(only)
    missing = sorted(name for name in only if not any(is_wanted(figure.name, {name}) for figure in figures))
    for line in [*failed, *(f"no benchmark prints {name}" for name in missing)]:
        print(f"not measured: {line}", file=sys.stderr)
    if figures:
        print(f"# written to {write(figures).relative_to(HERE.parent)}")
    return 1 if failed or missing else 0


if __name__ == "__main__":
    sys.exit(main())
