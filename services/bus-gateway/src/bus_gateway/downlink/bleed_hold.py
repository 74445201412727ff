"""How long a bleed may go on: holds per string, renewals of the modules' own timers, zero at the end. Pure.

A module ends its bleed by itself when renewals stop. A renewal reaches every bleeding module of a line, so a string
whose end is not confirmed yet keeps renewals off all lines it lies on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cellkeeper.contract.commands import MAX_HOLD_S

RENEW_S: Final = 15.0  # docs/bus-protocol.md: three lost renewals in a row change nothing


@dataclass(frozen=True, slots=True)
class BleedActions:
    """What to do now: strings whose duties go to zero, then strings whose lines get a renewal."""

    zero: Sequence[str]
    renew: Sequence[str]


class BleedHolds:
    """Holds of all strings of a gateway.

    Args:
        lines_of: ids of the buses that a string lies on.
    """

    def __init__(self, lines_of: Mapping[str, frozenset[str]]) -> None:
        self._lines_of = lines_of
        self._until_s: dict[str, float] = {}
        self._ending: set[str] = set()
        self._renewed_s: dict[str, float] = {}

    def grant(self, string: str, hold_s: float, now_s: float) -> None:
        """Let a string's duties stand for `hold_s` (60 s at most) from now; they were just set and confirmed."""
        self._ending.discard(string)
        self._until_s[string] = now_s + min(hold_s, MAX_HOLD_S)
        self._renewed_s[string] = now_s

    def end(self, string: str) -> None:
        """A string's duties are to be zero now, whether or not they were known to be set."""
        self._until_s.pop(string, None)
        self._ending.add(string)

    def ended(self, string: str) -> None:
        """A string's duties are confirmed to be zero."""
        self._until_s.pop(string, None)
        self._renewed_s.pop(string, None)
        self._ending.discard(string)

    @property
    def held(self) -> Sequence[str]:
        """Strings that bleed with a valid hold."""
        return tuple(self._until_s)

    def due(self, now_s: float, may_go_on: Callable[[str], bool]) -> BleedActions:
        """Return what to do at `now_s`; a hold that expired or may not go on ends."""
        for string, until_s in list(self._until_s.items()):
            if now_s >= until_s or not may_go_on(string):
                self.end(string)
        blocked = frozenset[str]().union(*(self._lines_of.get(string, frozenset()) for string in self._ending))
        renew = [
            string
            for string in self._until_s
            if now_s >= self._renewed_s[string] + RENEW_S and not blocked & self._lines_of.get(string, frozenset())
        ]
        self._renewed_s |= dict.fromkeys(renew, now_s)
        return BleedActions(tuple(sorted(self._ending)), tuple(renew))
