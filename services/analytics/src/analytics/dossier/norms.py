"""What the standards' capacity methods need: temperature factors and the published rates of a battery type.

Sources: IEEE 450 and 1188 (time- and rate-adjusted method for lead-acid), IEC 60896 (temperature coefficients); clause
values are to be checked against the bought standard. The maker's sheet wins wherever it says something else.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

WARMEST_DEGC: Final = 45.0
COLDEST_DEGC: Final = 5.0
SLOW_H: Final = 3.0
FAST_H: Final = 1.0
_LEAD: Final = frozenset({"vrla_agm", "vented_lead"})
_SLOW_PER_K: Final = {
    "vrla_agm": 0.006, "vented_lead": 0.006, "nicd": 0.005, "nmc": 0.0045, "lfp": 0.006, "lto": 0.003, "na_ion": 0.003,
}  # fmt: skip
_FAST_PER_K: Final = {"vrla_agm": 0.010, "vented_lead": 0.010}


def is_lead(chemistry: str) -> bool:
    """Whether the methods of the lead-acid standards apply."""
    return chemistry in _LEAD


def capacity_per_k(chemistry: str, duration_h: float) -> float | None:
    """Return by which share capacity grows per kelvin; None where no typical figure is known.

    Between the rates of one and three hours the two figures of IEC 60896 are joined by a straight line.
    """
    slow = _SLOW_PER_K.get(chemistry)
    if slow is None:
        return None
    fast = _FAST_PER_K.get(chemistry, slow)
    return float(np.interp(duration_h, [FAST_H, SLOW_H], [fast, slow]))


def temperature_factor(degc: float, ref_degc: float, per_k: float) -> float | None:
    """Return K_T = 1 + lambda (T - T_ref); None outside of 5 to 45 °C, where nobody vouches for it."""
    if not COLDEST_DEGC <= degc <= WARMEST_DEGC:
        return None
    return 1.0 + per_k * (degc - ref_degc)


def rate_factor(degc: float, ref_degc: float) -> float | None:
    """Return K_C of the rate-adjusted method, 1 at `ref_degc`; None outside of 5 to 45 °C.

    A cubic fit to the table of cell size correction factors of IEEE 485 (1.00 at 25 °C), divided by its value at the
    reference temperature of the battery type.
    """
    if not COLDEST_DEGC <= degc <= WARMEST_DEGC:
        return None
    at, ref = (float(np.polyval([-2.8117, 4.1916, -2.4941, 1.405], each / 100.0)) for each in (degc, ref_degc))
    return at / ref


def published_hours(current_a: float, hours: Sequence[float], amps: Sequence[float]) -> float | None:
    """Return how long a current lasts by the maker's table, straight lines in the logarithms; None outside of it."""
    return _between(current_a, amps, hours)


def published_current_a(duration_h: float, hours: Sequence[float], amps: Sequence[float]) -> float | None:
    """Return the current that lasts so long by the maker's table; None outside of it."""
    return _between(duration_h, hours, amps)


def _between(at: float, known: Sequence[float], wanted: Sequence[float]) -> float | None:
    order = np.argsort(known)
    x, y = np.log(np.asarray(known, np.float64)[order]), np.log(np.asarray(wanted, np.float64)[order])
    tolerance = 1e-6
    if len(x) < 1 or not at > 0.0 or not x[0] - tolerance <= np.log(at) <= x[-1] + tolerance:
        return None
    return float(np.exp(np.interp(np.log(at), x, y)))
