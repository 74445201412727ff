"""The chance that a capacity is below 80 % at a later time, from age and what discharges have shown. Closed form.

A unit's capacity over its age a (at design temperature) is taken as

    c(a) = c0 - 0.2 (a / L)^k

with a life L around the design life and some units whose life is much shorter, a bend k from nearly straight to a late
knee, and a first capacity c0 around the rated one. Findings weigh the possible L and k; c0 stays Gaussian for each of
them, so the chance is a sum of normal integrals and needs no random numbers. A straight line through past capacities
is not used: ageing has a knee, and extrapolation was too long in nine of ten trials.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from analytics.readings import Floats

LIMIT_FRAC: Final = 0.80
LOST_AT_L_FRAC: Final = 0.20
LIFE_LN_SD: Final = 0.35  # of lives around the design life; judgement: field lives of VRLA differ at least so much
FIRST_FRAC: Final = 1.0
FIRST_SD_FRAC: Final = 0.03
MODEL_SD_FRAC: Final = 0.02  # what the curve is not
MOST_LOST: Final = 50.0  # of the fifth that is lost at L; far beyond any unit that gives readings
EARLY_SHARE: Final = 0.08  # judgement: premature capacity loss was seen from the second year on in the field
EARLY_LIFE_FRAC: Final = 0.4  # of the design life, the middle of theirs
EARLY_LN_SD: Final = 0.6
_LIFE_LN: Final = np.linspace(np.log(0.08), np.log(2.7), 29)
_BENDS: Final = np.array([1.2, 2.0, 3.5, 6.0])
_UNKNOWN_AGES: Final = np.linspace(0.05, 1.25, 7)  # of the design life, all alike likely


@dataclass(frozen=True, slots=True)
class Shown:
    """What discharges have shown of n units: (H, n) capacities over the rated one, their sd, and how long ago.

    `before_years` counts at design temperature back from now. NaN where there are fewer than H.
    """

    frac: Floats
    sd_frac: Floats
    before_years: Floats


def odds(age_years: Floats, pace: Floats, shown: Shown, design_years: float, ahead_years: tuple[float, ...]) -> Floats:
    """Return the chance (A, n) that each unit's capacity is below 80 % at the times ahead.

    Args:
        age_years: (n,) at design temperature; NaN where it is unknown.
        pace: (n,) years at design temperature that pass in one.
        shown: by discharges.
        design_years: of the battery type.
        ahead_years: A times from now, in calendar years, rising.

    Returns:
        From 0 to 1; NaN where neither age nor capacity is known.
    """
    known = ~np.isnan(age_years)
    has_nothing = ~known & np.isnan(shown.frac).all(axis=0)
    if has_nothing.all():
        return np.full((len(ahead_years), len(age_years)), np.nan)
    life, bend, start, prior = _grid(design_years, with_ages=not known.all())
    # (G, n): of a unit with a known age the points that differ only in the age they assume are all the same.
    age = np.where(known, np.nan_to_num(age_years), start * design_years)
    lost = LOST_AT_L_FRAC * _power(age, life, bend)
    weight, mean, variance = _weighed(prior, age, life, bend, shown)
    chances = []
    for ahead in ahead_years:
        later = LOST_AT_L_FRAC * _power(age + ahead * pace, life, bend)
        sd = np.sqrt(variance + MODEL_SD_FRAC**2 * min(1.0, ahead))
        chances.append((weight * _below((LIMIT_FRAC - (mean - np.maximum(later, lost))) / sd)).sum(axis=0))
    return np.asarray(
        np.where(has_nothing, np.nan, np.clip(np.maximum.accumulate(chances), 0.0, 1.0)), dtype=np.float64
    )


def _grid(design_years: float, *, with_ages: bool) -> tuple[Floats, Floats, Floats, Floats]:
    """Return life, bend, assumed age over the design life, and prior weight of each point, all (G, 1)."""
    ages = _UNKNOWN_AGES if with_ages else _UNKNOWN_AGES[:1]
    life, bend, start = (each.reshape(-1, 1) for each in np.meshgrid(_LIFE_LN, _BENDS, ages, indexing="ij"))
    usual = np.exp(-0.5 * (life / LIFE_LN_SD) ** 2) / LIFE_LN_SD
    early = np.exp(-0.5 * ((life - np.log(EARLY_LIFE_FRAC)) / EARLY_LN_SD) ** 2) / EARLY_LN_SD
    prior = (1.0 - EARLY_SHARE) * usual + EARLY_SHARE * early
    return design_years * np.exp(life), bend, start, prior / prior.sum()


def _below(z: Floats) -> Floats:
    """Return the normal distribution up to z, to 1e-7 (Abramowitz and Stegun, 7.1.26)."""
    x = np.abs(z) / np.sqrt(2.0)
    t = 1.0 / (1.0 + 0.3275911 * x)
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    tail = 0.5 * series * np.exp(-x * x)
    return np.asarray(np.where(z < 0.0, tail, 1.0 - tail))


def _power(age: Floats, life: Floats, bend: Floats) -> Floats:
    return np.asarray(np.minimum(np.power(np.maximum(age, 0.0) / life, bend), MOST_LOST))


def _weighed(prior: Floats, age: Floats, life: Floats, bend: Floats, shown: Shown) -> tuple[Floats, Floats, Floats]:
    """Return for each point (G, n) its weight after the findings, and mean and variance of the first capacity."""
    mean = np.full_like(age, FIRST_FRAC)
    variance = np.full_like(age, FIRST_SD_FRAC**2)
    log_weight = np.log(prior) + np.zeros_like(age)
    for frac, sd_frac, before_years in zip(shown.frac, shown.sd_frac, shown.before_years, strict=True):
        is_there = ~np.isnan(frac)
        if not is_there.any():
            continue
        z = np.where(is_there, frac, 0.0) + LOST_AT_L_FRAC * _power(age - np.nan_to_num(before_years), life, bend)
        r = np.where(is_there, np.square(np.nan_to_num(sd_frac)) + MODEL_SD_FRAC**2, np.inf)
        total = variance + r
        log_weight = log_weight - np.where(is_there, 0.5 * ((z - mean) ** 2 / total + np.log(total)), 0.0)
        gain = np.where(is_there, variance / total, 0.0)
        mean = mean + gain * (z - mean)
        variance = (1.0 - gain) * variance
    weight = np.exp(log_weight - log_weight.max(axis=0))
    return weight / weight.sum(axis=0), mean, variance
