"""What is believed of the units' charge and capacity, with what is missing filled in so that nothing gets rosier."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from analytics.believed import Believed
from analytics.readings import Floats, Places
from analytics.runtime.rules import RuntimeRules

UNPROVEN_SOH: Final = 0.90  # between a new battery and the end of its life
UNPROVEN_SOH_SD: Final = 0.10
MIN_COVERAGE_FRAC: Final = 0.8
UNSEEN_SOC_SD: Final = 0.10


@dataclass(frozen=True, slots=True)
class Units:
    """The units of D strings that are judged now, U of them.

    Attributes:
        at: (U,) places among all units.
        row: (U,) which of the D strings, rising.
        count: (D,) units of each.
        string: (D,) place of the string.
        soc_frac, soc_sd_frac, soh_frac, soh_sd_frac, degc: (U,) without gaps, except where a string's are unknown.
    """

    at: Places
    row: Places
    count: Floats
    string: Places
    soc_frac: Floats
    soc_sd_frac: Floats
    soh_frac: Floats
    soh_sd_frac: Floats
    degc: Floats


def units_of(string: Places, degc: Floats, ambient_degc: Floats, believed: Believed, rules: RuntimeRules) -> Units:
    """Return the units of these strings (D,), with their temperatures (N,) and that of their rooms (S,).

    A unit without a known charge counts as the emptiest of its string; with too few known the whole string is unknown.
    A capacity that is not proven counts as between new and the end of life. A missing temperature is the string's mean,
    else the room's, else the reference.
    """
    layout = rules.layout
    row_of = np.full(len(layout.strings), -1, dtype=np.intp)
    row_of[string] = np.arange(len(string))
    at = np.flatnonzero(row_of[layout.string_of] >= 0)
    row = row_of[layout.string_of[at]]
    count = np.bincount(row, minlength=len(string)).astype(np.float64)
    soc, soc_sd = _charge(row, count, believed.soc_frac[at], believed.soc_sd_frac[at])
    soh, soh_sd = believed.soh_frac[at], believed.soh_sd_frac[at]
    unproven = ~(soh > 0.0)
    rest = np.where(np.isnan(ambient_degc), rules.curves.ref_degc, ambient_degc)[string]
    return Units(
        at=at,
        row=row,
        count=count,
        string=string,
        soc_frac=soc,
        soc_sd_frac=soc_sd,
        soh_frac=np.where(unproven, UNPROVEN_SOH, np.clip(soh, 0.05, 1.5)),
        soh_sd_frac=np.where(unproven | np.isnan(soh_sd), UNPROVEN_SOH_SD, soh_sd),
        degc=_warmth(row, degc[at], rest),
    )


def _charge(row: Places, count: Floats, soc: Floats, soc_sd: Floats) -> tuple[Floats, Floats]:
    known = ~np.isnan(soc)
    lowest = np.full(len(count), np.inf)
    np.minimum.at(lowest, row[known], soc[known])
    enough = np.bincount(row, known, len(count)) >= MIN_COVERAGE_FRAC * count
    fill = np.where(enough & np.isfinite(lowest), lowest, np.nan)[row]
    filled = np.where(known, soc, fill) + 0.0 * fill
    sd = np.where(known & ~np.isnan(soc_sd), soc_sd, UNSEEN_SOC_SD)
    return np.clip(filled, 0.0, 1.0), sd


def _warmth(row: Places, degc: Floats, rest_degc: Floats) -> Floats:
    known = ~np.isnan(degc)
    seen = np.bincount(row, known, len(rest_degc))
    total = np.bincount(row, np.where(known, degc, 0.0), len(rest_degc))
    mean = np.where(seen > 0.0, total / np.maximum(seen, 1.0), rest_degc)
    return np.where(known, degc, mean[row])
