"""Strings that the balancing figures are about: the twin's cells, perturbed, in need of being evened out."""

from dataclasses import dataclass, replace

import numpy as np
from balancer.rules import PackRules
from cellkeeper.contract.chemistry import profiles
from twin.physics.parameter_sets import ParameterSet, shipped_parameter_sets
from twin.physics.room import Room
from twin.physics.room_spec import RoomSpec, StringSpec
from twin.physics.ups import DcBusSpec
from twin.script.scenario import Scenario

from bench.balance_sim import START, Balancer, Cellkeeper, Closed

TOLERANCE = 0.1  # of a module's bleed resistor, evenly spread
STILL = Scenario("still", swing_k=0.0)


@dataclass(frozen=True, slots=True)
class Power:
    """What a module can bleed, and what it may give off."""

    bleed_a: float
    budget_w: float

    def __str__(self) -> str:
        return f"{self.bleed_a:g} A / {self.budget_w:g} W"


def rules_of(chemistry: str, units: int, *, k: int, ah: float, power: Power, step_s: float) -> PackRules:
    """Return the rules that a site.toml of this string would give; lithium permitted."""
    c = profiles()[chemistry]
    b = c.balance
    return PackRules(
        string="s1", first=0, units=units, cells_per_unit=k, rated_ah=ah, strategy=b.strategy, is_permitted=True,
        float_v=c.float_v * k, float_v_per_k=c.float_v_per_k * k, floor_v=c.bleed_floor_v * k, bleed_a=power.bleed_a,
        budget_w=power.budget_w, cooling_w_per_k=b.cooling_w_per_k * k * (ah / 100.0) ** (2 / 3), stop_degc=45.0,
        enter_v=(b.enter_v or 0.0) * k, leave_v=(b.leave_v or 0.0) * k, bleed_above_v=(b.bleed_above_v or 0.0) * k,
        start_v=b.start_v * k**0.5, stop_v=b.stop_v * k**0.5,
        plateau_v=None if b.plateau_v is None else b.plateau_v * k, scan_s=step_s,
    )  # fmt: skip


def tolerance_of(units: int, seed: int) -> np.ndarray:
    """Return by how much each module's bleed differs from the usual one."""
    return 1.0 + np.random.default_rng(seed).uniform(-TOLERANCE, TOLERANCE, units)


def lfp_string(
    spread_frac: float,
    power: Power,
    *,
    charge_v: float = 3.45,
    units: int = 16,
    seed: int = 7,
    step_s: float = 10.0,
    mean_frac: float = 0.985,
    scenario: Scenario = STILL,
    balancer: Balancer | None = None,
    sets: dict[str, ParameterSet] | None = None,
) -> Closed:
    """Return a charged LFP string at constant voltage whose charge differs by `spread_frac` from lowest to highest."""
    spec = RoomSpec(
        (StringSpec("s1", units, "lfp", 100.0, bleed_max_a=power.bleed_a),),
        (DcBusSpec("s1", float_v=charge_v, boost_v=charge_v),),
    )
    room = Room(spec, seed=seed, start=START, max_step_s=step_s, scenario=scenario, parameter_sets=sets)
    drawn = np.random.default_rng(seed + 1).standard_normal(units)
    drawn = (drawn - drawn.mean()) * (spread_frac / np.ptp(drawn))
    room.bank.set_charge(np.clip(mean_frac + drawn, 0.0, 1.004))
    rules = rules_of("lfp", units, k=1, ah=100.0, power=power, step_s=step_s)
    everyone = np.ones(units, dtype=np.bool_)
    return Closed(room, rules, step_s, tolerance_of(units, seed), 1e-4, balancer or Cellkeeper.new(units), everyone)


def lithium_sets(self_discharge_ln: float, place_k: float) -> dict[str, ParameterSet]:
    """Return the twin's sets with other LFP: spread of self-discharge, and of warmth along the rack."""
    sets = shipped_parameter_sets()
    lfp = sets["lfp"]
    changed = replace(lfp, spread=replace(lfp.spread, self_discharge_ln=self_discharge_ln, place_k=place_k))
    return {name: changed if each is lfp else each for name, each in sets.items()}


@dataclass(frozen=True, slots=True)
class Lead:
    """Lead of another kind, as factors on the twin's: Tafel slope, store of polarisation, gassing; and its spread."""

    gassing_ln: float = 0.21
    tafel: float = 1.0
    store: float = 1.0
    gassing: float = 1.0

    def sets(self) -> dict[str, ParameterSet]:
        sets = shipped_parameter_sets()
        lead = sets["vrla"]
        x = tuple(each if each <= 1.0 else 1.0 + (each - 1.0) * self.store for each in lead.ocv.soc_frac)
        gas = lead.gassing
        changed = replace(
            lead,
            ocv=replace(lead.ocv, soc_frac=x),
            gassing=replace(
                gas, tafel_v_per_decade=gas.tafel_v_per_decade * self.tafel, a_per_ah=gas.a_per_ah * self.gassing
            ),
            spread=replace(lead.spread, gassing_ln=self.gassing_ln),
        )
        return {name: changed if each is lead else each for name, each in sets.items()}


def vrla_room(lead: Lead, power: Power, units: int, seed: int, step_s: float, scenario: Scenario = STILL) -> Room:
    """Return a room with one string of 12 V blocks in settled float."""
    spec = RoomSpec((StringSpec("s1", units, "vrla_agm", 100.0, cells_per_unit=6, bleed_max_a=power.bleed_a),))
    room = Room(spec, seed=seed, start=START, max_step_s=step_s, scenario=scenario, parameter_sets=lead.sets())
    room.advance(1.0)
    return room


def lead_with_range(range_v: float, *, units: int = 40, seed: int = 3) -> Lead:
    """Return lead whose float voltages differ by `range_v`: the range follows the spread of the gassing, evenly."""
    lead = Lead(gassing_ln=0.5)
    for _ in range(4):
        room = vrla_room(lead, Power(0.1, 1.4), units, seed, 30.0)
        lead = replace(lead, gassing_ln=lead.gassing_ln * range_v / float(np.ptp(room.truth("s1").v)))
    return lead


def vrla_string(
    lead: Lead,
    power: Power,
    *,
    units: int = 40,
    seed: int = 3,
    step_s: float = 30.0,
    scenario: Scenario = STILL,
    balancer: Balancer | None = None,
) -> Closed:
    """Return a string of 12 V blocks in settled float."""
    room = vrla_room(lead, power, units, seed, step_s, scenario)
    rules = rules_of("vrla_agm", units, k=6, ah=100.0, power=power, step_s=step_s)
    everyone = np.ones(units, dtype=np.bool_)
    return Closed(room, rules, step_s, tolerance_of(units, seed), 5e-4, balancer or Cellkeeper.new(units), everyone)
