"""The proof of a stretch of balancing: what it did, unit by unit, and what it could not do. Pure.

Spreads come from the states that the balancer told; deviations and duties of units from history, where the balancer
had no hand; charge and heat from the whole payloads at milestones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from cellkeeper.contract.balance_state import BalanceState, CellReason
from cellkeeper.contract.moment import from_ms, to_ms

from balancer.hands_on.history import Course, Floats, Grid
from balancer.hands_on.words import FINDING_WORDS, INHIBIT_WORDS, length_text

EDGE_FRAC: Final = 0.05  # of the range: the mean of both ends is compared, not two single readings
STUCK_FRAC: Final = 0.5  # a unit that keeps more than this of its deviation …
STUCK_SIGMA: Final = 3.0  # … and stands out from the others does not converge
SIGMA_OF_MAD: Final = 1.4826
STUCK_V: Final = 0.002  # readings of units that agree differ by this much
HELD_OUT: Final = "held_out"
APART: Final = frozenset({HELD_OUT, "no_reading", "disconnected", *FINDING_WORDS})  # would pull the mean of the others


@dataclass(frozen=True, slots=True)
class UnitProof:
    """One unit over the range.

    Attributes:
        before_v, after_v: deviation from the mean of those that count, at both ends of the range; NaN where unknown.
        duty_frac: mean bleed duty.
        moved_ah, heat_wh: taken from it and given off by its module; NaN where nobody counted.
        leak_a: inferred; None while it cannot be told.
        reason: what the balancer says of it; empty when it is silent.
        is_stuck: it does not converge.
    """

    cell: int
    before_v: float
    after_v: float
    duty_frac: float
    moved_ah: float
    heat_wh: float
    leak_a: float | None
    reason: CellReason | str
    is_stuck: bool


@dataclass(frozen=True, slots=True)
class Report:
    """All of it.

    Attributes:
        string: its id.
        course, deviation_v, duty_frac: what the pictures show.
        units: one per unit, in order.
        counted_from_ms: since when charge and heat are counted; None when nobody counted.
        newest: the newest state, from the broker or the last milestone; None when there is none.
    """

    string: str
    course: Course
    deviation_v: Grid
    duty_frac: Grid
    units: tuple[UnitProof, ...]
    counted_from_ms: int | None
    newest: BalanceState | None

    @property
    def gini(self) -> float | None:
        """Return how unevenly the bleed is shared: 0 all alike, near 1 one unit alone; None without any."""
        return gini(np.array([unit.moved_ah for unit in self.units]))


def gini(amounts: Floats) -> float | None:
    """Return the Gini coefficient of amounts that are not negative; None when there is nothing to share."""
    known = np.sort(amounts[~np.isnan(amounts)])
    total = float(known.sum())
    if total <= 0.0:
        return None
    rank = np.arange(1, len(known) + 1)
    return float(2.0 * (rank * known).sum() / (len(known) * total) - (len(known) + 1) / len(known))


def report_of(
    string: str, course: Course, voltages: Grid, duties: Grid, states: Sequence[BalanceState], start_ms: int
) -> Report:
    """Return the proof.

    Args:
        string: its id.
        course: states over the range; not empty.
        voltages: of every unit over the range.
        duties: the same.
        states: whole payloads of the range in time order, the newest last.
        start_ms: begin of the range.
    """
    units = voltages.values.shape[1]
    newest = states[-1] if states and len(states[-1].reason) == units else None
    reasons: Sequence[CellReason | str] = [""] * units if newest is None else newest.reason
    counts = np.array([reason not in APART for reason in reasons])
    level = _mean(voltages.values.T[counts if counts.any() else slice(None)])
    deviation = Grid(voltages.at_ms, voltages.values - level[:, None])
    before, after = _edges(deviation.values)
    counted_from_ms, moved, heat = _counted(states, units, start_ms)
    stuck = _stuck(before, after) & np.array([reason != HELD_OUT for reason in reasons])
    duty = _mean(duties.values)
    proofs = tuple(
        UnitProof(
            cell=place + 1,
            before_v=float(before[place]),
            after_v=float(after[place]),
            duty_frac=float(duty[place]),
            moved_ah=float(moved[place]),
            heat_wh=float(heat[place]),
            leak_a=None if newest is None else newest.leak_a[place],
            reason=reasons[place],
            is_stuck=bool(stuck[place]),
        )
        for place in range(units)
    )
    return Report(string, course, deviation, duties, proofs, counted_from_ms, newest)


def _edges(values: Floats) -> tuple[Floats, Floats]:
    """Return each unit's mean at the begin and at the end of the range."""
    rows, units = values.shape
    if rows == 0:
        nothing = np.full(units, np.nan)
        return nothing, nothing
    width = max(1, round(rows * EDGE_FRAC))
    return _mean(values[:width]), _mean(values[-width:])


def _mean(rows: Floats) -> Floats:
    """Return the mean of each column over what is known of it."""
    known = np.isfinite(rows)
    n = known.sum(axis=0)
    mean = np.where(known, rows, 0.0).sum(axis=0) / np.maximum(n, 1)
    return np.asarray(np.where(n > 0, mean, np.nan), np.float64)


def _stuck(before: Floats, after: Floats) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Return which units keep their deviation while they stand out from the others."""
    known = after[np.isfinite(after)]
    usual_v = SIGMA_OF_MAD * float(np.median(np.abs(known - np.median(known)))) if len(known) else 0.0
    stands_out = np.abs(after) > max(STUCK_SIGMA * usual_v, STUCK_V)
    return np.asarray(stands_out & (np.abs(after) > STUCK_FRAC * np.abs(before)), np.bool_)


def _counted(states: Sequence[BalanceState], units: int, start_ms: int) -> tuple[int | None, Floats, Floats]:
    """Return since when, and how much, was moved: sums begin anew with every run, so a fall means a new one."""
    usable = [state for state in states if len(state.moved_ah) == units]
    if not usable:
        nothing = np.full(units, np.nan)
        return None, nothing, nothing
    first = usable[0]
    began_ms = to_ms(first.measured_at) if first.began_at is None else to_ms(first.began_at)
    from_begin = began_ms >= start_ms or len(usable) == 1
    moved, heat = (_risen(usable, name, from_begin=from_begin) for name in ("moved_ah", "heat_wh"))
    return began_ms if from_begin else to_ms(first.measured_at), moved, heat


def _risen(states: Sequence[BalanceState], name: str, *, from_begin: bool) -> Floats:
    sums = [np.array(getattr(state, name)) for state in states]
    total = sums[0].copy() if from_begin else np.zeros_like(sums[0])
    for before, now in pairwise(sums):
        total += now if now.sum() < before.sum() else now - before
    return total


def _risen_sum(sums: Floats) -> float:
    """Return how much a sum grew that begins anew now and then."""
    known = sums[np.isfinite(sums)]
    return float(sum(now if now < before else now - before for before, now in pairwise(known.tolist())))


def told(report: Report) -> list[str]:
    """Return the proof in sentences, the most important first."""
    return [
        *_spread_lines(report),
        *_rate_lines(report),
        *_charge_lines(report),
        *_unit_lines(report),
    ]


def _spread_lines(report: Report) -> list[str]:
    course = report.course
    lines = [f"{report.string}: {_at(course.at_ms[0])} to {_at(course.at_ms[-1])}"]
    lines.append(_from_to("spread", course.numbers["spread_v"]))
    held_out = course.numbers["held_out_spread_v"]
    if np.isfinite(held_out).any():
        lines.append(_from_to("units that are never bled, for comparison: spread", held_out))
        lines += _held_out_lines(report.units)
    phases = [f"{phase} {_share(course, phase):.0%}" for phase in dict.fromkeys(course.phase)]
    lines.append(f"phases: {', '.join(phases)}")
    inhibited = [each for each in dict.fromkeys(course.inhibit) if each]
    for each in inhibited:
        share = sum(found == each for found in course.inhibit) / len(course)
        lines.append(f"nothing was bled for {share:.0%} of the states: {_inhibit(each)}")
    return lines


def _held_out_lines(units: Sequence[UnitProof]) -> list[str]:
    """Return how far the units that are never bled are off the others."""
    left_alone = [unit for unit in units if unit.reason == HELD_OUT]
    if not left_alone:
        return []
    before, after = (np.mean([abs(getattr(u, name)) for u in left_alone]) for name in ("before_v", "after_v"))
    named = ", ".join(f"#{unit.cell}" for unit in left_alone[:8])
    return [
        f"they ({named}) are {1000.0 * before:.1f} mV off the mean of the others before, {1000.0 * after:.1f} mV after"
    ]


def _rate_lines(report: Report) -> list[str]:
    half_life, finish = (_last(report.course.numbers[name]) for name in ("half_life_s", "finish_s"))
    lines = []
    if half_life is not None:
        lines.append(f"the spread halves in {length_text(half_life)} of the phase in which it may be balanced")
    if finish is not None:
        lines.append(f"even in {length_text(finish)} of that phase")
    if not lines:
        lines.append("how fast the spread falls cannot be told (it does not, or the run is too short)")
    return lines


def _charge_lines(report: Report) -> list[str]:
    if report.counted_from_ms is None:
        return ["charge and heat: nobody counted them in this range"]
    total, heat = (_risen_sum(report.course.numbers[name]) for name in ("moved_ah", "heat_wh"))
    lines = [f"moved in this range: {total:.2f} Ah, {heat:.1f} Wh of heat"]
    known = sum(unit.moved_ah for unit in report.units)
    if known > 0.0:
        most = sorted(report.units, key=lambda unit: unit.moved_ah, reverse=True)[:5]
        units = ", ".join(f"#{u.cell} {u.moved_ah:.2f} Ah {u.heat_wh:.1f} Wh" for u in most)
        shared = "" if report.gini is None else f", Gini {report.gini:.2f}"
        since = f"counted by unit since {_at(report.counted_from_ms)}, up to the newest milestone of each run"
        lines.append(f"{since}: {known:.2f} Ah{shared}; most: {units}")
    return lines


def _unit_lines(report: Report) -> list[str]:
    lines = []
    for unit in report.units:
        finding = next((text for reason, text in FINDING_WORDS.items() if reason == unit.reason), "")
        if not (unit.is_stuck or finding):
            continue
        why = finding or (f"the balancer says {unit.reason}" if unit.reason else "no reason is known")
        verb = "does not converge" if unit.is_stuck else "is to be looked at"
        was = f"{unit.before_v * 1000.0:+.1f} mV was, {unit.after_v * 1000.0:+.1f} mV is"
        lines.append(f"cell {unit.cell} {verb}: {was}; {why}")
    leaks = sorted((u for u in report.units if u.leak_a is not None), key=lambda u: u.leak_a or 0.0, reverse=True)
    found = [f"#{u.cell} {1000.0 * (u.leak_a or 0.0):.1f} mA" for u in leaks[:5] if (u.leak_a or 0.0) > 0.0]
    lines.append(f"inferred leaks above the median unit: {', '.join(found) or 'none can be told'}")
    return lines


def _from_to(what: str, volts: Floats) -> str:
    known = volts[np.isfinite(volts)]
    if not len(known):
        return f"{what}: unknown, too few units can be read"
    return f"{what} {known[0] * 1000.0:.1f} mV before, {known[-1] * 1000.0:.1f} mV after"


def _last(values: Floats) -> float | None:
    return float(values[-1]) if len(values) and np.isfinite(values[-1]) else None


def _share(course: Course, phase: str) -> float:
    return sum(each == phase for each in course.phase) / len(course)


def _inhibit(code: str) -> str:
    return next((words for known, words in INHIBIT_WORDS.items() if known == code), code)


def _at(ms: int) -> str:
    return from_ms(int(ms)).strftime("%Y-%m-%d %H:%M UTC")
