"""Reads `site.toml` and says file, line and what to do about everything that is wrong with it."""

from pathlib import Path

from cellkeeper.contract.site import Site
from cellkeeper.contract.table_file import Problem as Problem
from cellkeeper.contract.table_file import TableFileError, parse_table, read_bounded


class SiteFileError(TableFileError):
    """The file cannot be used; `problems` says everything that was found."""


def load_site(path: Path) -> Site:
    """Return the checked site in a file.

    Raises:
        SiteFileError: it cannot be read, is not TOML, or describes an impossible site.
    """
    try:
        raw = read_bounded(path)
    except TableFileError as exc:
        raise SiteFileError(exc.problems) from exc
    return parse_site(raw, str(path))


def parse_site(raw: bytes, name: str = "site.toml") -> Site:
    """Return the checked site in the bytes of a file called `name`; raises SiteFileError."""
    try:
        return parse_table(raw, name, Site)
    except TableFileError as exc:
        raise SiteFileError(exc.problems) from exc
