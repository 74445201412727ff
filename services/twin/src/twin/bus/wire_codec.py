"""The C44 bus on the byte level, seen from a module: `docs/bus-protocol.md`, sections 2 and 4 to 5.3.

long frame   C5 type addr_lo addr_hi tag len hcs payload... crc_hi crc_lo
fast reply   A|kind addr_lo addr_hi v v s|v temp temp aux status crc_hi crc_lo
"""

import binascii
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

type Bytes2d = NDArray[np.uint8]
type Counts = NDArray[np.int32]

START: Final = 0xC5
MAX_PAYLOAD: Final = 240
LONG_OVERHEAD: Final = 9
FAST_LENGTH: Final = 12
REPLY: Final = 0x80
UNADDRESSED: Final = 0x0000
LAST_ADDRESS: Final = 0xFFEF
BROADCAST: Final = 0xFFFF
TRAIN_LIMIT: Final = 64
LOWEST_VALUE: Final = -524_272  # below it are the value codes
HIGHEST_VALUE: Final = 524_287


class Type(IntEnum):
    """Request types, section 4."""

    SAMPLE = 0x01
    TRAIN = 0x02
    LIST = 0x03
    BLEED_SET = 0x10
    STOP_ALL = 0x11
    RENEW_HOLD = 0x12
    IDENTIFY = 0x18
    LED_SET = 0x19
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
    RELAY_SET = 0x40
    SET_BAUD = 0x50
    SAVE_BAUD = 0x51


class Code(IntEnum):
    """First byte of a long reply, section 4."""

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


class Kind(IntEnum):
    """Device and page of a fast reply, section 5.3."""

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


UNIT_PER_COUNT: Final = (1e-4, 5e-4, 1e-3, 1e-2, 1e-4, 1e-2, 1e-2, 1e-3, 1.0, 1e-2)
"""Volts, amperes or percent per count of each kind; AUX is a bit field."""


class ValueCode(IntEnum):
    """What stands in the value field when there is no value, section 5.2."""

    NO_SAMPLE = -524_288
    NOT_FINISHED = -524_287
    SATURATED = -524_286
    NO_PAGE = -524_285
    NOT_CONNECTED = -524_284
    UPDATING = -524_283
    NOT_FITTED = -524_282


class TemperatureCode(IntEnum):
    """What stands in the temperature field when there is none, section 5.2."""

    OPEN = -32_768
    SHORTED = -32_767
    NOT_FITTED = -32_766
    NOT_AVAILABLE = -32_765


def _crc8_table() -> bytes:
    table = bytearray()
    for value in range(256):
        state = value
        for _ in range(8):
            state = ((state << 1) ^ 0x07) & 0xFF if state & 0x80 else state << 1
        table.append(state)
    return bytes(table)


_CRC8: Final = _crc8_table()


def crc8(data: bytes | bytearray | memoryview) -> int:
    """Return CRC-8/SMBUS."""
    state = 0
    for byte in data:
        state = _CRC8[state ^ byte]
    return state


def crc16(data: bytes | bytearray | memoryview) -> int:
    """Return CRC-16/CCITT-FALSE."""
    return binascii.crc_hqx(data, 0xFFFF)


def _crc16_of_columns(columns: int) -> tuple[NDArray[np.uint16], int]:
    """Return what each byte value in each column adds to the CRC of a frame of `columns` bytes, and the CRC of zeros.

    A CRC is linear: that of a frame is the xor of one table entry per byte and of the CRC of all-zero bytes.
    """
    zeros = crc16(bytes(columns))
    table = np.zeros((columns, 256), dtype=np.uint16)
    for column in range(columns):
        for value in range(256):
            frame = bytearray(columns)
            frame[column] = value
            table[column, value] = crc16(frame) ^ zeros
    return table, zeros


_CRC16, _CRC16_ZEROS = _crc16_of_columns(FAST_LENGTH - 2)
_COLUMNS: Final = np.arange(FAST_LENGTH - 2)


@dataclass(frozen=True, slots=True)
class FastFields:
    """The fields of `n` fast replies, arrays of shape (n,) in the units of the frame.

    `value` holds counts or a `ValueCode`, `temperature` 0.01 °C or a `TemperatureCode`.
    """

    kind: NDArray[np.uint8]
    address: NDArray[np.uint16]
    value: Counts
    sample: NDArray[np.uint8]
    temperature: NDArray[np.int16]
    aux: NDArray[np.uint8]
    status: NDArray[np.uint8]


def fast_replies(fields: FastFields) -> Bytes2d:
    """Return the frames, shape (n, 12)."""
    frames = np.empty((len(fields.kind), FAST_LENGTH), dtype=np.uint8)
    value = fields.value.astype(np.int32).view(np.uint32)
    temperature = fields.temperature.astype(np.int16).view(np.uint16)
    frames[:, 0] = 0xA0 | fields.kind
    frames[:, 1] = fields.address & 0xFF
    frames[:, 2] = fields.address >> 8
    frames[:, 3] = value & 0xFF
    frames[:, 4] = (value >> 8) & 0xFF
    frames[:, 5] = ((value >> 16) & 0x0F) | ((fields.sample & 0x0F) << 4)
    frames[:, 6] = temperature & 0xFF
    frames[:, 7] = temperature >> 8
    frames[:, 8] = fields.aux
    frames[:, 9] = fields.status
    crc = np.bitwise_xor.reduce(_CRC16[_COLUMNS, frames[:, :10]], axis=1) ^ np.uint16(_CRC16_ZEROS)
    frames[:, 10] = crc >> 8
    frames[:, 11] = crc & 0xFF
    return frames


@dataclass(frozen=True, slots=True)
class LongFrame:
    """A long frame that a receiver has found.

    Attributes:
        end: bytes of the stream up to and including its last one.
        punctual: it was recognised when its own last byte arrived, section 2.3.
    """

    type: int
    address: int
    tag: int
    payload: bytes
    end: int = 0
    punctual: bool = True


def long_frame(frame_type: int, address: int, tag: int, payload: bytes) -> bytes:
    """Return the bytes of a long frame."""
    head = bytes((START, frame_type, address & 0xFF, address >> 8, tag, len(payload)))
    body = head + bytes((crc8(head),)) + payload
    return body + crc16(body).to_bytes(2, "big")


class FrameHunter:
    """A module's receiver: bytes in any portions, long frames out; it never holds more than 249 bytes.

    `header_errors` counts false starts with a wrong header check, `crc_errors` believed headers of damaged frames.
    """

    def __init__(self) -> None:
        self._held = bytearray()
        self._consumed = 0
        self._waited_to = 0
        self.header_errors = 0
        self.crc_errors = 0

    @property
    def holding(self) -> int:
        """Bytes that may still become a frame."""
        return len(self._held)

    @property
    def received(self) -> int:
        """Bytes of the stream so far."""
        return self._consumed + len(self._held)

    def feed(self, chunk: bytes) -> list[LongFrame]:
        """Take bytes; return the frames that they complete."""
        self._held += chunk
        found: list[LongFrame] = []
        while (at := self._held.find(START)) >= 0:
            self._drop(at)
            needed = self._needed()
            if needed > len(self._held):
                return found
            self._take(needed, found)
        self._drop(len(self._held))
        return found

    def abandon(self) -> list[LongFrame]:
        """The line was silent: give up what was waited for and hunt on in the rest; nothing is held afterwards."""
        found: list[LongFrame] = []
        while self._held:
            self._waited_to = max(self._waited_to, self.received + 1)
            self._drop(1)
            found += self.feed(b"")
        return found

    def _needed(self) -> int:
        """Return how many bytes decide about the start at the front."""
        if len(self._held) < 7 or not self._believed():
            return 7
        return LONG_OVERHEAD + self._held[5]

    def _believed(self) -> bool:
        return self._held[5] <= MAX_PAYLOAD and crc8(self._held[:7]) == 0

    def _take(self, length: int, found: list[LongFrame]) -> None:
        if not self._believed():
            self.header_errors += 1
            self._give_up(length)
            return
        frame = bytes(self._held[:length])
        if crc16(frame):
            self.crc_errors += 1
            self._give_up(length)
            return
        end = self._consumed + length
        address = frame[2] | frame[3] << 8
        punctual = end >= self._waited_to
        found.append(LongFrame(frame[1], address, frame[4], frame[7:-2], end, punctual))
        self._drop(length)

    def _give_up(self, length: int) -> None:
        self._waited_to = max(self._waited_to, self._consumed + length)
        self._drop(1)

    def _drop(self, count: int) -> None:
        del self._held[:count]
        self._consumed += count
