"""The recorded discharges of a site: which there are, and one of them by its name."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from analytics.dossier.context import DossierBasis, EarlierResult
from analytics.dossier.errors import RecordDamagedError
from analytics.dossier.model import dossier_of, result_of
from analytics.dossier.record_file import load_record
from analytics.reports.errors import ReportError

FOLDER: Final = "events"
MOST_EVENTS: Final = 10_000


@dataclass(frozen=True, slots=True)
class EventFile:
    """One record on disk; `problem` says why it cannot be read, empty when it can."""

    path: Path
    basis: DossierBasis | None
    problem: str = ""


def event_paths(state: Path) -> list[Path]:
    """Return the records below a folder, oldest first by their names.

    Args:
        state: the state of a suite, of the analytics, or the folder of the records itself.

    Raises:
        ReportError: there is no such folder.
    """
    if not state.is_dir():
        raise ReportError(f"{state}: no such folder; give the suite's state with --state")
    folders = (state, state / FOLDER, *sorted(state.glob(f"*/{FOLDER}")))
    found = {path for folder in folders for path in folder.glob("*_*Z_*.json")}
    return sorted(found, key=lambda path: (path.name.rsplit("_", 2)[-2:], path.name))[-MOST_EVENTS:]


def read_events(paths: Sequence[Path]) -> Iterator[EventFile]:
    """Yield every record; a damaged one with its problem, so that one bad file hides no other."""
    for path in paths:
        try:
            yield EventFile(path, load_record(path))
        except RecordDamagedError as exc:
            yield EventFile(path, None, str(exc))


def named_event(state: Path, name: str) -> Path:
    """Return the record of a name, of the begin of one that is unambiguous, or of a path.

    Raises:
        ReportError: there is none, or several.
    """
    if Path(name).suffix in {".json", ".npz"} and Path(name).exists():
        return Path(name).with_suffix(".json")
    found = [path for path in event_paths(state) if path.stem.startswith(name)]
    exact = [path for path in found if path.stem == name]
    if len(exact or found) != 1:
        several = f"{len(found)} records begin with {name!r}: {', '.join(p.stem for p in found[:4])}"
        raise ReportError(several if found else f"no record {name!r} in {state}; see cellkeeper report discharge")
    return (exact or found)[0]


def earlier_results(paths: Sequence[Path], string: str, before_s: float, most: int = 10) -> tuple[EarlierResult, ...]:
    """Return what the newest earlier discharges of a string gave, oldest first; damaged records are left out.

    Args:
        paths: records of any strings.
        string: id.
        before_s: only discharges that began before.
        most: of them.
    """
    ours = [path for path in paths if path.name.rsplit("_", 2)[0] == string]
    found = [each.basis for each in read_events(ours) if each.basis is not None]
    older = sorted((b for b in found if b.record.began_s < before_s), key=lambda b: b.record.began_s)
    return tuple(result_of(dossier_of(each)) for each in older[-most:])
