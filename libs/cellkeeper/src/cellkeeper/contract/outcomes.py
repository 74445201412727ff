"""How a command ended: a closed union, matched to the end by whoever asked."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from cellkeeper.contract.moment import Instant
from cellkeeper.contract.payload import Telemetry

type RefusedReason = Literal[
    "malformed",
    "unknown_command",
    "expired",
    "repeated",
    "too_far_ahead",
    "unknown_target",
    "out_of_range",
    "stale_cells",
    "on_battery",
    "in_test",
    "state_unknown",
    "mode_forbids",
    "untrusted",
    "updating",
    "busy",
    "port_lost",
    "module_refused",
    "not_supported",
]


class _Ending(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class FoundModule(_Ending):
    """A module that a search met."""

    uid: str
    address: int
    serial: str
    type: str
    firmware: str
    duplicate: bool = False


class Applied(_Ending):
    """The effect was seen, not only asked for."""

    kind: Literal["applied"] = "applied"
    found: list[FoundModule] | None = None
    impedance_ohm: list[float | None] | None = None


class Refused(_Ending):
    """Nothing was done; `detail` says in words what to do about it."""

    kind: Literal["refused"] = "refused"
    reason: RefusedReason
    detail: str = ""


class NoReply(_Ending):
    """It was asked, and nobody answered in time: the effect is unknown."""

    kind: Literal["no_reply"] = "no_reply"
    waited_s: float
    cells: list[int] = []


type Outcome = Applied | Refused | NoReply


class CommandOutcome(Telemetry):
    """The answer on `outcome/{service}/{issuer}`, by command id."""

    id: UUID
    command: str
    at: Instant
    outcome: Annotated[Applied | Refused | NoReply, Field(discriminator="kind")]
