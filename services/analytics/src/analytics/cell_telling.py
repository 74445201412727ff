"""Estimates of single units by exception: which are worth a message now, and those messages. Pure.

As with the readings of units: numpy decides for a whole string, and only what is due is built. A unit is due when a
value left its dead band, when a source or a state changed, or in its own slot of the refresh period; slots are spread,
so that a room never refreshes at once. What is due waits here and is taken in portions with its newest values.
"""

from typing import Final

import numpy as np
import orjson
from cellkeeper.contract.moment import format_ms

from analytics.readings import Codes, Flags, Floats
from analytics.unit_estimates import NAMES, WORDS, UnitEstimates

REFRESH_GROUPS: Final = 12
BANDS: Final = {
    "soc_frac": 0.005,
    "soc_sd_frac": 0.005,
    "soh_frac": 0.002,
    "soh_sd_frac": 0.005,
    "r_own_frac": 0.01,
    "p_fail_6m_frac": 0.01,
    "p_fail_12m_frac": 0.01,
}
_BANDS: Final[Floats] = np.array(list(BANDS.values()))[:, None]


class CellTelling:
    """The units of one string as SCADA sees them.

    Args:
        units: how many.
        refresh_s: event time after which each is told again.
        phase_frac: where in a slot this string refreshes, 0 to 1, so that strings take turns.
    """

    def __init__(self, units: int, refresh_s: float, phase_frac: float = 0.5) -> None:
        self._period_s = refresh_s
        groups = min(units, REFRESH_GROUPS)
        self._slot: Floats = (np.arange(units) * groups // units + phase_frac) / groups
        self._told: Floats = np.full((len(BANDS), units), np.inf)  # infinitely far from anything: all due at first
        self._told_codes: Codes = np.full((len(WORDS), units), 255, dtype=np.uint8)
        self._period: Floats = np.full(units, -1.0)
        self._due: Flags = np.zeros(units, dtype=np.bool_)
        self._newest: UnitEstimates | None = None
        self._at_ms = 0

    @property
    def waiting(self) -> int:
        """How many units are due."""
        return int(np.count_nonzero(self._due))

    def update(self, told: UnitEstimates, at_ms: int) -> None:
        """Take the newest estimates of the string's units and mark what is due."""
        values = _numbers(told)
        with np.errstate(invalid="ignore"):
            near = np.abs(values - self._told) <= _BANDS
        near |= np.isnan(values) & np.isnan(self._told)  # unknown before and now is no change
        same = _codes(told) == self._told_codes
        self._due |= ~(near.all(axis=0) & same.all(axis=0)) | (self._period_at(at_ms) != self._period)
        self._newest, self._at_ms = told, at_ms

    def mark_all(self) -> None:
        """Make every unit due: the broker may have forgotten them."""
        self._due[:] = True

    def take(self, limit: int) -> list[tuple[int, bytes]]:
        """Return up to `limit` due units as (cell number, payload) and count them as told."""
        if self._newest is None or not self._due.any():
            return []
        due = np.flatnonzero(self._due)[:limit]
        told = self._newest.of(due)
        self._due[due] = False
        self._told[:, due], self._told_codes[:, due] = _numbers(told), _codes(told)
        self._period[due] = self._period_at(self._at_ms)[due]
        tail = {"measured_at": format_ms(self._at_ms), "measured_ms": self._at_ms}
        columns = told.columns()
        rows = zip((due + 1).tolist(), *(columns[name] for name in NAMES), strict=True)
        return [(row[0], orjson.dumps({"v": 1, **dict(zip(NAMES, row[1:], strict=True)), **tail})) for row in rows]

    def give_back(self, cells: list[int]) -> None:
        """Make units (1-based) due again whose message could not be sent."""
        self._due[np.array(cells, dtype=np.intp) - 1] = True

    def _period_at(self, at_ms: int) -> Floats:
        """Return in which of its refresh periods each unit is; it counts up where the unit's slot begins."""
        return np.floor(at_ms / 1000.0 / self._period_s - self._slot)


def _numbers(told: UnitEstimates) -> Floats:
    return np.array([getattr(told, name) for name in BANDS])


def _codes(told: UnitEstimates) -> Codes:
    return np.array([getattr(told, name) for name in WORDS])
