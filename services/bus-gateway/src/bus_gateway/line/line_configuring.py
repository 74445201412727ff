"""Gives modules the settings of their unit after they introduced themselves, and reads them back.

Policy. A module that says it has the right settings is never written to: flash wears, and a write takes 50 ms of the
line. It is written to only while its strings are known not to be on battery, and while it neither bleeds nor tests. A
refusal is told and tried again after ten minutes; a few modules have their turn at a time, so that care goes on.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from bus_gateway.errors import ModuleSilentError
from bus_gateway.line.discovery import introduce
from bus_gateway.line.exchange import Exchange
from bus_gateway.line.line import Line
from bus_gateway.line.line_turns import Priority
from bus_gateway.line.unit_settings import UnitSettings
from bus_gateway.notices import named
from bus_gateway.wire import encode
from bus_gateway.wire.decode import BleedCode
from bus_gateway.wire.decode_long import ReplyCode, reply_code

CONFIGS_AT_ONCE: Final = 16  # less than a second of the line, flash times included
AGAIN_S: Final = 600.0
_CODE_ALONE: Final = 1

type Permit = Callable[[Sequence[str]], bool]
"""Tells whether modules of these strings may be written to now: they are known not to be on battery."""


class LineConfigurer:
    """Configures the modules of one line.

    Args:
        line: whose `unconfigured` addresses are worked off.
        settings: by string; a string that is not there is left alone.
        permits: asked before every write.
    """

    def __init__(self, line: Line, settings: Mapping[str, UnitSettings], permits: Permit) -> None:
        self._line = line
        self._permits = permits
        self._wanted = {
            int(line.plan.addresses[row]): (segment.string, settings[segment.string])
            for segment in line.plan.segments
            for row in range(segment.start, segment.stop)
            if segment.string in settings
        }
        self._not_before_s: dict[int, float] = {}
        self._done: list[int] = []

    async def tend(self, exchange: Exchange) -> None:
        """Configure a few modules that need it; raises PortLostError, SecondMasterError."""
        if not self._line.unconfigured:
            return
        due = self._due()
        for address in due[:CONFIGS_AT_ONCE]:
            string, settings = self._wanted[address]
            if self._permits([string]):
                await self._configure(exchange, address, settings)
        if self._done and len(due) <= CONFIGS_AT_ONCE:
            done, self._done = sorted(self._done), []
            text = f"{len(done)} modules got the settings of their unit: addresses {named(done)}"
            self._line.say("module.configured", "info", text, about=named(done), modules=len(done))

    def _due(self) -> list[int]:
        """Return who has to be written to now; forget who has nothing to be told."""
        now_s = asyncio.get_running_loop().time()
        due: list[int] = []
        for address in sorted(self._line.unconfigured):
            who, wanted = self._line.identities.get(address), self._wanted.get(address)
            if who is None or wanted is None or not wanted[1].is_missing_in(who):
                self._line.unconfigured.discard(address)
            elif self._not_before_s.get(address, now_s) <= now_s and not self._must_wait(address):
                due.append(address)
        return due

    def _must_wait(self, address: int) -> bool:
        """Whether a unit bleeds or is tested, or its address answers twice: nobody knows who would take the frame."""
        row = self._line.row_of(address)
        byte = 0 if row is None else int(self._line.bleed_byte[row])
        is_busy = 0 < byte <= encode.DUTY_STEPS or byte == BleedCode.IN_TEST
        return is_busy or address in self._line.duplicates

    async def _configure(self, exchange: Exchange, address: int, settings: UnitSettings) -> None:
        request = encode.config(
            address,
            settings.kind,
            settings.cells_per_unit,
            settings.bleed_floor_v,
            settings.bleed_hot_degc,
            exchange.next_tag(),
        )
        self._not_before_s[address] = asyncio.get_running_loop().time() + AGAIN_S
        try:
            reply = await exchange.ask(request, _CODE_ALONE, address=address, flash=True, priority=Priority.BACKGROUND)
        except ModuleSilentError:
            self._say_refused(address, "it does not answer")
            return
        if (code := reply_code(reply)) is not ReplyCode.OK:
            self._say_refused(address, code.name.lower())
            return
        who = await introduce(exchange, address, Priority.BACKGROUND)
        if who is None or settings.is_missing_in(who):
            self._say_refused(address, "it says OK and keeps other settings")
            return
        self._line.identities[address] = who
        self._line.unconfigured.discard(address)
        self._done.append(address)

    def _say_refused(self, address: int, why: str) -> None:
        text = (
            f"the module at address {address} does not take the settings of its unit ({why}): its bleed floor may be "
            f"wrong and bleeds and tests refused; asked again in {AGAIN_S / 60.0:g} min"
        )
        self._line.say("module.config_refused", "warning", text, about=str(address), address=address)
