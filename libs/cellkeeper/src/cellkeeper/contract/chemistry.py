"""Chemistry profiles: data files per electrochemical cell, scaled to units of several cells.

Level limits scale with `cells_per_unit`; limits for the fault of one single cell do not. Values are typical figures for
stationary cells; the maker's sheet wins, and `site.toml` can override each of them.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cellkeeper.contract.balancing import BalanceProfile
from cellkeeper.contract.estimating import EstimateProfile, estimate_problem

Volts = Annotated[float, Field(ge=-5.0, le=5.0)]


class Chemistry(BaseModel):
    """Electrical borders of one electrochemical cell of this chemistry.

    Attributes:
        hazard: `fast` (lithium: seconds) or `slow` (lead, nickel: days).
        bleed_floor_v: below it a module neither bleeds nor tests its cell: there is no charge to give away.
        lowest_v, highest_v: outside of this a reading is not a healthy cell's, in any mode; it is still published.
        step_v: the largest change of one cell within a second that its own chemistry and a load step explain.
        float_v_per_k: temperature compensation that chargers of this chemistry usually have, from 25 °C.
        balance: what keeping its cells even needs.
        estimate: what its voltage tells of its charge.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    hazard: Literal["fast", "slow"]
    nominal_v: Volts
    float_v: Volts
    boost_v: Volts
    cutoff_v: Volts
    bleed_floor_v: Volts
    lowest_v: Volts
    highest_v: Volts
    step_v: Annotated[float, Field(gt=0.0, le=2.0)]
    float_v_per_k: Annotated[float, Field(ge=-0.02, le=0.0)] = 0.0
    highest_degc: Annotated[float, Field(ge=20.0, le=90.0)]
    balance: BalanceProfile
    estimate: EstimateProfile

    @model_validator(mode="after")
    def _estimate_fits(self) -> Self:
        problem = estimate_problem(self.estimate, cutoff_v=self.cutoff_v, highest_v=self.highest_v)
        if problem is not None:
            raise ValueError(f"estimate: {problem}")
        return self

    def limits(self, cells_per_unit: int) -> dict[str, float]:
        """Return the level limits of a unit of `cells_per_unit` cells in series, by their names on the wire."""
        levels = {"nominal_v", "float_v", "boost_v", "cutoff_v", "lowest_v", "highest_v"}
        scaled = {name: round(getattr(self, name) * cells_per_unit, 4) for name in sorted(levels)}
        return scaled | {"highest_degc": self.highest_degc}


_IN_ORDER: Final = (
    *pairwise(("lowest_v", "cutoff_v", "nominal_v", "float_v", "boost_v", "highest_v")),
    *pairwise(("cutoff_v", "bleed_floor_v", "float_v")),
)
_NOT_FAR_FRAC: Final = 0.4  # makers' sheets of one chemistry differ by less; values of a whole unit differ by more


def override_problem(profile: Chemistry, overrides: Mapping[str, float]) -> str | None:
    """Return what is implausible about values of a data sheet and what to do, None when nothing is.

    Args:
        profile: that they override.
        overrides: by the profile's own names, per electrochemical cell.
    """
    for name, value in overrides.items():
        usual_v = getattr(profile, name)
        if name.endswith("_v") and name != "step_v" and abs(value - usual_v) > _NOT_FAR_FRAC * usual_v:
            return (
                f"{name} {value:g} is far from the {usual_v:g} V of this chemistry; write volts of one electrochemical "
                "cell, or take another chemistry"
            )
    levels = profile.model_copy(update=dict(overrides))
    for low, high in _IN_ORDER:
        low_v, high_v = getattr(levels, low), getattr(levels, high)
        if low_v >= high_v:
            return f"{low} {low_v:g} must be below {high} {high_v:g}; correct the one that is wrong, or write both"
    return None


class ProfileRefusedError(ValueError):
    """A chemistry profile is impossible; the text names the file and what to do."""


def read_profile(text: str, file: str) -> Chemistry:
    """Return the profile that a TOML text holds.

    Args:
        text: of the file.
        file: its name, for the message.

    Raises:
        ProfileRefusedError: the text is no TOML, a key is unknown or missing, or a curve is impossible.
    """
    try:
        return Chemistry(**tomllib.loads(text))
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        raise ProfileRefusedError(f"{file}: {where + ': ' if where else ''}{said}") from exc
    except (tomllib.TOMLDecodeError, TypeError) as exc:
        raise ProfileRefusedError(f"{file}: {exc}; correct the file") from exc


@cache
def profiles() -> dict[str, Chemistry]:
    """Return every shipped profile by its id."""
    folder = files("cellkeeper.contract") / "profiles"
    found = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".toml")), key=lambda entry: entry.name)
    return {entry.name.removesuffix(".toml"): read_profile(entry.read_text("utf-8"), entry.name) for entry in found}
