"""Where and as whom a gateway runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cellkeeper.contract.site import Site

_MB: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Place:
    """One gateway of a site.

    Attributes:
        site: the whole site.
        service: which gateway of it this is.
        folder: its state.
        backfill_per_s, memory_mb: see `GatewaySettings`.
    """

    site: Site
    service: str
    folder: Path
    backfill_per_s: float = 500.0
    memory_mb: int = 32

    @property
    def journal_bytes(self) -> int:
        """Bound of the journal on disk."""
        return next(table.journal_max_mb for table in self.site.gateway if table.service == self.service) * _MB

    @property
    def memory_bytes(self) -> int:
        """Bound of the memory that stands in for the journal."""
        return self.memory_mb * _MB
