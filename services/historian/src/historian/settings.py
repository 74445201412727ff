"""What the historian is told by its environment."""

from pathlib import Path
from typing import Annotated, Literal

from cellkeeper.contract.series import DATABASE, FULL, TIERS
from cellkeeper.runtime.settings import ServiceSettings
from pydantic import Field

Days = Annotated[int, Field(ge=0, le=36_600)]
DEFAULT_HTTP_PORT = 8420
DEFAULT_INFLUX_URL = "http://127.0.0.1:8086"


class HistorianSettings(ServiceSettings):
    """Settings of the historian.

    Attributes:
        http_port: loopback port of the read-only API, which also has health and metrics.
        keep_full_days, keep_1m_days, keep_15m_days, keep_1d_days: days with data that each tier keeps; 0 for ever.
        reserve_mb: free disk space below which nothing is written.
        store: where history goes: files of its own, or an InfluxDB 2 server, whose days `cellkeeper provision` sets.
        influx_url, influx_org: the server and its organisation.
        influx_database: first part of the names of its buckets, `cellkeeper/full` and so on.
        influx_token_file: holds the historian's token.
    """

    http_port: Annotated[int, Field(ge=0, le=65_535)] = DEFAULT_HTTP_PORT
    keep_full_days: Days = FULL.keep_days
    keep_1m_days: Days = TIERS[0].keep_days
    keep_15m_days: Days = TIERS[1].keep_days
    keep_1d_days: Days = TIERS[2].keep_days
    reserve_mb: Annotated[int, Field(ge=0, le=1_000_000)] = 64
    store: Literal["embedded", "influx"] = "embedded"
    influx_url: Annotated[str, Field(pattern=r"^https?://[^\s/]+$")] = DEFAULT_INFLUX_URL
    influx_org: Annotated[str, Field(min_length=1, max_length=64)] = DATABASE
    influx_database: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,32}$")] = DATABASE
    influx_token_file: Path = Path("secrets/historian.token")

    @property
    def keep_days(self) -> dict[str, int]:
        """Return the days that are kept, by tier."""
        return {
            "full": self.keep_full_days,
            "1m": self.keep_1m_days,
            "15m": self.keep_15m_days,
            "1d": self.keep_1d_days,
        }
