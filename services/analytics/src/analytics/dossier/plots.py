"""The pictures of a dossier as plots: course, first minute, all units, spread and temperatures, trend. Pure."""

from dataclasses import replace
from typing import Final

import numpy as np

from analytics.dossier.gaps import broken, gaps_in, with_breaks
from analytics.dossier.model import Dossier
from analytics.paper.plot import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PALE,
    PURPLE,
    SKY,
    VERMILION,
    Band,
    Bars,
    Dash,
    Level,
    Line,
    Panel,
    Plot,
    time_axis,
)
from analytics.readings import Flags, Floats, Places

FIRST_S: Final = 60.0
BEFORE_S: Final = 10.0
FEWEST_SHOWN: Final = 12  # samples of a slow source
NAMED_UNITS: Final = 3
MANY_UNITS: Final = 60  # above it, lines of single units are thinner
_LOOKS: Final[tuple[tuple[str, Dash], ...]] = ((VERMILION, "-"), (ORANGE, "--"), (PURPLE, "-."))


def course_plot(dossier: Dossier) -> Plot | None:
    """Return voltage, current and power of the string as far as they are known; None when nothing is."""
    curves = dossier.curves
    rows = _until_the_end(dossier)
    x, label = time_axis(broken(curves.t_s, rows))
    end_v = dossier.basis.context.end_v * curves.units
    volts = Panel(
        f"String voltage ({curves.string_v_from})",
        "V",
        lines=(Line(x, broken(curves.string_v, rows)),),
        levels=(Level(end_v, f"end voltage {end_v:.1f} V", VERMILION),),
        height=1.5,
        x_zero=True,
    )
    amps = Panel(
        "Current (positive discharges)", "A", lines=(Line(x, broken(curves.current_a, rows), GREEN),), x_zero=True
    )
    power = Panel("Power", "kW", lines=(Line(x, broken(curves.power_w, rows) / 1000.0, ORANGE),), x_zero=True)
    known = [broken(each, rows) for each in (curves.string_v, curves.current_a, curves.power_w)]
    shown = [each for each, y in zip((volts, amps, power), known, strict=True) if np.isfinite(y).any()]
    if not shown:
        return None
    return Plot((*shown[:-1], replace(shown[-1], x_label=label)), height_mm=33.0 * len(shown))


def onset_plot(dossier: Dossier) -> Plot | None:
    """Return the voltage of the string around the onset, with the coup de fouet; None when it is not known."""
    curves, dip = dossier.curves, dossier.dip
    early = curves.t_s[curves.inside][:FEWEST_SHOWN]
    until_s = max(FIRST_S, early[-1] if len(early) else 0.0, 0.0 if dip is None else 1.3 * dip.at_s)
    rows = _shown(dossier, (curves.t_s >= -BEFORE_S) & (curves.t_s <= until_s))
    if not np.isfinite(broken(curves.string_v, rows)).any():
        return None
    lines = [Line(broken(curves.t_s, rows), broken(curves.string_v, rows), marked=len(rows) < 40)]
    levels: tuple[Level, ...] = ()
    if dip is not None and dip.at_s <= until_s:
        lines.append(Line(np.array([dip.at_s]), np.array([dip.lowest_v]), VERMILION, name="lowest", marked=True))
        levels = (Level(dip.recovered_v, f"recovers to {dip.recovered_v:.2f} V", GREEN),)
    title = "First minute: string voltage" if until_s <= FIRST_S else "Onset: string voltage"
    panel = Panel(title, "V", "seconds after the onset", tuple(lines), levels=levels, x_zero=True)
    return Plot((panel,), height_mm=52.0)


def units_plot(dossier: Dossier) -> Plot:
    """Return the voltages of all units, the weakest named."""
    end_v, rows = dossier.basis.context.end_v, _until_the_end(dossier)
    x, label = time_axis(broken(dossier.curves.t_s, rows))
    unit_v = broken(dossier.curves.unit_v, rows)
    named = [row.cell for row in dossier.units[:NAMED_UNITS] if row.end_v is not None]
    others = [at for at in range(dossier.curves.units) if at + 1 not in named]
    lines = []
    if others:
        width = 0.4 if dossier.curves.units > MANY_UNITS else 0.7
        lines.append(Line(x, unit_v[:, others], PALE, width, name=f"{len(others)} others"))
    lines.append(Line(x, _middle(unit_v), INK, 1.0, ":", "median"))
    for cell, (colour, dash) in zip(named, _LOOKS, strict=False):
        lines.append(Line(x, unit_v[:, cell - 1], colour, 1.3, dash, f"cell {cell}"))
    level = Level(end_v, f"end voltage {end_v:.2f} V", BLUE)
    panel = Panel("All units, the weakest coloured", "V", label, tuple(lines), levels=(level,), x_zero=True)
    return Plot((replace(panel, legend_columns=6),), height_mm=92.0)


def evenness_plot(dossier: Dossier) -> Plot:
    """Return the spread of the units and their temperatures."""
    rows = _until_the_end(dossier)
    x, label = time_axis(broken(dossier.curves.t_s, rows))
    degc = broken(dossier.curves.degc, rows)
    spread = Panel(
        "Spread: highest minus lowest unit",
        "V",
        lines=(Line(x, broken(dossier.curves.spread_v, rows)),),
        x_zero=True,
        y_zero=True,
    )
    low, high = _border(degc, -1.0), _border(degc, 1.0)
    lines = [Line(x, _middle(degc), INK, 1.0, name="median of the poles")]
    ambient = broken(dossier.curves.ambient_degc, rows)
    if np.isfinite(ambient).any():
        lines.append(Line(x, ambient, GREEN, 1.0, "--", "room"))
    warmth = Panel(
        "Temperature at the negative poles",
        "°C",
        label,
        tuple(lines),
        (Band(x, low, high, SKY, "coldest to warmest unit"),),
        x_zero=True,
    )
    return Plot((spread, warmth), height_mm=92.0)


def trend_plot(dossier: Dossier) -> Plot | None:
    """Return capacities of earlier discharges and this one; None with fewer than two."""
    known = [(e.began_s, e.capacity_frac, e.capacity_sd_frac, e.proof) for e in dossier.basis.earlier]
    capacity = dossier.capacity
    told = capacity.frac if capacity.proof != "not_proven" else None
    known.append((dossier.basis.record.began_s, told, capacity.sd_frac, capacity.proof))
    shown = [each for each in known if each[3] in {"proven", "indicative"}]  # "at least" is no point of a trend
    points = [(at, 100.0 * frac, 200.0 * (sd or 0.0), proof) for at, frac, sd, proof in shown if frac is not None]
    if len(points) < 2:
        return None
    bars = []
    for colour, proof in ((BLUE, "proven"), (ORANGE, "indicative")):
        chosen = np.array([(at, frac, error) for at, frac, error, of in points if of == proof]).reshape(-1, 3)
        if len(chosen):
            bars.append(Bars(chosen[:, 0], chosen[:, 1], chosen[:, 2], colour, proof))
    levels = (Level(90.0, "90 % pass", GREEN), Level(80.0, "80 % end of life", VERMILION))
    panel = Panel("Capacity of the string", "% of rated", "date (UTC)", bars=tuple(bars), levels=levels, times=True)
    return Plot((panel,), height_mm=58.0)


def _until_the_end(dossier: Dossier) -> Places:
    """Return the samples that are shown: what came after the end says nothing and would squeeze the axes."""
    return _shown(dossier, dossier.curves.t_s <= dossier.duration_s)


def _shown(dossier: Dossier, rows: Flags) -> Places:
    """Return the places of samples with breaks where nothing was read: a line across would be invented."""
    return with_breaks(rows, gaps_in(dossier.curves.t_s, dossier.basis.record.missing_s))


def _middle(values: Floats) -> Floats:
    """Return the median of each row, NaN where nothing is known."""
    found = np.full(len(values), np.nan)
    rows = np.isfinite(values).any(axis=1)
    found[rows] = np.nanmedian(values[rows], axis=1)
    return found


def _border(values: Floats, sign: float) -> Floats:
    """Return the highest (sign 1) or lowest (sign -1) of each row, NaN where nothing is known."""
    best = np.where(np.isfinite(values), sign * values, -np.inf).max(axis=1, initial=-np.inf)
    return np.where(np.isfinite(best), sign * best, np.nan)
