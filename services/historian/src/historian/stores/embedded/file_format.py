"""The format that a Parquet file of the store says it has, in its footer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import orjson

from historian.errors import StoreVersionError

FORMAT_KEY: Final = "cellkeeper"
NEWEST: Final = 2
FIRST: Final = 1  # files of the first version say nothing


def require_known_format(path: Path, footer: Mapping[bytes, bytes] | None) -> None:
    """Raise StoreVersionError when a newer program wrote the file at `path`, whose key-value metadata is `footer`."""
    said = (footer or {}).get(FORMAT_KEY.encode())
    found = orjson.loads(said).get("format", FIRST) if said else FIRST
    if found > NEWEST:
        raise StoreVersionError(f"{path.name} has format {found}, this program knows {NEWEST}; use a newer one")
