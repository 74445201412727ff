"""What a discharge proves about the capacity of its string, by which method, and how surely.

Lead-acid at rates of an hour or longer: time-adjusted (IEEE 450/1188), C = t_a / (t_s K_T). Shorter: rate-adjusted,
C = X_a K_C / X_t, which needs the maker's table. Others: the charge counted over the rated one at this current and
temperature. Beside it the charge corrected as in IEC 60896, C_a = C / (1 + lambda (T - T_ref)). Temperature is the mean
of the poles before the discharge and is used once.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from analytics.discharge.record import DischargeRecord
from analytics.dossier.basis import Basis
from analytics.dossier.context import DossierContext, Proof
from analytics.dossier.curves import Curves, falls_below_s
from analytics.soh import norms

type Method = Literal["time-adjusted", "rate-adjusted", "charge counted", "none"]

STEADY_SHARE: Final = 0.95
COVERED_SHARE: Final = 0.95
AT_THE_END_FRAC: Final = 0.002  # whoever stops a test at the end voltage sees it through a sensor
FULL_FRAC: Final = 0.95
MISSING_FRAC: Final = 0.01
CURRENT_SD_FRAC: Final = 0.005  # where no sensor's accuracy is known
TEMPERATURE_SD_K: Final = 0.5
TABLE_SD_FRAC: Final = 0.01  # of a maker's table for one battery of that type
SHORTEST_TIME_ADJUSTED_H: Final = 0.99  # an hour, as well as the current was set
_LEAD: Final = frozenset({"vrla_agm", "vented_lead"})
_SQRT3: Final = 3.0**0.5  # a largest deviation as a standard deviation


@dataclass(frozen=True, slots=True)
class CapacityFinding:
    """Capacity as a share of the rated one; None where it could not be told.

    Attributes:
        proof: `proven` by a standard test to the end voltage; `at_least` when it ended before; `indicative` when the
            end was reached but the discharge was no standard test; else `not_proven`.
        reasons: why it is not more.
        method: how it was found.
        frac, sd_frac: of the rated capacity at the reference temperature, with one standard deviation.
        factor: K_T or K_C that was used.
        per_k: lambda behind it; None with K_C.
        degc: temperature it was used with.
        reached_s: seconds from the onset to the end voltage of the string; None when it was not reached.
        rated_s: how long the battery is rated to last at this current.
        current_a: mean over the discharge up to there.
        steady_share: share of its time in which the current was within 1 % of its median.
        counted_ah: charge drawn up to there.
        iec_ah: the same, corrected as in IEC 60896.
    """

    proof: Proof
    reasons: tuple[str, ...]
    method: Method = "none"
    frac: float | None = None
    sd_frac: float | None = None
    factor: float | None = None
    per_k: float | None = None
    degc: float | None = None
    reached_s: float | None = None
    rated_s: float | None = None
    current_a: float | None = None
    steady_share: float | None = None
    counted_ah: float | None = None
    iec_ah: float | None = None


def capacity_of(record: DischargeRecord, curves: Curves, context: DossierContext) -> CapacityFinding:
    """Return what this discharge proves; never raises, whatever the record lacks.

    Args:
        record: the discharge.
        curves: made of it.
        context: the battery; its end voltage is of a unit, its reference temperature the maker's.
    """
    end_v = context.end_v * curves.units
    reached_s = falls_below_s(curves.t_s, curves.string_v, curves.inside, end_v, AT_THE_END_FRAC * end_v)
    duration_s = record.ended_s - record.began_s
    basis = Basis.of(record, curves, reached_s if reached_s is not None else duration_s)
    start = CapacityFinding(
        proof="not_proven",
        reasons=(),
        degc=basis.degc,
        reached_s=reached_s,
        current_a=basis.current_a,
        steady_share=basis.steady_share,
        counted_ah=basis.counted_ah,
    )
    if missing := _missing(basis, curves):
        return replace(start, reasons=missing)
    found = _by_method(start, basis, context)
    if found.frac is None:
        return found
    doubts = (*found.reasons, *_doubts(record, basis, duration_s))
    if curves.string_v_from == "estimated, units unread":
        doubts = (*doubts, "the voltage of the string is estimated: units could not be read")
    sd_frac = found.frac * float(np.hypot(found.sd_frac or 0.0, _sd(record, basis, context, found)))
    if reached_s is None:
        doubts = (*doubts, "the discharge ended before the string was at its end voltage")
        proof: Proof = "at_least"
    else:
        proof = "indicative" if doubts else "proven"
    return replace(found, proof=proof, reasons=doubts, sd_frac=sd_frac)


def _missing(basis: Basis, curves: Curves) -> tuple[str, ...]:
    """Return what makes any statement impossible."""
    found = []
    if basis.current_a is None or basis.counted_ah is None:
        found.append("no current was measured")
    elif basis.covered < COVERED_SHARE:
        found.append(f"the current is known for {100.0 * basis.covered:.0f} % of the time only")
    elif basis.current_a <= 0.0:
        found.append("the measured current does not discharge: is its sensor mounted the other way round?")
    if basis.degc is None:
        found.append("no temperature was measured")
    elif not norms.COLDEST_DEGC <= basis.degc <= norms.WARMEST_DEGC:
        found.append(f"{basis.degc:.1f} °C before the discharge: outside of 5 to 45 °C no correction is known")
    if curves.string_v_from == "none":
        found.append("neither the voltage of the string nor of nearly all its units is known")
    return tuple(found)


def _doubts(record: DischargeRecord, basis: Basis, duration_s: float) -> tuple[str, ...]:
    """Return what makes it no standard test."""
    found = []
    if record.kind != "test":
        found.append("an outage, not a test that somebody prepared")
    if (basis.steady_share or 0.0) < STEADY_SHARE:
        share = f"{100.0 * (basis.steady_share or 0.0):.0f} %"
        found.append(f"the current was within 1 % of its median for {share} of the time only (95 % needed)")
    soc = record.soc_frac[0]
    if not np.isfinite(soc).any():
        found.append("it is not known whether the string was full at the begin")
    elif np.nanmin(soc) < FULL_FRAC:
        found.append(f"not full at the begin: cell {int(np.nanargmin(soc)) + 1} at {100.0 * np.nanmin(soc):.0f} %")
    if record.missing_s > MISSING_FRAC * duration_s:
        found.append(f"{record.missing_s:.0f} s without a scan, more than 1 % of the discharge")
    return tuple(found)


def _by_method(start: CapacityFinding, basis: Basis, context: DossierContext) -> CapacityFinding:
    duration_h = basis.until_s / 3600.0
    per_k = norms.capacity_per_k(context.chemistry, duration_h) if context.per_k is None else context.per_k
    degc = basis.degc if basis.degc is not None else context.ref_degc
    factor = 1.0 if per_k is None else norms.temperature_factor(degc, context.ref_degc, per_k) or 1.0
    iec_ah = None if basis.counted_ah is None else basis.counted_ah / factor
    found = replace(start, per_k=per_k, factor=factor, iec_ah=iec_ah)
    if context.chemistry not in _LEAD:
        return _charge_counted(found, basis, context)
    rated_h = _rated_hours(basis.current_a or 0.0, context)
    if (duration_h if rated_h is None else rated_h) < SHORTEST_TIME_ADJUSTED_H:
        return _rate_adjusted(found, basis, context)
    return _time_adjusted(found, basis, context, rated_h)


def _time_adjusted(
    found: CapacityFinding, basis: Basis, context: DossierContext, rated_h: float | None
) -> CapacityFinding:
    if rated_h is None or found.factor is None:
        return replace(found, reasons=(_no_rate(basis, context),))
    frac = basis.until_s / (3600.0 * rated_h * found.factor)
    return replace(found, method="time-adjusted", frac=frac, rated_s=3600.0 * rated_h)


def _rate_adjusted(found: CapacityFinding, basis: Basis, context: DossierContext) -> CapacityFinding:
    published_a = norms.published_current_a(basis.until_s / 3600.0, context.published_h, context.published_a)
    k_c = norms.rate_factor(basis.degc or context.ref_degc, context.ref_degc)
    if published_a is None or k_c is None or basis.current_a is None:
        why = "shorter than an hour: the rate-adjusted method needs the maker's table, which has no rate for this time"
        return replace(found, reasons=(why,))
    rated_h = norms.published_hours(basis.current_a, context.published_h, context.published_a)
    return replace(
        found,
        method="rate-adjusted",
        frac=basis.current_a * k_c / published_a,
        factor=k_c,
        per_k=None,
        rated_s=None if rated_h is None else 3600.0 * rated_h,
    )


def _charge_counted(found: CapacityFinding, basis: Basis, context: DossierContext) -> CapacityFinding:
    if found.iec_ah is None:
        return found
    current_a = basis.current_a or context.rated_ah / context.rate_h
    at_rate, rate_sd = _charge_at_rate(current_a, context)
    rated_ah = context.rated_ah * at_rate
    return replace(
        found,
        method="charge counted",
        frac=found.iec_ah / rated_ah,
        sd_frac=rate_sd,
        reasons=() if rate_sd <= TABLE_SD_FRAC else (_typical_rate(current_a, context),),
        rated_s=3600.0 * rated_ah / current_a,
    )


def _charge_at_rate(current_a: float, context: DossierContext) -> tuple[float, float]:
    """Return the charge at a current over the rated one, and its standard deviation."""
    hours = norms.published_hours(current_a, context.published_h, context.published_a)
    if hours is not None:
        return current_a * hours / context.rated_ah, TABLE_SD_FRAC
    return norms.charge_at_rate(context.chemistry, current_a, context.rated_ah / context.rate_h)


def _typical_rate(current_a: float, context: DossierContext) -> str:
    rated_a = context.rated_ah / context.rate_h
    return f"drawn with {current_a:.1f} A, rated for {rated_a:.1f} A: scaled by a typical exponent, no maker's table"


def _rated_hours(current_a: float, context: DossierContext) -> float | None:
    if context.published_h:
        return norms.published_hours(current_a, context.published_h, context.published_a)
    rated_a = context.rated_ah / context.rate_h
    same_rate = abs(current_a - rated_a) <= norms.SAME_RATE_FRAC * rated_a
    return context.rated_ah / current_a if same_rate else None


def _no_rate(basis: Basis, context: DossierContext) -> str:
    if context.published_h:
        return f"the maker's table has no time for {basis.current_a:.1f} A"
    rated_a = context.rated_ah / context.rate_h
    return (
        f"drawn with {basis.current_a:.1f} A, rated for {rated_a:.1f} A: without the maker's table of rates nothing is "
        "known about this current"
    )


def _sd(record: DischargeRecord, basis: Basis, context: DossierContext, found: CapacityFinding) -> float:
    """Return the relative standard deviation: current, temperature, time, and seconds without a scan."""
    known = [s.accuracy for s in context.sensors if s.kind == "current" and s.accuracy is not None]
    current = CURRENT_SD_FRAC if not known else float(np.hypot.reduce(known)) / _SQRT3 / abs(basis.current_a or 1.0)
    slope = found.per_k if found.per_k is not None else (0.008 if found.method == "rate-adjusted" else 0.0)
    scans_s = (record.ended_s - record.began_s) / max(1, record.scans)
    parts = (
        current,
        TEMPERATURE_SD_K * slope / (found.factor or 1.0),
        scans_s / basis.until_s,
        record.missing_s / basis.until_s * 0.5,
    )
    return float(np.sqrt(sum(part * part for part in parts)))
