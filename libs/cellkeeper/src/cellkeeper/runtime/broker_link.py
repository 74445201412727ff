"""One connection with the broker: bytes, deadlines and bounds around an `MqttTalk`.

What is published within one turn of the event loop leaves in one write, and what one read brings is taken at once: a
system call that wakes the broker costs many times the work on a packet. A link is used once and never again.
"""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final, assert_never

from cellkeeper.runtime.address import BrokerAddress
from cellkeeper.runtime.errors import LinkLostError
from cellkeeper.runtime.mqtt_talk import (
    KEEPALIVE_S,
    Denied,
    Farewell,
    Heard,
    Hello,
    Incoming,
    MqttTalk,
    Subscribed,
    Wanted,
    Welcome,
)

CONNECT_DEADLINE_S: Final = 10.0  # name look-up, TCP, CONNACK and SUBACK of a loaded broker
LOOK_S: Final = KEEPALIVE_S / 2
SILENCE_S: Final = 15.0  # a broker that vanished is noticed within this; a scan waits in the journal meanwhile
CLOSE_DEADLINE_S: Final = 1.0  # last words to a broker that does not read
MAX_UNSENT: Final = 6000  # a first picture of 4096 cells and the scans beside it; more means a stalled broker
MAX_UNSENT_BYTES: Final = 4 * 1024 * 1024  # the same picture, with room
MAX_WAITING: Final = 10_000  # messages received and not yet handled: 4096 cells twice, then the broker has to wait
MESSAGES_AT_ONCE: Final = 200  # handled before others have their turn


class BrokerLink(asyncio.Protocol):
    """A connection; `open_link` makes it.

    Args:
        on_denied: called with the reason for every message of ours that the broker's policy refuses.
    """

    def __init__(self, on_denied: Callable[[str], None]) -> None:
        self._on_denied = on_denied
        self._loop = asyncio.get_running_loop()
        self._talk = MqttTalk()
        self._transport: asyncio.Transport | None = None
        self._lost: LinkLostError | None = None
        self._gone = asyncio.Event()
        self._answer: asyncio.Future[Welcome | Subscribed] | None = None
        self._look: asyncio.TimerHandle | None = None
        self._heard_s = self._sent_s = self._loop.time()
        self._inbox: deque[Incoming] = deque()
        self._arrived = asyncio.Event()
        self._is_writing = False
        self._is_full = False
        self._quick = 0

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int,
        retain: bool = False,
        expires_s: float | None = None,
        correlation: bytes | None = None,
    ) -> bool:
        """Take a message for the broker; False when the link is lost or does not take more now."""
        if self._lost is not None or self._is_full or self.backlog() >= MAX_UNSENT:
            return False
        self._talk.publish(topic, payload, qos=qos, retain=retain, expires_s=expires_s, correlation=correlation)
        self._quick += not qos
        self._write_soon()
        return True

    def backlog(self) -> int:
        """Return how many messages are not yet with the broker."""
        if self._quick and not self._is_writing and self._transport and not self._transport.get_write_buffer_size():
            self._quick = 0  # what has QoS 0 is with the broker once the kernel has it
        return self._quick + self._talk.unanswered

    async def arrived(self) -> list[Incoming]:
        """Wait until messages have arrived and return them, in order, a portion at a time; raises LinkLostError."""
        while not self._inbox:
            if self._lost is not None:
                raise self._lost
            self._arrived.clear()
            await self._arrived.wait()
        portion = [self._inbox.popleft() for _ in range(min(MESSAGES_AT_ONCE, len(self._inbox)))]
        if self._inbox:
            await asyncio.sleep(0)
        elif self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
        return portion

    async def begin(self, hello: Hello, wanted: Sequence[Wanted]) -> None:
        """Introduce us and subscribe; raises LinkLostError when the broker refuses one or the other."""
        self._talk.greet(hello)
        await self._answered()
        if wanted:
            self._talk.subscribe(wanted)
            answer = await self._answered()
            if isinstance(answer, Subscribed) and answer.denied:
                raise LinkLostError(f"the broker denied the subscription to {', '.join(answer.denied)[:200]}")

    async def close(self) -> None:
        """Take leave, so that the last will is not said, and hang up."""
        if self._transport is None:
            return
        if self._lost is None:
            self._talk.take_leave()
            self._write()
            self._end("closed by us")
        try:
            async with asyncio.timeout(CLOSE_DEADLINE_S):
                await self._gone.wait()
        except TimeoutError:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; asyncio has set TCP_NODELAY."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=MAX_UNSENT_BYTES)
        self._look = self._loop.call_later(LOOK_S, self._look_alive)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that it is over, and why."""
        self._end(str(exc) if exc else "the broker closed the connection")
        self._gone.set()

    def pause_writing(self) -> None:
        """Take no more: the broker does not read as fast as we write."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Take messages again."""
        self._is_full = False

    def data_received(self, data: bytes) -> None:
        """Take what one read brought."""
        self._heard_s = self._loop.time()
        try:
            for heard in self._talk.feed(data):
                self._hear(heard)
        except LinkLostError as exc:
            self._end(str(exc))
        self._write_soon()

    def _hear(self, heard: Heard) -> None:
        match heard:
            case Incoming():
                self._inbox.append(heard)
                self._arrived.set()
                if len(self._inbox) >= MAX_WAITING and self._transport is not None:
                    self._transport.pause_reading()
            case Denied():
                self._on_denied(heard.reason)
            case Welcome() | Subscribed():
                if self._answer is not None and not self._answer.done():
                    self._answer.set_result(heard)
            case Farewell():
                self._end(f"the broker ends the connection: {heard.reason}")
            case _ as never:
                assert_never(never)

    async def _answered(self) -> Welcome | Subscribed:
        if self._lost is not None:
            raise self._lost
        self._answer = self._loop.create_future()
        self._write()
        return await self._answer

    def _write_soon(self) -> None:
        if self._talk.has_out and not self._is_writing:
            self._is_writing = True
            self._loop.call_soon(self._write)

    def _write(self) -> None:
        self._is_writing = False
        out = self._talk.take_out()
        if out and self._transport is not None and not self._transport.is_closing():
            self._transport.write(out)
            self._sent_s = self._loop.time()

    def _look_alive(self) -> None:
        now_s = self._loop.time()
        if now_s - self._heard_s >= SILENCE_S:
            self._end(f"the broker has been silent for {SILENCE_S:g} s")
            return
        if now_s - min(self._heard_s, self._sent_s) >= LOOK_S:
            self._talk.ping()
            self._write()
        self._look = self._loop.call_later(LOOK_S, self._look_alive)

    def _end(self, reason: str) -> None:
        if self._lost is not None:
            return
        self._lost = LinkLostError(reason)
        self._arrived.set()
        if self._look is not None:
            self._look.cancel()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(self._lost)
        if self._transport is not None:
            self._transport.close()


@asynccontextmanager
async def open_link(
    address: BrokerAddress, hello: Hello, wanted: Sequence[Wanted], on_denied: Callable[[str], None]
) -> AsyncIterator[BrokerLink]:
    """Connect, subscribe, and hang up in the end.

    Raises:
        LinkLostError: nobody is there or answers in time, or the broker refuses us.
        TlsRefusedError: our certificate cannot be used.
    """
    tls = address.tls.context(datetime.now(UTC)) if address.tls else None
    link = BrokerLink(on_denied)
    try:
        try:
            async with asyncio.timeout(CONNECT_DEADLINE_S):
                await asyncio.get_running_loop().create_connection(lambda: link, address.host, address.port, ssl=tls)
                await link.begin(hello, wanted)
        except TimeoutError as exc:
            raise LinkLostError(f"no answer from {address.host}:{address.port} in {CONNECT_DEADLINE_S:g} s") from exc
        except OSError as exc:
            reason = os.strerror(exc.errno) if isinstance(exc, ConnectionError) and exc.errno else str(exc)
            raise LinkLostError(f"{address.host}:{address.port}: {reason}") from exc
        yield link
    finally:
        await link.close()
