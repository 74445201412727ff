"""Which states of balancing become rows: what changes, every milestone, and else one a minute. Pure.

A string that bleeds is told every ten seconds; kept for ever, a row of each would cost six times the room and show no
more: nothing of it moves within a minute.
"""

from dataclasses import dataclass, field
from typing import Final

from cellkeeper.contract.balance_state import BalanceState
from cellkeeper.contract.moment import to_ms

KEEP_EVERY_MS: Final = 60_000


@dataclass(slots=True)
class BalanceSieve:
    """Remembers what of each string was kept last."""

    _kept: dict[str, tuple[int, tuple[object, ...]]] = field(default_factory=dict)

    def keeps(self, state: BalanceState) -> bool:
        """Return whether a state becomes a row."""
        at_ms = to_ms(state.measured_at)
        told = (state.phase, state.inhibit, state.began_at, tuple(state.findings))
        last_ms, last_told = self._kept.get(state.string, (None, ()))
        is_due = last_ms is None or abs(at_ms - last_ms) >= KEEP_EVERY_MS
        if not (is_due or state.is_milestone or told != last_told):
            return False
        self._kept[state.string] = at_ms, told
        return True
