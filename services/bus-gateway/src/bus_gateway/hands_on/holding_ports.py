"""A person's way to the modules: through the running gateway, or, when none runs, with the port to oneself.

The gateway's interlocks hold on the first way. On the second the same sweep and the same rule refuse what must not
happen on battery; where a fresh bus cannot tell (nothing is addressed yet), the person has to say so.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from random import SystemRandom
from typing import Any, Final

from cellkeeper.contract.channels import MODULE, SCAN
from cellkeeper.contract.commands import AssignAddress, ClearAddress, Command, IdentifyAddress, SearchModules
from cellkeeper.contract.outcomes import Applied, Outcome, Refused
from cellkeeper.contract.scan_columns import ScanColumns, decode_scan
from cellkeeper.contract.site import Site
from cellkeeper.contract.telemetry import ModuleState
from cellkeeper.contract.wire import PayloadRefusedError, decode
from cellkeeper.runtime.asking import Asker, NobodyThereError, asking
from cellkeeper.runtime.errors import RuntimeProblemError
from cellkeeper.runtime.session import Incoming
from cellkeeper.runtime.wishing import Reach

from bus_gateway.downlink.actions import ADDRESS_DEADLINE_S, LED_DEADLINE_S, SEARCH_DEADLINE_S
from bus_gateway.downlink.battery_state import StringFacts, on_battery
from bus_gateway.driver import StringReadings
from bus_gateway.drivers.c44 import C44Driver
from bus_gateway.errors import GatewayError

OPEN_DEADLINE_S: Final = 3.0  # a port that is there opens at once
SCAN_DEADLINE_S: Final = 15.0  # the next scan of a running gateway comes within 10 s of event time
SWEEP_DEADLINE_S: Final = 60.0
MODULES_WAIT_S: Final = 1.0  # retained topics of 4096 modules arrive within 0.1 s
_PREPARED: Final[Mapping[str, tuple[type[Command], float]]] = {
    "search_modules": (SearchModules, SEARCH_DEADLINE_S),
    "assign_address": (AssignAddress, ADDRESS_DEADLINE_S),
    "clear_address": (ClearAddress, ADDRESS_DEADLINE_S),
    "identify_address": (IdentifyAddress, LED_DEADLINE_S),
}


class NotPossibleError(RuntimeProblemError):
    """What was asked cannot be done like this; the text says what to do."""


async def next_scans(reach: Reach) -> list[ScanColumns] | None:
    """Return the next live scan of every string from the running gateways; None when none runs."""
    wanted = {string.id for string in reach.site.string}
    found: dict[str, ScanColumns] = {}
    complete = asyncio.Event()

    def on_scan(message: Incoming) -> None:
        try:
            scan = decode_scan(message.payload)
        except PayloadRefusedError:
            return
        found[scan.string] = scan
        if wanted <= found.keys():
            complete.set()

    watch = {SCAN.filter(site=reach.site.site.id): on_scan}
    try:
        async with asking(reach.broker, reach.site.site.id, reach.clock, watch) as asker:
            if not _running(reach.site, asker):
                return None
            try:
                async with asyncio.timeout(SCAN_DEADLINE_S):
                    await complete.wait()
            except TimeoutError:
                pass  # what came is shown; the caller sees which strings are missing
    except NobodyThereError:
        return None
    return list(found.values())


async def own_sweep(reach: Reach) -> list[StringReadings]:
    """Sweep every c44 bus once with the ports to oneself.

    Raises:
        NotPossibleError: a port is taken or not there.
    """
    found: list[StringReadings] = []
    for gateway in _gateways(reach.site):
        async with _driver(reach, gateway) as driver:
            found += await _sweep_once(driver)
    return found


async def ask_modules(reach: Reach, bus: str, name: str, *, vouched: bool, **fields: Any) -> Outcome:  # noqa: ANN401  # the command's
    """Do a commissioning command on one bus and return how it ended.

    Args:
        reach: site and broker.
        bus: its id.
        name: of the command.
        vouched: the person says that the strings on this bus are not on battery.
        **fields: the command's own.

    Raises:
        NotPossibleError: the bus is not described, or its port is taken or not there.
    """
    table = next((each for each in reach.site.bus if each.id == bus), None)
    if table is None:
        raise NotPossibleError(f"site.toml has no bus {bus!r}; there are {', '.join(b.id for b in reach.site.bus)}")
    model, wait_s = _PREPARED[name]
    try:
        async with asking(reach.broker, reach.site.site.id, reach.clock) as asker:
            if asker.state_of(table.gateway) in ("ready", "degraded", "starting"):
                return await asker.ask(table.gateway, name, model, wait_s + 5.0, bus=bus, **fields)
    except NobodyThereError:
        pass
    async with _driver(reach, table.gateway) as driver:
        return await _do_directly(reach, driver, bus, name, fields, vouched=vouched)


async def known_modules(reach: Reach) -> list[ModuleState]:
    """Return every module whose retained topic the broker has; raises NobodyThereError."""
    found: dict[str, ModuleState] = {}

    def on_module(message: Incoming) -> None:
        try:
            state = decode(ModuleState, message.payload)
        except PayloadRefusedError:
            return
        found[state.serial] = state

    watch = {MODULE.filter(site=reach.site.site.id): on_module}
    async with asking(reach.broker, reach.site.site.id, reach.clock, watch):
        await asyncio.sleep(MODULES_WAIT_S)
    return sorted(found.values(), key=lambda state: (state.bus, state.address))


async def _do_directly(
    reach: Reach, driver: C44Driver, bus: str, name: str, fields: Mapping[str, Any], *, vouched: bool
) -> Outcome:
    if name in ("assign_address", "clear_address"):
        refused = _interlock(reach, await _sweep_once(driver), vouched=vouched)
        if refused is not None:
            return refused
    match name:
        case "search_modules":
            found = await driver.search(bus)
            return Applied(found=found) if isinstance(found, list) else found
        case "assign_address":
            return await driver.assign(bus, fields["uid"], fields["address"])
        case "clear_address":
            return await driver.clear(bus, fields["address"])
        case _:
            return await driver.identify_address(bus, fields["address"], fields["on_s"])


def _interlock(reach: Reach, swept: list[StringReadings], *, vouched: bool) -> Refused | None:
    for readings in swept:
        string = next(table for table in reach.site.string if table.id == readings.string)
        float_v = string.profile.float_v * string.cells_per_unit
        state = on_battery(StringFacts(readings, 0.0, float_v, string.rated_ah))
        if state == "yes":
            return Refused(reason="on_battery", detail=f"string {string.id} is on battery; wait until it floats again")
        if state == "unknown" and not vouched:
            detail = (
                f"readings of string {string.id} do not show whether it is on battery; look, then say --not-on-battery"
            )
            return Refused(reason="state_unknown", detail=detail)
    return None


async def _sweep_once(driver: C44Driver) -> list[StringReadings]:
    found: list[StringReadings] = []
    try:
        async with asyncio.timeout(SWEEP_DEADLINE_S):
            await driver.sweep(found.append)
    except (GatewayError, TimeoutError) as exc:
        raise NotPossibleError(f"the sweep failed: {str(exc) or 'no end within its deadline'}") from exc
    return found


@asynccontextmanager
async def _driver(reach: Reach, gateway: str) -> AsyncIterator[C44Driver]:
    driver = C44Driver(reach.site, gateway, reach.clock, SystemRandom())
    holding = asyncio.create_task(driver.keep_open(), name="ports")
    try:
        async with asyncio.timeout(OPEN_DEADLINE_S):
            while not all(driver.open_buses.values()):  # noqa: ASYNC110  # the driver has no event for "all are open"
                await asyncio.sleep(0.02)
        yield driver
    except TimeoutError as exc:
        closed = [bus for bus, is_open in driver.open_buses.items() if not is_open]
        told = "; ".join(notice.text for notice in driver.take_notices())
        raise NotPossibleError(f"bus {', '.join(closed)} cannot be opened. {told}".strip()) from exc
    finally:
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)


def _gateways(site: Site) -> list[str]:
    return sorted({bus.gateway for bus in site.bus if bus.driver == "c44"})


def _running(site: Site, asker: Asker) -> bool:
    return any(asker.state_of(table.service) != "gone" for table in site.gateway)
