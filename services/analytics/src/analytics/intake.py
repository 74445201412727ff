"""Scans of the wire as the estimators take them: the newest scans of many strings at once, each string's in order.

Here, and nowhere else in this package, the sign of the current turns: on the wire a positive current charges. Scans
that come twice, late or in the wrong order are left out; a clock that was set back begins a new stream at the gateway,
and its scans are taken as they come. Nothing here looks at a clock.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from cellkeeper.contract.physical import Quality
from cellkeeper.contract.scan_columns import ScanColumns

from analytics.readings import Flags, Floats, Layout, Readings

type Verdict = Literal["taken", "repeated", "late", "wrong_size", "foreign"]

AS_READ: Final = frozenset({Quality.GOOD, Quality.OUT_OF_RANGE, Quality.IN_TEST})
UNIT_V, DEGC = (-40.0, 40.0), (-60.0, 200.0)  # borders of the wire: `cellkeeper.contract.physical`
AMPERES, STRING_V = (-20_000.0, 20_000.0), (-2000.0, 2000.0)
_SCALARS: Final = {
    "current_a": AMPERES,
    "float_a": AMPERES,
    "ripple_a_rms": AMPERES,
    "string_v": STRING_V,
    "ambient_degc": DEGC,
}
USABLE: Final = frozenset({Quality.GOOD, Quality.IN_TEST})  # of what an impedance test does not disturb


def _table(codes: frozenset[Quality]) -> Flags:
    return np.array([code in codes for code in range(max(Quality) + 1)])


_IS_AS_READ: Final = _table(AS_READ)
_IS_USABLE: Final = _table(USABLE)


@dataclass(frozen=True, slots=True)
class _Newest:
    stream: str
    seq: int
    measured_ms: int


@dataclass(slots=True)
class Intake:
    """Sorts scans and makes batches of them.

    Attributes:
        layout: of the site.
        bleed_a: what a module of each string takes from its unit at full duty, by id.
        counts: scans by what became of them.
        ripple_a_rms: (S,) newest ripple of the string currents; NaN where nobody measures it.
    """

    layout: Layout
    bleed_a: Mapping[str, float]
    counts: dict[Verdict, int] = field(
        default_factory=lambda: {"taken": 0, "repeated": 0, "late": 0, "wrong_size": 0, "foreign": 0}
    )
    ripple_a_rms: Floats = field(init=False)
    _places: dict[str, int] = field(init=False)
    _newest: dict[str, _Newest] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ripple_a_rms = np.full(len(self.layout.strings), np.nan)
        self._places = {string: place for place, string in enumerate(self.layout.strings)}

    def judge(self, scan: ScanColumns) -> Verdict:
        """Return what becomes of a scan, and remember it as its string's newest if it is taken."""
        verdict = self._verdict(scan)
        self.counts[verdict] += 1
        if verdict == "taken":
            self._newest[scan.string] = _Newest(scan.stream, scan.seq, scan.measured_ms)
            self.ripple_a_rms[self._places[scan.string]] = _scalar(scan, "ripple_a_rms")
        return verdict

    def batches(self, scans: Iterable[ScanColumns]) -> list[Readings]:
        """Return scans that were taken as batches with at most one of each string, in their order."""
        waiting: list[dict[int, ScanColumns]] = []
        depth: dict[str, int] = {}
        for scan in scans:
            at = depth.get(scan.string, 0)
            depth[scan.string] = at + 1
            if at == len(waiting):
                waiting.append({})
            waiting[at][self._places[scan.string]] = scan
        return [self._batch(each) for each in waiting]

    def _verdict(self, scan: ScanColumns) -> Verdict:
        place = self._places.get(scan.string)
        if place is None:
            return "foreign"
        span = self.layout.span(place)
        if scan.cells != span.stop - span.start:
            return "wrong_size"
        newest = self._newest.get(scan.string)
        if newest is None:
            return "taken"
        if scan.stream == newest.stream:
            if scan.seq == newest.seq:
                return "repeated"
            is_next = scan.seq > newest.seq and scan.measured_ms > newest.measured_ms
            return "taken" if is_next else "late"
        return "repeated" if scan.measured_ms == newest.measured_ms else "taken"

    def _batch(self, scans: Mapping[int, ScanColumns]) -> Readings:
        readings = no_readings(self.layout)
        for place, scan in scans.items():
            span = self.layout.span(place)
            readings.at_s[place] = scan.measured_ms / 1000.0
            readings.discharge_a[place] = -_scalar(scan, "current_a")
            readings.string_v[place] = _scalar(scan, "string_v")
            readings.float_a[place] = _scalar(scan, "float_a")
            readings.ambient_degc[place] = _scalar(scan, "ambient_degc")
            unit_v = _within(scan.cell_v, UNIT_V)
            readings.unit_v[span] = np.where(scan.quality == Quality.GOOD, unit_v, np.nan)
            readings.unit_v_as_read[span] = np.where(_IS_AS_READ[scan.quality], unit_v, np.nan)
            readings.degc[span] = np.where(_IS_USABLE[scan.degc_quality], _within(scan.cell_degc, DEGC), np.nan)
            readings.bleed_a[span] = np.nan_to_num(scan.bleed_frac) * self.bleed_a[scan.string]
            readings.quality[span] = scan.quality
        return readings


def no_readings(layout: Layout) -> Readings:
    """Return a batch without any scan."""
    strings, units = len(layout.strings), layout.units
    return Readings(
        at_s=np.full(strings, np.nan),
        discharge_a=np.full(strings, np.nan),
        string_v=np.full(strings, np.nan),
        float_a=np.full(strings, np.nan),
        ambient_degc=np.full(strings, np.nan),
        unit_v=np.full(units, np.nan),
        unit_v_as_read=np.full(units, np.nan),
        degc=np.full(units, np.nan),
        bleed_a=np.zeros(units),
        quality=np.full(units, int(Quality.SILENT), dtype=np.uint8),
    )


def _within(values: Floats, borders: tuple[float, float]) -> Floats:
    """Return values, NaN where they are outside of what the wire allows: whoever sends them, nobody measured them."""
    with np.errstate(invalid="ignore"):
        return np.where((values >= borders[0]) & (values <= borders[1]), values, np.nan)


def _scalar(scan: ScanColumns, name: str) -> float:
    """Return a value of the string as on the wire, NaN without a good one."""
    value = scan.scalars.get(name)
    if value is None or scan.scalar_quality.get(name, 0) not in USABLE:
        return float("nan")
    low, high = _SCALARS[name]
    return value if low <= value <= high else float("nan")
