"""What the balancer is told by its environment."""

from typing import Annotated

from cellkeeper.runtime.settings import ServiceSettings
from pydantic import Field


class BalancerSettings(ServiceSettings):
    """Settings of the balancer.

    Attributes:
        save_s: real seconds between two writes of what was learned; a restart goes on from there.
    """

    save_s: Annotated[float, Field(ge=1.0, le=3600.0)] = 30.0
