"""How the units of a string are kept even: what a chemistry needs, and what `site.toml` says of one string.

Volts are per electrochemical cell. Where the chemistry's sheet ends, facts are from measurements of the field:
lithium is balanced at the top alone, lead at float, nickel-cadmium not at all (its overcharge is the balancer).
"""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from cellkeeper.contract.identity import Cell
from cellkeeper.contract.table import Table

type Strategy = Literal["top", "float_pi", "none"]

Volts = Annotated[float, Field(gt=0.0, le=5.0)]
Band = Annotated[float, Field(gt=0.0, le=0.2)]
SEALED_MODULE_W: Final = 0.4  # what a sealed case of 54 x 54 x 25 mm without fins should give off at most


class BalanceProfile(Table):
    """What balancing a chemistry needs; per electrochemical cell.

    Attributes:
        strategy: `top` (lithium: in the last charging phase, down to the lowest), `float_pi` (lead: towards the
            mean), `none`.
        needs_permission: whether `site.toml` has to name who permits it beside the battery's own management system.
        enter_v, leave_v: the last charging phase begins when the highest cell is above, and ends when it is below.
        bleed_above_v: a cell below it says too little about its charge to be bled: the curve is flat there.
        plateau_v: at rest, from here to `leave_v`, all cells of a flat curve read alike; None where it is sloped.
        start_v, stop_v: a cell is bled from `start_v` above the lowest until `stop_v` above it.
        cooling_w_per_k: what a cell of 100 Ah gives away to the room; grows as size to 2/3.
    """

    strategy: Strategy
    needs_permission: bool = False
    enter_v: Volts | None = None
    leave_v: Volts | None = None
    bleed_above_v: Volts | None = None
    plateau_v: Volts | None = None
    start_v: Band = 0.008
    stop_v: Band = 0.003
    cooling_w_per_k: Annotated[float, Field(gt=0.0, le=10.0)] = 0.15

    @model_validator(mode="after")
    def _top_knows_its_volts(self) -> Self:
        if self.strategy == "top" and (self.enter_v is None or self.leave_v is None or self.bleed_above_v is None):
            raise ValueError("strategy top needs enter_v, leave_v and bleed_above_v; write all three")
        if self.enter_v is not None and self.leave_v is not None and self.leave_v >= self.enter_v:
            raise ValueError(f"leave_v {self.leave_v:g} must be below enter_v {self.enter_v:g}; lower it")
        if self.stop_v >= self.start_v:
            raise ValueError(f"stop_v {self.stop_v:g} must be below start_v {self.start_v:g}; lower it")
        return self


class BalanceTable(Table):
    """`[string.balance]`: how this string is balanced, where that differs from what its chemistry says.

    Attributes:
        strategy: `auto` takes the chemistry's.
        permitted_by: who permits it beside the battery's own management system, and in which paper; lithium needs it.
        budget_w: heat that one module may give off while it bleeds.
        cooling_w_per_k: of one unit, from its maker or a test; None takes the chemistry's.
        centre_tap: last unit before the centre tap of a bipolar string; each half is balanced for itself.
        hold_out: units that are never bled, to see what balancing does for the others.
    """

    strategy: Literal["auto", "top", "float_pi", "none"] = "auto"
    permitted_by: Annotated[str, Field(min_length=3, max_length=120)] | None = None
    budget_w: Annotated[float, Field(gt=0.0, le=20.0)] = SEALED_MODULE_W
    cooling_w_per_k: Annotated[float, Field(gt=0.0, le=100.0)] | None = None
    enter_v: Volts | None = None
    leave_v: Volts | None = None
    bleed_above_v: Volts | None = None
    start_v: Band | None = None
    stop_v: Band | None = None
    centre_tap: Cell | None = None
    hold_out: list[Cell] = Field(default_factory=list)

    def over(self, profile: BalanceProfile) -> BalanceProfile:
        """Return the chemistry's profile with this string's own values.

        Raises:
            ValueError: the values contradict each other; the text says what to do.
        """
        own = self.model_dump(exclude_none=True, include=set(BalanceProfile.model_fields) - {"strategy"})
        strategy = profile.strategy if self.strategy == "auto" else self.strategy
        return BalanceProfile.model_validate(profile.model_dump() | own | {"strategy": strategy})


def balance_problem(table: BalanceTable, profile: BalanceProfile, cells: int) -> str | None:
    """Return what is impossible about a string's table and what to do, None when nothing is.

    Args:
        table: as `site.toml` has it.
        profile: of the string's chemistry.
        cells: units in the string.

    Raises:
        ValueError: its values contradict each other; the text says what to do.
    """
    named = [*table.hold_out, *([] if table.centre_tap is None else [table.centre_tap + 1])]
    if any(cell > cells for cell in named):
        return "it names a cell that is not there; number from 1 to cells, a tap lies between two"
    merged = table.over(profile)
    if table.strategy in ("top", "float_pi") and merged.needs_permission and table.permitted_by is None:
        return (
            "this chemistry has a management system of its own that balances; write permitted_by with the name and the "
            'paper of who permits a second one, or strategy = "none"'
        )
    return None
