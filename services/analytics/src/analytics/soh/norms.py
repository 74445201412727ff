"""What the standards' capacity methods need: temperature factors, and the charge a battery is rated for at other rates.

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
SAME_RATE_FRAC: Final = 0.05  # within it the rated point serves without a table

_PER_K: Final = {  # at three hours and slower, at one hour and faster
    "vrla_agm": (0.006, 0.010),
    "vented_lead": (0.006, 0.010),
    "nicd": (0.005, 0.005),
    "nmc": (0.0045, 0.0045),
    "lfp": (0.006, 0.006),
    "lto": (0.003, 0.003),
    "na_ion": (0.003, 0.003),
}
# Charge that is left at another rate, as power of the current's ratio, and how far a make may be from it.
_RATE_EXPONENT: Final = {"vrla_agm": (0.12, 0.05), "vented_lead": (0.14, 0.05), "nicd": (0.06, 0.03)}
_LITHIUM_EXPONENT: Final = (0.02, 0.015)
_IEEE_485_FIT: Final = (-2.8117, 4.1916, -2.4941, 1.405)  # of T/100 °C; 1.00 at 25 °C


def capacity_per_k(chemistry: str, duration_h: float) -> float | None:
    """Return by which share capacity grows per kelvin; None where no typical figure is known.

    Between the rates of one and three hours the two figures of IEC 60896 are joined by a straight line.
    """
    if chemistry not in _PER_K:
        return None
    slow, fast = _PER_K[chemistry]
    return float(np.interp(duration_h, [FAST_H, SLOW_H], [fast, slow]))


def temperature_factor(degc: float, ref_degc: float, per_k: float) -> float | None:
    """Return K_T = 1 + lambda (T - T_ref); None outside of 5 to 45 °C, where nobody vouches for it, and for NaN."""
    if not COLDEST_DEGC <= degc <= WARMEST_DEGC:
        return None
    return 1.0 + per_k * (degc - ref_degc)


def rate_factor(degc: float, ref_degc: float) -> float | None:
    """Return K_C of the rate-adjusted method, 1 at `ref_degc`; None outside of 5 to 45 °C.

    For that method alone: in the time-adjusted one it scores a healthy block 71 % at 10 °C. A cubic fit to the cell
    size correction factors of IEEE 485, divided by its value at the battery type's own reference temperature.
    """
    if not COLDEST_DEGC <= degc <= WARMEST_DEGC:
        return None
    at, ref = (float(np.polyval(_IEEE_485_FIT, each / 100.0)) for each in (degc, ref_degc))
    return at / ref


def published_hours(current_a: float, hours: Sequence[float], amps: Sequence[float]) -> float | None:
    """Return how long a current lasts by the maker's table, straight in the logarithms; None outside of the table."""
    return _between(current_a, amps, hours)


def published_current_a(duration_h: float, hours: Sequence[float], amps: Sequence[float]) -> float | None:
    """Return the current that lasts so long by the maker's table; None outside of the table."""
    return _between(duration_h, hours, amps)


def charge_at_rate(chemistry: str, current_a: float, rated_a: float) -> tuple[float, float]:
    """Return a typical battery's charge at a current over its rated one, and the standard deviation of that ratio.

    Stands in for a maker's table that nobody has given: the further from the rated current, the less it knows.
    """
    distance = float(np.log(current_a / rated_a))
    if abs(distance) <= SAME_RATE_FRAC:
        return 1.0, 0.0
    exponent, sd = _RATE_EXPONENT.get(chemistry, _LITHIUM_EXPONENT)
    return float(np.exp(-exponent * distance)), sd * abs(distance)


def _between(at: float, known: Sequence[float], wanted: Sequence[float]) -> float | None:
    if not at > 0.0 or len(known) == 0:
        return None
    order = np.argsort(known)
    x, y = np.log(np.asarray(known, np.float64)[order]), np.log(np.asarray(wanted, np.float64)[order])
    tolerance = 1e-6
    if not x[0] - tolerance <= np.log(at) <= x[-1] + tolerance:
        return None
    return float(np.exp(np.interp(np.log(at), x, y)))
