"""Requests of the master, from physical units to bytes: docs/bus-protocol.md, sections 4 to 10.

With `decode.py` the only place that scales. RELAY_SET, SET_BAUD, SAVE_BAUD are missing: this master never sends them.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Final

from bus_gateway.wire.decode import COUNTS_PER_UNIT
from bus_gateway.wire.frame import BROADCAST, long_frame

MAX_TRAIN: Final = 64
MAX_SET_POINTS: Final = 200
MAX_MUTES: Final = 30
MAX_IDENTIFY_S: Final = 600
LEAVE_DUTY: Final = 255
DUTY_STEPS: Final = 200
WINDOW_UNITS: Final = 30  # 100 ms: whole cycles of 50 and of 60 Hz (section 5.1)
WINDOW_S: Final = WINDOW_UNITS / 300.0


class Type(IntEnum):
    """Frame types this master sends (section 4)."""

    SAMPLE = 0x01
    TRAIN = 0x02
    LIST = 0x03
    BLEED_SET = 0x10
    STOP_ALL = 0x11
    RENEW_HOLD = 0x12
    IDENTIFY = 0x18
    IMP_START = 0x20
    IMP_READ = 0x21
    IMP_ABORT = 0x22
    IDENT = 0x30
    CONFIG = 0x31
    STATS = 0x32
    ACK_RESET = 0x33
    WHO = 0x38
    MUTE = 0x39
    ASSIGN = 0x3A
    CLEAR = 0x3B


class Method(IntEnum):
    """How an impedance is measured (section 7)."""

    DC_PULSE = 1
    AC = 2


def uid_bytes(uid: str) -> bytes:
    """Return the eight bytes of a uid written as up to 16 hexadecimal digits."""
    return int(uid, 16).to_bytes(8, "little")


def duty_of(bleed_frac: float) -> int:
    """Return the set-point of a duty; the bleed byte of the next reply shows the same number."""
    return round(min(max(bleed_frac, 0.0), 1.0) * DUTY_STEPS)


def sample(sample_id: int, tag: int) -> bytes:
    """Return the broadcast that starts one common window."""
    return long_frame(Type.SAMPLE, BROADCAST, tag, bytes((sample_id, WINDOW_UNITS)))


def train(first: int, count: int, sample_id: int, page: int, tag: int) -> bytes:
    """Return the request to `count` consecutive addresses, at most 64."""
    return long_frame(Type.TRAIN, first, tag, bytes((count, sample_id, page)))


def listed(addresses: Sequence[int], sample_id: int, page: int, tag: int) -> bytes:
    """Return the request to at most 64 addresses anywhere on the line."""
    body = b"".join(address.to_bytes(2, "little") for address in addresses)
    return long_frame(Type.LIST, BROADCAST, tag, bytes((sample_id, page)) + body)


def bleed_set(first: int, duties: Sequence[int], tag: int) -> bytes:
    """Return set-points for `first`, `first + 1`, …; `LEAVE_DUTY` leaves a module as it is."""
    return long_frame(Type.BLEED_SET, first, tag, bytes(duties))


def stop_all(tag: int) -> bytes:
    """Return the broadcast that ends every bleed on the line."""
    return long_frame(Type.STOP_ALL, BROADCAST, tag)


def renew_hold(tag: int) -> bytes:
    """Return the broadcast that restarts the hold of modules that bleed."""
    return long_frame(Type.RENEW_HOLD, BROADCAST, tag)


def identify(address: int, on_s: float, tag: int) -> bytes:
    """Return the request to blink red and green in turn for at most 600 s; 0 ends it."""
    seconds = min(max(round(on_s), 0), MAX_IDENTIFY_S)
    return long_frame(Type.IDENTIFY, address, tag, seconds.to_bytes(2, "little") + b"\x00")


def impedance_start(
    address: int, seq: int, method: Method, par: float, test_a: float, tag: int
) -> bytes:  # the fields of the frame
    """Return the request for one test.

    Args:
        address: of the module.
        seq: 1 to 255, names the test so that repeating the request is safe.
        method: dc pulse or ac.
        par: seconds of the pulse, or hertz.
        test_a: test current in amperes.
        tag: echoed in the reply.
    """
    scaled = round(par * 1000.0) if method is Method.DC_PULSE else round(par * 10.0)
    fields = (min(max(scaled, 0), 0xFFFF), min(max(round(test_a * 1000.0), 0), 0xFFFF))
    body = bytes((seq, method)) + b"".join(field.to_bytes(2, "little") for field in fields)
    return long_frame(Type.IMP_START, address, tag, body)


def impedance_read(address: int, seq: int, tag: int) -> bytes:
    """Return the request for the record of test `seq`."""
    return long_frame(Type.IMP_READ, address, tag, bytes((seq,)))


def impedance_abort(address: int, tag: int) -> bytes:
    """Return the request to end a running test."""
    return long_frame(Type.IMP_ABORT, address, tag)


def ident(address: int, tag: int) -> bytes:
    """Return the request for the identity of the module at an address."""
    return long_frame(Type.IDENT, address, tag)


def ident_uid(uid: str, tag: int) -> bytes:
    """Return the request for the identity of a module by its uid, wherever it is."""
    return long_frame(Type.IDENT, BROADCAST, tag, uid_bytes(uid))


def stats(address: int, tag: int) -> bytes:
    """Return the request for a module's own counters."""
    return long_frame(Type.STATS, address, tag)


def config(
    address: int, kind: int, cells_per_unit: int, bleed_floor_v: float, bleed_hot_degc: float, tag: int
) -> bytes:
    """Return the frame that stores a unit module's settings (section 6).

    Args:
        address: of the module.
        kind: it introduced itself as; gives the scale of the floor.
        cells_per_unit: electrochemical cells in series, 1 to 24.
        bleed_floor_v: volts of the whole unit below which it neither bleeds nor tests.
        bleed_hot_degc: lead sensor or board above which it does not bleed.
        tag: echoed in the reply.

    Raises:
        ValueError: the address is not of one module; what a unit may do is never told to everybody.
    """
    if not 0 < address < BROADCAST:
        raise ValueError(f"settings go to one module, not to address {address}")
    floor, hot = floor_counts(bleed_floor_v, kind), hot_counts(bleed_hot_degc)
    body = bytes((cells_per_unit,)) + floor.to_bytes(4, "little", signed=True) + hot.to_bytes(2, "little", signed=True)
    return long_frame(Type.CONFIG, address, tag, body)


def floor_counts(bleed_floor_v: float, kind: int) -> int:
    """Return a floor as a module of `kind` stores it."""
    return round(bleed_floor_v * COUNTS_PER_UNIT[kind])


def hot_counts(bleed_hot_degc: float) -> int:
    """Return a temperature limit as modules store it."""
    return round(bleed_hot_degc * 100.0)


def ack_reset(first: int, count: int, tag: int) -> bytes:
    """Return the frame that clears "was reset" of at most 64 consecutive addresses."""
    return long_frame(Type.ACK_RESET, first, tag, bytes((count,)))


def who(address: int, seed: int, bits: int, *, forget_mutes: bool, tag: int) -> bytes:
    """Return the question who is at `address` (0: unaddressed, 0xFFFF: everyone), with 2^bits slots."""
    body = seed.to_bytes(2, "little") + bytes((bits, int(forget_mutes)))
    return long_frame(Type.WHO, address, tag, body)


def mute(uids: Sequence[str], tag: int) -> bytes:
    """Return the frame that silences at most 30 found modules for the rest of a search."""
    return long_frame(Type.MUTE, BROADCAST, tag, b"".join(uid_bytes(uid) for uid in uids))


def assign(uid: str, address: int, tag: int) -> bytes:
    """Return the request that gives a module its address."""
    return long_frame(Type.ASSIGN, BROADCAST, tag, uid_bytes(uid) + address.to_bytes(2, "little"))


def clear(uid: str, tag: int) -> bytes:
    """Return the request that makes a module unaddressed."""
    return long_frame(Type.CLEAR, BROADCAST, tag, uid_bytes(uid))
