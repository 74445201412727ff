"""Scripted UPS and charger of each dc bus: what phase it is in, and the current that every string then carries.

Strings on one bus share its voltage. Each string is a straight line v = e + r i around its last current, bent again by
`UnitBank.respond` in the next round, so the bus voltage has a closed form in every phase:

    charger  v = set point, unless current limit or diode (never below zero) decide: v = (sum(e/r) + I) / sum(1/r)
    load     v (sum(e/r) - v sum(1/r)) = P, or the same with a constant current
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from twin.errors import TwinUseError
from twin.physics.cell_step import REF_DEGC, Coefficients
from twin.physics.cells import UnitBank
from twin.physics.tables import Floats

NEWTON_ROUNDS: Final = 6
CURRENT_TOLERANCE: Final = 1e-4  # relative; with `CURRENT_FLOOR_A` far below what any sensor shows
CURRENT_FLOOR_A: Final = 1e-4
COMPENSATED_DEGC: Final = (0.0, 45.0)  # chargers clamp their temperature compensation
TAIL_HOLD_S: Final = 900.0
WIRING_OHM_AH: Final = 0.3  # cables and breaker of a string: 3 mΩ at 100 Ah
NEVER: Final = 1e-12


class Phase(IntEnum):
    """What a dc bus does. `REST`: neither charger nor load, also after the UPS cut off."""

    FLOAT = 0
    BOOST = 1
    RECHARGE = 2
    OUTAGE = 3
    TEST = 4
    REST = 5


@dataclass(frozen=True, slots=True)
class DcBusSpec:
    """A dc bus; volts per cell and amperes default to the chemistry of its first string."""

    id: str
    load_w: float = 0.0
    float_v: float | None = None
    boost_v: float | None = None
    cutoff_v: float | None = None
    v_per_k: float | None = None
    limit_a: float | None = None
    recharge: Literal["float", "boost"] = "float"


@dataclass(frozen=True, slots=True)
class UpsEvent:
    """One line of a UPS script: at `at_s` the named bus (all without a name) does `act`.

    `outage` and `test` load with `power_w` or `current_a` (else with the bus's own load),
    `mains` recharges and goes to float by itself, `open` and `close` move the breaker of `string`.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    at_s: Annotated[float, Field(ge=0.0)]
    act: Literal["outage", "mains", "boost", "float", "test", "rest", "open", "close"]
    dcbus: str | None = None
    string: str | None = None
    power_w: Annotated[float, Field(gt=0.0)] | None = None
    current_a: Annotated[float, Field(gt=0.0)] | None = None
    float_v: Annotated[float, Field(gt=0.0)] | None = None


@dataclass(frozen=True, slots=True)
class DcBusState:
    """What a dc bus shows: volts, current of all its strings, phase, set point now, breakers by string."""

    id: str
    v: float
    a: float
    phase: Phase
    set_v: float
    on_battery: bool
    breaker_closed: dict[str, bool]


PHASE_OF: Final = {
    "outage": Phase.OUTAGE,
    "mains": Phase.RECHARGE,
    "boost": Phase.BOOST,
    "float": Phase.FLOAT,
    "test": Phase.TEST,
    "rest": Phase.REST,
}


class UpsBank:
    """All dc buses of a room. Arrays over buses (B,) and strings (S,)."""

    def __init__(self, buses: Sequence[DcBusSpec], bus_of_string: Sequence[int], bank: UnitBank) -> None:
        self.buses: Final = tuple(buses)
        self.bus_of_string: Final = np.array(bus_of_string)
        self._bank: Final = bank
        first = [bank.strings[list(bus_of_string).index(b)] for b in range(len(buses))]
        rated_ah = np.bincount(bus_of_string, [string.rated_ah for string in bank.strings], len(buses))
        cells = np.array([string.units * string.cells_per_unit for string in first], dtype=np.float64)
        own = [string.parameters.charger for string in first]

        def chosen(name: str) -> Floats:
            given = [getattr(bus, name) for bus in buses]
            return np.array([getattr(c, name) if g is None else g for g, c in zip(given, own, strict=True)], np.float64)

        self.cells: Final = cells
        self.float_v = chosen("float_v")
        self.boost_v = chosen("boost_v")
        self._cutoff_v: Final = chosen("cutoff_v") * cells
        self._v_per_k: Final = chosen("v_per_k")
        given_a = [np.nan if bus.limit_a is None else bus.limit_a for bus in buses]
        own_a = np.array([c.limit_a_per_ah for c in own]) * rated_ah
        self._limit_a: Final = np.where(np.isnan(given_a), own_a, given_a)
        self._tail_a: Final = np.array([c.tail_a_per_ah for c in own]) * rated_ah
        self._recharge_at_boost: Final = np.array([bus.recharge == "boost" for bus in buses])
        self._wiring_ohm: Final = WIRING_OHM_AH / np.array([string.rated_ah for string in bank.strings])
        self.phase = np.full(len(buses), Phase.FLOAT, dtype=np.int64)
        self.load_w = np.zeros(len(buses))
        self.load_a = np.zeros(len(buses))
        self.breaker_closed: NDArray[np.bool_] = np.ones(len(bank.strings), dtype=np.bool_)
        self.bus_v = self.float_v * cells
        self._tail_s = np.zeros(len(buses))

    def apply(self, event: UpsEvent) -> None:
        """Do what the script line says.

        Raises:
            TwinUseError: it names a bus or string that is not there, or loads with nothing.
        """
        if event.act in {"open", "close"}:
            self.breaker_closed[self._string(event.string)] = event.act == "close"
            return
        ids = [bus.id for bus in self.buses]
        if event.dcbus is not None and event.dcbus not in ids:
            raise TwinUseError(f"dc bus {event.dcbus!r} is not there; there are {', '.join(ids)}")
        for b, bus in enumerate(self.buses):
            if event.dcbus in {None, bus.id}:
                self._enter(b, event)

    def set_v(self) -> Floats:
        """Return the charger's set point per bus (B,) at the battery's temperature now."""
        boosted = (self.phase == Phase.BOOST) | ((self.phase == Phase.RECHARGE) & self._recharge_at_boost)
        degc = self._bus_sum(self._bank.string_mean(self._bank.degc)) / self._bus_sum(np.ones(len(self.bus_of_string)))
        warmth_k = np.clip(degc, *COMPENSATED_DEGC) - REF_DEGC
        return np.asarray((np.where(boosted, self.boost_v, self.float_v) + self._v_per_k * warmth_k) * self.cells)

    def share(self, c: Coefficients) -> Floats:
        """Return the current of every string (S,) for the step `c`; keeps the bus voltages in `bus_v`."""
        set_v = self.set_v()
        string_a = np.where(self.breaker_closed, self._bank.string_a, 0.0)
        for _ in range(NEWTON_ROUNDS):
            line = self._bank.respond(c, string_a)
            behind_v = line.v - line.ohm * string_a
            siemens = np.where(self.breaker_closed, 1.0 / (line.ohm + self._wiring_ohm), 0.0)
            total_s = np.maximum(self._bus_sum(siemens), NEVER)
            self.bus_v = self._bus_voltage(set_v, total_s, self._bus_sum(siemens * behind_v))
            before_a = string_a
            string_a = siemens * (self.bus_v[self.bus_of_string] - behind_v)
            if np.all(np.abs(string_a - before_a) <= CURRENT_TOLERANCE * np.abs(string_a) + CURRENT_FLOOR_A):
                break
        return string_a

    def follow(self, string_a: Floats, dt_s: float) -> bool:
        """Let phases change by themselves after a step: recharge ends in float, the UPS cuts off. True if one did."""
        bus_a = self._bus_sum(string_a)
        small = (self.phase == Phase.RECHARGE) & (bus_a < self._tail_a) & (bus_a >= 0.0)
        self._tail_s = np.where(small, self._tail_s + dt_s, 0.0)
        charged = self._tail_s >= TAIL_HOLD_S
        loaded = (self.phase == Phase.OUTAGE) | (self.phase == Phase.TEST)
        empty = loaded & (self.bus_v < self._cutoff_v)
        self.phase = np.where(charged, Phase.FLOAT, np.where(empty, Phase.REST, self.phase))
        return bool(np.any(charged | empty))

    def states(self, string_a: Floats) -> tuple[DcBusState, ...]:
        """Return what each dc bus shows now."""
        set_v, bus_a = self.set_v(), self._bus_sum(string_a)
        ids = [string.id for string in self._bank.strings]
        return tuple(
            DcBusState(
                id=bus.id,
                v=float(self.bus_v[b]),
                a=float(bus_a[b]),
                phase=Phase(int(self.phase[b])),
                set_v=float(set_v[b]),
                on_battery=self.phase[b] in {Phase.OUTAGE, Phase.TEST},
                breaker_closed={ids[s]: bool(self.breaker_closed[s]) for s in np.flatnonzero(self.bus_of_string == b)},
            )
            for b, bus in enumerate(self.buses)
        )

    def _enter(self, b: int, event: UpsEvent) -> None:
        self.phase[b] = PHASE_OF[event.act]
        self._tail_s[b] = 0.0
        if event.float_v is not None:
            self.float_v[b] = event.float_v
        if event.act not in {"outage", "test"}:
            return
        self.load_a[b] = event.current_a or 0.0
        self.load_w[b] = event.power_w or (0.0 if event.current_a else self.buses[b].load_w)
        if self.load_a[b] == 0.0 and self.load_w[b] == 0.0:
            raise TwinUseError(
                f"{event.act} of dc bus {self.buses[b].id!r}: no load; give power_w, current_a or load_w"
            )

    def _bus_voltage(self, set_v: Floats, total_s: Floats, source_a: Floats) -> Floats:
        rest_v = source_a / total_s
        charge_a = np.clip(total_s * set_v - source_a, 0.0, self._limit_a)
        charged_v = (source_a + charge_a) / total_s
        drawn_a = source_a - self.load_a
        # An overload has no solution: the bus then sags to the point of most power.
        root = np.sqrt(np.maximum(drawn_a * drawn_a - 4.0 * total_s * self.load_w, 0.0))
        loaded_v = (drawn_a + root) / (2.0 * total_s)
        loaded = (self.phase == Phase.OUTAGE) | (self.phase == Phase.TEST)
        return np.where(loaded, loaded_v, np.where(self.phase == Phase.REST, rest_v, charged_v))

    def _bus_sum(self, per_string: Floats) -> Floats:
        return np.asarray(np.bincount(self.bus_of_string, per_string, len(self.buses)), dtype=np.float64)

    def _string(self, name: str | None) -> int:
        ids = [string.id for string in self._bank.strings]
        if name not in ids:
            raise TwinUseError(f"breaker of string {name!r}: there is no such string; there are {', '.join(ids)}")
        return ids.index(name)
