"""What people and other services want of one string: a pause, a forced bleed, new units left alone. Pure."""

from dataclasses import dataclass, field, replace
from typing import Self

from cellkeeper.contract.commands import MAX_FORCE_S, ForceBleed


@dataclass(frozen=True, slots=True)
class Forced:
    """A bleed that a person wants; every limit and interlock still holds."""

    bleed_frac: float
    until_s: float


@dataclass(frozen=True, slots=True)
class Orders:
    """Wishes that hold now or until a moment; times are event seconds since 1970 UTC.

    Attributes:
        paused_until_s: nothing is balanced before; minus infinity without a pause.
        pause_reason: what the person wrote.
        forced: by place of the unit in its string, from 0.
        spared: until when new units are left alone, by place.
        mode_forbids: a valid published mode says discharge, test or unknown.
    """

    paused_until_s: float = float("-inf")
    pause_reason: str = ""
    forced: dict[int, Forced] = field(default_factory=dict)
    spared: dict[int, float] = field(default_factory=dict)
    mode_forbids: bool = False

    def force(self, command: ForceBleed, now_s: float) -> Self:
        """Return the orders with this one; a duty of zero takes it back."""
        until_s = now_s + min(command.for_s, MAX_FORCE_S)
        places = [cell - 1 for cell in command.cells]
        kept = {place: each for place, each in self.forced.items() if place not in places and each.until_s > now_s}
        if command.bleed_frac > 0.0 and command.for_s > 0.0:
            kept |= dict.fromkeys(places, Forced(command.bleed_frac, until_s))
        return replace(self, forced=kept)

    def within(self, first: int, units: int) -> Self:
        """Return the orders of the units from place `first` on, with places counted from there."""
        if first == 0 and not (self.forced or self.spared):
            return self
        mine = range(first, first + units)
        return replace(
            self,
            forced={place - first: each for place, each in self.forced.items() if place in mine},
            spared={place - first: until_s for place, until_s in self.spared.items() if place in mine},
        )

    def at(self, now_s: float) -> Self:
        """Return the orders without those whose time is over; a clock that was set back ends a force, too."""
        forced = {place: each for place, each in self.forced.items() if now_s < each.until_s <= now_s + MAX_FORCE_S}
        spared = {place: until_s for place, until_s in self.spared.items() if until_s > now_s}
        if len(forced) == len(self.forced) and len(spared) == len(self.spared):
            return self
        return replace(self, forced=forced, spared=spared)
