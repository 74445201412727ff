"""A recorded file as arrays, with what was wrong with it. Positive current discharges from here on."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from cellkeeper.contract.recorded_rows import BadRow, RecordedRow

from analytics.analyse.errors import AnalyseError
from analytics.readings import Floats

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
    """

    at_s: Floats
    discharge_a: Floats
    string_v: Floats
    unit_v: Floats
    degc: Floats
    bad: int
    shown_bad: tuple[BadRow, ...]
    gap_s: float

    @property
    def units(self) -> int:
        """Units in the file, n."""
        return int(self.unit_v.shape[1])


def series_of(rows: Iterable[RecordedRow | BadRow], *, fatal: bool) -> Series:
    """Return a file as arrays.

    A row that holds no voltage and no current gives its temperature to those after it, for half an hour: loggers write
    slow values in rows of their own. Voltages and currents are never carried over.

    Args:
        rows: of the file.
        fatal: whether a bad row ends the analysis.

    Raises:
        AnalyseError: a bad row that is fatal, or no row is usable.
    """
    bad: list[BadRow] = []
    kept: list[RecordedRow] = []
    count = 0
    for row in rows:
        if isinstance(row, RecordedRow):
            kept.append(row)
            continue
        if fatal:
            raise AnalyseError(f"line {row.line}: {row.why}; correct it, or use --bad-rows skip")
        count += 1
        if len(bad) < SHOWN_BAD:
            bad.append(row)
    if not kept:
        first = f"; the first: line {bad[0].line}: {bad[0].why}" if bad else ""
        raise AnalyseError(f"no usable row in the file ({count} bad ones{first}); check columns, delimiter and times")
    return _arrays(kept, count, tuple(bad))


def _arrays(kept: Sequence[RecordedRow], bad: int, shown: tuple[BadRow, ...]) -> Series:
    units = max(len(row.unit_v) for row in kept)
    at_s = np.array([row.measured_ms for row in kept], np.float64) / 1000.0
    unit_v = _grid([row.unit_v for row in kept], units)
    degc = _held(at_s, _grid([row.degc for row in kept], units))
    current_a, string_v = (np.array([getattr(row, name) for row in kept]) for name in ("current_a", "string_v"))
    counts = np.isfinite(unit_v).any(axis=1) | np.isfinite(current_a)
    if not np.isfinite(unit_v).any():
        raise AnalyseError("no voltage of a unit in the whole file; name its column with --voltage")
    at_s = at_s[counts]
    return Series(
        at_s, -current_a[counts] + 0.0, string_v[counts], unit_v[counts], degc[counts], bad, shown, _gap_s(at_s)
    )


def _grid(rows: Sequence[tuple[float, ...]], units: int) -> Floats:
    """Return rows as (T, units); one value for all units is given to each, what is missing is NaN."""
    found = np.full((len(rows), units), np.nan)
    for at, row in enumerate(rows):
        if len(row) == 1:
            found[at, :] = row[0]
        else:
            found[at, : len(row)] = row
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
    known = np.array(times)
    if not len(known):
        raise AnalyseError("the file with the string's values has no usable row")
    place = np.clip(np.searchsorted(known, series.at_s - 5e-4), 0, len(known) - 1)
    same = np.abs(known[place] - series.at_s) <= 1e-3
    current_a, string_v = (np.where(same, np.array(each)[place], np.nan) for each in (amps, volts))
    return replace(series, discharge_a=-current_a, string_v=string_v)


def bad_row_lines(series: Series) -> Iterator[str]:
    """Yield what was left out."""
    if not series.bad:
        return
    yield f"{series.bad} bad rows were left out:"
    for row in series.shown_bad:
        yield f"  line {row.line}: {row.why}"
    if series.bad > len(series.shown_bad):
        yield f"  and {series.bad - len(series.shown_bad)} more"
