"""How even the balancer makes strings of the twin: spread and charge, lithium and lead; a leak read back; its CPU.

Results on a simulator, not on measured batteries: cells, modules and sensors are drawn around sets that the balancer
does not know. "As read" is what its instruments show, without the noise of a single sample; "true" has their offsets
in it. Every figure is at its bleed power, with the same in the 0.4 W of a sealed case beside it.

Steps of twin and scan: lithium 10 s, lead 30 s, 60 s over days, 300 s over months.
"""

import time
from dataclasses import dataclass, replace

import numpy as np
from balancer.decision import PackMemory, decide
from balancer.findings import Findings
from balancer.limits import Reason
from balancer.orders import Orders
from twin.physics.physical_faults import FaultEvent
from twin.script.scenario import Scenario

from bench.balance_rooms import Lead, Power, lead_with_range, lfp_string, lithium_sets, vrla_string
from bench.balance_sim import Cellkeeper, Closed, Nobody, Trace
from bench.balance_table import OTHERS, RIVALS, cases, is_behind, play
from bench.figure import Figure

NAMES = (
    "balance_lfp_spread_mv",
    "balance_lfp_soc_range_frac",
    "balance_lfp_5pct_h",
    "balance_vrla_16h_mv",
    "balance_vrla_72h_mv",
    "balance_vrla_240_mv",
    "balance_overshoot_frac",
    "balance_dry_out_k",
    "balance_leak_err_frac",
    "balance_behind_others",
    "balance_decision_ms_4096",
)
CELL, SEALED_CELL = Power(0.2, 0.7), Power(0.2, 0.4)
BLOCK, SEALED_BLOCK = Power(0.1, 1.4), Power(0.1, 0.4)
RANGE_V = 0.418
SIMULATED = "on the twin, parameters unknown to the balancer"
DAY_H = 24.0


def figures() -> list[Figure]:
    """Return all balance_* figures."""
    return [*lithium(), *lead(), *stability(), dry_out(), leak(), others(), decision()]


def _state(trace: Trace, hour: float) -> str:
    at = trace.at(hour)
    return f"{trace.spread_v[at] * 1e3:.1f} mV as read, {trace.true_spread_v[at] * 1e3:.1f} true"


def _hours(hours: float | None) -> str:
    return "never" if hours is None else f"{hours:.1f} h"


def lithium() -> list[Figure]:
    """Return the LFP figures: 16 cells of 100 Ah, 14 h of charging phase at an unchanged 3.45 V."""
    trace, sealed = lfp_string(0.022, CELL).run(14.0), lfp_string(0.022, SEALED_CELL).run(26.0)
    wide, wide_sealed = lfp_string(0.05, CELL).run(36.0), lfp_string(0.05, SEALED_CELL).run(60.0)
    at, sealed_at = trace.at(14.0), sealed.at(14.0)
    below, sealed_below = trace.first_below(0.005), sealed.first_below(0.005)
    return [
        Figure(
            "balance_lfp_spread_mv", trace.spread_v[at] * 1e3, "mV", 5.0,
            note=f"16 x 100 Ah LFP, 2.2 %, 14 h at {CELL}: {_state(trace, 14.0)}, below 5 mV after {_hours(below)}; "
            f"at {SEALED_CELL} {_state(sealed, 14.0)}, below 5 mV after {_hours(sealed_below)}; {SIMULATED}",
        ),
        Figure(
            "balance_lfp_soc_range_frac", trace.soc_range_frac[at], "", 0.003,
            note=f"true, after the same 14 h; at {SEALED_CELL} {sealed.soc_range_frac[sealed_at]:.4f}; {SIMULATED}",
        ),
        Figure(
            "balance_lfp_5pct_h", _or_inf(wide.first_below(0.005)), "h", 36.0,
            note=f"5 % instead, until below 5 mV as read, at {CELL}; at {SEALED_CELL} "
            f"{_hours(wide_sealed.first_below(0.005))}; {SIMULATED}",
        ),
    ]  # fmt: skip


def _or_inf(hours: float | None) -> float:
    return float("inf") if hours is None else hours


def lead() -> list[Figure]:
    """Return the VRLA figures: 12 V blocks of 100 Ah in float."""
    kind = lead_with_range(RANGE_V)
    trace, sealed = vrla_string(kind, BLOCK).run(72.0), vrla_string(kind, SEALED_BLOCK, step_s=60.0).run(72.0)
    long = lead_with_range(RANGE_V, units=240)
    many = vrla_string(long, BLOCK, units=240, step_s=60.0).run(72.0)
    many_sealed = vrla_string(long, SEALED_BLOCK, units=240, step_s=60.0).run(48.0)
    rows = []
    for hour, goal in ((16.0, 20.0), (72.0, 3.0)):
        note = f"40 x 12 V, 418 mV, {hour:.0f} h at {BLOCK}: {_state(trace, hour)}; at {SEALED_BLOCK} "
        note += f"{_state(sealed, hour)}: 29 mA are less than the float currents differ by; {SIMULATED}"
        rows.append(Figure(f"balance_vrla_{hour:.0f}h_mv", trace.spread_v[trace.at(hour)] * 1e3, "mV", goal, note=note))
    note = f"240 blocks, 418 mV, 72 h at {BLOCK}: {_state(many, 72.0)}; at {SEALED_BLOCK} after 48 h "
    note += f"{_state(many_sealed, 48.0)}; {SIMULATED}"
    return [*rows, Figure("balance_vrla_240_mv", many.spread_v[-1] * 1e3, "mV", 20.0, note=note)]


# The plant's time constant is store over slope: 2.8 h in the twin. Its table carries a store eight times as large at
# these voltages; the rest of the way to 72 h is lower gassing, whose currents then differ less, too.
PLANTS = (("1 h", 0.36, 1.0), ("2.8 h", 1.0, 1.0), ("23 h", 8.0, 1.0), ("72 h", 8.0, 0.315))
TAFELS = (0.5, 1.0, 2.0)


@dataclass(frozen=True, slots=True)
class Response:
    """How a plant answered, as parts of the first distances.

    Attributes:
        past_frac: farthest that a unit went beyond the mean.
        third_frac, last_frac: widest spread in the third and in the last quarter of the run.
    """

    past_frac: float
    third_frac: float
    last_frac: float

    @property
    def grows(self) -> bool:
        """Whether the string swings wider and wider, by more than its instruments are wrong."""
        return self.last_frac > 1.05 * self.third_frac + 0.003


def stability() -> list[Figure]:
    """Return the worst overshoot over plants that the gains were not made for; the population is that of the middle."""
    kind = lead_with_range(RANGE_V)
    found: dict[str, Response] = {}
    for name, store, gassing in PLANTS:
        for tafel in TAFELS:
            plant = replace(kind, tafel=tafel, store=store, gassing=gassing)
            closed = vrla_string(plant, BLOCK, step_s=60.0)
            found[f"{name} x {tafel:g}"] = respond(closed, 36.0 if store < 8.0 else 96.0)
    worst = max(found, key=lambda name: found[name].past_frac)
    grown = [name for name, each in found.items() if each.grows]
    rows = ", ".join(f"{name}: {r.past_frac:.2f} past, {r.last_frac * 100:.1f} % left" for name, r in found.items())
    note = "part of its first distance by which a unit passes the mean, worst of time constant x Tafel slope; "
    note += f"{'grows: ' + ', '.join(grown) if grown else 'no swing grows'}; {rows}; {BLOCK}; true volts; {SIMULATED}"
    return [Figure("balance_overshoot_frac", found[worst].past_frac, "", 0.5, note=f"{worst}: {note}")]


def respond(closed: Closed, hours: float) -> Response:
    """Return how a string answers; of the true voltages against their mean."""
    first = closed.room.truth("s1").v
    first = first - first.mean()
    far = np.abs(first) > 0.25 * np.abs(first).max()
    steps = round(hours * 3600.0 / closed.step_s)
    past, spread = 0.0, np.zeros(steps)
    for step in range(steps):
        closed.step()
        v = closed.room.bank.v
        spread[step] = np.ptp(v) / np.ptp(first)
        if step % 10 == 0:
            off = (v - v.mean()) / np.abs(first).max()
            past = max(past, float(np.max(-off[far] * np.sign(first[far]))))
    quarters = np.array_split(spread, 4)
    return Response(past, float(quarters[2].max()), float(quarters[3].max()))


def dry_out() -> Figure:
    """Return by how much a drying-out block is hotter with balancing than without, at most, until it is found."""
    days, sick = 150.0, 11
    found, warmer_k, day_of = [], 0.0, "never"
    for balancer in (Nobody(), Cellkeeper.new(40)):
        years = days / 60.0
        fault = FaultEvent(0.0, "dry_out", sick + 1, value=2.0**years, over_s=days * 86_400.0)
        scenario = Scenario("drying", swing_k=0.0, fault=(fault,))
        closed = vrla_string(Lead(), BLOCK, step_s=300.0, scenario=scenario, balancer=balancer)
        closed.room.bank.units.ha_w_per_k[sick] = 1.0
        closed.room.bank.forget_decays()
        degc = []
        for day in range(round(days)):
            for _ in range(288):
                closed.step()
            degc.append(float(closed.room.truth("s1").core_degc[sick]))
            is_found = isinstance(balancer, Cellkeeper) and balancer.memory.findings.reason[sick] == Reason.DRYING_OUT
            if is_found and day_of == "never":
                day_of = f"on day {day + 1}"
        found.append(np.array(degc))
    warmer_k = float(np.max(found[1] - found[0]))
    wrong = np.flatnonzero(balancer.memory.findings.reason) if isinstance(balancer, Cellkeeper) else []
    note = f"one of 40 dries out, doubling in 60 days for {days:.0f} days, hA 1 W/K, {BLOCK}: hotter than without "
    note += f"balancing by so much at most; without {found[0][-1]:.1f} °C at the end; found {day_of}"
    note += f"; findings on units {[int(each) + 1 for each in wrong]}; {SIMULATED}"
    return Figure("balance_dry_out_k", warmer_k, "K", 2.0, note=note)


def leak() -> Figure:
    """Return how wrong an injected leak of 20 mA is read back after 20 days of keeping the string even."""
    notes, errors = [], []
    for power in (CELL, SEALED_CELL):
        fault = FaultEvent(0.0, "soft_short", 5, value=0.02)
        scenario = Scenario("leak", swing_k=3.0, fault=(fault,))
        # 1.5 %/month of 100 Ah are 2 mA: this spread of it is 1 mA; places differ by 1.5 K.
        sets = lithium_sets(self_discharge_ln=0.45, place_k=1.5)
        closed = lfp_string(0.001, power, step_s=60.0, scenario=scenario, sets=sets, mean_frac=1.0)
        closed.run(20 * DAY_H, every_s=86_400.0)
        true_a = float(closed.room.bank.elements.leak_s[4] * closed.room.truth("s1").v[4])
        findings = _findings(closed)
        read_a = float(findings.leak_a[4])
        told = [int(each) + 1 for each in np.flatnonzero(findings.reason == Reason.LEAK)]
        errors.append(abs(read_a - true_a) / true_a)
        notes.append(f"{power}: {read_a * 1e3:.1f} of {true_a * 1e3:.1f} mA, finding on cells {told}")
    note = f"16 x 100 Ah LFP, bleed tolerance ±10 %, self-discharge ±1 mA, ±1.5 K, 20 days; {'; '.join(notes)}"
    return Figure("balance_leak_err_frac", errors[0], "", 0.1, note=f"{note}; {SIMULATED}")


def _findings(closed: Closed) -> Findings:
    assert isinstance(closed.balancer, Cellkeeper)
    return closed.balancer.memory.findings


def others() -> Figure:
    """Return in how many of the published cases another way of balancing is better."""
    behind, count = [], 0
    for case in cases():
        found = {name: play(case, rival) for name, rival in RIVALS.items()}
        count += 1
        for name in OTHERS:
            if is_behind(found["cellkeeper"], found[name], case.goal_mv):
                hours = f"{_hours(found['cellkeeper'].hours)} against {_hours(found[name].hours)}"
                behind.append(f"{case.name}: {name} ({hours})")
    note = f"of {count} cases (bench/balance_scenarios.toml, `python -m bench.balance_table`): "
    note += f"{'; '.join(behind) or 'none'}; {SIMULATED}"
    return Figure("balance_behind_others", float(len({each.split(":")[0] for each in behind})), "cases", note=note)


def decision() -> Figure:
    """Return the CPU of one decision for 16 strings of 256 that are all being balanced."""
    found = {}
    for closed in (
        lfp_string(0.022, CELL, units=256, mean_frac=0.995),
        vrla_string(Lead(), BLOCK, units=256, step_s=10.0),
    ):
        closed.run(1.1)
        closed.step_s = 1.0
        views = []
        for _ in range(120):
            closed.step()
            views.append(closed.view())
        each_ms = []
        for _ in range(7):
            assert isinstance(closed.balancer, Cellkeeper)
            memory: PackMemory = closed.balancer.memory
            orders, decided = Orders(), []
            memory = replace(memory, phase=replace(memory.phase, at_s=views[0].at_s - closed.step_s))
            began = time.process_time()
            for view in views:
                result = decide(view, memory, closed.rules, orders)
                memory = result.memory
                decided.append(bool(result.duty.any()))
            each_ms.append((time.process_time() - began) / len(views) * 1e3)
            assert all(decided), f"{closed.rules.strategy}: not balanced"
        found[closed.rules.strategy] = float(np.median(each_ms)) * 16.0
    note = "CPU for 16 strings of 256 at 1 Hz while all are bled, the slower questions once a minute among it: "
    note += ", ".join(f"{name} {ms:.2f}" for name, ms in found.items())
    return Figure("balance_decision_ms_4096", max(found.values()), "ms", 2.0, note=note)
