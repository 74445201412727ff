"""StringScan on the hot path: numpy columns inside, one JSON object outside.

`cellkeeper.contract.telemetry.StringScan` describes the same payload for people and schemas; a test holds the two
together.
Arrays have one entry per unit, in order of the string; NaN is the wire's null.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
import orjson
from numpy.typing import NDArray

from cellkeeper.contract.identity import ID_PATTERN, MAX_CELLS_PER_STRING, STREAM_PATTERN
from cellkeeper.contract.moment import format_ms, parse_ms
from cellkeeper.contract.physical import DEGC_DECIMALS, FRAC_DECIMALS, V_DECIMALS
from cellkeeper.contract.wire import PayloadRefusedError, require_small

type Floats = NDArray[np.float64]
type Codes = NDArray[np.uint8]
type ClockState = Literal["synced", "holdover", "unsynced"]

SCALARS: Final = ("current_a", "string_v", "float_a", "ripple_a_rms", "ripple_v_rms", "ambient_degc")
_ID: Final = re.compile(ID_PATTERN)
_STREAM: Final = re.compile(STREAM_PATTERN)
_HIGHEST_CODE: Final = {"quality": 8, "degc_quality": 8, "status": 63}
_KNOWN_CODES: Final = {name: bytes(range(highest + 1)) for name, highest in _HIGHEST_CODE.items()}


@dataclass(frozen=True, slots=True)
class ScanColumns:
    """One synchronous sample of a whole string.

    Attributes:
        site, string, stream: ids; `stream` and `seq` make the scan unique for ever.
        seq: counts up by one per string within a stream.
        oldest_seq: the oldest scan of this stream that the gateway can still send.
        measured_ms: when the sample was taken at the bus, milliseconds since 1970 UTC.
        clock: how far the time may be trusted.
        cell_v: (n,) volts of each unit, NaN where there is none.
        cell_degc: (n,) degrees Celsius at the negative pole, NaN where there is none.
        bleed_frac: (n,) bleed duty 0 to 1, NaN where unknown.
        quality, degc_quality: (n,) codes of `physical.Quality`, of the voltage and of the temperature.
        status: (n,) bits of `physical.ModuleStatus`.
        scalars: string values by the names in `SCALARS`; absent where no sensor is fitted, None where it is silent.
        scalar_quality: quality codes by the same names.
    """

    site: str
    string: str
    stream: str
    seq: int
    oldest_seq: int
    measured_ms: int
    clock: ClockState
    cell_v: Floats
    cell_degc: Floats
    bleed_frac: Floats
    quality: Codes
    degc_quality: Codes
    status: Codes
    scalars: Mapping[str, float | None] = field(default_factory=dict)
    scalar_quality: Mapping[str, int] = field(default_factory=dict)

    @property
    def cells(self) -> int:
        """Number of units in the string."""
        return len(self.cell_v)


def encode_scan(scan: ScanColumns) -> bytes:
    """Return the payload of topics `scan` and `backfill`; NaN becomes null."""
    body: dict[str, Any] = {
        "v": 1,
        "site": scan.site,
        "string": scan.string,
        "stream": scan.stream,
        "seq": scan.seq,
        "oldest_seq": scan.oldest_seq,
        "measured_at": format_ms(scan.measured_ms),
        "clock": scan.clock,
        **scan.scalars,
        "scalar_quality": scan.scalar_quality,
        "cell_v": scan.cell_v.round(V_DECIMALS),
        "cell_degc": scan.cell_degc.round(DEGC_DECIMALS),
        "bleed_frac": scan.bleed_frac.round(FRAC_DECIMALS),
        "quality": scan.quality,
        "degc_quality": scan.degc_quality,
        "status": scan.status,
    }
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)


def decode_scan(raw: bytes) -> ScanColumns:
    """Return the scan in `raw`; unknown keys are ignored.

    Raises:
        PayloadRefusedError: not a StringScan of version 1, columns of different length, or codes nobody knows.
    """
    require_small(raw)
    try:
        body = _object(raw)
        scan = ScanColumns(
            site=_id(body, "site", _ID),
            string=_id(body, "string", _ID),
            stream=_id(body, "stream", _STREAM),
            seq=_count(body, "seq"),
            oldest_seq=_count(body, "oldest_seq"),
            measured_ms=parse_ms(_text(body, "measured_at")),
            clock=_clock(body["clock"]),
            scalars={name: _scalar(name, body[name]) for name in SCALARS if name in body},
            scalar_quality=_scalar_quality(body.get("scalar_quality", {})),
            cell_v=_floats(body["cell_v"]),
            cell_degc=_floats(body["cell_degc"]),
            bleed_frac=_floats(body["bleed_frac"]),
            quality=_codes("quality", body["quality"]),
            degc_quality=_codes("degc_quality", body["degc_quality"]),
            status=_codes("status", body["status"]),
        )
    except PayloadRefusedError:
        raise
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, OverflowError) as exc:
        raise PayloadRefusedError(f"StringScan: {type(exc).__name__} {exc}"[:200]) from exc
    _require_one_length(scan)
    return scan


def _object(raw: bytes) -> dict[str, Any]:
    body = orjson.loads(raw)
    if not isinstance(body, dict) or body.get("v") != 1:
        raise PayloadRefusedError("StringScan: not an object of version 1")
    return body


def _floats(values: object) -> Floats:
    return np.atleast_1d(np.array(values, dtype=np.float64))


def _codes(name: str, values: object) -> Codes:
    if not isinstance(values, list):
        raise PayloadRefusedError(f"StringScan.{name}: not an array")
    codes = bytes(values)  # refuses all but whole numbers 0 to 255, in a fraction of the time of an array of numbers
    if codes.translate(None, _KNOWN_CODES[name]):
        raise PayloadRefusedError(f"StringScan.{name}: code outside 0..{_HIGHEST_CODE[name]}")
    return np.frombuffer(codes, np.uint8)


def _text(body: Mapping[str, Any], key: str) -> str:
    value = body[key]
    if not isinstance(value, str) or len(value) > 64:
        raise PayloadRefusedError(f"StringScan.{key}: not a short text")
    return value


def _id(body: Mapping[str, Any], key: str, pattern: re.Pattern[str]) -> str:
    value = _text(body, key)
    if not pattern.fullmatch(value):
        raise PayloadRefusedError(f"StringScan.{key}: {value!r} is no id")
    return value


def _count(body: Mapping[str, Any], key: str) -> int:
    value = body[key]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**53:
        raise PayloadRefusedError(f"StringScan.{key}: not a count")
    return value


def _scalar(name: str, value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PayloadRefusedError(f"StringScan.{name}: not a number")
    return float(value)


def _scalar_quality(value: object) -> dict[str, int]:
    if not isinstance(value, dict):
        raise PayloadRefusedError("StringScan.scalar_quality: not an object")
    return {str(name): int(code) for name, code in value.items() if name in SCALARS and 0 <= int(code) <= 8}


def _clock(value: object) -> ClockState:
    if value not in ("synced", "holdover", "unsynced"):
        raise PayloadRefusedError("StringScan.clock: not synced, holdover or unsynced")
    return value


def _require_one_length(scan: ScanColumns) -> None:
    columns = (scan.cell_v, scan.cell_degc, scan.bleed_frac, scan.quality, scan.degc_quality, scan.status)
    if any(column.shape != (scan.cells,) for column in columns) or not 1 <= scan.cells <= MAX_CELLS_PER_STRING:
        raise PayloadRefusedError(f"StringScan: six columns of one length 1..{MAX_CELLS_PER_STRING} expected")
