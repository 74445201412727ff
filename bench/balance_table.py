"""Cellkeeper beside two usual ways of balancing, over `balance_scenarios.toml`: `python -m bench.balance_table`.

Same twin, same seed, same modules (0.2 A / 0.7 W for cells, 0.1 A / 1.4 W for blocks). A result on a simulator whose
parameters no balancer knows; the spread is the true one, so the errors of the instruments are in it.
"""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from balancer.pack_view import PackView
from pydantic import ConfigDict, Field, TypeAdapter
from twin.physics.physical_faults import FaultEvent
from twin.physics.ups import UpsEvent
from twin.script.scenario import Scenario

from bench.balance_rivals import ChargeHistory, VoltageThreshold
from bench.balance_rooms import Power, lead_with_range, lfp_string, vrla_string
from bench.balance_sim import Balancer, Cellkeeper, Closed

FILE = Path(__file__).with_name("balance_scenarios.toml")
CELL_POWER, BLOCK_POWER = Power(0.2, 0.7), Power(0.1, 1.4)
LAST_H = 2.0  # the final spread is the mean over so much
RIVALS: dict[str, Callable[[int], Balancer]] = {
    "cellkeeper": Cellkeeper.new,
    "voltage threshold": lambda _units: VoltageThreshold(),
    "the same, as cool": lambda _units: VoltageThreshold(keeps_budget=True),
    "charge history": lambda _units: ChargeHistory(),
}
OTHERS = tuple(RIVALS)[1:]
SAME_MV, SAME_FRAC = 1.0, 1.05  # two results that differ by less are alike


@dataclass(frozen=True, slots=True)
class Case:
    """One case of the file."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    name: str
    kind: Literal["lfp", "vrla"]
    hours: Annotated[float, Field(gt=LAST_H)]
    goal_mv: float
    spread_frac: float = 0.0
    spread_v: float = 0.0
    room_degc: float = 22.0
    unjudged: tuple[int, ...] = ()
    flickering: int | None = None
    outage_every_s: float | None = None
    outage_for_s: float = 0.0
    fault: tuple[FaultEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a way of balancing made of a case; hours None where the goal was not reached for good."""

    hours: float | None
    spread_mv: float
    soc_range_frac: float
    heat_wh: float
    hottest_k: float


def cases() -> list[Case]:
    """Return the cases of the file."""
    body: dict[str, Any] = tomllib.loads(FILE.read_text("utf-8"))
    return TypeAdapter(list[Case]).validate_python(body["case"])


def string_of(case: Case, rival: Callable[[int], Balancer]) -> Closed:
    """Return a case's string, balanced by `rival`."""
    ups: list[UpsEvent] = []
    if case.outage_every_s is not None:
        for at_s in np.arange(case.outage_every_s, case.hours * 3600.0, case.outage_every_s):
            ups += [UpsEvent(float(at_s), "outage", power_w=1200.0), UpsEvent(float(at_s) + case.outage_for_s, "mains")]
    scenario = Scenario("case", ambient_degc=case.room_degc, swing_k=0.0, ups=tuple(ups), fault=case.fault)
    if case.kind == "lfp":
        closed = lfp_string(case.spread_frac, CELL_POWER, scenario=scenario, balancer=rival(16), step_s=20.0)
    else:
        lead = lead_with_range(case.spread_v)
        closed = vrla_string(lead, BLOCK_POWER, scenario=scenario, balancer=rival(40), step_s=60.0)
    closed.judged[[each - 1 for each in case.unjudged]] = False
    if case.flickering is not None:
        closed.on_view = _flickers(case.flickering - 1)
    return closed


def _flickers(place: int) -> Callable[[PackView, float], PackView]:
    odd = False

    def seen(view: PackView, _now_s: float) -> PackView:
        nonlocal odd
        odd = not odd
        v = view.cell_v.copy()
        v[place] = np.nan if odd else v[place]
        return replace(view, cell_v=v)

    return seen


def play(case: Case, rival: Callable[[int], Balancer]) -> Outcome:
    """Return what a rival makes of a case."""
    closed = string_of(case, rival)
    trace = closed.run(case.hours)
    last = slice(trace.at(case.hours - LAST_H), None)
    return Outcome(
        hours=trace.first_below(case.goal_mv / 1000.0, "true_spread_v"),
        spread_mv=float(np.mean(trace.true_spread_v[last])) * 1000.0,
        soc_range_frac=float(np.mean(trace.soc_range_frac[last])),
        heat_wh=float(closed.heat_wh.sum()),
        hottest_k=max(trace.hottest_degc) - case.room_degc,
    )


def is_behind(ours: Outcome, other: Outcome, goal_mv: float) -> bool:
    """Whether the other one gets there and sooner, or stays closer in the end, by more than what counts as alike."""
    later = other.hours is not None and (ours.hours is None or ours.hours > other.hours * SAME_FRAC + 0.4)
    both_there = max(ours.spread_mv, other.spread_mv) <= goal_mv
    wider = ours.spread_mv > other.spread_mv * SAME_FRAC + SAME_MV and not both_there
    return later or wider


def told(outcome: Outcome) -> str:
    """Return what came of a case: hours to the goal, true spread at the end, heat of all bleeds."""
    hours = "never" if outcome.hours is None else f"{outcome.hours:.1f} h"
    return f"{hours}; {outcome.spread_mv:.1f} mV; {outcome.heat_wh:.0f} Wh"


def main() -> None:
    """Print the table in Markdown, a row per case."""
    print(f"| case | {' | '.join(RIVALS)} |")
    print("|---" * (1 + len(RIVALS)) + "|")
    for case in cases():
        found = {name: play(case, rival) for name, rival in RIVALS.items()}
        print(f"| {case.name} | " + " | ".join(told(each) for each in found.values()) + " |", flush=True)


if __name__ == "__main__":
    main()
