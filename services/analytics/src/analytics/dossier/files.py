"""Writes the files of a dossier: one PDF and three CSV files beside each other."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cellkeeper.runtime.whole_file import whole_file

from analytics.dossier.context import DossierBasis
from analytics.dossier.csv_files import csv_files
from analytics.dossier.errors import DossierNotWrittenError
from analytics.dossier.model import Dossier, dossier_of
from analytics.dossier.pages import document_of
from analytics.dossier.record_file import record_name
from analytics.paper.pdf import pdf_of


@dataclass(frozen=True, slots=True)
class DossierFiles:
    """Where a dossier was written, and what it says.

    Attributes:
        dossier: its numbers.
        pdf: for people.
        csv: summary, units and course, for programs.
    """

    dossier: Dossier
    pdf: Path
    csv: tuple[Path, ...]


def write_dossier(basis: DossierBasis, folder: Path) -> DossierFiles:
    """Make the dossier of a discharge and write its files; the same basis gives the same bytes.

    Raises:
        DossierNotWrittenError: the folder cannot be made or does not take the files.
        PaperError: a page cannot be set.
    """
    dossier = dossier_of(basis)
    name = record_name(basis.record)
    bodies = {f"{name}-{ending}": text.encode() for ending, text in csv_files(dossier).items()}
    _write(folder, bodies)
    _write(folder, {f"{name}.pdf": pdf_of(document_of(dossier))})  # last: where it is, nothing is missing
    return DossierFiles(dossier, folder / f"{name}.pdf", tuple(folder / file for file in bodies))


def _write(folder: Path, bodies: Mapping[str, bytes]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, body in bodies.items():
            with whole_file(folder / file) as sink:
                sink.write(body)
    except OSError as exc:
        raise DossierNotWrittenError(f"{folder}: {exc.strerror or exc}; choose another folder") from exc
