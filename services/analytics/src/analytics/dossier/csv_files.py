"""A dossier as three CSV files: summary, units, course. Times are UTC, an empty field is unknown. Pure text."""

import re
from collections.abc import Iterator
from typing import Final

import numpy as np
from cellkeeper.contract.moment import format_ms

from analytics.dossier.model import Dossier
from analytics.dossier.words import verdict_sentences
from analytics.paper.csv_text import csv_text

_NEGATIVE_ZERO: Final = re.compile(r"-(0\.0*)(?![0-9])")
UNITS_HEADER: Final = (
    "rank", "cell", "serial", "reached_end_s", "before_end_s", "end_v", "lowest_v", "deviation_v", "start_degc",
    "rise_k", "capacity_frac", "capacity_sd_frac", "soc_begin_frac", "soc_end_frac", "soh_frac", "soh_sd_frac",
    "readings", "reversed",
)  # fmt: skip


def csv_files(dossier: Dossier) -> dict[str, str]:
    """Return the text of each file by the ending of its name; the same dossier gives the same bytes."""
    return {
        "summary.csv": csv_text(("what", "value", "unit"), _summary(dossier)),
        "units.csv": csv_text(UNITS_HEADER, _units(dossier)),
        "course.csv": "\n".join([",".join(_course_header(dossier)), *_course(dossier), ""]),
    }


def _summary(dossier: Dossier) -> Iterator[tuple[str, str, str]]:
    record, context, capacity = dossier.basis.record, dossier.basis.context, dossier.capacity
    yield "data_sha256", dossier.data_sha256, ""
    yield from ((name, str(getattr(context, name)), "") for name in ("site", "site_name", "string_name", "chemistry"))
    yield "battery_type", context.battery_type, ""
    yield "string", record.string, ""
    yield "units", str(dossier.curves.units), ""
    yield "cells_per_unit", str(context.cells_per_unit), ""
    for name, unit in (("rated_ah", "Ah"), ("rate_h", "h"), ("ref_degc", "°C"), ("end_v", "V per unit")):
        yield name, f"{getattr(context, name):g}", unit
    yield "software", context.software, ""
    yield "kind", record.kind, ""
    if record.method:
        yield "method", record.method, ""
        yield "led_by", record.led_by, ""
    yield "began_at", format_ms(round(record.began_s * 1000.0)), "UTC"
    yield "ended_at", format_ms(round(record.ended_s * 1000.0)), "UTC"
    yield "ended_by", record.ended_by, ""
    yield "verdict", dossier.verdict, ""
    yield "verdict_text", " ".join(verdict_sentences(dossier)), ""
    yield "capacity_proof", capacity.proof, ""
    yield "capacity_method", capacity.method, ""
    numbers = (
        ("capacity_frac", capacity.frac if capacity.proof != "not_proven" else None, 5, ""),
        ("capacity_sd_frac", capacity.sd_frac if capacity.proof != "not_proven" else None, 5, ""),
        ("temperature_factor", capacity.factor, 5, ""),
        ("lambda_per_k", capacity.per_k, 5, "1/K"),
        ("start_degc", dossier.warmth.start_degc, 2, "°C"),
        ("duration_s", dossier.duration_s, 1, "s"),
        ("reached_end_s", capacity.reached_s, 1, "s"),
        ("rated_s", capacity.rated_s, 1, "s"),
        ("moved_ah", dossier.moved_ah, 4, "Ah"),
        ("iec_ah", capacity.iec_ah, 4, "Ah"),
        ("moved_wh", dossier.moved_wh, 1, "Wh"),
        ("mean_a", dossier.mean_a, 3, "A"),
        ("mean_w", dossier.mean_w, 1, "W"),
        ("steady_share", capacity.steady_share, 4, ""),
        ("before_v", dossier.before_v, 3, "V"),
        ("end_string_v", dossier.end_v, 3, "V"),
        ("spread_begin_v", dossier.spread.begin_v, 4, "V"),
        ("spread_half_v", dossier.spread.half_v, 4, "V"),
        ("spread_end_v", dossier.spread.end_v, 4, "V"),
        ("highest_degc", dossier.warmth.highest_degc, 2, "°C"),
        ("largest_rise_k", dossier.warmth.largest_rise_k, 2, "K"),
        ("scans", float(record.scans), 0, ""),
        ("missing_s", record.missing_s, 1, "s"),
    )
    for name, value, decimals, unit in numbers:
        yield name, _number(value, decimals), unit
    yield "string_v_from", dossier.curves.string_v_from, ""
    yield "unread_cells", " ".join(map(str, dossier.quality.unread)), ""
    for note in record.notes:
        yield "note", note, ""


def _units(dossier: Dossier) -> Iterator[list[str]]:
    record, serials = dossier.basis.record, dossier.basis.context.serials
    for rank, row in enumerate(dossier.units, 1):
        at = row.cell - 1
        yield [
            str(rank),
            str(row.cell),
            serials[at] if at < len(serials) else "",
            _number(row.reached_end_s, 1),
            _number(row.before_end_s, 1),
            *(_number(value, 4) for value in (row.end_v, row.lowest_v, row.deviation_v)),
            *(_number(value, 2) for value in (row.start_degc, row.rise_k)),
            *(_number(float(value), 4) for value in (dossier.unit_frac[at], dossier.unit_sd_frac[at])),
            *(_number(float(value), 4) for value in record.soc_frac[:, at]),
            *(_number(float(value), 4) for value in (record.soh_frac[at], record.soh_sd_frac[at])),
            str(row.readings),
            "yes" if row.reversed else "no",
        ]


def _course_header(dossier: Dossier) -> list[str]:
    numbered = range(1, dossier.curves.units + 1)
    return [
        "measured_at", "seconds", "discharge_a", "string_v", "power_w", "spread_v",
        *(f"unit_v_{cell}" for cell in numbered), *(f"degc_{cell}" for cell in numbered),
    ]  # fmt: skip


def _course(dossier: Dossier) -> Iterator[str]:
    """Yield a line per sample, as text: a long string has a million numbers, and none needs quotes."""
    curves, began_s = dossier.curves, dossier.basis.record.began_s
    table = np.column_stack(
        [curves.current_a, curves.string_v, curves.power_w, curves.spread_v, curves.unit_v, curves.degc]
    )
    decimals = [3, 3, 1, 4, *[4] * curves.units, *[2] * curves.units]
    form = ",".join(f"%.{places}f" for places in decimals)
    for t_s, row in zip(curves.t_s.tolist(), table.tolist(), strict=True):
        at = format_ms(round((began_s + t_s) * 1000.0))
        text = (form % tuple(row)).replace("nan", "")
        yield f"{at},{t_s:.3f},{_NEGATIVE_ZERO.sub(r'\1', text)}"


def _number(value: float | None, decimals: int) -> str:
    if value is None or value != value:  # noqa: PLR0124  # NaN
        return ""
    text = f"{value:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0.0 else text
