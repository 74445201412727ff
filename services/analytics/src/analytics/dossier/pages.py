"""A dossier as a document: what stands on its pages, in the order in which an auditor asks."""

from collections.abc import Iterator
from datetime import tzinfo
from typing import Final

from analytics.dossier.gaps import unseen_s
from analytics.dossier.methods import method_sentences
from analytics.dossier.model import Dossier, Verdict, dip_until_s
from analytics.dossier.plots import course_plot, evenness_plot, onset_plot, trend_plot, units_plot
from analytics.dossier.words import (
    ENDED_WORDS,
    METHOD_WORDS,
    UNKNOWN,
    VERDICT_TITLES,
    capacity_words,
    cells,
    chemistry_name,
    length,
    moment,
    not_validated,
    number,
    percent,
    proven,
    result_words,
    sensor_words,
    verdict_sentences,
    zone_of,
)
from analytics.paper.blocks import (
    Align,
    Banner,
    Block,
    Document,
    Facts,
    Figures,
    Grid,
    Heading,
    Mood,
    Picture,
    Signatures,
    Text,
)
from analytics.paper.drawing import drawn
from analytics.paper.plot import Plot

WEAKEST: Final = 10
RIGHT: Final[tuple[Align, ...]] = ("r",)
_MOODS: Final[dict[Verdict, Mood]] = {
    "pass": "good",
    "pass_weak_units": "warn",
    "pass_repeat": "warn",
    "weak": "bad",
    "not_standard": "open",
    "not_proven": "open",
}


def document_of(dossier: Dossier) -> Document:
    """Return the document of a dossier."""
    record, context = dossier.basis.record, dossier.basis.context
    zone = zone_of(context.timezone)
    test = f"Test ({record.method})" if record.method else "Capacity test"
    what = test if record.kind == "test" else "Outage"
    name = context.string_name or record.string
    return Document(
        title=f"Discharge dossier: {name}",
        subtitle=f"{what} of {moment(record.began_s, zone)} ({context.timezone}), {context.site_name}",
        header=f"{context.site_name}, {moment(record.began_s, zone, seconds=False)}",
        footer=f"Data SHA-256 {dossier.data_sha256}",
        subject=f"{record.kind.capitalize()} of string {record.string}",
        keywords=f"data-sha256:{dossier.data_sha256}",
        blocks=tuple(_blocks(dossier, zone)),
    )


def _blocks(dossier: Dossier, zone: tzinfo) -> Iterator[Block]:
    yield Banner(VERDICT_TITLES[dossier.verdict], tuple(verdict_sentences(dossier)), _MOODS[dossier.verdict])
    yield _key_figures(dossier)
    yield Heading("Battery and event")
    yield Facts(tuple(_context(dossier, zone)))
    yield Heading("Course of the string")
    yield _picture(course_plot(dossier))
    yield Heading("Onset", new_page=True)
    yield _picture(onset_plot(dossier))
    yield Text(_onset_words(dossier), small=True)
    yield Heading("Units")
    yield _picture(units_plot(dossier))
    yield _weakest(dossier)
    yield Heading("Evenness and warmth")
    yield _picture(evenness_plot(dossier))
    yield from _forecasts(dossier)
    yield from _earlier(dossier, zone)
    yield from _quality(dossier)
    yield from _proof(dossier)


def _picture(plot: Plot | None) -> Picture | Text:
    if plot is None:
        return Text("Nothing of this was measured.")
    return Picture(drawn(plot), plot.width_mm, plot.height_mm)


def _key_figures(dossier: Dossier) -> Figures:
    capacity = dossier.capacity
    weakest = dossier.units[0] if dossier.units and dossier.units[0].end_v is not None else None
    told = capacity.frac if capacity.proof != "not_proven" else None
    prefix = {"at_least": "≥ ", "indicative": "≈ "}.get(capacity.proof, "")
    return Figures(
        (
            (
                "Capacity",
                "not proven" if told is None else f"{prefix}{percent(told)}",
                METHOD_WORDS[capacity.method] if told is not None else "why: see above",
            ),
            ("Duration", length(dossier.duration_s), ENDED_WORDS[dossier.basis.record.ended_by]),
            ("Charge", number(dossier.moved_ah, 1, "Ah"), f"mean {number(dossier.mean_a, 1, 'A')}"),
            ("Energy", *_energy(dossier)),
            (
                "Weakest unit",
                UNKNOWN if weakest is None else f"cell {weakest.cell}",
                "" if weakest is None else f"{number(weakest.end_v, 3, 'V')} at the end",
            ),
        )
    )


def _energy(dossier: Dossier) -> tuple[str, str]:
    if dossier.moved_wh is None or dossier.mean_w is None:
        return UNKNOWN, ""
    return f"{dossier.moved_wh / 1000.0:.2f} kWh", f"mean {dossier.mean_w / 1000.0:.2f} kW"


def _context(dossier: Dossier, zone: tzinfo) -> Iterator[tuple[str, str]]:
    record, context, warmth = dossier.basis.record, dossier.basis.context, dossier.warmth
    yield "Site", f"{context.site_name} ({context.site})"
    yield "String", f"{context.string_name} ({record.string})"
    yield "Battery", context.battery_type or "type not stated"
    yield "Chemistry", chemistry_name(context.chemistry)
    yield "Units", f"{dossier.curves.units} of {context.cells_per_unit} cell{'s' if context.cells_per_unit > 1 else ''}"
    yield "Rated", f"{context.rated_ah:g} Ah in {context.rate_h:g} h at {context.ref_degc:g} °C"
    yield "End voltage", f"{context.end_v:.3f} V per unit, {context.end_v * dossier.curves.units:.2f} V string"
    yield from ((f"Sensor, {kind}", words) for kind, words in sensor_words(context))
    yield "Voltage per unit", f"resolution {1000.0 * context.resolution_v:g} mV"
    yield "Onset", f"{moment(record.began_s, zone)}"
    yield "End", f"{moment(record.ended_s, zone)}, {ENDED_WORDS[record.ended_by]}"
    yield "Times in", context.timezone
    if record.method:
        yield "Test", record.method
    yield (
        "Led by",
        record.led_by or context.operator or ("nobody: an outage" if record.kind == "outage" else "not stated"),
    )
    yield "Temperature before", number(warmth.start_degc, 1, "°C")
    yield "Highest, largest rise", f"{number(warmth.highest_degc, 1, '°C')}, {number(warmth.largest_rise_k, 1, 'K')}"
    yield "Made by", context.software


def _onset_words(dossier: Dossier) -> str:
    dip = dossier.dip
    if dossier.curves.string_v_from == "none":
        return "Whether there was a coup de fouet is not known."
    gap_s = unseen_s(dossier.curves.t_s, dossier.basis.record.missing_s, dip_until_s(dossier.duration_s))
    if dip is None and gap_s > 0.0:
        return f"Whether there was a coup de fouet is not known: {length(gap_s)} of the onset were not read."
    if dip is None:
        return "No coup de fouet: the voltage of the string did not recover after its first fall."
    return f"Coup de fouet: lowest {dip.lowest_v:.2f} V at {length(dip.at_s)}, then up to {dip.recovered_v:.2f} V."


def _weakest(dossier: Dossier) -> Grid:
    record = dossier.basis.record
    rows = []
    for rank, row in enumerate(dossier.units[:WEAKEST], 1):
        at = row.cell - 1
        reached = "not reached" if row.reached_end_s is None else length(row.reached_end_s)
        rows.append(
            (
                str(rank),
                str(row.cell),
                "no reading" if not row.readings else reached,
                length(row.before_end_s),
                number(row.end_v, 3, "V"),
                number(row.deviation_v, 3, "V"),
                number(row.lowest_v, 3, "V"),
                number(row.rise_k, 1, "K"),
                proven(dossier.unit_frac[at], dossier.unit_sd_frac[at]),
                proven(record.soh_frac[at], record.soh_sd_frac[at]),
            )
        )
    header = (
        "", "cell", "end voltage after", "before the end", "at the end", "to median", "lowest", "rise",
        "capacity", "SoH before",
    )  # fmt: skip
    widths = (0.5, 0.6, 1.3, 1.3, 1.0, 1.0, 1.0, 0.7, 1.4, 1.4)
    return Grid(header, tuple(rows), widths, RIGHT * len(widths))


def _forecasts(dossier: Dossier) -> Iterator[Block]:
    yield Heading("Predicted and real runtime")
    if not dossier.forecasts:
        yield Text("Nothing was predicted in this discharge.")
        return
    rows = []
    for row in dossier.forecasts:
        sd = "" if row.sd_s != row.sd_s else f" ± {length(2.0 * row.sd_s)}"  # NaN
        came = length(row.came_s) if row.came_s is not None else f"not within {length(row.lasted_s)}"
        target = f"{row.target}{f' (cell {row.cell})' if row.cell else ''}"
        rows.append((length(row.at_s), target, f"{length(row.said_s)}{sd}", came, percent(row.error_frac, 0)))
    header = ("after", "until", "predicted", "real", "error")
    yield Grid(header, tuple(rows), (1.0, 1.4, 1.8, 1.5, 0.7), ("r", "l", "r", "r", "r"))
    yield Text(
        "Times from the moment of the prediction on; ± is two standard deviations. A positive error is too optimistic. "
        "The end voltage of the string stands for the cut-off of the dc bus.",
        small=True,
    )


def _earlier(dossier: Dossier, zone: tzinfo) -> Iterator[Block]:
    yield Heading("Earlier discharges of this string")
    if not dossier.basis.earlier:
        yield Text("None is recorded.")
        return
    rows = [
        (
            moment(each.began_s, zone, seconds=False),
            each.kind,
            length(each.duration_s),
            number(each.moved_ah, 1, "Ah"),
            number(each.mean_a, 1, "A"),
            result_words(each),
            each.proof.replace("_", " "),
            f"cell {each.weakest_cell}" if each.weakest_cell else UNKNOWN,
        )
        for each in dossier.basis.earlier
    ]
    header = ("began", "kind", "lasted", "charge", "mean", "capacity", "proof", "weakest")
    yield Grid(header, tuple(rows), (1.5, 0.7, 1.1, 0.9, 0.8, 1.3, 0.9, 0.8), ("l", "l", "r", "r", "r", "r", "l", "r"))
    plot = trend_plot(dossier)
    if plot is not None:
        yield _picture(plot)


def _quality(dossier: Dossier) -> Iterator[Block]:
    quality, record = dossier.quality, dossier.basis.record
    yield Heading("Quality of the data")
    yield Facts(
        (
            ("Scans", str(quality.scans)),
            ("Kept for this dossier", f"{quality.kept} samples"),
            ("Without a scan", length(quality.missing_s)),
            ("Within 1 % of the median current", percent(dossier.capacity.steady_share, 0)),
            ("Cells without a voltage", cells(quality.unread) or "none"),
            ("Cells without a temperature", cells(quality.cold) or "none"),
        )
    )
    yield from (Text(f"Note: {note}") for note in record.notes)
    if not record.notes:
        yield Text("No further notes of the recorder.", small=True)
    doubt = not_validated(dossier.basis.context.chemistry)
    if doubt:
        yield Text(doubt)


def _proof(dossier: Dossier) -> Iterator[Block]:
    yield Heading("Method")
    yield from (Text(sentence) for sentence in method_sentences(dossier))
    yield Text(f"Result: {capacity_words(dossier.capacity)}.")
    yield Heading("Integrity")
    yield Text(
        "Every page carries the SHA-256 of the data from which this dossier was made: the record of the discharge, the "
        "description of the battery and the results of earlier discharges. “cellkeeper report verify FILE” computes it "
        "anew from the record and compares; FILE is this PDF, one of its CSV files or the record. It shows that paper "
        "and data belong together and that neither was changed since; who stands for them is said by the signatures."
    )
    yield Text(dossier.data_sha256)
    yield Signatures(("Tested by, date", "Checked by, date", "For the operator of the site, date"))
