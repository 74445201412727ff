"""Arrived scans in flat arrays of stored counts: one numpy call for a whole room instead of one for each string."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from cellkeeper.contract.scan_columns import ScanColumns
from cellkeeper.contract.series import CELL, SCALAR_FIELDS
from numpy.typing import NDArray

from historian.stores.block import CLOCKS, DTYPES, NOT_FITTED, Block, Key, keys_of
from historian.stores.borders import bounded_bleed, bounded_count, bounded_counts
from historian.stores.port import LivedScan

_I4: Final = np.dtype("i4")
FEW: Final = 64  # scans whose scalars cost less one by one than as arrays
_SILENT: Final = 4  # quality of a sensor that is fitted, has no value and no quality of its own
type Owner = tuple[str, str, int, tuple[int, ...] | None]
"""Site, string, number of units, lives."""


@dataclass(frozen=True, slots=True)
class FlatRows:
    """Cell rows of several scans, one scan after the other.

    Attributes:
        lived: the scans.
        cells: (scans,) how many rows each has.
        v, degc, bleed, quality, degc_quality, status: (rows,) as in `Block`.
        scalars, scalar_quality: (scans, 6) as in `Block`.
    """

    lived: Sequence[LivedScan]
    cells: NDArray[np.int64]
    v: NDArray[Any]
    degc: NDArray[Any]
    bleed: NDArray[Any]
    quality: NDArray[Any]
    degc_quality: NDArray[Any]
    status: NDArray[Any]
    scalars: NDArray[Any]
    scalar_quality: NDArray[Any]

    def owner(self, at: int) -> Owner:
        """Return whose rows those of one scan are."""
        each = self.lived[at]
        return each.scan.site, each.scan.string, int(self.cells[at]), each.lives

    def keys(self, at: int) -> tuple[Key, ...]:
        """Return the (position, life) of the rows of one scan."""
        return keys_of(int(self.cells[at]), self.lived[at].lives)

    def blocks(self) -> list[Block]:
        """Return every scan as a block of one row; the arrays are views."""
        scans = [each.scan for each in self.lived]
        at_ms, seq = np.array([[scan.measured_ms, scan.seq] for scan in scans]).T
        stream = np.array([scan.stream for scan in scans], object)
        clock = np.array([CLOCKS.index(scan.clock) for scan in scans], np.uint8)
        ends = np.cumsum(self.cells).tolist()
        blocks = []
        for at, (end, cells) in enumerate(zip(ends, self.cells.tolist(), strict=True)):
            one, rows = slice(at, at + 1), slice(end - cells, end)
            scan_part = at_ms[one], seq[one], stream[one], clock[one], self.scalars[one], self.scalar_quality[one]
            columns = (self.v, self.degc, self.bleed, self.quality, self.degc_quality, self.status)
            blocks.append(Block(self.keys(at), *scan_part, *(column[None, rows] for column in columns)))
        return blocks


def flat_rows(lived: Sequence[LivedScan]) -> FlatRows:
    """Return scans, at least one, as flat rows; what cannot be is not good there (`borders`)."""
    scans = [each.scan for each in lived]

    def column(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(scan, name) for scan in scans])

    v, quality = bounded_counts(CELL.field("cell_v"), column("cell_v"), column("quality"), np.dtype(DTYPES["v"]))
    degc, degc_quality = bounded_counts(
        CELL.field("degc"), column("cell_degc"), column("degc_quality"), np.dtype(DTYPES["degc"])
    )
    bleed = bounded_bleed(CELL.field("bleed_frac"), column("bleed_frac"), np.dtype(DTYPES["bleed"]))
    scalars, scalar_quality = _scalars(scans)
    return FlatRows(
        lived=lived,
        cells=np.array([scan.cells for scan in scans]),
        v=v.astype(DTYPES["v"]),
        degc=degc.astype(DTYPES["degc"]),
        bleed=bleed.astype(DTYPES["bleed"]),
        quality=quality,
        degc_quality=degc_quality,
        status=column("status"),
        scalars=scalars,
        scalar_quality=scalar_quality,
    )


def _scalars(scans: Sequence[ScanColumns]) -> tuple[NDArray[Any], NDArray[Any]]:
    if len(scans) <= FEW:
        found = [
            [bounded_count(field, scan.scalars.get(field.shown), _scalar_code(scan, field.shown), _I4)
             for field in SCALAR_FIELDS]
            for scan in scans
        ]  # fmt: skip
        both = np.array(found, _I4)
        return both[..., 0], both[..., 1].astype(np.uint8)
    stored = np.empty((len(scans), len(SCALAR_FIELDS)), _I4)
    judged = np.empty(stored.shape, np.uint8)
    for at, field in enumerate(SCALAR_FIELDS):
        name = field.shown
        values = np.array([np.nan if (v := scan.scalars.get(name)) is None else v for scan in scans])
        codes = np.array([_scalar_code(scan, name) for scan in scans], np.uint8)
        stored[:, at], judged[:, at] = bounded_counts(field, values, codes, _I4)
    return stored, judged


def _scalar_code(scan: ScanColumns, name: str) -> int:
    if name not in scan.scalars:
        return scan.scalar_quality.get(name, NOT_FITTED)
    return scan.scalar_quality.get(name, 0 if scan.scalars[name] is not None else _SILENT)
