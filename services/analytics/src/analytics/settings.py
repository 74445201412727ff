"""What the analytics are told by their environment."""

from typing import Annotated

from cellkeeper.runtime.settings import ServiceSettings
from pydantic import AfterValidator, Field

from analytics.dossier.words import known_zone


class AnalyticsSettings(ServiceSettings):
    """Settings of the analytics.

    Attributes:
        save_s: real seconds between two writes of what was learned while nothing discharges, every few
            seconds while something does; a restart goes on from there.
        keep_events: records of discharges that are kept, of each string; the oldest go first.
        dossier: whether the paper of a discharge is made by itself.
        dossier_timezone: zone of the times in it, as in the IANA data base.
    """

    save_s: Annotated[float, Field(ge=1.0, le=3600.0)] = 60.0
    keep_events: Annotated[int, Field(ge=1, le=10_000)] = 100
    dossier: bool = True
    dossier_timezone: Annotated[str, AfterValidator(known_zone)] = "UTC"
