"""How an embedded store behaves."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from cellkeeper.contract.series import FULL, TIERS

SCANS_PER_JOURNAL: Final = 600  # ten minutes at 1 Hz: 27 MB of newest rows at 4096 units


@dataclass(frozen=True, slots=True)
class EmbeddedOptions:
    """How the store behaves.

    Attributes:
        reserve_bytes: free space below which nothing is written, so that upkeep still can.
        keep_days: days with data that each tier keeps, 0 for ever.
        scans_per_journal: scans of one string after which a new journal begins.
    """

    reserve_bytes: int = 64 << 20
    keep_days: Mapping[str, int] = field(default_factory=lambda: {tier.name: tier.keep_days for tier in (FULL, *TIERS)})
    scans_per_journal: int = SCANS_PER_JOURNAL
