"""What people may ask of the balancer, done at once and written into the log book with who asked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from cellkeeper.contract.commands import Command, ForceBleed, PauseBalance, ResumeBalance, SpareNewBattery
from cellkeeper.contract.moment import format_ms, to_ms
from cellkeeper.contract.outcomes import Applied, Outcome, Refused
from cellkeeper.runtime.answering import Asked
from cellkeeper.runtime.clock import Clock
from cellkeeper.runtime.service import ServiceVoice

from balancer.orders import Orders
from balancer.string_loop import StringLoop

LONGEST_S: Final = 366 * 86_400.0  # of a pause or of sparing new units: who wants more says strategy = "none"


@dataclass(kw_only=True)
class Requests:
    """Takes wishes for the strings of this site.

    Attributes:
        loops: by string.
        clock: event time.
        voice: tells the log book.
        save: makes the wish durable, before it is confirmed: a pause must outlive a `kill -9`.
    """

    loops: Mapping[str, StringLoop]
    clock: Clock
    voice: ServiceVoice
    save: Callable[[], None]

    async def act(self, asked: Asked) -> Outcome:
        """Do one admitted command and return how it ended."""
        command = asked.command
        string = getattr(command, "string", "")
        loop = self.loops.get(string)
        if loop is None:
            return Refused(reason="unknown_target", detail=f"there are {', '.join(self.loops)}")
        refused = self._refused(command, loop)
        if refused is not None:
            return refused
        loop.orders, what = self._follow(command, loop)
        self.save()
        self.voice.event("balance.asked", "info", f"{what}, as {asked.issuer} asked", string=string, by=asked.issuer)
        return Applied()

    def _refused(self, command: Command, loop: StringLoop) -> Refused | None:
        cells = getattr(command, "cells", None) or []
        if any(cell > loop.units for cell in cells):
            return Refused(reason="unknown_target", detail=f"{loop.string} has cells 1 to {loop.units}")
        until = getattr(command, "until", None)
        if until is not None and not 0.0 < to_ms(until) / 1000.0 - self._now_s() <= LONGEST_S:
            return Refused(reason="out_of_range", detail="until has to lie ahead, by a year at most")
        return None

    def _follow(self, command: Command, loop: StringLoop) -> tuple[Orders, str]:
        orders, string = loop.orders, loop.string
        match command:
            case PauseBalance():
                until_s = to_ms(command.until) / 1000.0
                text = f"balancing of {string} pauses until {format_ms(to_ms(command.until))}: {command.reason}"
                return replace(orders, paused_until_s=until_s, pause_reason=command.reason), text
            case ResumeBalance():
                loop.forget_findings()
                orders = replace(orders, paused_until_s=float("-inf"), pause_reason="", forced={})
                return orders, f"balancing of {string} goes on, and every finding is looked at anew"
            case ForceBleed():
                duty, for_s = command.bleed_frac, command.for_s
                text = f"cells {_list(command.cells)} of {string} bleed with {duty:g} for {for_s:g} s"
                return orders.force(command, self._now_s()), text
            case SpareNewBattery():
                cells = command.cells or list(range(1, loop.units + 1))
                until_s = to_ms(command.until) / 1000.0
                spared = orders.spared | {cell - 1: until_s for cell in cells}
                text = f"new cells {_list(cells)} of {string} are left alone until {format_ms(to_ms(command.until))}"
                return replace(orders, spared=spared), text
        raise AssertionError(command)  # the desk lets nothing else through

    def _now_s(self) -> float:
        return self.clock.now_ms() / 1000.0


def _list(cells: list[int]) -> str:
    shown = ", ".join(map(str, cells[:8]))
    return shown if len(cells) <= 8 else f"{shown} and {len(cells) - 8} more"
