"""Write voltages of PyBaMM cells whose state of charge is known; runs in an environment of its own.

    python generate.py nmc ups --cells 32 --seed 101 --degc 25 out.npz

Chemistries: nmc (Chen2020, single particle with electrolyte, lumped heat), lfp (Prada2013 with two branches 20 mV apart
that change over about 5 % of charge), lead (Sulzer2019, gel, porous electrodes). Profiles: `ups` idle, 20 min outage,
rest, recharge of the same charge, rest; `steps` random currents of 1 to 10 min within a window of charge; `pulses`
discharge and charge in portions with rests between, for identification; `steps-test` and `ups-test` a capacity test
of the lithium cells that the profile of that name and seed has: float, C/5 until the first cell is at its end voltage,
rest, a little recharge.

All cells of a run carry the same current. They differ in capacity (sd 2 %), in resistance (sd of some 10 %), in the
temperature of their place (sd 1.5 K) and a little in what they begin with. State of charge is charge counted on the
cell's own capacity at C/20 and 25 °C. The lead model knows no full plates, no gassing and no surface charge: discharge,
rest and partial recharge only.
"""

import argparse
import json
import os
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("PYBAMM_DISABLE_TELEMETRY", "true")
warnings.filterwarnings("ignore")
import numpy as np  # noqa: E402
import pybamm  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

type Floats = NDArray[np.float64]

pybamm.set_logging_level("CRITICAL")

HALF_GAP_V = 0.010  # between the branches of lithium iron phosphate
BRANCH_RATE = 20.0
TEST = "-test"
TEST_RATE = 0.2
FLOATING_RATE = 0.005
FLOATED_S = 2700.0  # longer than a full cell is told by
BELOW_CUTOFF_V = 0.4  # so far the model goes on, for the scan that sees a cell below its end voltage


@dataclass(frozen=True)
class Kind:
    cutoff_v: float
    first_soc: float
    series_ohm_sd: float
    takes_first_soc: bool  # the lead model always begins full


KINDS = {
    "nmc": Kind(cutoff_v=2.5, first_soc=0.9, series_ohm_sd=0.0025, takes_first_soc=True),
    "lfp": Kind(cutoff_v=2.0, first_soc=0.9, series_ohm_sd=0.0020, takes_first_soc=True),
    "lead": Kind(cutoff_v=1.8, first_soc=1.0, series_ohm_sd=0.0008, takes_first_soc=False),
}


def nmc() -> Any:  # noqa: ANN401  # PyBaMM has no types
    return pybamm.lithium_ion.SPMe({"thermal": "lumped"}), pybamm.ParameterValues("Chen2020")


def lfp() -> Any:  # noqa: ANN401
    par = pybamm.ParameterValues("Prada2013")
    middle = par["Positive electrode OCP [V]"]
    own = {
        "Positive electrode lithiation OCP [V]": lambda sto: middle(sto) - HALF_GAP_V,
        "Positive electrode delithiation OCP [V]": lambda sto: middle(sto) + HALF_GAP_V,
        "Positive particle lithiation hysteresis decay rate": BRANCH_RATE,
        "Positive particle delithiation hysteresis decay rate": BRANCH_RATE,
        "Initial hysteresis state in positive electrode": 0.0,
    }
    par.update(own, check_already_exists=False)
    return pybamm.lithium_ion.SPMe({"open-circuit potential": ("single", "one-state hysteresis")}), par


def lead() -> Any:  # noqa: ANN401
    par = pybamm.ParameterValues("Sulzer2019")
    par["Number of cells connected in series to make a battery"] = 1
    return pybamm.lead_acid.Full({"surface form": "algebraic"}), par


MAKERS = {"nmc": nmc, "lfp": lfp, "lead": lead}


class Cells:
    """One built model, solved again and again for cells of other size and place."""

    def __init__(self, chemistry: str, at_s: Floats, current_a: Floats, lowest_v: float | None = None) -> None:
        model, par = MAKERS[chemistry]()
        if lowest_v is not None:
            par["Lower voltage cut-off [V]"] = lowest_v
        self.kind, self.at_s = KINDS[chemistry], at_s
        self.nominal_ah = float(par["Nominal cell capacity [A.h]"])
        # In a rest the solver takes steps that would leap over a pulse: it stops shortly before each change.
        self.stop_s = at_s[np.unique([0, *np.maximum(np.flatnonzero(np.diff(current_a)) - 2, 0), len(at_s) - 1])]
        course = pybamm.Interpolant(at_s, current_a, pybamm.t, interpolator="linear")
        par["Current function [A]"] = course * pybamm.InputParameter("per size")
        for name in ("Ambient temperature [K]", "Initial temperature [K]"):
            par.update({name: "[input]"}, check_already_exists=False)
        self.sim = pybamm.Simulation(model, parameter_values=par, solver=pybamm.IDAKLUSolver(rtol=1e-6, atol=1e-8))

    def solve(self, size: float = 1.0, degc: float = 25.0, first_soc: float = 1.0) -> tuple[Floats, Floats]:
        """Return volts and temperature; NaN from where the cell was empty."""
        kelvin = 273.15 + degc
        inputs = {"per size": 1.0 / size, "Ambient temperature [K]": kelvin, "Initial temperature [K]": kelvin}
        first = {"initial_soc": first_soc} if self.kind.takes_first_soc else {}
        got = self.sim.solve(t_eval=self.stop_s, t_interp=self.at_s, inputs=inputs, **first)
        inside = self.at_s[self.at_s <= got.t[-1]]
        volts, warm = np.full((2, len(self.at_s)), np.nan)
        volts[: len(inside)] = got["Voltage [V]"](inside)
        try:
            warm[: len(inside)] = got["Volume-averaged cell temperature [K]"](inside) - 273.15
        except KeyError:
            warm[: len(inside)] = degc
        return volts, warm


def capacity_ah(chemistry: str) -> float:
    """Return what a cell of size 1 gives at C/20 and 25 °C."""
    nominal = float(MAKERS[chemistry]()[1]["Nominal cell capacity [A.h]"])
    at_s = np.arange(0.0, 32 * 3600.0, 60.0)
    volts, _ = Cells(chemistry, at_s, np.full(len(at_s), nominal / 20)).solve()
    over = ~(volts > KINDS[chemistry].cutoff_v + 1e-3)
    return nominal / 20 * at_s[np.argmax(over)] / 3600.0


def ups(q: float, step_s: float) -> Floats:
    hour = int(3600 / step_s)
    out = np.concatenate([np.full(hour // 9, rate * q) for rate in (0.6, 1.0, 0.8)])
    back = np.full(int(5 * hour * out.sum() * step_s / 3600 / q) + 1, -0.2 * q)
    back *= -out.sum() / back.sum()
    rest = np.zeros(hour)
    return np.concatenate([rest, out, rest, back, rest])


def steps(q: float, step_s: float, rng: np.random.Generator, first: float) -> Floats:
    parts, soc, hours = [np.zeros(int(600 / step_s))], first, 6.0
    while sum(map(len, parts)) < hours * 3600 / step_s:
        n = int(rng.uniform(60, 600) / step_s) + 1
        rate = rng.choice([0.0, 0.0, 0.2, 0.5, 1.0, -0.2, -0.5])
        if not 0.15 < soc - rate * n * step_s / 3600 < min(first, 0.85):
            rate = 0.3 if soc > 0.5 else -0.3
        soc -= rate * n * step_s / 3600
        parts.append(np.full(n, rate * q))
    return np.concatenate(parts)


def pulses(q: float, step_s: float) -> Floats:
    """Down in portions of 4 % of capacity, up in portions of 8 %, at several rates, resting after each."""
    parts = [np.zeros(int(1200 / step_s))]
    for portion, rates, until in ((0.04, (0.3, 0.6, 1.0), 0.48), (0.04, (0.2, 0.4), 0.40), (-0.08, (0.2, 0.4), 0.72)):
        moved, turn = 0.0, 0
        while moved + abs(portion) <= until + 1e-9:
            rate = rates[turn % len(rates)]
            n = round(abs(portion) / rate * 3600 / step_s)
            parts += [np.full(n, np.sign(portion) * rate * q), np.zeros(int((2400 if turn % 2 else 900) / step_s))]
            moved, turn = moved + abs(portion), turn + 1
    return np.concatenate(parts)


def capacity_test(q: float, step_s: float, drawn_s: float) -> Floats:
    """Float with next to no current, C/5 for so long, rest, some recharge."""
    parts = ((FLOATED_S, -FLOATING_RATE), (drawn_s, TEST_RATE), (600.0, 0.0), (600.0, -TEST_RATE))
    return np.concatenate([np.full(int(s / step_s), rate * q) for s, rate in parts])


def current_of(profile: str, q: float, step_s: float, rng: np.random.Generator, first: float) -> Floats:
    if profile.startswith("steps"):
        return steps(q, step_s, rng, first)
    return ups(q, step_s) if profile.startswith("ups") else pulses(q, step_s)


@dataclass(frozen=True)
class Population:
    """Cells of one string, an array each: sizes of 1, ohms in series, temperature of the place, charge at the begin."""

    size: Floats
    series_ohm: Floats
    place_degc: Floats
    begin: Floats

    @classmethod
    def drawn(
        cls, kind: Kind, rng: np.random.Generator, cells: int, degc: float, first: float, wide: float
    ) -> "Population":
        """Draw the cells; with `wide` 0 all are the middle one."""
        size = np.clip(1.0 + wide * rng.normal(0.0, 0.02, cells), 0.94, 1.06)
        series_ohm = wide * rng.normal(0.0, kind.series_ohm_sd, cells)
        place_degc = degc + wide * rng.normal(0.0, 1.5, cells)
        begin = first + wide * kind.takes_first_soc * rng.normal(0.0, 0.01, cells)
        return cls(size, series_ohm, place_degc, np.minimum(begin, 0.995 if kind.takes_first_soc else 1.0))

    def before_test(self, rng: np.random.Generator) -> "Population":
        """Return the cells as they stand at float before a test that finds them within 1 % of full."""
        full = np.minimum(1.0 - rng.uniform(0.0, 0.01, len(self.size)), 0.997)  # the model ends at 1
        return replace(self, begin=full - FLOATING_RATE * FLOATED_S / 3600.0)

    def solve(self, model: Cells, current_a: Floats) -> tuple[Floats, Floats]:
        """Return volts and temperature (n, T)."""
        volts, warm = [], []
        for size, ohm, degc, begin in zip(self.size, self.series_ohm, self.place_degc, self.begin, strict=True):
            v, temp = model.solve(size, degc, begin)
            volts.append(v - ohm * current_a)
            warm.append(temp)
        return np.array(volts), np.array(warm)


def tested(chemistry: str, q: float, cells: Population, step_s: float) -> tuple[Floats, Floats, Floats]:
    """Return current (T,), volts and temperature (n, T) of a capacity test that the first empty cell ends."""
    kind = KINDS[chemistry]
    drawn_s, found = 1.1 * 3600.0 / TEST_RATE, []
    for _ in range(2):  # once to see when it ends
        current_a = capacity_test(q, step_s, drawn_s)
        at_s = np.arange(len(current_a)) * step_s
        found = [current_a, *cells.solve(Cells(chemistry, at_s, current_a, kind.cutoff_v - BELOW_CUTOFF_V), current_a)]
        is_over = ~(found[1] > kind.cutoff_v).all(axis=0)
        drawn_s = float(at_s[np.argmax(is_over)] + step_s) - FLOATED_S if is_over.any() else drawn_s
    return found[0], found[1], found[2]


def generate(chemistry: str, profile: str, cells: int, seed: int, degc: float, step_s: float = 5.0) -> dict[str, Any]:
    rng, kind = np.random.default_rng(seed), KINDS[chemistry]
    q = capacity_ah(chemistry)
    first = 0.98 if profile == "pulses" and kind.takes_first_soc else kind.first_soc
    current_a = current_of(profile, q, step_s, rng, first)
    wide = 0.0 if profile == "pulses" else 1.0  # identification is done on the middle of the population
    drawn = Population.drawn(kind, rng, cells, degc, first, wide)
    if profile.endswith(TEST):
        drawn = drawn.before_test(rng)
        current_a, volts, warm = tested(chemistry, q, drawn, step_s)
    else:
        volts, warm = drawn.solve(Cells(chemistry, np.arange(len(current_a)) * step_s, current_a), current_a)
    counted_ah = np.concatenate([[0.0], np.cumsum((current_a[1:] + current_a[:-1]) / 2 * step_s)]) / 3600
    soc = drawn.begin[:, None] - counted_ah / (q * drawn.size)[:, None]
    whole = ~np.isnan(volts).any(axis=0)  # a string stops with its first cell
    about = {"chemistry": chemistry, "profile": profile, "seed": seed, "degc": degc, "pybamm": pybamm.__version__}
    return {
        "at_s": np.arange(len(current_a))[whole] * step_s,
        "discharge_a": current_a[whole],
        "unit_v": volts[:, whole].T.astype(np.float32),
        "degc": warm[:, whole].T.astype(np.float32),
        "soc_frac": soc[:, whole].T.astype(np.float32),
        "capacity_ah": q * drawn.size,
        "nominal_ah": q,
        "about": json.dumps(about),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("chemistry", choices=MAKERS)
    parser.add_argument("profile", choices=("ups", "steps", "pulses", f"ups{TEST}", f"steps{TEST}"))
    parser.add_argument("file")
    parser.add_argument("--cells", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--degc", type=float, default=25.0)
    asked = parser.parse_args()
    if asked.profile.endswith(TEST) and not KINDS[asked.chemistry].takes_first_soc:
        parser.error(f"{asked.chemistry} has no float before a test: its model knows no full plates")
    made = generate(asked.chemistry, asked.profile, asked.cells, asked.seed, asked.degc)
    np.savez_compressed(f"{asked.file}.part.npz", **made)
    Path(f"{asked.file}.part.npz").replace(asked.file)


if __name__ == "__main__":
    main()
