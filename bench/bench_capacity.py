"""Capacity and state of health from discharges of the twin's cells, against a second discharge of the same cells.

Truth: the same cells, forced at the rated current down to the end voltage by perfect instruments (the twin's physics,
`bench/capacity_room.py`). Tried out on seeds 1 to 12, reported on 21 and above; the curve of rested voltages comes from
a commissioning test of another string (seed 100) by that string's own instruments, never from the twin's tables.
"""

from dataclasses import replace

import numpy as np
from analytics.soh.rules import RestedCurve
from cellkeeper.contract.chemistry import profiles

from bench.capacity_load import parts_ms_4096
from bench.capacity_room import RATED_AH, Chain, Floats, Kind, commissioned_curve, rules_of, true_capacity_ah
from bench.figure import Figure

NAMES = ("capacity_err", "capacity_full_err", "capacity_golden_err", "capacity_proven_wrongly", "health_ms_4096")
CURVE_SEED = 100
SEEDS = (21, 22, 23, 24)
SIMULATED = "twin physics, VRLA 12 V 100 Ah blocks, capacities 75 to 100 % of new"
OWN_PER_K = 0.007  # what the maker of the twin's cells would print


def figures() -> list[Figure]:
    """Return the figures."""
    kind = Kind()
    curve = commissioned_curve(kind, seed=CURVE_SEED)
    return [*partial(kind, curve), full(kind), golden(kind), parts()]


def aged(kind: Kind, seed: int) -> Floats:
    return np.random.default_rng(seed).uniform(0.75, 1.0, kind.units)


def partial(kind: Kind, curve: RestedCurve) -> list[Figure]:
    """Return how far capacities from half a discharge with a rested end are off, and what is proven without one."""
    found: dict[float, list[Floats]] = {}
    sds, default_sds, wrongly = [], [], 0
    for degc in (20.0, 15.0, 27.0):
        for seed in SEEDS:
            truth = true_capacity_ah(kind, seed=seed, degc=20.0, soh_frac=aged(kind, seed)) / RATED_AH
            chain = half_discharged(kind, seed, degc, curve, after="rest")
            finding = chain.proven("partial_discharge")
            found.setdefault(degc, []).append(finding.unit_frac / truth - 1.0)
            if degc == 20.0:
                sds.append(finding.unit_sd_frac / finding.unit_frac)
    for seed in SEEDS:
        wrongly += half_discharged(kind, seed, 20.0, curve, after="mains").proven("partial_discharge").is_proven
        typical = RestedCurve.typical(profiles()[kind.chemistry].estimate)
        default = half_discharged(kind, seed, 20.0, typical, after="rest").proven("partial_discharge")
        default_sds.append(default.why)
    errors, sd = np.concatenate(found[20.0]), np.concatenate(sds)
    assert not np.isnan(errors).any(), "not proven where it should be"
    within = np.mean(np.abs(errors) <= 2.0 * sd)
    note = f"{SIMULATED}; half of the rated charge drawn at C/10, 8 h of rest, 20 °C, {len(errors)} units, rms; "
    note += f"claimed sd {np.median(sd):.1%}, {within:.0%} within two; "
    note += "; ".join(f"at {degc:g} °C {away(np.concatenate(found[degc]))}" for degc in (15.0, 27.0))
    note += f"; with the chemistry's typical curve: {default_sds[0]}"
    return [
        Figure("capacity_err", rms(errors), "", 0.025, note=note),
        Figure("capacity_proven_wrongly", float(wrongly), "", 0.0, note="half discharges that were recharged at once"),
    ]


def half_discharged(kind: Kind, seed: int, degc: float, curve: RestedCurve | None, after: str) -> Chain:
    chain = Chain.of(kind, seed=seed, rules=rules_of(kind, curve), soh_frac=aged(kind, seed), degc=degc)
    chain.run(0.2)
    chain.act("outage", current_a=kind.rated_a)
    chain.run(0.5 * RATED_AH / kind.rated_a)
    chain.act(after)
    chain.run(8.1 if after == "rest" else 0.1)
    return chain


def full(kind: Kind) -> Figure:
    """Return how far the capacity of every unit is off after one full discharge that ended with the weakest ones."""
    errors, sds, determined = [], [], []
    lfp = Kind("lfp", 1, 2.8, 5.0, 16)
    by_kind = {}
    for each in (kind, lfp):
        own = []
        for seed in SEEDS:
            soh = aged(each, seed)
            truth = true_capacity_ah(each, seed=seed, degc=20.0, soh_frac=soh) / RATED_AH
            finding = emptied(each, seed, 20.0, soh).proven("full_discharge")
            known = ~np.isnan(finding.unit_frac)
            determined.append(float(known.mean()))
            own.append((finding.unit_frac / truth - 1.0)[known])
            sds.append((finding.unit_sd_frac / finding.unit_frac)[known])
        by_kind[each.chemistry] = rms(np.concatenate(own))
        errors += own
    all_errors, sd = np.concatenate(errors), np.concatenate(sds)
    note = f"{SIMULATED}, and LFP; at 20 °C down to the end voltage of the string, rms over all units: "
    note += ", ".join(f"{name} {value:.2%}" for name, value in by_kind.items())
    note += f"; claimed sd {np.median(sd):.1%}, {np.mean(np.abs(all_errors) <= 2.0 * sd):.0%} within two; "
    note += f"{np.mean(determined):.0%} of the units determined"
    return Figure("capacity_full_err", rms(all_errors), "", 0.02, note=note)


def golden(kind: Kind) -> Figure:
    """Return how far a healthy string is from its own capacity at 20 °C, at the worst of three temperatures."""
    worst: dict[str, float] = {}
    notes = []
    for name, per_k in (("own", OWN_PER_K), ("typical", None)):
        shares = []
        for degc in (10.0, 20.0, 25.0, 35.0):
            found = emptied(kind, 25, degc, None, per_k=per_k).proven("full_discharge")
            shares.append(found.string_frac)
        errors = [share / shares[1] - 1.0 for share in (shares[0], shares[2], shares[3])]
        worst[name] = max(abs(error) for error in errors)
        notes.append(f"{name} coefficient {'/'.join(f'{100.0 + 100.0 * error:.1f}' for error in errors)} %")
    cold = emptied(kind, 25, 2.0, None, per_k=OWN_PER_K).proven("full_discharge")
    note = f"healthy VRLA string at 10/25/35 °C over the same at 20 °C; {'; '.join(notes)}; at 2 °C: {cold.why}"
    return Figure("capacity_golden_err", worst["own"], "", 0.01, note=note)


def emptied(kind: Kind, seed: int, degc: float, soh: Floats | None, per_k: float | None = None) -> Chain:
    rules = replace(rules_of(kind), per_k=per_k)
    chain = Chain.of(kind, seed=seed, rules=rules, soh_frac=soh, degc=degc)
    chain.run(0.2)
    chain.act("outage", current_a=kind.rated_a)
    end_v = kind.end_v * kind.cells_per_unit
    chain.run(2.0 * kind.rate_h, until=lambda readings: bool(readings.unit_v.mean() < end_v))
    chain.act("mains")
    chain.run(0.1)
    return chain


def parts() -> Figure:
    """Return the CPU of mode, recorder, capacity, impedance and life per scan of 17 strings of 241 units."""
    by_part = parts_ms_4096()
    note = "CPU per scan of 4097 units at float: " + ", ".join(f"{name} {ms:.3f}" for name, ms in by_part.items())
    note += f"; while all discharge: {sum(parts_ms_4096(discharging=True).values()):.3f} ms"
    return Figure("health_ms_4096", sum(by_part.values()), "ms", 1.0, note=note)


def away(errors: Floats) -> str:
    return f"{rms(errors):.1%} ({np.mean(~np.isnan(errors)):.0%} proven)"


def rms(errors: Floats) -> float:
    return float(np.sqrt(np.nanmean(np.square(errors))))
