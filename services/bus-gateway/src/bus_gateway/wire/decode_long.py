"""Long replies of modules, from raw counts to physical units: docs/bus-protocol.md, sections 4, 7 and 8.

The other half of `decode`: raw counts end here, and whatever bytes come in, nothing raises.
"""

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from cellkeeper.contract.identity import SERIAL_PATTERN

from bus_gateway.wire.decode import COUNTS_PER_UNIT, LOWEST_DEGC_COUNT, Kind
from bus_gateway.wire.frame import LongFrame

_SERIAL: Final = re.compile(SERIAL_PATTERN)


class ReplyCode(IntEnum):
    """First byte of most long replies (section 4)."""

    OK = 0
    BUSY = 1
    UNSUPPORTED = 2
    BAD_VALUE = 3
    REFUSED_VOLTAGE = 4
    REFUSED_TEMPERATURE = 5
    REFUSED_STATE = 6
    NO_RECORD = 7
    RUNNING = 8
    ABORTED = 9
    CONTACT = 10
    STORE_FAILED = 11


def reply_code(frame: LongFrame) -> ReplyCode:
    """Return the code of a long reply; one that nobody knows, or none, counts as BAD_VALUE."""
    code = frame.payload[0] if frame.payload else ReplyCode.BAD_VALUE
    return ReplyCode(code) if code <= ReplyCode.STORE_FAILED else ReplyCode.BAD_VALUE


@dataclass(frozen=True, slots=True)
class Identity:
    """A device as it introduced itself (section 7, IDENT)."""

    address: int
    kind: int
    pages: int
    flags: int
    model: int
    hardware: str
    firmware: str
    uid: str
    rated_min: float
    rated_max: float
    bleed_max_a: float
    cells_per_unit: int
    bleed_floor_v: float
    bleed_hot_degc: float
    uptime_s: int
    resets: int
    last_reset: int
    serial: str


def identity(frame: LongFrame) -> Identity | None:
    """Return the identity in a reply to IDENT; None when it is not one of revision 1."""
    body = frame.payload
    if len(body) < 59 or body[0] != ReplyCode.OK or len(body) != 55 + body[54] or body[2] > Kind.AMBIENT:
        return None
    serial = body[55:].decode("ascii", "replace")
    if _SERIAL.fullmatch(serial) is None:
        return None
    scale = COUNTS_PER_UNIT[body[2]]
    return Identity(
        address=frame.address,
        kind=body[2],
        pages=body[3],
        flags=body[4],
        model=_unsigned(body, 5, 2),
        hardware=str(body[7]),
        firmware=f"{body[8]}.{body[9]}.{_unsigned(body, 10, 2)}",
        uid=f"{_unsigned(body, 12, 8):016x}",
        rated_min=_signed(body, 20, 4) / scale,
        rated_max=_signed(body, 24, 4) / scale,
        bleed_max_a=_unsigned(body, 30, 2) / 1000.0,
        cells_per_unit=body[32],
        bleed_floor_v=_signed(body, 33, 4) / scale,
        bleed_hot_degc=_signed(body, 37, 2) / 100.0,
        uptime_s=_unsigned(body, 47, 4),
        resets=_unsigned(body, 51, 2),
        last_reset=body[53],
        serial=serial,
    )


@dataclass(frozen=True, slots=True)
class Met:
    """A module that answered WHO."""

    address: int
    uid: str
    kind: int


def met(frame: LongFrame) -> Met | None:
    """Return who answered WHO; None when the reply has another length."""
    if len(frame.payload) != 9:
        return None
    return Met(frame.address, f"{_unsigned(frame.payload, 0, 8):016x}", frame.payload[8])


def test_duration_s(frame: LongFrame) -> float:
    """Return how long the test that IMP_START began will take at most; 0 where the reply is too short."""
    return _unsigned(frame.payload, 1, 2) / 1000.0 if len(frame.payload) == 3 else 0.0


@dataclass(frozen=True, slots=True)
class ImpedanceRecord:
    """The record of a test that ended well (section 7, IMP_READ)."""

    seq: int
    noisy: bool
    test_a: float
    r_ohm: float
    r_sd_ohm: float
    degc: float
    cell_v: float
    age_s: float


def impedance_record(frame: LongFrame, kind: int) -> ImpedanceRecord | None:
    """Return the record in a reply to IMP_READ of a module of `kind`; None when it holds none."""
    body = frame.payload
    if len(body) != 22 or body[0] != ReplyCode.OK or kind > Kind.BLOCK:
        return None
    raw_degc = _signed(body, 14, 2)
    return ImpedanceRecord(
        seq=body[1],
        noisy=body[3] != 0,
        test_a=_unsigned(body, 6, 2) / 1000.0,
        r_ohm=_unsigned(body, 8, 4) / 1e7,
        r_sd_ohm=_unsigned(body, 12, 2) / 1e7,
        degc=raw_degc / 100.0 if raw_degc >= LOWEST_DEGC_COUNT else float("nan"),
        cell_v=_signed(body, 16, 4) / COUNTS_PER_UNIT[kind],
        age_s=float(_unsigned(body, 20, 2)),
    )


def uid_in(frame: LongFrame) -> str | None:
    """Return the uid in a reply to ASSIGN or CLEAR."""
    return f"{_unsigned(frame.payload, 1, 8):016x}" if len(frame.payload) == 9 else None


def _unsigned(body: bytes, offset: int, size: int) -> int:
    return int.from_bytes(body[offset : offset + size], "little")


def _signed(body: bytes, offset: int, size: int) -> int:
    return int.from_bytes(body[offset : offset + size], "little", signed=True)
