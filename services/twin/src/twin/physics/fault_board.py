"""The physical faults that act in a room: begun, growing with time, ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from twin.physics.cells import UnitBank
from twin.physics.physical_faults import ActiveFault, FaultEvent, begin_fault, set_level
from twin.physics.sensors import StringSensors


@dataclass(frozen=True, slots=True)
class _Acting:
    fault: ActiveFault
    begun_s: float
    over_s: float
    end_s: float


class FaultBoard:
    """Faults by number; every number is given once."""

    def __init__(self, bank: UnitBank, sensors: Mapping[str, StringSensors]) -> None:
        self._bank: Final = bank
        self._sensors: Final = sensors
        self._acting: dict[int, _Acting] = {}
        self._given = 0

    def begin(self, event: FaultEvent, now_s: float) -> int:
        """Begin the fault of `event` now; return its number.

        Raises:
            TwinUseError: it names what is not there, or its value is impossible.
        """
        fault = begin_fault(self._bank, self._sensors, event)
        self._given += 1
        end_s = float("inf") if event.for_s is None else now_s + event.for_s
        self._acting[self._given] = _Acting(fault, now_s, event.over_s, end_s)
        return self._given

    def clear(self, number: int) -> None:
        """End a fault; one that has ended already changes nothing."""
        acting = self._acting.pop(number, None)
        if acting is not None:
            set_level(self._bank, acting.fault, 0.0)

    def next_end_s(self) -> float:
        """Return when the next fault ends by itself; infinity when none does."""
        return min((acting.end_s for acting in self._acting.values()), default=float("inf"))

    def grow(self, now_s: float) -> bool:
        """Bring all faults to their level at `now_s` and end those whose time is over; True if one ended."""
        ended = [number for number, acting in self._acting.items() if acting.end_s <= now_s]
        for number in ended:
            self.clear(number)
        for acting in self._acting.values():
            if acting.fault.level < 1.0:
                grown = 1.0 if acting.over_s == 0.0 else min((now_s - acting.begun_s) / acting.over_s, 1.0)
                set_level(self._bank, acting.fault, grown)
        return bool(ended)
