"""How states of balancing are said to people: words, marks, lengths of time. Pure."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from cellkeeper.contract.balance_state import BalanceState, CellReason, Inhibit, duty_band

INHIBIT_WORDS: Final[dict[Inhibit, str]] = {
    "": "",
    "strategy_none": "nothing is balanced here: strategy none",
    "not_permitted": "site.toml names nobody who permits it",
    "phase": "not in this phase",
    "mode_forbids": "the published mode forbids",
    "stale": "no fresh scans",
    "coverage": "too few units can be read",
    "no_current": "no current is measured",
    "warm_room": "the room is too warm",
    "float_current": "the float current is too high",
    "paused": "paused",
    "settling": "waits until voltages have settled",
    "refused": "the gateway refuses",
}
FINDING_WORDS: Final[dict[CellReason, str]] = {
    "leak": "leaks",
    "weak": "weak in discharge",
    "sensor": "reads off",
    "drying_out": "dries out or has a short",
    "persistent": "bled too long",
}
_BANDS: Final = ("boost", "power", "normal", "eco", "eco+")


def length_text(seconds: float | None) -> str:
    """Return a length of time in the unit that suits it; a dash when nobody knows."""
    if seconds is None:
        return "—"
    if seconds < 5400.0:
        return f"{seconds / 60.0:.0f} min"
    if seconds < 2 * 86_400.0:
        return f"{seconds / 3600.0:.1f} h"
    if seconds < 1000 * 86_400.0:
        return f"{seconds / 86_400.0:.1f} d"
    return "years"


def mv_text(volts: float | None) -> str:
    """Return volts in millivolts, a dash where there are none."""
    return "—" if volts is None else f"{volts * 1000.0:.1f}"


def bands_text(duty_frac: Sequence[float]) -> str:
    """Return how many units bleed in each band, the hardest first: `power 3, eco+ 12`."""
    counted = Counter(duty_band(duty) for duty in duty_frac)
    return ", ".join(f"{band} {counted[band]}" for band in _BANDS if counted[band])


def findings_text(state: BalanceState, most: int = 6) -> str:
    """Return the units that a person should look at, each with why."""
    told = []
    for cell in state.findings[:most]:
        words = FINDING_WORDS.get(state.reason[cell - 1], "was found")
        leak_a = state.leak_a[cell - 1]
        amount = f" {leak_a * 1000.0:.0f} mA" if state.reason[cell - 1] == "leak" and leak_a is not None else ""
        told.append(f"#{cell} {words}{amount}")
    more = len(state.findings) - most
    return ", ".join(told) + (f" and {more} more" if more > 0 else "")
