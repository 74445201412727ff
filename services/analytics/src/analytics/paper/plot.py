"""A plot as data: panels below each other with lines, marks and limits. Pure; `drawing.py` draws it.

Colours are Okabe and Ito's, which people with any kind of colour vision tell apart; every coloured line also has a name
and, where several meet, a dash of its own.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from analytics.readings import Floats

BLUE: Final = "#0072B2"
VERMILION: Final = "#D55E00"
ORANGE: Final = "#E69F00"
GREEN: Final = "#009E73"
SKY: Final = "#56B4E9"
PURPLE: Final = "#CC79A7"
GREY: Final = "#9AA0A6"
PALE: Final = "#B0B5BB"
INK: Final = "#202428"

type Dash = Literal["-", "--", ":", "-."]


@dataclass(frozen=True, slots=True)
class Line:
    """One line or several of one look.

    Attributes:
        x: (T,) in the panel's unit.
        y: (T,) or (T, k): k lines; NaN leaves a gap.
        colour, width, dash: its look.
        name: for the legend; empty for none.
        marked: a dot at every point.
    """

    x: Floats
    y: Floats
    colour: str = BLUE
    width: float = 1.2
    dash: Dash = "-"
    name: str = ""
    marked: bool = False


@dataclass(frozen=True, slots=True)
class Band:
    """An area between two lines, or below `upper` down to `lower`."""

    x: Floats
    lower: Floats
    upper: Floats
    colour: str = SKY
    name: str = ""


@dataclass(frozen=True, slots=True)
class Level:
    """A horizontal limit with its name."""

    y: float
    name: str
    colour: str = VERMILION


@dataclass(frozen=True, slots=True)
class Bars:
    """A value with its error at each place."""

    x: Floats
    y: Floats
    error: Floats
    colour: str = BLUE
    name: str = ""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A shaded stretch of x, from `start` to `end`, in every panel that has it."""

    start: float
    end: float
    colour: str = VERMILION


@dataclass(frozen=True, slots=True)
class Panel:
    """One pair of axes.

    Attributes:
        title: what it shows, in a few words.
        y_label: quantity and unit.
        x_label: the same; empty where the panel below has it.
        stretches, stretch_name: shaded parts and what they are.
        height: relative to the others.
        times: whether x is seconds since 1970 and shown as dates.
        x_zero, y_zero: marks the onset; begins at zero.
    """

    title: str
    y_label: str
    x_label: str = ""
    lines: tuple[Line, ...] = ()
    bands: tuple[Band, ...] = ()
    levels: tuple[Level, ...] = ()
    bars: tuple[Bars, ...] = ()
    stretches: tuple[Stretch, ...] = ()
    stretch_name: str = ""
    height: float = 1.0
    times: bool = False
    x_zero: bool = False
    y_zero: bool = False
    legend_columns: int = 4


@dataclass(frozen=True, slots=True)
class Plot:
    """Panels of one picture; millimetres."""

    panels: tuple[Panel, ...]
    width_mm: float = 170.0
    height_mm: float = 80.0
    share_x: bool = True
    title: str = ""


def time_axis(t_s: Floats) -> tuple[Floats, str]:
    """Return seconds in the unit that suits their span, and its label; NaN breaks a line and stays."""
    known_s = t_s[np.isfinite(t_s)]
    span_s = float(np.ptp(known_s)) if len(known_s) else 0.0
    if span_s < 180.0:
        return t_s, "seconds after the onset"
    if span_s < 3 * 3600.0:
        return t_s / 60.0, "minutes after the onset"
    return t_s / 3600.0, "hours after the onset"
