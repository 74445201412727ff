"""What the balancer tells of a string: what it does, what it must not do, and what has come of it."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from cellkeeper.contract.identity import MAX_CELLS_PER_STRING, Cell, Id
from cellkeeper.contract.moment import Instant
from cellkeeper.contract.payload import Telemetry
from cellkeeper.contract.physical import Frac

type BalancePhase = Literal["unknown", "idle", "charge", "final", "float", "discharge", "test"]
"""Decided from scans alone; balancing is allowed in `final` and `float`."""

type Inhibit = Literal[
    "",
    "strategy_none",
    "not_permitted",
    "phase",
    "mode_forbids",
    "stale",
    "coverage",
    "no_current",
    "warm_room",
    "float_current",
    "paused",
    "settling",
    "refused",
]
"""Why nothing of a string is bled; empty while it may be."""

type CellReason = Literal[
    "even",
    "bleeding",
    "reference",
    "held_out",
    "inhibited",
    "no_reading",
    "no_temperature",
    "frozen",
    "disconnected",
    "below_floor",
    "flat",
    "neighbour",
    "hot",
    "budget",
    "new_battery",
    "forced",
    "leak",
    "weak",
    "sensor",
    "drying_out",
    "persistent",
]
"""Why a unit has the duty that it has; the last five are findings that a person should look at."""

type DutyBand = Literal["off", "eco+", "eco", "normal", "power", "boost"]


def duty_band(bleed_frac: float) -> DutyBand:
    """Return the band that people know: off, eco+ to 20 %, eco, normal, power, boost above 80 %."""
    borders: tuple[tuple[float, DutyBand], ...] = (
        (0.0, "off"), (0.2, "eco+"), (0.4, "eco"), (0.6, "normal"), (0.8, "power"),
    )  # fmt: skip
    return next((band for border, band in borders if bleed_frac <= border), "boost")


def _column(title: str) -> object:
    return Field(min_length=1, max_length=MAX_CELLS_PER_STRING, description=f"{title}; one entry per unit, in order")


class BalanceState(Telemetry):
    """Balancing of one string, columnar; charge and heat count from `began_at`.

    Attributes:
        enabled: whether a strategy and, for lithium, a permission are there at all.
        until: end of a pause; absent without one.
        spread_v: highest minus lowest unit that counts, now; null when too few do.
        began_spread_v: the same when this run of balancing began.
        half_life_s: time in which the spread halved over the run so far; null while it cannot be told.
        finish_s: time in the allowed phase until the spread is even at that rate; null while it cannot be told.
        is_milestone: a run begins or ends, or a day does: the historian keeps the columns of these.
        duty_frac: what is asked of the modules; what they do is `bleed_frac` in the scan.
        moved_ah, heat_wh: taken from the unit, and given off by its module.
        leak_a: inferred self-discharge above that of the string's median unit; null while it cannot be told.
    """

    absent_if_none: ClassVar = frozenset({"until", "began_at", "began_spread_v"})

    string: Id
    measured_at: Instant
    strategy: Literal["top", "float_pi", "none"]
    enabled: bool
    phase: BalancePhase
    inhibit: Inhibit
    until: Instant | None = None
    bleed_max_a: float
    budget_w: float
    spread_v: float | None
    began_at: Instant | None = None
    began_spread_v: float | None = None
    half_life_s: float | None
    finish_s: float | None
    held_out_spread_v: float | None
    is_milestone: bool
    findings: list[Cell]
    duty_frac: Annotated[list[Frac], _column("bleed duty that is asked")]
    moved_ah: Annotated[list[float], _column("ampere-hours taken from the unit")]
    heat_wh: Annotated[list[float], _column("watt-hours given off by its module")]
    leak_a: Annotated[list[float | None], _column("inferred leak, amperes")]
    reason: Annotated[list[CellReason], _column("why the duty is what it is")]
