"""Whether a dossier's file belongs to its record and says what that record says."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cellkeeper import __version__

from analytics.dossier.context import DossierBasis
from analytics.dossier.csv_files import csv_files
from analytics.dossier.model import dossier_of
from analytics.dossier.pages import document_of
from analytics.dossier.record_file import load_checked, record_name
from analytics.paper.pdf import pdf_of
from analytics.reports.errors import ReportError

MAX_BYTES: Final = 200_000_000
SUFFIXES: Final = frozenset({".json", ".npz", ".pdf", ".csv"})
_IN_PDF: Final = re.compile(rb"/Keywords\s*\(data-sha256:([0-9a-f]{64})\)")
_NAME: Final = re.compile(r"(?P<stem>.+_\d{8}T\d{6}Z_(?:test|outage))(?:-(?:summary|units|course))?")


@dataclass(frozen=True, slots=True)
class Verified:
    """What came of it.

    Attributes:
        is_intact: whether everything agrees.
        data_sha256: of the record, computed anew.
        lines: for a person.
    """

    is_intact: bool
    data_sha256: str
    lines: tuple[str, ...]


def verify(path: Path, record: Path | None, state: Path) -> Verified:
    """Return whether a PDF, a CSV or a record is what it was when it was made.

    The hash of the record is computed anew, and a PDF or CSV is made again from it and compared byte by byte.

    Args:
        path: the file.
        record: its record; None to look beside the file, in a folder `events` there or one above, and in `state`.
        state: where records lie.

    Raises:
        ReportError: the file is of no known kind, or its record is not found.
        RecordDamagedError: the record itself is damaged or changed.
    """
    if path.suffix not in SUFFIXES or not path.is_file():
        raise ReportError(f"{path}: give a PDF or CSV of a dossier, or a record (.json)")
    if path.suffix in {".json", ".npz"}:
        _, found = load_checked(path)
        said, problem = f"{path}: the record is what it was when it was written", None
    else:
        basis, found = load_checked(_record_of(path, record, state))
        said, problem = f"{path}: exactly what its record gives", _problem(path, basis, found)
    return Verified(problem is None, found, (problem or said, f"SHA-256 of the record {found}"))


def _record_of(path: Path, record: Path | None, state: Path) -> Path:
    if record is not None:
        return record
    named = _NAME.fullmatch(path.stem)
    if named is None:
        raise ReportError(f"{path}: the name is none of a dossier; give its record with --record")
    file = f"{named['stem']}.json"
    beside = (path.parent, path.parent / "events", path.parent.parent / "events", state, state / "events")
    for folder in (*beside, *sorted(state.glob("*/events"))):
        if (folder / file).is_file():
            return folder / file
    raise ReportError(f"{path}: its record {file} is neither beside it nor in {state}; give it with --record")


def _problem(path: Path, basis: DossierBasis, found: str) -> str | None:
    """Return what does not agree between a file and its record, None when nothing."""
    body = _bytes(path)
    if path.suffix == ".pdf":
        printed = _IN_PDF.search(body)
        if printed is None:
            return f"{path}: CHANGED: no hash of a dossier is in it"
        if printed[1].decode() != found:
            return f"{path}: made from other data, SHA-256 {printed[1].decode()}"
    again = _made_again(path, basis)
    if again is None:
        return f"{path}: a dossier of this record has no such file; is its name changed?"
    return None if again == body else _differs(path, basis)


def _made_again(path: Path, basis: DossierBasis) -> bytes | None:
    """Return what the file has to hold; None when the dossier has no file of that name."""
    name, dossier = record_name(basis.record), dossier_of(basis)
    if path.suffix == ".pdf":
        return pdf_of(document_of(dossier)) if path.stem == name else None
    return {f"{name}-{ending}": text.encode() for ending, text in csv_files(dossier).items()}.get(path.name)


def _differs(path: Path, basis: DossierBasis) -> str:
    made_by = basis.context.software
    if made_by.lower().split()[:2] == ["cellkeeper", __version__]:  # the service, or analyse
        return f"{path}: CHANGED: it is not what its record gives"
    return (
        f"{path}: not what this version ({__version__}) makes of its record, which {made_by} wrote: verify it with "
        "that version, or make it anew with cellkeeper report discharge"
    )


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ReportError(f"{path}: larger than any dossier")
        return path.read_bytes()
    except OSError as exc:
        raise ReportError(f"{path}: {exc.strerror or exc}") from exc
