"""Which modes and estimates become rows: what changes, and else one now and then. Pure.

An estimate of a string comes every few seconds. Its own row is kept once a minute; the columns of its units, which are
hundreds of times as large and kept for ever, when one of them moved, and at least once an hour.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from cellkeeper.contract.estimate_state import StringEstimate
from cellkeeper.contract.moment import to_ms
from cellkeeper.contract.telemetry import StringMode
from numpy.typing import NDArray

MODE_EVERY_MS: Final = 300_000
STRING_EVERY_MS: Final = 60_000
UNITS_AT_MOST_MS: Final = 60_000
UNITS_EVERY_MS: Final = 3_600_000
_BANDS: Final = {"soc_frac": 0.01, "soc_sd_frac": 0.01, "soh_frac": 0.002, "r_own_frac": 0.02, "p_fail_12m_frac": 0.02}
_WORDS: Final = ("soh_source", "r_state")

type Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Units:
    at_ms: int
    numbers: Numbers
    words: tuple[tuple[str, ...], ...]


@dataclass(slots=True)
class EstimateSieve:
    """Remembers what of each string was kept last; a clock that was set back does not stop the rows."""

    _modes: dict[str, tuple[int, str]] = field(default_factory=dict)
    _strings: dict[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    _units: dict[str, _Units] = field(default_factory=dict)

    def keeps_mode(self, told: StringMode) -> bool:
        """Return whether a mode becomes a row."""
        at_ms = to_ms(told.measured_at)
        last = self._modes.get(told.string)
        if last is not None and last[1] == told.mode and abs(at_ms - last[0]) < MODE_EVERY_MS:
            return False
        self._modes[told.string] = at_ms, told.mode
        return True

    def keeps_string(self, told: StringEstimate) -> bool:
        """Return whether the values of the string become a row."""
        at_ms, doubts = to_ms(told.measured_at), tuple(told.doubts)
        last = self._strings.get(told.string)
        if last is not None and last[1] == doubts and abs(at_ms - last[0]) < STRING_EVERY_MS:
            return False
        self._strings[told.string] = at_ms, doubts
        return True

    def keeps_units(self, told: StringEstimate) -> bool:
        """Return whether the columns of the units become rows."""
        at_ms, last = to_ms(told.measured_at), self._units.get(told.string)
        if last is not None and abs(at_ms - last.at_ms) < UNITS_AT_MOST_MS:
            return False
        numbers = np.array([getattr(told, name) for name in _BANDS], dtype=np.float64)
        words = tuple(tuple(getattr(told, name)) for name in _WORDS)
        now = _Units(at_ms, numbers, words)
        if last is not None and abs(at_ms - last.at_ms) < UNITS_EVERY_MS and not _moved(last, now):
            return False
        self._units[told.string] = now
        return True


def _moved(last: _Units, now: _Units) -> bool:
    if last.words != now.words or last.numbers.shape != now.numbers.shape:
        return True
    bands = np.array(list(_BANDS.values()))[:, None]
    both_unknown = np.isnan(last.numbers) & np.isnan(now.numbers)
    return not bool((both_unknown | (np.abs(now.numbers - last.numbers) <= bands)).all())
