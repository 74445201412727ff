"""Where the gateway is asked: the desk of every service, with the gateway's commands and what may not wait."""

from pathlib import Path

from cellkeeper.contract.commands import GATEWAY_COMMANDS, BleedCells, StopBleed
from cellkeeper.runtime.answering import CommandDesk
from cellkeeper.runtime.clock import Clock
from cellkeeper.runtime.command_gate import CommandGate
from cellkeeper.runtime.seen_commands import SeenCommands
from cellkeeper.runtime.session import Session

from bus_gateway.downlink.actions import Actions


def command_desk(
    site: str, service: str, session: Session, clock: Clock, memory_file: Path, actions: Actions
) -> CommandDesk:
    """Return the desk; `stop_bleed` does not wait, and a bleed that it overtakes is refused."""
    memory = SeenCommands(memory_file)
    return CommandDesk(
        site=site,
        service=service,
        session=session,
        clock=clock,
        gate=CommandGate(memory.read()),
        memory=memory,
        models=GATEWAY_COMMANDS,
        act=lambda asked: actions.act(asked.command),
        urgent=StopBleed,
        overtaken=BleedCells,
    )
