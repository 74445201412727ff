"""Which services a site has: those that `site.toml` names and those whose presence was seen. Pure."""

from collections.abc import Collection
from typing import Final

from cellkeeper.contract.channels import PRESENCE
from cellkeeper.contract.notices import Presence
from cellkeeper.contract.wire import PayloadRefusedError, decode
from cellkeeper.runtime.session import Incoming

MAX_SERVICES: Final = 64  # anybody on the broker can invent presences; a site has some ten services


class ServiceRegister:
    """Remembers every service instance and the version it last ran.

    A service that is gone stays, its presence is retained; one whose presence topic was cleared goes, unless
    `site.toml` names it.

    Args:
        named: service ids that `site.toml` names.
        own: our id; what the broker kept of our last run does not count.
        own_version: what runs here.
    """

    def __init__(self, named: Collection[str], own: str, own_version: str) -> None:
        self.refused = 0
        self._named = frozenset(named)
        self._own = own
        self._versions = {own: own_version}

    @property
    def services(self) -> list[str]:
        """Ids of all instances, sorted."""
        return sorted(self._named | self._versions.keys())

    @property
    def versions(self) -> dict[str, str]:
        """Version by service id; a service that never spoke has none."""
        return dict(sorted(self._versions.items()))

    def on_presence(self, message: Incoming) -> None:
        """Take a presence; what is not readable, of somebody else, or one too many is counted in `refused`."""
        ids = PRESENCE.match(message.topic)
        if ids is None or ids["service"] == self._own:
            return
        service = ids["service"]
        if not message.payload:
            self._versions.pop(service, None)
            return
        try:
            presence = decode(Presence, message.payload)
        except PayloadRefusedError:
            self.refused += 1
            return
        is_new = service not in self._versions
        if presence.service != service or (is_new and len(self._versions) >= MAX_SERVICES):
            self.refused += 1
            return
        self._versions[service] = presence.version
