"""Times of recorded files: a text in, milliseconds since 1970 UTC out. Pure.

A time that names no zone is local to the one of the file. When clocks are set back, an hour comes twice there: which of
both a text means follows from the rows before it, whichever way round a file is written.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cellkeeper.contract.moment import to_ms

LATEST_MS: Final = 7_258_118_400_000  # the year 2200: what is beyond was never measured
SLOW_MS: Final = 1_800_000  # rows so far apart do not come twice in one second
_SHOWN: Final = 40
_PER_S: Final = {"seconds": 1000.0, "milliseconds": 1.0}


class TimeTextError(ValueError):
    """A field is no time; the text says why."""


class TimeFormatError(ValueError):
    """Times cannot be read like this: the text says what to write instead."""


@dataclass(slots=True)
class Times:
    """Reads the times of one file, row by row.

    Attributes:
        format: `iso`, `seconds` or `milliseconds` since `start_ms`, or a pattern with `%` as `strptime` has it.
        zone: of times that name none.
        start_ms: instant of second 0.
        decimal: of numbers.
        is_local: whether any time named no zone.
    """

    format: str
    zone: tzinfo
    start_ms: int = 0
    decimal: str = "."
    is_local: bool = False
    _read: Callable[[str], int] = field(init=False)
    _last_ms: int | None = None
    _step_ms: int = 0

    def __post_init__(self) -> None:
        self._read = self._number_ms if self.format in _PER_S else self._instant_ms

    @classmethod
    def of(cls, form: str, zone: str, start_at: str | None, decimal: str) -> "Times":
        """Return the reader of a file.

        Raises:
            TimeFormatError: format, zone or start is none.
        """
        if form not in {"iso", *_PER_S} and "%" not in form:
            raise TimeFormatError(
                f"time format {form!r} is none; write iso, seconds, or a pattern: '%d.%m.%Y %H:%M:%S'"
            )
        try:
            at = ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
            raise TimeFormatError(f"zone {zone!r} is not known here; write a name such as Europe/Berlin") from exc
        if start_at is None or form not in _PER_S:
            return cls(form, at, 0, decimal)
        try:
            return cls(form, at, cls("iso", at).ms_of(start_at), decimal)
        except TimeTextError as exc:
            raise TimeFormatError(f"start_at: {exc}") from exc

    def ms_of(self, text: str) -> int:
        """Return the milliseconds of a text.

        Raises:
            TimeTextError: it is no time.
        """
        found = self._read(text)
        if abs(found) > LATEST_MS:
            raise TimeTextError(f"time {text[:_SHOWN]!r} lies beyond the year 2200")
        if self._last_ms is not None and found != self._last_ms:
            self._step_ms = found - self._last_ms
        self._last_ms = found
        return found

    def _number_ms(self, text: str) -> int:
        try:
            return self.start_ms + round(float(text.replace(self.decimal, ".")) * _PER_S[self.format])
        except (ValueError, OverflowError) as exc:
            raise TimeTextError(f"time {text[:_SHOWN]!r} is not a number of {self.format}") from exc

    def _instant_ms(self, text: str) -> int:
        try:
            is_iso = self.format == "iso"
            at = datetime.fromisoformat(text) if is_iso else datetime.strptime(text, self.format)  # noqa: DTZ007
        except ValueError as exc:
            form = "ISO 8601" if self.format == "iso" else f"of the form {self.format}"
            raise TimeTextError(f"time {text[:_SHOWN]!r} is not {form}") from exc
        if at.tzinfo is not None:
            return to_ms(at)
        self.is_local = True
        return self._local_ms(at)

    def _local_ms(self, at: datetime) -> int:
        if self.zone is UTC or getattr(self.zone, "key", "") == "UTC":
            return to_ms(at.replace(tzinfo=UTC))
        first, second = (at.replace(tzinfo=self.zone, fold=fold) for fold in (0, 1))
        if first.astimezone(UTC).astimezone(self.zone).replace(tzinfo=None) != at:
            raise TimeTextError(f"time {at.isoformat()} does not exist in {self.zone}, clocks were set forward")
        both = sorted({to_ms(first), to_ms(second)})
        if len(both) == 1 or self._last_ms is None:
            return both[0]
        last_ms, least_ms = (
            self._last_ms,
            1 if abs(self._step_ms) >= SLOW_MS else 0,
        )  # rows of one second, or of one hour
        ahead = [ms for ms in both if (ms - last_ms) * self._direction >= least_ms]
        return min(ahead or both, key=lambda ms: abs(ms - last_ms))

    @property
    def _direction(self) -> int:
        """1 where rows go forward in time, -1 where they go back, 0 while nobody knows."""
        return (self._step_ms > 0) - (self._step_ms < 0)
