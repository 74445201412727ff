"""Frames of the open C44 bus without any I/O: checks, long frames, and finding both forms in a stream.

docs/bus-protocol.md, section 2:

    long   C5 | type | address lo hi | tag | len | hcs | payload … | crc hi lo
    fast   A0+kind | address lo hi | word 3 | temperature lo hi | aux | status | crc hi lo
"""

import re
from binascii import crc_hqx
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

START: Final = 0xC5
BROADCAST: Final = 0xFFFF
REPLY_BIT: Final = 0x80
MAX_PAYLOAD: Final = 240
HEADER_BYTES: Final = 7
OVERHEAD_BYTES: Final = 9
LONGEST_BYTES: Final = OVERHEAD_BYTES + MAX_PAYLOAD
FAST_BYTES: Final = 12
_CRC_START: Final = 0xFFFF

_ANY_START: Final = re.compile(rb"[\xa0-\xa9\xc5]")
_FAST_START: Final = re.compile(rb"[\xa0-\xa9]")
_LONG_START: Final = re.compile(rb"\xc5")


def crc16(data: bytes | memoryview) -> int:
    """Return the CRC-16/CCITT-FALSE of `data`; 0 over an intact frame with its own CRC (section 2.4)."""
    return crc_hqx(data, _CRC_START)


def _crc8_step(register: int) -> int:
    for _ in range(8):
        register = ((register << 1) ^ 0x07) & 0xFF if register & 0x80 else register << 1
    return register


_CRC8_TABLE: Final = bytes(_crc8_step(byte) for byte in range(256))


def crc8(data: bytes) -> int:
    """Return the CRC-8/SMBUS of `data` (section 2.4)."""
    register = 0
    for byte in data:
        register = _CRC8_TABLE[register ^ byte]
    return register


def _position_tables() -> NDArray[np.uint16]:
    # A CRC is affine over xor: crc(frame) = crc(zeros) xor the parts that each byte adds at its position.
    zeros = crc_hqx(bytes(FAST_BYTES), _CRC_START)
    table = np.zeros((FAST_BYTES, 256), dtype=np.uint16)
    for position in range(FAST_BYTES):
        for byte in range(256):
            frame = bytearray(FAST_BYTES)
            frame[position] = byte
            table[position, byte] = crc_hqx(bytes(frame), _CRC_START) ^ zeros
    return table


_CRC_PARTS: Final = _position_tables().reshape(-1)
_CRC_OFFSETS: Final = (np.arange(FAST_BYTES, dtype=np.intp) * 256)[:, np.newaxis]
_CRC_OF_ZEROS: Final = np.uint16(crc_hqx(bytes(FAST_BYTES), _CRC_START))


def fast_residues(rows: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Return the CRC over each 12-byte row with its CRC: 0 where the row is intact.

    Args:
        rows: (n, 12) bytes.
    """
    parts = _CRC_PARTS.take(rows.T + _CRC_OFFSETS)
    residues: NDArray[np.uint16] = np.bitwise_xor.reduce(parts, axis=0)
    residues ^= _CRC_OF_ZEROS
    return residues


@dataclass(frozen=True, slots=True)
class LongFrame:
    """An intact long frame."""

    type: int
    address: int
    tag: int
    payload: bytes


def long_frame(frame_type: int, address: int, tag: int, payload: bytes = b"") -> bytes:
    """Return the bytes of a long frame (section 2.1).

    Raises:
        ValueError: the payload is longer than 240 bytes.
    """
    if len(payload) > MAX_PAYLOAD:
        raise ValueError(f"a payload of {len(payload)} bytes; a frame takes {MAX_PAYLOAD}")
    head = bytes((START, frame_type, address & 0xFF, address >> 8, tag, len(payload)))
    body = head + bytes((crc8(head),)) + payload
    return body + crc16(body).to_bytes(2, "big")


@dataclass(slots=True)
class HuntTally:
    """What the hunt met beside good frames.

    Attributes:
        header_errors: starts of long frames whose length or header check was wrong.
        crc_errors: frames that looked right until their CRC.
    """

    header_errors: int = 0
    crc_errors: int = 0


type Found = LongFrame | bytes
"""A long frame, or the 12 bytes of a fast reply."""


class FrameReader:
    """Finds intact frames in bytes that arrive in any portions, exactly as section 2.3 says.

    Args:
        fast: hunt fast replies.
        long: hunt long frames.
    """

    __slots__ = ("_pending", "_start", "tally")

    def __init__(self, *, fast: bool, long: bool) -> None:
        self._pending = b""
        self._start = _ANY_START if fast and long else _FAST_START if fast else _LONG_START
        self.tally = HuntTally()

    @property
    def held_bytes(self) -> int:
        """Bytes that wait for the rest of their frame, never more than the longest frame."""
        return len(self._pending)

    def feed(self, chunk: bytes) -> list[Found]:
        """Take the next bytes of the stream; return the frames they complete, in order."""
        return self._hunt(self._pending + chunk, ended=False)

    def flush(self) -> list[Found]:
        """Give up waiting (the line is silent, the transaction ended) and return what is left behind false starts."""
        return self._hunt(self._pending, ended=True)

    def _hunt(self, stream: bytes, *, ended: bool) -> list[Found]:
        found: list[Found] = []
        position = 0
        while (start := self._start.search(stream, position)) is not None:
            position = start.start()
            size = self._size_at(stream, position)
            if position + size > len(stream):
                if not ended:
                    self._pending = stream[position:]
                    return found
                size = 0
            frame = self._frame_at(stream, position, size) if size else None
            if frame is None:
                position += 1
            else:
                found.append(frame)
                position += size
        self._pending = b""
        return found

    def _size_at(self, stream: bytes, position: int) -> int:
        """Return how many bytes the frame here needs; 0 where its header is wrong."""
        if stream[position] != START:
            return FAST_BYTES
        if len(stream) - position < HEADER_BYTES:
            return HEADER_BYTES
        length = stream[position + 5]
        if length > MAX_PAYLOAD or crc8(stream[position : position + 6]) != stream[position + 6]:
            self.tally.header_errors += 1
            return 0
        return OVERHEAD_BYTES + length

    def _frame_at(self, stream: bytes, position: int, size: int) -> Found | None:
        frame = stream[position : position + size]
        if crc_hqx(frame, _CRC_START):
            self.tally.crc_errors += 1
            return None
        if size == FAST_BYTES and frame[0] != START:
            return frame
        return LongFrame(frame[1], frame[2] | frame[3] << 8, frame[4], frame[HEADER_BYTES:-2])


def find_frames(stream: bytes, *, fast: bool, long: bool) -> tuple[list[Found], HuntTally]:
    """Return all frames of a transaction that has ended, and what else was met."""
    reader = FrameReader(fast=fast, long=long)
    found = reader.feed(stream)
    found += reader.flush()
    return found, reader.tally
