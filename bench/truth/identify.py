"""Find the tables of a cell from runs of it in which charge is known: rested volts, three resistances, two times.

For given times the model is linear in everything else, so one least-squares fit finds all tables together; the times
are chosen from a small grid. Tables are piecewise linear over charge; where a run never was they go on straight.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import numpy as np
from analytics.soc.memory import REFERENCE_DEGC
from analytics.soc.polarisation import BRANCH_PER_FRAC, resistance_factor

from bench.truth.run import Floats, Run

TAU1_S: Final = (10.0, 40.0, 80.0)
TAU2_S: Final = (150.0, 300.0, 600.0)  # slower ones can not be told from the rested curve
SMOOTH: Final = 0.2  # weight of the second differences of rested volts, as if each had so many of all samples
SMOOTH_OHM: Final = 0.02  # of resistances
RESTED_WEIGHT: Final = 10.0
RESTED_S: Final = 900.0
STILL_PER_AH: Final = 0.01
PER_K: Final = 15.0  # a temperature coefficient is smoothed as what it does over so many kelvins
RIDGE: Final = 1e-6
LEAST_RISE_V: Final = 2e-5


@dataclass(frozen=True, slots=True)
class Tables:
    """What was found; fields as `EstimateProfile` names them, and how well they fit, rms."""

    fields: dict[str, Any]
    fit_v: float


def identify(
    runs: Sequence[Run],
    knots: Floats,
    resistance_knots: int = 9,
    arrhenius_k: float = 2500.0,
    *,
    has_branch: bool = False,
) -> Tables:
    """Return the tables that fit the first cell of these runs best."""
    coarse = np.linspace(0.0, 1.0, resistance_knots)
    by_degc = len({round(float(run.degc.mean()) / 5.0) for run in runs}) > 1
    sizes = (len(knots), len(coarse) * by_degc, *[len(coarse)] * 3, int(has_branch))
    tries: list[tuple[float, float, float, Floats]] = []
    target = np.concatenate([run.unit_v[:, 0] for run in runs])
    weight = np.concatenate([_weight(run) for run in runs])
    for tau1_s, tau2_s in product(TAU1_S, TAU2_S):
        columns = np.vstack(
            [_columns(run, (knots, coarse), (tau1_s, tau2_s), arrhenius_k, (by_degc, has_branch)) for run in runs]
        )
        smooth = _smoothness(sizes, len(target))
        weighed = columns * weight[:, None]
        gram = weighed.T @ weighed + smooth.T @ smooth + RIDGE * np.eye(columns.shape[1])
        found = np.linalg.solve(gram, weighed.T @ (target * weight))
        rms = float(np.sqrt(np.mean((columns @ found - target) ** 2)))
        tries.append((rms, tau1_s, tau2_s, found))
    rms, tau1_s, tau2_s, found = min(tries, key=lambda each: each[0])
    parts = np.split(found, np.cumsum(sizes[:-1]))
    return Tables(_fields(parts, knots, coarse, (tau1_s, tau2_s, arrhenius_k)), rms)


def _fields(
    parts: Sequence[Floats], knots: Floats, coarse: Floats, constants: tuple[float, float, float]
) -> dict[str, Any]:
    tables = {}
    for name, values in zip(("r0_ohm_ah", "r1_ohm_ah", "r2_ohm_ah"), parts[2:5], strict=True):
        tables[name] = tuple(np.interp(knots, coarse, np.maximum(values, 1e-4)))
    middle = len(knots) // 2
    low, high = np.minimum.accumulate(parts[0][middle::-1])[::-1], np.maximum.accumulate(parts[0][middle:])
    rising = np.append(low, high[1:]) + np.arange(len(knots)) * LEAST_RISE_V
    return {
        "soc_frac": tuple(knots),
        "ocv_v": tuple(rising),
        "ocv_v_per_k": tuple(np.interp(knots, coarse, parts[1] / PER_K)) if len(parts[1]) else (),
        "tau1_s": constants[0],
        "tau2_s": constants[1],
        "arrhenius_k": constants[2],
        "hysteresis_v": float(abs(parts[5][0])) if len(parts[5]) else 0.0,
        **tables,
    }


def _columns(
    run: Run, grids: tuple[Floats, Floats], taus_s: tuple[float, float], arrhenius_k: float, has: tuple[bool, bool]
) -> Floats:
    soc, degc = run.soc_frac[:, 0], run.degc[:, 0]
    rate = run.discharge_a / run.nominal_ah * resistance_factor(degc, np.float64(arrhenius_k))
    fine, coarse = _hats(soc, grids[0]), _hats(soc, grids[1])
    by_degc, has_branch = has
    blocks = [fine]
    if by_degc:
        blocks.append(coarse * ((degc - REFERENCE_DEGC) / PER_K)[:, None])
    blocks += [-coarse * slow[:, None] for slow in (rate, *(_lagged(run.at_s, rate, tau_s) for tau_s in taus_s))]
    if has_branch:
        blocks.append(-_branch(soc)[:, None])
    return np.hstack(blocks)


def _weight(run: Run) -> Floats:
    """Return how much each sample counts (T,): a rested voltage is the curve itself."""
    weight, still_s = np.ones(len(run.at_s)), 0.0
    for k, dt_s in enumerate(np.diff(run.at_s)):
        still_s = still_s + dt_s if abs(run.discharge_a[k + 1]) < STILL_PER_AH * run.nominal_ah else 0.0
        weight[k + 1] = 1.0 + RESTED_WEIGHT * min(still_s / RESTED_S, 1.0)
    return weight


def _hats(places: Floats, grid: Floats) -> Floats:
    """Return the weights (T, K) of the grid's values in a linear interpolation."""
    at = np.clip(np.searchsorted(grid, places, "right") - 1, 0, len(grid) - 2)
    along = np.clip((places - grid[at]) / (grid[at + 1] - grid[at]), 0.0, 1.0)
    weights = np.zeros((len(places), len(grid)))
    rows = np.arange(len(places))
    weights[rows, at], weights[rows, at + 1] = 1.0 - along, along
    return weights


def _lagged(at_s: Floats, rate: Floats, tau_s: float) -> Floats:
    """Return the current as a resistor-capacitor pair of 1 ohm answers it."""
    left = np.exp(-np.diff(at_s) / tau_s)
    middle = 0.5 * (rate[1:] + rate[:-1])
    slow = np.zeros(len(rate))
    for k, (keep, mean) in enumerate(zip(left, middle, strict=True)):
        slow[k + 1] = keep * slow[k] + (1.0 - keep) * mean
    return slow


def _branch(soc: Floats) -> Floats:
    branch = np.zeros(len(soc))
    for k, moved in enumerate(-np.diff(soc)):
        left = np.exp(-BRANCH_PER_FRAC * abs(moved))
        branch[k + 1] = left * branch[k] + (1.0 - left) * np.sign(moved)
    return branch


def _smoothness(sizes: Sequence[int], samples: int) -> Floats:
    rows: list[Floats] = []
    for table, (first, size) in enumerate(_places(sizes)):
        for k in range(first, first + size - 2):
            row = np.zeros(sum(sizes))
            row[k : k + 3] = (1.0, -2.0, 1.0)
            rows.append(row * (SMOOTH if table < 2 else SMOOTH_OHM) * np.sqrt(samples))
    return np.array(rows)


def _places(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    first = 0
    for size in sizes:
        yield first, size
        first += size
