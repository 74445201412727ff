"""The impedances of one string by one method: last values, points of the trend, baseline. All (.., n) arrays."""

from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np

from analytics.impedance.rules import DAY_S, Marks, StringImpedanceRules
from analytics.readings import Codes, Flags, Floats, Places

MEDIAN_OF: Final = 5
AT_LEAST: Final = 3
POINT_EVERY_S: Final = 14.0 * DAY_S
POINTS: Final = 27  # a year and a little more
YEAR_S: Final = 365.25 * DAY_S
FEWEST_POINTS: Final = 6
SHORTEST_TREND_S: Final = 120.0 * DAY_S
FEWEST_PEERS: Final = 4
BACK_FRAC: Final = 0.03  # a state is left only when the value is that much below its limit

STATES: Final = ("unknown", "ok", "watch", "warning", "alarm")
"""Names of the codes in `state`."""
_OF_UNITS: Final = ("began_s", "last_ohm", "point_s", "point_ohm", "base_ohm", "is_final", "rate_per_year", "state")


@dataclass(frozen=True, slots=True)
class Track:
    """One string, one method; everything at 25 °C, NaN where there is nothing.

    Attributes:
        string, method: whose it is.
        at_s: event time of its newest sweep.
        fitted: (n,) marks of the units it is about, see `ImpedanceRules`.
        began_s: (n,) of the first value.
        last_ohm: (MEDIAN_OF, n) newest values, newest in row 0.
        point_s, point_ohm: (POINTS, n) of the trend, a fortnight apart, newest in row 0.
        base_ohm: (n,) baseline.
        is_final: (n,) whether it will stay.
        rate_per_year: (n,) growth over the last year.
        state: (n,) codes of `STATES`.
    """

    string: str
    method: str
    at_s: float
    fitted: Marks
    began_s: Floats
    last_ohm: Floats
    point_s: Floats
    point_ohm: Floats
    base_ohm: Floats
    is_final: Flags
    rate_per_year: Floats
    state: Codes

    @classmethod
    def empty(cls, string: str, method: str, fitted: Marks) -> Self:
        """Return a track without any value."""
        n = len(fitted)
        none, points = np.full(n, np.nan), np.full((POINTS, n), np.nan)
        return cls(
            string, method, float("-inf"), fitted, none, np.full((MEDIAN_OF, n), np.nan), points, points, none,
            np.zeros(n, np.bool_), none, np.zeros(n, np.uint8),
        )  # fmt: skip

    @property
    def ohm(self) -> Floats:
        """The value (n,) that counts: the median of the last five; NaN below three."""
        return _median(self.last_ohm, AT_LEAST)

    @property
    def own_frac(self) -> Floats:
        """The value over the unit's own baseline (n,)."""
        return self.ohm / self.base_ohm

    def peers_frac(self, terminals: Marks) -> Floats:
        """Return the value over the median of the units that are measured through the same terminals (n,)."""
        ohm, frac = self.ohm, np.full(len(self.fitted), np.nan)
        for kind in np.unique(terminals):
            group = (terminals == kind) & ~np.isnan(ohm)
            if group.sum() >= FEWEST_PEERS:
                frac[group] = ohm[group] / np.median(ohm[group])
        return frac


def renewed(track: Track, fitted: Marks) -> Track:
    """Return the track with nothing left of units that are not the ones it was about."""
    gone = track.fitted != fitted
    if not gone.any():
        return track
    nothing = Track.empty(track.string, track.method, fitted)
    return replace(
        track,
        fitted=fitted,
        **{name: np.where(gone, getattr(nothing, name), getattr(track, name)) for name in _OF_UNITS},
    )


def columns_of(track: Track, order: Places) -> Track:
    """Return the track with the columns of its units in another order (n,): the units changed places."""
    return replace(track, fitted=track.fitted[order], **{name: getattr(track, name)[..., order] for name in _OF_UNITS})


def with_sweep(
    track: Track, at_s: float, place: Places, ohm: Floats, terminals: Marks, rules: StringImpedanceRules
) -> Track:
    """Return the track after one more sweep: `ohm` (m,) at 25 °C of the units at `place`, NaN where it cannot count."""
    values = np.full(len(track.fitted), np.nan)
    values[place] = ohm
    is_new = ~np.isnan(values)
    last_ohm = np.where(is_new, np.vstack([values, track.last_ohm[:-1]]), track.last_ohm)
    began_s = np.where(is_new & np.isnan(track.began_s), at_s, track.began_s)
    track = _with_points(replace(track, at_s=at_s, last_ohm=last_ohm, began_s=began_s), at_s, is_new)
    track = _with_baseline(track, at_s, rules)
    return replace(track, state=_state(track, terminals, rules))


def _with_points(track: Track, at_s: float, is_new: Flags) -> Track:
    ohm = track.ohm
    with np.errstate(invalid="ignore"):
        due = is_new & ~np.isnan(ohm) & ~(at_s - track.point_s[0] < POINT_EVERY_S)
    if not due.any():
        return track
    shifted_s = np.vstack([np.full(len(ohm), at_s), track.point_s[:-1]])
    point_s = np.where(due, shifted_s, track.point_s)
    point_ohm = np.where(due, np.vstack([ohm, track.point_ohm[:-1]]), track.point_ohm)
    return replace(track, point_s=point_s, point_ohm=point_ohm, rate_per_year=theil_sen(point_s, point_ohm, at_s))


def theil_sen(point_s: Floats, point_ohm: Floats, now_s: float) -> Floats:
    """Return the median slope of ln R over all pairs of points of the last year, per year (n,); NaN for too few."""
    with np.errstate(invalid="ignore", divide="ignore"):
        is_in = ~np.isnan(point_ohm) & (now_s - point_s <= YEAR_S)
        t, y = np.where(is_in, point_s, np.nan), np.log(np.where(is_in, point_ohm, np.nan))
        first, second = np.triu_indices(len(t), 1)
        slopes = (y[first] - y[second]) / ((t[first] - t[second]) / YEAR_S)
        span_s = np.where(is_in.any(axis=0), np.nanmax(np.where(is_in, point_s, -np.inf), axis=0), np.nan) - np.nanmin(
            np.where(is_in, point_s, np.inf), axis=0
        )
    enough = (is_in.sum(axis=0) >= FEWEST_POINTS) & (span_s >= SHORTEST_TREND_S)
    return np.where(enough, _median(slopes, 1), np.nan)


def _with_baseline(track: Track, now_s: float, rules: StringImpedanceRules) -> Track:
    """Return the track with its baselines: provisional, then of days 90 to 180, or of what came first after them."""
    from_s, to_s = rules.baseline_s
    with np.errstate(invalid="ignore"):
        age_s = track.point_s - track.began_s
        in_window = np.where((age_s >= from_s) & (age_s <= to_s), track.point_ohm, np.nan)
        after = np.where(age_s > to_s, track.point_ohm, np.nan)
        is_over = now_s - track.began_s > to_s
    window_ohm, any_ohm = _median(in_window, 1), _median(track.point_ohm, 1)
    late_ohm = _median(after, AT_LEAST)
    wanted = np.where(np.isnan(window_ohm), np.where(is_over, late_ohm, any_ohm), window_ohm)
    base_ohm = np.where(track.is_final, track.base_ohm, np.where(np.isnan(wanted), track.base_ohm, wanted))
    return replace(track, base_ohm=base_ohm, is_final=track.is_final | (is_over & ~np.isnan(wanted)))


def _state(track: Track, terminals: Marks, rules: StringImpedanceRules) -> Codes:
    """Return the states (n,); one is left only when the value is clearly below its limit."""
    own, peers, rate = track.own_frac, track.peers_frac(terminals), track.rate_per_year
    up = _level(own, peers, rate, rules, 1.0)
    down = _level(own / (1.0 - BACK_FRAC), peers, rate, rules, 0.5)
    return np.maximum(up, np.minimum(track.state, np.maximum(down, up))).astype(np.uint8)


def _level(own: Floats, peers: Floats, rate: Floats, rules: StringImpedanceRules, share: float) -> Codes:
    limits = rules.limits
    with np.errstate(invalid="ignore"):
        alarm = own >= limits.alarm_frac
        warning = (own >= limits.warning_frac) | (peers >= limits.high_frac - (1.0 - share) * 2.0 * BACK_FRAC)
        watch = (
            (own >= limits.watch_frac)
            | (np.abs(peers - 1.0) >= share * limits.apart_frac)
            | (rate > share * limits.rate_per_year)
        )
    known = ~np.isnan(own)
    return np.where(~known, 0, np.where(alarm, 4, np.where(warning, 3, np.where(watch, 2, 1)))).astype(np.uint8)


def _median(rows: Floats, at_least: int) -> Floats:
    """Return the median of each column's known values; NaN below so many. As numpy's, without its warnings."""
    count = (~np.isnan(rows)).sum(axis=0)
    ordered = np.sort(rows, axis=0)  # NaN last
    column = np.arange(rows.shape[1])
    low, high = np.maximum((count - 1) // 2, 0), np.minimum(count // 2, rows.shape[0] - 1)
    return np.where(count >= at_least, 0.5 * (ordered[low, column] + ordered[high, column]), np.nan)
