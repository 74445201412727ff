"""What the gateway is told by its environment."""

from typing import Annotated

from cellkeeper.runtime.settings import ServiceSettings
from pydantic import Field


class GatewaySettings(ServiceSettings):
    """Settings of a gateway process.

    Attributes:
        backfill_per_s: most scans that are sent again in a real second; live scans always go first.
        journal_memory_mb: memory that stands in for the journal while that cannot be written.
    """

    backfill_per_s: Annotated[float, Field(gt=0.0, le=100_000.0)] = 500.0
    journal_memory_mb: Annotated[int, Field(ge=1, le=4096)] = 32
