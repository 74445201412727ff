"""Is a string on battery? Decided from its own fresh scan alone, for interlocks: unknown is an answer. Pure."""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from bus_gateway.driver import StringReadings
from bus_gateway.uplink.summary import usable

FRESH_S: Final = 10.0  # contract: event time between two scans is never above 10 s; later scans tell nothing
LOW_FRAC: Final = 0.96  # of the float voltage: lead at rest is at 0.945, on load below; LFP on load at 0.955
AT_FLOAT_FRAC: Final = 0.985  # without a current sensor only a string that really floats is known to be charged
MIN_COVERAGE_FRAC: Final = 0.8  # a mean over fewer units says nothing about the string

type OnBattery = Literal["yes", "no", "unknown"]


@dataclass(frozen=True, slots=True)
class StringFacts:
    """What the gateway knows of a string at this moment.

    Attributes:
        readings: its newest scan, None when there is none.
        age_s: event seconds since that scan was taken.
        float_v: float voltage of one unit.
        rated_ah: rated capacity.
    """

    readings: StringReadings | None
    age_s: float
    float_v: float
    rated_ah: float

    @property
    def is_fresh(self) -> bool:
        """Whether the scan may be used for a decision."""
        return self.readings is not None and -FRESH_S <= self.age_s <= FRESH_S


def on_battery(facts: StringFacts) -> OnBattery:
    """Return whether the string delivers its load."""
    readings = facts.readings
    if readings is None or not facts.is_fresh:
        return "unknown"
    level = _level_frac(readings, facts.float_v)
    current_a = _current_a(readings)
    threshold_a = max(0.5, 0.01 * facts.rated_ah)  # a hundredth of C: above sensor offset, below any load worth a name
    if current_a is not None and current_a < -threshold_a:
        return "yes"
    if level is not None and level < LOW_FRAC:
        return "yes"
    if current_a is not None and level is not None:
        return "no"
    return "no" if level is not None and level >= AT_FLOAT_FRAC else "unknown"


def _current_a(readings: StringReadings) -> float | None:
    value = readings.scalars.get("current_a")
    return value if readings.scalar_quality.get("current_a", 0) == 0 else None


def _level_frac(readings: StringReadings, float_v: float) -> float | None:
    """Return the lower of string voltage and mean unit voltage as a fraction of float, None when neither is known."""
    levels: list[float] = []
    good = usable(readings.quality) & ~np.isnan(readings.cell_v)
    cells = len(readings.cell_v)
    if good.sum() >= MIN_COVERAGE_FRAC * cells:
        levels.append(float(readings.cell_v[good].mean()) / float_v)
    string_v = readings.scalars.get("string_v")
    if string_v is not None and readings.scalar_quality.get("string_v", 0) == 0:
        levels.append(string_v / (float_v * cells))
    return min(levels) if levels else None
