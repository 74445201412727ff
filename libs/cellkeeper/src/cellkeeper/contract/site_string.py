"""The tables of `site.toml` that describe one string: its units, its modules, its sensors, its battery's own values."""

from datetime import date
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from cellkeeper.contract.balancing import BalanceTable, balance_problem
from cellkeeper.contract.chemistry import Chemistry, override_problem, profiles
from cellkeeper.contract.estimating import estimate_problem
from cellkeeper.contract.identity import MAX_CELLS_PER_STRING, Cell, Id
from cellkeeper.contract.site_battery import LifeOfCell, RestedTable, TerminalKind, commissioned_problem
from cellkeeper.contract.table import Table

MAX_ADDRESS: Final = 0xFFEF  # docs/bus-protocol.md, "addresses"
MODULE_TYPES: Final = {"c44": (0.7, 4.8, 0.0001), "c20": (7.0, 32.0, 0.0005), "c24": (3.5, 16.0, 0.0005)}
"""Rated range in volts and resolution of each module type: docs/bus-protocol.md, "types"."""

CellVolts = Annotated[float, Field(gt=0.0, le=5.0)]
Address = Annotated[int, Field(ge=1, le=MAX_ADDRESS)]


def _is_toml(name: str) -> str:
    if not name.endswith(".toml"):
        raise ValueError(f"battery {name!r} is no battery-type file; write the name of one, it ends in .toml")
    return name


BatteryFileName = Annotated[str, Field(max_length=255), AfterValidator(_is_toml)]
"""Relative to the folder of site.toml, or a shipped one: see `battery_type`."""


class ModulesTable(Table):
    """`[[string.modules]]`: a run of consecutive addresses that holds the next units of the string."""

    bus: Id
    first_address: Address
    count: Annotated[int, Field(ge=1, le=MAX_CELLS_PER_STRING)]

    @property
    def last_address(self) -> int:
        """The highest address of the run."""
        return self.first_address + self.count - 1


class SensorTable(Table):
    """`[[string.sensor]]`: a sensor that is fitted; several current sensors of one string are summed.

    Attributes:
        at_ups: a string_voltage sensor sits at the UPS, behind cables and breaker, not at the string's ends.
    """

    kind: Literal["current", "float_current", "string_voltage", "ripple", "ambient"]
    bus: Id
    address: Address
    range_a: Annotated[float, Field(gt=0.0, le=20_000.0)] | None = None
    range_v: Annotated[float, Field(gt=0.0, le=2000.0)] | None = None
    accuracy: Annotated[float, Field(gt=0.0)] | None = None
    reversed: bool = False
    at_ups: bool = False

    @model_validator(mode="after")
    def _only_volts_are_measured_behind_wiring(self) -> Self:
        if self.at_ups and self.kind != "string_voltage":
            raise ValueError(f"at_ups is for a string_voltage sensor; leave it out of the {self.kind} sensor")
        return self


class ChemistryOverride(Table):
    """`[string.chemistry_override]`: values of the battery's own data sheet, per electrochemical cell."""

    nominal_v: CellVolts | None = None
    float_v: CellVolts | None = None
    boost_v: CellVolts | None = None
    cutoff_v: CellVolts | None = None
    bleed_floor_v: CellVolts | None = None
    lowest_v: CellVolts | None = None
    highest_v: CellVolts | None = None
    step_v: Annotated[float, Field(gt=0.0, le=2.0)] | None = None
    float_v_per_k: Annotated[float, Field(ge=-0.02, le=0.0)] | None = None
    highest_degc: Annotated[float, Field(ge=20.0, le=90.0)] | None = None


class StringTable(Table):
    """`[[string]]`: units in series, each measured by one module.

    Attributes:
        wiring_ohm: cables, fuse and breaker between the string's ends and the UPS, there and back; None: nobody knows.
    """

    id: Id
    name: Annotated[str, Field(max_length=80)] = ""
    dcbus: Id | None = None
    cells: Annotated[int, Field(ge=1, le=MAX_CELLS_PER_STRING)]
    cells_per_unit: Annotated[int, Field(ge=1, le=24)] = 1
    chemistry: str
    chemistry_override: ChemistryOverride = ChemistryOverride()
    battery: BatteryFileName | None = None
    module_type: str = "c44"
    rated_ah: Annotated[float, Field(gt=0.0, le=20_000.0)]
    rate_h: Annotated[float, Field(gt=0.0, le=100.0)] = 10.0
    ref_degc: Annotated[float, Field(ge=0.0, le=40.0)] = 20.0
    end_v: Annotated[float, Field(gt=0.0, le=5.0)] | None = None
    bleed_max_a: Annotated[float, Field(ge=0.0, le=10.0)] = 0.1
    dead_band_v: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    dead_band_degc: Annotated[float, Field(gt=0.0, le=10.0)] = 0.2
    wiring_ohm: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    commissioned: date | None = None
    terminal: TerminalKind | None = None
    terminals: dict[Cell, TerminalKind] = Field(default_factory=dict)
    life: dict[Cell, LifeOfCell] = Field(default_factory=dict)
    rested: RestedTable | None = None
    balance: BalanceTable = BalanceTable()
    modules: Annotated[list[ModulesTable], Field(min_length=1)]
    sensor: list[SensorTable] = Field(default_factory=list)

    @property
    def profile(self) -> Chemistry:
        """The chemistry with this string's overrides and its own rested curve, per electrochemical cell."""
        typical = profiles()[self.chemistry]
        own = self.chemistry_override.model_dump(exclude_none=True)
        if self.rested is not None:
            own["estimate"] = self.rested.in_profile(typical.estimate)
        return typical.model_copy(update=own)

    @property
    def lives(self) -> dict[int, int]:
        """Life by position, of those that `site.toml` names."""
        return {cell: said.life for cell, said in self.life.items()}

    def terminal_of(self, cell: int) -> str:
        """Return through which kind of cable and terminal a unit is measured; empty where nobody says."""
        return self.terminals.get(cell, self.terminal or "")

    @property
    def is_measured_at_ups(self) -> bool:
        """Whether the string's volts are those at the UPS: of several sensors the first counts."""
        return next((each.at_ups for each in self.sensor if each.kind == "string_voltage"), False)

    @property
    def resolution_v(self) -> float:
        """Volts per count of this string's modules."""
        return MODULE_TYPES[self.module_type][2]

    @property
    def cell_dead_band_v(self) -> float:
        """Change of a unit's voltage that is worth a message of its own."""
        return self.dead_band_v if self.dead_band_v is not None else 0.002 * self.cells_per_unit

    @model_validator(mode="after")
    def _known_and_complete(self) -> Self:
        if self.chemistry not in profiles():
            raise ValueError(f"chemistry {self.chemistry!r} is unknown; take one of {', '.join(profiles())}")
        if self.module_type not in MODULE_TYPES:
            raise ValueError(f"module_type {self.module_type!r} is unknown; take one of {', '.join(MODULE_TYPES)}")
        described = sum(run.count for run in self.modules)
        if described != self.cells:
            raise ValueError(
                f"cells is {self.cells}, but [[string.modules]] describe {described}; correct cells or a count"
            )
        highest_v = self.profile.highest_v * self.cells_per_unit
        if highest_v > MODULE_TYPES[self.module_type][1]:
            raise ValueError(
                f"a unit of {self.cells_per_unit} {self.chemistry} cells reaches {highest_v:g} V, more than "
                f"module_type {self.module_type!r} measures; check cells_per_unit or take another module_type"
            )
        for table, cells in (("life", self.life), ("terminals", self.terminals)):
            if any(cell > self.cells for cell in cells):
                raise ValueError(f"{table} names a cell above {self.cells}; number the cells from 1 to cells")
        return self

    @model_validator(mode="after")
    def _own_battery_is_possible(self) -> Self:
        if self.commissioned is not None and (problem := commissioned_problem(self.commissioned)) is not None:
            raise ValueError(problem)
        if self.rested is None:
            return self
        typical = profiles()[self.chemistry].estimate
        if typical.rest_s is None and self.rested.rest_s is None:
            raise ValueError(
                f"rested: resting {self.chemistry} usually tells nothing by its voltage; write rest_s, or no table"
            )
        own = self.profile
        problem = estimate_problem(own.estimate, cutoff_v=own.cutoff_v, highest_v=own.highest_v)
        if problem is not None:
            raise ValueError(f"rested: {problem}")
        return self

    @model_validator(mode="after")
    def _data_sheet_is_plausible(self) -> Self:
        overrides = self.chemistry_override.model_dump(exclude_none=True)
        if (problem := override_problem(profiles()[self.chemistry], overrides)) is not None:
            raise ValueError(f"chemistry_override: {problem}")
        if self.end_v is not None and not self.profile.lowest_v <= self.end_v < self.profile.nominal_v:
            raise ValueError(
                f"end_v {self.end_v:g} must lie from lowest_v {self.profile.lowest_v:g} to below nominal_v "
                f"{self.profile.nominal_v:g}; write volts of one electrochemical cell at the end of a discharge"
            )
        return self

    @model_validator(mode="after")
    def _balancing_is_possible(self) -> Self:
        problem = balance_problem(self.balance, self.profile.balance, self.cells)
        if problem is not None:
            raise ValueError(f"balance: {problem}")
        return self
