"""Rows as CSV, of dossiers and reports alike: the same rows give the same bytes on every machine. Pure."""

import csv
from collections.abc import Iterable
from io import StringIO


def csv_text(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return rows as CSV with Unix line ends."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()
