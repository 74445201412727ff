"""Takes commands from the broker, lets each through the gate once, and answers by id: the way down of every service.

Policy. A retained, malformed, expired, repeated or too early command is refused aloud and nothing else happens. The id
is on disk before the command acts. Commands act one after the other; an urgent one does not wait for its turn, and what
it overtakes is refused.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import orjson

from cellkeeper.contract.channels import COMMAND, OUTCOME
from cellkeeper.contract.commands import Command
from cellkeeper.contract.moment import from_ms, to_ms
from cellkeeper.contract.outcomes import CommandOutcome, Outcome, Refused
from cellkeeper.contract.wire import PayloadRefusedError, decode, encode
from cellkeeper.runtime.clock import Clock
from cellkeeper.runtime.command_gate import CommandGate
from cellkeeper.runtime.mailbox import Mailbox
from cellkeeper.runtime.seen_commands import SeenCommands
from cellkeeper.runtime.session import Incoming, Session

MAX_WAITING: Final = 32
_NO_ID: Final = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Asked:
    """A command that may act, and who waits for its outcome."""

    name: str
    issuer: str
    command: Command
    correlation: bytes | None
    urgent_before: int


@dataclass(kw_only=True)
class CommandDesk:
    """Where a service is asked.

    Attributes:
        site, service: ids.
        session, clock: what it works with.
        gate, memory: which ids were taken.
        models: what may be asked, by name.
        act: does it and says how it ended; never raises on purpose.
        urgent: the command that does not wait, and acts with a full disk as well: doing it twice does no harm.
        overtaken: the command that is refused when an urgent one came after it.
        on_outcome: told of every answer.
    """

    site: str
    service: str
    session: Session
    clock: Clock
    gate: CommandGate
    memory: SeenCommands
    models: Mapping[str, type[Command]]
    act: Callable[[Asked], Awaitable[Outcome]]
    urgent: type[Command] | None = None
    overtaken: type[Command] | None = None
    on_outcome: Callable[[str, Outcome], None] = lambda _name, _outcome: None
    _waiting: Mailbox[Asked] = field(default_factory=lambda: Mailbox(MAX_WAITING))
    _urgent: Mailbox[Asked] = field(default_factory=lambda: Mailbox(MAX_WAITING))
    _urgent_seen: int = 0

    def __post_init__(self) -> None:
        commands = COMMAND.filter(site=self.site, service=self.service)
        self.session.subscribe(commands, self.on_command, with_retained=False)

    def on_command(self, message: Incoming) -> None:
        """Refuse a command or put it in line."""
        ids = COMMAND.match(message.topic)
        if ids is None or (message.retained and not message.payload):  # somebody clears a topic: no command
            return
        name, issuer, correlation = ids["name"], ids["issuer"], message.correlation
        command = self._read(name, message)
        if isinstance(command, Refused):
            self._answer(name, issuer, _id_in(message.payload), command, correlation)
            return
        refused = self.gate.admit(command, self.clock.now_ms())
        if refused is None and not self._remember(command):
            refused = Refused(reason="busy", detail="the disk does not take the command's id, so it cannot act once")
        is_urgent = self._is(command, self.urgent)
        self._urgent_seen += is_urgent and refused is None
        asked = Asked(name, issuer, command, correlation, self._urgent_seen)
        box = self._urgent if is_urgent else self._waiting
        if refused is None and not box.put(asked):
            refused = Refused(reason="busy", detail=f"{MAX_WAITING} commands wait already")
        if refused is not None:
            self._answer(name, issuer, command.id, refused, correlation)

    async def run(self) -> None:
        """Act on commands in order until cancelled."""
        await self._work_off(self._waiting)

    async def run_urgent(self) -> None:
        """Act on urgent commands at once until cancelled."""
        await self._work_off(self._urgent)

    async def _work_off(self, box: Mailbox[Asked]) -> None:
        while True:
            for asked in await box.take_all():
                outcome: Outcome
                if to_ms(asked.command.expires_at) <= self.clock.now_ms():
                    outcome = Refused(reason="expired", detail="it expired while it waited for its turn")
                elif self._is(asked.command, self.overtaken) and asked.urgent_before < self._urgent_seen:
                    outcome = Refused(reason="busy", detail="a stop came after it")
                else:
                    outcome = await self.act(asked)
                self._answer(asked.name, asked.issuer, asked.command.id, outcome, asked.correlation)

    def _read(self, name: str, message: Incoming) -> Command | Refused:
        if message.retained:
            return Refused(reason="malformed", detail="a command must not be retained")
        model = self.models.get(name)
        if model is None:
            return Refused(reason="unknown_command", detail=f"there are {', '.join(self.models)}")
        try:
            return decode(model, message.payload)
        except PayloadRefusedError as exc:
            return Refused(reason="malformed", detail=str(exc)[:200])

    def _remember(self, command: Command) -> bool:
        known = self.memory.remember(command.id, to_ms(command.expires_at), self.gate.seen())
        return known or self._is(command, self.urgent)

    @staticmethod
    def _is(command: Command, kind: type[Command] | None) -> bool:
        return kind is not None and isinstance(command, kind)

    def _answer(self, name: str, issuer: str, command_id: UUID, outcome: Outcome, correlation: bytes | None) -> None:
        body = CommandOutcome(id=command_id, command=name, at=from_ms(self.clock.now_ms()), outcome=outcome)
        topic = OUTCOME.topic(site=self.site, service=self.service, issuer=issuer)
        self.session.publish(topic, encode(body), qos=OUTCOME.qos, correlation=correlation)
        self.on_outcome(name, outcome)


def _id_in(payload: bytes) -> UUID:
    """Return the id in a payload that is refused, so that its sender recognises the answer; zero when there is none."""
    try:
        body = orjson.loads(payload)
        return UUID(body["id"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
        return _NO_ID
