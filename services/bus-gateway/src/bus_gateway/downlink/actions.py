"""Does what an admitted command asks: its interlock first, then the driver, under a deadline; returns the outcome."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from cellkeeper.contract.commands import (
    AssignAddress,
    BleedCells,
    ClearAddress,
    Command,
    IdentifyAddress,
    IdentifyCells,
    MeasureImpedance,
    SearchModules,
    StopBleed,
)
from cellkeeper.contract.outcomes import Applied, NoReply, Outcome, Refused
from cellkeeper.runtime.clock import Clock

from bus_gateway.downlink.bleed_hold import BleedHolds
from bus_gateway.downlink.interlock import may_bleed, may_disturb, may_use
from bus_gateway.downlink.situation import Watchtower
from bus_gateway.driver import Driver, ImpedanceReadings
from bus_gateway.errors import GatewayError, ModuleSilentError

BLEED_DEADLINE_S: Final = 20.0  # set-points and two confirming sweeps of 512 modules at 9600 Bd
LED_DEADLINE_S: Final = 10.0
ADDRESS_DEADLINE_S: Final = 15.0
SEARCH_DEADLINE_S: Final = 240.0  # binary search of 240 modules on a slow bus, sweeps in between
IMPEDANCE_DEADLINE_S: Final = 1800.0  # 240 units one after the other, with pauses for recovery


@dataclass(kw_only=True)
class Actions:
    """Everything this gateway can be asked to do.

    Attributes:
        drivers: by bus.
        tower: what is known of the strings.
        holds: how long bleeds may go on.
        clock: event time.
        on_impedance: takes measured impedances.
    """

    drivers: Mapping[str, Driver]
    tower: Watchtower
    holds: BleedHolds
    clock: Clock
    on_impedance: Callable[[ImpedanceReadings], None]
    _bled: dict[str, set[int]] = field(default_factory=dict)
    _stops: int = 0

    async def act(self, command: Command) -> Outcome:
        """Do one admitted command and return how it ended."""
        match command:
            case StopBleed():
                return await self.stop_bleed()
            case BleedCells():
                return await self._bleed(command)
            case IdentifyCells():
                return await self._identify(command)
            case MeasureImpedance():
                return await self._measure(command)
            case SearchModules() | AssignAddress() | ClearAddress() | IdentifyAddress():
                return await self._on_bus(command)
            case _:
                return Refused(reason="unknown_command")

    async def stop_bleed(self) -> Outcome:
        """Set every bleed to zero at once; no interlock."""
        self._stops += 1
        for string in (*self.holds.held, *self._bled):
            self.holds.end(string)
        worst: Outcome = Applied()
        for driver in self._each_driver():
            outcome = await _within(BLEED_DEADLINE_S, driver.stop_bleed())
            if not isinstance(outcome, Applied):
                worst = outcome
        if isinstance(worst, Applied):
            for string in list(self._bled):
                self.holds.ended(string)
                del self._bled[string]
        return worst

    async def tend_holds(self) -> None:
        """Renew valid holds and end the others; call it about once a second of event time."""
        due = self.holds.due(self.clock.monotonic_s(), self._may_go_on)
        for string in due.zero:
            await self._zero(string)
        by_driver: dict[int, tuple[Driver, list[str]]] = {}
        for string in due.renew:
            driver = self._driver_of(string)
            if driver is not None:
                by_driver.setdefault(id(driver), (driver, []))[1].append(string)
        for driver, strings in by_driver.values():
            await _within(BLEED_DEADLINE_S, _as_outcome(driver.renew_hold(strings)))

    def _may_go_on(self, string: str) -> bool:
        return may_disturb([string], self.tower.around([string])) is None

    async def _zero(self, string: str) -> None:
        driver, cells = self._driver_of(string), sorted(self._bled.get(string, ()))
        if driver is None or not cells:
            self.holds.ended(string)
            return
        outcome = await _within(BLEED_DEADLINE_S, driver.set_bleed(string, cells, [0.0] * len(cells)))
        if isinstance(outcome, Applied):
            self.holds.ended(string)
            self._bled.pop(string, None)

    async def _bleed(self, wanted: BleedCells) -> Outcome:
        driver, refused = self._target(wanted.string, wanted.cells)
        refused = refused or may_bleed(
            wanted.string, wanted.cells, wanted.bleed_frac, self.tower.around([wanted.string])
        )
        if driver is None or refused is not None:
            return refused or Refused(reason="unknown_target")
        duties = dict(zip(wanted.cells, wanted.bleed_frac, strict=True))
        self._bled.setdefault(wanted.string, set()).update(cell for cell, duty in duties.items() if duty > 0.0)
        stops = self._stops
        outcome = await _within(BLEED_DEADLINE_S, driver.set_bleed(wanted.string, wanted.cells, wanted.bleed_frac))
        if stops != self._stops and any(wanted.bleed_frac):
            outcome = Refused(reason="busy", detail="a stop came while it was being set")
        if not isinstance(outcome, Applied):
            if any(wanted.bleed_frac):
                self._bled.setdefault(wanted.string, set()).update(wanted.cells)
                self.holds.end(wanted.string)  # some module may have taken it
            return outcome
        self._bled[wanted.string] -= {cell for cell, duty in duties.items() if duty == 0.0}
        if self._bled[wanted.string]:
            self.holds.grant(wanted.string, wanted.hold_s, self.clock.monotonic_s())
        else:
            self.holds.ended(wanted.string)
        return outcome

    async def _identify(self, wanted: IdentifyCells) -> Outcome:
        driver, refused = self._target(wanted.string, wanted.cells)
        if driver is None or refused is not None:
            return refused or Refused(reason="unknown_target")
        return await _within(LED_DEADLINE_S, driver.identify(wanted.string, wanted.cells, wanted.on_s))

    async def _measure(self, wanted: MeasureImpedance) -> Outcome:
        driver, refused = self._target(wanted.string, wanted.cells)
        if driver is None or refused is not None:
            return refused or Refused(reason="unknown_target")
        situation = self.tower.around([wanted.string])

        def forbidden() -> Refused | None:
            return may_disturb([wanted.string], self.tower.around([wanted.string]))

        refused = forbidden() or may_use(wanted.cells, situation.facts[wanted.string])
        if refused is not None:
            return refused
        found = await _within(IMPEDANCE_DEADLINE_S, driver.measure_impedance(wanted, forbidden))
        if not isinstance(found, ImpedanceReadings):
            return found
        self.on_impedance(found)
        return Applied(impedance_ohm=[None if ohm != ohm else round(ohm, 8) for ohm in found.r_ohm.tolist()])  # noqa: PLR0124  # NaN

    async def _on_bus(self, wanted: SearchModules | AssignAddress | ClearAddress | IdentifyAddress) -> Outcome:
        driver = self.drivers.get(wanted.bus)
        if driver is None:
            return Refused(reason="unknown_target", detail=f"this gateway has no bus {wanted.bus}")
        if isinstance(wanted, IdentifyAddress):
            return await _within(LED_DEADLINE_S, driver.identify_address(wanted.bus, wanted.address, wanted.on_s))
        if isinstance(wanted, SearchModules):
            found = await _within(SEARCH_DEADLINE_S, driver.search(wanted.bus))
            return Applied(found=found) if isinstance(found, list) else found
        strings = self.tower.strings_on(wanted.bus)
        if refused := may_disturb(strings, self.tower.around(strings)):
            return refused
        if isinstance(wanted, AssignAddress):
            return await _within(ADDRESS_DEADLINE_S, driver.assign(wanted.bus, wanted.uid, wanted.address))
        return await _within(ADDRESS_DEADLINE_S, driver.clear(wanted.bus, wanted.address))

    def _target(self, string: str, cells: list[int]) -> tuple[Driver | None, Refused | None]:
        table = self.tower.table(string)
        if table is None:
            return None, Refused(reason="unknown_target", detail=f"this gateway has no string {string}")
        if max(cells) > table.cells:
            return None, Refused(reason="unknown_target", detail=f"string {string} has {table.cells} cells")
        return self._driver_of(string), None

    def _driver_of(self, string: str) -> Driver | None:
        table = self.tower.table(string)
        return None if table is None else self.drivers.get(table.modules[0].bus)

    def _each_driver(self) -> list[Driver]:
        return list({id(driver): driver for driver in self.drivers.values()}.values())


async def _within[T](deadline_s: float, work: Awaitable[T]) -> T | Refused | NoReply:
    """Await `work`; the deadline and the driver's own errors become outcomes."""
    try:
        async with asyncio.timeout(deadline_s):
            return await work
    except TimeoutError:
        return NoReply(waited_s=deadline_s)
    except ModuleSilentError:
        return NoReply(waited_s=deadline_s)
    except GatewayError as exc:
        return Refused(reason="port_lost", detail=str(exc)[:200])


async def _as_outcome(work: Awaitable[None]) -> Outcome:
    await work
    return Applied()
