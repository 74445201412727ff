"""Time against constant power of a healthy full cell at reference temperature, per string, on a grid of ln power.

From the maker's table, interpolated monotonously in ln-ln (leaving one point out of a seven-point curve of a gel cell
costs at most 1.2 %), or without a table from capacity alone by two exponents, which is a rule of thumb and says so
with its error bar. All powers are watts of one electrochemical cell.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from cellkeeper.contract.battery_type import BatteryType, PowerRow
from cellkeeper.contract.site import StringTable

from analytics.readings import Floats, Places
from analytics.runtime.pchip import pchip

POINTS: Final = 96
SLOWER, FASTER = np.log(8.0), np.log(2.5)  # beyond the table: its end slopes go on so far, then clip
TABLE_SD: Final = 0.05
GENERIC_SD: Final = 0.12
RULE_SD: Final = 0.20
BEYOND_SD: Final = 0.30  # per factor e of power beyond the table
EXPONENTS: Final = {"lead": (1.12, 1.28), "nickel": (1.06, 1.25), "lithium": (1.02, 1.05)}
"""Typical exponents of t against 1/P from an hour on, and below (stationary batteries; the maker's table wins)."""
RULE_HOURS: Final = np.array([10.0, 5.0, 3.0, 1.0, 0.5, 0.25, 1.0 / 12.0])


def family(chemistry: str) -> str:
    """Return to which family of `EXPONENTS` a chemistry belongs."""
    if chemistry in ("vrla_agm", "vented_lead"):
        return "lead"
    return "nickel" if chemistry in ("nicd", "nizn") else "lithium"


@dataclass(frozen=True, slots=True)
class PowerCurve:
    """One battery's ln seconds over ln watts, both rising along the grid's axis of power, for one end voltage.

    Attributes:
        ln_w: (POINTS,) evenly spaced.
        ln_s: (POINTS,).
        known_ln_w: lowest and highest power that are known; beyond, the bar grows.
        shaped_ln_w: lowest and highest power whose times say something of the cell behind them.
        sd_frac: of the times within it.
        ref_degc: where it holds.
        ah_frac_per_k: by how much the charge grows per kelvin; short discharges gain more, through smaller losses.
    """

    ln_w: Floats
    ln_s: Floats
    known_ln_w: tuple[float, float]
    shaped_ln_w: tuple[float, float]
    sd_frac: float
    ref_degc: float
    ah_frac_per_k: float

    @classmethod
    def of_type(cls, battery: BatteryType, end_v: float) -> Self:
        """Return the curve of a battery type down to `end_v` per cell; between two rows of the table in proportion.

        Above the highest end voltage of the table the trend goes on; below the lowest its row holds: more is unproven.
        """
        rows = sorted(battery.power.row, key=lambda row: row.end_v)
        ln_s = np.log(np.array(battery.power.minutes) * 60.0)
        watts = [np.log(np.array(battery.cell_w(row))) for row in rows]
        known = (min(float(each[-1]) for each in watts), max(float(each[0]) for each in watts))
        grid = np.linspace(known[0] - SLOWER, known[1] + FASTER, POINTS)
        times = np.array([pchip(each[::-1], ln_s[::-1], grid) for each in watts])
        sd = GENERIC_SD if battery.is_generic else TABLE_SD
        times_at_end = _between(rows, times, end_v)
        return cls(grid, times_at_end, known, known, sd, battery.ref_degc, battery.temperature.frac_per_k_3h)

    @classmethod
    def of_rating(cls, string: StringTable) -> Self:
        """Return the rule of two exponents through the rated capacity of a string without a type file."""
        slow, fast = EXPONENTS[family(string.chemistry)]
        rated_ln_w = np.log(string.rated_ah / string.rate_h * string.profile.nominal_v)
        hour_ln_w = rated_ln_w + np.log(string.rate_h) / slow
        known = (float(rated_ln_w), float(hour_ln_w))
        shaped = (float(rated_ln_w), float(hour_ln_w + np.log(12.0) / fast))  # down to five minutes
        grid = np.linspace(shaped[0] - SLOWER, shaped[1] + FASTER, POINTS)
        ln_s = np.log(3600.0) - np.where(grid < hour_ln_w, slow, fast) * (grid - hour_ln_w)
        warmth = 0.006 if family(string.chemistry) == "lead" else 0.005
        return cls(grid, ln_s, known, shaped, RULE_SD, string.ref_degc, warmth)


@dataclass(frozen=True, slots=True)
class PowerCurves:
    """The curves of all strings in one block, so that all units are looked up at once.

    Attributes:
        first_ln_w, step_ln_w: (S,) of each string's grid.
        ln_s: (S, POINTS).
        known_ln_w: (S, 2).
        sd_frac, ref_degc, ah_frac_per_k: (S,).
    """

    first_ln_w: Floats
    step_ln_w: Floats
    ln_s: Floats
    known_ln_w: Floats
    sd_frac: Floats
    ref_degc: Floats
    ah_frac_per_k: Floats

    @classmethod
    def stacked(cls, curves: list[PowerCurve]) -> Self:
        """Return one block of the strings' curves, in order."""
        return cls(
            np.array([curve.ln_w[0] for curve in curves]),
            np.array([curve.ln_w[1] - curve.ln_w[0] for curve in curves]),
            np.array([curve.ln_s for curve in curves]),
            np.array([curve.known_ln_w for curve in curves]),
            np.array([curve.sd_frac for curve in curves]),
            np.array([curve.ref_degc for curve in curves]),
            np.array([curve.ah_frac_per_k for curve in curves]),
        )

    def place(self, string: Places, cell_w: Floats) -> tuple[Places, Floats]:
        """Return the grid point below each power and the fraction of a step above it; both of the shape of cell_w."""
        with np.errstate(divide="ignore", invalid="ignore"):
            at = (np.log(cell_w) - self.first_ln_w[string]) / self.step_ln_w[string]
        at = np.fmin(np.fmax(at, 0.0), POINTS - 1.000001)  # NaN becomes the first
        below = at.astype(np.intp)
        return below, at - below

    def seconds(self, string: Places, cell_w: Floats) -> tuple[Floats, Floats]:
        """Return the time at each power, and the local exponent k of t ~ P^-k.

        Args:
            string: place of the string, any shape.
            cell_w: watts of one electrochemical cell, the same shape; NaN gives NaN.
        """
        below, part = self.place(string, cell_w)
        low, high = self.ln_s[string, below], self.ln_s[string, below + 1]
        seconds = np.exp(low + part * (high - low)) + 0.0 * cell_w
        return np.asarray(seconds), self.exponent(string, below)

    def exponent(self, string: Places, below: Places) -> Floats:
        """Return the local exponent k of t ~ P^-k above a grid point; places of strings and points, any shape."""
        return np.asarray((self.ln_s[string, below] - self.ln_s[string, below + 1]) / self.step_ln_w[string])

    def relative_sd(self, string: Places, cell_w: Floats) -> Floats:
        """Return the sd of these times as a fraction; it grows beyond the table."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ln_w = np.log(cell_w)
        low, high = self.known_ln_w[string, 0], self.known_ln_w[string, 1]
        beyond = np.maximum(np.maximum(low - ln_w, ln_w - high), 0.0)
        return np.asarray(np.hypot(self.sd_frac[string], BEYOND_SD * beyond))


def _between(rows: list[PowerRow], times: Floats, end_v: float) -> Floats:
    """Return the (POINTS,) times at `end_v` from those of the rows (R, POINTS)."""
    levels = np.array([row.end_v for row in rows])
    if len(rows) == 1 or end_v <= levels[0]:
        return np.asarray(times[0])
    upper = int(np.clip(np.searchsorted(levels, end_v), 1, len(rows) - 1))
    part = (end_v - levels[upper - 1]) / (levels[upper] - levels[upper - 1])
    return np.asarray(times[upper - 1] + part * (times[upper] - times[upper - 1]))
