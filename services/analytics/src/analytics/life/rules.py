"""What is taken of a string's life: how long it is meant to last, how warmth shortens that, how old it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from analytics.lives import Counts, always, lives_of
from analytics.readings import Floats, Layout

YEAR_S: Final = 365.25 * 86_400.0
_HALVING_K: Final = {"vrla_agm": 10.0, "vented_lead": 10.0, "nicd": 20.0, "nizn": 10.0}
_LITHIUM_HALVING_K: Final = 13.0
_DESIGN_YEARS: Final = {"vrla_agm": 10.0, "vented_lead": 15.0, "nicd": 20.0, "nizn": 10.0}
_LITHIUM_DESIGN_YEARS: Final = 12.0


@dataclass(frozen=True, slots=True)
class StringLifeRules:
    """Of one string.

    Attributes:
        design_years: until 80 % of the capacity, at `design_degc`; the maker's figure.
        design_degc: temperature for which it is stated.
        halving_k: so many kelvin more halve the life.
        commissioned_s: event time of its first charge; NaN where nobody knows: then age says little.
    """

    design_years: float
    design_degc: float
    halving_k: float
    commissioned_s: float = float("nan")

    @classmethod
    def of(cls, chemistry: str, design_years: float | None = None, commissioned_s: float = float("nan")) -> Self:
        """Return the typical rules of a chemistry, with the maker's design life where it is known."""
        return cls(
            design_years=design_years or _DESIGN_YEARS.get(chemistry, _LITHIUM_DESIGN_YEARS),
            design_degc=25.0,
            halving_k=_HALVING_K.get(chemistry, _LITHIUM_HALVING_K),
            commissioned_s=commissioned_s,
        )


@dataclass(frozen=True, slots=True)
class LifeRules:
    """The rules of all strings of a layout, in its order, and (N,) each unit's mark and first moment.

    A mark is another number where the unit is another one; `born_s` is minus infinity where it was there always.
    """

    layout: Layout
    strings: tuple[StringLifeRules, ...]
    lives: Counts
    born_s: Floats

    @classmethod
    def of(cls, layout: Layout, strings: Mapping[str, StringLifeRules], lives: Sequence[int] | None = None) -> Self:
        """Return the rules of a layout's strings, given by id; `lives` (N,) are the marks, 1 without."""
        return cls(layout, tuple(strings[string] for string in layout.strings), lives_of(layout, lives), always(layout))
