"""How long batteries last, as predicted and as it was: discharges of the twin from 5 min to 3 h; the CPU of following.

Two sets of discharges with other seeds, loads, temperatures and healths. Constants of `analytics.runtime` were chosen
on the tuning set; figures are of the reporting set. `python -m bench.bench_runtime` prints every case of both, beside
one Peukert exponent. An error is that of the whole time from the load's coming to the UPS cut-off.
"""

import time
from dataclasses import dataclass

import numpy as np
from analytics.believed import Believed
from analytics.discharge.record import DischargeRecord
from analytics.modes import Mode
from analytics.readings import Layout, Readings
from analytics.runtime.follow import RuntimeMemory, follow_runtime
from analytics.runtime.rules import RuntimeRules
from analytics.runtime.score import RuntimeScore, score_runtime
from cellkeeper.contract.site import Site

from bench.figure import Figure
from bench.runtime_maker import LEAD, LFP
from bench.runtime_rooms import RATED_AH, WIRING_TOLD_SD, Case, Seen, believed_health, discharge, follow

NAMES = (
    "runtime_err_onset",
    "runtime_err_half",
    "runtime_err_half_wiring_told",
    "runtime_err_half_wiring_seen",
    "runtime_left_err_half",
    "runtime_unit_err_half",
    "runtime_coverage",
    "runtime_ms_4096",
)
TUNING = (
    Case("vrla", 5, 25.0, (0.9, 1.0), 6, 32, 100), Case("vrla", 8, 20.0, (0.8, 1.0), 1, 48, 101),
    Case("vrla", 10, 15.0, (0.8, 1.0), 6, 32, 102), Case("vrla", 15, 30.0, (0.85, 1.0), 6, 32, 103),
    Case("vrla", 30, 25.0, (0.8, 0.95), 1, 48, 104), Case("vrla", 60, 20.0, (0.8, 1.0), 6, 32, 105),
    Case("vrla", 120, 25.0, (0.8, 1.0), 6, 32, 106), Case("vrla", 180, 15.0, (0.8, 1.0), 1, 48, 107),
    Case("vrla", 180, 30.0, (0.9, 1.0), 6, 32, 108), Case("lfp", 25, 25.0, (0.8, 1.0), 1, 48, 200),
    Case("lfp", 30, 15.0, (0.85, 1.0), 1, 48, 201), Case("lfp", 60, 20.0, (0.8, 1.0), 1, 48, 202),
    Case("lfp", 120, 30.0, (0.9, 1.0), 1, 48, 203), Case("lfp", 180, 25.0, (0.8, 1.0), 1, 48, 204),
    Case("vrla", 5, 22.0, (0.9, 1.0), 1, 48, 600), Case("vrla", 6, 28.0, (0.85, 1.0), 6, 32, 601),
    Case("vrla", 6, 18.0, (0.85, 1.0), 1, 60, 602), Case("vrla", 7, 25.0, (0.8, 0.95), 6, 40, 603),
    Case("vrla", 8, 30.0, (0.8, 1.0), 1, 48, 604), Case("vrla", 8, 15.0, (0.9, 1.0), 6, 32, 605),
    Case("vrla", 9, 20.0, (0.8, 1.0), 1, 60, 606), Case("vrla", 9, 25.0, (0.95, 1.0), 6, 32, 607),
)  # fmt: skip
REPORTED = (
    Case("vrla", 6, 22.0, (0.92, 1.0), 6, 40, 300), Case("vrla", 9, 28.0, (0.85, 0.98), 6, 32, 301),
    Case("vrla", 12, 20.0, (0.82, 1.0), 1, 60, 302), Case("vrla", 20, 17.0, (0.8, 0.97), 6, 32, 303),
    Case("vrla", 25, 30.0, (0.8, 1.0), 1, 48, 304), Case("vrla", 45, 22.0, (0.8, 1.0), 6, 40, 305),
    Case("vrla", 75, 15.0, (0.85, 1.0), 1, 48, 306), Case("vrla", 100, 30.0, (0.8, 0.95), 6, 32, 307),
    Case("vrla", 150, 20.0, (0.8, 1.0), 6, 32, 308), Case("vrla", 180, 25.0, (0.95, 1.0), 1, 48, 309),
    Case("lfp", 26, 20.0, (0.85, 1.0), 1, 48, 400), Case("lfp", 40, 30.0, (0.8, 1.0), 1, 48, 401),
    Case("lfp", 90, 15.0, (0.8, 1.0), 1, 48, 402), Case("lfp", 150, 25.0, (0.9, 1.0), 1, 48, 403),
    Case("lfp", 180, 20.0, (0.8, 0.95), 1, 48, 404),
)  # fmt: skip
PEUKERT = {"vrla": (1.15, 2.0), "lfp": (1.05, 3.2)}
SIMULATED = "on the twin, parameters unknown to the estimator, maker's sheet from another model, health a year old"
WITHOUT_SHEET = "generic rule of two exponents instead of a sheet"


@dataclass(frozen=True, slots=True)
class Wired:
    """The scores of one case when more is known of its wiring, and the share within 2 sd."""

    onset: RuntimeScore
    half: RuntimeScore
    covered: float


@dataclass(frozen=True, slots=True)
class Played:
    """One case: what happened; scores with the maker's sheet, with the wiring known too, without; the naive figure."""

    case: Case
    whole_s: float
    onset: RuntimeScore
    half: RuntimeScore
    told: Wired
    seen: Wired
    bare_onset: RuntimeScore
    peukert_frac: float
    covered: float
    sharpness: float


def figures() -> list[Figure]:
    """Return all runtime_* figures."""
    played = [play(case) for case in REPORTED]
    bare = max(abs(each.bare_onset.bus_error_frac) for each in played)
    naive = max(abs(each.peukert_frac) for each in played)
    sheets = "; ".join(f"{kind} sheet against new batteries {off}" for kind, off in sheet_errors().items())
    note = f"of {len(played)} discharges (bench/bench_runtime.py); {SIMULATED}; "
    note += f"{WITHOUT_SHEET}: {bare:.2f}; one Peukert exponent: {naive:.2f}; {sheets}"
    return [
        _worst("runtime_err_onset", [(each, each.onset.bus_error_frac) for each in played], 0.15, note),
        _worst("runtime_err_half", [(each, each.half.bus_error_frac) for each in played], 0.05, "of the whole time"),
        _wired(
            "runtime_err_half_wiring_told", [(each, each.told) for each in played],
            f"wiring_ohm in site.toml, {WIRING_TOLD_SD:.0%} (sd) off",
        ),
        _wired(
            "runtime_err_half_wiring_seen", [(each, each.seen) for each in played],
            "a string_voltage sensor at the UPS",
        ),
        _worst(
            "runtime_left_err_half", [(each, each.half.bus_left_error_frac) for each in played], None,
            "the same error as part of the time that is left",
        ),
        _worst(
            "runtime_unit_err_half", [(each, each.half.unit_error_frac) for each in played], None,
            "until the first unit is at its limit",
        ),
        Figure(
            "runtime_coverage", float(np.mean([each.covered for each in played])), "", better="higher",
            note="share of all predictions of a discharge, from onset to 95 % of its time, within two sd of the truth; "
            f"two sd over the rms error of a discharge: median {np.median([each.sharpness for each in played]):.1f}",
        ),
        cpu(),
    ]  # fmt: skip


def _wired(name: str, scores: list[tuple[Played, Wired]], note: str) -> Figure:
    onset = max(abs(each.onset.bus_error_frac) for _, each in scores)
    covered = np.mean([each.covered for _, each in scores])
    note += f"; at onset {onset:.3f}; within two sd {covered:.3f}"
    return _worst(name, [(case, each.half.bus_error_frac) for case, each in scores], None, note)


def _worst(name: str, errors: list[tuple[Played, float]], goal: float | None, note: str) -> Figure:
    case, worst = max(errors, key=lambda each: abs(each[1]))
    median = float(np.median([abs(each[1]) for each in errors]))
    return Figure(name, abs(worst), "", goal, note=f"worst {worst:+.3f}: {case.case}; median {median:.3f}; {note}")


def play(case: Case) -> Played:
    """Return how a case went."""
    seen = discharge(case)
    unit_v = case.end_v * case.cells_per_unit
    bus_v = unit_v * case.units
    sheet = case.maker.sheet(case.cells_per_unit)
    record = follow(case, seen, sheet)
    onset, half = score_runtime(record, unit_v, bus_v)
    told = _wired_of(follow(case, seen, sheet, "told"), unit_v, bus_v)
    at_ups = _wired_of(follow(case, discharge(case, at_ups=True), sheet, "seen"), unit_v, bus_v)
    bare_onset, _ = score_runtime(follow(case, seen, None), unit_v, bus_v)
    covered, sharpness = _held(record, onset)
    naive = peukert_s(case, seen) / onset.bus_s - 1.0
    return Played(case, onset.bus_s, onset, half, told, at_ups, bare_onset, naive, covered, sharpness)


def _wired_of(record: DischargeRecord, unit_v: float, bus_v: float) -> Wired:
    onset, half = score_runtime(record, unit_v, bus_v)
    covered, _ = _held(record, onset)
    return Wired(onset, half, covered)


def _held(record: DischargeRecord, onset: RuntimeScore) -> tuple[float, float]:
    """Return the share of predictions from onset to 95 % of the time within 2 sd, and 2 sd over their rms error."""
    passed_s = np.array([said.at_s for said in record.said]) - record.began_s
    judged = (passed_s >= onset.at_s) & (passed_s <= 0.95 * onset.bus_s)
    error_s = (passed_s + np.array([said.bus_left_s for said in record.said]) - onset.bus_s)[judged]
    bar_s = 2.0 * np.array([said.bus_left_sd_s for said in record.said])[judged]
    return float(np.mean(np.abs(error_s) <= bar_s)), float(np.median(bar_s) / np.sqrt(np.mean(error_s**2)))


def peukert_s(case: Case, seen: Seen) -> float:
    """Return what one exponent through the rated capacity says, with the weakest unit's health."""
    exponent, nominal_v = PEUKERT[case.kind]
    rated_a = RATED_AH / 10.0
    return float(36_000.0 * (rated_a * believed_health(case, seen).min() / (seen.cell_w / nominal_v)) ** exponent)


def sheet_errors() -> dict[str, str]:
    """Return by how much the maker's sheets miss new batteries of the twin."""
    found = {}
    for kind, maker, loads in (("vrla", LEAD, (440.0, 380.0, 240.0, 140.0)), ("lfp", LFP, (700.0, 400.0, 150.0))):
        off = []
        for cell_w in loads:
            end_v = 1.67 if kind == "vrla" else 2.7
            minutes = maker.lasts_s(cell_w, end_v) / 60.0
            seen = discharge(Case(kind, minutes, 25.0, (1.0, 1.0), 1, 96, 7))
            off.append(minutes * 60.0 / (float(seen.at_s[-1]) - seen.began_s) - 1.0)
        found[kind] = ", ".join(f"{each:+.3f}" for each in off)
    return found


def cpu() -> Figure:
    """Return the CPU per scan of 17 strings with 4096 units, all on battery, averaged over ten minutes of scans."""
    units = [241] * 16 + [240]
    strings = {f"s{number}": count for number, count in enumerate(units)}
    modules = [{"bus": f"b{number}", "first_address": 1, "count": count} for number, count in enumerate(units)]
    table = [
        {"id": name, "cells": count, "chemistry": "vrla_agm", "rated_ah": 100.0, "modules": [modules[number]]}
        for number, (name, count) in enumerate(strings.items())
    ]
    buses = [{"id": f"b{number}", "port": f"p{number}"} for number in range(len(units))]
    site = Site.model_validate({"site": {"id": "x", "name": "x"}, "bus": buses, "string": table})
    layout = Layout.of(strings, dict.fromkeys(strings, 1))
    sheet = LEAD.sheet(1)
    rules = RuntimeRules.of(layout, site, dict.fromkeys(strings, sheet))
    rng = np.random.default_rng(1)
    n, s = layout.units, len(units)
    believed = Believed(np.full(n, 0.8), np.full(n, 0.01), rng.uniform(0.8, 1.0, n), np.full(n, 0.02))
    quality = np.zeros(n, dtype=np.uint8)
    found = {}
    loads: tuple[tuple[Mode, float, float], ...] = (("discharge", 60.0, 1.95), ("float", 0.0, 2.27))
    for mode, amps, volts in loads:
        modes = [mode] * s
        unit_v = volts + 0.01 * rng.standard_normal(n)
        scans = [
            Readings(
                at_s=np.full(s, 1e9 + at), discharge_a=np.full(s, amps), string_v=np.bincount(layout.string_of, unit_v),
                float_a=np.full(s, np.nan), ambient_degc=np.full(s, 22.0), unit_v=unit_v, unit_v_as_read=unit_v,
                degc=np.full(n, 23.0), bleed_a=np.zeros(n), quality=quality,
            )
            for at in range(600)
        ]  # fmt: skip
        each_ms = []
        for _ in range(3):
            memory = RuntimeMemory.empty(rules)
            began = time.process_time()
            for scan in scans:
                memory, _ = follow_runtime(memory, scan, modes, believed, rules)
            each_ms.append((time.process_time() - began) / len(scans) * 1e3)
        found[mode] = float(np.median(each_ms))
    note = f"CPU for 17 strings on battery at 1 Hz, judged after 2 % of what is left; in float {found['float']:.2f}"
    return Figure("runtime_ms_4096", found["discharge"], "ms", 0.5, note=note)


def main() -> None:
    """Print every case of both sets."""
    for name, cases in (("tuning", TUNING), ("reported", REPORTED)):
        print(f"{name}: whole time; error at onset, at half (of what is left), of the weakest unit; share within 2 sd;")
        print(f"  at onset: {WITHOUT_SHEET}, one Peukert exponent; wiring told, and seen: onset, half, share")
        for case in cases:
            each = play(case)
            onset, half = each.onset, each.half
            print(
                f"  {case!s:42s} {each.whole_s / 60.0:6.1f} min; {onset.bus_error_frac:+.3f} "
                f"{half.bus_error_frac:+.3f} ({half.bus_left_error_frac:+.3f}) {half.unit_error_frac:+.3f}; "
                f"{each.covered:.2f};  {each.bare_onset.bus_error_frac:+.2f} {each.peukert_frac:+.2f}; "
                f"{_brief(each.told)}; {_brief(each.seen)}",
                flush=True,
            )


def _brief(wired: Wired) -> str:
    return f"{wired.onset.bus_error_frac:+.3f} {wired.half.bus_error_frac:+.3f} {wired.covered:.2f}"


if __name__ == "__main__":
    main()
