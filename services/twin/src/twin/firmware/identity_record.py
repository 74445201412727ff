"""The identity record, the counters and the stored settings as payloads, sections 6 and 7."""

import struct

from twin.bus.devices import FIRMWARE, HARDWARE_REVISION, HIGHEST_BAUD, MODEL_C44_CLASS, UNIT_KINDS
from twin.bus.wire_codec import Code
from twin.firmware.module_state import ModuleState, Moment

PROTOCOL_REVISION = 1
HIGHEST_HOT = 7000
MOST_CELLS_PER_UNIT = 24


def ident_payload(state: ModuleState, row: int, now: Moment) -> bytes:
    """Return the payload of the reply to IDENT."""
    spec = state.rated.specs[row]
    head = struct.pack(
        "<BBBBBHBBBHQ",
        Code.OK,
        PROTOCOL_REVISION,
        int(state.rated.kind[row]),
        spec.pages,
        spec.flags,
        MODEL_C44_CLASS,
        HARDWARE_REVISION,
        *FIRMWARE,
        spec.uid,
    )
    ratings = struct.pack(
        "<iiHHBihII",
        int(state.rated.rated_min[row]),
        int(state.rated.rated_max[row]),
        spec.resolution,
        round(spec.bleed_max_a * 1000),
        int(state.cells_per_unit[row]),
        int(state.bleed_floor[row]) if spec.kind in UNIT_KINDS else 0,
        int(state.bleed_hot[row]) if spec.kind in UNIT_KINDS else 0,
        HIGHEST_BAUD,
        int(state.stored_baud[row]),
    )
    resets = min(int(state.reset_count[row]), 0xFFFF)
    serial = spec.serial.encode("ascii")
    life = struct.pack("<IHBB", uptime_s(state, row, now), resets, int(state.last_reset[row]), len(serial))
    return head + ratings + life + serial


def stats_payload(state: ModuleState, row: int, now: Moment) -> bytes:
    """Return the payload of the reply to STATS."""
    c = state.counters
    missed = c.before[row]
    heard = (c.rx_frames - missed[0], c.header_errors - missed[1], c.crc_errors - missed[2])
    own = (c.tx_frames[row], c.started[row], c.finished[row])
    counts = [int(count) & 0xFFFF_FFFF for count in (*heard, *own)]
    return struct.pack("<B7I", Code.OK, uptime_s(state, row, now), *counts)


def uptime_s(state: ModuleState, row: int, now: Moment) -> int:
    """Return whole seconds since the module started."""
    return max(0, int(now.event_s - state.up_from_event_s[row])) & 0xFFFF_FFFF


def configure(state: ModuleState, row: int, payload: bytes) -> Code:
    """Obey CONFIG; returns its code."""
    if state.rated.specs[row].kind not in UNIT_KINDS:
        return Code.UNSUPPORTED
    if len(payload) != 7:
        return Code.BAD_VALUE
    cells, floor, hot = struct.unpack("<Bih", payload)
    if not (1 <= cells <= MOST_CELLS_PER_UNIT and floor > 0 and 0 <= hot <= HIGHEST_HOT):
        return Code.BAD_VALUE
    state.cells_per_unit[row] = cells
    state.bleed_floor[row] = floor
    state.bleed_hot[row] = hot
    return Code.OK
