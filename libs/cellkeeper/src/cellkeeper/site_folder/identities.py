"""Makes and renews the certificates of a site: two authorities, the broker, every service, readers that ask for one.

The authority of services also vouches for the broker; the one of readers is good for readers alone. Ten years are
enough time for `ca.crt` to hold two authorities for two years, the old and the next one, so that readers can be given
the new file before the first certificate depends on it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal

from cellkeeper.policy.access import Access
from cellkeeper.policy.mosquitto import AUTHORITY_OF_READERS, AUTHORITY_OF_SERVICES
from cellkeeper.runtime.certificate_facts import CertificateFacts
from cellkeeper.runtime.certificates import (
    CA_NEXT_AT_LEFT_DAYS,
    KeyPair,
    facts,
    is_issued_by,
    needs_renewal,
    new_authority,
    new_client,
    new_server,
)
from cellkeeper.site_folder.layout import PRIVATE, PRIVATE_DIR, PUBLIC, READABLE_DIR, Desk, SiteFolder

SIGN_WITH_NEXT_AT_LEFT: Final = timedelta(days=365)
READER_DAYS: Final = 397  # readers renew by hand: once a year, with a month to do it
BROKER_NAME: Final = "broker"
COMMAND_LINE: Final = "cli"
PROBE: Final = "probe"

type AuthorityName = Literal["services", "readers"]


@dataclass(slots=True)
class Registry:
    """Issues certificates in one site folder.

    Attributes:
        desk: writes the files.
        site_id: stands in the names of the authorities.
        access: hosts of the broker, owners of files.
        now: when.
        renew: replace what is near its end; without it everything that exists stays as it is.
        owner: user number of what is neither the broker's nor a service's.
    """

    desk: Desk
    site_id: str
    access: Access
    now: datetime
    renew: bool
    owner: int

    @property
    def folder(self) -> SiteFolder:
        """The site's folder."""
        return self.desk.folder

    def authorities(self) -> None:
        """Have both authorities, and the next one of each in good time."""
        self.desk.make_dir(self.folder.authorities, PRIVATE_DIR, self.owner)
        for name in ("services", "readers"):
            bundle = self._bundle(name)
            if bundle and not (self.renew and self._is_near_end(bundle[-1])):
                continue
            pair = new_authority(f"Cellkeeper {self.site_id} {name} {self.now:%Y-%m}", self.now)
            number = len(bundle)
            self.desk.put(self.folder.authorities / f"{name}-{number}.key", pair.key, PRIVATE, self.owner)
            self.desk.put(self.folder.authorities / f"{name}-{number}.crt", pair.certificate, PUBLIC, self.owner)

    def _is_near_end(self, certificate: bytes) -> bool:
        return needs_renewal(certificate, "the authority", self.now, CA_NEXT_AT_LEFT_DAYS)

    def _bundle(self, name: AuthorityName) -> list[bytes]:
        return [path.read_bytes() for path in sorted(self.folder.authorities.glob(f"{name}-*.crt"))]

    def trusted(self, name: AuthorityName) -> bytes:
        """Return the certificates of an authority that have not expired, oldest first."""
        return b"".join(pem for pem in self._bundle(name) if facts(pem, name).not_after > self.now)

    def _signer(self, name: AuthorityName) -> KeyPair:
        """Return the oldest that has a year left: who was given only its certificate still trusts what it signs."""
        bundle = self._bundle(name)
        lasting = [n for n, pem in enumerate(bundle) if facts(pem, name).left(self.now) > SIGN_WITH_NEXT_AT_LEFT]
        number = lasting[0] if lasting else len(bundle) - 1
        return KeyPair((self.folder.authorities / f"{name}-{number}.key").read_bytes(), bundle[number])

    def broker(self) -> None:
        """Have the broker's certificate for its hosts, and whom it trusts."""
        place, uid = self.folder.broker, self.access.broker.uid
        self.desk.make_dir(place, PRIVATE_DIR, uid)
        self.desk.put(place / AUTHORITY_OF_SERVICES, self.trusted("services"), PUBLIC, uid)
        self.desk.put(place / AUTHORITY_OF_READERS, self.trusted("readers"), PUBLIC, uid)
        hosts = tuple(self.access.broker.hosts)
        there = _facts_of(place / "broker.crt")
        if there is None or there.hosts != hosts or self._is_due(place / "broker.crt", "services"):
            pair = new_server(BROKER_NAME, hosts, self._signer("services"), self.now)
            self._put_pair(place, "broker", pair, uid)

    def client(self, user: str, authority: AuthorityName, uid: int) -> None:
        """Have the folder of a service or of the command line, with its certificate."""
        self.desk.make_dir(self.folder.path / "secrets", READABLE_DIR, self.owner)
        self._papers(self.folder.secrets_of(user), user, authority, uid)

    def probe(self) -> None:
        """Have the certificate of the broker's health check, beside the broker."""
        self._papers(self.folder.probe, PROBE, "readers", self.access.broker.uid)

    def _papers(self, place: Path, user: str, authority: AuthorityName, uid: int) -> None:
        self.desk.make_dir(place, PRIVATE_DIR, uid)
        self.desk.put(place / "ca.crt", self.trusted("services"), PUBLIC, uid)
        if not (place / "client.crt").exists() or self._is_due(place / "client.crt", authority):
            self._put_pair(place, "client", new_client(user, self._signer(authority), self.now), uid)

    def hand_over(self, reader: str) -> Path:
        """Write a new certificate for a reader into a folder to be handed over, and return that folder."""
        place = self.folder.handover_of(reader)
        self.desk.make_dir(place.parent, PRIVATE_DIR, self.owner)
        self.desk.make_dir(place, PRIVATE_DIR, self.owner)
        self.desk.put(place / "ca.crt", self.trusted("services"), PUBLIC, self.owner)
        pair = new_client(reader, self._signer("readers"), self.now, READER_DAYS)
        self._put_pair(place, "client", pair, self.owner)
        return place

    def _put_pair(self, place: Path, name: str, pair: KeyPair, uid: int) -> None:
        # the key first: who reads between the two meets an old certificate with a new key, says so and tries again
        self.desk.put(place / f"{name}.key", pair.key, PRIVATE, uid)
        self.desk.put(place / f"{name}.crt", pair.certificate, PUBLIC, uid)

    def _is_due(self, path: Path, authority: AuthorityName) -> bool:
        """Return whether it is to be replaced: near its end, or of an authority that was thrown away."""
        pem = path.read_bytes()
        if not is_issued_by(pem, self.trusted(authority), str(path)):
            return True
        return self.renew and needs_renewal(pem, str(path), self.now)


def _facts_of(path: Path) -> CertificateFacts | None:
    return facts(path.read_bytes(), str(path)) if path.exists() else None


def all_certificates(folder: SiteFolder) -> list[tuple[Path, CertificateFacts]]:
    """Return every certificate of a site's folder with its facts, the one that ends first first."""
    rooms = (folder.authorities, folder.broker, folder.path / "secrets", folder.path / "handover")
    found = {
        path: facts(path.read_bytes(), str(path))
        for room in rooms
        for path in room.rglob("*.crt")
        if path.name in {"broker.crt", "client.crt"} or path.parent == folder.authorities
    }
    return sorted(found.items(), key=lambda each: each[1].not_after)
