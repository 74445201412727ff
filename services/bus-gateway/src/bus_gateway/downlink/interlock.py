"""The last gate before the wire: which commands may act now. Pure; time and facts are arguments.

Every command passes the gate (id, expiry, once: `cellkeeper.runtime.command_gate`) and then its own rule. What reduces
(stop_bleed, duty zero) and what only blinks passes; bleeding, impedance tests and addressing need a string that is
known not to be on battery. A published mode can only forbid.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from cellkeeper.contract.outcomes import Refused, RefusedReason
from cellkeeper.contract.physical import Quality

from bus_gateway.downlink.battery_state import StringFacts, on_battery

_FORBIDDING: Final = frozenset({"discharge", "test", "unknown"})
_REASON_OF_QUALITY: Final[Mapping[int, RefusedReason]] = {
    Quality.UNTRUSTED: "untrusted",
    Quality.UPDATING: "updating",
    Quality.IN_TEST: "in_test",
}

type Mode = Literal["float", "boost", "recharge", "discharge", "rest", "open", "test", "unknown"]


@dataclass(frozen=True, slots=True)
class Situation:
    """What a rule looks at.

    Attributes:
        facts: of every string that matters: the asked one and its parallel neighbours, or all of a bus.
        mode: valid published mode by string; absent where none is valid.
    """

    facts: Mapping[str, StringFacts]
    mode: Mapping[str, Mode]


def may_disturb(strings: Sequence[str], situation: Situation) -> Refused | None:
    """Return why nothing that stresses or interrupts these strings may happen now, or None.

    The strings themselves must be known not to be on battery; a parallel neighbour that is on battery forbids too.
    """
    for string in strings:
        mode = situation.mode.get(string)
        if mode in _FORBIDDING:
            return Refused(reason="mode_forbids", detail=f"string {string} is in mode {mode}")
    for string, facts in situation.facts.items():
        if on_battery(facts) == "yes":
            return Refused(reason="on_battery", detail=f"string {string} is on battery; wait until it floats again")
    for string in strings:
        facts_of = situation.facts.get(string)
        if facts_of is None or on_battery(facts_of) == "unknown":
            detail = f"fresh readings of string {string} do not show whether it is on battery"
            return Refused(reason="state_unknown", detail=detail)
    if not strings:
        return Refused(reason="state_unknown", detail="no string with readings is on this bus")
    return None


def may_bleed(string: str, cells: Sequence[int], frac: Sequence[float], situation: Situation) -> Refused | None:
    """Return why these duties must not be set now, or None; zero is always allowed."""
    if not any(duty > 0.0 for duty in frac):
        return None
    refused = may_disturb([string], situation)
    return refused or may_use(
        [cell for cell, duty in zip(cells, frac, strict=True) if duty > 0.0], situation.facts[string]
    )


def may_use(cells: Sequence[int], facts: StringFacts) -> Refused | None:
    """Return why units (1-based) cannot be worked on: their own fresh reading must be good."""
    readings = facts.readings
    if readings is None or not facts.is_fresh:
        return Refused(reason="stale_cells", detail="no fresh scan of this string")
    for cell in cells:
        if not 1 <= cell <= len(readings.quality):
            return Refused(reason="unknown_target", detail=f"there is no cell {cell}")
        code = int(readings.quality[cell - 1])
        if code != Quality.GOOD:
            reason = _REASON_OF_QUALITY.get(code, "stale_cells")
            return Refused(reason=reason, detail=f"cell {cell} has quality {code}")
    return None
