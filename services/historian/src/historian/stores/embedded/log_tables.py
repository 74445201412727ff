"""Impedance sweeps and events in the manifest's database: few and small, stored whole as they were published."""

import sqlite3
from collections.abc import Sequence
from typing import Final

from cellkeeper.contract.moment import to_ms
from cellkeeper.contract.notices import Event
from cellkeeper.contract.series import row_ns
from cellkeeper.contract.telemetry import ImpedanceSweep
from cellkeeper.contract.wire import decode, encode

from historian.stores.embedded.manifest import Manifest
from historian.stores.plain_tables import lives_of, lives_text, method_of
from historian.stores.port import EventQuestion, LivedSweep

NS_PER_MS: Final = 1_000_000
MAX_EVENTS: Final = 1_000_000  # ten years at one in five minutes; about 400 MB


def insert(manifest: Manifest, sweeps: Sequence[LivedSweep], events: Sequence[Event]) -> None:
    """Make sweeps and events durable; known ones are skipped.

    Raises:
        StoreFullError, StoreFailedError: none of them counts.
    """
    sweep_rows = [
        (
            each.sweep.string,
            to_ms(each.sweep.measured_at),
            method_of(each.sweep),
            encode(each.sweep),
            lives_text(each.lives),
        )
        for each in sweeps
    ]
    event_rows = [(e.id, row_ns(to_ms(e.at), e.id), e.service, e.kind, encode(e)) for e in events]
    with manifest.transaction() as db:
        db.executemany(
            "INSERT OR IGNORE INTO sweep (string, at_ms, method, body, lives) VALUES (?,?,?,?,?)", sweep_rows
        )
        db.executemany("INSERT OR IGNORE INTO log VALUES (?,?,?,?,?)", event_rows)


def sweeps(manifest: Manifest, string: str, start_ms: int, end_ms: int) -> tuple[LivedSweep, ...]:
    """Return the sweeps of a string over `[start_ms, end_ms)` in time order."""
    rows = manifest.rows(
        "SELECT body, lives FROM sweep WHERE string=? AND at_ms>=? AND at_ms<? ORDER BY at_ms", string, start_ms, end_ms
    )
    return tuple(LivedSweep(decode(ImpedanceSweep, _bytes(body)), lives_of(lives)) for body, lives in rows)


def events(manifest: Manifest, question: EventQuestion) -> tuple[Event, ...]:
    """Return events, newest first."""
    rows = manifest.rows(
        "SELECT body FROM log WHERE at_ns>=? AND at_ns<? AND (? IS NULL OR kind=?) AND (? IS NULL OR service=?) "
        "ORDER BY at_ns DESC LIMIT ?",
        question.start_ms * NS_PER_MS,
        question.end_ms * NS_PER_MS,
        question.kind,
        question.kind,
        question.service,
        question.service,
        question.limit,
    )
    return tuple(decode(Event, _bytes(body)) for (body,) in rows)


def trim(db: sqlite3.Connection, keep: int = MAX_EVENTS) -> None:
    """Delete the oldest events beyond `keep`, so that a service that repeats itself cannot fill the disk."""
    db.execute(
        "DELETE FROM log WHERE at_ns < (SELECT at_ns FROM log ORDER BY at_ns DESC LIMIT 1 OFFSET ?)", (keep - 1,)
    )


def _bytes(body: object) -> bytes:
    return body if isinstance(body, bytes) else b""
