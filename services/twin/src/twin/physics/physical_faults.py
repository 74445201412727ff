"""Faults of cells, links and sensors as operations on the bank: applied, grown, and taken back exactly.

A fault has a level from 0 (absent) to 1 (as given); with `over_s` it grows evenly, factors in their logarithm.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, Literal

import numpy as np
from pydantic import ConfigDict, Field

from twin.errors import TwinUseError
from twin.physics.cells import UnitBank
from twin.physics.sensors import StringSensors

type FaultKind = Literal[
    "dry_out",
    "soft_short",
    "dead_cell",
    "loose_connector",
    "sensor_offset",
    "temperature_offset",
    "open_temperature_sensor",
    "cell_reversal",
    "capacity_loss",
    "cooling_loss",
]

DEFAULT_VALUE: Final[Mapping[FaultKind, float]] = {
    "dry_out": 4.0,  # factor of the float current; resistance grows with its square root
    "soft_short": 0.02,  # A through one cell at nominal voltage
    "dead_cell": 1.0,
    "loose_connector": 0.5e-3,  # ohm in series
    "sensor_offset": 0.02,  # V
    "temperature_offset": 3.0,  # K
    "open_temperature_sensor": 1.0,
    "cell_reversal": 0.3,  # part of its capacity that the weak cell keeps
    "capacity_loss": 0.7,  # part of its capacity that the unit keeps
    "cooling_loss": 0.5,  # part of its cooling that the unit keeps
}


@dataclass(frozen=True, slots=True)
class FaultEvent:
    """One physical fault of a script: unit `cell` (1-based) of `string` (the first without a name) from `at_s` on.

    `value` is the fault's size (see `DEFAULT_VALUE`), `over_s` the time it takes to grow, `for_s` how long it stays.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    at_s: Annotated[float, Field(ge=0.0)]
    kind: FaultKind
    cell: Annotated[int, Field(ge=1)]
    string: str | None = None
    value: float | None = None
    over_s: Annotated[float, Field(ge=0.0)] = 0.0
    for_s: Annotated[float, Field(gt=0.0)] | None = None


@dataclass(slots=True)
class ActiveFault:
    """A fault in a room: where it acts, how large it is, and its present level."""

    kind: FaultKind
    unit: int
    sensors: StringSensors
    place: int
    value: float
    element: int
    level: float = 0.0


def begin_fault(bank: UnitBank, sensors: Mapping[str, StringSensors], event: FaultEvent) -> ActiveFault:
    """Return the fault of `event` at level 0.

    Raises:
        TwinUseError: no such string or unit, or a factor that is not above zero.
    """
    string = event.string if event.string is not None else bank.strings[0].id
    if string not in bank.span:
        raise TwinUseError(f"fault {event.kind}: no string {string!r}; there are {', '.join(bank.span)}")
    span = bank.span[string]
    if event.cell > span.stop - span.start:
        raise TwinUseError(
            f"fault {event.kind}: string {string!r} has {span.stop - span.start} units, not {event.cell}"
        )
    unit = span.start + event.cell - 1
    value = DEFAULT_VALUE[event.kind] if event.value is None else event.value
    if event.kind in {"dry_out", "cell_reversal", "capacity_loss", "cooling_loss"} and not value > 0.0:
        raise TwinUseError(f"fault {event.kind}: value {value} is a factor and has to be above zero")
    in_one_cell = event.kind in {"soft_short", "dead_cell", "cell_reversal"}
    element = bank.split_cell(unit) if in_one_cell else unit
    return ActiveFault(event.kind, unit, sensors[string], event.cell - 1, value, element)


def set_level(bank: UnitBank, fault: ActiveFault, level: float) -> None:
    """Bring a fault to `level`, 0 (as if it had never been; what it has done to charge and heat remains) to 1."""
    change, fault.level = level - fault.level, level
    if change != 0.0:
        _ACTS[fault.kind](bank, fault, change)


def _dry_out(bank: UnitBank, fault: ActiveFault, change: float) -> None:
    e = bank.elements
    mine = np.flatnonzero(e.unit == fault.unit)
    e.gas_a[mine] *= fault.value**change
    for ohm in (e.r0_ohm, e.r1_ohm, e.r2_ohm):
        ohm[mine] *= fault.value ** (0.5 * change)


def _soft_short(bank: UnitBank, fault: ActiveFault, change: float) -> None:
    nominal_v = bank.strings[int(bank.units.string[fault.unit])].parameters.nominal_v
    bank.elements.leak_s[fault.element] += change * fault.value / nominal_v


def _dead_cell(bank: UnitBank, fault: ActiveFault, _change: float) -> None:
    bank.elements.alive[fault.element] = 0.0 if fault.level >= 1.0 else 1.0


def _loose_connector(bank: UnitBank, fault: ActiveFault, change: float) -> None:
    bank.units.link_ohm[fault.unit] += change * fault.value


def _sensor_offset(_bank: UnitBank, fault: ActiveFault, change: float) -> None:
    fault.sensors.v_offset[fault.place] += change * fault.value


def _temperature_offset(_bank: UnitBank, fault: ActiveFault, change: float) -> None:
    fault.sensors.degc_offset[fault.place] += change * fault.value


def _open_temperature_sensor(_bank: UnitBank, fault: ActiveFault, _change: float) -> None:
    fault.sensors.degc_open[fault.place] = fault.level >= 1.0


def _weak_cell(bank: UnitBank, fault: ActiveFault, change: float) -> None:
    bank.elements.q_ah[fault.element] *= fault.value**change


def _capacity_loss(bank: UnitBank, fault: ActiveFault, change: float) -> None:
    bank.elements.q_ah[bank.elements.unit == fault.unit] *= fault.value**change


def _cooling_loss(bank: UnitBank, fault: ActiveFault, change: float) -> None:
    bank.units.ha_w_per_k[fault.unit] *= fault.value**change
    bank.forget_decays()


_ACTS: Final[Mapping[FaultKind, Callable[[UnitBank, ActiveFault, float], None]]] = {
    "dry_out": _dry_out,
    "soft_short": _soft_short,
    "dead_cell": _dead_cell,
    "loose_connector": _loose_connector,
    "sensor_offset": _sensor_offset,
    "temperature_offset": _temperature_offset,
    "open_temperature_sensor": _open_temperature_sensor,
    "cell_reversal": _weak_cell,
    "capacity_loss": _capacity_loss,
    "cooling_loss": _cooling_loss,
}
