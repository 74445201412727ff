"""What the estimate of a cell's charge needs to know of its chemistry; volts and ohms per electrochemical cell.

Typical figures at 25 °C, for a new cell: the maker's sheet or a test of the own battery wins. Resistances are given for
a cell of 1 Ah and shrink in proportion to capacity, so a table serves every size. `validated_on` names the measured
cells that the figures were held against; where it is empty nobody has, and whoever shows an estimate says so.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from cellkeeper.contract.table import Table

type Curve = Literal["sloped", "flat"]

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
CellVolts = Annotated[float, Field(gt=0.0, le=5.0)]
Slope = Annotated[float, Field(ge=-0.01, le=0.01)]
OhmAh = Annotated[float, Field(gt=0.0, le=5.0)]
Seconds = Annotated[float, Field(gt=0.0, le=100_000.0)]
LEAST_SLOPE_V: Final = 1e-4  # over the whole range; a curve that stands still has no inverse


class FullSigns(Table):
    """How a full cell is known.

    Attributes:
        at_v: the cell has reached at least this at 25 °C; lead and nickel-cadmium follow their charger's compensation.
        below_a_per_ah: the string's charging current is at most this.
        hold_s: both have held for so long.
        is_steady: the current must also have stood still: within 5 % over the last hour.
        returned_frac: charge given back since the last discharge, as part of what was taken.
        sd_frac: how far from full such a cell may still be.
        hold_v: in float, a cell that stands above this is held full; below, something takes its charge.
    """

    at_v: CellVolts
    below_a_per_ah: Annotated[float, Field(gt=0.0, le=0.2)]
    hold_s: Annotated[float, Field(ge=60.0, le=1_000_000.0)]
    is_steady: bool = False
    returned_frac: Annotated[float, Field(ge=0.9, le=1.5)] = 1.0
    sd_frac: Annotated[float, Field(ge=0.001, le=0.2)] = 0.01
    hold_v: CellVolts


class EstimateProfile(Table):
    """What the voltage of one electrochemical cell tells of its charge.

    Attributes:
        curve: `sloped` where the rested voltage tells the charge, `flat` where only its ends do.
        soc_frac: (K,) places of the tables, from 0 to 1, rising.
        ocv_v: (K,) rested voltage there at 25 °C, rising.
        ocv_v_per_k: (K,) its change with temperature; empty where unknown.
        ocv_sd_v: how far a healthy cell's rested voltage is from the table.
        hysteresis_v: half of the distance between the rested voltages after charge and after discharge.
        surface_v: what a rested voltage still shows too much right after charging.
        surface_s: time in which that falls to 1/e at rest; discharge removes it sooner.
        r0_ohm_ah, r1_ohm_ah, r2_ohm_ah: (K,) or one value; at once, within minutes, within the hour.
        tau1_s, tau2_s: of the two slower ones.
        arrhenius_k: growth of all three in the cold, as activation energy over the gas constant.
        coulombic_frac: part of the charge given that can be taken again.
        self_discharge_per_month_frac: at rest and 25 °C; doubles each 10 K.
        capacity_per_k_frac: growth of what can be taken, from `capacity_ref_degc`.
        full: how a full cell is known.
        rest_s: without current for so long the voltage is a rested one; None where it never is.
        validated_on: measured cells that these figures were held against, empty where none.
    """

    curve: Curve
    soc_frac: Annotated[tuple[Fraction, ...], Field(min_length=5, max_length=101)]
    ocv_v: tuple[CellVolts, ...]
    ocv_v_per_k: tuple[Slope, ...] = ()
    ocv_sd_v: Annotated[float, Field(gt=0.0, le=0.1)]
    hysteresis_v: Annotated[float, Field(ge=0.0, le=0.2)] = 0.0
    surface_v: Annotated[float, Field(ge=0.0, le=0.3)] = 0.0
    surface_s: Seconds = 20_000.0
    r0_ohm_ah: tuple[OhmAh, ...]
    r1_ohm_ah: tuple[OhmAh, ...]
    r2_ohm_ah: tuple[OhmAh, ...]
    tau1_s: Seconds
    tau2_s: Seconds
    arrhenius_k: Annotated[float, Field(ge=0.0, le=10_000.0)] = 2500.0
    coulombic_frac: Annotated[float, Field(gt=0.5, le=1.0)]
    self_discharge_per_month_frac: Annotated[float, Field(ge=0.0, le=0.5)]
    capacity_per_k_frac: Annotated[float, Field(ge=0.0, le=0.03)]
    capacity_ref_degc: Annotated[float, Field(ge=0.0, le=40.0)] = 25.0
    full: FullSigns
    rest_s: Annotated[float, Field(ge=600.0, le=1_000_000.0)] | None = None
    validated_on: Annotated[str, Field(max_length=200)] = ""

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        for problem in self._problems():
            raise ValueError(problem)
        return self

    def _problems(self) -> Iterator[str]:
        """Yield what is impossible about the tables and what to do, the first one first."""
        places = len(self.soc_frac)
        yield from curve_problems(self.soc_frac, self.ocv_v, self.ocv_v_per_k)
        for name in ("r0_ohm_ah", "r1_ohm_ah", "r2_ohm_ah"):
            if len(getattr(self, name)) not in (1, places):
                yield f"{name} has {len(getattr(self, name))} values; write one, or {places} as soc_frac has"
        if self.tau1_s >= self.tau2_s:
            yield f"tau1_s {self.tau1_s:g} must be below tau2_s {self.tau2_s:g}; exchange the two pairs"


def curve_problems(
    soc_frac: tuple[float, ...], ocv_v: tuple[float, ...], ocv_v_per_k: tuple[float, ...]
) -> Iterator[str]:
    """Yield what is impossible about a table of rested voltages and what to do, the first one first."""
    places = len(soc_frac)
    if soc_frac[0] != 0.0 or soc_frac[-1] != 1.0 or not _rises(soc_frac):
        yield "soc_frac must rise from 0 to 1; sort it and write both ends"
    if len(ocv_v) != places:
        yield f"ocv_v has {len(ocv_v)} values for {places} places; write one for each soc_frac"
    if not _rises(ocv_v):
        low, high = next(pair for pair in pairwise(ocv_v) if pair[0] >= pair[1])
        yield f"ocv_v must rise: {low:g} V is followed by {high:g} V; smooth it, or sort it from empty to full"
    elif ocv_v[-1] - ocv_v[0] < LEAST_SLOPE_V:
        yield "ocv_v stands still: it must rise from empty to full; write volts of one cell"
    if ocv_v_per_k and len(ocv_v_per_k) != places:
        yield f"ocv_v_per_k has {len(ocv_v_per_k)} values for {places} places; write one for each, or none"


def _rises(values: tuple[float, ...]) -> bool:
    return all(low < high for low, high in pairwise(values))


def estimate_problem(profile: EstimateProfile, *, cutoff_v: float, highest_v: float) -> str | None:
    """Return what contradicts the chemistry's own borders and what to do, None when nothing does.

    Args:
        profile: of the same chemistry.
        cutoff_v: where its discharge ends; rested voltages lie above.
        highest_v: of a healthy cell; rested voltages and the signs of a full cell lie below.
    """
    if not cutoff_v < profile.ocv_v[0] + 0.5:
        return f"ocv_v begins at {profile.ocv_v[0]:g} V, far below cutoff_v {cutoff_v:g}; write volts of one cell"
    if profile.ocv_v[-1] >= highest_v:
        return f"ocv_v ends at {profile.ocv_v[-1]:g} V, not below highest_v {highest_v:g}; write volts of one cell"
    if not profile.full.hold_v <= profile.full.at_v < highest_v:
        return (
            f"full.at_v {profile.full.at_v:g} must lie from full.hold_v {profile.full.hold_v:g} to below {highest_v:g}"
        )
    return None
