"""What the capacity estimates have to know of each string: rating, end voltage, rest, and its rested voltages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from cellkeeper.contract.estimating import EstimateProfile

from analytics.lives import Counts, always, lives_of
from analytics.readings import Floats, Layout

GAIN_SD_FRAC: Final = 0.005  # of a current sensor nobody has described
NEVER_S: Final = float("inf")


@dataclass(frozen=True, slots=True)
class RestedCurve:
    """Rested voltage of one electrochemical cell against its charge, (K,) arrays, both rising.

    Attributes:
        soc_frac: from 0 to 1.
        ocv_v: at 25 °C.
        v_per_k: its change with temperature.
        sd_v: how far a healthy cell is from it. A curve that was measured on the own battery type has 2 to 3 mV, a
            typical one of the chemistry 10 mV and more, which for lead is 5 % of charge: it proves little.
        rest_s: time without current after a discharge until the voltage is a rested one; infinite where it never is.
    """

    soc_frac: Floats
    ocv_v: Floats
    v_per_k: Floats
    sd_v: float
    rest_s: float

    @classmethod
    def typical(cls, profile: EstimateProfile) -> Self | None:
        """Return the curve of a chemistry's profile; None where rested voltages say nothing."""
        if profile.rest_s is None:
            return None
        soc_frac, ocv_v = (np.array(each, dtype=np.float64) for each in (profile.soc_frac, profile.ocv_v))
        v_per_k = np.array(profile.ocv_v_per_k) if profile.ocv_v_per_k else np.zeros(len(ocv_v))
        return cls(soc_frac, ocv_v, v_per_k, profile.ocv_sd_v, profile.rest_s)

    def soc_at(self, cell_v: Floats, degc: Floats) -> tuple[Floats, Floats]:
        """Return charge and its standard deviation for rested voltages per cell (n,); NaN where there is none.

        Where the curve is flat, the deviation of the voltage covers much charge, and the result says so.
        """
        at_25_v = cell_v - np.interp(cell_v, self.ocv_v, self.v_per_k) * (np.nan_to_num(degc, nan=25.0) - 25.0)
        wide_v = 2.0 * self.sd_v  # beside a steep place a flat one may begin: twice as far tells more of the doubt
        at, above, below = (np.interp(at_25_v + d, self.ocv_v, self.soc_frac) for d in (0.0, wide_v, -wide_v))
        # At an end of the curve one side is cut off, so the wider one counts.
        sd_frac = 0.5 * np.maximum(above - at, at - below)
        lost = np.isnan(cell_v)
        return np.where(lost, np.nan, at), np.where(lost, np.nan, sd_frac)


@dataclass(frozen=True, slots=True)
class StringSohRules:
    """Of one string.

    Attributes:
        chemistry: id of the profile.
        rated_ah, rate_h, ref_degc: charge that the maker states, in so many hours, at that temperature.
        end_v: end voltage of one electrochemical cell.
        per_k: growth of the capacity per kelvin from the battery type; None for the chemistry's typical figure.
        hours, amps: the maker's table at this end voltage; empty without one.
        gain_sd_frac, offset_sd_a: of the current sensor, as standard deviations.
        curve: None where rested voltages say nothing (NiCd).
    """

    chemistry: str
    rated_ah: float
    rate_h: float
    ref_degc: float
    end_v: float
    per_k: float | None = None
    hours: tuple[float, ...] = ()
    amps: tuple[float, ...] = ()
    gain_sd_frac: float = GAIN_SD_FRAC
    offset_sd_a: float = 0.0
    curve: RestedCurve | None = None


@dataclass(frozen=True, slots=True)
class SohRules:
    """The rules of all strings of a layout, in its order, and (N,) each unit's rating, mark and first moment.

    A mark is another number where the unit is another one; `born_s` is minus infinity where it was there always.
    """

    layout: Layout
    strings: tuple[StringSohRules, ...]
    rated_ah: Floats
    lives: Counts
    born_s: Floats

    @classmethod
    def of(cls, layout: Layout, strings: Mapping[str, StringSohRules], lives: Sequence[int] | None = None) -> Self:
        """Return the rules of a layout's strings, given by id.

        Args:
            layout: of the site.
            strings: rules by string id.
            lives: (N,) mark of the unit at each place, 1 without: what was learned ends where it changes.
        """
        ordered = tuple(strings[string] for string in layout.strings)
        rated_ah = np.array([each.rated_ah for each in ordered], dtype=np.float64)[layout.string_of]
        return cls(layout, ordered, rated_ah, lives_of(layout, lives), always(layout))
