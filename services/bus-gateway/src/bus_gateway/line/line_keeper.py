"""Holds the port of one line open, and opens it again when it went."""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Final

from bus_gateway.errors import GatewayError, PortLostError, PortTakenError, SecondMasterError
from bus_gateway.line.exchange import Exchange
from bus_gateway.line.line import Line
from bus_gateway.line.line_care import LineCare
from bus_gateway.line.line_configuring import LineConfigurer
from bus_gateway.line.serial_port import BytePort, open_port
from bus_gateway.wire.timing import LineTiming

FIRST_RETRY_S: Final = 0.5
LONGEST_RETRY_S: Final = 2.0  # trying costs nothing, and a person has just plugged it in again
QUIET_AFTER_MASTER_S: Final = 60.0  # how long to keep off a line that somebody else has used

type PortOpener = Callable[[str, int], BytePort]


class LineKeeper:
    """Gives a line its port, and the care it needs while the port is open.

    Args:
        line: whose `exchange`, `is_taken` and `is_tried` are set here.
        random: retry delays, seeds of searches.
        opener: opens a port by url and baud rate.
        configurer: of the same line; None where nobody may write to modules.
    """

    def __init__(
        self, line: Line, random: Random, opener: PortOpener = open_port, configurer: LineConfigurer | None = None
    ) -> None:
        self._line = line
        self._care = LineCare(line, random, configurer)
        self._random = random
        self._opener = opener

    @property
    def bus(self) -> str:
        """Id of the line's bus."""
        return self._line.bus.id

    async def keep_open(self) -> None:
        """Hold the port and open it again when it went; runs until cancelled."""
        retry_s = FIRST_RETRY_S
        while True:
            try:
                await self._hold_port()
                retry_s = FIRST_RETRY_S
            except PortTakenError as exc:
                self._line.is_taken = self._line.is_tried = True
                self._line.say("port.taken", "error", str(exc))
            except PortLostError as exc:
                self._line.is_taken, self._line.is_tried = False, True
                # a port that was never there is usually a twin or an adapter that starts later than we do
                self._line.say("port.lost", "error" if self._line.counters.reopened else "warning", str(exc))
            except SecondMasterError as exc:
                self._line.say("bus.second_master", "error", f"{exc}: this gateway keeps off the bus")
                retry_s = QUIET_AFTER_MASTER_S
            await asyncio.sleep(self._random.uniform(0.5, 1.0) * retry_s)
            retry_s = min(LONGEST_RETRY_S, retry_s * 2.0)

    async def _hold_port(self) -> None:
        """Open the port and tend the line until it ends; raises what ended it."""
        port = await asyncio.to_thread(self._opener, self._line.bus.port or "", self._line.bus.baud)
        ended: asyncio.Future[GatewayError] = asyncio.get_running_loop().create_future()
        exchange = Exchange(port, LineTiming(self._line.bus.baud, port.slack_s), self._line.counters, _settle(ended))
        self._line.exchange = exchange
        self._line.is_taken, self._line.is_tried = False, True
        self._line.counters.reopened += 1
        self._line.say("port.open", "info", f"{port.name} is open")
        try:
            async with asyncio.TaskGroup() as tasks:
                care = tasks.create_task(self._care.tend(exchange), name=f"care-{self._line.bus.id}")
                reason = await ended
                care.cancel()
            raise reason
        finally:
            self._line.exchange = None
            exchange.close()


def _settle(ended: asyncio.Future[GatewayError]) -> Callable[[GatewayError], None]:
    def settle(reason: GatewayError) -> None:
        if not ended.done():  # the line may be closing for another reason at the same time
            ended.set_result(reason)

    return settle
