"""Carry strings on at constant power until units and bus are at their limits; all strings and steps in one go.

Units of a string are in series: all give the same charge, so the walk is in steps of charge, and the time follows.
With charge x gone, each column of cells has left d = d0 - x / q, and

    v = rested(d) - i r loss(d) built(t),   i = P / sum(v)  (a quadratic in the string's voltage),

where r falls with the cells' own heat and built(t) is the part of the losses that has built up since the load came. A
string whose quadratic has no solution cannot carry the power at all from there on.
"""

from dataclasses import dataclass, fields
from typing import Final, Self

import numpy as np

from analytics.readings import Floats, Places
from analytics.runtime.cell_shape import LOWEST_FRAC, PER_FRAC, SHAPE_POINTS, CellShape

STEPS: Final = 64
MOST_WARMER_K: Final = 20.0  # in hours heat leaves the cells
BEYOND_FRAC: Final = 0.11  # of the largest column: into the cliff, where every limit is


@dataclass(frozen=True, slots=True)
class Shapes:
    """Cell shapes of S strings: `rested_v`, `loss` (S, SHAPE_POINTS), the others (S,); `j_per_k` is of one cell."""

    rested_v: Floats
    loss: Floats
    slow_frac: Floats
    slow_s: Floats
    ohm_frac_per_k: Floats
    j_per_k: Floats

    @classmethod
    def of(cls, shapes: list[CellShape], rated_ah: Floats) -> Self:
        """Return the shapes of strings of cells of these sizes (S,)."""
        return cls(
            np.array([shape.rested_v for shape in shapes]),
            np.array([shape.loss for shape in shapes]),
            np.array([shape.slow_frac for shape in shapes]),
            np.array([shape.slow_s for shape in shapes]),
            np.array([shape.ohm_frac_per_k for shape in shapes]),
            np.array([shape.j_per_k_ah for shape in shapes]) * rated_ah,
        )

    def some(self, string: Places) -> Self:
        """Return the shapes of some of the strings."""
        return type(self)(*(getattr(self, field.name)[string] for field in fields(self)))

    def read(self, string: Places, left_frac: Floats) -> tuple[Floats, Floats]:
        """Return rested volts and loss factor, clipped to the shape; NaN gives NaN.

        Args:
            string: places, of a shape that broadcasts with the next.
            left_frac: charge that is left, any shape.
        """
        at = np.clip((left_frac - LOWEST_FRAC) * PER_FRAC, 0.0, SHAPE_POINTS - 1.000001)
        below = np.fmax(at, 0.0).astype(np.intp)  # NaN becomes a place, and stays in what is read there
        part = at - below
        low_v, low = self.rested_v[string, below], self.loss[string, below]
        return (
            low_v + part * (self.rested_v[string, below + 1] - low_v),
            low + part * (self.loss[string, below + 1] - low),
        )

    def built(self, loaded_s: Floats) -> Floats:
        """Return which part of the losses has built up `loaded_s` (S, ...) after the load came."""
        tail = (-1,) + (1,) * (loaded_s.ndim - 1)
        return np.asarray(1.0 - self.slow_frac.reshape(tail) * np.exp(-loaded_s / self.slow_s.reshape(tail)))


@dataclass(frozen=True, slots=True)
class Columns:
    """Groups of alike units of S strings, C columns each; values of one electrochemical cell.

    Attributes:
        cells: (S, C) electrochemical cells in the group; 0 where a string has fewer groups.
        left_frac: (S, C) charge that is left as part of `ah`.
        ah: (S, C) charge of a full cell at this power and temperature.
        ohm: (S, C) losses of a full cell, fully built up.
    """

    cells: Floats
    left_frac: Floats
    ah: Floats
    ohm: Floats


@dataclass(frozen=True, slots=True)
class Ends:
    """When it ends.

    Attributes:
        column_s: (S, C) each column at its limit.
        bus_s: (S,) the sum of all at its own, behind the wiring.
        wiring_s: (S,) by how much that is earlier than without any wiring.
    """

    column_s: Floats
    bus_s: Floats
    wiring_s: Floats


def project(
    columns: Columns, shapes: Shapes, load: tuple[Floats, Floats], limits: tuple[Floats, Floats, Floats]
) -> Ends:
    """Return how long strings last.

    Args:
        columns: their cells.
        shapes: of their chemistries.
        load: watts of the whole string (S,), and for how many seconds it has been on (S,).
        limits: volts of one cell (S,) and of the bus (S,), and ohms of the wiring between string and bus (S,).

    Returns:
        Seconds, 0 where a limit is passed already; NaN where an input is.
    """
    power_w, loaded_s = load
    reach_ah = np.max(np.where(columns.cells > 0.0, (columns.left_frac + BEYOND_FRAC) * columns.ah, 0.0), axis=1)
    gone_ah = np.maximum(reach_ah, 0.0)[:, None] * np.linspace(0.0, 1.0, STEPS)
    left = columns.left_frac[:, :, None] - gone_ah[:, None, :] / columns.ah[:, :, None]
    rested_v, loss = shapes.read(np.arange(len(power_w))[:, None, None], left)
    about_a = power_w / np.sum(columns.cells * rested_v[:, :, 0], axis=1)
    after_s = loaded_s[:, None] + gone_ah * (3600.0 / about_a)[:, None]
    ohm = columns.ohm[:, :, None] * loss * shapes.built(after_s)[:, None, :]
    ohm = ohm * _warmed(ohm, gone_ah, about_a, shapes)
    behind_v = np.einsum("sc,scm->sm", columns.cells, rested_v)
    string_ohm = np.einsum("sc,scm->sm", columns.cells, ohm)
    root = behind_v**2 - 4.0 * power_w[:, None] * string_ohm
    string_v = 0.5 * (behind_v + np.sqrt(np.maximum(root, 0.0)))
    # without a solution the string gives its most power at half its voltage, and that is its end
    string_v = np.where(root < 0.0, np.minimum(string_v, 0.5 * behind_v), string_v)
    string_a = power_w[:, None] / np.maximum(string_v, 1e-9)
    step_s = np.diff(gone_ah, axis=1) * 1800.0 * (1.0 / string_a[:, 1:] + 1.0 / string_a[:, :-1])
    at_s = np.concatenate([np.zeros((len(power_w), 1)), np.cumsum(step_s, axis=1)], axis=1)
    cell_v = rested_v - string_a[:, None, :] * ohm
    stuck = np.minimum.accumulate(np.where(root < 0.0, -np.inf, np.inf), axis=1)  # after a collapse nothing comes back
    column_s = _first_below(np.minimum(cell_v, stuck[:, None, :]), limits[0][:, None], at_s[:, None, :])
    bus_v = string_v - limits[2][:, None] * string_a
    bus_s, without_s = (_first_below(np.minimum(v, stuck), limits[1], at_s) for v in (bus_v, string_v))
    unknown = np.where(np.isnan(power_w), np.nan, 0.0)
    column_s = np.where(columns.cells > 0.0, column_s, np.inf)
    return Ends(column_s + unknown[:, None], bus_s + unknown, without_s - bus_s)


def _warmed(ohm: Floats, gone_ah: Floats, about_a: Floats, shapes: Shapes) -> Floats:
    """Return by which factor the losses (S, C, M) fall through their own heat, none of which has left the cells yet."""
    step_ah = np.diff(gone_ah, axis=1, prepend=0.0)
    warmer_k = np.cumsum(ohm * step_ah[:, None, :], axis=2) * (3600.0 * about_a / shapes.j_per_k)[:, None, None]
    return np.exp(-shapes.ohm_frac_per_k[:, None, None] * np.minimum(warmer_k, MOST_WARMER_K))


def _first_below(volts: Floats, limit_v: Floats, at_s: Floats) -> Floats:
    """Return the time of the first crossing along the last axis, straight between two steps; the last where none is."""
    below = volts < limit_v[..., None]
    first = np.where(below.any(axis=-1), np.argmax(below, axis=-1), volts.shape[-1] - 1)
    before = np.maximum(first - 1, 0)
    at_s = np.broadcast_to(at_s, volts.shape)

    def pick(values: Floats, place: Places) -> Floats:
        return np.asarray(np.take_along_axis(values, place[..., None], axis=-1)[..., 0])

    above_v, under_v = pick(volts, before), pick(volts, first)
    with np.errstate(invalid="ignore", divide="ignore"):
        part = np.clip((above_v - limit_v) / (above_v - under_v), 0.0, 1.0)
    part = np.where(np.isfinite(part), part, 0.0)  # a collapse is at the step before it
    return np.asarray(pick(at_s, before) + part * (pick(at_s, first) - pick(at_s, before)))
