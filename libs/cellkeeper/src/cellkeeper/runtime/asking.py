"""Asks a service over the broker and waits for its answer by id: what a command line or another service uses."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from cellkeeper.contract.channels import COMMAND, OUTCOME, PRESENCE
from cellkeeper.contract.commands import Command
from cellkeeper.contract.moment import from_ms
from cellkeeper.contract.notices import Presence
from cellkeeper.contract.outcomes import CommandOutcome, NoReply, Outcome
from cellkeeper.contract.wire import PayloadRefusedError, decode, encode
from cellkeeper.runtime.clock import Clock
from cellkeeper.runtime.errors import RuntimeProblemError
from cellkeeper.runtime.session import BrokerAddress, Handler, Incoming, Session
from cellkeeper.runtime.tls import why_refused

LINK_DEADLINE_S: Final = 5.0  # TLS on a busy machine takes most of it
EXPIRES_S: Final = 30.0


class NobodyThereError(RuntimeProblemError):
    """No broker, or no such service behind it: start it, or work without it."""


@dataclass(kw_only=True)
class Asker:
    """A client that asks; use it through `asking`."""

    site: str
    issuer: str
    session: Session
    clock: Clock
    _answers: dict[UUID, asyncio.Future[Outcome]] = field(default_factory=dict)
    _present: dict[str, Presence] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.session.subscribe(OUTCOME.filter(site=self.site, issuer=self.issuer), self._on_outcome)
        self.session.subscribe(PRESENCE.filter(site=self.site), self._on_presence)

    def state_of(self, service: str) -> str:
        """Return what a service last said of itself, `gone` when it never did."""
        presence = self._present.get(service)
        return "gone" if presence is None else presence.state

    async def ask(self, service: str, name: str, model: type[Command], wait_s: float, **fields: Any) -> Outcome:  # noqa: ANN401  # the command's own
        """Send a command and return how it ended; NoReply when nothing came within `wait_s` of real time."""
        expires = from_ms(self.clock.now_ms()) + timedelta(seconds=EXPIRES_S)
        command = model(id=uuid4(), expires_at=expires, **fields)
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._answers[command.id] = answer
        topic = COMMAND.topic(site=self.site, service=service, name=name, issuer=self.issuer)
        try:
            if not self.session.publish(topic, encode(command), qos=COMMAND.qos, correlation=command.id.bytes):
                raise NobodyThereError("the broker does not take the command")
            async with asyncio.timeout(wait_s):
                return await answer
        except TimeoutError:
            return NoReply(waited_s=wait_s)
        finally:
            del self._answers[command.id]

    def _on_outcome(self, message: Incoming) -> None:
        try:
            body = decode(CommandOutcome, message.payload)
        except PayloadRefusedError:
            return
        answer = self._answers.get(body.id)
        if answer is not None and not answer.done():
            answer.set_result(body.outcome)

    def _on_presence(self, message: Incoming) -> None:
        try:
            body = decode(Presence, message.payload)
        except PayloadRefusedError:
            return
        self._present[body.service] = body


@asynccontextmanager
async def asking(
    address: BrokerAddress, site: str, clock: Clock, watch: Mapping[str, Handler] | None = None
) -> AsyncIterator[Asker]:
    """Connect for the length of the context, as a one-time issuer or as the one that our certificate names.

    Args:
        address: the broker.
        site: its id.
        clock: event time of the site's services.
        watch: handlers of other topics to see, by topic filter.

    Raises:
        NobodyThereError: no broker answers within `LINK_DEADLINE_S`.
    """
    once = f"cli-{uuid4().hex[:12]}"
    issuer = address.tls.user() if address.tls else once  # the broker lets nobody ask in another's name
    session = Session(address=address, client_id=f"{site}-{once}")
    asker = Asker(site=site, issuer=issuer, session=session, clock=clock)
    for topic_filter, handler in (watch or {}).items():
        session.subscribe(topic_filter, handler)
    linked = asyncio.Event()
    session.on_link(linked.set)
    running = asyncio.create_task(session.run(), name="session")
    try:
        try:
            async with asyncio.timeout(LINK_DEADLINE_S):
                await linked.wait()
                await asyncio.sleep(0.2)  # retained presences follow the subscription
        except TimeoutError as exc:
            raise NobodyThereError(await _why_nobody(address)) from exc
        yield asker
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _why_nobody(address: BrokerAddress) -> str:
    refused = None
    if address.tls is not None:
        refused = await asyncio.to_thread(why_refused, address.host, address.port, address.tls, datetime.now(UTC))
    return refused or f"no broker on {address.host}:{address.port}"
