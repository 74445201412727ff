"""A person's way to a running service: which site, where its broker is, and a wish with its answer."""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, assert_never

from cellkeeper.contract.commands import COMMANDS
from cellkeeper.contract.outcomes import Applied, NoReply, Outcome, Refused
from cellkeeper.contract.site import Site
from cellkeeper.contract.site_file import load_site
from cellkeeper.runtime.address import BrokerAddress, address_for_people
from cellkeeper.runtime.asking import Asker, asking
from cellkeeper.runtime.clock import Clock, clock_from
from cellkeeper.runtime.errors import RuntimeProblemError
from cellkeeper.runtime.logs import configure_logs

PRESENCE_WAIT_S: Final = 1.5  # what a broker keeps of a site arrives within 0.1 s
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


def reach_of(site: Path, host: str, port: int) -> Reach:
    """Return the way to a site for a command line, in the event time of its services.

    Raises:
        SiteFileError: the site cannot be read.
        NotThereError: CELLKEEPER_CLOCK cannot be read.
    """
    configure_logs("cellkeeper", form="console", level="error")  # what a person asked for is on standard output
    try:
        clock = clock_from(os.environ.get("CELLKEEPER_CLOCK"))
    except ValueError as exc:
        raise NotThereError(f"CELLKEEPER_CLOCK: {exc}") from exc
    return Reach(load_site(site), address_for_people(host, port), clock)


async def wish(reach: Reach, service: str, name: str, **fields: Any) -> Outcome:  # noqa: ANN401  # the command's own
    """Ask a service, named as its kind, for something and return how that ended.

    Raises:
        NobodyThereError: no broker answers.
        NotThereError: no such service runs.
    """
    async with asking(reach.broker, reach.site.site.id, reach.clock) as asker:
        if not await _runs(asker, service):
            raise NotThereError(f"no {service} runs on this site; start it, for example with: cellkeeper up")
        return await asker.ask(service, name, COMMANDS[service][name], ANSWER_S, **fields)


def told_outcome(outcome: Outcome, done: str, look: str) -> tuple[bool, str]:
    """Return whether a wish was followed, and what to tell the person who had it.

    Args:
        outcome: how it ended.
        done: what is so now, where it was followed.
        look: command that shows how things are.
    """
    match outcome:
        case Applied():
            return True, done
        case Refused(reason=reason, detail=detail):
            return False, f"refused ({reason}): {detail}"
        case NoReply(waited_s=waited_s):
            return False, f"no reply within {waited_s:g} s: the effect is unknown; see {look}"
        case _ as never:
            assert_never(never)


async def _runs(asker: Asker, service: str) -> bool:
    """Return whether the service says that it is there; a busy machine gets a moment to hear it."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + PRESENCE_WAIT_S
    while asker.state_of(service) not in {"ready", "degraded", "starting"}:
        if loop.time() >= end_s:
            return False
        await asyncio.sleep(LOOK_AGAIN_S)
    return True
