"""A driver that implements the Protocol without a bus: the values of a string are what a test sets."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from bus_gateway.driver import DriverNotice, ImpedanceReadings, ModuleRecord, StringReadings
from bus_gateway.drivers.read_only import ReadOnlyDriver
from bus_gateway.errors import PortLostError
from cellkeeper.contract.commands import MeasureImpedance
from cellkeeper.contract.outcomes import Applied, NoReply, Outcome, Refused
from cellkeeper.runtime.clock import Clock


def readings_of(string: str = "s1", cells: int = 8, measured_ms: int = 1_795_237_200_000, **changes) -> StringReadings:
    """Return good readings of a floating lead-acid string."""
    number = np.arange(cells)
    values = {
        "cell_v": 2.25 + 0.0001 * (number % 7),
        "cell_degc": 22.0 + 0.01 * (number % 5),
        "bleed_frac": np.zeros(cells),
        "quality": np.zeros(cells, dtype=np.uint8),
        "degc_quality": np.zeros(cells, dtype=np.uint8),
        "status": np.full(cells, 2, dtype=np.uint8),
        "scalars": {"current_a": 0.1, "string_v": round(2.25 * cells, 2)},
        "scalar_quality": {"current_a": 0, "string_v": 0},
    }
    return StringReadings(string=string, measured_ms=measured_ms, **(values | changes))


@dataclass
class FakeDriver(ReadOnlyDriver):
    clock: Clock
    cells: dict[str, int]
    bleed: dict[str, dict[int, float]] = field(default_factory=dict)
    changes: dict[str, dict] = field(default_factory=dict)
    dead: bool = False
    hung: bool = False
    sweeps: int = 0
    stops: int = 0
    renewals: list[tuple[str, ...]] = field(default_factory=list)
    asked: list[tuple] = field(default_factory=list)
    known: list[ModuleRecord] = field(default_factory=list)

    async def keep_open(self) -> None:
        await asyncio.Event().wait()

    async def sweep(self, take: Callable[[StringReadings], None]) -> None:
        if self.dead:
            raise PortLostError("the port is gone")
        if self.hung:
            await asyncio.Event().wait()
        self.sweeps += 1
        for string, cells in self.cells.items():
            readings = readings_of(string, cells, self.clock.now_ms(), **self.changes.get(string, {}))
            frac = np.array([self.bleed.get(string, {}).get(cell, 0.0) for cell in range(1, cells + 1)])
            take(replace(readings, bleed_frac=frac))
        await asyncio.sleep(0)

    def modules(self) -> Sequence[ModuleRecord]:
        return self.known

    def line_figures(self) -> Mapping[str, Mapping[str, float]]:
        return {}

    def take_notices(self) -> Sequence[DriverNotice]:
        return ()

    async def set_bleed(self, string: str, cells: Sequence[int], bleed_frac: Sequence[float]) -> Outcome:
        self.asked.append(("set_bleed", string, tuple(cells), tuple(bleed_frac)))
        self.bleed.setdefault(string, {}).update(zip(cells, bleed_frac, strict=True))
        return Applied()

    async def stop_bleed(self) -> Outcome:
        self.stops += 1
        self.bleed.clear()
        return Applied()

    async def renew_hold(self, strings: Sequence[str]) -> None:
        self.renewals.append(tuple(strings))

    async def identify(self, string: str, cells: Sequence[int], on_s: float) -> Outcome:
        self.asked.append(("identify", string, tuple(cells), on_s))
        return Applied()

    async def measure_impedance(
        self, wanted: MeasureImpedance, forbidden: Callable[[], Refused | None]
    ) -> ImpedanceReadings | Refused | NoReply:
        if reason := forbidden():
            return reason
        count = len(wanted.cells)
        return ImpedanceReadings(
            string=wanted.string,
            cells=wanted.cells,
            method=wanted.method,
            frequency_hz=None,
            pulse_s=0.1,
            test_a=wanted.test_a,
            r_ohm=np.full(count, 0.0005),
            measured_ms=[self.clock.now_ms()] * count,
            cell_degc=np.full(count, 22.0),
            cell_v=np.full(count, 2.25),
            quality=np.zeros(count, dtype=np.uint8),
        )

    async def assign(self, bus: str, uid: str, address: int) -> Outcome:
        self.asked.append(("assign", bus, uid, address))
        return Applied()
