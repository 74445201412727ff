"""The base of every table in a file that people write: what nobody knows is a typo."""

from pydantic import BaseModel, ConfigDict


class Table(BaseModel):
    """A table of such a file: unknown keys are refused, numbers are finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
