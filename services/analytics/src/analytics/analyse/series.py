"""A recorded file as arrays, with what was wrong with it. Positive current discharges from here on."""

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from heapq import nsmallest
from typing import Final

import numpy as np
from cellkeeper.contract.moment import from_ms
from cellkeeper.contract.recorded_rows import BadRow, RecordedRow

from analytics.analyse.advice import advice
from analytics.analyse.errors import AnalyseError
from analytics.analyse.row_order import Order, order_of
from analytics.readings import Floats, Places

SHOWN_BAD: Final = 10
HOLD_DEGC_S: Final = 1800.0  # a block of a few kilograms does not change its temperature sooner by much
SLOWEST_S: Final = 1800.0  # what is further apart says nothing of what was in between
USUAL, SELDOM = 0.90, 0.99  # shares of the steps between rows: loggers write less often while nothing happens


@dataclass(frozen=True, slots=True)
class Series:
    """A file; T rows, n units.

    Attributes:
        at_s: (T,) event time, rising.
        discharge_a, string_v: (T,) NaN without.
        unit_v, degc: (T, n) NaN without.
        bad: how many rows were left out.
        shown_bad: the first of them.
        gap_s: rows further apart leave a gap.
        is_turned: whether the file had its newest row first.
    """

    at_s: Floats
    discharge_a: Floats
    string_v: Floats
    unit_v: Floats
    degc: Floats
    bad: int
    shown_bad: tuple[BadRow, ...]
    gap_s: float
    is_turned: bool = False

    @property
    def units(self) -> int:
        """Units in the file, n."""
        return int(self.unit_v.shape[1])


@dataclass(slots=True)
class _Columns:
    """Rows as they come, packed: years of a logger are millions of them."""

    line: "array[int]" = field(default_factory=lambda: array("q"))
    at_ms: "array[int]" = field(default_factory=lambda: array("q"))
    current_a: "array[float]" = field(default_factory=lambda: array("d"))
    string_v: "array[float]" = field(default_factory=lambda: array("d"))
    unit_v: "array[float]" = field(default_factory=lambda: array("d"))
    degc: "array[float]" = field(default_factory=lambda: array("d"))
    units: "array[int]" = field(default_factory=lambda: array("l"))  # how many of a row
    poles: "array[int]" = field(default_factory=lambda: array("l"))

    def add(self, row: RecordedRow) -> None:
        self.line.append(row.line)
        self.at_ms.append(row.measured_ms)
        self.current_a.append(row.current_a)
        self.string_v.append(row.string_v)
        self.unit_v.extend(row.unit_v)
        self.degc.extend(row.degc)
        self.units.append(len(row.unit_v))
        self.poles.append(len(row.degc))


def series_of(rows: Iterable[RecordedRow | BadRow], *, fatal: bool) -> Series:
    """Return a file as arrays.

    A row that holds no voltage and no current gives its temperature to those after it, for half an hour: loggers write
    slow values in rows of their own. Voltages and currents are never carried over. Rows may come newest first.

    Args:
        rows: of the file, in the order of the file.
        fatal: whether a bad row ends the analysis.

    Raises:
        AnalyseError: a bad row that is fatal, no row is usable, or most of them are out of order.
    """
    bad: list[BadRow] = []
    kept = _Columns()
    count = 0
    for row in rows:
        if isinstance(row, RecordedRow):
            kept.add(row)
            continue
        _require_harmless(row, fatal=fatal)
        count += 1
        if len(bad) < SHOWN_BAD:
            bad.append(row)
    if not kept.at_ms:
        first = f"; the first: line {bad[0].line}: {bad[0].why}{advice(bad[0].why)}" if bad else ""
        raise AnalyseError(f"no usable row in the file ({count} bad ones{first}); check columns, delimiter and times")
    at_ms = np.array(kept.at_ms, np.int64)
    order = order_of(at_ms, kept.line)
    late = [BadRow(kept.line[at], _late(kept.at_ms[at], at_ms, order)) for at in order.left_out[:SHOWN_BAD].tolist()]
    if late:
        _require_harmless(late[0], fatal=fatal)
    shown = nsmallest(SHOWN_BAD, (*bad, *late), key=lambda each: each.line)
    return _arrays(kept, at_ms, order, count + len(order.left_out), tuple(shown))


def _require_harmless(row: BadRow, *, fatal: bool) -> None:
    if fatal:
        raise AnalyseError(f"line {row.line}: {row.why}; correct it, or use --bad-rows skip")


def _late(ms: int, at_ms: Places, order: Order) -> str:
    told = from_ms(ms).isoformat()
    at = int(np.searchsorted(at_ms[order.kept], ms))
    is_again = at < len(order.kept) and int(at_ms[order.kept[at]]) == ms
    return f"time {told} comes again" if is_again else f"time {told} does not fit in between its neighbours"


def _arrays(columns: _Columns, at_ms: Places, order: Order, bad: int, shown: tuple[BadRow, ...]) -> Series:
    units = max(columns.units)
    at_s = at_ms[order.kept] / 1000.0
    unit_v = _grid(columns.unit_v, columns.units, units)[order.kept]
    degc = _held(at_s, _grid(columns.degc, columns.poles, units)[order.kept])
    current_a, string_v = (np.array(each)[order.kept] for each in (columns.current_a, columns.string_v))
    counts = np.isfinite(unit_v).any(axis=1) | np.isfinite(current_a)
    if not np.isfinite(unit_v).any():
        first = f"; the first bad row, line {shown[0].line}: {shown[0].why}{advice(shown[0].why)}" if shown else ""
        raise AnalyseError(f"no voltage of a unit in the whole file; name its column with --voltage{first}")
    at_s = at_s[counts]
    return Series(
        at_s, -current_a[counts] + 0.0, string_v[counts], unit_v[counts], degc[counts], bad, shown, _gap_s(at_s),
        order.is_turned,
    )  # fmt: skip


def _grid(values: "array[float]", widths: "array[int]", units: int) -> Floats:
    """Return rows as (T, units); one value for all units is given to each, what is missing is NaN."""
    own, many = np.array(values), np.array(widths)
    if not len(own):
        return np.full((len(many), units), np.nan)
    if (many == many[0]).all() and many[0] in {1, units}:
        return np.broadcast_to(own.reshape(len(many), -1), (len(many), units))
    found = np.full((len(many), units), np.nan)
    for at, (first, wide) in enumerate(zip((np.cumsum(many) - many).tolist(), many.tolist(), strict=True)):
        found[at, : units if wide == 1 else wide] = own[first : first + wide]
    return found


def _held(at_s: Floats, degc: Floats) -> Floats:
    """Return temperatures that hold until the next one, for half an hour at most."""
    known = np.isfinite(degc)
    place = np.maximum.accumulate(np.where(known, np.arange(len(at_s))[:, None], -1), axis=0)
    column = np.arange(degc.shape[1])[None, :]
    held = degc[np.maximum(place, 0), column]
    fresh = (place >= 0) & (at_s[:, None] - at_s[np.maximum(place, 0)] <= HOLD_DEGC_S)
    return np.where(fresh, held, np.nan)


def _gap_s(at_s: Floats) -> float:
    """Return which steps are gaps: far more than nearly all of them."""
    if len(at_s) < 3:
        return SLOWEST_S
    usual_s, seldom_s = np.quantile(np.diff(at_s), [USUAL, SELDOM])
    return float(min(SLOWEST_S, max(30.0, 3.0 * usual_s, 1.5 * seldom_s)))


def with_string_values(series: Series, rows: Iterable[RecordedRow | BadRow]) -> Series:
    """Return a series with current and string voltage of another file, taken at the same times (within 1 ms)."""
    times, amps, volts = [], [], []
    for row in rows:
        if isinstance(row, RecordedRow):
            times.append(row.measured_ms / 1000.0)
            amps.append(row.current_a)
            volts.append(row.string_v)
    if not times:
        raise AnalyseError("the file with the string's values has no usable row")
    known, first = np.unique(np.array(times), return_index=True)  # it may have its newest row first, or rows twice
    place = np.clip(np.searchsorted(known, series.at_s - 5e-4), 0, len(known) - 1)
    same = np.abs(known[place] - series.at_s) <= 1e-3
    current_a, string_v = (np.where(same, np.array(each)[first][place], np.nan) for each in (amps, volts))
    return replace(series, discharge_a=-current_a, string_v=string_v)


def bad_row_lines(series: Series) -> Iterator[str]:
    """Yield what was left out."""
    if not series.bad:
        return
    yield f"{series.bad} bad row{'s were' if series.bad > 1 else ' was'} left out:"
    for row in series.shown_bad:
        yield f"  line {row.line}: {row.why}"
    if series.bad > len(series.shown_bad):
        yield f"  and {series.bad - len(series.shown_bad)} more"
