"""Capacity from a discharge down to the end voltage: of the string, and of each unit by its own curve.

A unit that reached its end voltage has what was drawn until then; any other is compared with those that did, see
`likeness.py`. Both are put in proportion to what a healthy battery gives at that rate and temperature, less what was
missing at the begin: the second of two outages in a row ends early, and no capacity is lost by that.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from analytics.discharge.record import DischargeRecord
from analytics.readings import Floats
from analytics.soh import norms
from analytics.soh.finding import CapacityFinding
from analytics.soh.likeness import capacities_ah, near_ah
from analytics.soh.rules import StringSohRules

TEMPERATURE_SD_K: Final = 0.5
TYPICAL_PER_K_SD: Final = 0.002  # how far a make may be from the typical coefficient
LONGEST_GAP_FRAC: Final = 0.02  # of the duration, without scans
SMALLEST_SAMPLES: Final = 20
NOT_FULL_SD: Final = 2.0  # a charge that is no further below full may be full, and is taken for it, with that doubt
LEAST_LEFT_FRAC: Final = 0.1  # of the rated charge; a discharge that began below tells nothing of the whole


@dataclass(frozen=True, slots=True)
class Drawn:
    """A discharge over the charge that was drawn.

    Attributes:
        ah: (W,) rising, ends with the load.
        discharge_a: (W,) the current then.
        string_v: (W,) as measured; NaN without.
        cell_v: (W, n) volts per electrochemical cell of each unit; NaN without a reading.
        hours: duration.
        mean_a: mean current.
        degc: mean of the poles before the onset, NaN without.
        unit_degc: (n,) of each pole, the mean where it has none.
    """

    ah: Floats
    discharge_a: Floats
    string_v: Floats
    cell_v: Floats
    hours: float
    mean_a: float
    degc: float
    unit_degc: Floats


@dataclass(frozen=True, slots=True)
class Begun:
    """What a discharge could give at most, over the rated charge.

    Attributes:
        factor: (n,) of a full healthy battery at that rate and temperature.
        factor_sd: its standard deviation as part of it.
        missing, missing_sd: (n,) charge that was gone at the begin, and its standard deviation; 0 of a full one, NaN
            where nobody knew.
    """

    factor: Floats
    factor_sd: float
    missing: Floats
    missing_sd: Floats


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
    string_ah, string_sd = _string_ah(drawn, cells_per_unit, rules)
    unit_ah, sd_frac = capacities_ah(drawn.ah, drawn.cell_v, drawn.discharge_a, rules.end_v)
    if np.isnan(string_ah) and np.isnan(unit_ah).all():
        return _nothing(
            record, f"ended after {drawn.ah[-1]:.1f} Ah, before the end voltage of {rules.end_v:.2f} V per cell"
        )
    per_k = _per_k(drawn, rules) or 0.0
    missing, missing_sd = _missing(record)
    if np.isnan(missing).all():
        return _nothing(record, "nobody knew the charge it began with; it is known once the string was seen full")
    begun = Begun(factor * (1.0 + per_k * (drawn.unit_degc - drawn.degc)), factor_sd, missing, missing_sd)
    of_string = Begun(np.array([factor]), factor_sd, _mean_of_most(missing), _mean_of_most(missing_sd))
    unit_frac, unit_sd_frac = _over_rated(unit_ah, sd_frac, begun, rules)
    string_frac, string_sd_frac = _over_rated(np.array([string_ah]), np.array([string_sd]), of_string, rules)
    if (missing > 0.0).any():
        why += f"; begun at {1.0 - np.nanmean(missing):.0%} of charge"
    return CapacityFinding(
        string=record.string,
        at_s=record.ended_s,
        method="full_discharge",
        why=why,
        string_frac=float(string_frac[0]),
        string_sd_frac=float(string_sd_frac[0]),
        unit_frac=unit_frac,
        unit_sd_frac=unit_sd_frac,
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
    string_v = record.string_v[inside].astype(np.float64)
    return Drawn(ah, amps, string_v, cell_v, hours, record.moved_ah / hours, degc, unit_degc), ""


def _missing(record: DischargeRecord) -> tuple[Floats, Floats]:
    """Return which part of each unit's charge (n,) was gone at the begin, and its sd; NaN where nobody knew.

    What may have been full is taken for full; that costs as much as it was below, so that much is in doubt.
    """
    short = np.maximum(1.0 - record.soc_frac[0], 0.0)
    sd_frac = record.soc_sd_frac[0]
    with np.errstate(invalid="ignore"):
        is_missing = short > NOT_FULL_SD * sd_frac
    unknown = np.isnan(short) | np.isnan(sd_frac)
    missing = np.where(unknown, np.nan, np.where(is_missing, short, 0.0))
    return missing, np.where(is_missing, sd_frac, np.minimum(sd_frac, short))


def _mean_of_most(values: Floats) -> Floats:
    """Return the mean (1,) of what is known of a string's units (n,); NaN while it is not of most of them."""
    known = values[~np.isnan(values)]
    return np.array([known.mean() if 2 * len(known) > len(values) else np.nan])


def _over_rated(ah: Floats, sd_frac: Floats, begun: Begun, rules: StringSohRules) -> tuple[Floats, Floats]:
    """Return capacities over the rated one and their sd, (n,), from charges and their sd as part of them."""
    left = begun.factor - begun.missing
    left = np.where(left >= LEAST_LEFT_FRAC, left, np.nan)
    frac = ah / (rules.rated_ah * left)
    grown = begun.factor / left  # what is wrong about the whole counts more for a part
    begin_sd = np.hypot(begun.factor_sd * grown, begun.missing_sd / left)
    return frac, np.sqrt(sd_frac**2 + begin_sd**2 + rules.gain_sd_frac**2) * frac


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
    doubt = 0.0 if rules.per_k is not None else TYPICAL_PER_K_SD * abs(drawn.degc - rules.ref_degc)
    return at_rate * k_t, float(np.sqrt(rate_sd**2 + (per_k * TEMPERATURE_SD_K) ** 2 + doubt**2)), why


def _string_ah(drawn: Drawn, cells_per_unit: Floats, rules: StringSohRules) -> tuple[float, float]:
    """Return the charge at which the string reached its end voltage and its sd as part of it; NaN when it did not."""
    cells = float(cells_per_unit.sum())
    summed_v = (drawn.cell_v * cells_per_unit).sum(axis=1) / cells
    return near_ah(drawn.ah, np.where(np.isnan(summed_v), drawn.string_v / cells, summed_v), rules.end_v)


def _nothing(record: DischargeRecord, why: str) -> CapacityFinding:
    nothing = np.full(record.unit_v.shape[1], np.nan)
    return CapacityFinding(
        record.string, record.ended_s, "full_discharge", f"not proven: {why}", np.nan, np.nan, nothing, nothing
    )
