"""What a bleed must never do, whatever a strategy or a person wants. Pure; arrays of shape (n,).

Sections 6 of the contract first: these rules are asked before every command, and no setting switches one off. The
gateway asks its own before the wire, and the module its own before the resistor.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from cellkeeper.contract.balance_state import CellReason
from numpy.typing import NDArray

from balancer.pack_view import Flags, Floats
from balancer.phase import on_battery_a
from balancer.rules import PackRules
from balancer.seen import Seen

type Reasons = NDArray[np.int8]

SICK_UNIT_K: Final = 2.0  # a drying-out unit gets the current that its neighbours bleed, as heat
DERATE_K: Final = 10.0  # below the stop temperature the duty falls evenly to zero
WARMER_K: Final = 3.0  # than the middle of the string: from here its duty falls evenly …
WARMER_STOP_K: Final = 5.0  # … to zero here, and that of its neighbours to half
NEIGHBOURHOOD: Final = 5  # modules side by side warm each other
WARM_PLACE_K: Final = 1.5  # where they stand warmer than the middle of the string on average, they give off less …
HOT_PLACE_K: Final = 3.5
FEWEST_BUDGETS: Final = 3.0  # … down to what three of them may alone
LEAST_NEED_FRAC: Final = 0.1  # even the unit that needs it least is not left waiting for ever


_ONES: Final = np.ones(NEIGHBOURHOOD)


class Reason(IntEnum):
    """Why a unit has its duty, in rising order of what a person has to know; names as `CellReason` on the wire."""

    EVEN = 0
    REFERENCE = 1
    BLEEDING = 2
    FORCED = 3
    BUDGET = 4
    FLAT = 5
    LEAK = 6
    WEAK = 7
    SENSOR = 8
    PERSISTENT = 9
    DRYING_OUT = 10
    HELD_OUT = 11
    NEW_BATTERY = 12
    INHIBITED = 13
    NEIGHBOUR = 14
    HOT = 15
    BELOW_FLOOR = 16
    FROZEN = 17
    DISCONNECTED = 18
    NO_TEMPERATURE = 19
    NO_READING = 20

    @property
    def word(self) -> CellReason:
        """Its name on the wire."""
        return WORDS[self]


WORDS: Final[dict[int, CellReason]] = {
    Reason.EVEN: "even",
    Reason.REFERENCE: "reference",
    Reason.BLEEDING: "bleeding",
    Reason.FORCED: "forced",
    Reason.BUDGET: "budget",
    Reason.FLAT: "flat",
    Reason.LEAK: "leak",
    Reason.WEAK: "weak",
    Reason.SENSOR: "sensor",
    Reason.PERSISTENT: "persistent",
    Reason.DRYING_OUT: "drying_out",
    Reason.HELD_OUT: "held_out",
    Reason.NEW_BATTERY: "new_battery",
    Reason.INHIBITED: "inhibited",
    Reason.NEIGHBOUR: "neighbour",
    Reason.HOT: "hot",
    Reason.BELOW_FLOOR: "below_floor",
    Reason.FROZEN: "frozen",
    Reason.DISCONNECTED: "disconnected",
    Reason.NO_TEMPERATURE: "no_temperature",
    Reason.NO_READING: "no_reading",
}


@dataclass(frozen=True, slots=True)
class Borders:
    """What each unit may have now.

    Attributes:
        cap: (n,) highest duty; 0 where nothing may be.
        blocked: (n,) `Reason` why it is 0; EVEN where it is not.
    """

    cap: Floats
    blocked: Reasons


def borders(seen: Seen, rules: PackRules) -> Borders:
    """Return what each unit may have, from its own reading, its neighbours' and its temperature."""
    view, stats = seen.view, seen.stats
    blocked = blocked_units(seen, rules)
    budget_w = rules.budget_w
    if rules.strategy == "float_pi":
        budget_w = min(budget_w, SICK_UNIT_K * rules.cooling_w_per_k)
    # `fmax` takes the number beside a NaN: no duty without a temperature.
    cool = np.minimum(np.fmax((rules.stop_degc - view.degc) / DERATE_K, 0.0), 1.0)
    cap = np.minimum(budget_w / np.maximum(seen.full_w, 1e-9), 1.0) * cool
    warmer_k = np.fmax(view.degc - stats.median_degc, 0.0)
    if float(warmer_k.max()) > WARMER_K:  # evenly: at a border a bleed would switch itself on and off
        own = np.clip((WARMER_STOP_K - warmer_k) / (WARMER_STOP_K - WARMER_K), 0.0, 1.0)
        cap = cap * np.minimum(own, 0.5 + 0.5 * _lowest_beside(own))
    return Borders(np.where(blocked == Reason.EVEN, cap, 0.0), blocked)


def blocked_units(seen: Seen, rules: PackRules) -> Reasons:
    """Return why each unit must not be bled (n,), EVEN where nothing speaks against it."""
    view, stats, frozen = seen.view, seen.stats, seen.frozen
    no_v, no_degc = np.isnan(view.cell_v), np.isnan(view.degc)
    hot = (view.degc >= rules.stop_degc) | (view.degc - stats.median_degc > WARMER_STOP_K)
    low = view.cell_v <= rules.floor_v
    unknown = no_v | no_degc | frozen
    blocked = np.zeros(view.units, dtype=np.int8)
    if not (unknown | hot | low | view.is_cut_off).any():
        return blocked
    # From the weakest reason to the strongest: the last one that holds is told.
    blocked[_beside(unknown)] = Reason.NEIGHBOUR
    blocked[hot] = Reason.HOT
    blocked[low] = Reason.BELOW_FLOOR
    blocked[frozen] = Reason.FROZEN
    blocked[view.is_cut_off] = Reason.DISCONNECTED
    blocked[no_degc] = Reason.NO_TEMPERATURE
    blocked[no_v] = Reason.NO_READING
    return blocked


def share_heat(duty: Floats, seen: Seen, rules: PackRules) -> Floats:
    """Return duties (n,) at which no neighbourhood of modules that is warm already gives off more than it may.

    Lithium: in proportion to how high each stands, because the string waits for its highest. Lead: each the same part,
    because each needs just what its controller found.
    """
    if len(duty) < NEIGHBOURHOOD:
        return duty  # so few are at the end of a row: air reaches each of them
    power_w = duty * seen.full_w
    around_w = _around(power_w)
    if float(around_w.max()) <= FEWEST_BUDGETS * rules.budget_w:
        return duty
    allowed_w = neighbourhood_w(seen, rules)
    if bool((around_w <= allowed_w).all()):
        return duty
    need = np.ones(len(duty)) if rules.strategy == "float_pi" else _need(seen, rules)
    part = allowed_w / np.maximum(_around(power_w * need), 1e-9)
    each = np.full(len(duty), np.inf)
    for place in range(NEIGHBOURHOOD):  # a handful of shifts, not a loop over units
        np.minimum(each[place : place + len(part)], part, out=each[place : place + len(part)])
    return np.asarray(duty * np.minimum(need * each, 1.0))


def neighbourhood_w(seen: Seen, rules: PackRules) -> Floats:
    """Return what the modules of every neighbourhood may give off together (n - NEIGHBOURHOOD + 1,)."""
    # `fmax` takes the number beside a NaN: who has no temperature is not bled, and warms nobody.
    warmer_k = _around(np.fmax(seen.view.degc - seen.stats.median_degc, 0.0)) / NEIGHBOURHOOD
    warm = np.clip((warmer_k - WARM_PLACE_K) / (HOT_PLACE_K - WARM_PLACE_K), 0.0, 1.0)
    return np.asarray((NEIGHBOURHOOD - (NEIGHBOURHOOD - FEWEST_BUDGETS) * warm) * rules.budget_w)


def within_charger(duty: Floats, seen: Seen, rules: PackRules) -> Floats:
    """Return duties (n,) that take no more on average than the charger brings: the rest would come from the battery.

    The string's current is believed as far as its sensor resolves it: a bleed below that is never cut.
    """
    taken_a = float(np.mean(duty * seen.known_v)) * (rules.bleed_a / rules.float_v)
    brought_a = max(seen.view.current_a or 0.0, 0.0) + on_battery_a(rules)
    return duty if taken_a <= brought_a else np.asarray(duty * (brought_a / taken_a))


def _need(seen: Seen, rules: PackRules) -> Floats:
    """Return how high each unit stands above the border of bleeding (n,), as part of the highest."""
    above_v = seen.known_v - rules.bleed_above_v
    return np.asarray(np.clip(above_v / max(float(above_v.max()), 1e-3), LEAST_NEED_FRAC, 1.0))


def _around(values: Floats) -> Floats:
    """Return the sum over every neighbourhood (n - NEIGHBOURHOOD + 1,)."""
    return np.asarray(np.convolve(values, _ONES, "valid"))


def _beside(flags: Flags) -> Flags:
    """Return which units have a flagged neighbour (n,)."""
    beside = np.zeros(len(flags), dtype=np.bool_)
    beside[1:] |= flags[:-1]
    beside[:-1] |= flags[1:]
    return beside


def _lowest_beside(values: Floats) -> Floats:
    """Return the lower value of each unit's neighbours (n,), infinity without one."""
    lowest = np.full(len(values), np.inf)
    lowest[1:] = values[:-1]
    np.minimum(lowest[:-1], values[1:], out=lowest[:-1])
    return lowest
