"""Draws plots as PNG or SVG. The only file of this service that knows matplotlib.

The same plot gives the same bytes.
"""

from io import BytesIO
from pathlib import Path
from typing import Any, Final, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from analytics.paper.plot import GREY, INK, Band, Bars, Line, Panel, Plot
from analytics.readings import Floats

DPI: Final = 200
MM_PER_INCH: Final = 25.4
PACKED: Final = 1  # of a picture: the page that it goes onto packs it again, and well
LEGEND_BESIDE: Final = 3  # more names than these do not fit beside the title
LIFTED_PT: Final = 17.0
LEGEND_FROM: Final = 2  # one line needs no legend when the title says what it is
LOOK: Final = {
    "font.family": "DejaVu Sans",
    "font.size": 7.0,
    "axes.titlesize": 7.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 7.0,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E4E7EA",
    "grid.linewidth": 0.5,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 6.5,
    "axes.formatter.useoffset": False,
    "svg.hashsalt": "cellkeeper",
    "svg.fonttype": "none",
    "path.simplify_threshold": 0.5,
    "timezone": "UTC",
}


def drawn(plot: Plot, form: Literal["png", "svg"] = "png", dpi: int = DPI) -> bytes:
    """Return a plot as a picture."""
    with mpl.rc_context(LOOK):  # type: ignore[arg-type]  # every value is one of its own
        size = (plot.width_mm / MM_PER_INCH, plot.height_mm / MM_PER_INCH)
        figure = Figure(figsize=size, dpi=dpi, layout="constrained")
        heights = [panel.height for panel in plot.panels]
        axes = figure.subplots(
            len(plot.panels), 1, sharex=plot.share_x, squeeze=False, gridspec_kw={"height_ratios": heights}
        )[:, 0]
        for each, panel in zip(axes, plot.panels, strict=True):
            _panel(each, panel)
        if plot.title:
            figure.suptitle(plot.title, fontsize=9, fontweight="bold")
        figure.align_ylabels(axes)
        page = BytesIO()
        if form == "svg":
            figure.savefig(page, format=form, metadata={"Date": None})
        else:
            figure.savefig(page, format=form, metadata={"Software": None}, pil_kwargs={"compress_level": PACKED})
    return page.getvalue()


def font_file(*, bold: bool = False) -> Path:
    """Return the file of the typeface in which plots are labelled, so that pages can use the same one."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return Path(mpl.get_data_path()) / "fonts" / "ttf" / name


def _panel(axes: Axes, panel: Panel) -> None:
    for band in panel.bands:
        _band(axes, band, panel)
    _stretches(axes, panel)
    for line in panel.lines:
        _line(axes, line, panel)
    for bars in panel.bars:
        _bars(axes, bars, panel)
    for level in panel.levels:
        axes.axhline(level.y, color=level.colour, lw=0.9, ls=(0, (6, 2)), label=level.name)
    above = len(panel.levels) + sum(bool(line.name) for line in panel.lines) + sum(bool(b.name) for b in panel.bands)
    axes.set_title(panel.title, pad=LIFTED_PT if above > LEGEND_BESIDE else None)
    axes.set(ylabel=panel.y_label, xlabel=panel.x_label)
    axes.margins(x=0.01)
    if panel.x_zero:
        axes.axvline(0.0, color=GREY, lw=0.7)
    if panel.y_zero:
        axes.set_ylim(bottom=0.0)
    if panel.times:
        _dates(axes)
    _legend(axes, panel)


def _dates(axes: Axes) -> None:
    locator = AutoDateLocator()  # type: ignore[no-untyped-call]  # matplotlib has no types for it
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


def _stretches(axes: Axes, panel: Panel) -> None:
    for at, each in enumerate(panel.stretches):
        start, end = _x(np.array([each.start, each.end]), panel)
        axes.axvspan(start, end, color=each.colour, alpha=0.15, lw=0, label=None if at else panel.stretch_name or None)


def _line(axes: Axes, line: Line, panel: Panel) -> None:
    marker = "o" if line.marked else None
    x, y = _x(line.x, panel), line.y
    if y.ndim == 2 and not panel.times:  # many lines as one with gaps: hundreds of them take a third of a page's time
        x = np.tile(np.append(x, np.nan), y.shape[1])
        y = np.vstack([y, np.full((1, y.shape[1]), np.nan)]).T.ravel()
    found = axes.plot(x, y, color=line.colour, lw=line.width, ls=line.dash, marker=marker, ms=3)
    if line.name:
        found[0].set_label(line.name)


def _legend(axes: Axes, panel: Panel) -> None:
    handles, _ = axes.get_legend_handles_labels()
    if len(handles) >= LEGEND_FROM or panel.levels:
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=panel.legend_columns, borderaxespad=0.1)


def _band(axes: Axes, band: Band, panel: Panel) -> None:
    axes.fill_between(
        _x(band.x, panel), band.lower, band.upper, color=band.colour, alpha=0.35, lw=0, label=band.name or None
    )


def _bars(axes: Axes, bars: Bars, panel: Panel) -> None:
    axes.errorbar(
        _x(bars.x, panel), bars.y, yerr=bars.error, color=bars.colour, fmt="o", ms=4, capsize=3, lw=1.0,
        label=bars.name or None,
    )  # fmt: skip


def _x(x: Floats, panel: Panel) -> Any:  # noqa: ANN401  # arrays of numbers or of times
    return np.asarray(np.round(x * 1000.0), "datetime64[ms]") if panel.times else x
