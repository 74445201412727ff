"""Which phase a string is in, decided from its scans alone. Pure; unknown is an answer, and it forbids.

A published mode never takes part here: it can only forbid, later. Voltage and current have to agree, so a current
sensor that was mounted the wrong way round shows a string that is not balanced, never one that bleeds on battery.
"""

from dataclasses import dataclass
from typing import Final

from cellkeeper.contract.balance_state import BalancePhase
from cellkeeper.contract.physical import Quality

from balancer.pack_stats import PackStats
from balancer.pack_view import PackView
from balancer.rules import PackRules

MIN_COVERAGE_FRAC: Final = 0.8  # the lowest of fewer units may be one that nobody sees
CHARGED_S: Final = 600.0  # of charging, before a smaller current is its tail
HOLD_S: Final = 60.0  # a charger that swings does not switch bleeds on and off
AFTER_DISCHARGE_S: Final = 3600.0  # lead: until the plates have settled, voltages tell of the discharge
LONGEST_GAP_S: Final = 10.0  # contract: event time between two scans
LONG_GAP_S: Final = 900.0  # nobody saw what happened in it: as after a discharge
ON_BATTERY_A: Final = 0.5
ON_BATTERY_PER_AH: Final = 0.01  # above the offset of a sensor, below any load worth a name
CHARGE_PER_AH: Final = 0.05  # above it the charger still fills the string; below, the tail of a charge
LOW_FRAC: Final = 0.96  # of float: lead at rest is at 0.945, on load below
ENTER_BELOW_FLOAT_V: Final = 0.020  # lead, per cell: at float from here
LEAVE_BELOW_FLOAT_V: Final = 0.060

ALLOWED: Final = frozenset[BalancePhase]({"final", "float"})


@dataclass(frozen=True, slots=True)
class PhaseMemory:
    """What the phase of the next scan depends on.

    Attributes:
        phase: of the newest scan.
        since_s: event time since it holds.
        at_s: event time of that scan; minus infinity before the first.
        ready_s: since when everything that `final` or `float` needs has held; None while it does not.
        disturbed_s: when a discharge was seen last, or could not be excluded.
        is_tail_over: the current of the last charge has died away.
    """

    phase: BalancePhase = "unknown"
    since_s: float = float("-inf")
    at_s: float = float("-inf")
    ready_s: float | None = None
    disturbed_s: float = float("-inf")
    is_tail_over: bool = True


def gap_limit_s(rules: PackRules) -> float:
    """Return the longest time between two scans over which anything is concluded."""
    return max(LONGEST_GAP_S, 3.0 * rules.scan_s)


def follow(memory: PhaseMemory, view: PackView, stats: PackStats, rules: PackRules) -> PhaseMemory:
    """Return the phase at this scan; one that is not newer than the last makes everything unknown again."""
    gap_s = view.at_s - memory.at_s
    if gap_s <= 0.0:
        return PhaseMemory(at_s=view.at_s, since_s=view.at_s, disturbed_s=view.at_s)
    disturbed_s = memory.disturbed_s if gap_s <= LONG_GAP_S else view.at_s
    ready_s = memory.ready_s if gap_s <= gap_limit_s(rules) else None
    phase = _seen(memory, view, stats, rules)
    if _may_have_discharged(memory, phase, view, rules) or _is_low(stats, rules):
        disturbed_s = view.at_s
    if phase not in ALLOWED:
        ready_s = None
    else:
        ready_s = view.at_s if ready_s is None else ready_s
        rested = rules.strategy != "float_pi" or view.at_s - disturbed_s >= AFTER_DISCHARGE_S
        if not rested or view.at_s - ready_s < HOLD_S:
            phase = "idle"
    return PhaseMemory(
        phase=phase,
        since_s=memory.since_s if phase == memory.phase else view.at_s,
        at_s=view.at_s,
        ready_s=ready_s,
        disturbed_s=disturbed_s,
        is_tail_over=_is_tail_over(memory, view, rules),
    )


def _seen(memory: PhaseMemory, view: PackView, stats: PackStats, rules: PackRules) -> BalancePhase:
    """Return what this scan alone shows; `final` and `float` with a band between entering and leaving."""
    if view.current_a is None or stats.coverage_frac < MIN_COVERAGE_FRAC:
        return "unknown"
    if bool((view.quality == Quality.IN_TEST).any()):
        return "test"
    if view.current_a < -on_battery_a(rules):
        return "discharge"
    if view.current_a >= _charge_a(memory, rules) and not _is_low(stats, rules):
        return "charge"
    return _charged(memory.ready_s is not None, stats, rules)


def on_battery_a(rules: PackRules) -> float:
    """Return the current below whose negative a string carries its load: what its sensor surely resolves."""
    return max(ON_BATTERY_A, ON_BATTERY_PER_AH * rules.rated_ah)


def _charge_a(memory: PhaseMemory, rules: PackRules) -> float:
    """Return the current from which on the string is being charged.

    Once the tail of a charge has died away, what would be a discharge with the other sign is none of a charged string
    either: a sensor that was mounted the wrong way round must not show a light load as one.
    """
    tail_a = CHARGE_PER_AH * rules.rated_ah
    return min(tail_a, on_battery_a(rules)) if memory.is_tail_over else tail_a


def _is_tail_over(memory: PhaseMemory, view: PackView, rules: PackRules) -> bool:
    if view.current_a is None:
        return memory.is_tail_over
    if view.current_a >= CHARGE_PER_AH * rules.rated_ah:
        charged_s = view.at_s - memory.since_s if memory.phase == "charge" else 0.0
        return memory.is_tail_over and charged_s < CHARGED_S
    return memory.is_tail_over or view.current_a < on_battery_a(rules)


def _may_have_discharged(memory: PhaseMemory, seen: BalancePhase, view: PackView, rules: PackRules) -> bool:
    """Whether the current says so, whichever way its sensor is mounted, or nobody could tell for long."""
    if seen == "unknown":
        return memory.phase == "unknown" and view.at_s - memory.since_s > LONG_GAP_S
    return view.current_a is not None and abs(view.current_a) > on_battery_a(rules)


def _charged(was_there: bool, stats: PackStats, rules: PackRules) -> BalancePhase:  # noqa: FBT001  # the one state
    if _is_low(stats, rules):
        return "idle"
    if rules.strategy == "top":
        return "final" if stats.highest_v >= (rules.leave_v if was_there else rules.enter_v) else "idle"
    below_v = (LEAVE_BELOW_FLOAT_V if was_there else ENTER_BELOW_FLOAT_V) * rules.cells_per_unit
    return "float" if stats.mean_v >= rules.float_at_v(stats.median_degc) - below_v else "idle"


def _is_low(stats: PackStats, rules: PackRules) -> bool:
    """Whether the mean unit stands where only a string without its charger does; False when nobody knows."""
    return stats.mean_v < LOW_FRAC * rules.float_at_v(stats.median_degc)
