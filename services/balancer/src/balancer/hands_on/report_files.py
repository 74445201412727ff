"""Files of a report: a CSV of units, and pictures where the library for them is installed."""

import csv
from io import StringIO
from pathlib import Path
from typing import Final

from cellkeeper.runtime.whole_file import whole_file
from cellkeeper.runtime.wishing import NotThereError

from balancer.hands_on.report import Report

PICTURES: Final = frozenset({".svg", ".png"})
SUFFIXES: Final = PICTURES | {".csv"}
_HEADER: Final = (
    "cell", "deviation_before_v", "deviation_after_v", "duty_frac", "moved_ah", "heat_wh", "leak_a", "reason",
    "does_not_converge",
)  # fmt: skip


def csv_text(report: Report) -> str:
    """Return one row per unit; empty where nothing is known."""
    out = StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(_HEADER)
    for unit in report.units:
        numbers = (unit.before_v, unit.after_v, unit.duty_frac, unit.moved_ah, unit.heat_wh)
        shown = [_number(value, decimals) for value, decimals in zip(numbers, (5, 5, 4, 4, 3), strict=True)]
        leak = "" if unit.leak_a is None else f"{unit.leak_a:.5f}"
        rows.writerow([unit.cell, *shown, leak, unit.reason, "yes" if unit.is_stuck else "no"])
    return out.getvalue()


def _number(value: float, decimals: int) -> str:
    return "" if value != value else f"{value:.{decimals}f}"  # noqa: PLR0124  # only NaN differs from itself


def write_report(path: Path, report: Report) -> None:
    """Write a report as the suffix of the path says.

    Raises:
        NotThereError: it cannot be written, or what draws pictures is not installed.
    """
    body = csv_text(report).encode() if path.suffix == ".csv" else _picture(path.suffix, report)
    try:
        with whole_file(path) as sink:
            sink.write(body)
    except OSError as exc:
        raise NotThereError(f"{path}: {exc.strerror or exc}; choose another --out") from exc


def _picture(suffix: str, report: Report) -> bytes:
    try:
        from balancer.hands_on.pictures import drawn  # noqa: PLC0415  # a service's image has no library for it
    except ModuleNotFoundError as exc:
        raise NotThereError(
            f"pictures need {exc.name}; install cellkeeper-balancer[report], or choose --out NAME.csv"
        ) from exc
    return drawn(report, suffix.removeprefix("."))
