"""What `cellkeeper balance status` shows: a row per string, and below it what a row has no room for."""

from collections.abc import Iterator, Mapping, Sequence

from cellkeeper.contract.balance_state import BalanceState
from cellkeeper.contract.moment import from_ms, to_ms
from rich.box import SIMPLE_HEAD
from rich.table import Table

from balancer.hands_on.words import INHIBIT_WORDS, bands_text, findings_text, length_text, mv_text


def status_table(strings: Sequence[str], states: Mapping[str, BalanceState]) -> Table:
    """Return how balancing of each string is; one of which nobody speaks says so."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("string")
    table.add_column("phase")
    for title in ("bleed", "mV now", "at begin", "halves", "even in", "Ah", "Wh"):
        table.add_column(title, justify="right")
    for name in strings:
        state = states.get(name)
        if state is None:
            table.add_row(name, "silent", *["—"] * 7)
            continue
        table.add_row(
            name,
            state.phase,
            f"{sum(duty > 0.0 for duty in state.duty_frac)}/{len(state.duty_frac)}",
            mv_text(state.spread_v),
            mv_text(state.began_spread_v),
            length_text(state.half_life_s),
            length_text(state.finish_s),
            f"{sum(state.moved_ah):.2f}",
            f"{sum(state.heat_wh):.1f}",
        )
    return table


def status_lines(strings: Sequence[str], states: Mapping[str, BalanceState]) -> Iterator[str]:
    """Yield why nothing is bled, how hard units are, and what a person should look at."""
    for name in strings:
        if (state := states.get(name)) is None:
            continue
        if state.inhibit:
            until = "" if state.until is None else f" until {from_ms(to_ms(state.until)):%Y-%m-%d %H:%M} UTC"
            yield f"{name}: nothing is bled: {INHIBIT_WORDS.get(state.inhibit, state.inhibit)}{until}"
        if bands := bands_text(state.duty_frac):
            yield f"{name}: {bands}"
        if state.findings:
            yield f"{name}: look at {findings_text(state)}"
