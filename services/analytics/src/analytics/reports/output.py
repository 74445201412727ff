"""Writes reports where people asked for them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cellkeeper.runtime.whole_file import whole_file

from analytics.paper.blocks import Document
from analytics.paper.csv_text import csv_text
from analytics.paper.pdf import pdf_of
from analytics.reports.errors import ReportError

SUFFIXES: Final = frozenset({".pdf", ".csv"})


def write_report(path: Path, document: Document, header: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Write a report as PDF or CSV, as the suffix of the path says.

    Raises:
        ReportError: the suffix is another, or the file cannot be written.
        PaperError: a page cannot be set.
    """
    if path.suffix not in SUFFIXES:
        raise ReportError(f"{path}: --out ends in {' or '.join(sorted(SUFFIXES))}")
    body = pdf_of(document) if path.suffix == ".pdf" else csv_text(header, rows).encode()
    try:
        with whole_file(path) as sink:
            sink.write(body)
    except OSError as exc:
        raise ReportError(f"{path}: {exc.strerror or exc}; choose another --out") from exc
