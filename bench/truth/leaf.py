"""Runs of a measured cell: 33 Ah LMO/NiO pouch; charge, then pulses and discharge by tenths, at three temperatures.

The tester's current, counted, is the truth; full is the end of its charge, empty the end of its discharge. Rows come
every two seconds after a step and every half minute later; here they are put on a grid of five seconds.
"""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from bench.truth.run import Floats, Run

HERE: Final = Path(__file__).parent.parent.parent / "tests" / "measured"
STEP_S: Final = 5.0
TEMPERATURES_DEGC: Final = (10.0, 25.0, 40.0)


def leaf_run(degc: float, *, is_whole: bool = False) -> Run:
    """Return the run at 10, 25 or 40 °C, from the end of the charge on; or as a whole."""
    with (HERE / f"leaf-hppc-{degc:.0f}c.csv").open() as lines:
        table = np.array([[float(value) for value in row[:3]] for row in csv.reader(lines)])
    table = table[np.append(True, np.diff(table[:, 0]) > 0.0)]  # a step begins with the last one's second
    run = on_grid(table[:, 0], -table[:, 1], table[:, 2], degc)
    return run if is_whole else after(run, int(np.argmax(run.soc_frac[:, 0])))


def after(run: Run, first: int) -> Run:
    """Return the run from this sample on."""
    cut = {name: getattr(run, name)[first:] for name in ("at_s", "discharge_a", "unit_v", "degc", "soc_frac")}
    return replace(run, **cut)


def on_grid(at_s: Floats, discharge_a: Floats, volts: Floats, degc: float) -> Run:
    """Return the run with its charge counted back and forth from the end of the charge."""
    counted_ah = np.concatenate([[0.0], np.cumsum(0.5 * (discharge_a[1:] + discharge_a[:-1]) * np.diff(at_s))]) / 3600.0
    full = int(np.argmin(counted_ah))
    capacity_ah = float(counted_ah[-1] - counted_ah[full])
    soc = 1.0 - (counted_ah - counted_ah[full]) / capacity_ah
    grid = np.arange(at_s[0], at_s[-1], STEP_S)
    return Run(
        name=f"leaf-{degc:g}",
        at_s=grid,
        discharge_a=np.interp(grid, at_s, discharge_a),
        unit_v=np.interp(grid, at_s, volts)[:, None],
        degc=np.full((len(grid), 1), degc),
        soc_frac=np.interp(grid, at_s, soc)[:, None],
        capacity_ah=np.array([capacity_ah]),
        nominal_ah=capacity_ah,
    )
