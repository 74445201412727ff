"""What `site.toml` tells of the real battery of a string: when it came, which cells were replaced, its own curve."""

from datetime import date
from typing import Annotated, Any, Final, Self

import numpy as np
from pydantic import AwareDatetime, BeforeValidator, Field, model_validator

from cellkeeper.contract.estimating import CellVolts, EstimateProfile, Fraction, Slope, curve_problems
from cellkeeper.contract.table import Table

FEWEST_PLACES: Final = 5
OLDEST: Final = date(1950, 1, 1)
TerminalKind = Annotated[str, Field(min_length=1, max_length=40)]
"""Cable and terminal through which a module measures; any words, the same ones for the same kind."""


class CellLife(Table):
    """The cell that is at a position now, after others.

    Attributes:
        life: counts up with each replacement.
        since: when it was replaced; without it, when a service first reads this.
        name: what people call the cell, for example the serial number on it.
    """

    life: Annotated[int, Field(ge=1, le=9999)]
    since: AwareDatetime | None = None
    name: Annotated[str, Field(max_length=40)] = ""


def _as_table(said: Any) -> dict[str, Any]:  # noqa: ANN401  # as TOML gives it
    if isinstance(said, dict):
        return said
    if isinstance(said, int) and not isinstance(said, bool):
        return {"life": said}
    raise ValueError("a cell's life is a whole number, or a table like { life = 2, since = 2026-11-20T09:30:00Z }")


LifeOfCell = Annotated[CellLife, BeforeValidator(_as_table)]
"""`17 = 2`, or `17 = { life = 2, since = 2026-11-20T09:30:00Z, name = "SN 4711" }`."""


def commissioned_problem(day: date) -> str | None:
    """Return what is wrong with a date of commissioning, None when nothing is."""
    if day < OLDEST:
        return f"commissioned {day} is before {OLDEST}; write the day of the first charge, for example 2024-03-18"
    return None


class RestedTable(Table):
    """`[string.rested]`: rested voltages of the own battery, measured; per electrochemical cell.

    Attributes:
        soc_frac: places of the table, rising from 0 to 1.
        ocv_v: rested voltage there at 25 °C, rising.
        ocv_v_per_k: its change with temperature; without it the chemistry's.
        sd_v: how far a healthy cell is from it; 2 to 3 mV for a curve of the own battery.
        rest_s: time without current until a voltage is a rested one; without it the chemistry's.
    """

    soc_frac: Annotated[tuple[Fraction, ...], Field(min_length=FEWEST_PLACES, max_length=101)]
    ocv_v: tuple[CellVolts, ...]
    ocv_v_per_k: tuple[Slope, ...] = ()
    sd_v: Annotated[float, Field(ge=0.0005, le=0.1)]
    rest_s: Annotated[float, Field(ge=600.0, le=1_000_000.0)] | None = None

    @model_validator(mode="after")
    def _is_a_curve(self) -> Self:
        for problem in curve_problems(self.soc_frac, self.ocv_v, self.ocv_v_per_k):
            raise ValueError(problem)
        return self

    def in_profile(self, profile: EstimateProfile) -> EstimateProfile:
        """Return the chemistry's profile with this curve in place of the typical one."""

        def on_places(values: tuple[float, ...]) -> tuple[float, ...]:
            if len(values) <= 1:
                return values
            return tuple(np.interp(self.soc_frac, profile.soc_frac, values).tolist())

        own = {
            "soc_frac": self.soc_frac,
            "ocv_v": self.ocv_v,
            "ocv_v_per_k": self.ocv_v_per_k or on_places(profile.ocv_v_per_k),
            "ocv_sd_v": self.sd_v,
            "rest_s": self.rest_s if self.rest_s is not None else profile.rest_s,
            **{name: on_places(getattr(profile, name)) for name in ("r0_ohm_ah", "r1_ohm_ah", "r2_ohm_ah")},
        }
        return profile.model_copy(update=own)
