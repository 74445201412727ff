"""One line of the live view on the estimates of a string: charge with its bounds, runtime, and what to look at."""

from typing import Final

from rich.text import Text

from cellkeeper.cli import watch_palette as palette
from cellkeeper.contract.estimate_state import RuntimeEstimate, StringEstimate

MOST_NAMED: Final = 4
_DOUBTS: Final = {"sign_suspect": "current sensor reversed?", "no_current": "no current"}
_WORSE: Final = ("alarm", "warning", "watch")


def estimate_line(told: StringEstimate | None) -> Text | None:
    """Return what the analytics say of a string; None where they say nothing."""
    if told is None:
        return None
    line = Text("     estimates: ", style=palette.QUIET, no_wrap=True, overflow="ellipsis")
    line.append(_charge(told))
    line.append(_runtime(told.runtime))
    for doubt in told.doubts:
        line.append(f", {_DOUBTS[doubt]}", style=palette.NOTICE)
    if worse := _worse(told):
        line.append(f"  impedance {worse}", style=palette.NOTICE)
    return line


def _charge(told: StringEstimate) -> str:
    known = [
        (soc, sd or 0.0, cell)
        for cell, (soc, sd) in enumerate(zip(told.soc_frac, told.soc_sd_frac, strict=True), 1)
        if soc is not None
    ]
    if not known:
        return "charge not known yet"
    mean = sum(soc for soc, _, _ in known) / len(known)
    low, sd, cell = min(known)
    some = "" if len(known) == len(told.soc_frac) else f" ({len(known)} of {len(told.soc_frac)} known)"
    return f"charge {_percent(mean)}{some}, lowest #{cell} {_percent(low)} ± {_percent(2.0 * sd)}"


def _runtime(told: RuntimeEstimate) -> str:
    if told.bus_left_s is None:
        return ""
    load = "" if told.power_w is None else f" at {told.power_w / 1000.0:.3g} kW"
    bound = "" if told.bus_left_sd_s is None else f" ± {clock_words(2.0 * told.bus_left_sd_s)}"
    weakest = "" if told.cell is None else f", weakest #{told.cell}"
    return f", lasts {clock_words(told.bus_left_s)}{bound}{load}{weakest}"


def clock_words(seconds: float) -> str:
    """Return a time as minutes:seconds, from an hour on as hours:minutes h."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h" if whole >= 3600 else f"{whole // 60}:{whole % 60:02d}"


def _worse(told: StringEstimate) -> str:
    for state in _WORSE:
        cells = [cell for cell, each in enumerate(told.r_state, 1) if each == state]
        if cells:
            more = f" and {len(cells) - MOST_NAMED} more" if len(cells) > MOST_NAMED else ""
            return f"{state} at {', '.join(f'#{cell}' for cell in cells[:MOST_NAMED])}{more}"
    return ""


def _percent(frac: float) -> str:
    return f"{frac * 100.0:.0f} %"
