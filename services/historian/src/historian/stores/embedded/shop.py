"""The parts of the store that every piece of upkeep works with."""

from dataclasses import dataclass

from historian.stores.embedded.holdings import Holdings
from historian.stores.embedded.manifest import Manifest
from historian.stores.embedded.open_files import OpenFiles
from historian.stores.embedded.part_writer import PartWriter
from historian.stores.embedded.reading import Reader


@dataclass(frozen=True, slots=True)
class Shop:
    """What is held, what is written down, and who reads and writes files."""

    holdings: Holdings
    manifest: Manifest
    parts: PartWriter
    files: OpenFiles
    reader: Reader
