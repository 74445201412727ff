"""What was predicted while the discharge ran, beside what came."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from analytics.discharge.record import DischargeRecord, RuntimeSaid

type Target = Literal["weakest unit", "dc bus"]

MOMENTS_FRAC: Final = (0.0, 0.25, 0.5, 0.75)


@dataclass(frozen=True, slots=True)
class ForecastRow:
    """One prediction; seconds from its own moment on.

    Attributes:
        at_s: after the onset.
        target: what was to come: a unit at its end voltage, or the dc bus at the cut-off of the UPS.
        said_s, sd_s: predicted time left, with one standard deviation; `sd_s` is NaN where none was told.
        cell: the unit that was named; 0 for none.
        came_s: time until it came; None when it did not come in this discharge.
        lasted_s: time until the discharge ended: a lower bound where it did not come.
        error_frac: (said - came) / came; None when it did not come. Positive is too optimistic.
    """

    at_s: float
    target: Target
    said_s: float
    sd_s: float
    cell: int
    came_s: float | None
    lasted_s: float
    error_frac: float | None


def forecast_rows(
    record: DischargeRecord, first_unit_s: float | None, string_s: float | None
) -> tuple[ForecastRow, ...]:
    """Return the predictions at the onset, a quarter, half and three quarters of the discharge.

    Args:
        record: the discharge with everything that was said.
        first_unit_s: when the first unit was at its end voltage, seconds after the onset; None when none was.
        string_s: when the string was at its end voltage, which stands for the cut-off of the bus; None when it was not.
    """
    duration_s = record.ended_s - record.began_s
    return tuple(row for said in _at_moments(record) for row in _rows(said, record, duration_s, first_unit_s, string_s))


def _at_moments(record: DischargeRecord) -> Iterator[RuntimeSaid]:
    """Yield the first prediction that holds a number at or after each moment, every one once."""
    duration_s = record.ended_s - record.began_s
    telling = [s for s in record.said if np.isfinite(s.unit_left_s) or np.isfinite(s.bus_left_s)]
    taken = -np.inf
    for frac, until in zip(MOMENTS_FRAC, (*MOMENTS_FRAC[1:], 1.0), strict=True):
        start_s, end_s = (record.began_s + each * duration_s for each in (frac, until))
        found = next((s for s in telling if start_s <= s.at_s < end_s and s.at_s > taken), None)
        if found is not None:
            taken = found.at_s
            yield found


def _rows(
    said: RuntimeSaid, record: DischargeRecord, duration_s: float, first_unit_s: float | None, string_s: float | None
) -> Iterator[ForecastRow]:
    at_s = said.at_s - record.began_s
    lasted_s = max(0.0, duration_s - at_s)
    both: tuple[tuple[Target, float, float, int, float | None], ...] = (
        ("weakest unit", said.unit_left_s, said.unit_left_sd_s, said.cell, first_unit_s),
        ("dc bus", said.bus_left_s, said.bus_left_sd_s, 0, string_s),
    )
    for target, left_s, sd_s, cell, came_at_s in both:
        if not np.isfinite(left_s):
            continue
        came_s = None if came_at_s is None or came_at_s <= at_s else came_at_s - at_s
        error = None if came_s is None else (left_s - came_s) / came_s
        yield ForecastRow(at_s, target, left_s, sd_s, cell, came_s, lasted_s, error)
