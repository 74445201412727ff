"""CPU of everything about discharges and health for one scan of a large room, part by part."""

import time

import numpy as np
from analytics.believed import Believed
from analytics.discharge.recorder import RecorderMemory, follow_recorder
from analytics.impedance.follow import ImpedanceMemory, follow_impedance
from analytics.impedance.rules import ImpedanceRules, StringImpedanceRules
from analytics.life.follow import LifeMemory, follow_life
from analytics.life.rules import LifeRules, StringLifeRules
from analytics.mode import ModeMemory, follow_mode
from analytics.mode_rules import ModeRules
from analytics.readings import Layout, Readings
from analytics.soh.follow import SohMemory, follow_soh
from analytics.soh.rules import SohRules, StringSohRules
from cellkeeper.contract.chemistry import profiles

STRINGS, UNITS, SCANS = 17, 241, 400
FLOAT_V, LOAD_V = 2.26, 1.95


def parts_ms_4096(*, discharging: bool = False) -> dict[str, float]:
    """Return the CPU milliseconds per scan by part; the first scans, which begin everything, are not counted."""
    names = [f"s{number}" for number in range(STRINGS)]
    layout = Layout.of(dict.fromkeys(names, UNITS), dict.fromkeys(names, 1))
    profile = profiles()["vrla_agm"]
    mode_rules = ModeRules.of(layout, dict.fromkeys(names, profile), dict.fromkeys(names, 100.0))
    soh_rules = SohRules.of(layout, dict.fromkeys(names, StringSohRules("vrla_agm", 100.0, 10.0, 20.0, 1.8)))
    impedance_rules = ImpedanceRules.of(layout, dict.fromkeys(names, StringImpedanceRules.of("vrla_agm", 100.0)))
    life_rules = LifeRules.of(layout, dict.fromkeys(names, StringLifeRules.of("vrla_agm")))
    mode, recorder, soh = ModeMemory.empty(layout), RecorderMemory.empty(layout), SohMemory.empty(layout)
    impedance, life = ImpedanceMemory.empty(layout), LifeMemory.empty(layout)
    rng = np.random.default_rng(1)
    known = np.ones(layout.units)
    beliefs, state = Believed(known, 0.01 * known, np.nan * known, np.nan * known), np.zeros(layout.units, np.uint8)
    no_ripple, spent = np.full(STRINGS, np.nan), dict.fromkeys(("mode", "recorder", "soh", "impedance", "life"), 0.0)
    for scan in range(SCANS + 60):
        load = discharging and scan > 30
        readings = _readings(layout, float(scan), LOAD_V - 1e-4 * scan if load else FLOAT_V, 50.0 if load else 0.0, rng)
        at = [time.process_time()]
        mode, said = follow_mode(mode, readings, mode_rules)
        at.append(time.process_time())
        recorder, records = follow_recorder(recorder, readings, said, beliefs, [None] * STRINGS, layout)
        at.append(time.process_time())
        soh, _, _ = follow_soh(soh, readings, said, records, soh_rules)
        at.append(time.process_time())
        impedance, _ = follow_impedance(impedance, (), said, no_ripple, impedance_rules)
        at.append(time.process_time())
        life, _ = follow_life(life, readings, soh.learned, state, life_rules)
        at.append(time.process_time())
        if scan >= 60:
            for name, begin, end in zip(spent, at, at[1:], strict=False):
                spent[name] += (end - begin) / SCANS * 1e3
        assert said[0].mode == ("discharge" if load and scan > 33 else "float" if not load else said[0].mode)
    return spent


def _readings(layout: Layout, at_s: float, cell_v: float, load_a: float, rng: np.random.Generator) -> Readings:
    n, s = layout.units, len(layout.strings)
    v = cell_v + 1e-3 * rng.standard_normal(n)
    return Readings(
        np.full(s, 1e9 + at_s), np.full(s, load_a), np.full(s, cell_v * UNITS), np.full(s, 0.05), np.full(s, 21.0),
        v, v, 22.0 + 0.1 * rng.standard_normal(n), np.zeros(n), np.zeros(n, np.uint8),
    )  # fmt: skip
