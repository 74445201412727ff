"""Replies to one string's readings, with a quality for each cell. Pure.

What a module said, and what becomes of it (docs/bus-protocol.md, sections 5 and 13; the contract's qualities):

| reply | voltage | quality |
|---|---|---|
| measured | as read | good |
| measured, bleed byte 252 | as read | in test |
| measured, status bit 6 or 7 | as read | out of range |
| measured, beyond what the wire of the suite carries (± 40 V) | none | out of range |
| SATURATED | none | out of range |
| no bytes in its slot, nor when asked again | none | silent |
| no bytes in any ask of its train, on a line with damaged replies, for up to three sweeps | none | bus error |
| bytes, none of them an intact reply; line closed; not asked in time | none | bus error |
| NO_SAMPLE, NOT_FINISHED, NO_PAGE, NOT_FITTED, a code of a later revision | none | bus error |
| NOT_CONNECTED (fuse open, lead off: status says which) | none | bus error |
| a kind that the site does not describe; an address that two modules share | none | bus error |
| UPDATING, or bleed byte 253 | none | updating |

Temperatures: sensor open or shorted, or outside −60 … 200 °C: none, out of range; not fitted: none, silent; else as the
voltage's reply. Where several hold, the contract's precedence decides.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from cellkeeper.contract.physical import Quality
from cellkeeper.contract.scan_columns import Codes, Floats
from numpy.typing import NDArray

from bus_gateway.driver import StringReadings
from bus_gateway.wire.decode import (
    ABOVE_RANGE,
    BELOW_RANGE,
    SHOWN_STATUS,
    BleedCode,
    FastColumns,
    Flags,
    bleed_frac,
)

HIGHEST_V: Final = 40.0  # cellkeeper.contract.physical.UnitVolts: one wild value must not make a whole scan unreadable
LOWEST_DEGC: Final = -60.0
HIGHEST_DEGC: Final = 200.0
UNKNOWN_BLEED: Final = 255
_RANGE_BITS: Final = np.uint8(BELOW_RANGE | ABOVE_RANGE)
_HIGHEST_DUTY: Final = 200

BY_VALUE_CODE: Final = np.array(
    [
        Quality.GOOD,
        Quality.BUS_ERROR,  # NO_SAMPLE
        Quality.BUS_ERROR,  # NOT_FINISHED
        Quality.OUT_OF_RANGE,  # SATURATED
        Quality.BUS_ERROR,  # NO_PAGE
        Quality.BUS_ERROR,  # NOT_CONNECTED
        Quality.UPDATING,
        Quality.BUS_ERROR,  # NOT_FITTED
        Quality.BUS_ERROR,  # RESERVED
    ],
    dtype=np.uint8,
)
BY_DEGC_CODE: Final = np.array(
    [Quality.GOOD, Quality.OUT_OF_RANGE, Quality.OUT_OF_RANGE, Quality.SILENT, Quality.BUS_ERROR, Quality.BUS_ERROR],
    dtype=np.uint8,
)


@dataclass(slots=True)
class StringDraft:
    """A string's readings while its lines are read; everything is a bus error until it is read.

    Attributes:
        bleed_byte: (n,) as each module showed it, 255 where unknown.
    """

    string: str
    cell_v: Floats
    cell_degc: Floats
    quality: Codes
    degc_quality: Codes
    status: Codes
    bleed_byte: Codes
    scalars: dict[str, float | None] = field(default_factory=dict)
    scalar_quality: dict[str, int] = field(default_factory=dict)

    @classmethod
    def empty(cls, string: str, cells: int) -> "StringDraft":
        """Return a draft of `cells` unread units."""
        cell_v, cell_degc = np.full((2, cells), np.nan)
        quality, degc_quality = np.full((2, cells), Quality.BUS_ERROR, dtype=np.uint8)
        bleed_byte = np.full(cells, UNKNOWN_BLEED, dtype=np.uint8)
        return cls(string, cell_v, cell_degc, quality, degc_quality, np.zeros(cells, dtype=np.uint8), bleed_byte)

    def readings(self, measured_ms: int) -> StringReadings:
        """Return the finished readings; the draft's arrays go with them."""
        return StringReadings(
            self.string,
            measured_ms,
            self.cell_v,
            self.cell_degc,
            bleed_frac(self.bleed_byte),
            self.quality,
            self.degc_quality,
            self.status,
            self.scalars,
            self.scalar_quality,
        )

    def put(self, first_cell: int, replies: FastColumns, kind: int) -> None:
        """Grade the replies of consecutive cells that all answered.

        Args:
            first_cell: index of the first, from 0.
            replies: of the cells, in order.
            kind: that the site describes for this string.
        """
        self.put_at(slice(first_cell, first_cell + len(replies.value)), replies, kind)

    def put_at(self, where: slice | NDArray[np.intp], replies: FastColumns, kind: int) -> None:
        """Grade replies of the cells at `where`; see `put`."""
        cell_v, quality = graded_volts(replies, kind)
        cell_degc, degc_quality = graded_degc(replies, quality)
        is_other = replies.others_than(kind)
        if is_other is not None:
            _refuse(cell_degc, degc_quality, is_other, Quality.BUS_ERROR)
        self.cell_v[where] = cell_v
        self.quality[where] = quality
        self.cell_degc[where] = cell_degc
        self.degc_quality[where] = degc_quality
        self.status[where] = replies.status & SHOWN_STATUS
        self.bleed_byte[where] = replies.aux

    def put_some(self, first_cell: int, replies: FastColumns, kind: int, answered: Flags, damaged: Flags) -> None:
        """Grade consecutive cells of which only some answered; see `put` and `miss`."""
        if answered.any():
            self.put_at(first_cell + np.flatnonzero(answered), replies.only(answered), kind)
        self.miss(first_cell + np.flatnonzero(~answered), damaged[~answered])

    def miss(self, where: NDArray[np.intp], damaged: Flags) -> None:
        """Note cells without an intact reply: silent, or a bus error where damaged bytes came."""
        reasons = np.where(damaged, np.uint8(Quality.BUS_ERROR), np.uint8(Quality.SILENT))
        self.quality[where] = reasons
        self.degc_quality[where] = reasons

    def void(self, where: NDArray[np.intp]) -> None:
        """Take back cells whose address answers twice: nobody knows whose values these are."""
        self.cell_v[where] = np.nan
        self.cell_degc[where] = np.nan
        self.bleed_byte[where] = UNKNOWN_BLEED
        self.quality[where] = Quality.BUS_ERROR
        self.degc_quality[where] = Quality.BUS_ERROR


def graded_volts(replies: FastColumns, kind: int) -> tuple[Floats, Codes]:
    """Return volts and their quality; in the order of the lines, what counts more overwrites what counts less."""
    cell_v = replies.value
    quality = np.zeros(len(cell_v), dtype=np.uint8)
    is_odd_bleed = int(replies.aux.max()) > _HIGHEST_DUTY
    if is_odd_bleed:
        quality[replies.aux == BleedCode.IN_TEST] = Quality.IN_TEST
    ranges = replies.status & _RANGE_BITS
    if ranges.any():
        quality[ranges != 0] = Quality.OUT_OF_RANGE
    if not -HIGHEST_V <= float(cell_v.min()) <= float(cell_v.max()) <= HIGHEST_V:  # also where there is a NaN
        is_wild = np.abs(cell_v) > HIGHEST_V
        quality[is_wild] = Quality.OUT_OF_RANGE
        cell_v[is_wild] = np.nan
    if replies.code is not None:
        graded = BY_VALUE_CODE.take(replies.code)
        np.copyto(quality, graded, where=graded != Quality.GOOD)
    is_other = replies.others_than(kind)
    if is_other is not None:
        _refuse(cell_v, quality, is_other, Quality.BUS_ERROR)
    if is_odd_bleed:
        _refuse(cell_v, quality, replies.aux == BleedCode.UPDATING, Quality.UPDATING)
    return cell_v, quality


def graded_degc(replies: FastColumns, quality: Codes) -> tuple[Floats, Codes]:
    """Return temperatures and their quality; a voltage that is no reading takes the temperature with it."""
    degc = replies.degc
    graded = np.zeros(len(degc), dtype=np.uint8)
    if replies.degc_code is not None:
        graded = BY_DEGC_CODE.take(replies.degc_code)
    if not LOWEST_DEGC <= float(degc.min()) <= float(degc.max()) <= HIGHEST_DEGC:
        is_wild = (degc < LOWEST_DEGC) | (degc > HIGHEST_DEGC)
        graded[is_wild] = Quality.OUT_OF_RANGE
        degc[is_wild] = np.nan
    if replies.code is not None or quality.any():
        is_gone = (quality == Quality.BUS_ERROR) & np.isnan(degc)
        graded[is_gone & (graded == Quality.GOOD)] = Quality.BUS_ERROR
        _refuse(degc, graded, quality == Quality.UPDATING, Quality.UPDATING)
    return degc, graded


def _refuse(values: Floats, quality: Codes, where: Flags, reason: Quality) -> None:
    values[where] = np.nan
    quality[where] = reason
