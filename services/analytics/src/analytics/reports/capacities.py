"""Capacities of all strings of a site over time, from their recorded discharges: numbers, sentences, pages, rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from analytics.dossier.context import DossierBasis, EarlierResult
from analytics.dossier.model import PASS_FRAC, WEAK_FRAC, dossier_of, result_of
from analytics.dossier.words import length, moment, number, result_words, with_sd, zone_of
from analytics.paper.blocks import Block, Document, Grid, Heading, Picture, Text
from analytics.paper.drawing import drawn
from analytics.paper.plot import BLUE, GREEN, ORANGE, VERMILION, Bars, Level, Panel, Plot

YEAR_S: Final = 365.25 * 86_400.0
CSV_HEADER: Final = (
    "string", "began_at", "kind", "duration_s", "moved_ah", "mean_a", "proof", "capacity_frac", "capacity_sd_frac",
    "weakest_cell", "weakest_end_v",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trend:
    """A straight line through the proven capacities of a string.

    Attributes:
        per_year_frac, sd_frac: its slope and the standard deviation of that.
        results: how many there are.
    """

    per_year_frac: float
    sd_frac: float
    results: int


@dataclass(frozen=True, slots=True)
class StringCapacities:
    """What is known of one string.

    Attributes:
        string, name: id and name.
        results: of all its discharges, oldest first.
        newest: the newest proven one; None without.
        trend: None with fewer than two proven ones.
    """

    string: str
    name: str
    results: tuple[EarlierResult, ...]
    newest: EarlierResult | None
    trend: Trend | None


def capacities_of(bases: Sequence[DossierBasis]) -> tuple[StringCapacities, ...]:
    """Return the capacities of every string that has a recorded discharge, by id."""
    by_string: dict[str, list[DossierBasis]] = {}
    for basis in sorted(bases, key=lambda b: b.record.began_s):
        by_string.setdefault(basis.record.string, []).append(basis)
    return tuple(_string(string, of_string) for string, of_string in sorted(by_string.items()))


def _string(string: str, bases: Sequence[DossierBasis]) -> StringCapacities:
    results = tuple(result_of(dossier_of(basis)) for basis in bases)
    proven = [each for each in results if each.proof == "proven" and each.capacity_frac is not None]
    return StringCapacities(
        string=string,
        name=f"{bases[-1].context.string_name} ({string})" if bases[-1].context.string_name else string,
        results=results,
        newest=proven[-1] if proven else None,
        trend=trend_of(proven),
    )


def trend_of(proven: Sequence[EarlierResult]) -> Trend | None:
    """Return the trend of proven capacities, weighted by their deviations; None with fewer than two."""
    known = [(e.began_s, e.capacity_frac, e.capacity_sd_frac or 0.01) for e in proven if e.capacity_frac is not None]
    if len(known) < 2 or known[-1][0] <= known[0][0]:
        return None
    at, frac, sd = np.array(known).T
    years, weight = (at - at[0]) / YEAR_S, 1.0 / np.maximum(sd, 1e-4) ** 2
    middle = np.average(years, weights=weight)
    spread = float((weight * (years - middle) ** 2).sum())
    slope = float((weight * (years - middle) * frac).sum()) / spread
    return Trend(slope, spread**-0.5, len(known))


def capacity_lines(found: Sequence[StringCapacities], timezone: str) -> Iterator[str]:
    """Yield a sentence per string."""
    zone = zone_of(timezone)
    for each in found:
        if each.newest is None:
            many = len(each.results)
            yield f"{each.string}: capacity not proven ({many} recorded discharge{'s' if many > 1 else ''})"
            continue
        newest = each.newest
        said = with_sd(newest.capacity_frac, newest.capacity_sd_frac)
        yield f"{each.string}: {said} on {moment(newest.began_s, zone, seconds=False)}{_trend(each.trend)}"


def _trend(trend: Trend | None) -> str:
    if trend is None:
        return ""
    return (
        f"; {100.0 * trend.per_year_frac:+.1f} ± {200.0 * trend.sd_frac:.1f} points a year over {trend.results} results"
    )


def capacity_rows(found: Sequence[StringCapacities]) -> Iterator[list[str]]:
    """Yield a CSV row per discharge; empty fields are not proven or unknown."""
    for each in found:
        for result in each.results:
            at = str(np.datetime_as_string(np.datetime64(round(result.began_s * 1000.0), "ms"))) + "Z"
            yield [
                each.string,
                at,
                result.kind,
                f"{result.duration_s:.1f}",
                _field(result.moved_ah, 3),
                _field(result.mean_a, 3),
                result.proof,
                _field(result.capacity_frac, 5),
                _field(result.capacity_sd_frac, 5),
                str(result.weakest_cell or ""),
                _field(result.weakest_end_v, 4),
            ]


def _field(value: float | None, decimals: int) -> str:
    return "" if value is None else f"{value:.{decimals}f}"


def capacity_document(found: Sequence[StringCapacities], site_name: str, timezone: str, software: str) -> Document:
    """Return the report as a document."""
    return Document(
        title="Capacities",
        subtitle=f"{site_name}: newest results and trend of every string",
        header=site_name,
        footer=f"Made by {software}. Times are {timezone}.",
        subject="Capacities from discharges",
        keywords="capacity report",
        blocks=tuple(_blocks(found, timezone)),
    )


def _blocks(found: Sequence[StringCapacities], timezone: str) -> Iterator[Block]:
    zone = zone_of(timezone)
    rows = tuple(
        (
            each.name,
            "not proven" if each.newest is None else with_sd(each.newest.capacity_frac, each.newest.capacity_sd_frac),
            "—" if each.newest is None else moment(each.newest.began_s, zone, seconds=False),
            _trend(each.trend).removeprefix("; ") or "—",
            str(len(each.results)),
        )
        for each in found
    )
    yield Grid(("string", "capacity", "of", "trend", "discharges"), rows, (1.2, 1.1, 1.2, 2.2, 0.8), tuple("lrllr"))  # type: ignore[arg-type]  # letters of Align
    low = [each.name for each in found if each.newest and (each.newest.capacity_frac or 1.0) < WEAK_FRAC]
    if low:
        yield Text(f"Below {100 * WEAK_FRAC:.0f} %: {', '.join(low)}. Plan the replacement.")
    yield Text("± is two standard deviations. Only standard tests down to the end voltage are proven.", small=True)
    for each in found:
        yield Heading(each.name)
        plot = _plot(each)
        if plot is not None:
            yield Picture(drawn(plot), plot.width_mm, plot.height_mm)
        yield _results(each, timezone)


def _results(each: StringCapacities, timezone: str) -> Grid:
    zone = zone_of(timezone)
    rows = tuple(
        (
            moment(r.began_s, zone, seconds=False),
            r.kind,
            length(r.duration_s),
            number(r.moved_ah, 1, "Ah"),
            result_words(r),
            r.proof.replace("_", " "),
            f"cell {r.weakest_cell}" if r.weakest_cell else "—",
        )
        for r in each.results
    )
    header = ("began", "kind", "lasted", "charge", "capacity", "proof", "weakest")
    return Grid(header, rows, (1.5, 0.7, 1.1, 0.9, 1.3, 0.9, 0.8), tuple("llrrrlr"))  # type: ignore[arg-type]  # as above


def _plot(each: StringCapacities) -> Plot | None:
    bars = []
    for proof, colour in (("proven", BLUE), ("indicative", ORANGE)):
        chosen = [
            (r.began_s, 100.0 * r.capacity_frac, 200.0 * (r.capacity_sd_frac or 0.0))
            for r in each.results
            if r.capacity_frac is not None and r.proof == proof
        ]
        if chosen:
            at, frac, error = np.array(chosen).T
            bars.append(Bars(at, frac, error, colour, proof))
    if not bars:
        return None
    levels = (
        Level(100.0 * PASS_FRAC, f"{100 * PASS_FRAC:.0f} % pass", GREEN),
        Level(100.0 * WEAK_FRAC, f"{100 * WEAK_FRAC:.0f} % end of life", VERMILION),
    )
    panel = Panel("Capacity", "% of rated", "date (UTC)", bars=tuple(bars), levels=levels, times=True)
    return Plot((panel,), height_mm=50.0)
