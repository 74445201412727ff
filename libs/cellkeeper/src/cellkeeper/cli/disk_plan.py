"""How much disk a site's history will need, by tier. Pure, but for the question how much is free.

Bytes were measured with sensor noise of 0.3 mV and 0.03 °C (`make bench`: store_bytes_noisy, influx_bytes_per_row); a
quiet room needs less.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from cellkeeper.contract.series import DAY_MS, FULL, TIERS, Tier
from cellkeeper.contract.site import Site

type StoreKind = Literal["embedded", "influx"]

FULL_ROW_BYTES: Final[Mapping[StoreKind, float]] = {"embedded": 1.3, "influx": 1.45}
WINDOW_BYTES: Final[Mapping[StoreKind, float]] = {"embedded": 11.0, "influx": 42.0}  # one unit, one window, all fields
FOR_EVER_DAYS: Final = 3660  # what is kept for ever is planned for ten years
SPARE_FRAC: Final = 0.25  # merging and compaction need room beside what they replace, and a full disk stops everything
GB: Final = 1e9


@dataclass(frozen=True, slots=True)
class TierPlan:
    """What one tier needs.

    Attributes:
        day_gb: gigabytes that a day adds.
        days: days that are kept; 0 for ever.
    """

    tier: str
    day_gb: float
    days: int

    @property
    def whole_gb(self) -> float:
        """Gigabytes when nothing more is added than is deleted; after ten years where all is kept."""
        return self.day_gb * (self.days or FOR_EVER_DAYS)


def plan_disk(site: Site, kind: StoreKind, keep_days: Mapping[str, int]) -> tuple[TierPlan, ...]:
    """Return the plan of each tier, the full one first.

    Args:
        site: its units and its scan interval.
        kind: of the store.
        keep_days: by tier, where it differs from the default; 0 keeps for ever.
    """
    units = sum(string.cells for string in site.string)
    full_gb = units * DAY_MS / (1000 * site.site.scan_s) * FULL_ROW_BYTES[kind] / GB

    def of(tier: Tier) -> TierPlan:
        day_gb = full_gb if tier is FULL else units * DAY_MS / tier.window_ms * WINDOW_BYTES[kind] / GB
        return TierPlan(tier.name, day_gb, keep_days.get(tier.name, tier.keep_days))

    return tuple(of(tier) for tier in (FULL, *TIERS))


def words(plan: tuple[TierPlan, ...], kind: StoreKind) -> Iterator[str]:
    """Yield the plan as lines of text."""
    yield f"disk for history ({kind}), {sum(tier.day_gb for tier in plan):.3g} GB a day:"
    for tier in plan:
        kept = f"{tier.days} days" if tier.days else "for ever, ten years"
        yield f"  {tier.tier:4} {tier.day_gb:.3g} GB a day, {kept}: {tier.whole_gb:.3g} GB"
    yield f"  all of it {needed_gb(plan):.3g} GB, {SPARE_FRAC:.0%} spare included"


def needed_gb(plan: tuple[TierPlan, ...]) -> float:
    """Return what the disk must hold."""
    return sum(tier.whole_gb for tier in plan) * (1 + SPARE_FRAC)


def shortage(plan: tuple[TierPlan, ...], room_gb: float) -> str | None:
    """Return a warning when the disk is too small, or None."""
    if needed_gb(plan) <= room_gb:
        return None
    full, *tiers = plan
    left_gb = room_gb / (1 + SPARE_FRAC) - sum(tier.whole_gb for tier in tiers)
    days = int(max(left_gb, 0.0) / full.day_gb)
    return (
        f"the disk has {room_gb:.3g} GB for history, and {needed_gb(plan):.3g} GB will be needed; "
        + (f"keep the full tier for {days} days (CELLKEEPER_KEEP_FULL_DAYS), or take" if days else "take")
        + " a larger disk"
    )


def room_gb(folder: Path) -> float:
    """Return what the folder holds and what is still free on its disk; of one that does not exist, of its parent."""
    held = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.exists() else 0
    there = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    disk = os.statvfs(there)
    return (held + disk.f_bavail * disk.f_frsize) / GB
