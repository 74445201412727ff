"""Strings of a few units whose scans a test writes by hand, and months of them in a moment."""

from dataclasses import replace

import numpy as np
from balancer.decision import Decision, PackMemory, decide
from balancer.frozen_units import LastSaid
from balancer.orders import Orders
from balancer.pack_stats import PackStats
from balancer.pack_view import PackView
from balancer.phase import PhaseMemory
from balancer.rules import PackRules
from balancer.seen import Seen
from cellkeeper.contract.balance_state import BalancePhase
from cellkeeper.contract.scan_columns import ScanColumns

LEAD = PackRules(
    string="s1", first=0, units=4, cells_per_unit=6, rated_ah=100.0, strategy="float_pi", is_permitted=True,
    float_v=13.56, float_v_per_k=-0.018, floor_v=12.0, bleed_a=0.1, budget_w=1.4, cooling_w_per_k=0.9, stop_degc=45.0,
    start_v=0.02, stop_v=0.007, scan_s=10.0,
)  # fmt: skip
LITHIUM = PackRules(
    string="s1", first=0, units=4, cells_per_unit=1, rated_ah=100.0, strategy="top", is_permitted=True,
    float_v=3.38, float_v_per_k=0.0, floor_v=3.0, bleed_a=0.2, budget_w=0.8, cooling_w_per_k=0.2, stop_degc=45.0,
    enter_v=3.40, leave_v=3.36, bleed_above_v=3.40, start_v=0.004, stop_v=0.002, plateau_v=3.325, scan_s=10.0,
)  # fmt: skip
NOW_S = 1_795_237_200.0
ALLOWED: dict[str, BalancePhase] = {"float_pi": "float", "top": "final"}


def scan(**changes: object) -> ScanColumns:
    values: dict[str, object] = {
        "site": "x", "string": "s1", "stream": "b7f2", "seq": 1, "oldest_seq": 0, "measured_ms": 1_795_237_200_000,
        "clock": "synced", "cell_v": np.full(4, 3.4), "cell_degc": np.full(4, 25.0), "bleed_frac": np.zeros(4),
        "quality": np.zeros(4, np.uint8), "degc_quality": np.zeros(4, np.uint8), "status": np.zeros(4, np.uint8),
        "scalars": {"current_a": 0.1},
    }  # fmt: skip
    return ScanColumns(**(values | changes))  # type: ignore[arg-type]


def view(
    v: list[float] | np.ndarray,
    *,
    degc: float | list[float] = 25.0,
    current_a: float | None = 0.05,
    at_s: float = NOW_S,
    bleed: list[float] | None = None,
    float_a: float | None = None,
    quality: list[int] | None = None,
    cut_off: tuple[int, ...] = (),
) -> PackView:
    cells = np.array(v, dtype=np.float64)
    n = len(cells)
    return PackView(
        at_s=at_s,
        cell_v=cells,
        degc=np.broadcast_to(np.array(degc, dtype=np.float64), n).copy(),
        bleed_frac=np.zeros(n) if bleed is None else np.array(bleed, dtype=np.float64),
        quality=np.zeros(n, np.uint8) if quality is None else np.array(quality, np.uint8),
        is_cut_off=np.isin(np.arange(n), cut_off),
        current_a=current_a,
        float_a=float_a,
    )


def seen_of(
    scan: PackView,
    rules: PackRules,
    *,
    phase: BalancePhase | None = None,
    frozen: tuple[int, ...] = (),
    dt_s: float = 10.0,
    gap_s: float | None = None,
) -> Seen:
    is_frozen = np.isin(np.arange(scan.units), frozen)
    stats = PackStats.of(scan, ~np.isnan(scan.cell_v) & ~is_frozen & ~scan.is_cut_off)
    known_v = np.nan_to_num(scan.cell_v)
    full_w = known_v * known_v * (rules.bleed_a / rules.float_v)
    now = ALLOWED.get(rules.strategy, "idle") if phase is None else phase
    return Seen(scan, stats, known_v, full_w, is_frozen, now, dt_s if gap_s is None else gap_s, dt_s)


def ready(rules: PackRules, units: int = 4, *, at_s: float = NOW_S - 10.0, is_new: bool = False) -> PackMemory:
    """Return the memory of a string that has been in its allowed phase for long."""
    long_ago = at_s - 1e5
    phase = PhaseMemory(ALLOWED.get(rules.strategy, "idle"), long_ago, at_s, long_ago, long_ago)
    return replace(PackMemory.empty(units), phase=phase, said=LastSaid.nothing(units), is_new=is_new)


def decided(
    scan: PackView, rules: PackRules, *, memory: PackMemory | None = None, orders: Orders | None = None
) -> Decision:
    return decide(scan, memory or ready(rules, scan.units), rules, orders or Orders())
