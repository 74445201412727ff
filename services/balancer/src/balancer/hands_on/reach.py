"""A person's way to the running balancer: what it last told of every string, and a wish with its answer."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cellkeeper.contract.balance_state import BalanceState
from cellkeeper.contract.channels import BALANCE
from cellkeeper.contract.commands import BALANCER_COMMANDS
from cellkeeper.contract.outcomes import Outcome
from cellkeeper.contract.site import Site
from cellkeeper.contract.wire import PayloadRefusedError, decode
from cellkeeper.runtime.address import BrokerAddress
from cellkeeper.runtime.asking import Asker, NobodyThereError, asking
from cellkeeper.runtime.clock import Clock
from cellkeeper.runtime.errors import RuntimeProblemError
from cellkeeper.runtime.session import Incoming

BALANCER: Final = "balancer"
STATES_WAIT_S: Final = 1.5  # what a broker keeps of a site arrives within 0.1 s
LOOK_AGAIN_S: Final = 0.05
ANSWER_S: Final = 5.0  # a wish is followed at once, or not


class NotThereError(RuntimeProblemError):
    """What was asked for is not there; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Which site, and where its broker is."""

    site: Site
    broker: BrokerAddress
    clock: Clock


async def newest_states(reach: Reach) -> Mapping[str, BalanceState]:
    """Return what was last told of each string; a string of which nobody speaks is not among them.

    Raises:
        NobodyThereError: no broker answers.
    """
    found: dict[str, BalanceState] = {}
    wanted = {string.id for string in reach.site.string}
    complete = asyncio.Event()

    def take(message: Incoming) -> None:
        try:
            state = decode(BalanceState, message.payload)
        except PayloadRefusedError:
            return
        found[state.string] = state
        if wanted <= found.keys():
            complete.set()

    watch = {BALANCE.filter(site=reach.site.site.id): take}
    async with asking(reach.broker, reach.site.site.id, reach.clock, watch):
        try:
            async with asyncio.timeout(STATES_WAIT_S):
                await complete.wait()
        except TimeoutError:
            pass  # what came is what there is; the caller sees which strings are missing
    return {name: state for name, state in found.items() if name in wanted}


async def wish(reach: Reach, name: str, **fields: Any) -> Outcome:  # noqa: ANN401  # the command's own
    """Ask the balancer for something and return how that ended.

    Raises:
        NobodyThereError: no broker answers.
        NotThereError: no balancer runs.
    """
    async with asking(reach.broker, reach.site.site.id, reach.clock) as asker:
        if not await _runs(asker):
            raise NotThereError(f"no {BALANCER} runs on this site; start it, for example with: cellkeeper up")
        return await asker.ask(BALANCER, name, BALANCER_COMMANDS[name], ANSWER_S, **fields)


async def _runs(asker: Asker) -> bool:
    """Return whether the balancer says that it is there; a busy machine gets a moment to hear it."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + STATES_WAIT_S
    while asker.state_of(BALANCER) not in {"ready", "degraded", "starting"}:
        if loop.time() >= end_s:
            return False
        await asyncio.sleep(LOOK_AGAIN_S)
    return True


async def state_if_told(reach: Reach, string: str) -> tuple[BalanceState | None, str]:
    """Return the newest state of a string, or None and why there is none."""
    try:
        found = await newest_states(reach)
    except NobodyThereError as exc:
        return None, str(exc)
    state = found.get(string)
    return state, "" if state is not None else f"no balancer speaks of {string}"
