"""`python -m analytics.dossier RECORD --out FOLDER`: makes one dossier in a process of its own.

The service starts it as a child so that drawing takes neither its time nor its memory; `--memory-mb` is a hard limit of
this process. Standard output has one path per line; exit codes as everywhere: 0 ok, 1 failed, 2 used wrongly.
"""

import argparse
import resource
import sys
from pathlib import Path
from typing import Final

from cellkeeper.runtime.errors import RuntimeProblemError

from analytics.dossier.files import write_dossier
from analytics.dossier.record_file import load_record

MEMORY_MB: Final = 2048  # address space; what a dossier of 240 units takes is about a third


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m analytics.dossier", description="Make the dossier of a discharge.")
    parser.add_argument("record", type=Path, help="NAME.json of a record; NAME.npz lies beside it")
    parser.add_argument("--out", type=Path, required=True, help="folder for the PDF and the CSV files")
    parser.add_argument("--memory-mb", type=int, default=MEMORY_MB, help="limit of this process; 0 for none")
    asked = parser.parse_args(arguments)
    if asked.memory_mb > 0:
        _bound_memory(asked.memory_mb)
    try:
        written = write_dossier(load_record(asked.record), asked.out)
    except RuntimeProblemError as exc:
        sys.stderr.write(f"dossier: {exc}\n")
        return 1
    except MemoryError:
        sys.stderr.write(f"dossier: {asked.record}: more than {asked.memory_mb} MB needed; raise --memory-mb\n")
        return 1
    for path in (written.pdf, *written.csv):
        sys.stdout.write(f"{path}\n")
    return 0


def _bound_memory(megabytes: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = megabytes * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


if __name__ == "__main__":
    sys.exit(main())
