"""What a service says of itself and of what happened: presence and events."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from cellkeeper.contract.identity import Cell, Id
from cellkeeper.contract.moment import Instant
from cellkeeper.contract.payload import Telemetry

MAX_EVENT_TEXT = 500  # what another machine sent ends up in here: bounded


class Presence(Telemetry):
    """Whether a service is there and does its work; `gone` is its last will."""

    service: Id
    state: Literal["starting", "ready", "degraded", "gone"]
    why: Annotated[str, Field(max_length=MAX_EVENT_TEXT)] = ""
    at: Instant
    version: str


class Event(Telemetry):
    """An entry for the log book."""

    absent_if_none: ClassVar = frozenset({"string", "cell"})

    id: Annotated[str, Field(pattern=r"^[0-9a-f-]{8,36}$")]
    at: Instant
    service: Id
    kind: Annotated[str, Field(pattern=r"^[a-z_]+(\.[a-z_]+)+$")]
    severity: Literal["info", "warning", "error"]
    text: Annotated[str, Field(max_length=MAX_EVENT_TEXT)]
    string: Id | None = None
    cell: Cell | None = None
    data: dict[str, str | int | float | bool | None] = Field(default_factory=dict)
