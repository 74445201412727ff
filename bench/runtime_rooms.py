"""Discharges of the twin's batteries, seen through their instruments and followed by the runtime estimator.

Nothing of the twin reaches the estimator but readings: its table is the maker's (`runtime_maker`), its states of health
are those that a capacity test showed a year ago, its charge is counted from the string's current with them. Only where
a figure says so, site.toml tells the wiring, as wrongly as somebody would who worked it out.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from analytics.believed import Believed
from analytics.discharge.record import DischargeRecord, RuntimeSaid
from analytics.modes import Mode
from analytics.readings import Layout, Readings
from analytics.runtime.follow import RuntimeMemory, follow_runtime
from analytics.runtime.rules import RuntimeRules
from cellkeeper.contract.battery_type import BatteryType
from cellkeeper.contract.site import Site
from twin.physics.room import Room
from twin.physics.room_spec import RoomSpec, StringSpec
from twin.physics.ups import WIRING_OHM_AH, DcBusSpec, Phase, UpsEvent
from twin.script.scenario import Scenario

from bench.balance_sim import START, Floats
from bench.runtime_maker import LEAD, LFP, Maker

type Wiring = Literal["guessed", "told", "seen"]
"""What the estimator has of it: nothing, `wiring_ohm`, or the string's volts at the UPS."""

RESISTANCE_LN = 0.05  # between units of the same health
TEST_SD = 0.01  # of a capacity test
YEAR_FRAC = (0.005, 0.025)  # health that units lose in the year since
SOC_SD = 0.01
SOH_SD = 0.02  # what an estimator would claim of a health a year old
RATED_AH = 100.0
WIRING_TOLD_SD = 0.2  # of a resistance that somebody worked out from lengths and sections of cables


@dataclass(frozen=True, slots=True)
class Case:
    """One discharge: about so many minutes, at so many degrees, of units with health between two values."""

    kind: str
    minutes: float
    degc: float
    health: tuple[float, float]
    cells_per_unit: int
    units: int
    seed: int

    @property
    def maker(self) -> Maker:
        return LEAD if self.kind == "vrla" else LFP

    @property
    def end_v(self) -> float:
        return 1.67 if self.kind == "vrla" else 2.7

    def __str__(self) -> str:
        block = f"{self.units} x {self.cells_per_unit}"
        return f"{self.kind} {self.minutes:g} min {self.degc:g} °C {self.health[0]:g}-{self.health[1]:g} {block}"


@dataclass(frozen=True, slots=True)
class Seen:
    """A discharge as its instruments showed it, from some scans before the load on; and the truth.

    Attributes:
        at_s: (T,) since the room's start.
        discharge_a, string_v: (T,)
        unit_v, degc: (T, n)
        began_s: when the load came.
        health: (n,) true capacity over rated.
        cell_w: load of one electrochemical cell.
    """

    at_s: Floats
    discharge_a: Floats
    string_v: Floats
    unit_v: Floats
    degc: Floats
    began_s: float
    health: Floats
    cell_w: float


def discharge(case: Case, *, at_ups: bool = False) -> Seen:
    """Return a discharge of the twin down to the UPS cut-off; its volts measured at the string's ends or at the UPS."""
    string = StringSpec("s1", case.units, case.kind, RATED_AH, cells_per_unit=case.cells_per_unit)
    spec = RoomSpec((replace(string, is_measured_at_ups=at_ups),), (DcBusSpec("s1", cutoff_v=case.end_v),))
    scenario = replace(Scenario("still", swing_k=0.0), ambient_degc=case.degc)
    room = Room(spec, seed=case.seed, start=START, scenario=scenario, max_step_s=10.0)
    health, cell_w = _aged(room, case)
    rows: list[tuple[float, float, float, Floats, Floats]] = []
    step_s = 1.0 if case.minutes <= 20.0 else 5.0

    def live(seconds: float) -> None:
        room.advance(room.now_s + seconds)
        seen = room.reading("s1")
        rows.append((room.now_s, -seen.scalars.string_a, seen.scalars.string_v, seen.v.copy(), seen.degc.copy()))

    for _ in range(20):
        live(step_s)
    began_s = room.now_s
    room.command_ups(UpsEvent(0.0, "outage", power_w=cell_w * case.units * case.cells_per_unit))
    while room.ups.phase[0] == Phase.OUTAGE:
        live(step_s)
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    return Seen(*columns, began_s, health, cell_w)


def _aged(room: Room, case: Case) -> tuple[Floats, float]:
    """Age the room's units; return their true health, and a load that lasts about as long as the case says."""
    rng = np.random.default_rng(case.seed)
    health = rng.uniform(*case.health, case.units)
    elements = room.bank.elements
    elements.q_ah *= health
    thinner = np.exp(RESISTANCE_LN * rng.standard_normal(case.units)) / health
    for ohm in (elements.r0_ohm, elements.r1_ohm, elements.r2_ohm):
        np.multiply(ohm, thinner, out=ohm)
    room.bank.forget_decays()
    return elements.q_ah / RATED_AH, case.maker.power_w(case.minutes * 60.0, case.end_v) * float(health.mean())


def rules_of(case: Case, sheet: BatteryType | None, wiring: Wiring = "guessed") -> RuntimeRules:
    """Return the rules of the case's string, with the maker's sheet or without any."""
    single = case.cells_per_unit == 1
    string: dict[str, object] = {
        "id": "s1", "cells": case.units, "cells_per_unit": case.cells_per_unit, "chemistry": case.maker.chemistry,
        "chemistry_override": {"cutoff_v": case.end_v}, "module_type": "c44" if single else "c20",
        "rated_ah": RATED_AH, "rate_h": 10.0, "ref_degc": 25.0,
        "modules": [{"bus": "b", "first_address": 1, "count": case.units}], "dcbus": "u",
    }  # fmt: skip
    match wiring:
        case "told":
            string |= {"wiring_ohm": told_ohm(case)}
        case "seen":
            at_ups = {"kind": "string_voltage", "bus": "b", "address": case.units + 1, "at_ups": True}
            string |= {"sensor": [at_ups]}
        case "guessed":
            pass
    ups = {"id": "u", "cutoff_v": case.end_v * case.units * case.cells_per_unit}
    site = Site.model_validate(
        {"site": {"id": "x", "name": "x"}, "bus": [{"id": "b", "port": "p"}], "dcbus": [ups], "string": [string]}
    )
    layout = Layout.of({"s1": case.units}, {"s1": case.cells_per_unit})
    return RuntimeRules.of(layout, site, {} if sheet is None else {"s1": sheet})


def told_ohm(case: Case) -> float:
    """Return the twin's wiring as whoever wrote site.toml worked it out."""
    off = np.random.default_rng(case.seed + 200_000).standard_normal()
    return float(WIRING_OHM_AH / RATED_AH * np.exp(WIRING_TOLD_SD * off))


def believed_health(case: Case, seen: Seen) -> Floats:
    """Return the health of the units as a test a year ago showed it."""
    rng = np.random.default_rng(case.seed + 100_000)
    lost = rng.uniform(*YEAR_FRAC, case.units)
    return np.asarray(seen.health + lost + TEST_SD * rng.standard_normal(case.units))


def follow(case: Case, seen: Seen, sheet: BatteryType | None, wiring: Wiring = "guessed") -> DischargeRecord:
    """Return the record of a discharge with everything that was predicted in it."""
    rules, health = rules_of(case, sheet, wiring), believed_health(case, seen)
    memory, said = RuntimeMemory.empty(rules), []
    ones, gone_ah, before_s = np.ones(case.units), 0.0, float(seen.at_s[0])
    for t, at_s in enumerate(seen.at_s):
        loaded = at_s > seen.began_s
        gone_ah += float(seen.discharge_a[t]) * (at_s - before_s) / 3600.0 if loaded else 0.0
        before_s = at_s
        mode: Mode = "discharge" if loaded else "float"
        believed = Believed(1.0 - gone_ah / (RATED_AH * health), SOC_SD * ones, health, SOH_SD * ones)
        memory, runtime = follow_runtime(memory, reading(case, seen, t), [mode], believed, rules)
        if loaded:
            values = [float(each[0]) for each in (runtime.unit_left_s, runtime.unit_left_sd_s)]
            bus = [float(each[0]) for each in (runtime.bus_left_s, runtime.bus_left_sd_s)]
            said.append(RuntimeSaid(float(at_s), *values, int(runtime.cell[0]), *bus))
    nothing = np.full(case.units, np.nan)
    return DischargeRecord(
        string="s1", kind="outage", began_s=seen.began_s, ended_s=float(seen.at_s[-1]), ended_by="rest",
        at_s=seen.at_s, discharge_a=seen.discharge_a.astype(np.float32), string_v=seen.string_v.astype(np.float32),
        ambient_degc=np.full(len(seen.at_s), case.degc, dtype=np.float32), unit_v=seen.unit_v.astype(np.float32),
        degc=seen.degc.astype(np.float32), moved_ah=gone_ah, soc_frac=np.stack([nothing, nothing]),
        soc_sd_frac=np.stack([nothing, nothing]), soh_frac=health, soh_sd_frac=SOH_SD * ones, said=tuple(said),
        scans=len(said), missing_s=0.0, notes=(),
    )  # fmt: skip


def reading(case: Case, seen: Seen, t: int) -> Readings:
    """Return one scan as intake would hand it on."""

    def one(value: float) -> Floats:
        return np.array([value])

    return Readings(
        at_s=one(float(seen.at_s[t])), discharge_a=one(float(seen.discharge_a[t])),
        string_v=one(float(seen.string_v[t])), float_a=one(np.nan), ambient_degc=one(case.degc),
        unit_v=seen.unit_v[t], unit_v_as_read=seen.unit_v[t], degc=seen.degc[t], bleed_a=np.zeros(case.units),
        quality=np.zeros(case.units, dtype=np.uint8),
    )  # fmt: skip
