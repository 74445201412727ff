"""Keeps a `SiteView` fed from the broker: the edge between the wire and the pictures."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from cellkeeper.cli.site_view import MAX_SERVICES, READ, SiteView
from cellkeeper.contract.channels import PRESENCE
from cellkeeper.contract.notices import Presence
from cellkeeper.contract.wire import PayloadRefusedError, decode
from cellkeeper.runtime.address import BrokerAddress, address_for_people
from cellkeeper.runtime.errors import RuntimeProblemError
from cellkeeper.runtime.logs import configure_logs
from cellkeeper.runtime.session import Incoming, Session


async def kept_presence(address: BrokerAddress, site_id: str | None, wait_s: float) -> dict[str, Presence] | None:
    """Return what services last said of themselves, by "site/service"; None without a link.

    With certificates only those of the site `site_id` can be seen, else those of every site.

    The broker sends what it keeps right after the subscription and marks no end, so this listens for `wait_s`.
    """
    configure_logs("view", form="console", level="critical")  # the caller tells in one line that there is no link
    session = Session(address=address, client_id=f"cellkeeper-doctor-{secrets.token_hex(4)}")
    found: dict[str, Presence] = {}

    def take(message: Incoming) -> None:
        ids = PRESENCE.match(message.topic)
        if ids is not None and message.payload and len(found) < MAX_SERVICES:
            with suppress(PayloadRefusedError):
                found[f"{ids['site']}/{ids['service']}"] = decode(Presence, message.payload)

    of_one_site = {"site": site_id} if address.tls is not None and site_id is not None else {}
    session.subscribe(PRESENCE.filter(**of_one_site), take, qos=PRESENCE.qos)
    running = asyncio.create_task(session.run(), name="presence-session")
    try:
        await asyncio.wait([running], timeout=wait_s)
        return found if session.is_up else None
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@asynccontextmanager
async def feeding(view: SiteView, host: str, port: int) -> AsyncIterator[Session]:
    """Feed the view in the background for the length of the context; the session reconnects by itself."""
    configure_logs("view", form="console", level="error")  # the picture itself shows whether there is a link
    session = Session(address=address_for_people(host, port), client_id=f"cellkeeper-view-{secrets.token_hex(4)}")

    def take(message: Incoming) -> None:
        view.take(message.topic, message.payload, time.monotonic())

    for channel in READ:
        session.subscribe(channel.filter(site=view.site), take, qos=channel.qos)
    try:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(session.run(), name="view-session")
            try:
                yield session
            finally:
                running.cancel()
    except* RuntimeProblemError as group:  # one reason is told as one line, not as a group of them
        raise group.exceptions[0] from group
