"""A month of a site as numbers: how complete it is, what was extreme, which units stand out, what happened. Pure."""

import calendar
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from cellkeeper.contract.moment import to_ms

from analytics.dossier.context import EarlierResult
from analytics.readings import Flags, Floats, Places
from analytics.reports.errors import ReportError
from analytics.reports.history import Windows

QUARTER_MS: Final = 900_000
WEAKEST: Final = 5
FEWEST_DAYS: Final = 3  # with fewer, a unit's deviation says nothing


@dataclass(frozen=True, slots=True)
class Span:
    """A calendar month in UTC, up to now when it is not over: `[start_ms, end_ms)`."""

    name: str
    start_ms: int
    end_ms: int

    @property
    def quarters(self) -> int:
        """Whole quarters of an hour in it."""
        return (self.end_ms - self.start_ms) // QUARTER_MS


@dataclass(frozen=True, slots=True)
class Extreme:
    """One value with its place and day; day is the begin of a UTC day."""

    value: float
    cell: int
    day_ms: int


@dataclass(frozen=True, slots=True)
class Deviation:
    """A unit that stands out: its daily mean less that of the middle unit, the median over the days."""

    cell: int
    volts: float


@dataclass(frozen=True, slots=True)
class Days:
    """Values of a string by day; (D,) each, NaN where there are none."""

    at_ms: Places
    mean_v: Floats
    low_v: Floats
    high_v: Floats
    mean_degc: Floats
    high_degc: Floats


@dataclass(frozen=True, slots=True)
class StringMonth:
    """One string in one month; None where nothing is known.

    Attributes:
        string, cells: id and units.
        seen_frac: share of the quarters of an hour in which anything of it was read.
        good_frac: share of its voltages that were good, of those that were due in a scan.
        silent_cells: units of which no voltage was good in the whole month.
        lowest_v, highest_v, coldest, hottest: extremes of the units.
        mean_degc: of all poles.
        current_a: least and greatest; positive charges, as the contract counts.
        weakest: units furthest below the middle one.
        days: for the picture.
    """

    string: str
    cells: int
    seen_frac: float
    good_frac: float | None
    silent_cells: tuple[int, ...]
    lowest_v: Extreme | None
    highest_v: Extreme | None
    coldest: Extreme | None
    hottest: Extreme | None
    mean_degc: float | None
    current_a: tuple[float, float] | None
    weakest: tuple[Deviation, ...]
    days: Days


@dataclass(frozen=True, slots=True)
class Month:
    """A month of a site.

    Attributes:
        site_name: as people know it.
        span: which month.
        source: where the numbers are from, or why there are none.
        strings: in order of their ids; empty without a historian.
        kinds: how often each kind of event was told, by severity and kind.
        shown: newest warnings and errors: newest time in ms, service, text, how often.
        outages: recorded discharges of the month, with the string's id.
    """

    site_name: str
    span: Span
    source: str
    strings: tuple[StringMonth, ...]
    kinds: tuple[tuple[str, str, int], ...]
    shown: tuple[tuple[int, str, str, int], ...]
    outages: tuple[tuple[str, EarlierResult], ...]


def span_of(text: str, now_ms: int) -> Span:
    """Return the month of `2026-11`.

    Raises:
        ReportError: it is none, or it has not begun.
    """
    try:
        begin = datetime.strptime(text.strip(), "%Y-%m").replace(tzinfo=UTC)
    except ValueError as exc:
        raise ReportError(f"{text[:20]!r} is no month; write 2026-11") from exc
    days = calendar.monthrange(begin.year, begin.month)[1]
    start_ms = to_ms(begin)
    if start_ms >= now_ms:
        raise ReportError(f"{text} has not begun")
    return Span(begin.strftime("%B %Y"), start_ms, min(start_ms + days * 86_400_000, now_ms))


def string_month(string: str, cells: int, span: Span, seen: int, windows: tuple[Windows, Windows]) -> StringMonth:
    """Return the month of one string.

    Args:
        string: id.
        cells: units it has.
        span: the month.
        seen: quarters of an hour with any scan.
        windows: daily windows of its units, and of its own values.
    """
    units, own = windows
    volts, degc = (_chosen(units, name) for name in ("cell_v", "degc"))
    due = np.array([name == "cell_v" for name in units.field], np.bool_)
    good, bad = float(units.n_good[due].sum()), float(units.n_bad[due].sum())
    return StringMonth(
        string=string,
        cells=cells,
        seen_frac=min(1.0, seen / max(1, span.quarters)),
        good_frac=good / (good + bad) if good + bad else None,
        silent_cells=_silent(units, volts, cells),
        lowest_v=_extreme(units, volts, units.low, -1.0),
        highest_v=_extreme(units, volts, units.high, 1.0),
        coldest=_extreme(units, degc, units.low, -1.0),
        hottest=_extreme(units, degc, units.high, 1.0),
        mean_degc=_weighted_mean(units, degc),
        current_a=_range(own, _chosen(own, "current_a")),
        weakest=_weakest(units, volts),
        days=_days(units, volts, degc),
    )


def event_counts(events: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, str, int], ...]:
    """Return how often each kind was told, the gravest and then the most frequent first."""
    grave = {"error": 0, "warning": 1, "info": 2}
    counted = Counter((str(e.get("severity", "info")), str(e.get("kind", ""))) for e in events)
    ordered = sorted(counted.items(), key=lambda item: (grave.get(item[0][0], 3), -item[1], item[0][1]))
    return tuple((severity, kind, times) for (severity, kind), times in ordered)


def _chosen(windows: Windows, field: str) -> Flags:
    return np.array([name == field for name in windows.field], np.bool_) & (windows.n_good > 0)


def _silent(units: Windows, volts: Flags, cells: int) -> tuple[int, ...]:
    heard = set(units.cell[volts].tolist())
    return tuple(cell for cell in range(1, cells + 1) if cell not in heard)


def _extreme(windows: Windows, rows: Flags, values: Floats, sign: float) -> Extreme | None:
    known = np.flatnonzero(rows & np.isfinite(values))
    if not len(known):
        return None
    at = known[int(np.argmax(sign * values[known]))]
    return Extreme(float(values[at]), int(windows.cell[at]), int(windows.at_ms[at]))


def _weighted_mean(windows: Windows, rows: Flags) -> float | None:
    known = rows & np.isfinite(windows.mean)
    return float(np.average(windows.mean[known], weights=windows.n_good[known])) if known.any() else None


def _range(windows: Windows, rows: Flags) -> tuple[float, float] | None:
    known = rows & np.isfinite(windows.low) & np.isfinite(windows.high)
    return (float(windows.low[known].min()), float(windows.high[known].max())) if known.any() else None


def _weakest(units: Windows, volts: Flags) -> tuple[Deviation, ...]:
    grid, _, cells = _grid(units, volts, units.mean)
    if not grid.size:
        return ()
    enough = np.isfinite(grid).sum(axis=0) >= FEWEST_DAYS
    if not enough.any():
        return ()
    middle = np.nanmedian(grid[:, enough], axis=1)
    deviation = np.nanmedian(grid[:, enough] - middle[:, None], axis=0)
    order = np.argsort(deviation, kind="stable")[:WEAKEST]
    return tuple(Deviation(int(cells[enough][at]), float(deviation[at])) for at in order if deviation[at] < 0.0)


def _grid(windows: Windows, rows: Flags, values: Floats) -> tuple[Floats, Places, Places]:
    """Return values as (days, units), with the days and the units."""
    days, row = np.unique(windows.at_ms[rows], return_inverse=True)
    cells, column = np.unique(windows.cell[rows], return_inverse=True)
    grid = np.full((len(days), len(cells)), np.nan)
    grid[row, column] = values[rows]
    return grid, days, cells


def _days(units: Windows, volts: Flags, degc: Flags) -> Days:
    mean_v, at_ms, _ = _grid(units, volts, units.mean)
    low_v, high_v = (_grid(units, volts, values)[0] for values in (units.low, units.high))
    mean_degc, warm_ms, _ = _grid(units, degc, units.mean)
    high_degc, _, _ = _grid(units, degc, units.high)
    rows = np.searchsorted(at_ms, warm_ms[np.isin(warm_ms, at_ms)])
    warm = {name: np.full(len(at_ms), np.nan) for name in ("mean", "high")}
    if len(rows):
        kept = np.isin(warm_ms, at_ms)
        warm["mean"][rows], warm["high"][rows] = np.nanmean(mean_degc[kept], axis=1), np.nanmax(high_degc[kept], axis=1)
    if not len(at_ms):
        nothing = np.empty(0)
        return Days(at_ms, nothing, nothing, nothing, nothing, nothing)
    return Days(
        at_ms,
        np.nanmean(mean_v, axis=1),
        np.nanmin(low_v, axis=1),
        np.nanmax(high_v, axis=1),
        warm["mean"],
        warm["high"],
    )
