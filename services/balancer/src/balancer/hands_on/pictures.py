"""The pictures of a report. The only file that knows matplotlib.

Colours are Okabe and Ito's; phases differ in brightness too, and are named in the legend.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from io import BytesIO
from itertools import groupby
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from cellkeeper.contract.moment import from_ms
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from balancer.hands_on.history import Course, Grid
from balancer.hands_on.report import HELD_OUT, Report

SIZE_IN: Final = (11.0, 13.0)
DPI: Final = 120
LINE: Final = "#0072B2"
COMPARED: Final = "#D55E00"
OTHERS: Final = "#B0B0B0"
STUCK: Final = "#D55E00"
LEFT_ALONE: Final = "#E69F00"
PHASES: Final = {
    "float": ("#56B4E9", 0.30),
    "final": ("#009E73", 0.30),
    "charge": ("#E69F00", 0.30),
    "discharge": ("#D55E00", 0.45),
    "test": ("#CC79A7", 0.45),
    "idle": ("#B0B0B0", 0.20),
    "unknown": ("#B0B0B0", 0.50),
}
LEAST_SCALE_PERCENT: Final = 10.0  # a trickle does not look like a flood
MOST_NAMED: Final = 6  # lines with a name of their own


def drawn(report: Report, form: str) -> bytes:
    """Return the four pictures of a report on one page, as `svg` or `png`."""
    figure = Figure(figsize=SIZE_IN, dpi=DPI, layout="constrained")
    spread, deviation, duty, charge = figure.subplots(4, 1)
    _spread(spread, report)
    _deviation(deviation, report)
    _duty(duty, report.duty_frac)
    _charge(charge, report)
    for axes in (spread, deviation, duty):
        locator = AutoDateLocator()  # type: ignore[no-untyped-call]  # matplotlib has no types for it
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
        axes.set_xlim(_at(report.course.at_ms[0]), _at(report.course.at_ms[-1]))
    figure.suptitle(f"Balancing of {report.string} (times are UTC)", fontsize=14)
    page = BytesIO()
    with mpl.rc_context({"svg.hashsalt": "cellkeeper", "svg.fonttype": "none"}):  # the same report is the same file
        figure.savefig(page, format=form, metadata={"Date": None} if form == "svg" else None)
    return page.getvalue()


def _at(ms: int) -> datetime:
    return from_ms(int(ms))


def _times(at_ms: Any) -> Any:  # noqa: ANN401  # arrays of numpy
    return np.asarray(at_ms, "datetime64[ms]")


def _spread(axes: Axes, report: Report) -> None:
    course = report.course
    shown = set()
    for phase, start_ms, end_ms in _stretches(course, course.phase):
        colour, alpha = PHASES.get(phase, PHASES["unknown"])
        axes.axvspan(
            _at(start_ms), _at(end_ms), color=colour, alpha=alpha, lw=0,  # type: ignore[arg-type]  # dates are taken
            label=None if phase in shown else phase,
        )  # fmt: skip
        shown.add(phase)
    for at, (_, start_ms, end_ms) in enumerate(each for each in _stretches(course, course.inhibit) if each[0]):
        axes.axvspan(
            _at(start_ms), _at(end_ms), facecolor="none", edgecolor="#606060", hatch="//", lw=0, alpha=0.5,  # type: ignore[arg-type]  # dates are taken
            label=None if at else "nothing is bled",
        )  # fmt: skip
    axes.plot(_times(course.at_ms), course.numbers["spread_v"] * 1000.0, color=LINE, lw=1.6, label="spread")
    held_out = course.numbers["held_out_spread_v"]
    if np.isfinite(held_out).any():
        axes.plot(_times(course.at_ms), held_out * 1000.0, color=COMPARED, ls="--", lw=1.6, label="never bled")
    axes.set_ylim(bottom=0.0)
    axes.set(title="Spread: highest minus lowest unit; the ground is the phase", ylabel="mV")
    axes.legend(loc="upper right", ncols=4, fontsize=8)


def _stretches(course: Course, words: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """Yield word, begin and end of each stretch of one word."""
    for word, group in groupby(enumerate(words), key=lambda each: each[1]):
        rows = [at for at, _ in group]
        after = min(rows[-1] + 1, len(course) - 1)
        yield word, int(course.at_ms[rows[0]]), int(course.at_ms[after])


def _deviation(axes: Axes, report: Report) -> None:
    grid = report.deviation_v
    times = _times(grid.at_ms)
    left_alone = [unit.cell for unit in report.units if unit.reason == HELD_OUT]
    stuck = [unit.cell for unit in report.units if unit.is_stuck]
    for column in range(grid.values.shape[1]):
        if column + 1 not in {*stuck, *left_alone}:
            axes.plot(times, grid.values[:, column] * 1000.0, color=OTHERS, lw=0.7, alpha=0.8)
    for cell in left_alone:
        named = "never bled" if cell == left_alone[0] else None
        axes.plot(times, grid.values[:, cell - 1] * 1000.0, color=LEFT_ALONE, ls="--", lw=1.4, label=named)
    for cell in stuck:
        named = f"cell {cell} does not converge" if cell in stuck[:MOST_NAMED] else None
        axes.plot(times, grid.values[:, cell - 1] * 1000.0, color=STUCK, lw=1.6, label=named)
    axes.axhline(0.0, color="black", lw=0.6)
    axes.set(title="Units: deviation from the mean of those that count", ylabel="mV")
    if stuck or left_alone:
        axes.legend(loc="upper right", ncols=2, fontsize=8)


def _duty(axes: Axes, grid: Grid) -> None:
    units = grid.values.shape[1]
    axes.set(title="Bleed duty", ylabel="cell", ylim=(units + 0.5, 0.5))
    if len(grid.at_ms) < 2:
        axes.text(0.5, 0.5, "no duty in this range", transform=axes.transAxes, ha="center")
        return
    step_ms = int(np.median(np.diff(grid.at_ms)))
    edges = _times(np.append(grid.at_ms, grid.at_ms[-1] + step_ms))
    percent = grid.values.T * 100.0
    highest = max(LEAST_SCALE_PERCENT, float(np.nanmax(percent, initial=0.0)))
    image = axes.pcolormesh(
        edges, np.arange(units + 1) + 0.5, percent, cmap="cividis", vmin=0.0, vmax=highest, rasterized=True
    )
    if axes.figure is not None:
        axes.figure.colorbar(image, ax=axes, label="%", pad=0.01)


def _charge(axes: Axes, report: Report) -> None:
    cells = np.array([unit.cell for unit in report.units])
    moved = np.array([unit.moved_ah for unit in report.units])
    since = "" if report.counted_from_ms is None else f" since {_at(report.counted_from_ms):%Y-%m-%d %H:%M}"
    axes.set(title=f"Charge moved{since}", xlabel="cell", ylabel="Ah", xlim=(0.4, len(cells) + 0.6))
    if np.isnan(moved).all():
        axes.text(0.5, 0.5, "nobody counted in this range", transform=axes.transAxes, ha="center")
        return
    colours = [STUCK if unit.is_stuck else LINE for unit in report.units]
    axes.bar(cells, np.nan_to_num(moved), color=colours, width=0.8)
