"""What all payload models share: version 1, frozen, readers that survive new fields, commands that do not."""

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict


class Telemetry(BaseModel):
    """A payload that readers take as it grows: unknown fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    absent_if_none: ClassVar[frozenset[str]] = frozenset()
    """Keys that are left out, rather than null, where there is nothing to say (no sensor is fitted)."""

    v: Literal[1] = 1


class Part(BaseModel):
    """An object inside a telemetry payload; the version is the payload's."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Request(BaseModel):
    """A payload that asks for an act: an unknown field is a typo and is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    absent_if_none: ClassVar[frozenset[str]] = frozenset()

    v: Literal[1] = 1
