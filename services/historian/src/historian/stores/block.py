"""Full rows of one string in memory: scans × positions, as stored counts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

import numpy as np
from cellkeeper.contract.physical import Quality
from cellkeeper.contract.scan_columns import SCALARS, ScanColumns
from cellkeeper.contract.series import CELL, SCALAR_FIELDS, Field
from numpy.typing import NDArray

from historian.stores.borders import NULL as NULL
from historian.stores.borders import bounded_bleed, bounded_count, bounded_counts

_I4: Final = np.dtype("i4")
NOT_FITTED: Final = 255  # scalar quality where a string has no such sensor
CLOCKS: Final = ("synced", "holdover", "unsynced")

_V = CELL.field("cell_v")
_DEGC = CELL.field("degc")
_BLEED = CELL.field("bleed_frac")

type Key = tuple[int, int]
"""Position (1-based) and life."""
type Counts = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of one string, not necessarily in order of time.

    Attributes:
        keys: (position, life) of each column.
        at_ms, seq: (n,) int64. stream: (n,) str objects. clock: (n,) uint8, index into CLOCKS.
        scalars: (n, 6) int32 counts in the order of SCALARS. scalar_quality: (n, 6) uint8.
        v: (n, c) int32, as read whatever the quality. degc: (n, c) int16 or int32, the same. bleed: (n, c) int16.
        quality, degc_quality, status: (n, c) uint8.
    """

    keys: tuple[Key, ...]
    at_ms: NDArray[np.int64]
    seq: NDArray[np.int64]
    stream: NDArray[np.object_]
    clock: Counts
    scalars: Counts
    scalar_quality: Counts
    v: Counts
    degc: Counts
    bleed: Counts
    quality: Counts
    degc_quality: Counts
    status: Counts

    def __len__(self) -> int:
        """Return the number of scans."""
        return len(self.at_ms)

    def take(self, rows: Any) -> "Block":  # noqa: ANN401 - whatever numpy takes as an index of rows
        """Return the rows that a numpy index (slice, mask or positions) selects."""
        return replace(self, **{name: getattr(self, name)[rows] for name in ROW_ARRAYS})

    def only(self, cells: frozenset[int]) -> "Block":
        """Return the columns of these positions, all their lives."""
        return self._columns([at for at, (cell, _) in enumerate(self.keys) if cell in cells])

    def _columns(self, columns: list[int]) -> "Block":
        picked = {name: getattr(self, name)[:, columns] for name in CELL_ARRAYS}
        return replace(self, keys=tuple(self.keys[at] for at in columns), **picked)

    def present(self) -> "Block":
        """Return the columns of positions that exist in some row."""
        return self._columns(np.flatnonzero((self.quality != ABSENT).any(axis=0)).tolist())

    def sorted(self) -> "Block":
        """Return the rows in order of time, then stream order of arrival."""
        if np.all(self.at_ms[1:] >= self.at_ms[:-1]):
            return self
        return self.take(np.argsort(self.at_ms, kind="stable"))


SCAN_ARRAYS: Final = ("at_ms", "seq", "stream", "clock", "scalars", "scalar_quality")
CELL_ARRAYS: Final = ("v", "degc", "bleed", "quality", "degc_quality", "status")
ROW_ARRAYS: Final = SCAN_ARRAYS + CELL_ARRAYS
DTYPES: Final = {
    "at_ms": "i8",
    "seq": "i8",
    "stream": "O",
    "clock": "u1",
    "scalars": "i4",
    "scalar_quality": "u1",
    "v": "i4",
    "degc": "i2",
    "bleed": "i2",
    "quality": "u1",
    "degc_quality": "u1",
    "status": "u1",
}
_MISSING: Final = {"v": NULL[np.dtype("i4")], "degc": NULL[np.dtype("i2")], "bleed": NULL[np.dtype("i2")]}
ABSENT: Final = 254  # quality of a (row, position) that did not exist in that scan: no row at all


def empty(keys: tuple[Key, ...], capacity: int) -> Block:
    """Return a block with `capacity` rows of unspecified content."""
    n, c = capacity, len(keys)
    cells, scalars = (n, c), (n, len(SCALARS))
    return Block(
        keys=keys,
        at_ms=np.empty(n, "i8"),
        seq=np.empty(n, "i8"),
        stream=np.empty(n, "O"),
        clock=np.empty(n, "u1"),
        scalars=np.empty(scalars, "i4"),
        scalar_quality=np.empty(scalars, "u1"),
        v=np.empty(cells, "i4"),
        degc=np.empty(cells, "i2"),
        bleed=np.empty(cells, "i2"),
        quality=np.empty(cells, "u1"),
        degc_quality=np.empty(cells, "u1"),
        status=np.empty(cells, "u1"),
    )


@lru_cache(maxsize=128)  # one object per string and life: the newest rows compare keys at every scan
def keys_of(cells: int, lives: tuple[int, ...] | None) -> tuple[Key, ...]:
    """Return the column keys of a string with `cells` positions."""
    return tuple(zip(range(1, cells + 1), lives or (1,) * cells, strict=True))


def lives_in(row: Block) -> tuple[int, ...] | None:
    """Return the life of each position of a block; None where all are in their first."""
    return None if row.keys == keys_of(len(row.keys), None) else tuple(life for _, life in row.keys)


def block_of(scan: ScanColumns, lives: tuple[int, ...] | None = None) -> Block:
    """Return one scan as a block of one row; what cannot be is not good there (`borders`)."""
    block = empty(keys_of(scan.cells, lives), 1)
    block.at_ms[0], block.seq[0], block.stream[0] = scan.measured_ms, scan.seq, scan.stream
    block.clock[0] = CLOCKS.index(scan.clock)
    kept = [_scalar(field, scan) for field in SCALAR_FIELDS]
    block.scalars[0], block.scalar_quality[0] = zip(*kept, strict=True)
    block.v[0], block.quality[0] = bounded_counts(_V, scan.cell_v, scan.quality, block.v.dtype)
    block.degc[0], block.degc_quality[0] = bounded_counts(_DEGC, scan.cell_degc, scan.degc_quality, block.degc.dtype)
    block.bleed[0] = bounded_bleed(_BLEED, scan.bleed_frac, block.bleed.dtype)
    block.status[0] = scan.status
    return block


def _scalar(field: Field, scan: ScanColumns) -> tuple[int, int]:
    name = field.shown
    value = scan.scalars.get(name)
    silent = NOT_FITTED if name not in scan.scalars else int(Quality.SILENT if value is None else Quality.GOOD)
    return bounded_count(field, value, scan.scalar_quality.get(name, silent), _I4)


def scan_of(block: Block, row: int, site: str, string: str) -> ScanColumns:
    """Return one row as the scan it was; `oldest_seq` is not stored and reads as `seq`."""
    scalars: dict[str, float | None] = {}
    quality: dict[str, int] = {}
    for at, field in enumerate(SCALAR_FIELDS):
        code = int(block.scalar_quality[row, at])
        if code != NOT_FITTED:
            scalars[field.shown] = _one(block.scalars[row, at], field.decimals)
            quality[field.shown] = code
    return ScanColumns(
        site=site,
        string=string,
        stream=str(block.stream[row]),
        seq=int(block.seq[row]),
        oldest_seq=int(block.seq[row]),
        measured_ms=int(block.at_ms[row]),
        clock=CLOCKS[int(block.clock[row])],
        cell_v=plain_of(block.v[row], _V.decimals),
        cell_degc=plain_of(block.degc[row], _DEGC.decimals),
        bleed_frac=plain_of(block.bleed[row], _BLEED.decimals),
        quality=block.quality[row].copy(),
        degc_quality=block.degc_quality[row].copy(),
        status=block.status[row].copy(),
        scalars=scalars,
        scalar_quality=quality,
    )


def plain_of(stored: Counts, decimals: int) -> NDArray[np.float64]:
    """Return counts in the plain unit, NaN for null."""
    return np.where(stored == NULL[stored.dtype], np.nan, stored / 10.0**decimals)


def join(blocks: Sequence[Block]) -> Block:
    """Return the rows of all blocks under the union of their keys; what a block has no column for is ABSENT.

    Raises:
        ValueError: no block at all.
    """
    keys = blocks[0].keys
    if all(block.keys == keys for block in blocks):
        if len(blocks) == 1:
            return blocks[0]
        return Block(keys=keys, **{name: np.concatenate([getattr(b, name) for b in blocks]) for name in ROW_ARRAYS})
    keys = tuple(sorted({key for block in blocks for key in block.keys}))
    return join([_widened(block, keys) for block in blocks])


def _widened(block: Block, keys: tuple[Key, ...]) -> Block:
    place = {key: at for at, key in enumerate(keys)}
    columns = [place[key] for key in block.keys]
    wide: dict[str, Counts] = {}
    for name in CELL_ARRAYS:
        narrow = getattr(block, name)
        fill = _MISSING.get(name, ABSENT if name != "status" else 0)
        wide[name] = np.full((len(block), len(keys)), fill, narrow.dtype)
        wide[name][:, columns] = narrow
    return replace(block, keys=keys, **wide)


def _one(stored: Any, decimals: int) -> float | None:  # noqa: ANN401 - a numpy scalar
    return None if stored == NULL[np.dtype("i4")] else float(stored) / 10.0**decimals
