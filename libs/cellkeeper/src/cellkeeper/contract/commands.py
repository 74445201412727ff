"""What may be asked of a service. A command is never retained, has an id and an end, and is done at most once."""

from typing import Annotated, Final, Literal, Self
from uuid import UUID

from pydantic import Field, field_validator, model_validator

from cellkeeper.contract.identity import MAX_CELLS_PER_STRING, Cell, Id
from cellkeeper.contract.moment import Instant
from cellkeeper.contract.payload import Request
from cellkeeper.contract.physical import Frac

MAX_HOLD_S: Final = 60.0  # a module ends its bleed by itself after this without renewal
MAX_IDENTIFY_S: Final = 600.0  # a module's LED ends by itself after this
MAX_TEST_S: Final = 7 * 86_400.0  # of an announced discharge test: a capacity test at the 100 h rate and some
MAX_FORCE_S: Final = 4 * 3600.0  # contract: a forced bleed ends after 4 h at most

Cells = Annotated[list[Cell], Field(min_length=1, max_length=MAX_CELLS_PER_STRING)]
Address = Annotated[int, Field(ge=1, le=0xFFEF)]
Uid = Annotated[str, Field(pattern=r"^[0-9a-f]{8,16}$")]


class Command(Request):
    """What every request carries."""

    id: UUID
    expires_at: Instant


class BleedCells(Command):
    """Set the bleed duty of some units of one string, for at most `hold_s` without renewal."""

    string: Id
    cells: Cells
    bleed_frac: Annotated[list[Frac], Field(min_length=1, max_length=MAX_CELLS_PER_STRING)]
    hold_s: Annotated[float, Field(gt=0.0, le=MAX_HOLD_S)]

    @model_validator(mode="after")
    def _one_duty_per_cell(self) -> Self:
        if len(self.cells) != len(self.bleed_frac) or len(set(self.cells)) != len(self.cells):
            raise ValueError("cells and bleed_frac need one entry per cell, each cell once")
        return self


class StopBleed(Command):
    """Set every bleed of this gateway to zero at once; passes every interlock."""


class IdentifyCells(Command):
    """Let the LEDs of some units blink so that a person finds them; `on_s` 0 ends it."""

    string: Id
    cells: Cells
    on_s: Annotated[float, Field(ge=0.0, le=MAX_IDENTIFY_S)]


class MeasureImpedance(Command):
    """Measure the impedance of some units; forbidden while on battery."""

    string: Id
    cells: Cells
    method: Literal["dc_pulse", "ac"] = "dc_pulse"
    frequency_hz: Annotated[float, Field(gt=0.0, le=6553.5)] | None = None
    pulse_s: Annotated[float, Field(gt=0.0, le=10.0)] | None = None
    test_a: Annotated[float, Field(gt=0.0, le=60.0)] = 1.0


class SearchModules(Command):
    """Find modules without an address, and addresses that answer twice, on one bus."""

    bus: Id


class AssignAddress(Command):
    """Give the module with this unique id an address on its bus."""

    bus: Id
    uid: Uid
    address: Address


class ClearAddress(Command):
    """Return one module to the unaddressed state."""

    bus: Id
    address: Address


class IdentifyAddress(Command):
    """Let the module at a bus address blink, whether or not `site.toml` knows it."""

    bus: Id
    address: Address
    on_s: Annotated[float, Field(ge=0.0, le=MAX_IDENTIFY_S)]


class PauseBalance(Command):
    """Balance nothing of one string until a moment; what bleeds ends at once."""

    string: Id
    reason: Annotated[str, Field(min_length=3, max_length=200)]
    until: Instant


class ResumeBalance(Command):
    """End a pause of one string, and every forced bleed of it."""

    string: Id


class ForceBleed(Command):
    """Bleed some units within every limit and interlock, whatever the strategy wants, for 4 h at most."""

    string: Id
    cells: Cells
    bleed_frac: Frac
    for_s: Annotated[float, Field(ge=0.0, le=MAX_FORCE_S)]


class SpareNewBattery(Command):
    """Leave units alone until a moment: new ones are not formed yet. All of the string without `cells`."""

    string: Id
    cells: Cells | None = None
    until: Instant


class AnnounceTest(Command):
    """Say that a discharge test of one string begins now. Nothing is switched: a person or the BMS brings the load.

    It ends with the discharge, at `end_test`, or when `planned_s` are over, whichever comes first.
    """

    string: Id
    method: Annotated[str, Field(min_length=3, max_length=120)]
    planned_s: Annotated[float, Field(ge=60.0, le=MAX_TEST_S)]

    @field_validator("method")
    @classmethod
    def _is_one_line(cls, method: str) -> str:
        if not method.isprintable():
            raise ValueError("method is one line of text")
        return method


class EndTest(Command):
    """Say that the announced test of one string is over."""

    string: Id


class ExchangeCells(Command):
    """Say that the cells of two positions changed places, by hand or by their modules' addresses; now or before."""

    string: Id
    cell: Cell
    other_string: Id | None = None
    other_cell: Cell
    happened_at: Instant | None = None


GATEWAY_COMMANDS: Final[dict[str, type[Command]]] = {
    "bleed": BleedCells,
    "stop_bleed": StopBleed,
    "identify": IdentifyCells,
    "measure_impedance": MeasureImpedance,
    "search_modules": SearchModules,
    "assign_address": AssignAddress,
    "clear_address": ClearAddress,
    "identify_address": IdentifyAddress,
}
"""By the `{name}` of the topic `command/{service}/{name}/{issuer}`."""

BALANCER_COMMANDS: Final[dict[str, type[Command]]] = {
    "pause": PauseBalance,
    "resume": ResumeBalance,
    "force": ForceBleed,
    "new_battery": SpareNewBattery,
}

ANALYTICS_COMMANDS: Final[dict[str, type[Command]]] = {
    "announce_test": AnnounceTest,
    "end_test": EndTest,
    "exchange_cells": ExchangeCells,
}

COMMANDS: Final = {
    "bus-gateway": GATEWAY_COMMANDS,
    "balancer": BALANCER_COMMANDS,
    "analytics": ANALYTICS_COMMANDS,
}
"""By the kind of service that is asked; no name means two things."""
