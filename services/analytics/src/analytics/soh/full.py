"""Capacity from a discharge down to the end voltage: of the string, and of each unit by its own curve.

A unit that reached its end voltage has what was drawn until then. Any other is compared with the median curve of the
string over the last 40 %: the factor s that turns V_median(q / s) into the unit's curve, up to a resistance of its own
that shifts it by dR I, is its capacity over the median one.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from analytics.discharge.record import DischargeRecord
from analytics.readings import Floats
from analytics.soh import norms
from analytics.soh.finding import CapacityFinding
from analytics.soh.rules import StringSohRules

LAST_FRAC: Final = 0.4
FARTHEST_FRAC: Final = 0.7  # a unit of which less than this was drawn is not determined
POINTS: Final = 120
SCALES: Final = np.linspace(0.6, 1.5, 181)
CURVE_SD_FRAC: Final = 0.01  # units of one string do not have quite the same curve
DISTANCE_SD_FRAC: Final = 0.15  # of what a unit's capacity differs from the median one
TEMPERATURE_SD_K: Final = 0.5
NEAR_END_FRAC: Final = 0.01  # a UPS stops on its dc bus a little above or below the end voltage of the battery
LONGEST_GAP_FRAC: Final = 0.02  # of the duration, without scans
SMALLEST_SAMPLES: Final = 20


@dataclass(frozen=True, slots=True)
class Drawn:
    """A discharge over the charge that was drawn.

    Attributes:
        ah: (W,) rising, ends with the load.
        discharge_a: (W,) the current then.
        cell_v: (W, n) volts per electrochemical cell of each unit; NaN without a reading.
        hours: duration.
        mean_a: mean current.
        degc: mean of the poles before the onset, NaN without.
        unit_degc: (n,) of each pole, the mean where it has none.
    """

    ah: Floats
    discharge_a: Floats
    cell_v: Floats
    hours: float
    mean_a: float
    degc: float
    unit_degc: Floats


def capacity_from_full(record: DischargeRecord, cells_per_unit: Floats, rules: StringSohRules) -> CapacityFinding:
    """Return what a discharge proves by its end voltage; never raises, whatever the record lacks.

    Args:
        record: of the discharge.
        cells_per_unit: (n,) electrochemical cells in series in each unit.
        rules: of its string.
    """
    drawn, why = drawn_of(record, cells_per_unit)
    if drawn is None:
        return _nothing(record, why)
    factor, factor_sd, why = _rated_factor(drawn, rules)
    if factor is None:
        return _nothing(record, why)
    string_ah = _string_ah(record, drawn, cells_per_unit, rules)
    unit_ah, sd_frac = _unit_ah(drawn, rules)
    if np.isnan(string_ah) and np.isnan(unit_ah).all():
        return _nothing(
            record, f"ended after {drawn.ah[-1]:.1f} Ah, before the end voltage of {rules.end_v:.2f} V per cell"
        )
    per_k = _per_k(drawn, rules) or 0.0
    unit_factor = factor * (1.0 + per_k * (drawn.unit_degc - drawn.degc))
    measured_sd = float(np.hypot(factor_sd, rules.gain_sd_frac))
    rated_ah = rules.rated_ah
    return CapacityFinding(
        string=record.string,
        at_s=record.ended_s,
        method="full_discharge",
        why=why,
        string_frac=string_ah / (rated_ah * factor),
        string_sd_frac=measured_sd * string_ah / (rated_ah * factor),
        unit_frac=unit_ah / (rated_ah * unit_factor),
        unit_sd_frac=np.hypot(sd_frac, measured_sd) * unit_ah / (rated_ah * unit_factor),
    )


def drawn_of(record: DischargeRecord, cells_per_unit: Floats) -> tuple[Drawn | None, str]:
    """Return a discharge over the charge drawn, or None and why it cannot be used."""
    duration_s = record.ended_s - record.began_s
    if np.isnan(record.moved_ah) or record.moved_ah <= 0.0:
        return None, "the charge is unknown"
    if record.missing_s > LONGEST_GAP_FRAC * duration_s:
        return None, f"{record.missing_s:.0f} s of {duration_s:.0f} s are without scans"
    inside = (record.at_s >= record.began_s) & (record.at_s <= record.ended_s) & ~np.isnan(record.discharge_a)
    if int(inside.sum()) < SMALLEST_SAMPLES:
        return None, "too few samples"
    at_s, amps = record.at_s[inside], record.discharge_a[inside].astype(np.float64)
    ah = np.concatenate([[0.0], np.cumsum(0.5 * (amps[1:] + amps[:-1]) * np.diff(at_s) / 3600.0)])
    if ah[-1] <= 0.0:
        return None, "the charge is unknown"
    # Thinned samples miss load steps between them; the charge was integrated over every scan.
    ah *= record.moved_ah / ah[-1]
    before = record.degc[record.at_s < record.began_s]
    with np.errstate(all="ignore"):
        known = ~np.isnan(before)
        unit_degc = np.where(known.any(axis=0), np.nansum(before, axis=0) / np.maximum(known.sum(axis=0), 1), np.nan)
    warm = unit_degc[~np.isnan(unit_degc)]
    degc = float(warm.mean()) if len(warm) else float("nan")
    cell_v = record.unit_v[inside].astype(np.float64) / cells_per_unit
    hours = duration_s / 3600.0
    unit_degc = np.where(np.isnan(unit_degc), degc, unit_degc)
    return Drawn(ah, amps, cell_v, hours, record.moved_ah / hours, degc, unit_degc), ""


def _per_k(drawn: Drawn, rules: StringSohRules) -> float | None:
    return norms.capacity_per_k(rules.chemistry, drawn.hours) if rules.per_k is None else rules.per_k


def _rated_factor(drawn: Drawn, rules: StringSohRules) -> tuple[float | None, float, str]:
    """Return what a healthy battery gives here over its rated charge, its sd, and the words for it; None if unknown."""
    per_k = _per_k(drawn, rules)
    if per_k is None:
        return None, 0.0, f"no temperature coefficient is known for {rules.chemistry}; give the battery type's own"
    k_t = norms.temperature_factor(drawn.degc, rules.ref_degc, per_k)
    if k_t is None:
        known = "unknown" if np.isnan(drawn.degc) else f"{drawn.degc:.1f} °C, outside of 5 to 45 °C"
        return None, 0.0, f"not determined: temperature before the discharge {known}"
    rated_a = rules.rated_ah / rules.rate_h
    hours = norms.published_hours(drawn.mean_a, rules.hours, rules.amps)
    if hours is not None:
        at_rate, rate_sd, by = drawn.mean_a * hours / rules.rated_ah, 0.01, "the maker's table"
    else:
        at_rate, rate_sd = norms.charge_at_rate(rules.chemistry, drawn.mean_a, rated_a)
        by = "its rating" if rate_sd == 0.0 else "a typical exponent"
    why = (
        f"{drawn.ah[-1]:.1f} Ah in {drawn.hours:.2f} h, K_T {k_t:.3f} at {drawn.degc:.1f} °C, "
        f"{at_rate:.3f} of the rated charge at {drawn.mean_a:.1f} A by {by}"
    )
    return at_rate * k_t, float(np.hypot(rate_sd, per_k * TEMPERATURE_SD_K)), why


def _string_ah(record: DischargeRecord, drawn: Drawn, cells_per_unit: Floats, rules: StringSohRules) -> float:
    """Return the charge at which the string reached its end voltage; NaN when it did not."""
    inside = (record.at_s >= record.began_s) & (record.at_s <= record.ended_s) & ~np.isnan(record.discharge_a)
    string_v = record.string_v[inside].astype(np.float64) / float(cells_per_unit.sum())
    summed_v = (drawn.cell_v * cells_per_unit).sum(axis=1) / float(cells_per_unit.sum())
    return float(_reached_ah(drawn.ah, np.where(np.isnan(string_v), summed_v, string_v)[:, None], rules.end_v)[0])


def _reached_ah(ah: Floats, v: Floats, end_v: float) -> Floats:
    """Return the charge (n,) at which each column of v (W, n) falls below a voltage to stay; NaN where it does not."""
    is_above = np.nan_to_num(v, nan=np.inf) > end_v
    last_above = v.shape[0] - 1 - np.argmax(is_above[::-1], axis=0)
    reached = is_above.any(axis=0) & (last_above < v.shape[0] - 1)
    row = np.minimum(last_above, v.shape[0] - 2)
    column = np.arange(v.shape[1])
    high, low = v[row, column], v[row + 1, column]
    with np.errstate(invalid="ignore", divide="ignore"):
        part = np.clip((high - end_v) / (high - low), 0.0, 1.0)
    return np.where(reached & ~np.isnan(high) & ~np.isnan(low), ah[row] + part * (ah[row + 1] - ah[row]), np.nan)


def _unit_ah(drawn: Drawn, rules: StringSohRules) -> tuple[Floats, Floats]:
    """Return the charge (n,) that each unit would give down to its end voltage, and its sd as part of it."""
    q = np.linspace(0.0, drawn.ah[-1], POINTS)
    v = np.stack([np.interp(q, drawn.ah, column) for column in drawn.cell_v.T], axis=1)
    reached_ah = _reached_ah(drawn.ah, drawn.cell_v, rules.end_v)
    exact_sd = np.full(v.shape[1], 0.5 / len(drawn.ah))
    usable = ~np.isnan(v).any(axis=0)
    if usable.sum() < 3:
        return reached_ah, exact_sd
    median_v = np.median(v[:, usable], axis=1)
    median_ah = _median_ah(q, median_v, rules.end_v)
    if np.isnan(median_ah):
        return reached_ah, exact_sd
    amps = np.interp(q, drawn.ah, drawn.discharge_a)
    scale, scale_sd = _scales(q, v, median_v, amps)
    scaled_ah = np.where(usable, scale * median_ah, np.nan)
    scaled_ah = np.where(drawn.ah[-1] < FARTHEST_FRAC * scaled_ah, np.nan, scaled_ah)
    sd_frac = np.hypot(np.hypot(scale_sd, CURVE_SD_FRAC), DISTANCE_SD_FRAC * np.abs(scale - 1.0))
    is_exact = ~np.isnan(reached_ah)
    return np.where(is_exact, reached_ah, scaled_ah), np.where(is_exact, exact_sd, sd_frac)


def _median_ah(q: Floats, median_v: Floats, end_v: float) -> float:
    """Return the charge down to the end voltage of the median curve, a little beyond its end by its last slope."""
    reached = float(_reached_ah(q, median_v[:, None], end_v)[0])
    if not np.isnan(reached):
        return reached
    rows = max(POINTS // 20, 2)
    slope = float((median_v[-1] - median_v[-1 - rows]) / (q[-1] - q[-1 - rows]))
    beyond_ah = float(median_v[-1] - end_v) / -slope if slope < 0.0 else np.inf
    return float(q[-1] + beyond_ah) if beyond_ah <= 0.1 * q[-1] else float("nan")


def _scales(q: Floats, v: Floats, median_v: Floats, amps: Floats) -> tuple[Floats, Floats]:
    """Return for each curve (W, n) the factor on the charge of the median one, and the standard deviation of that."""
    rows = q >= (1.0 - LAST_FRAC) * q[-1]
    late_q, slope = q[rows], (median_v[-1] - median_v[-6]) / (q[-1] - q[-6])
    at = late_q[:, None] / SCALES
    curves = np.interp(at, q, median_v) + np.maximum(at - q[-1], 0.0) * slope
    own = v[rows]
    weight = amps[rows] / np.linalg.norm(amps[rows])
    # A resistance of its own shifts a unit's curve by dR I: what is parallel to the current says nothing.
    curves = curves - weight[:, None] * (weight @ curves)
    own = np.nan_to_num(own) - weight[:, None] * (weight @ np.nan_to_num(own))
    cost = (own * own).sum(axis=0)[:, None] - 2.0 * own.T @ curves + (curves * curves).sum(axis=0)
    best = np.clip(np.argmin(cost, axis=1), 1, len(SCALES) - 2)
    row = np.arange(len(best))
    left, mid, right = cost[row, best - 1], cost[row, best], cost[row, best + 1]
    bend = np.maximum(left - 2.0 * mid + right, 1e-12)
    step = SCALES[1] - SCALES[0]
    scale = SCALES[best] + np.clip(0.5 * (left - right) / bend, -1.0, 1.0) * step
    # Neighbouring points of a curve are wrong together: about four of them are independent.
    variance = np.maximum(mid - 0.125 * (left - right) ** 2 / bend, 0.0) / 4.0
    sd = np.sqrt(2.0 * variance / bend) * step
    return scale, np.where((best <= 1) | (best >= len(SCALES) - 2), np.inf, sd)


def _nothing(record: DischargeRecord, why: str) -> CapacityFinding:
    nothing = np.full(record.unit_v.shape[1], np.nan)
    return CapacityFinding(
        record.string, record.ended_s, "full_discharge", f"not proven: {why}", np.nan, np.nan, nothing, nothing
    )
