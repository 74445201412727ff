"""`python -m analytics.dossier RECORD --out FOLDER`: makes one dossier in a process of its own.

The service starts it as a child so that drawing takes neither its time nor its memory; `--memory-mb` is a hard limit of
this process. Standard output has one path per line; exit codes as everywhere: 0 ok, 1 failed, 2 used wrongly.

With `--serve` it draws one record after the other: each line of standard input is a path as JSON text, each line of
standard output what came of it, `{"files": [...], "failed": ""}`; it ends with its input, and after a lack of memory.
"""

import argparse
import gc
import os
import resource
import sys
from pathlib import Path
from typing import Final

import orjson
from cellkeeper.runtime.errors import RuntimeProblemError

from analytics.dossier.files import write_dossier
from analytics.dossier.record_file import load_record

MEMORY_MB: Final = 2048  # address space; what a dossier of 240 units takes is about a third

GIVES_WAY: Final = 5  # niceness: scans, estimates and history come first, and a busy machine still draws


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m analytics.dossier", description="Make the dossier of a discharge.")
    parser.add_argument("record", type=Path, nargs="?", help="NAME.json of a record; NAME.npz lies beside it")
    parser.add_argument("--serve", action="store_true", help="draw what standard input names, line by line")
    parser.add_argument("--out", type=Path, required=True, help="folder for the PDF and the CSV files")
    parser.add_argument("--memory-mb", type=int, default=MEMORY_MB, help="limit of this process; 0 for none")
    asked = parser.parse_args(arguments)
    if (asked.record is None) != asked.serve:
        parser.error("give a record, or --serve")
    if asked.memory_mb > 0:
        _bound_memory(asked.memory_mb)
    if asked.serve:
        return _serve(asked.out, asked.memory_mb)
    try:
        files, failed = _drawn(asked.record, asked.out)
    except MemoryError:
        files, failed = [], _too_small(asked.record, asked.memory_mb)
    sys.stderr.write(f"dossier: {failed}\n" if failed else "")
    sys.stdout.writelines(f"{path}\n" for path in files)
    return 1 if failed else 0


def _serve(out: Path, memory_mb: int) -> int:
    """Draw what standard input names until it ends; return the exit code."""
    os.nice(GIVES_WAY)
    for line in sys.stdin.buffer:
        record = Path(orjson.loads(line))
        try:
            _tell(*_drawn(record, out))
        except MemoryError:
            _tell([], _too_small(record, memory_mb))
            return 1
        gc.collect()  # pictures hold each other: without it a third paper takes twice the memory of the first
    return 0


def _drawn(record: Path, out: Path) -> tuple[list[str], str]:
    """Return the files of the paper of a record, or none and why."""
    try:
        written = write_dossier(load_record(record), out)
    except RuntimeProblemError as exc:
        return [], str(exc)
    return [str(path) for path in (written.pdf, *written.csv)], ""


def _tell(files: list[str], failed: str) -> None:
    sys.stdout.buffer.write(orjson.dumps({"files": files, "failed": failed}) + b"\n")
    sys.stdout.buffer.flush()


def _too_small(record: Path, memory_mb: int) -> str:
    return f"{record}: more than {memory_mb} MB needed; raise --memory-mb"


def _bound_memory(megabytes: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = megabytes * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


if __name__ == "__main__":
    sys.exit(main())
