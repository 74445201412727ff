"""Whether a discharge is followed by a rest that is long enough for its voltages to tell the charge that is left."""

from dataclasses import dataclass, replace
from math import isnan
from typing import Final

import numpy as np

from analytics.discharge.record import DischargeRecord
from analytics.mode import ModeSaid
from analytics.modes import Mode
from analytics.readings import Floats
from analytics.soh import norms
from analytics.soh.finding import CapacityFinding
from analytics.soh.partial import capacity_from_part
from analytics.soh.rules import RestedCurve, StringSohRules

AT_REST: Final = frozenset[Mode]({"rest", "open", "unknown", "test"})  # a test of impedances costs no charge
SETTLED_S: Final = 600.0  # over which the rested voltage is a mean
LONGEST_BLIND_S: Final = 900.0  # a recharge of that length leaves its mark on the voltage of hours
FLOAT_OFFSET_PER_AH: Final = 5e-4  # what float current and the drift of an offset leave in a resting sensor's mean
SLOW_H: Final = 10.0
UNKNOWN_PER_K: Final = 0.01


@dataclass(frozen=True, slots=True)
class Watched:
    """A discharge that waits for its rested end.

    Attributes:
        ended_s: of the discharge.
        moved_ah: in it, and measured in the rest since.
        rested_s: event time since when there is no load.
        at_s: newest scan at rest.
        soc_frac, soc_sd_frac: (n,) at the onset.
        cell_v, degc: (n,) means of the last minutes; NaN where there was no reading.
    """

    ended_s: float
    moved_ah: float
    rested_s: float
    at_s: float
    soc_frac: Floats
    soc_sd_frac: Floats
    cell_v: Floats
    degc: Floats


@dataclass(frozen=True, slots=True)
class RestScan:
    """One scan of a resting string: current beyond the sensor's own offset, (n,) volts per cell, temperatures."""

    at_s: float
    extra_a: float
    cell_v: Floats
    degc: Floats


def watched(record: DischargeRecord, rules: StringSohRules) -> tuple[Watched | None, str]:
    """Return what to watch after a discharge, or None and why nothing can come of it."""
    curve = rules.curve
    if curve is None or not np.isfinite(curve.rest_s):
        return None, f"rested voltages of {rules.chemistry} do not tell a charge; only a full discharge does"
    if np.isnan(record.moved_ah):
        return None, "the charge is unknown"
    if np.isnan(record.soc_frac[0]).all():
        return None, "the state of charge before it is unknown"
    if record.ended_by in {"recharge", "lost"}:
        after = "it was recharged at once" if record.ended_by == "recharge" else "its end was not seen"
        return None, f"{after}; a rest of {curve.rest_s / 3600.0:.0f} h has to follow"
    nothing = np.full(record.unit_v.shape[1], np.nan)
    return Watched(
        record.ended_s, record.moved_ah, record.ended_s, record.ended_s, record.soc_frac[0], record.soc_sd_frac[0],
        nothing, nothing,
    ), ""  # fmt: skip


def follow_rest(
    watch: Watched, scan: RestScan, mode: ModeSaid, string: str, rules: StringSohRules
) -> tuple[Watched | None, CapacityFinding | None]:
    """Return what is still watched after a scan, and what came of it if that is settled."""
    curve = rules.curve
    rested_s = scan.at_s - watch.rested_s
    if curve is None or scan.at_s - watch.at_s > LONGEST_BLIND_S:
        return None, _nothing(watch, string, "nobody saw the rest after it")
    if mode.is_discharging or mode.mode not in AT_REST:
        needs_h = curve.rest_s / 3600.0
        ended = f"{mode.mode} after {rested_s / 60.0:.0f} min of rest; {needs_h:.0f} h are needed"
        # The mode keeps what it was for some seconds after the load is off.
        return (watch, None) if rested_s < 60.0 and mode.mode != "recharge" else (None, _nothing(watch, string, ended))
    if mode.mode == "unknown":
        return watch, None
    after = _rested(watch, scan)
    if rested_s < curve.rest_s:
        return after, None
    return None, _found(after, scan.at_s, string, curve, rules)


def _rested(watch: Watched, scan: RestScan) -> Watched:
    dt_s = scan.at_s - watch.at_s
    share = 1.0 if dt_s >= SETTLED_S else 1.0 - float(np.exp(-dt_s / SETTLED_S))
    extra_ah = 0.0 if isnan(scan.extra_a) else scan.extra_a * dt_s / 3600.0
    return replace(
        watch,
        at_s=scan.at_s,
        moved_ah=watch.moved_ah + extra_ah,
        cell_v=_blended(watch.cell_v, scan.cell_v, share),
        degc=_blended(watch.degc, scan.degc, share),
    )


def _blended(old: Floats, new: Floats, share: float) -> Floats:
    """Return the running mean; a missing reading leaves it, the first one begins it."""
    mean = old + share * (new - old)
    return np.where(np.isnan(new), old, np.where(np.isnan(old), new, mean))


def _found(watch: Watched, at_s: float, string: str, curve: RestedCurve, rules: StringSohRules) -> CapacityFinding:
    soc_frac, soc_sd_frac = curve.soc_at(watch.cell_v, watch.degc)
    rest_h = (at_s - watch.rested_s) / 3600.0
    offset_a = float(np.hypot(rules.offset_sd_a, FLOAT_OFFSET_PER_AH * rules.rated_ah))
    gain = float(np.hypot(rules.gain_sd_frac, offset_a * rest_h / max(watch.moved_ah, 1e-9)))
    ends, ends_sd = (watch.soc_frac, soc_frac), (watch.soc_sd_frac, soc_sd_frac)
    ah, sd_frac = capacity_from_part(watch.moved_ah, ends, ends_sd, gain)
    warm_factor, warm_sd = _warmth(watch.degc, rules)
    frac, sd_frac = ah / rules.rated_ah / warm_factor, np.hypot(sd_frac, warm_sd)
    proven = frac[~np.isnan(frac)]
    if len(proven) == 0:
        return _nothing(watch, string, "the charge at its ends is unknown, too close together, or not from 5 to 45 °C")
    depth, sd = (float(np.nanmedian(each)) for each in (watch.soc_frac - soc_frac, sd_frac))
    why = f"{watch.moved_ah:.1f} Ah for {depth:.0%} of charge, ended by {rest_h:.1f} h of rest; median ± {sd:.1%}"
    return CapacityFinding(string, watch.ended_s, "partial_discharge", why, np.nan, np.nan, frac, sd_frac * frac)


def _warmth(degc: Floats, rules: StringSohRules) -> tuple[Floats, Floats]:
    """Return the factor of the temperature on a charge between two rested voltages, and its sd, (n,).

    The acid of a lead cell does not care for the temperature, what its plates still give does; makes lie between the
    two. So half of the usual correction is taken and as much left as doubt: far from the reference little is proven.
    """
    per_k = norms.capacity_per_k(rules.chemistry, SLOW_H) if rules.per_k is None else rules.per_k
    half = 0.5 * (UNKNOWN_PER_K if per_k is None else per_k) * (degc - rules.ref_degc)
    is_known = (degc >= norms.COLDEST_DEGC) & (degc <= norms.WARMEST_DEGC)
    return np.where(is_known, 1.0 + half, np.nan), np.abs(half)


def _nothing(watch: Watched, string: str, why: str) -> CapacityFinding:
    nothing = np.full(len(watch.soc_frac), np.nan)
    return CapacityFinding(
        string, watch.ended_s, "partial_discharge", f"not proven: {why}", np.nan, np.nan, nothing, nothing
    )


def nothing_from(record: DischargeRecord, why: str) -> CapacityFinding:
    """Return that a discharge proves nothing as a part, and why."""
    nothing = np.full(record.unit_v.shape[1], np.nan)
    return CapacityFinding(
        record.string, record.ended_s, "partial_discharge", f"not proven: {why}", np.nan, np.nan, nothing, nothing
    )
