"""What the running balancer last told of every string."""

import asyncio
from collections.abc import Mapping
from typing import Final

from cellkeeper.contract.balance_state import BalanceState
from cellkeeper.contract.channels import BALANCE
from cellkeeper.contract.wire import PayloadRefusedError, decode
from cellkeeper.runtime.asking import NobodyThereError, asking
from cellkeeper.runtime.session import Incoming
from cellkeeper.runtime.wishing import Reach

BALANCER: Final = "balancer"
STATES_WAIT_S: Final = 1.5  # what a broker keeps of a site arrives within 0.1 s


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


async def state_if_told(reach: Reach, string: str) -> tuple[BalanceState | None, str]:
    """Return the newest state of a string, or None and why there is none."""
    try:
        found = await newest_states(reach)
    except NobodyThereError as exc:
        return None, str(exc)
    state = found.get(string)
    return state, "" if state is not None else f"no balancer speaks of {string}"
