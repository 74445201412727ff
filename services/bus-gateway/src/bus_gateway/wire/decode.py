"""Replies of modules, from raw counts to physical units; raw counts end here.

Fast replies in columns; `decode_long` has the long ones. Whatever bytes come in, nothing raises (docs/bus-protocol.md,
sections 2.2 and 5).
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bus_gateway.wire.frame import FAST_BYTES, fast_residues

type Bytes = NDArray[np.uint8]
type Flags = NDArray[np.bool_]
type Values = NDArray[np.float64]


class Kind(IntEnum):
    """Low nibble of the mark (section 5.3)."""

    CELL = 0
    BLOCK = 1
    CURRENT = 2
    CURRENT_LARGE = 3
    CURRENT_FLOAT = 4
    STRING_VOLTAGE = 5
    RIPPLE_CURRENT = 6
    RIPPLE_VOLTAGE = 7
    AUX = 8
    AMBIENT = 9


COUNTS_PER_UNIT: Final = (1e4, 2e3, 1e3, 1e2, 1e4, 1e2, 1e2, 1e3, 1.0, 1e2)
"""Counts per V, A or %, by kind (section 5.3). Dividing rounds to the nearest decimal, multiplying would not."""


class ValueCode(IntEnum):
    """Why there is no value (section 5.2); MEASURED where there is one, RESERVED for codes of later revisions."""

    MEASURED = 0
    NO_SAMPLE = 1
    NOT_FINISHED = 2
    SATURATED = 3
    NO_PAGE = 4
    NOT_CONNECTED = 5
    UPDATING = 6
    NOT_FITTED = 7
    RESERVED = 8


class DegcCode(IntEnum):
    """Why there is no temperature (section 5.2)."""

    MEASURED = 0
    OPEN = 1
    SHORTED = 2
    NOT_FITTED = 3
    NOT_AVAILABLE = 4
    DAMAGED = 5


class BleedCode(IntEnum):
    """Bleed bytes that are no duty (section 5.3)."""

    NOT_CONNECTED = 248
    HOLD_EXPIRED = 249
    TEMPERATURE = 250
    VOLTAGE = 251
    IN_TEST = 252
    UPDATING = 253
    NO_CIRCUIT = 254


BELOW_RANGE: Final = 64
ABOVE_RANGE: Final = 128
SHOWN_STATUS: Final = 63

_LOWEST_COUNT: Final = -524_272  # below: codes
LOWEST_DEGC_COUNT: Final = -27_315
_FIRST_CODE: Final = -524_288
_ROW: Final = np.dtype(
    {
        "names": ["mark", "address", "word", "degc", "aux", "status"],
        "formats": ["u1", "<u2", "<i4", "<i2", "u1", "u1"],
        "offsets": [0, 1, 2, 6, 8, 9],  # word: the byte before it and its own three, so that one shift signs it
        "itemsize": FAST_BYTES,
    }
)
_BLEED_FRAC: Final = np.full(256, np.nan)
_BLEED_FRAC[:201] = np.arange(201) / 200.0
_BLEED_FRAC[248:253] = 0.0
_DIVISORS: Final = np.array([*COUNTS_PER_UNIT, *([np.nan] * 6)])


@dataclass(frozen=True, slots=True)
class FastColumns:
    """Fast replies of n slots, in units.

    Attributes:
        kind: (n,) `Kind`.
        same_kind: the kind of all of them; None where they differ.
        value: (n,) V, A, % or raw AUX bits; NaN where `code` says why.
        code: (n,) `ValueCode`, None where every slot has a value.
        degc: (n,) degrees Celsius; NaN where `degc_code` says why.
        degc_code: (n,) `DegcCode`, None where every slot has a temperature.
        aux: (n,) bleed byte, measuring range or supply.
        status: (n,) bits of section 5.3, range bits included.
    """

    kind: Bytes
    same_kind: int | None
    value: Values
    code: Bytes | None
    degc: Values
    degc_code: Bytes | None
    aux: Bytes
    status: Bytes

    def others_than(self, kind: int) -> Flags | None:
        """Return which replies are of another kind; None where all are of this one."""
        return None if self.same_kind == kind else self.kind != kind

    def only(self, where: Flags) -> "FastColumns":
        """Return the replies where `where` is true."""
        return FastColumns(
            self.kind[where],
            self.same_kind,
            self.value[where],
            None if self.code is None else self.code[where],
            self.degc[where],
            None if self.degc_code is None else self.degc_code[where],
            self.aux[where],
            self.status[where],
        )


def intact(rows: Bytes, addresses: NDArray[np.uint16], sample_id: int) -> Flags:
    """Tell which 12-byte rows are replies to what was asked (sections 2.2 and 2.3).

    Args:
        rows: (n, 12) bytes, C-contiguous.
        addresses: (n,) asked, one per row.
        sample_id: asked; a measured value has to carry its low nibble.
    """
    fields = rows.view(_ROW)[:, 0]
    word = fields["word"]
    good: Flags = fast_residues(rows) == 0
    good &= fields["address"] == addresses
    good &= ((word >> 28) & 0x0F == sample_id & 0x0F) | (_counts(word) < _LOWEST_COUNT)
    good &= (fields["mark"] - np.uint8(0xA0)) <= Kind.AMBIENT
    return good


def columns(rows: Bytes) -> FastColumns:
    """Return intact rows in units.

    Args:
        rows: (n, 12) bytes, C-contiguous, n ≥ 1.
    """
    fields = rows.view(_ROW)[:, 0]
    kind: Bytes = fields["mark"] & np.uint8(0x0F)
    counts = _counts(fields["word"])
    same_kind = int(kind[0]) if (kind == kind[0]).all() else None
    value = counts / (_DIVISORS[kind] if same_kind is None else _DIVISORS[same_kind])
    code = _value_codes(counts, value) if int(counts.min()) < _LOWEST_COUNT else None
    raw_degc = fields["degc"]
    degc = raw_degc / 100.0
    degc_code = _degc_codes(raw_degc, degc) if int(raw_degc.min()) < LOWEST_DEGC_COUNT else None
    return FastColumns(kind, same_kind, value, code, degc, degc_code, fields["aux"].copy(), fields["status"].copy())


def bleed_frac(bleed_byte: Bytes) -> Values:
    """Return duties 0 to 1; NaN without a bleed circuit, while updating, and for bytes that are never sent."""
    return _BLEED_FRAC.take(bleed_byte)


def charging_a(value_a: float, *, is_reversed: bool) -> float:
    """Return amperes with positive charging, for a sensor that may be mounted the other way round."""
    return -value_a if is_reversed else value_a


def supply_v(aux_byte: int) -> float:
    """Return the supply of an AUX device (section 9)."""
    return aux_byte / 10.0


def _counts(word: NDArray[np.int32]) -> NDArray[np.int32]:
    return (word << 4) >> 12


def _value_codes(counts: NDArray[np.int32], value: Values) -> Bytes:
    missing = counts < _LOWEST_COUNT
    code = np.zeros(len(counts), dtype=np.uint8)
    code[missing] = np.minimum(counts[missing] - _FIRST_CODE + 1, ValueCode.RESERVED)
    value[missing] = np.nan
    return code


def _degc_codes(raw_degc: NDArray[np.int16], degc: Values) -> Bytes:
    missing = raw_degc < LOWEST_DEGC_COUNT
    code = np.zeros(len(raw_degc), dtype=np.uint8)
    code[missing] = np.minimum(raw_degc[missing].astype(np.int32) + 32_769, DegcCode.DAMAGED)
    degc[missing] = np.nan
    return code
