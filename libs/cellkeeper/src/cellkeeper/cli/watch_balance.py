"""One line of the live view on balancing of a string: phase, who bleeds, whether the spread falls, what to look at."""

from typing import Final

from rich.text import Text

from cellkeeper.cli import watch_palette as palette
from cellkeeper.cli.deviation import duration
from cellkeeper.contract.balance_state import BalanceState

MOST_FINDINGS: Final = 4


def balance_line(state: BalanceState | None) -> Text | None:
    """Return what the balancer says of a string; None where nothing is balanced at all."""
    if state is None or not state.enabled:
        return None
    line = Text(f"     balancing: {state.phase}", style=palette.QUIET, no_wrap=True, overflow="ellipsis")
    bleeding = sum(duty > 0.0 for duty in state.duty_frac)
    if bleeding:
        line.append(", ")
        line.append(f"{bleeding} bleed", style=palette.LOW_TO_HIGH[1])
    if state.inhibit:
        usual = state.inhibit in ("phase", "settling")
        line.append(f", {state.inhibit.replace('_', ' ')}", style=palette.QUIET if usual else palette.NOTICE)
    line.append(_spread(state))
    if state.findings:
        named = ", ".join(f"#{cell} {state.reason[cell - 1]}" for cell in state.findings[:MOST_FINDINGS])
        more = len(state.findings) - MOST_FINDINGS
        line.append(f"  look at {named}{f' and {more} more' if more > 0 else ''}", style=palette.NOTICE)
    return line


def _spread(state: BalanceState) -> str:
    if state.spread_v is None:
        return ""
    began = "" if state.began_spread_v is None else f"{state.began_spread_v * 1000.0:.1f} → "
    even = "" if state.finish_s is None else f", even in {duration(state.finish_s)}"
    return f", spread {began}{state.spread_v * 1000.0:.1f} mV{even}"
