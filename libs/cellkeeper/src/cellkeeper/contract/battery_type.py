"""Battery-type files: what a maker's sheet says of one product, as a TOML file that people copy and fill in.

A string names its file in site.toml, `battery = "file.toml"`. It is looked for beside site.toml first, then among the
shipped types in `batteries/`. Those are generic: typical for their kind, no maker's sheet, good enough for a first
estimate with wide error bars.
"""

from collections.abc import Mapping
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from cellkeeper.contract.chemistry import profiles
from cellkeeper.contract.site import Site
from cellkeeper.contract.site_string import StringTable
from cellkeeper.contract.table import Table
from cellkeeper.contract.table_file import Problem, TableFileError, parse_table, read_bounded

CellVolts = Annotated[float, Field(gt=0.0, le=5.0)]
Watts = Annotated[float, Field(gt=0.0, le=1e6)]
Minutes = Annotated[float, Field(gt=0.0, le=100 * 60.0)]

LEAST_WH_FRAC: Final = 0.45  # of rated Ah times nominal volts; what a quarter of an hour still takes out of lead
MOST_WH_FRAC: Final = 1.6
SHORT_EXPONENT: Final = 0.25  # of the energy against time: lead gives 40 % of it in 15 min, and less than that below
LEVEL_FRAC: Final = 0.01  # makers round their tables
WARMED_FRAC: Final = 0.03  # a cell that warms itself may give a little more in a short discharge than in a long one


class FloatLimits(Table):
    """`[float_limits]`: between which volts of one electrochemical cell the maker wants it floated, at `ref_degc`."""

    lowest_v: CellVolts
    highest_v: CellVolts
    v_per_k: Annotated[float, Field(ge=-0.02, le=0.0)] = 0.0

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.lowest_v >= self.highest_v:
            raise ValueError(f"lowest_v {self.lowest_v:g} must be below highest_v {self.highest_v:g}; correct one")
        return self


class WarmthTable(Table):
    """`[temperature]`: by how much runtime grows per kelvin above `ref_degc`, in discharges to one hour and from three.

    Usual for lead are 0.01 and 0.006; the maker's sheet wins. Capacity tests correct with both; a runtime takes the
    second for the charge, and what short discharges gain beyond it from the smaller losses of warm cells.
    """

    frac_per_k_1h: Annotated[float, Field(ge=0.0, le=0.03)]
    frac_per_k_3h: Annotated[float, Field(ge=0.0, le=0.03)]


class PowerRow(Table):
    """`[[power.row]]`: watts that can be drawn for each of the table's minutes, down to one end voltage.

    Attributes:
        end_v: of one electrochemical cell.
        w: one value per entry of `minutes`.
    """

    end_v: CellVolts
    w: Annotated[tuple[Watts, ...], Field(min_length=3, max_length=60)]


class PowerTable(Table):
    """`[power]`: the maker's constant-power table.

    Attributes:
        per: whether the watts are of one electrochemical `cell` or of a whole `unit` (block).
        minutes: rising.
        row: one for each end voltage.
    """

    per: Literal["cell", "unit"]
    minutes: Annotated[tuple[Minutes, ...], Field(min_length=3, max_length=60)]
    row: Annotated[list[PowerRow], Field(min_length=1, max_length=20)]

    @model_validator(mode="after")
    def _monotone(self) -> Self:
        if any(later <= earlier for earlier, later in pairwise(self.minutes)):
            raise ValueError("minutes have to rise from entry to entry; order them and their watts")
        ordered = sorted(self.row, key=lambda row: row.end_v)
        for row in ordered:
            self._check_row(row)
        for low, high in pairwise(ordered):
            if low.end_v == high.end_v:
                raise ValueError(f"row: end_v {low.end_v:g} is there twice; remove one")
            if any(more > less * (1.0 + LEVEL_FRAC) for less, more in zip(low.w, high.w, strict=True)):
                raise ValueError(
                    f"row: down to {high.end_v:g} V there is more power than down to {low.end_v:g} V; check both rows"
                )
        return self

    def _check_row(self, row: PowerRow) -> None:
        named = f"row of end_v {row.end_v:g}"
        if len(row.w) != len(self.minutes):
            raise ValueError(f"{named}: {len(row.w)} watts for {len(self.minutes)} minutes; write one for each")
        points = list(zip(self.minutes, row.w, strict=True))
        for (earlier, more), (later, less) in pairwise(points):
            if less >= more:
                raise ValueError(
                    f"{named}: {less:g} W for {later:g} min is not below {more:g} W for {earlier:g} min; correct one"
                )
            if later * less < earlier * more * (1.0 - WARMED_FRAC):
                raise ValueError(
                    f"{named}: {later:g} min give less energy than {earlier:g} min; correct the watts of one of them"
                )


class BatteryType(Table):
    """One product of a battery maker.

    Attributes:
        is_generic: typical for its kind instead of from a maker's sheet: estimates get wider error bars.
        source: which sheet, edition and page.
        rated_ah, rate_h, rated_end_v: capacity of one unit in a discharge of `rate_h` to `rated_end_v` per cell.
        ref_degc: at which capacity and power table hold; 20 or 25 °C, as the sheet says.
        design_years: design life at `ref_degc`.
        charge_max_a: most that the maker allows to charge with, None where the sheet has no such limit.
    """

    name: Annotated[str, Field(min_length=3, max_length=120)]
    is_generic: bool = False
    source: Annotated[str, Field(min_length=3, max_length=300)]
    chemistry: str
    cells_per_unit: Annotated[int, Field(ge=1, le=24)]
    rated_ah: Annotated[float, Field(gt=0.0, le=20_000.0)]
    rate_h: Annotated[float, Field(gt=0.0, le=100.0)]
    rated_end_v: CellVolts
    ref_degc: Annotated[float, Field(ge=0.0, le=40.0)]
    design_years: Annotated[float, Field(gt=0.0, le=50.0)]
    charge_max_a: Annotated[float, Field(gt=0.0, le=20_000.0)] | None = None
    float_limits: FloatLimits
    temperature: WarmthTable
    power: PowerTable

    @model_validator(mode="after")
    def _volts_are_of_one_cell(self) -> Self:
        if self.chemistry not in profiles():
            raise ValueError(f"chemistry {self.chemistry!r} is unknown; take one of {', '.join(profiles())}")
        profile = profiles()[self.chemistry]
        levels = {"rated_end_v": self.rated_end_v} | {
            f"row of end_v {row.end_v:g}": row.end_v for row in self.power.row
        }
        for name, end_v in levels.items():
            if not profile.lowest_v <= end_v < profile.float_v:
                raise ValueError(
                    f"{name}: must lie from {profile.lowest_v:g} to below {profile.float_v:g}; write volts of one "
                    "electrochemical cell at the end of a discharge"
                )
        if not profile.nominal_v < self.float_limits.lowest_v < self.float_limits.highest_v < profile.highest_v:
            raise ValueError(
                f"float_limits: must lie between {profile.nominal_v:g} and {profile.highest_v:g}; write volts of one "
                "electrochemical cell"
            )
        return self

    @model_validator(mode="after")
    def _energy_is_possible(self) -> Self:
        for row in self.power.row:
            if (advice := self._odd_energy(row)) is not None:
                raise ValueError(f"power: row of end_v {row.end_v:g}: {advice}")
        return self

    def cell_w(self, row: PowerRow) -> tuple[float, ...]:
        """Return a row's watts per electrochemical cell."""
        divisor = self.cells_per_unit if self.power.per == "unit" else 1
        return tuple(w / divisor for w in row.w)

    def _odd_energy(self, row: PowerRow) -> str | None:
        """Return why this row's longest discharge cannot be of a battery of this size, and what to do."""
        cell_w, hours = self.cell_w(row)[-1], self.power.minutes[-1] / 60.0
        rated_wh = self.rated_ah * profiles()[self.chemistry].nominal_v

        def is_usual(times_w: float, times_h: float = 1.0) -> bool:
            usual = min(1.0, (hours * times_h / self.rate_h) ** SHORT_EXPONENT)
            found = cell_w * times_w * hours * times_h / rated_wh / usual
            return bool(LEAST_WH_FRAC <= found <= MOST_WH_FRAC)

        if is_usual(1.0):
            return None
        is_per_unit = self.power.per == "unit"
        cells = float(self.cells_per_unit)
        ways = {
            f'write per = "{"cell" if is_per_unit else "unit"}"': is_usual(cells if is_per_unit else 1.0 / cells),
            "write minutes instead of hours": is_usual(1.0, 60.0),
            "write minutes instead of seconds": is_usual(1.0, 1.0 / 60.0),
            "write watts instead of kilowatts": is_usual(1000.0),
        }
        fitting = [way for way, fits in ways.items() if fits]
        told = f"{row.w[-1]:g} W for {self.power.minutes[-1]:g} min are {cell_w * hours / rated_wh:.2g} times what "
        return f"{told}{self.rated_ah:g} Ah hold; {' or '.join(fitting) or 'check rated_ah, minutes and watts'}"


def parse_battery_type(raw: bytes, name: str) -> BatteryType:
    """Return the checked type in the bytes of a file called `name`.

    Raises:
        TableFileError: names file, line and what to do.
    """
    return parse_table(raw, name, BatteryType)


def shipped_battery_types() -> dict[str, BatteryType]:
    """Return every generic type by its file name."""
    folder = files("cellkeeper.contract") / "batteries"
    found = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".toml")), key=lambda entry: entry.name)
    return {entry.name: parse_battery_type(entry.read_bytes(), entry.name) for entry in found}


def load_battery_type(name: str, folder: Path) -> BatteryType:
    """Return the type that site.toml calls `name`.

    Args:
        name: of a file, relative to `folder`, or of a shipped type.
        folder: in which site.toml lies.

    Raises:
        TableFileError: there is none, or it is impossible.
    """
    path = folder / name
    if not path.exists():
        shipped = shipped_battery_types()
        if name in shipped:
            return shipped[name]
        advice = f"is not there; put it beside site.toml, or take a generic one: {', '.join(shipped)}"
        raise TableFileError([Problem(str(path), 1, advice)])
    return parse_battery_type(read_bounded(path), str(path))


def load_batteries(site: Site, folder: Path) -> Mapping[str, BatteryType]:
    """Return the type of every string that names one, by the string's id.

    Args:
        site: as read.
        folder: in which site.toml lies.

    Raises:
        TableFileError: a file is missing or impossible, or is of another battery than its string.
    """
    found: dict[str, BatteryType] = {}
    problems: list[Problem] = []
    for string in site.string:
        if string.battery is None:
            continue
        try:
            found[string.id] = load_battery_type(string.battery, folder)
        except TableFileError as exc:
            problems += exc.problems
            continue
        if (advice := _other_battery(string, found[string.id])) is not None:
            problems.append(Problem(str(folder / string.battery), 1, f"string {string.id}: {advice}"))
    if problems:
        raise TableFileError(problems)
    return found


def _other_battery(string: StringTable, battery: BatteryType) -> str | None:
    """Return where a string contradicts its type, and what to do; None when it does not."""
    for key in ("chemistry", "cells_per_unit", "rated_ah"):
        own, of_type = getattr(string, key), getattr(battery, key)
        if own != of_type:
            return f"{key} is {own} in site.toml but {of_type} here; correct one, or name the file of the right battery"
    return None
