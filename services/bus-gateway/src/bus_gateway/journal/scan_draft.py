"""A graded scan on its way to the wire: without a seq, then with one."""

import re
from dataclasses import dataclass
from typing import Final

from cellkeeper.contract.scan_columns import ClockState, ScanColumns, encode_scan

from bus_gateway.driver import StringReadings
from bus_gateway.journal.book import StreamKey

_OLDEST: Final = re.compile(rb'"oldest_seq":\d+')


@dataclass(frozen=True, slots=True)
class Draft:
    """A graded scan that has no seq yet.

    Attributes:
        readings: what the driver found, plausibility included.
        measured_ms: event time as it will be published.
        clock: how far that time may be trusted.
        taken_s: real monotonic time at which it was handed over.
        new_stream: whether the clock was set back so far that a new stream begins with this scan.
    """

    readings: StringReadings
    measured_ms: int
    clock: ClockState
    taken_s: float
    new_stream: bool = False


@dataclass(frozen=True, slots=True)
class KeptScan:
    """A scan that is in the journal (or in memory, when there is no journal) and may be published."""

    key: StreamKey
    seq: int
    payload: bytes
    draft: Draft


def encode_draft(site: str, draft: Draft, stream: str, seq: int, oldest_seq: int) -> bytes:
    """Return a draft with its numbers, as it travels."""
    readings = draft.readings
    return encode_scan(
        ScanColumns(
            site=site,
            string=readings.string,
            stream=stream,
            seq=seq,
            oldest_seq=oldest_seq,
            measured_ms=draft.measured_ms,
            clock=draft.clock,
            cell_v=readings.cell_v,
            cell_degc=readings.cell_degc,
            bleed_frac=readings.bleed_frac,
            quality=readings.quality,
            degc_quality=readings.degc_quality,
            status=readings.status,
            scalars=readings.scalars,
            scalar_quality=readings.scalar_quality,
        )
    )


def with_oldest(payload: bytes, oldest_seq: int) -> bytes:
    """Return an encoded scan that says what can be sent now, not what could when it was taken."""
    return _OLDEST.sub(b'"oldest_seq":%d' % oldest_seq, payload, count=1)
