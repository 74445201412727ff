"""One impedance sweep of a string as arrays, and which of its values may enter a trend."""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from cellkeeper.contract.physical import Quality
from cellkeeper.contract.telemetry import ImpedanceSweep

from analytics.modes import Mode
from analytics.readings import Flags, Floats, Places

COLDEST_DEGC: Final = 5.0
WARMEST_DEGC: Final = 45.0
REF_DEGC: Final = 25.0
_USABLE: Final = frozenset({Quality.GOOD, Quality.IN_TEST})  # a unit under an impedance test is in test


@dataclass(frozen=True, slots=True)
class Sweep:
    """Measurements of some units of one string.

    Attributes:
        string: id.
        at_s: event time of the sweep.
        method: what was done, with pulse length or frequency; values of different methods are never compared.
        mode: of the string while it was taken.
        place: (m,) of each unit in its string, from 0.
        r_ohm, degc: (m,) as measured; NaN without.
        is_usable: (m,) by quality code.
    """

    string: str
    at_s: float
    method: str
    mode: Mode
    place: Places
    r_ohm: Floats
    degc: Floats
    is_usable: Flags

    @classmethod
    def of(cls, sweep: ImpedanceSweep) -> Self:
        """Return a sweep as the wire tells it; cells beyond the string are the caller's to refuse."""
        detail = f" {sweep.pulse_s:g} s" if sweep.pulse_s is not None else ""
        detail += f" {sweep.frequency_hz:g} Hz" if sweep.frequency_hz is not None else ""
        return cls(
            string=sweep.string,
            at_s=sweep.measured_at.timestamp(),
            method=f"{sweep.method}{detail}",
            mode=sweep.mode,
            place=np.array(sweep.cells, dtype=np.intp) - 1,
            r_ohm=np.array(sweep.r_ohm, dtype=np.float64),
            degc=np.array(sweep.degc, dtype=np.float64),
            is_usable=np.array([code in _USABLE for code in sweep.quality], dtype=np.bool_),
        )

    def at_25_ohm(self, beta_per_k: float) -> Floats:
        """Return R exp(-beta (T - 25)) of each value (m,), beta below zero; NaN where it may not enter a trend."""
        with np.errstate(invalid="ignore", over="ignore"):
            is_good = self.is_usable & (self.r_ohm > 0.0) & (self.degc >= COLDEST_DEGC) & (self.degc <= WARMEST_DEGC)
            return np.where(is_good, self.r_ohm * np.exp(-beta_per_k * (self.degc - REF_DEGC)), np.nan)
