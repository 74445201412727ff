"""A room of strings for the estimate of charge: scans from a few numbers, played one after another."""

import json
import math
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path

import numpy as np
from analytics.readings import Layout, Readings
from analytics.soc.capacity_belief import CapacityBelief
from analytics.soc.follow import follow_soc
from analytics.soc.memory import SocMemory
from analytics.soc.rules import Instruments, SocRules
from cellkeeper.contract.chemistry import profiles

NAN = math.nan
BEGAN_S = 1.79e9
TRUTH = Path(__file__).parent / "soc_truth"
LOSSLESS = {"coulombic_frac": 1.0, "self_discharge_per_month_frac": 0.0}


def chemistry(name, **estimate):
    """Return a profile with other figures for the estimate."""
    profile = profiles()[name]
    own = type(profile.estimate).model_validate(profile.estimate.model_dump() | estimate)
    return profile.model_copy(update={"estimate": own})


def rules_of(strings, units=4, cells_per_unit=1, rated_ah=100.0, gap_s=30.0):
    """Return the rules of strings; `strings` maps ids to profiles."""
    layout = Layout.of(dict.fromkeys(strings, units), dict.fromkeys(strings, cells_per_unit))
    return SocRules.of(layout, strings, dict.fromkeys(strings, rated_ah), Instruments(gap_s=gap_s))


def scan(rules, at_s, unit_v, discharge_a=0.0, degc=25.0, bleed_a=0.0, quality=0):
    """Return one scan of every string; scalars stand for all units or strings."""
    units, strings = rules.units, len(rules.layout.strings)
    unit_v = np.broadcast_to(np.asarray(unit_v, dtype=float), units).copy()
    nothing = np.full(strings, NAN)
    return Readings(
        at_s=np.broadcast_to(np.asarray(at_s, dtype=float), strings).copy(),
        discharge_a=np.broadcast_to(np.asarray(discharge_a, dtype=float), strings).copy(),
        string_v=nothing,
        float_a=nothing,
        ambient_degc=nothing,
        unit_v=unit_v,
        unit_v_as_read=unit_v,
        degc=np.broadcast_to(np.asarray(degc, dtype=float), units).copy(),
        bleed_a=np.broadcast_to(np.asarray(bleed_a, dtype=float), units).copy(),
        quality=np.full(units, quality, dtype=np.uint8),
    )


class Player:
    """The estimator with its memory between scans."""

    def __init__(self, rules, memory=None, capacity=None):
        self.rules = rules
        self.memory = memory or SocMemory.empty(rules)
        self.capacity = capacity or CapacityBelief.rated(rules.rated_ah, 0.02)

    def see(self, mode, at_s, unit_v, discharge_a=0.0, **others):
        """Return what is told after a scan."""
        return self.take(scan(self.rules, at_s, unit_v, discharge_a, **others), mode)

    def take(self, readings, mode):
        modes = (mode,) * len(self.rules.layout.strings) if isinstance(mode, str) else mode
        self.memory, told = follow_soc(self.memory, readings, modes, self.capacity, self.rules)
        return told


def told_at(rules, soc_frac, sd_frac):
    """Return a player whose units' charge a person told."""
    soc = np.full(rules.units, float(soc_frac)) if np.isscalar(soc_frac) else np.asarray(soc_frac, dtype=float)
    return Player(rules, SocMemory.told(rules, soc, np.full(rules.units, float(sd_frac))))


def ocv(profile, soc_frac):
    """Return the rested volts of a profile's curve."""
    return np.interp(soc_frac, profile.estimate.soc_frac, profile.estimate.ocv_v)


def assert_same(one, other):
    """Fail where two estimates or memories differ anywhere."""
    for field in fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if is_dataclass(a):
            assert_same(a, b)
        else:
            np.testing.assert_array_equal(a, b, err_msg=field.name)


def packed(memory):
    """Return a memory as plain text, and nothing but its values."""
    return json.dumps(_plain(memory))


def _plain(item):
    if is_dataclass(item):
        return {field.name: _plain(getattr(item, field.name)) for field in fields(item)}
    return {"dtype": item.dtype.str, "bytes": item.tobytes().hex()}


def unpacked(text, like):
    """Return the memory that a text holds, shaped like another."""
    return _filled(json.loads(text), like)


def _filled(body, like):
    if is_dataclass(like):
        return replace(like, **{f.name: _filled(body[f.name], getattr(like, f.name)) for f in fields(like)})
    return np.frombuffer(bytes.fromhex(body["bytes"]), dtype=np.dtype(body["dtype"])).copy()


@dataclass
class Truth:
    """A run of known charge with the tables of its kind of cell."""

    at_s: np.ndarray
    discharge_a: np.ndarray
    unit_v: np.ndarray
    degc: np.ndarray
    soc_frac: np.ndarray
    nominal_ah: float
    tables: dict

    @classmethod
    def read(cls, name):
        with np.load(TRUTH / f"{name}.npz") as held:
            run = {key: held[key].astype(float) for key in held.files if key not in {"tables", "about"}}
            run |= {key: run[key][::2] for key in ("at_s", "discharge_a", "unit_v", "degc", "soc_frac")}
            tables = json.loads(str(held["tables"]))
        run.pop("capacity_ah")
        return cls(**(run | {"nominal_ah": float(run["nominal_ah"])}), tables=tables)

    def modes(self):
        rate = self.discharge_a / self.nominal_ah
        return ["discharge" if each > 0.002 else "recharge" if each < -0.002 else "rest" for each in rate]
