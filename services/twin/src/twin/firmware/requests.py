"""What the modules of a line do with each request that needs no slots, by type: sections 4 and 6 to 10."""

import struct
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from twin.bus.wire_codec import (
    BROADCAST,
    LAST_ADDRESS,
    REPLY,
    TRAIN_LIMIT,
    UNADDRESSED,
    Code,
    Kind,
    LongFrame,
    Type,
    long_frame,
)
from twin.firmware import bleed, lights
from twin.firmware.addressing import MOST_MUTED, MUTE_S, uids_in
from twin.firmware.bleed import LEAVE
from twin.firmware.identity_record import configure, ident_payload, stats_payload
from twin.firmware.module_state import Mask, Moment, Octets, Rows
from twin.firmware.modules import Answer, ModuleBank

MOST_SET: Final = 200

type Handler = Callable[[ModuleBank, LongFrame, Moment], list[Answer]]
type UnicastHandler = Callable[[ModuleBank, int, LongFrame, Moment], bytes]


def obey(bank: ModuleBank, frame: LongFrame, now: Moment) -> list[Answer]:
    """Obey a request; return the long replies of all modules that give one (more than one: an address is doubled)."""
    handler = _GROUP.get(frame.type)
    if handler is not None:
        return handler(bank, frame, now)
    if frame.type in _UID_FORMS and frame.address == BROADCAST:
        return _UID_FORMS[frame.type](bank, frame, now)
    if frame.type in _ALSO_BROADCAST and frame.address == BROADCAST:
        for row in np.flatnonzero(bank.ears):
            _unicast(bank, int(row), frame, now)
        return []
    by_uid_alone = frame.type in {Type.ASSIGN, Type.CLEAR}
    if by_uid_alone or not UNADDRESSED < frame.address <= LAST_ADDRESS or not 0 < frame.type < REPLY:
        return []
    rows = [row for row in bank.book.rows(frame.address) if bank.ears[row]]
    return [_answer(bank, row, frame, _unicast(bank, row, frame, now)) for row in rows]


def rows_in_range(bank: ModuleBank, first: int, count: int) -> tuple[Rows, Rows] | None:
    """Return rows that hear and whose address lies in a range, and their place in it; None if it is malformed."""
    if not 1 <= first <= first + count - 1 <= LAST_ADDRESS:
        return None
    rows = np.flatnonzero(bank.ears & (bank.state.address >= first) & (bank.state.address < first + count))
    return rows, bank.state.address[rows].astype(np.int64) - first


def _answer(bank: ModuleBank, row: int, frame: LongFrame, payload: bytes) -> Answer:
    reply = long_frame(frame.type | REPLY, int(bank.state.address[row]), frame.tag, payload)
    return Answer(row, reply, flash=frame.type in {Type.CONFIG, Type.ASSIGN, Type.CLEAR})


def _unicast(bank: ModuleBank, row: int, frame: LongFrame, now: Moment) -> bytes:
    handler = _UNICAST.get(frame.type)
    payload = bytes((Code.UNSUPPORTED,)) if handler is None else handler(bank, row, frame, now)
    bank.changed()
    return payload


def _sample(bank: ModuleBank, frame: LongFrame, now: Moment) -> list[Answer]:
    if frame.address == BROADCAST and len(frame.payload) == 2 and frame.payload[1] > 0:
        bank.sample(frame.payload[0], frame.payload[1], now)
    return []


def _bleed_set(bank: ModuleBank, frame: LongFrame, now: Moment) -> list[Answer]:
    duties = _octets(frame)
    found = rows_in_range(bank, frame.address, len(duties))
    if found is None or not 1 <= len(duties) <= MOST_SET or not bleed.duties_are_valid(duties):
        return []
    rows, places = found
    chosen = duties[places]
    chosen = np.where(np.isin(rows, list(bank.bench.running)), np.uint8(LEAVE), chosen)
    bleed.set_duty(bank.state, rows, chosen, bank.source.live(), now)
    bank.changed()
    return []


def _stop_all(bank: ModuleBank, frame: LongFrame, _now: Moment) -> list[Answer]:
    if frame.address == BROADCAST and not frame.payload:
        bleed.stop(bank.state, bank.ears)
    return []


def _renew_hold(bank: ModuleBank, frame: LongFrame, now: Moment) -> list[Answer]:
    if frame.address == BROADCAST and not frame.payload:
        bleed.renew(bank.state, bank.ears, now)
        bank.changed()
    return []


def _led_set(bank: ModuleBank, frame: LongFrame, _now: Moment) -> list[Answer]:
    leds = _octets(frame)
    found = rows_in_range(bank, frame.address, len(leds))
    if found is not None and 1 <= len(leds) <= MOST_SET and lights.leds_are_valid(leds):
        rows, places = found
        chosen = leds[places]
        kept = chosen == lights.LEAVE_LED
        bank.state.led[rows] = np.where(kept, bank.state.led[rows], chosen)
        bank.state.touch()
    return []


def _ack_reset(bank: ModuleBank, frame: LongFrame, _now: Moment) -> list[Answer]:
    if len(frame.payload) == 1 and 1 <= frame.payload[0] <= TRAIN_LIMIT:
        found = rows_in_range(bank, frame.address, frame.payload[0])
        if found is not None:
            bank.state.was_reset[found[0]] = False
            bank.state.touch()
    return []


def _mute(bank: ModuleBank, frame: LongFrame, now: Moment) -> list[Answer]:
    count, rest = divmod(len(frame.payload), 8)
    if frame.address == BROADCAST and not rest and 1 <= count <= MOST_MUTED:
        named = np.isin(bank.state.rated.uid, np.array(uids_in(frame.payload), dtype=np.uint64))
        bank.state.muted_until_event_s[named & bank.ears] = now.event_s + MUTE_S
    return []


def _set_baud(bank: ModuleBank, frame: LongFrame, now: Moment) -> list[Answer]:
    if frame.address == BROADCAST:
        bank.trial.plan(frame.payload, now)
        bank.changed()
    return []


def _save_baud(bank: ModuleBank, frame: LongFrame, _now: Moment) -> list[Answer]:
    if frame.address == BROADCAST:
        bank.save_baud(frame.payload)
    return []


def _named(bank: ModuleBank, payload: bytes, at: int) -> list[int]:
    uid = np.uint64(int.from_bytes(payload[at : at + 8], "little"))
    return [int(row) for row in np.flatnonzero((bank.state.rated.uid == uid) & bank.ears)]


def _identify_uid(bank: ModuleBank, frame: LongFrame, now: Moment) -> list[Answer]:
    if len(frame.payload) == 3:
        for row in np.flatnonzero(bank.ears):
            _identify(bank, int(row), frame, now)
        bank.changed()
        return []
    if len(frame.payload) != 11:
        return []
    short = LongFrame(frame.type, frame.address, frame.tag, frame.payload[:3])
    return [_answer(bank, row, frame, _unicast(bank, row, short, now)) for row in _named(bank, frame.payload, 3)]


def _ident_uid(bank: ModuleBank, frame: LongFrame, now: Moment) -> list[Answer]:
    if len(frame.payload) != 8:
        return []
    rows = _named(bank, frame.payload, 0)
    return [_answer(bank, row, frame, ident_payload(bank.state, row, now)) for row in rows]


def _assign(bank: ModuleBank, frame: LongFrame, _now: Moment) -> list[Answer]:
    if len(frame.payload) != 10:
        return []
    address = int.from_bytes(frame.payload[8:], "little")
    answers = []
    for row in _named(bank, frame.payload, 0):
        code = Code.OK if 1 <= address <= LAST_ADDRESS else Code.BAD_VALUE
        if bank.state.duty[row] or row in bank.bench.running:
            code = Code.REFUSED_STATE
        if code is Code.OK:
            bank.readdress(row, address)
        answers.append(_answer(bank, row, frame, bytes((code,)) + frame.payload[:8]))
    return answers


def _clear(bank: ModuleBank, frame: LongFrame, now: Moment) -> list[Answer]:
    if len(frame.payload) != 8:
        return []
    answers = []
    for row in _named(bank, frame.payload, 0):
        bank.bench.abort(bank.state, row, now)
        bank.state.duty[row] = bank.state.bleed_code[row] = 0
        bank.readdress(row, UNADDRESSED)
        answers.append(_answer(bank, row, frame, bytes((Code.OK,)) + frame.payload))
    return answers


def _identify(bank: ModuleBank, row: int, frame: LongFrame, now: Moment) -> bytes:
    if len(frame.payload) != 3:
        return bytes((Code.BAD_VALUE,))
    seconds, pattern = struct.unpack("<HB", frame.payload)
    if seconds > lights.LONGEST_IDENTIFY_S or pattern >= len(lights.PATTERN_LEDS):
        return bytes((Code.BAD_VALUE,))
    bank.state.identify_until_event_s[row] = now.event_s + seconds
    bank.state.identify_pattern[row] = pattern
    bank.state.touch()
    return bytes((Code.OK,))


def _imp_start(bank: ModuleBank, row: int, frame: LongFrame, now: Moment) -> bytes:
    return bank.bench.start(bank.state, row, frame.payload, bank.source, now)


def _imp_read(bank: ModuleBank, row: int, frame: LongFrame, now: Moment) -> bytes:
    return bank.bench.read(row, frame.payload, now)


def _imp_abort(bank: ModuleBank, row: int, frame: LongFrame, now: Moment) -> bytes:
    if frame.payload:
        return bytes((Code.BAD_VALUE,))
    bank.bench.abort(bank.state, row, now)
    return bytes((Code.OK,))


def _ident(bank: ModuleBank, row: int, frame: LongFrame, now: Moment) -> bytes:
    return bytes((Code.BAD_VALUE,)) if frame.payload else ident_payload(bank.state, row, now)


def _config(bank: ModuleBank, row: int, frame: LongFrame, _now: Moment) -> bytes:
    return bytes((configure(bank.state, row, frame.payload),))


def _stats(bank: ModuleBank, row: int, frame: LongFrame, now: Moment) -> bytes:
    return bytes((Code.BAD_VALUE,)) if frame.payload else stats_payload(bank.state, row, now)


def _relay_set(bank: ModuleBank, row: int, frame: LongFrame, _now: Moment) -> bytes:
    if bank.state.rated.specs[row].kind is not Kind.AUX:
        return bytes((Code.UNSUPPORTED,))
    if len(frame.payload) != 4:
        return bytes((Code.BAD_VALUE,))
    mask, wanted, not_mask, not_wanted = frame.payload
    if mask ^ not_mask != 0xFF or wanted ^ not_wanted != 0xFF or (mask | wanted) > 0x0F:
        return bytes((Code.BAD_VALUE,))
    commanded = int(bank.state.relays.commanded[row]) & ~mask | wanted & mask
    bank.state.relays.commanded[row] = commanded
    return bytes((Code.OK, commanded))


def _octets(frame: LongFrame) -> Octets:
    return np.frombuffer(frame.payload, dtype=np.uint8)


def hearing(bank: ModuleBank, rows: list[int]) -> list[int]:
    """Return those of `rows` that hear the master."""
    ears: Mask = bank.ears
    return [row for row in rows if ears[row]]


_GROUP: Final[Mapping[int, Handler]] = {
    Type.SAMPLE: _sample,
    Type.BLEED_SET: _bleed_set,
    Type.STOP_ALL: _stop_all,
    Type.RENEW_HOLD: _renew_hold,
    Type.LED_SET: _led_set,
    Type.ACK_RESET: _ack_reset,
    Type.MUTE: _mute,
    Type.SET_BAUD: _set_baud,
    Type.SAVE_BAUD: _save_baud,
}
_UID_FORMS: Final[Mapping[int, Handler]] = {
    Type.IDENTIFY: _identify_uid,
    Type.IDENT: _ident_uid,
    Type.ASSIGN: _assign,
    Type.CLEAR: _clear,
}
_ALSO_BROADCAST: Final = frozenset({Type.IMP_ABORT})
_UNICAST: Final[Mapping[int, UnicastHandler]] = {
    Type.IDENTIFY: _identify,
    Type.IMP_START: _imp_start,
    Type.IMP_READ: _imp_read,
    Type.IMP_ABORT: _imp_abort,
    Type.IDENT: _ident,
    Type.CONFIG: _config,
    Type.STATS: _stats,
    Type.RELAY_SET: _relay_set,
}
