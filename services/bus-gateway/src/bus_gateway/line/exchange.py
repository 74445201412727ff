"""One line as the rest of the gateway sees it: ask and get the answer, or an error that says what to do."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from bus_gateway.errors import GatewayError, ModuleSilentError
from bus_gateway.line.line_turns import LineTurns, Priority
from bus_gateway.line.transaction import CollectTransaction, Ending, FastTransaction, LongTransaction, Transaction
from bus_gateway.wire.frame import LongFrame

RETRIES: Final = 2  # docs/bus-protocol.md, section 3: class Q and F are asked twice again with the same tag


class Exchange(LineTurns):
    """The master's end of one open port; see `LineTurns` for its arguments."""

    async def ask(
        self,
        request: bytes,
        longest_payload: int,
        *,
        address: int | None,
        flash: bool = False,
        priority: Priority = Priority.COMMAND,
    ) -> LongFrame:
        """Return the long reply to a request; asks twice again with the same tag.

        Args:
            request: a long frame.
            longest_payload: of the reply, in bytes.
            address: that has to answer; None where the request names a uid.
            flash: the module may take 50 ms to store something.
            priority: against other traffic of the line.

        Raises:
            ModuleSilentError: nobody answered three times.
            PortLostError, SecondMasterError: the line has ended.
        """
        timeout_s = self.timing.reply_timeout_s(longest_payload, flash=flash)
        for attempt in range(1 + RETRIES):
            self.counters.retries += attempt > 0
            waiter: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
            asked = LongTransaction(request, timeout_s, _wake(waiter), address)
            self.submit(asked, priority)
            _require_open(await waiter, self.ended)
            if asked.reply is not None:
                return asked.reply
        raise ModuleSilentError(f"no reply to type 0x{request[1]:02x} in {1 + RETRIES} tries of {timeout_s:.3f} s")

    async def fast(self, request: bytes, count: int, last_address: int, priority: Priority = Priority.COMMAND) -> bytes:
        """Return the bytes that answered one TRAIN or LIST, perhaps none; raises PortLostError, SecondMasterError."""
        waiter: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        asked = FastTransaction(
            request, self.timing.slots_end_s(count) + self.timing.slack_s, _wake(waiter), count, last_address
        )
        self.submit(asked, priority)
        _require_open(await waiter, self.ended)
        return asked.data

    async def collect(self, request: bytes, wait_s: float, priority: Priority = Priority.COMMAND) -> bytes:
        """Return all bytes that came within `wait_s` after the request; raises PortLostError, SecondMasterError."""
        waiter: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        asked = CollectTransaction(request, wait_s + self.timing.slack_s, _wake(waiter))
        self.submit(asked, priority)
        _require_open(await waiter, self.ended)
        return asked.data

    async def send(self, request: bytes, priority: Priority = Priority.COMMAND) -> None:
        """Send a frame that nobody answers; raises PortLostError, SecondMasterError."""
        waiter: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self.submit(Transaction(request, 0.0, _wake(waiter)), priority)
        _require_open(await waiter, self.ended)


def _wake(waiter: asyncio.Future[Ending]) -> Callable[[Transaction, Ending], None]:
    def done(transaction: Transaction, ending: Ending) -> None:
        del transaction
        with contextlib.suppress(asyncio.InvalidStateError):  # whoever waited was cancelled
            waiter.set_result(ending)

    return done


def _require_open(ending: Ending, reason: GatewayError | None) -> None:
    if ending in {Ending.COMPLETE, Ending.TIMEOUT}:
        return
    if reason is not None:
        raise reason
    raise ModuleSilentError("the request was given up before it was sent")
