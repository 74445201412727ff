"""What an impedance trend is held against; per chemistry, every figure can be overridden."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from analytics.readings import Layout

type Marks = NDArray[np.int64]

DAY_S: Final = 86_400.0
BETA_PER_K: Final = {
    "vrla_agm": -0.0095,
    "vented_lead": -0.010,
    "nicd": -0.011,
    "nizn": -0.010,
    "nmc": -0.022,
    "lfp": -0.017,
    "lto": -0.015,
    "na_ion": -0.022,
}
"""Change of the resistance per kelvin at some 10 Hz; typical values, LFP from one measured cell."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a unit's impedance is worth a look, a capacity test, an alarm.

    Attributes:
        watch_frac, warning_frac, alarm_frac: of its own baseline.
        apart_frac: distance from the median of its string worth a look; below half of it is as good as equal.
        high_frac: of the median of its string: a warning.
        rate_per_year: growth worth a look.
    """

    watch_frac: float = 1.20
    warning_frac: float = 1.30
    alarm_frac: float = 1.50
    apart_frac: float = 0.20
    high_frac: float = 1.30
    rate_per_year: float = 0.05


LITHIUM: Final = Limits(watch_frac=1.30, warning_frac=1.50, alarm_frac=2.00, rate_per_year=0.10)
"""No field data stands behind these: lithium cells usually double their resistance before they lose a fifth."""

_SLOW: Final = frozenset({"vrla_agm", "vented_lead", "nicd", "nizn"})


@dataclass(frozen=True, slots=True)
class StringImpedanceRules:
    """Of one string.

    Attributes:
        beta_per_k: below zero.
        limits: of its states.
        rated_ah: ripple is judged against it.
        baseline_s: from and to, after the first value of a unit: before it the unit is forming.
    """

    beta_per_k: float
    limits: Limits
    rated_ah: float
    baseline_s: tuple[float, float] = (90.0 * DAY_S, 180.0 * DAY_S)

    @classmethod
    def of(cls, chemistry: str, rated_ah: float) -> Self:
        """Return the typical rules of a chemistry."""
        limits = Limits() if chemistry in _SLOW else LITHIUM
        return cls(BETA_PER_K.get(chemistry, -0.01), limits, rated_ah)


@dataclass(frozen=True, slots=True)
class ImpedanceRules:
    """Rules of all strings of a layout, in its order, and (N,) marks of what is fitted at each place.

    A mark changes when the unit is replaced, or the cables and terminals through which it is measured are others:
    then its old values say nothing of the new ones.
    """

    layout: Layout
    strings: tuple[StringImpedanceRules, ...]
    fitted: Marks
    terminals: Marks
    kinds: tuple[str, ...]

    @classmethod
    def of(
        cls,
        layout: Layout,
        strings: Mapping[str, StringImpedanceRules],
        lives: Sequence[int] | None = None,
        terminals: Sequence[str] | None = None,
    ) -> Self:
        """Return the rules of a layout.

        Args:
            layout: of the site.
            strings: rules by string id.
            lives: (N,) mark of the unit at each place; 1 without.
            terminals: (N,) kind of cable and terminal of each unit; all the same by default.
        """
        kinds = list(terminals or [""] * layout.units)
        marks = np.array([crc32(kind.encode()) for kind in kinds], dtype=np.int64)
        fitted = _fitted(lives or [1] * layout.units, kinds)
        return cls(layout, tuple(strings[string] for string in layout.strings), fitted, marks, tuple(kinds))

    def with_lives(self, lives: Marks) -> "ImpedanceRules":
        """Return the rules for other units, given by their marks (N,)."""
        return replace(self, fitted=_fitted(lives.tolist(), self.kinds))


def _fitted(lives: Sequence[int], kinds: Sequence[str]) -> Marks:
    pairs = zip(lives, kinds, strict=True)
    return np.array([crc32(f"{life}|{kind}".encode()) for life, kind in pairs], dtype=np.int64)
