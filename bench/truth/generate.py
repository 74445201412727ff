"""Write voltages of PyBaMM cells whose state of charge is known; runs in an environment of its own.

    python generate.py nmc ups --cells 32 --seed 101 --degc 25 out.npz

Chemistries: nmc (Chen2020, single particle with electrolyte, lumped heat), lfp (Prada2013 with two branches 20 mV apart
that change over about 5 % of charge), lead (Sulzer2019, gel, porous electrodes). Profiles: `ups` idle, 20 min outage,
rest, recharge of the same charge, rest; `steps` random currents of 1 to 10 min within a window of charge; `pulses`
discharge and charge in portions with rests between, for identification.

All cells of a run carry the same current. They differ in capacity (sd 2 %), in resistance (sd of some 10 %), in the
temperature of their place (sd 1.5 K) and a little in what they begin with. State of charge is charge counted on the
cell's own capacity at C/20 and 25 °C. The lead model knows no full plates, no gassing and no surface charge: discharge,
rest and partial recharge only.
"""

import argparse
import json
import os
import warnings
from dataclasses import dataclass
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

    def __init__(self, chemistry: str, at_s: Floats, current_a: Floats) -> None:
        model, par = MAKERS[chemistry]()
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


def current_of(profile: str, q: float, step_s: float, rng: np.random.Generator, first: float) -> Floats:
    if profile == "steps":
        return steps(q, step_s, rng, first)
    return ups(q, step_s) if profile == "ups" else pulses(q, step_s)


def generate(chemistry: str, profile: str, cells: int, seed: int, degc: float, step_s: float = 5.0) -> dict[str, Any]:
    rng, kind = np.random.default_rng(seed), KINDS[chemistry]
    q = capacity_ah(chemistry)
    first = 0.98 if profile == "pulses" and kind.takes_first_soc else kind.first_soc
    current_a = current_of(profile, q, step_s, rng, first)
    at_s = np.arange(len(current_a)) * step_s
    wide = 0.0 if profile == "pulses" else 1.0  # identification is done on the middle of the population
    size = np.clip(1.0 + wide * rng.normal(0.0, 0.02, cells), 0.94, 1.06)
    series_ohm = wide * rng.normal(0.0, kind.series_ohm_sd, cells)
    place_degc = degc + wide * rng.normal(0.0, 1.5, cells)
    begin = first + wide * kind.takes_first_soc * rng.normal(0.0, 0.01, cells)
    model = Cells(chemistry, at_s, current_a)
    counted_ah = np.concatenate([[0.0], np.cumsum((current_a[1:] + current_a[:-1]) / 2 * step_s)]) / 3600
    volts, warm, soc = [], [], []
    for cell in range(cells):
        start = min(begin[cell], 0.995 if kind.takes_first_soc else 1.0)
        v, temp = model.solve(size[cell], place_degc[cell], start)
        volts.append(v - series_ohm[cell] * current_a)
        warm.append(temp)
        soc.append(start - counted_ah / (q * size[cell]))
    volts, warm, soc = np.array(volts), np.array(warm), np.array(soc)
    whole = ~np.isnan(volts).any(axis=0)  # a string stops with its first cell
    about = {"chemistry": chemistry, "profile": profile, "seed": seed, "degc": degc, "pybamm": pybamm.__version__}
    return {
        "at_s": at_s[whole],
        "discharge_a": current_a[whole],
        "unit_v": volts[:, whole].T.astype(np.float32),
        "degc": warm[:, whole].T.astype(np.float32),
        "soc_frac": soc[:, whole].T.astype(np.float32),
        "capacity_ah": q * size,
        "nominal_ah": q,
        "about": json.dumps(about),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("chemistry", choices=MAKERS)
    parser.add_argument("profile", choices=("ups", "steps", "pulses"))
    parser.add_argument("file")
    parser.add_argument("--cells", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--degc", type=float, default=25.0)
    asked = parser.parse_args()
    made = generate(asked.chemistry, asked.profile, asked.cells, asked.seed, asked.degc)
    np.savez_compressed(f"{asked.file}.part.npz", **made)
    Path(f"{asked.file}.part.npz").replace(asked.file)


if __name__ == "__main__":
    main()
