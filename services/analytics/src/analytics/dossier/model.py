"""A dossier as numbers: everything that its pages and files show, made of a record and its context alone. Pure."""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from analytics.discharge.record import DischargeRecord
from analytics.dossier.basis import start_degc
from analytics.dossier.canonical import data_sha256
from analytics.dossier.capacity import CapacityFinding, capacity_of
from analytics.dossier.context import DossierBasis, DossierContext, EarlierResult
from analytics.dossier.curves import Curves, curves_of, finite, mean_over_time
from analytics.dossier.forecast import ForecastRow, forecast_rows
from analytics.dossier.ranking import UnitRow, ranked_units
from analytics.readings import Floats
from analytics.soh.finding import CapacityFinding as UnitFinding
from analytics.soh.full import capacity_from_full
from analytics.soh.rules import StringSohRules

type Verdict = Literal["pass", "pass_weak_units", "pass_repeat", "weak", "not_standard", "not_proven"]

PASS_FRAC: Final = 0.90  # IEEE 450/1188: below it a yearly test; the end of life at 80 %
WEAK_FRAC: Final = 0.80
DIP_WITHIN_S: Final = 300.0
DIP_SHARE: Final = 0.2


@dataclass(frozen=True, slots=True)
class Dip:
    """The coup de fouet: volts of the string that sink at first and recover.

    Attributes:
        at_s: when it was lowest, seconds after the onset.
        lowest_v: there.
        recovered_v: the highest afterwards within the same stretch.
    """

    at_s: float
    lowest_v: float
    recovered_v: float


@dataclass(frozen=True, slots=True)
class Spread:
    """Highest minus lowest unit at three moments, volts; None where unknown."""

    begin_v: float | None
    half_v: float | None
    end_v: float | None


@dataclass(frozen=True, slots=True)
class Warmth:
    """Temperatures of the poles and the room, degrees Celsius and kelvin; None where unknown."""

    start_degc: float | None
    highest_degc: float | None
    highest_cell: int
    largest_rise_k: float | None
    ambient_degc: float | None


@dataclass(frozen=True, slots=True)
class DataQuality:
    """What the data lack.

    Attributes:
        scans: in the discharge.
        kept: samples of it in the record.
        missing_s: seconds without a scan.
        unread: cells without a single voltage in it.
        cold: cells without a temperature.
    """

    scans: int
    kept: int
    missing_s: float
    unread: tuple[int, ...]
    cold: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Dossier:
    """All numbers of one discharge; None or NaN where something is unknown.

    Attributes:
        basis: what it is made of.
        data_sha256: hash of that.
        duration_s: onset to end.
        curves: the course.
        moved_ah, moved_wh: charge and energy that left the string.
        mean_a, mean_w: means over time.
        before_v, end_v: volts of the string before the onset and at the end.
        dip: coup de fouet; None when there was none.
        units: weakest first.
        spread, warmth, quality: of the string.
        capacity: what is proven.
        unit_frac, unit_sd_frac: (n,) capacity of each unit over the rated one; NaN where not proven.
        weak_cells: those of them that are below 80 %, or reversed.
        verdict: in one word.
        forecasts: predicted beside real.
    """

    basis: DossierBasis
    data_sha256: str
    duration_s: float
    curves: Curves
    moved_ah: float | None
    moved_wh: float | None
    mean_a: float | None
    mean_w: float | None
    before_v: float | None
    end_v: float | None
    dip: Dip | None
    units: tuple[UnitRow, ...]
    spread: Spread
    warmth: Warmth
    quality: DataQuality
    capacity: CapacityFinding
    unit_frac: Floats
    unit_sd_frac: Floats
    weak_cells: tuple[int, ...]
    verdict: Verdict
    forecasts: tuple[ForecastRow, ...]


def dossier_of(basis: DossierBasis) -> Dossier:
    """Return the dossier of a discharge; whatever the record lacks is unknown in it, and nothing raises."""
    record, context = finite(basis.record), basis.context
    curves = curves_of(record)
    duration_s = max(0.0, record.ended_s - record.began_s)
    units = ranked_units(curves, duration_s, context.end_v)
    capacity = capacity_of(record, curves, context)
    moved_ah = _known(record.moved_ah)  # what is not known of the charge is not known of the energy
    mean_a, mean_w = (
        _known(mean_over_time(curves.t_s, each, curves.inside)) for each in (curves.current_a, curves.power_w)
    )
    single = _capacity_of_units(record, context, curves.units)
    weak_cells = _weak_cells(units, single.unit_frac)
    first_unit_s = units[0].reached_end_s if units else None
    return Dossier(
        basis=basis,
        data_sha256=data_sha256(basis),
        duration_s=duration_s,
        curves=curves,
        moved_ah=moved_ah,
        moved_wh=None if mean_w is None or moved_ah is None else mean_w * duration_s / 3600.0,
        mean_a=mean_a,
        mean_w=mean_w,
        before_v=_last(curves.string_v[curves.t_s < 0.0]),
        end_v=_last(curves.string_v[curves.inside]),
        dip=_dip(curves, duration_s),
        units=units,
        spread=_spread(curves),
        warmth=_warmth(curves, units),
        quality=_quality(basis, curves, units),
        capacity=capacity,
        unit_frac=single.unit_frac,
        unit_sd_frac=single.unit_sd_frac,
        weak_cells=weak_cells,
        verdict=verdict_of(capacity, weak_cells),
        forecasts=forecast_rows(record, first_unit_s, capacity.reached_s),
    )


def verdict_of(capacity: CapacityFinding, weak_cells: tuple[int, ...]) -> Verdict:
    """Return the verdict: only a standard test judges; a test that ended early can prove enough, never too little."""
    found = _string_verdict(capacity)
    return "pass_weak_units" if found == "pass" and weak_cells else found


def _string_verdict(capacity: CapacityFinding) -> Verdict:
    frac = capacity.frac
    if capacity.proof == "indicative":
        return "not_standard"
    if frac is None or capacity.proof == "not_proven":
        return "not_proven"
    if capacity.proof == "at_least":
        return "pass" if frac >= PASS_FRAC and len(capacity.reasons) == 1 else "not_proven"
    if frac >= PASS_FRAC:
        return "pass"
    return "pass_repeat" if frac >= WEAK_FRAC else "weak"


def result_of(dossier: Dossier) -> EarlierResult:
    """Return what later dossiers of the string compare themselves with."""
    weakest = dossier.units[0] if dossier.units else None
    told = dossier.capacity.proof != "not_proven"
    return EarlierResult(
        began_s=dossier.basis.record.began_s,
        kind=dossier.basis.record.kind,
        duration_s=dossier.duration_s,
        moved_ah=dossier.moved_ah,
        mean_a=dossier.mean_a,
        proof=dossier.capacity.proof,
        capacity_frac=dossier.capacity.frac if told else None,
        capacity_sd_frac=dossier.capacity.sd_frac if told else None,
        weakest_cell=0 if weakest is None or weakest.end_v is None else weakest.cell,
        weakest_end_v=None if weakest is None else weakest.end_v,
    )


def _capacity_of_units(record: DischargeRecord, context: DossierContext, units: int) -> UnitFinding:
    """Return the capacity of each unit by its own curve."""
    rules = StringSohRules(
        chemistry=context.chemistry,
        rated_ah=context.rated_ah,
        rate_h=context.rate_h,
        ref_degc=context.ref_degc,
        end_v=context.end_v / context.cells_per_unit,
        per_k=context.per_k,
        hours=context.published_h,
        amps=context.published_a,
    )
    return capacity_from_full(record, np.full(units, float(context.cells_per_unit)), rules)


def _weak_cells(units: tuple[UnitRow, ...], unit_frac: Floats) -> tuple[int, ...]:
    below = np.flatnonzero(unit_frac < WEAK_FRAC) + 1
    return tuple(sorted({*below.tolist(), *(row.cell for row in units if row.reversed)}))


def dip_until_s(duration_s: float) -> float:
    """Return until when after the onset a sag is the coup de fouet of a discharge."""
    return min(DIP_WITHIN_S, DIP_SHARE * duration_s)


def _dip(curves: Curves, duration_s: float) -> Dip | None:
    """Return the first sag with a recovery that is more than a tenth of a per cent of the voltage."""
    until_s = dip_until_s(duration_s)
    rows = np.flatnonzero(curves.inside & np.isfinite(curves.string_v) & (curves.t_s <= until_s))
    if len(rows) < 3:
        return None
    volts = curves.string_v[rows]
    lowest = int(np.argmin(volts))
    recovered_v = float(volts[lowest:].max())
    if recovered_v - volts[lowest] <= 0.001 * abs(volts[lowest]):
        return None
    return Dip(float(curves.t_s[rows[lowest]]), float(volts[lowest]), recovered_v)


def _spread(curves: Curves) -> Spread:
    rows = np.flatnonzero(curves.inside & np.isfinite(curves.spread_v))
    if not len(rows):
        return Spread(None, None, None)
    half_s = 0.5 * (curves.t_s[rows[0]] + curves.t_s[rows[-1]])
    half = rows[int(np.argmin(np.abs(curves.t_s[rows] - half_s)))]
    return Spread(*(float(curves.spread_v[at]) for at in (rows[0], half, rows[-1])))


def _warmth(curves: Curves, units: tuple[UnitRow, ...]) -> Warmth:
    degc = np.where(curves.inside[:, None], curves.degc, np.nan)
    rises = [row.rise_k for row in units if row.rise_k is not None]
    room = curves.ambient_degc[np.isfinite(curves.ambient_degc)]
    ambient_degc = float(room.mean()) if len(room) else None
    if not np.isfinite(degc).any():
        return Warmth(start_degc(curves), None, 0, None, ambient_degc)
    _, cell = np.unravel_index(int(np.nanargmax(degc)), degc.shape)
    return Warmth(
        start_degc(curves), float(np.nanmax(degc)), int(cell) + 1, max(rises) if rises else None, ambient_degc
    )


def _quality(basis: DossierBasis, curves: Curves, units: tuple[UnitRow, ...]) -> DataQuality:
    return DataQuality(
        scans=basis.record.scans,
        kept=int(curves.inside.sum()),
        missing_s=basis.record.missing_s,
        unread=tuple(sorted(row.cell for row in units if not row.readings)),
        cold=tuple(sorted(row.cell for row in units if row.start_degc is None)),
    )


def _last(values: Floats) -> float | None:
    known = values[np.isfinite(values)]
    return float(known[-1]) if len(known) else None


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
