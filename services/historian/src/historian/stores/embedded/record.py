"""Journal records: one scan, or one stretch of lost or set-aside numbers, as bytes.

    record  = length u32 | crc32 u32 | body          length and crc are of the body
    body    = kind u8 | string u8+bytes | stream u8+bytes | rest
    scan    = seq u64 | at_ms i64 | clock u8 | 6 × scalar i32 | 6 × quality u8 | cells u16 | life u16 | size u32 | zstd
    span    = first u64 | last u64

Little endian. `life` is the life of all positions, or 0: then cells × u16 lives come first in the packed part. The
packed part are byte planes (all lowest bytes, then all second bytes, …) of v i32, degc i16, bleed i16, quality,
degc_quality, status: neighbouring units differ in their lowest bytes only, so the upper planes vanish.
"""

import struct
from dataclasses import dataclass
from typing import Final
from zlib import crc32

import numpy as np
import pyarrow as pa

from historian.stores.block import DTYPES, Block, Key, empty, keys_of
from historian.stores.port import FIRST_LIFE

HEAD: Final = struct.Struct("<II")
MAX_BODY_BYTES: Final = 65_536  # 512 units × 13 bytes and headers are under 8 kB; more is a damaged length
SCAN: Final = 1
LOST: Final = 2
ASIDE: Final = 3

_SCAN_HEAD: Final = struct.Struct("<QqB6i6BHHI")
_SPAN: Final = struct.Struct("<QQ")
_PLANES: Final = ("v", "degc", "bleed", "quality", "degc_quality", "status")
_ZSTD: Final = pa.Codec("zstd", compression_level=1)


@dataclass(frozen=True, slots=True)
class ScanRecord:
    """A scan of one string."""

    string: str
    stream: str
    seq: int
    row: Block


@dataclass(frozen=True, slots=True)
class SpanRecord:
    """Numbers that have no row: `lost` ones, or ones whose scans were set aside."""

    string: str
    stream: str
    first: int
    last: int
    lost: bool


type Record = ScanRecord | SpanRecord


class RecordDamagedError(ValueError):
    """These bytes are no record: the journal ends here."""


def encode_record(record: Record) -> bytes:
    """Return the bytes of a record, length and checksum included."""
    body = _scan_body(record) if isinstance(record, ScanRecord) else _span_body(record)
    return HEAD.pack(len(body), crc32(body)) + body


def decode_body(body: bytes) -> Record:
    """Return the record of a body whose checksum was right.

    Raises:
        RecordDamagedError: it is of no kind this version knows, or cut short.
    """
    try:
        kind = body[0]
        string, at = _text(body, 1)
        stream, at = _text(body, at)
        if kind == SCAN:
            return _scan_record(string, stream, body, at)
        if kind in (LOST, ASIDE):
            first, last = _SPAN.unpack_from(body, at)
            return SpanRecord(string, stream, first, last, lost=kind == LOST)
    except (struct.error, IndexError, ValueError, UnicodeDecodeError, OSError) as exc:
        raise RecordDamagedError(f"record does not parse: {exc}") from exc
    raise RecordDamagedError(f"record kind {kind} is unknown")


def _scan_body(record: ScanRecord) -> bytes:
    row = record.row
    life = _common_life(row.keys)
    planes = b"".join(_split(getattr(row, name)[0]) for name in _PLANES)
    if life == 0:
        planes = np.array([life for _, life in row.keys], "<u2").tobytes() + planes
    packed = _ZSTD.compress(planes, asbytes=True)
    head = _SCAN_HEAD.pack(
        record.seq,
        int(row.at_ms[0]),
        int(row.clock[0]),
        *row.scalars[0].tolist(),
        *row.scalar_quality[0].tolist(),
        len(row.keys),
        life,
        len(planes),
    )
    return bytes([SCAN]) + _texts(record.string, record.stream) + head + packed


def _common_life(keys: tuple[Key, ...]) -> int:
    """Return the life of all positions, or 0 where they differ."""
    if keys is keys_of(len(keys), None):  # the same object, nearly always
        return FIRST_LIFE
    lives = {life for _, life in keys}
    return lives.pop() if len(lives) == 1 else 0


def _span_body(record: SpanRecord) -> bytes:
    kind = LOST if record.lost else ASIDE
    return bytes([kind]) + _texts(record.string, record.stream) + _SPAN.pack(record.first, record.last)


def _scan_record(string: str, stream: str, body: bytes, at: int) -> ScanRecord:
    seq, at_ms, clock, *rest = _SCAN_HEAD.unpack_from(body, at)
    cells, life, size = rest[12:]
    if size > MAX_BODY_BYTES:
        raise RecordDamagedError(f"{size} bytes in one scan")
    planes = np.frombuffer(_ZSTD.decompress(body[at + _SCAN_HEAD.size :], size, asbytes=True), "u1")
    keys, planes = _keys(planes, cells, life)
    row = empty(keys, 1)
    row.at_ms[0], row.seq[0], row.stream[0], row.clock[0] = at_ms, seq, stream, clock
    row.scalars[0], row.scalar_quality[0] = rest[:6], rest[6:12]
    start = 0
    for name in _PLANES:
        width = np.dtype(DTYPES[name]).itemsize
        part = planes[start : start + width * cells].reshape(width, cells)
        getattr(row, name)[0] = np.ascontiguousarray(part.T).view(DTYPES[name]).ravel()
        start += width * cells
    return ScanRecord(string, stream, seq, row)


def _keys(planes: np.ndarray[tuple[int], np.dtype[np.uint8]], cells: int, life: int) -> tuple[tuple[Key, ...], "Bytes"]:
    if life:
        return keys_of(cells, None if life == FIRST_LIFE else (life,) * cells), planes
    return keys_of(cells, tuple(planes[: 2 * cells].view("<u2").tolist())), planes[2 * cells :]


type Bytes = np.ndarray[tuple[int], np.dtype[np.uint8]]


def _split(column: "np.ndarray[tuple[int], np.dtype[np.int32]]") -> bytes:
    if column.itemsize == 1:
        return column.tobytes()
    return column.view("u1").reshape(len(column), -1).T.tobytes()  # a row of a block is contiguous


def _texts(*texts: str) -> bytes:
    return b"".join(bytes([len(raw)]) + raw for raw in (text.encode() for text in texts))


def _text(body: bytes, at: int) -> tuple[str, int]:
    end = at + 1 + body[at]
    if end > len(body):
        raise RecordDamagedError("text runs out of the record")
    return body[at + 1 : end].decode(), end
