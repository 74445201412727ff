"""What an analysis tells: sentences, a table with a row per row of the file, and a plot."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from cellkeeper.contract.moment import from_ms

from analytics.analyse.battery import Battery, context_of
from analytics.analyse.offline import Outcome
from analytics.analyse.series import Series, bad_row_lines
from analytics.analyse.sign import sign_evidence
from analytics.discharge.record import DischargeRecord
from analytics.dossier.capacity import CapacityFinding, capacity_of
from analytics.dossier.curves import curves_of
from analytics.dossier.gaps import broken, with_breaks
from analytics.dossier.words import ENDED_WORDS, capacity_words, length, number, percent, proven
from analytics.paper.plot import BLUE, GREEN, INK, SKY, VERMILION, Band, Line, Panel, Plot, Stretch
from analytics.readings import Floats, Places
from analytics.soc.memory import Source

SUSPECT_FRAC: Final = 0.001  # of the rows: less is a doubt that cleared by itself
NAMED_UNITS: Final = 5
SHOWN_REASONS: Final = 3
MOST_DRAWN: Final = 20_000


@dataclass(frozen=True, slots=True)
class Analysis:
    """A file, its battery, and what the estimators made of it; `is_zone_guessed` where its times name no zone."""

    name: str
    battery: Battery
    series: Series
    outcome: Outcome
    is_zone_guessed: bool = False

    def capacities(self) -> Iterator[tuple[DischargeRecord, CapacityFinding]]:
        """Yield each discharge with what it proves of the capacity of the whole string."""
        context = context_of(self.battery, self.name)
        for record in self.outcome.records:
            yield record, capacity_of(record, curves_of(record), context)


def told(analysis: Analysis) -> Iterator[str]:
    """Yield the analysis in sentences, doubts about the data first."""
    series = analysis.series
    span_s = float(series.at_s[-1] - series.at_s[0])
    yield (
        f"{analysis.name}: {len(series.at_s)} rows, {_at(series.at_s[0])} to {_at(series.at_s[-1])} "
        f"({length(span_s)}), {series.units} unit{'s' if series.units > 1 else ''}"
    )
    if series.is_turned:
        yield "the file has its newest row first; it was turned round"
    yield from bad_row_lines(series)
    yield from _doubts(analysis)
    yield from _charge(analysis)
    yield from _discharges(analysis)


def _doubts(analysis: Analysis) -> Iterator[str]:
    series = analysis.series
    if analysis.is_zone_guessed:
        yield "times name no zone and were taken as UTC; --timezone names the zone of the clock"
    gaps = np.diff(series.at_s)
    missing_s = float(gaps[gaps > series.gap_s].sum())
    if missing_s > 0.0:
        many = int((gaps > series.gap_s).sum())
        yield f"{many} gap{'s' if many > 1 else ''} of more than {length(series.gap_s)}, {length(missing_s)} together"
    if not np.isfinite(series.discharge_a).any():
        yield "no current in the file: charge from voltages alone, with wide bounds; no capacity"
    else:
        yield from _sign(analysis)
    if not np.isfinite(series.degc).any():
        yield "no temperature in the file: no capacity can be corrected; give one with --degc if you know it"
    elif analysis.battery.degc is not None:
        yield f"temperature: {analysis.battery.degc:g} °C as told, wherever the file has none"
    profile = analysis.battery.profile
    if not profile.estimate.validated_on:
        yield f"the curves of {analysis.battery.chemistry} are typical ones that nobody held against measured cells"


def _sign(analysis: Analysis) -> Iterator[str]:
    evidence = sign_evidence(analysis.series, analysis.battery.rated_ah)
    suspect_frac = float(analysis.outcome.sign_suspect.mean())
    if evidence.is_turned or (suspect_frac > SUSPECT_FRAC and not evidence.is_right):
        yield (
            "THE CURRENT SEEMS TO HAVE THE OTHER SIGN: it charges where the voltage falls and discharges where it "
            "rises; nothing below is right before that is; try the other --sign"
        )
    elif suspect_frac > SUSPECT_FRAC:
        yield (
            f"in {percent(suspect_frac)} of the rows steps of current and voltage contradict each other, so no charge "
            "was counted there; the sign is right in the file as a whole"
        )


def _charge(analysis: Analysis) -> Iterator[str]:
    outcome, at_s = analysis.outcome, analysis.series.at_s
    known = np.isfinite(outcome.soc_frac)
    if not known.any():
        yield "charge: unknown in the whole file; it needs a full charge, a rest, or --soc-start"
        return
    mean = np.nanmean(np.where(known.any(axis=1)[:, None], outcome.soc_frac, 0.0), axis=1)
    rows = np.flatnonzero(known.any(axis=1))
    for what, at in (
        ("first known", rows[0]),
        ("highest", rows[int(np.argmax(mean[rows]))]),
        ("lowest", rows[int(np.argmin(mean[rows]))]),
        ("last known", rows[-1]),
    ):
        sd = float(np.nanmax(outcome.soc_sd_frac[at]))
        low = int(np.nanargmin(outcome.soc_frac[at])) + 1
        unit = f", lowest unit {low} {percent(float(np.nanmin(outcome.soc_frac[at])))}" if known.shape[1] > 1 else ""
        yield f"charge {what}: {percent(float(mean[at]))} ± {percent(2.0 * sd)} at {_at(at_s[at])}{unit}"
    shares = [(source.word, float((outcome.source == source).mean())) for source in Source]
    yield "charge known by: " + ", ".join(f"{word} {share:.0%}" for word, share in shares if share >= 0.005)


def _discharges(analysis: Analysis) -> Iterator[str]:
    if not analysis.outcome.records:
        yield "no discharge was found"
    for record, capacity in analysis.capacities():
        moved = "charge unknown" if np.isnan(record.moved_ah) else number(record.moved_ah, 2, "Ah")
        depth = record.soc_frac[1]
        left = "" if np.isnan(depth).all() else f", {percent(float(np.nanmin(depth)))} left"
        yield (
            f"discharge of {_at(record.began_s)}: {length(record.ended_s - record.began_s)}, {moved}{left}; "
            f"{ENDED_WORDS[record.ended_by]}; capacity {capacity_words(capacity)}"
        )
        for reason in capacity.reasons:
            yield f"  {reason}"
        for note in record.notes:
            yield f"  note: {note}"
    yield from _health(analysis.outcome)


def _health(outcome: Outcome) -> Iterator[str]:
    for finding in outcome.findings:
        if finding.is_proven:
            yield f"units at {_at(finding.at_s)}: {_units(finding.unit_frac, finding.unit_sd_frac)}; {finding.why}"
    yield f"state of health at the end: {_units(outcome.soh_frac, outcome.soh_sd_frac)}"
    if np.isnan(outcome.soh_frac).all():
        for why, many in Counter(each.why for each in outcome.findings).most_common(SHOWN_REASONS):
            yield f"  {many} x {why}"


def _units(frac: Floats, sd: Floats) -> str:
    if np.isnan(frac).all():
        return "not proven"
    if len(frac) == 1:
        return proven(frac[0], sd[0])
    order = np.argsort(np.where(np.isnan(frac), np.inf, frac))[:NAMED_UNITS]
    weakest = ", ".join(f"unit {at + 1} {proven(frac[at], sd[at])}" for at in order)
    return f"{int(np.isfinite(frac).sum())} of {len(frac)} proven, weakest: {weakest}"


def table_of(analysis: Analysis) -> pa.Table:
    """Return a row per usable row of the file: time, mode, current (positive charges), and each unit's charge."""
    series, outcome = analysis.series, analysis.outcome
    columns: dict[str, pa.Array[pa.Scalar[pa.DataType]]] = {
        "measured_at": pa.array(np.round(series.at_s * 1000.0).astype(np.int64), pa.timestamp("ms", "UTC")),
        "mode": pa.array(outcome.modes, pa.string()),
        "current_a": pa.array(-series.discharge_a + 0.0, from_pandas=True),
        "sign_suspect": pa.array(outcome.sign_suspect),
    }
    words = np.array([source.word for source in Source])
    for at in range(series.units):
        columns[f"cell_v_{at + 1}"] = pa.array(series.unit_v[:, at], from_pandas=True)
        columns[f"soc_frac_{at + 1}"] = pa.array(np.round(outcome.soc_frac[:, at], 5), from_pandas=True)
        columns[f"soc_sd_frac_{at + 1}"] = pa.array(np.round(outcome.soc_sd_frac[:, at], 5), from_pandas=True)
        columns[f"soc_source_{at + 1}"] = pa.array(words[outcome.source[:, at]], pa.string())
    return pa.table(columns)


def plot_of(analysis: Analysis) -> Plot:
    """Return voltage, current and charge with bounds over time, discharges shaded; lines end at gaps of the file."""
    series, outcome = analysis.series, analysis.outcome
    places = _drawn(series)
    at_s = series.at_s[np.where(places < 0, np.roll(places, 1), places)]
    soc, sd = (broken(each, places) for each in (outcome.soc_frac, outcome.soc_sd_frac))
    known = np.isfinite(soc).any(axis=1)
    low, high = (_edge(soc, sd, sign) for sign in (-1.0, 1.0))
    middle = np.full(len(at_s), np.nan)
    middle[known] = np.nanmedian(soc[known], axis=1)
    charge = Panel(
        "State of charge, bounds at two standard deviations",
        "%",
        lines=(Line(at_s, 100.0 * middle, INK, name="median unit" if series.units > 1 else "charge"),),
        bands=(Band(at_s, 100.0 * low, 100.0 * high, SKY, "bounds"),),
        stretches=_shaded(analysis),
        stretch_name="discharge",
        height=1.3,
        times=True,
    )
    volts = Panel(
        "Voltage of the units", "V", lines=(Line(at_s, broken(series.unit_v, places), BLUE, 0.8),), times=True
    )
    panels = [volts, charge]
    if np.isfinite(series.discharge_a).any():
        amps = Line(at_s, -broken(series.discharge_a, places), GREEN, 0.8)
        panels.insert(1, Panel("Current (positive charges)", "A", lines=(amps,), times=True))
    return Plot(tuple(panels), width_mm=220.0, height_mm=45.0 * len(panels), title=analysis.name)


def _drawn(series: Series) -> Places:
    """Return the places of the rows that are drawn, with -1 at every gap between them."""
    shown = np.zeros(len(series.at_s), np.bool_)
    shown[:: -(-len(shown) // MOST_DRAWN)] = True
    return with_breaks(shown, np.flatnonzero(np.diff(series.at_s) > series.gap_s))


def _shaded(analysis: Analysis) -> tuple[Stretch, ...]:
    return tuple(Stretch(record.began_s, record.ended_s, VERMILION) for record in analysis.outcome.records)


def _edge(soc: Floats, sd: Floats, sign: float) -> Floats:
    edges = soc + sign * 2.0 * sd
    best = np.where(np.isfinite(edges), sign * edges, -np.inf).max(axis=1)
    return np.where(np.isfinite(best), np.clip(sign * best, 0.0, 1.0), np.nan)


def _at(at_s: float) -> str:
    return from_ms(round(at_s * 1000.0)).strftime("%Y-%m-%d %H:%M:%S UTC")
