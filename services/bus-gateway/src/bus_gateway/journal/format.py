"""Bytes of the gateway's journal: a header per segment file, a CRC per record, one reader per format version.

Layout of version 1, little-endian::

    segment  := header record*
    header   := magic "CKJL" | version u16 | header length u16 | segment number u64 | crc32 of the bytes before u32
    record   := body length u32 | crc32 of the body u32 | body
    body     := kind u8 | length of string id u8 | length of stream id u8 | 0 u8 | seq u64 | measured_ms i64
                | string id | stream id | payload
    kind 1   := scan: payload is what goes on the wire
    kind 2   := receipt: everything of the stream up to seq is stored elsewhere
    kind 3   := position: the string's stream, the last seq given and its time; no payload

Each segment begins with a position and a receipt of every string, so the newest one alone holds the whole state.
"""

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from enum import IntEnum
from typing import Final, NamedTuple

from cellkeeper.contract.wire import MAX_PAYLOAD_BYTES

from bus_gateway.errors import JournalUnreadableError

MAGIC: Final = b"CKJL"
VERSION: Final = 1
MAX_BODY_BYTES: Final = MAX_PAYLOAD_BYTES + 1024

_HEADER: Final = struct.Struct("<4sHHQI")
_HEADER_START: Final = struct.Struct("<4sHHQ")
_PREFIX: Final = struct.Struct("<II")
_HEAD: Final = struct.Struct("<BBBxQq")


class Kind(IntEnum):
    """What a record is."""

    SCAN = 1
    RECEIPT = 2
    POSITION = 3


class Record(NamedTuple):
    """One record of a segment; the payload is `data[start:end]` of the segment's bytes."""

    kind: int
    string: str
    stream: str
    seq: int
    measured_ms: int
    start: int
    end: int


class Segment(NamedTuple):
    """What a segment's bytes hold: records up to the first damaged one, and where that one begins."""

    number: int
    records: list[Record]
    good_bytes: int


def encode_header(number: int) -> bytes:
    """Return the header of the segment with this number, in the current version."""
    start = _HEADER_START.pack(MAGIC, VERSION, _HEADER.size, number)
    return start + struct.pack("<I", zlib.crc32(start))


def encode_record(kind: Kind, string: str, stream: str, seq: int, measured_ms: int, payload: bytes = b"") -> bytes:
    """Return one record, ready to append."""
    name, flow = string.encode(), stream.encode()
    body = _HEAD.pack(kind, len(name), len(flow), seq, measured_ms) + name + flow + payload
    return _PREFIX.pack(len(body), zlib.crc32(body)) + body


def read_segment(data: bytes) -> Segment:
    """Return what a segment holds; a damaged or torn record ends it.

    Raises:
        JournalUnreadableError: the header is damaged, or of a version that this program does not read.
    """
    number, version = _read_header(data)
    reader = READERS.get(version)
    if reader is None:
        raise JournalUnreadableError(f"journal version {version}; this program reads {', '.join(map(str, READERS))}")
    records: list[Record] = []
    good_bytes = _HEADER.size
    for record in reader(data):
        records.append(record)
        good_bytes = record.end
    return Segment(number, records, good_bytes)


def _read_header(data: bytes) -> tuple[int, int]:
    if len(data) < _HEADER.size:
        raise JournalUnreadableError("no complete segment header")
    magic, version, length, number, crc = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise JournalUnreadableError("not a journal segment")
    if version in READERS and (length != _HEADER.size or crc != zlib.crc32(data[: _HEADER_START.size])):
        raise JournalUnreadableError("damaged segment header")
    return number, version


def _read_v1(data: bytes) -> Iterator[Record]:
    view = memoryview(data)
    at = _HEADER.size
    while at + _PREFIX.size + _HEAD.size <= len(data):
        length, crc = _PREFIX.unpack_from(data, at)
        start = at + _PREFIX.size
        end = start + length
        if not _HEAD.size <= length <= MAX_BODY_BYTES or end > len(data) or zlib.crc32(view[start:end]) != crc:
            return
        kind, name_len, flow_len, seq, measured_ms = _HEAD.unpack_from(data, start)
        name_at = start + _HEAD.size
        payload_at = name_at + name_len + flow_len
        try:
            string = str(view[name_at : name_at + name_len], "ascii")
            stream = str(view[name_at + name_len : payload_at], "ascii")
        except UnicodeDecodeError:
            return
        if payload_at > end:
            return
        yield Record(kind, string, stream, seq, measured_ms, payload_at, end)
        at = end


READERS: Final[Mapping[int, Callable[[bytes], Iterator[Record]]]] = {1: _read_v1}
"""By version. A new version adds its reader here and keeps the older ones, so that waiting scans survive an update."""
