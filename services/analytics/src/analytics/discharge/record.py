"""What is kept of one discharge, thinned to a bounded number of samples; everything else is made of this."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from analytics.checked_frozen import checked_frozen
from analytics.readings import Floats

type Singles = NDArray[np.float32]


@checked_frozen
class RuntimeSaid:
    """What was predicted at one moment of the discharge.

    Attributes:
        at_s: event time.
        unit_left_s, unit_left_sd_s: until the weakest unit is at its limit; NaN while unknown.
        cell: that unit, 1-based; 0 while unknown.
        bus_left_s, bus_left_sd_s: until the dc bus is at the UPS cut-off; NaN while unknown.
    """

    at_s: float
    unit_left_s: float
    unit_left_sd_s: float
    cell: int
    bus_left_s: float
    bus_left_sd_s: float


@dataclass(frozen=True, slots=True)
class DischargeRecord:
    """One outage or test of one string, from seconds before its onset until the recharge is seen.

    Attributes:
        string: id.
        kind: `test` when a person had said so or the mode said test.
        began_s: event time of the onset, dated by the step of the voltage.
        ended_s: last moment with discharge current.
        ended_by: what came then.
        at_s: (T,) event time of the kept samples, at most some thousand; first and last minute densest.
        discharge_a: (T,) positive discharges.
        string_v, ambient_degc: (T,) NaN where there was none.
        unit_v, degc: (T, n) volts as read and temperature of every unit; NaN where there was none.
        moved_ah: charge that left the string, integrated over every scan (not only over the kept samples).
        soc_frac, soc_sd_frac: (2, n) at onset and at the end; NaN where unknown.
        soh_frac, soh_sd_frac: (n,) as believed at the onset; NaN where not proven.
        said: predictions, in order.
        scans: how many the discharge had.
        missing_s: seconds of it without a scan.
        notes: what a reader has to know of the data: gaps, a clock step, a unit without readings.
        method, led_by: of a test that was announced, and who announced it; empty else.
    """

    string: str
    kind: Literal["outage", "test"]
    began_s: float
    ended_s: float
    ended_by: Literal["recharge", "rest", "open", "lost"]
    at_s: Floats
    discharge_a: Singles
    string_v: Singles
    ambient_degc: Singles
    unit_v: Singles
    degc: Singles
    moved_ah: float
    soc_frac: Floats
    soc_sd_frac: Floats
    soh_frac: Floats
    soh_sd_frac: Floats
    said: tuple[RuntimeSaid, ...]
    scans: int
    missing_s: float
    notes: tuple[str, ...]
    method: str = ""
    led_by: str = ""
