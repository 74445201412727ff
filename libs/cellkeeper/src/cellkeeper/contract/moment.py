"""Instants: RFC 3339 UTC with milliseconds on the wire, whole milliseconds since 1970 inside."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Final

from pydantic import AfterValidator, AwareDatetime, PlainSerializer

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_RFC3339_MS: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")

_LENGTH: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(min|h|d|w)")
_UNIT_S: Final = {"min": 60.0, "h": 3600.0, "d": 86_400.0, "w": 7 * 86_400.0}


def to_ms(at: datetime) -> int:
    """Return milliseconds since 1970 UTC, rounded down. `at` must be aware."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


def from_ms(ms: int) -> datetime:
    """Return the aware UTC instant of `ms` milliseconds since 1970."""
    return _EPOCH + timedelta(milliseconds=ms)


@lru_cache(maxsize=64)  # strings that share a sample share its time
def format_ms(ms: int) -> str:
    """Return `ms` as the wire writes it: 2026-11-21T05:00:00.000Z."""
    return from_ms(ms).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def parse_ms(text: str) -> int:
    """Return the milliseconds of a wire instant.

    Raises:
        ValueError: the text is not RFC 3339 UTC with exactly three decimals.
    """
    if not _RFC3339_MS.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not an instant like 2026-11-21T05:00:00.000Z")
    return to_ms(datetime.fromisoformat(text))


def _utc_to_the_ms(at: datetime) -> datetime:
    return from_ms(to_ms(at))


Instant = Annotated[
    AwareDatetime,
    AfterValidator(_utc_to_the_ms),
    PlainSerializer(lambda at: format_ms(to_ms(at)), return_type=str, when_used="json"),
]
"""A pydantic field that travels as the contract writes time."""


def seconds_of(text: str) -> float:
    """Return the seconds of `90min`, `8h`, `3d` or `2w`.

    Raises:
        ValueError: it is none of these.
    """
    found = _LENGTH.fullmatch(text.strip().lower())
    if found is None:
        raise ValueError(f"{text[:40]!r} is no length of time; write 90min, 8h, 3d or 2w")
    return float(found[1]) * _UNIT_S[found[2]]


def instant_ms(text: str) -> int:
    """Return the milliseconds since 1970 of an instant that a person wrote; without a zone it is UTC.

    Raises:
        ValueError: it is none.
    """
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError as exc:
        raise ValueError(f"{text[:40]!r} is no instant; write 2026-11-21T05:00:00Z") from exc
    return to_ms(at if at.tzinfo else at.replace(tzinfo=UTC))
