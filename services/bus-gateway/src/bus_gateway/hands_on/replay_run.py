"""`cellkeeper replay`: a gateway that lives as long as some recorded files last."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cellkeeper.contract.site import Site
from cellkeeper.runtime.clock import SystemClock
from cellkeeper.runtime.errors import RuntimeProblemError, StartRefusedError
from cellkeeper.runtime.service import ServiceVoice, only_instance
from cellkeeper.runtime.session import BrokerAddress, Session
from pydantic import ValidationError

from bus_gateway.drivers.replay import ReplayDriver
from bus_gateway.gateway import Gateway
from bus_gateway.main import start_or_refuse
from bus_gateway.place import Place

SERVICE: Final = "replay"
OWN_SITE: Final = "replay"
LINK_DEADLINE_S: Final = 5.0
POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class ReplayWish:
    """What is to be replayed, and as what.

    Attributes:
        files: one unit each.
        table: keys of `[bus.replay]` but for `file`.
        string: keys of `[[string]]` that describe the unit.
        site_id, string_id: ids under which it is published.
        state_dir: where the journal lies; a replay that was broken off goes on there.
        broker: the running broker.
        wait_s: real seconds for the last receipts.
    """

    files: Sequence[Path]
    table: Mapping[str, Any]
    string: Mapping[str, Any]
    site_id: str
    string_id: str
    state_dir: Path
    broker: BrokerAddress
    wait_s: float


@dataclass(slots=True)
class ReplayReport:
    """How it ended, in lines for a person."""

    lines: list[str] = field(default_factory=list)
    failed: bool = False


async def replay_files(wish: ReplayWish) -> ReplayReport:
    """Send every row of the files and wait until they are stored.

    Raises:
        StartRefusedError: no broker, a column that is not there, an impossible unit, or the same replay runs already.
    """
    site = site_for(wish)
    clock = SystemClock()
    session = Session(address=wish.broker, client_id=f"{wish.site_id}-{SERVICE}-{wish.string_id}")
    voice = ServiceVoice(site=wish.site_id, service=SERVICE, clock=clock, session=session)
    folder = wish.state_dir / f"{SERVICE}-{wish.string_id}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise StartRefusedError(f"{folder}: {exc.strerror}; choose another --state-dir") from exc
    with only_instance(folder, SERVICE):
        gateway = start_or_refuse(Place(site, SERVICE, folder), voice, clock, Path())
        running = [asyncio.create_task(session.run()), asyncio.create_task(gateway.run())]
        ending = asyncio.create_task(_until_stored(gateway, wish))
        try:
            await _linked(session)
            done, _ = await asyncio.wait([ending, *running], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {ending}:
                task.result()  # raises what ended it
            return ending.result()
        finally:
            ending.cancel()
            voice.be("gone", "the recording ended")
            await asyncio.sleep(0.1)  # the last words leave before the connection closes
            for task in running:
                task.cancel()
            await asyncio.gather(ending, *running, return_exceptions=True)


def site_for(wish: ReplayWish) -> Site:
    """Return a site with one bus and one string per file; raises StartRefusedError."""
    names = [wish.string_id if at == 1 else f"{wish.string_id}-{at}" for at in range(1, len(wish.files) + 1)]
    per_unit = int(wish.string.get("cells_per_unit", 1))
    tree = {
        "site": {"id": wish.site_id, "name": "Replay of recorded data"},
        # the first gateway writes the site's meta: on somebody else's site that is not us
        "gateway": [{"service": name} for name in ([] if wish.site_id == OWN_SITE else ["bus-gateway"]) + [SERVICE]],
        "bus": [
            {
                "id": name,
                "driver": "replay",
                "gateway": SERVICE,
                "replay": {"file": str(file.resolve()), **wish.table},
            }
            for name, file in zip(names, wish.files, strict=True)
        ],
        "string": [
            {
                "id": name,
                "cells": 1,
                "module_type": "c44" if per_unit == 1 else "c20",
                "modules": [{"bus": name, "first_address": 1, "count": 1}],
                **wish.string,
            }
            for name in names
        ],
    }
    try:
        return Site.model_validate(tree)
    except ValidationError as exc:
        first = exc.errors()[0]
        raise StartRefusedError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from exc


async def _linked(session: Session) -> None:
    try:
        async with asyncio.timeout(LINK_DEADLINE_S):
            while not session.is_up:  # noqa: ASYNC110  # the session tells by callback only before it runs
                await asyncio.sleep(POLL_S)
    except TimeoutError as exc:
        raise StartRefusedError(
            f"no broker on {session.address.host}:{session.address.port}; start the suite (cellkeeper up) first"
        ) from exc


async def _until_stored(gateway: Gateway, wish: ReplayWish) -> ReplayReport:
    report = ReplayReport()
    for path in gateway.paths:
        if not isinstance(path.driver, ReplayDriver):
            raise RuntimeProblemError("a replay reads recordings only")
        driver = path.driver
        await driver.finished.wait()
        counts = driver.counts
        lines = f" (lines {', '.join(map(str, counts.bad_lines))}{' …' if counts.bad_rows > 20 else ''})"
        report.lines.append(
            f"{driver.path.name}: {counts.rows} rows, {counts.bad_rows} bad{lines if counts.bad_rows else ''}"
        )
        if driver.failure is not None:
            report.lines.append(driver.failure)
            report.failed = True
    late = gateway.counters.late_readings
    if late:
        report.lines.append(
            f"{late} rows were not sent: {wish.string_id} already holds rows of their time or later; replay older "
            "files first, or give this one another --string-id"
        )
        report.failed = True
    try:
        async with asyncio.timeout(wish.wait_s):
            while gateway.keeper.pending or gateway.keeper.book.waiting_scans():  # noqa: ASYNC110  # as above
                await asyncio.sleep(POLL_S)
        report.lines.append("everything that was sent is stored")
    except TimeoutError:
        waiting = gateway.keeper.book.waiting_scans()
        report.lines.append(f"{waiting} scans wait in {wish.state_dir} for a receipt; is the historian running?")
        report.failed = True
    return report
