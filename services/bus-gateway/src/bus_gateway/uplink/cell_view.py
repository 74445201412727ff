"""Per-cell topics by exception: which units are worth a message now, and those messages. Pure.

numpy decides for the whole string; only the units that are due are built. A unit is due when a value left its dead
band, when a code changed, or in its own slot of the refresh period (slots are spread evenly, so that a room never
refreshes at once). What is due waits here and is taken in portions with its newest values: an outage's onset, when
every unit is due in one scan, costs the scans nothing.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson
from cellkeeper.contract.moment import format_ms
from cellkeeper.contract.physical import DEGC_DECIMALS, FRAC_DECIMALS, V_DECIMALS
from cellkeeper.contract.scan_columns import Codes, Floats
from numpy.typing import NDArray

from bus_gateway.driver import StringReadings

REFRESH_GROUPS: Final = 12
_OHM_DECIMALS: Final = 8


@dataclass(frozen=True, slots=True)
class CellBands:
    """When a change is worth a message."""

    dead_band_v: float
    dead_band_degc: float
    refresh_s: float
    dead_band_frac: float = 0.02


class CellView:
    """The units of one string as SCADA sees them.

    Args:
        cells: number of units.
        bands: dead bands and refresh period.
        phase_frac: where in a slot this string refreshes, 0 to 1, so that strings take turns.
    """

    def __init__(self, cells: int, bands: CellBands, phase_frac: float = 0.5) -> None:
        self._period_ms = bands.refresh_s * 1000.0
        self._bands: Floats = np.array([[bands.dead_band_v], [bands.dead_band_degc], [bands.dead_band_frac]])
        self._told: Floats = np.full((3, cells), np.inf)  # infinitely far from anything: all due at first
        self._told_codes: Codes = np.full((3, cells), 255, dtype=np.uint8)
        self._impedance_ohm: Floats = np.full(cells, np.nan)
        groups = np.arange(cells) * min(cells, REFRESH_GROUPS) // cells  # a few messages at once cost far less each
        self._slot = (groups + phase_frac) / min(cells, REFRESH_GROUPS)
        self._period: Floats = np.full(cells, -1.0)
        self._slot_begins_ms, self._slot_ends_ms = np.inf, -np.inf
        self._due = np.zeros(cells, dtype=np.bool_)
        self._newest: StringReadings | None = None
        self._measured_ms = 0

    @property
    def waiting(self) -> int:
        """How many units are due."""
        return int(np.count_nonzero(self._due))

    def update(self, readings: StringReadings, measured_ms: int) -> None:
        """Take a scan and mark what is due."""
        values = _values_of(readings)
        with np.errstate(invalid="ignore"):
            near = np.abs(values - self._told) <= self._bands
        if not near.all():
            near |= np.isnan(values) & np.isnan(self._told)  # unknown before and now is no change
        same_codes = _codes_of(readings) == self._told_codes
        if not (near.all() and same_codes.all()):
            self._due |= ~(near.all(axis=0) & same_codes.all(axis=0))
        if not self._slot_begins_ms <= measured_ms < self._slot_ends_ms:
            self._mark_slots(measured_ms)
        self._newest, self._measured_ms = readings, measured_ms

    def impedance(self, cells: NDArray[np.intp], r_ohm: Floats) -> None:
        """Take new impedances of some units (0-based positions)."""
        self._impedance_ohm[cells] = r_ohm
        self._due[cells] = True

    def mark_all(self) -> None:
        """Make every unit due: the broker may have forgotten them."""
        self._due[:] = True

    def take(self, limit: int) -> list[tuple[int, bytes]]:
        """Return up to `limit` due units as (cell number, payload) and count them as told."""
        readings = self._newest
        if readings is None:
            return []
        if not self._due.any():
            return []
        due = np.flatnonzero(self._due)[:limit]
        self._due[due] = False
        self._told[:, due] = _values_of(readings)[:, due]
        self._told_codes[:, due] = _codes_of(readings)[:, due]
        self._period[due] = self._period_at(self._measured_ms)[due]
        return self._messages(due, readings)

    def give_back(self, cells: list[int]) -> None:
        """Make units (1-based) due again whose message could not be sent."""
        self._due[np.array(cells, dtype=np.intp) - 1] = True

    def _messages(self, due: NDArray[np.intp], readings: StringReadings) -> list[tuple[int, bytes]]:
        at = format_ms(self._measured_ms)
        columns: dict[str, list[Any]] = {
            "cell_v": np.round(readings.cell_v[due], V_DECIMALS).tolist(),
            "cell_degc": np.round(readings.cell_degc[due], DEGC_DECIMALS).tolist(),
            "impedance_ohm": np.round(self._impedance_ohm[due], _OHM_DECIMALS).tolist(),
            "bleed_frac": np.round(readings.bleed_frac[due], FRAC_DECIMALS).tolist(),
            "quality": readings.quality[due].tolist(),
            "degc_quality": readings.degc_quality[due].tolist(),
            "status": readings.status[due].tolist(),
        }
        tail = {"measured_at": at, "measured_ms": self._measured_ms}
        names = tuple(columns)
        rows = zip((due + 1).tolist(), *columns.values(), strict=True)
        # orjson writes NaN as null, which is the wire's word for "no value"
        return [(row[0], orjson.dumps({"v": 1, **dict(zip(names, row[1:], strict=True)), **tail})) for row in rows]

    def _period_at(self, measured_ms: int) -> Floats:
        """Return in which of its refresh periods each unit is; it counts up where the unit's slot begins."""
        return np.floor(measured_ms / self._period_ms - self._slot)

    def _mark_slots(self, measured_ms: int) -> None:
        """Mark the units whose slot has begun, and note until when no other one begins."""
        period = self._period_at(measured_ms)
        self._due |= period != self._period
        self._slot_begins_ms = measured_ms
        self._slot_ends_ms = float((period + 1.0 + self._slot).min()) * self._period_ms


def _values_of(readings: StringReadings) -> Floats:
    """Return (3, n) what has a dead band: volts, degrees, duties."""
    return np.array((readings.cell_v, readings.cell_degc, readings.bleed_frac))


def _codes_of(readings: StringReadings) -> Codes:
    """Return (3, n) what is told as soon as it changes: both qualities and the status."""
    return np.array((readings.quality, readings.degc_quality, readings.status))
