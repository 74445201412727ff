"""What the estimators look at: the newest scans of many strings at once, as arrays.

All units of a site lie behind each other in arrays of shape (N,), string after string; what belongs to a whole string
is (S,). One call for all of them costs little more than one for a single string. Inside this package a positive
current discharges, as in the literature; the contract counts the other way, and only `intake.py` turns the sign.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

type Floats = NDArray[np.float64]
type Flags = NDArray[np.bool_]
type Codes = NDArray[np.uint8]
type Places = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the units of each string lie.

    Attributes:
        strings: ids, S of them.
        first: (S + 1,) place of each string's first unit; the last entry is N.
        string_of: (N,) place of the unit's string in `strings`.
        cells_per_unit: (N,) electrochemical cells in series in each unit.
    """

    strings: tuple[str, ...]
    first: Places
    string_of: Places
    cells_per_unit: Floats

    @classmethod
    def of(cls, units: dict[str, int], cells_per_unit: dict[str, int]) -> Self:
        """Return the layout of strings with so many units of so many cells, in the order of `units`."""
        counts = np.array(list(units.values()), dtype=np.intp)
        string_of = np.repeat(np.arange(len(counts)), counts)
        per_string = np.array([cells_per_unit[string] for string in units], dtype=np.float64)
        first = np.concatenate([[0], np.cumsum(counts)]).astype(np.intp)
        return cls(tuple(units), first, string_of, per_string[string_of])

    @property
    def units(self) -> int:
        """Units of all strings, N."""
        return len(self.string_of)

    def span(self, string: int) -> slice:
        """Return where the units of the string at this place lie."""
        return slice(int(self.first[string]), int(self.first[string + 1]))


@dataclass(frozen=True, slots=True)
class Readings:
    """One batch of scans, at most one per string.

    Attributes:
        at_s: (S,) event time of each string's scan, seconds since 1970 UTC; NaN where this batch holds none of it.
        discharge_a: (S,) string current, positive discharges; NaN without a good reading.
        string_v: (S,) measured string voltage; NaN without.
        float_a: (S,) of a sensor that resolves float current, positive charges as its name says; NaN without.
        ambient_degc: (S,) NaN without.
        unit_v: (N,) volts of the unit; NaN where there is none that is good.
        unit_v_as_read: (N,) the same, also outside of the module's range or under test, signed: a unit that reverses in
            a discharge is data. NaN where there is no reading at all.
        degc: (N,) at the negative pole; NaN without a good reading.
        bleed_a: (N,) what the module's bleed takes from the unit; 0 where unknown.
        quality: (N,) codes of the voltage; 4 (silent) for units of strings without a scan here.
    """

    at_s: Floats
    discharge_a: Floats
    string_v: Floats
    float_a: Floats
    ambient_degc: Floats
    unit_v: Floats
    unit_v_as_read: Floats
    degc: Floats
    bleed_a: Floats
    quality: Codes
