"""The session with the broker, supervised: it comes back, and tells messages apart by their topic.

Policy. A fixed client id, a new link for each connection. One supervisor reconnects with random, doubling delays and
says one line when the link goes and one when it returns. A message that cannot be sent now is not queued here:
`publish` answers False and the owner decides (scans wait in the journal, views are sent again).

A second client with our id ends our connection at every connect of its own; brokers of 2.0.11 do not say so. So after a
connection that lasted only moments we look, under another id, whether somebody else speaks as our service: who came
last stops, who was there before goes on. A broker that takes the client id from the certificate knows only one id of
ours, so there the look is as our next connection would be, and a session that the broker keeps stays as it is.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Final

import structlog

from cellkeeper.runtime.address import BrokerAddress
from cellkeeper.runtime.backoff import retry_delays_s
from cellkeeper.runtime.broker_link import BrokerLink, open_link
from cellkeeper.runtime.errors import DuplicateServiceError, LinkLostError
from cellkeeper.runtime.mqtt_talk import Hello, Incoming, LastWill, Wanted
from cellkeeper.runtime.tls import TlsRefusedError, why_refused

__all__ = ["BrokerAddress", "Handler", "Incoming", "LastWill", "Session", "SessionCounters"]

MAX_TOPICS_KNOWN: Final = 20_000  # whose readers are remembered; the largest room has 16 000 cells
SHORT_LINK_S: Final = 5.0  # a rightful owner takes its id back within a second
LOOK_S: Final = 1.0  # a retained presence comes with the SUBACK

log = structlog.get_logger()

type Handler = Callable[[Incoming], None]


@dataclass(slots=True)
class SessionCounters:
    """What happened on the link since the start."""

    connects: int = 0
    sent: int = 0
    refused: int = 0
    received: int = 0
    denied: int = 0


@dataclass(slots=True, kw_only=True)
class Session:
    """A supervised connection. Subscribe and register callbacks first, then `run`.

    Attributes:
        address: the broker.
        client_id: fixed for this service instance.
        will: published by the broker when the connection breaks.
        keep_session: let the broker queue for us while we are away; only for services that record, never for those
            that command or obey, so that nothing old reaches them.
        short_link_s: a connection that lasted less than this makes us look for a second one of us.
        rng: where the random part of the retry delay comes from.
    """

    address: BrokerAddress
    client_id: str
    will: LastWill | None = None
    keep_session: bool = False
    short_link_s: float = SHORT_LINK_S
    rng: Random = field(default_factory=Random)
    counters: SessionCounters = field(default_factory=SessionCounters)
    _subscriptions: list[tuple[Wanted, Handler]] = field(default_factory=list)
    _on_link: list[Callable[[], None]] = field(default_factory=list)
    _link: BrokerLink | None = None
    _last_presence: bytes = b""
    _handlers: dict[str, tuple[Handler, ...]] = field(default_factory=dict)

    @property
    def is_up(self) -> bool:
        """Whether there is a connection now."""
        return self._link is not None

    def subscribe(self, topic_filter: str, handler: Handler, *, qos: int = 1, with_retained: bool = True) -> None:
        """Have `handler` called for every message; it must not block. Commands take `with_retained=False`."""
        self._subscriptions.append((Wanted(topic_filter, qos, with_retained), handler))
        self._handlers.clear()

    def on_link(self, callback: Callable[[], None]) -> None:
        """Have `callback` called after each connect, to publish what is retained again."""
        self._on_link.append(callback)

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
        """Hand a message to the link; False when there is none or it does not take more now."""
        link = self._link
        if link is None or not link.publish(
            topic, payload, qos=qos, retain=retain, expires_s=expires_s, correlation=correlation
        ):
            self.counters.refused += 1
            return False
        self.counters.sent += 1
        if self.will is not None and topic == self.will.topic:
            self._last_presence = payload
        return True

    def backlog(self) -> int:
        """Return how many messages are not yet with the broker."""
        return 0 if self._link is None else self._link.backlog()

    async def run(self) -> None:
        """Keep the connection until cancelled.

        Raises:
            DuplicateServiceError: another client took this client id.
        """
        delays = retry_delays_s(self.rng)
        told = False
        while True:
            before, started_s = self.counters.connects, time.monotonic()
            try:
                await self._one_connection()
            except LinkLostError as exc:
                was_up = self.counters.connects > before
                if was_up and time.monotonic() - started_s < self.short_link_s and await self._somebody_else_speaks():
                    raise DuplicateServiceError(
                        f"another process speaks as {self.client_id}; stop it, or give this one another service id"
                    ) from exc
                if was_up:
                    delays, told = retry_delays_s(self.rng), False
                if not told:
                    reason = await self._reason(exc)
                    log.warning("broker.lost", host=self.address.host, port=self.address.port, reason=reason[:400])
                    told = True
            await asyncio.sleep(next(delays))

    async def _reason(self, exc: LinkLostError) -> str:
        """Return what to tell of a lost link; a refused certificate looks like silence from here, so it is asked."""
        tls = self.address.tls
        if tls is None or isinstance(exc, TlsRefusedError):
            return str(exc)
        refused = await asyncio.to_thread(why_refused, self.address.host, self.address.port, tls, datetime.now(UTC))
        return refused or str(exc)

    async def _one_connection(self) -> None:
        hello = Hello(self.client_id, self.will, self.keep_session)
        wanted = [each for each, _ in self._subscriptions]
        async with open_link(self.address, hello, wanted, self._denials_told()) as link:
            self._link = link
            try:
                self.counters.connects += 1
                log.info("broker.back" if self.counters.connects > 1 else "broker.connected", port=self.address.port)
                for callback in self._on_link:
                    callback()
                while True:
                    for message in await link.arrived():
                        self._hand_out(message)
            finally:
                self._link = None

    def _denials_told(self) -> Callable[[str], None]:
        """Return what counts publishes that the broker's policy refuses, and tells the first of a connection."""
        told = False

        def on_denied(reason: str) -> None:
            nonlocal told
            self.counters.denied += 1
            if not told:
                told = True
                log.error("publish.denied", client=self.client_id, reason=reason)

        return on_denied

    async def _somebody_else_speaks(self) -> bool:
        """Return whether the presence of our service is neither our last word nor our last will."""
        if self.will is None:
            return False
        ours = (b"", self._last_presence, self.will.payload)
        hello = Hello(f"{self.client_id}-look")
        if self.address.tls is not None:
            hello = Hello(self.client_id, keep_session=self.keep_session)
        try:
            async with (
                asyncio.timeout(LOOK_S),
                open_link(self.address, hello, [Wanted(self.will.topic, qos=0)], lambda _reason: None) as look,
            ):
                while True:
                    if any(message.payload not in ours for message in await look.arrived()):
                        return True
        except (TimeoutError, LinkLostError):
            return False

    def _hand_out(self, message: Incoming) -> None:
        self.counters.received += 1
        for handler in self._handlers_of(message.topic):
            handler(message)

    def _handlers_of(self, topic: str) -> tuple[Handler, ...]:
        """Return who asked for a topic; matching filters costs more than small messages do, so it is done once."""
        found = self._handlers.get(topic)
        if found is None:
            if len(self._handlers) >= MAX_TOPICS_KNOWN:
                self._handlers.clear()
            found = tuple(handler for wanted, handler in self._subscriptions if is_under(topic, wanted.topic_filter))
            self._handlers[topic] = found
        return found


def is_under(topic: str, topic_filter: str) -> bool:
    """Whether a topic filter, perhaps with `+` and `#`, covers a topic."""
    levels, wanted = topic.split("/"), topic_filter.split("/")
    for at, level in enumerate(wanted):
        if level == "#":
            return True
        if at == len(levels) or level not in {"+", levels[at]}:
            return False
    return len(levels) == len(wanted)
