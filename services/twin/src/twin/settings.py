"""What the twin is told by its environment, beside the settings of every service."""

from typing import Annotated

from cellkeeper.runtime.settings import ServiceSettings
from pydantic import Field


class TwinSettings(ServiceSettings):
    """Settings of the twin.

    Attributes:
        twin_seed: of all chance: cells, sensors, modules, noise.
        twin_pace: give bytes when the wire would have delivered them; without it, at once.
        scenario: one that comes with the twin, or the path of a file.
        twin_traces: recordings that units follow, one `key=value,...` each, separated by semicolons:
            `twin.script.trace_options`.
        twin_noise: whether the instruments have noise and offsets.
        twin_fresh_modules: modules come as from the factory: nobody has stored the settings of their unit.
    """

    twin_seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 1
    twin_pace: bool = True
    scenario: str | None = None
    twin_traces: str = ""
    twin_noise: bool = True
    twin_fresh_modules: bool = False
