"""The model of `access.toml`: where the broker of a site listens, under which names, and which users own its files."""

from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Port = Annotated[int, Field(ge=1, le=65_535)]
UserNumber = Annotated[int, Field(ge=0, le=2**31 - 1)]
Host = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?$")]
"""A DNS name or an address."""

SERVICES_PORT: Final = 8883
READERS_PORT: Final = 8884
READERS_CERTIFICATE_PORT: Final = 8885


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BrokerAccess(_Table):
    """`[broker]`: its names and its three listeners."""

    hosts: Annotated[list[Host], Field(min_length=1)]
    uid: UserNumber
    services_bind: Host = "127.0.0.1"
    services_port: Port = SERVICES_PORT
    readers_bind: Host = "127.0.0.1"
    readers_port: Port = READERS_PORT
    readers_certificate_port: Port = READERS_CERTIFICATE_PORT

    @property
    def local_host(self) -> str:
        """The name under which programs on the broker's own machine reach it."""
        return next((name for name in ("localhost", "127.0.0.1") if name in self.hosts), self.hosts[0])

    @model_validator(mode="after")
    def _three_ports(self) -> Self:
        if len({self.services_port, self.readers_port, self.readers_certificate_port}) < 3:
            raise ValueError("services_port, readers_port and readers_certificate_port must differ")
        return self


class ServicesAccess(_Table):
    """`[services]`: the user that services run as, and that owns their secrets."""

    uid: UserNumber


class Access(_Table):
    """A whole `access.toml`, checked."""

    broker: BrokerAccess
    services: ServicesAccess


def access_toml(access: Access) -> str:
    """Return the file that says this, with words for who edits it."""
    broker = access.broker
    hosts = ", ".join(f'"{host}"' for host in broker.hosts)
    return f"""\
# Who reaches the broker, and where. Edit it and run `cellkeeper init` on this folder again.

[broker]
hosts = [{hosts}]   # names and addresses that clients use; they stand in the broker's certificate
uid = {broker.uid}                       # the user that Mosquitto runs as; it owns the folder broker/
services_bind = "{broker.services_bind}"     # services: certificate, TLS 1.3, MQTT 5. "0.0.0.0" inside a container
services_port = {broker.services_port}
readers_bind = "{broker.readers_bind}"      # SCADA and people: TLS 1.2 up, MQTT 3.1.1 and 5. "0.0.0.0" for the network
readers_port = {broker.readers_port}              # with a password
readers_certificate_port = {broker.readers_certificate_port}  # with a certificate

[services]
uid = {access.services.uid}                      # the user that services run as; it owns their folders in secrets/
"""
