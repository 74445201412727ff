"""Search and addressing of modules, section 8."""

from typing import Final

from twin.bus.wire_codec import BROADCAST, UNADDRESSED, Type, long_frame
from twin.firmware.module_state import ModuleState, Moment

WHO_REPLY_LENGTH: Final = 18
MUTE_S: Final = 600.0
MOST_MUTED: Final = 30
MOST_BITS: Final = 8
FORGET_MUTES: Final = 1
_MASK: Final = 0xFFFF_FFFF


def mix(h: int) -> int:
    """Return 32 bits well mixed."""
    h ^= h >> 16
    h = h * 0x85EB_CA6B & _MASK
    h ^= h >> 13
    h = h * 0xC2B2_AE35 & _MASK
    return h ^ h >> 16


def uid_slot(uid: int, seed: int, bits: int) -> int:
    """Return the slot of 2**bits in which a uid answers under a seed."""
    h = mix(mix(seed ^ uid & _MASK) ^ uid >> 32)
    return h >> 32 - bits


def who_is_valid(address: int, payload: bytes) -> bool:
    """Whether a WHO may be obeyed."""
    known = address in {UNADDRESSED, BROADCAST} or address < 0xFFF0
    return known and len(payload) == 4 and payload[2] <= MOST_BITS and payload[3] <= FORGET_MUTES


def who_rows(state: ModuleState, rows: list[int], now: Moment, *, forget: bool) -> list[int]:
    """Return who of `rows` answers a WHO: those that are not muted; `forget` ends all mutes first."""
    if forget:
        state.muted_until_event_s[rows] = float("-inf")
    return [row for row in rows if state.muted_until_event_s[row] <= now.event_s]


def who_reply(state: ModuleState, row: int, tag: int) -> bytes:
    """Return the reply of one module to WHO."""
    payload = int(state.rated.uid[row]).to_bytes(8, "little") + bytes((int(state.rated.kind[row]),))
    return long_frame(Type.WHO | 0x80, int(state.address[row]), tag, payload)


def uids_in(payload: bytes) -> list[int]:
    """Return the uids in a payload of 8 bytes each."""
    return [int.from_bytes(payload[at : at + 8], "little") for at in range(0, len(payload), 8)]
