"""What a process is told by its environment, `CELLKEEPER_*`. Everything about the site itself is in `site.toml`."""

import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from cellkeeper.contract.identity import Id
from cellkeeper.contract.site import Site
from cellkeeper.contract.site_file import SiteFileError, load_site
from cellkeeper.runtime.address import BrokerAddress
from cellkeeper.runtime.clock import Clock, clock_from
from cellkeeper.runtime.errors import StartRefusedError
from cellkeeper.runtime.tls import TlsFiles

Port = Annotated[int, Field(ge=0, le=65_535)]


class ServiceSettings(BaseSettings):
    """Settings that every service has.

    Attributes:
        service: the instance's id; each running process of a site has its own.
        site_file: the description of the site.
        state_dir: where the service keeps what must survive; one folder per service below it.
        mqtt_host, mqtt_port: the broker.
        secrets_dir: this service's own folder with `ca.crt`, `client.crt` and `client.key`; the link then is TLS 1.3
            and nothing else. Absent for a broker on loopback that takes everybody.
        http_port: loopback port of health and metrics; 0 for none.
        clock: a scaled clock as `start_ms:speed:origin_s`; absent for the system's.
        die_with_parent: end when the supervising process ends, however it ends.
    """

    model_config = SettingsConfigDict(env_prefix="CELLKEEPER_", extra="ignore", frozen=True)

    service: Id
    site_file: Path = Path("site.toml")
    state_dir: Path = Path("state")
    mqtt_host: str = "127.0.0.1"
    mqtt_port: Port = 1883
    secrets_dir: Path | None = None
    http_port: Port = 0
    clock: str | None = None
    log_format: Literal["console", "json"] = "console"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    die_with_parent: bool = False

    @classmethod
    def from_environment(cls, **defaults: str) -> Self:
        """Return the settings; `defaults` stand where the environment says nothing.

        Raises:
            StartRefusedError: a setting is missing or impossible; the text names the variable.
        """
        try:
            return cls.model_validate({**defaults, **cls._environment()})
        except ValidationError as exc:
            problems = [f"CELLKEEPER_{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in exc.errors()]
            raise StartRefusedError("; ".join(problems)) from exc

    @classmethod
    def _environment(cls) -> dict[str, str]:
        names = {f"CELLKEEPER_{name.upper()}": name for name in cls.model_fields}
        return {names[key]: value for key, value in os.environ.items() if key in names}

    def load_site(self) -> Site:
        """Return the site; raises StartRefusedError with file, line and advice."""
        try:
            return load_site(self.site_file)
        except SiteFileError as exc:
            raise StartRefusedError(str(exc)) from exc

    def make_clock(self) -> Clock:
        """Return the clock of this process; raises StartRefusedError."""
        try:
            return clock_from(self.clock)
        except ValueError as exc:
            raise StartRefusedError(f"CELLKEEPER_CLOCK: {exc}") from exc

    def broker_address(self) -> BrokerAddress:
        """Return where the broker is and how this service proves who it is."""
        tls = TlsFiles(self.secrets_dir) if self.secrets_dir is not None else None
        return BrokerAddress(self.mqtt_host, self.mqtt_port, tls)

    def own_dir(self) -> Path:
        """Return this service's folder for state, made when it is not there; raises StartRefusedError."""
        folder = self.state_dir / self.service
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise StartRefusedError(f"{folder}: {exc.strerror}; choose another CELLKEEPER_STATE_DIR") from exc
        return folder
