"""What the analytics tell of a string and of each unit: estimates, each with its standard deviation and its source."""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from cellkeeper.contract.identity import MAX_CELLS_PER_STRING, Cell, Id
from cellkeeper.contract.moment import Instant
from cellkeeper.contract.payload import Part, Telemetry
from cellkeeper.contract.physical import Frac, Seconds

type SocSource = Literal["unknown", "anchor", "coulomb", "ekf", "ocv", "float", "voltage"]
"""Where a state of charge comes from; with `unknown` there is no number."""

type SohSource = Literal["not_proven", "full_discharge", "partial_discharge", "fused"]
"""Where a state of health comes from; with `not_proven` no discharge has shown it, and there is no number."""

type ResistanceState = Literal["unknown", "ok", "watch", "warning", "alarm"]
"""A unit's impedance against its own baseline."""

type Doubt = Literal["sign_suspect", "no_current"]
"""Why the estimates of a string are worse than they could be: the current seems to be reversed, or there is none."""

Share = Annotated[float, Field(ge=0.0, le=2.0)]
"""A ratio that may lie above 1: new units have more than their rated capacity."""


def _column(title: str) -> object:
    return Field(min_length=1, max_length=MAX_CELLS_PER_STRING, description=f"{title}; one entry per unit, in order")


class RuntimeEstimate(Part):
    """How long the string would carry `power_w` from now, or carries it while it discharges.

    Attributes:
        power_w: the load that it is told for, positive: the present one while discharging, else the last or nominal.
        unit_left_s: until the weakest unit is at its limit; null while it cannot be told.
        cell: that unit.
        bus_left_s: until the dc bus is at the UPS's cut-off; null while it cannot be told.
        sentence: the same for people; empty while there is nothing to say.
    """

    power_w: float | None
    unit_left_s: Seconds | None
    unit_left_sd_s: Seconds | None
    cell: Cell | None
    bus_left_s: Seconds | None
    bus_left_sd_s: Seconds | None
    sentence: Annotated[str, Field(max_length=200)] = ""


class StringEstimate(Telemetry):
    """Estimates of all units of a string, columnar; a null is an honest "not known", never zero.

    Attributes:
        doubts: what makes the estimates of the whole string worse.
        not_validated: groups of chemistry values that were never checked against measurements of real cells.
        soc_sd_frac, soh_sd_frac: one standard deviation; 95 of 100 truths lie within two.
        anchor_age_h: since the state of charge was last known from physics rather than counted.
        soh_frac: capacity at reference conditions over the rated one.
        r_own_frac: impedance at reference temperature over the unit's own baseline.
        p_fail_6m_frac, p_fail_12m_frac: probability that the capacity is below 80 % by then.
    """

    string: Id
    measured_at: Instant
    doubts: list[Doubt]
    not_validated: list[Annotated[str, Field(max_length=40)]]
    runtime: RuntimeEstimate
    soc_frac: Annotated[list[Frac | None], _column("state of charge")]
    soc_sd_frac: Annotated[list[Frac | None], _column("its standard deviation")]
    soc_source: Annotated[list[SocSource], _column("where it comes from")]
    anchor_age_h: Annotated[list[float | None], _column("hours since its last anchor")]
    soh_frac: Annotated[list[Share | None], _column("state of health")]
    soh_sd_frac: Annotated[list[Share | None], _column("its standard deviation")]
    soh_source: Annotated[list[SohSource], _column("where it comes from")]
    r_own_frac: Annotated[list[float | None], _column("impedance over its own baseline")]
    r_state: Annotated[list[ResistanceState], _column("what that says")]
    p_fail_6m_frac: Annotated[list[Frac | None], _column("probability of less than 80 % within 6 months")]
    p_fail_12m_frac: Annotated[list[Frac | None], _column("probability of less than 80 % within 12 months")]

    @model_validator(mode="after")
    def _columns_have_one_length(self) -> Self:
        units = len(self.soc_frac)
        if any(len(getattr(self, name)) != units for name in COLUMNS):
            raise ValueError(f"{len(COLUMNS)} columns of one length expected")
        return self


COLUMNS: Final = (
    "soc_frac", "soc_sd_frac", "soc_source", "anchor_age_h", "soh_frac", "soh_sd_frac", "soh_source", "r_own_frac",
    "r_state", "p_fail_6m_frac", "p_fail_12m_frac",
)  # fmt: skip
"""What a string tells of each unit, in the order of the wire; a unit's own topic has the same keys."""


class CellEstimate(Telemetry):
    """Estimates of one unit, flat, for SCADA: by exception and at least every `refresh_s`."""

    soc_frac: Frac | None
    soc_sd_frac: Frac | None
    soc_source: SocSource
    anchor_age_h: float | None
    soh_frac: Share | None
    soh_sd_frac: Share | None
    soh_source: SohSource
    r_own_frac: float | None
    r_state: ResistanceState
    p_fail_6m_frac: Frac | None
    p_fail_12m_frac: Frac | None
    measured_at: Instant
    measured_ms: Annotated[int, Field(ge=0)]


NO_RUNTIME = RuntimeEstimate(
    power_w=None, unit_left_s=None, unit_left_sd_s=None, cell=None, bus_left_s=None, bus_left_sd_s=None
)
