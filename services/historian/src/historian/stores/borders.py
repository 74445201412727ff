"""Values beyond the physical borders of the contract: stored as read where they fit, but never as good ones."""

import math
from dataclasses import dataclass
from typing import Any, Final, get_args

import numpy as np
from cellkeeper.contract.physical import PRECEDENCE, Amperes, Celsius, Frac, Quality, StringVolts, UnitVolts
from cellkeeper.contract.series import Field, counts
from numpy.typing import NDArray

NULL: Final = {np.dtype("i4"): -(1 << 31), np.dtype("i2"): -(1 << 15)}
"""The stored count that says that there is no value."""

type Floats = NDArray[np.float64]
type Codes = NDArray[np.uint8]

_WEAKER: Final = frozenset({Quality.GOOD, *PRECEDENCE[PRECEDENCE.index(Quality.IMPLAUSIBLE) + 1 :]})
"""Codes that give way to IMPLAUSIBLE; any other code already says why the value is not used."""
_IS_WEAKER: Final = np.isin(np.arange(256), list(_WEAKER))


@dataclass(frozen=True, slots=True)
class Borders:
    """Smallest and largest value that can be, both included."""

    low: float
    high: float

    def beyond(self, values: Floats) -> NDArray[np.bool_]:
        """Return where a value, infinities included, lies outside; NaN is no value."""
        return (values < self.low) | (values > self.high)


def _borders(kind: Any) -> Borders:  # noqa: ANN401 - an Annotated type of the contract
    limits = get_args(kind)[1].metadata
    low, high = (next(getattr(limit, name) for limit in limits if hasattr(limit, name)) for name in ("ge", "le"))
    return Borders(low, high)


BORDERS: Final = {
    "cell_v": _borders(UnitVolts),
    "degc": _borders(Celsius),
    "bleed_frac": _borders(Frac),
    "current_a": _borders(Amperes),
    "string_v": _borders(StringVolts),
    "float_a": _borders(Amperes),
    "ripple_a_rms": _borders(Amperes),
    "ripple_v_rms": _borders(StringVolts),
    "ambient_degc": _borders(Celsius),
}
_FITTING: Final = frozenset({"cell_v", "degc", "bleed_frac"})  # fields of units: their borders fit into their counts


def bounded_counts(field: Field, values: Floats, quality: Codes, dtype: np.dtype[Any]) -> tuple[Any, Codes]:
    """Return stored counts and quality codes; nothing that does not fit or cannot be stays good.

    Args:
        field: what the values are.
        values: in the plain unit, NaN where there is none.
        quality: codes of the values.
        dtype: of the store; its smallest number is null.
    """
    if _can_all_be(field, values):
        return _plain_counts(field, values, dtype), quality
    most = np.iinfo(dtype).max
    with np.errstate(over="ignore"):  # 1e308 V times 10 000 is infinite, and does not fit either
        fits = np.abs(np.rint(values * 10.0**field.decimals)) <= most
    wrong = ~np.isnan(values) & (BORDERS[field.shown].beyond(values) | ~fits)
    stored = counts(field, np.where(fits, values, np.nan), null=int(np.iinfo(dtype).min))
    return stored, np.where(wrong & _IS_WEAKER[quality], np.uint8(Quality.IMPLAUSIBLE), quality)


def bounded_bleed(field: Field, values: Floats, dtype: np.dtype[Any]) -> Any:  # noqa: ANN401 - a numpy array
    """Return stored counts of a field without suspect values and codes of its own: null where it cannot be.

    Null under a good quality of the voltage counts as bad in the tiers, and the voltage stays what it is.
    """
    if _can_all_be(field, values):
        return _plain_counts(field, values, dtype)
    there = np.where(BORDERS[field.shown].beyond(values), np.nan, values)
    return counts(field, there, null=int(np.iinfo(dtype).min))


def bounded_count(field: Field, value: float | None, code: int, dtype: np.dtype[Any]) -> tuple[int, int]:
    """Return what `bounded_counts` makes of one value, None where there is none, at a tenth of its cost."""
    lowest = NULL[dtype]
    if value is None or math.isnan(value):
        return lowest, code
    borders, scaled = BORDERS[field.shown], value * 10.0**field.decimals
    fits = abs(scaled) < 0.5 - lowest  # infinity is too much as well
    count = round(scaled) if fits else lowest
    if fits and borders.low <= value <= borders.high:
        return count, code
    return count, int(Quality.IMPLAUSIBLE) if code in _WEAKER else code


def _can_all_be(field: Field, values: Floats) -> bool:
    """Whether every value of a field whose borders fit into its counts lies within them; NaN is no value."""
    borders = BORDERS[field.shown]
    if field.shown not in _FITTING or not values.size:
        return False
    lowest, highest = np.fmin.reduce(values, axis=None), np.fmax.reduce(values, axis=None)
    return not (lowest < borders.low or highest > borders.high)


def _plain_counts(field: Field, values: Floats, dtype: np.dtype[Any]) -> Any:  # noqa: ANN401 - a numpy array
    scaled = np.rint(values * 10.0**field.decimals)
    if np.isnan(np.add.reduce(scaled, axis=None)):
        scaled[np.isnan(scaled)] = NULL[dtype]
    return scaled.astype(dtype)
