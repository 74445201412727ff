"""How wrong the estimate of charge is, how honest its bounds are, what it costs; and what others make of it.

Truth: cells of PyBaMM (its sets Chen2020, Sulzer2019, Prada2013: simulated, but by another's physics, not by a circuit
like the estimator's) and one measured cell of 33 Ah. Tables come from a run with other currents, of the middle cell
of the population, at 25 °C; for the measured cell from its runs at the two other temperatures. The estimator's
constants were chosen on another population (seed 11) than reported here (seeds 101 and 102).
Every cell starts 20 % wrong, up or down; LFP within 1 %, as after a full charge. Instruments: see `Sensors`.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

import numpy as np
from analytics.modes import Mode
from analytics.readings import Layout, Readings
from analytics.soc.capacity_belief import CapacityBelief
from analytics.soc.follow import follow_soc
from analytics.soc.memory import SocMemory
from analytics.soc.rules import SocRules
from cellkeeper.contract.chemistry import Chemistry, profiles

from bench.figure import Figure
from bench.soc_play import SET_SD, Sensors, Told, look, play, start_of, with_tables
from bench.soc_rivals import counting, textbook_filter
from bench.soc_tested import taught
from bench.truth.identify import identify
from bench.truth.leaf import TEMPERATURES_DEGC, leaf_run
from bench.truth.pybamm_sets import NoTruthError, pybamm_run
from bench.truth.run import Floats, Run

NAMES = (
    "soc_rmse_nmc_pybamm",
    "soc_rmse_nmc_pybamm_15c",
    "soc_rmse_lead_pybamm",
    "soc_rmse_lead_pybamm_15c",
    "soc_rmse_lfp_pybamm",
    "soc_rmse_lfp_tested",
    "soc_rmse_leaf",
    "soc_coverage_min",
    "soc_sharpness_max",
    "soc_ms_4096",
)
PROFILE_OF: Final = {"nmc": "nmc", "lead": "vrla_agm", "lfp": "lfp"}
TABLE_SD_V: Final = {"nmc": 0.0012, "lead": 0.0007, "lfp": 0.004, "leaf": 0.001}  # of tables of this very kind of cell
GOALS: Final = {"nmc": (0.005, 0.007), "lead": (0.005, 0.007), "lfp": (0.008, 0.008)}
SEEDS: Final = {25.0: 101, 15.0: 102}
INSTRUMENTS_SEED: Final = 5  # the same gain, zero and module errors for every run of so many cells
CELLS: Final = 64
LEAF_CAPACITY_SD: Final = 0.01  # one cell, measured
LEARNED_SD: Final = 0.01
LOSSLESS: Final = {"coulombic_frac": 1.0, "self_discharge_per_month_frac": 0.0}  # as the models are, and the count


@dataclass(frozen=True, slots=True)
class Case:
    """One set: cells of a run, their tables, and how wrong they start."""

    name: str
    run: Run
    chemistry: Chemistry
    start_error: float = 0.2
    start_sd: float = 0.2
    capacity_sd: float = SET_SD

    @property
    def chemistry_id(self) -> str:
        return PROFILE_OF[self.name.split("-")[0]]

    def seen_by(
        self, sensors: Sensors, chemistry: Chemistry | None = None, capacity: CapacityBelief | None = None
    ) -> Told:
        seen = look(self.run, sensors, seed=INSTRUMENTS_SEED)
        start = start_of(seen, self.start_error, seed=3)
        if capacity is None:
            capacity = CapacityBelief.rated(np.full(len(start), self.run.nominal_ah), self.capacity_sd)
        return play(seen, chemistry or self.chemistry, start, self.start_sd, capacity)


def figures() -> list[Figure]:
    """Return all soc_* figures; those on simulated truth are left out, with a line, without PyBaMM."""
    found: list[Figure] = []
    told: dict[str, Told] = {}
    try:
        for chemistry in ("nmc", "lead", "lfp"):
            found += list(_simulated(chemistry, told))
        found.append(_tested())
    except NoTruthError as exc:
        print(f"# no figures on simulated truth: {exc}", flush=True)
    found.append(_leaf(told))
    return [*found, *_honesty(told), cost()]


def _simulated(chemistry: str, told: dict[str, Told]) -> Iterator[Figure]:
    """Yield the figures of one chemistry, worst of its profiles, and print what they are to be held against."""
    for degc in (25.0, 15.0) if chemistry != "lfp" else (25.0,):
        cases = [_case(chemistry, profile, degc) for profile in ("ups", "steps")]
        scores = {case.name: case.seen_by(Sensors()) for case in cases}
        told.update(scores)
        worst = max(scores.values(), key=lambda each: each.rmse)
        cold = degc < 20.0
        name = f"soc_rmse_{chemistry}_pybamm{'_15c' if cold else ''}"
        rows = ", ".join(f"{name.split('-')[1]} {_said(each)}" for name, each in scores.items())
        if not cold:
            for case in cases:
                _beside(case)
        note = f"{CELLS} cells x 4 draws at {degc:g} °C: {rows}; simulated by PyBaMM, tables of 25 °C from another run"
        yield Figure(name, worst.rmse, "", GOALS[chemistry][cold], note=note)


def _tested() -> Figure:
    """Return the figure of LFP whose cells went through one capacity test before, seen by the same instruments."""
    scores, rows = [], []
    for profile in ("ups", "steps"):
        case = _case("lfp", profile, 25.0)
        test = pybamm_run("lfp", f"{profile}-test", cells=CELLS, seed=SEEDS[25.0])
        learned = taught(look(test, Sensors(), seed=INSTRUMENTS_SEED), case.chemistry, case.chemistry_id)
        scores.append(case.seen_by(Sensors(), capacity=learned.capacity))
        rows.append(f"{profile} {_said(scores[-1])} with {learned.said()}")
    note = f"cells of soc_rmse_lfp_pybamm after a discharge at C/5 that the first empty cell ended: {'; '.join(rows)}"
    return Figure("soc_rmse_lfp_tested", max(each.rmse for each in scores), "", GOALS["lfp"][0], note=note)


@cache
def _tables(chemistry: str) -> dict[str, Any]:
    """Return the tables of the middle cell of a population, from a run of pulses."""
    run = pybamm_run(chemistry, "pulses", cells=1, seed=1)
    found = identify([run], np.linspace(0.0, 1.0, 41), 17, has_branch=chemistry == "lfp")
    return found.fields | LOSSLESS | {"ocv_sd_v": TABLE_SD_V[chemistry]}


def _case(chemistry: str, profile: str, degc: float) -> Case:
    run = pybamm_run(chemistry, profile, cells=CELLS, seed=SEEDS[degc], degc=degc)
    base = with_tables(profiles()[PROFILE_OF[chemistry]], _tables(chemistry))
    case = Case(f"{chemistry}-{profile}-{degc:g}", run, base)
    return replace(case, start_error=0.01, start_sd=0.006) if chemistry == "lfp" else case


def _said(told: Told) -> str:
    return f"{told.rmse:.4f} (in 2 sd {told.coverage:.3f}, sharpness {told.sharpness:.1f})"


def _beside(case: Case) -> None:
    """Print what makes the figure worse, and what others make of the same readings."""
    few = Sensors(draws=2)
    default = profiles()[case.chemistry_id]
    rows = {"as reported, two draws": case.seen_by(few), "default tables": case.seen_by(few, default)}
    for name, changed in {
        "rested volts +10 mV": {"ocv_v": 0.010},
        "rested volts -10 mV": {"ocv_v": -0.010},
        "current zero +-0.5 % C": {"offset_per_ah": 0.005},
        "current gain +-1 %": {"gain_frac": 0.01},
    }.items():
        rows[name] = case.seen_by(replace(few, **changed))
    if case.name.startswith("lead"):
        rows["65 mV surface charge"] = case.seen_by(replace(few, surface_v=0.10))
    seen = look(case.run, few, seed=INSTRUMENTS_SEED)
    start = start_of(seen, case.start_error, seed=3)
    rows["plain counting"] = counting(seen, start)
    rows["textbook filter"] = textbook_filter(seen, case.chemistry, start, case.start_sd)
    if case.name.startswith("lfp"):
        learned = CapacityBelief(np.tile(_learned_ah(case.run), few.draws), np.full(len(start), LEARNED_SD))
        rows["capacity known to 1 %"] = play(seen, case.chemistry, start, case.start_sd, learned)
        rows["without an anchor"] = replace(case, start_error=0.2, start_sd=0.2).seen_by(few)
    for name, told in rows.items():
        known = "" if told.known_frac > 0.999 else f", known {told.known_frac:.2f} of the time"
        print(f"#   {case.name:14} {name:24} {_said(told)}{known}", flush=True)


def _learned_ah(run: Run) -> Floats:
    """Return what capacity tests might have said of the cells, wrong by 1 % (sd)."""
    return run.capacity_ah * (1.0 + LEARNED_SD * np.random.default_rng(9).standard_normal(run.cells))


def leaf_case(degc: float, *, is_whole: bool = False) -> Case:
    """Return the measured cell at one temperature with tables from its runs at the others."""
    others = [leaf_run(other, is_whole=True) for other in TEMPERATURES_DEGC if other != degc]
    found = identify(others, np.linspace(0.0, 1.0, 41), 17, 2000.0).fields
    own = with_tables(profiles()["nmc"], found | LOSSLESS | {"ocv_sd_v": TABLE_SD_V["leaf"]})
    run = leaf_run(degc, is_whole=is_whole)
    return Case(f"leaf-{degc:g}", run, own, capacity_sd=LEAF_CAPACITY_SD)


def _leaf(told: dict[str, Told]) -> Figure:
    """Return the worst of the three temperatures of the measured cell."""
    scores = {}
    for degc in TEMPERATURES_DEGC:
        case = leaf_case(degc)
        scores[degc] = told[case.name] = case.seen_by(Sensors(draws=8))
        whole = leaf_case(degc, is_whole=True).seen_by(Sensors(draws=2))
        default = case.seen_by(Sensors(draws=2), profiles()["nmc"])
        print(f"#   {case.name:14} {'with the charge before':24} {_said(whole)}", flush=True)
        print(f"#   {case.name:14} {'default tables':24} {_said(default)}", flush=True)
    rows = ", ".join(f"{degc:g} °C {_said(each)}" for degc, each in scores.items())
    note = f"measured 33 Ah LMO/NiO cell, pulses from full to empty, own capacity: {rows}"
    return Figure("soc_rmse_leaf", max(each.rmse for each in scores.values()), "", 0.005, note=note)


def _honesty(told: dict[str, Told]) -> list[Figure]:
    """Return how often the truth lay within two standard deviations, and how wide those were, worst of all sets."""
    least = min(told, key=lambda name: told[name].coverage)
    widest = max(told, key=lambda name: told[name].sharpness)
    most = max(each.coverage for each in told.values())
    over = sorted(name for name, each in told.items() if each.coverage > 0.99)
    note = f"{least}; largest {most:.3f}; above 0.99: {', '.join(over) or 'none'}"
    return [
        Figure("soc_coverage_min", told[least].coverage, "", 0.9, "higher", note=note),
        Figure("soc_sharpness_max", told[widest].sharpness, "", 3.0, note=f"{widest}: median of 2 sd over RMSE"),
    ]


def cost(strings: int = 17, units: int = 240, rounds: int = 200) -> Figure:
    """Return the processor time of one batch of scans of a whole room: lead, LFP and NMC strings side by side."""
    names = [f"s{string}" for string in range(strings)]
    kinds = [profiles()[("vrla_agm", "lfp", "nmc")[string % 3]] for string in range(strings)]
    layout = Layout.of(dict.fromkeys(names, units), dict.fromkeys(names, 1))
    rules = SocRules.of(layout, dict(zip(names, kinds, strict=True)), dict.fromkeys(names, 100.0))
    capacity, memory = CapacityBelief.rated(rules.rated_ah), SocMemory.empty(rules)
    rng = np.random.default_rng(1)
    rested_v = np.repeat([kind.nominal_v for kind in kinds], units)
    modes: tuple[Mode, ...] = ("discharge",) * strings
    nothing, none_yet = np.zeros(rules.units), np.full(strings, np.nan)
    quality = np.zeros(rules.units, dtype=np.uint8)
    scans = []
    for scan in range(rounds):
        v = rested_v + 0.01 * rng.standard_normal(rules.units)
        at_s, current_a = np.full(strings, 1e9 + scan), np.full(strings, 50.0)
        scans.append(Readings(at_s, current_a, none_yet, none_yet, none_yet, v, v, nothing + 25.0, nothing, quality))
    began_s = time.process_time()  # once, so that asking for it is no part of the cost
    for readings in scans:
        memory, _ = follow_soc(memory, readings, modes, capacity, rules)
    spent_s = time.process_time() - began_s
    note = f"{strings} strings of {units}; mean of {rounds} scans at 1 Hz, processor time; part of estimate_ms_4096"
    return Figure("soc_ms_4096", spent_s / rounds * 1e3, "ms", 1.0, note=note)
