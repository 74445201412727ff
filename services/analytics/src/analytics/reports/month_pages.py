"""A month of a site as a document and as CSV rows."""

from collections.abc import Iterator
from typing import Final

from cellkeeper.contract.moment import from_ms

from analytics.dossier.words import cells, length, number, percent, result_words
from analytics.paper.blocks import Align, Block, Document, Facts, Figures, Grid, Heading, Picture, Text
from analytics.paper.drawing import drawn
from analytics.paper.plot import BLUE, INK, SKY, VERMILION, Band, Line, Panel, Plot
from analytics.reports.month import Extreme, Month, StringMonth

MOST_KINDS: Final = 20
CSV_HEADER: Final = (
    "string", "cells", "seen_frac", "good_frac", "lowest_v", "lowest_cell", "highest_v", "highest_cell", "mean_degc",
    "hottest_degc", "hottest_cell", "least_a", "greatest_a", "weakest_cell", "weakest_deviation_v", "silent_cells",
)  # fmt: skip


def month_document(month: Month, software: str) -> Document:
    """Return the report of a month as a document."""
    return Document(
        title=f"Battery report {month.span.name}",
        subtitle=month.site_name,
        header=month.site_name,
        footer=f"Made by {software}. Times and days are UTC.",
        subject=f"Battery report {month.span.name}",
        keywords="monthly report",
        blocks=tuple(_blocks(month)),
    )


def month_lines(month: Month) -> Iterator[str]:
    """Yield the report in sentences."""
    yield f"{month.site_name}, {month.span.name}: {month.source}"
    for each in month.strings:
        yield (
            f"{each.string}: read in {percent(each.seen_frac)} of the time, {percent(each.good_frac, 2)} of the "
            f"voltages good; lowest {_extreme(each.lowest_v, 3, 'V')}, hottest {_extreme(each.hottest, 1, '°C')}"
        )
        if each.weakest:
            listed = ", ".join(f"{unit.cell} ({1000.0 * unit.volts:+.0f} mV)" for unit in each.weakest)
            yield f"{each.string}: lowest on average: cell {listed}"
    for string, outage in month.outages:
        moved = number(outage.moved_ah, 1, "Ah")
        yield f"{string}: {outage.kind} of {_at(outage.began_s)}, {length(outage.duration_s)}, {moved}"


def month_rows(month: Month) -> Iterator[list[str]]:
    """Yield a CSV row per string; empty fields are unknown."""
    for each in month.strings:
        weakest = each.weakest[0] if each.weakest else None
        low, high, hot = each.lowest_v, each.highest_v, each.hottest
        yield [
            each.string,
            str(each.cells),
            f"{each.seen_frac:.4f}",
            "" if each.good_frac is None else f"{each.good_frac:.5f}",
            *(("", "") if low is None else (f"{low.value:.4f}", str(low.cell))),
            *(("", "") if high is None else (f"{high.value:.4f}", str(high.cell))),
            "" if each.mean_degc is None else f"{each.mean_degc:.2f}",
            *(("", "") if hot is None else (f"{hot.value:.2f}", str(hot.cell))),
            *(("", "") if each.current_a is None else (f"{each.current_a[0]:.3f}", f"{each.current_a[1]:.3f}")),
            *(("", "") if weakest is None else (str(weakest.cell), f"{weakest.volts:.4f}")),
            " ".join(map(str, each.silent_cells)),
        ]


def _blocks(month: Month) -> Iterator[Block]:
    yield _key_figures(month)
    yield Text(f"Source: {month.source}.", small=True)
    if month.strings:
        yield Heading("Strings")
        yield _overview(month)
    yield from _discharges(month)
    yield from _events(month)
    for each in month.strings:
        yield from _string(each)


def _key_figures(month: Month) -> Figures:
    seen = [each.seen_frac for each in month.strings]
    good = [each.good_frac for each in month.strings if each.good_frac is not None]
    hot = [each.hottest.value for each in month.strings if each.hottest is not None]
    grave = sum(times for severity, _, times in month.kinds if severity != "info")
    return Figures(
        (
            ("Availability", percent(min(seen)) if seen else "—", "worst string, of the time"),
            ("Good voltages", percent(min(good), 2) if good else "—", "worst string"),
            ("Discharges", str(len(month.outages)), "outages and tests recorded"),
            ("Warnings, errors", str(grave) if month.strings else "—", "in the log book"),
            ("Hottest pole", number(max(hot) if hot else None, 1, "°C"), "of all units"),
        )
    )


def _overview(month: Month) -> Grid:
    rows = tuple(
        (
            each.string,
            str(each.cells),
            percent(each.seen_frac),
            percent(each.good_frac, 2),
            _extreme(each.lowest_v, 3, "V"),
            _extreme(each.highest_v, 3, "V"),
            _extreme(each.hottest, 1, "°C"),
            "—" if not each.weakest else f"#{each.weakest[0].cell} {1000.0 * each.weakest[0].volts:+.0f} mV",
        )
        for each in month.strings
    )
    header = ("string", "units", "read", "good", "lowest", "highest", "hottest", "furthest below")
    align: tuple[Align, ...] = ("l", "r", "r", "r", "r", "r", "r", "r")
    return Grid(header, rows, (1.0, 0.6, 0.8, 0.9, 1.4, 1.4, 1.3, 1.3), align)


def _extreme(found: Extreme | None, decimals: int, unit: str) -> str:
    return "—" if found is None else f"{found.value:.{decimals}f} {unit} (#{found.cell})"


def _discharges(month: Month) -> Iterator[Block]:
    yield Heading("Outages and tests")
    if not month.outages:
        yield Text("None is recorded.")
        return
    rows = tuple(
        (
            _at(each.began_s),
            string,
            each.kind,
            length(each.duration_s),
            number(each.moved_ah, 1, "Ah"),
            result_words(each),
            each.proof.replace("_", " "),
            "—" if each.weakest_end_v is None else f"#{each.weakest_cell} {each.weakest_end_v:.3f} V",
        )
        for string, each in month.outages
    )
    header = ("began", "string", "kind", "lasted", "charge", "capacity", "proof", "lowest at the end")
    align: tuple[Align, ...] = ("l", "l", "l", "r", "r", "r", "l", "r")
    yield Grid(header, rows, (1.4, 0.8, 0.7, 1.0, 0.9, 1.3, 0.9, 1.3), align)


def _events(month: Month) -> Iterator[Block]:
    if not month.strings and not month.kinds:
        return
    yield Heading("Log book")
    if not month.kinds:
        yield Text("Nothing was told in this month.")
        return
    rows = tuple((severity, kind, str(times)) for severity, kind, times in month.kinds[:MOST_KINDS])
    yield Grid(("severity", "kind", "times"), rows, (1.0, 3.0, 0.6), ("l", "l", "r"))
    for at_ms, service, text, times in month.shown:
        often = f" ({times} times, this the last)" if times > 1 else ""
        yield Text(f"{_at(at_ms / 1000.0)}  {service}: {text}{often}", small=True)


def _string(each: StringMonth) -> Iterator[Block]:
    yield Heading(f"String {each.string}")
    plot = _plot(each)
    if plot is not None:
        yield Picture(drawn(plot), plot.width_mm, plot.height_mm)
    weakest = ", ".join(f"#{unit.cell} {1000.0 * unit.volts:+.1f} mV" for unit in each.weakest)
    current = "—" if each.current_a is None else f"{each.current_a[0]:.1f} to {each.current_a[1]:.1f} A"
    yield Facts(
        (
            ("Furthest below the middle unit", weakest or "none, or too few days"),
            ("Current, positive charges", current),
            ("Mean temperature", number(each.mean_degc, 1, "°C")),
            ("Units without a good voltage", cells(each.silent_cells) or "none"),
        )
    )


def _plot(each: StringMonth) -> Plot | None:
    days = each.days
    if len(days.at_ms) < 2:
        return None
    at_s = days.at_ms / 1000.0
    volts = Panel(
        "Units: lowest to highest, and mean of the day",
        "V",
        lines=(Line(at_s, days.mean_v, BLUE, name="mean"),),
        bands=(Band(at_s, days.low_v, days.high_v, SKY, "lowest to highest"),),
        times=True,
    )
    warmth = Panel(
        "Temperature at the poles",
        "°C",
        lines=(
            Line(at_s, days.mean_degc, INK, name="mean"),
            Line(at_s, days.high_degc, VERMILION, dash="--", name="hottest unit"),
        ),
        times=True,
    )
    return Plot((volts, warmth), height_mm=72.0)


def _at(at_s: float) -> str:
    return from_ms(round(at_s * 1000.0)).strftime("%Y-%m-%d %H:%M")
