"""Brings a site's folder to what `site.toml`, `access.toml` and `readers.json` say; what is so stays untouched."""

import hashlib
import secrets
import shutil
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import Final

from pydantic import ValidationError

from cellkeeper.contract.site import Site
from cellkeeper.contract.site_file import load_site
from cellkeeper.policy.access import Access, access_toml
from cellkeeper.policy.dynamic_security import policy
from cellkeeper.policy.mosquitto import mosquitto_conf
from cellkeeper.policy.roles import GrantError, Role, all_commands, probe_role, reader_role, service_role
from cellkeeper.runtime.errors import StartRefusedError
from cellkeeper.site_folder.identities import BROKER_NAME, COMMAND_LINE, PROBE, Registry
from cellkeeper.site_folder.layout import PRIVATE, PRIVATE_DIR, PUBLIC, READABLE_DIR, Desk, SiteFolder
from cellkeeper.site_folder.readers import Readers, load_readers, save_readers

EXECUTABLE: Final = 0o555
GRAFANA_PASSWORD_BYTES: Final = 24
SEALED: Final = ("policy.json", "mosquitto.conf")


type KindsOf = Callable[[Site], Mapping[str, str]]
"""Tells the kind of every service instance of a site, by its name; the command line knows which are installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a folder is furnished with.

    Attributes:
        site_text: `site.toml` of a new folder; one that is there stays.
        access: `access.toml` of a new folder; one that is there stays.
        kinds_of: which services the site has.
        now: when.
        owner: user number of what is neither the broker's nor a service's.
        readers: replaces `readers.json`; None to keep it.
        renew: also replace certificates that are near their end.
    """

    site_text: bytes
    access: Access
    kinds_of: KindsOf
    now: datetime
    owner: int
    readers: Readers | None = None
    renew: bool = False


def load_access(folder: SiteFolder) -> Access:
    """Return what `access.toml` says; raises StartRefusedError with key and reason."""
    path = folder.access_file
    try:
        return Access.model_validate(tomllib.loads(path.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise StartRefusedError(f"{path} cannot be read: {exc}") from exc
    except ValidationError as exc:
        told = "; ".join(f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in exc.errors())
        raise StartRefusedError(f"{path}: {told}") from exc


def furnish(folder: SiteFolder, wish: Wish) -> list[str]:
    """Make or complete a site's folder and return what was changed, as lines for a person.

    Raises:
        SiteFileError: `site.toml` describes no possible site.
        StartRefusedError: a file cannot be written or used, or a name is there twice.
    """
    desk = Desk(folder)
    desk.make_dir(folder.path, READABLE_DIR, wish.owner)
    desk.make_dir(folder.batteries, READABLE_DIR, wish.owner)
    desk.put_once(folder.site_file, wish.site_text, PUBLIC, wish.owner)
    desk.put_once(folder.access_file, access_toml(wish.access).encode(), PUBLIC, wish.owner)
    site, access = load_site(folder.site_file), load_access(folder)
    kinds, readers = wish.kinds_of(site), wish.readers or load_readers(folder)
    roles = roles_of(site, kinds, readers)
    save_readers(desk, readers, wish.owner)
    registry = Registry(desk, site.site.id, access, wish.now, wish.renew, wish.owner)
    registry.authorities()
    registry.broker()
    for service in kinds:
        registry.client(service, "services", access.services.uid)
    registry.client(COMMAND_LINE, "readers", wish.owner)
    registry.probe()
    _tell_command_line(desk, access, wish.owner)
    _make_room_for_stores(desk, access.services.uid)
    _render_broker(desk, access, roles, readers)
    desk.put(folder.broker / "start", _script("start.sh"), EXECUTABLE, access.broker.uid)
    desk.put(folder.broker / "healthy", _health_check(access, site.site.id), EXECUTABLE, access.broker.uid)
    _drop_secrets_of_others(desk, {*kinds, COMMAND_LINE})
    return desk.changes


def roles_of(site: Site, kinds: Mapping[str, str], readers: Readers) -> list[Role]:
    """Return the role of every user of a site; raises StartRefusedError when one name stands for two."""
    ours = {*kinds, COMMAND_LINE, PROBE, BROKER_NAME}
    taken = [reader.name for reader in readers.readers if reader.name in ours]
    if taken:
        raise StartRefusedError(f"{taken[0]!r} is the name of a part of the suite; give the reader another name")
    site_id = site.site.id
    try:
        outside = [reader_role(site_id, reader.name, reader.commands) for reader in readers.readers]
    except GrantError as exc:
        raise StartRefusedError(str(exc)) from exc
    return [
        *(service_role(site, service, kinds) for service in kinds),
        reader_role(site_id, COMMAND_LINE, all_commands(kinds)),
        probe_role(site_id, PROBE),
        *outside,
    ]


def _tell_command_line(desk: Desk, access: Access, owner: int) -> None:
    place = desk.folder.secrets_of(COMMAND_LINE)
    lines = {
        "CELLKEEPER_SECRETS_DIR": place.resolve(),
        "CELLKEEPER_SITE_FILE": desk.folder.site_file.resolve(),
        "CELLKEEPER_MQTT_HOST": access.broker.hosts[0],
        "CELLKEEPER_MQTT_PORT": access.broker.readers_certificate_port,
    }
    text = "".join(f"{name}='{value}'\n" for name, value in lines.items())
    desk.put(place / "env", text.encode(), PUBLIC, owner)


def _make_room_for_stores(desk: Desk, uid: int) -> None:
    """Have the folders that `cellkeeper provision` fills with tokens, and a password for Grafana's first user."""
    for user in ("provision", "influxdb", "grafana"):
        desk.make_dir(desk.folder.secrets_of(user), PRIVATE_DIR, uid)
    password = secrets.token_urlsafe(GRAFANA_PASSWORD_BYTES).encode()
    desk.put_once(desk.folder.secrets_of("grafana") / "admin.password", password, PRIVATE, uid)


def _render_broker(desk: Desk, access: Access, roles: list[Role], readers: Readers) -> None:
    place, uid = desk.folder.broker, access.broker.uid
    passwords = {reader.name: reader.password for reader in readers.readers if reader.password is not None}
    content = {
        "policy.json": policy(roles, passwords),
        "mosquitto.conf": mosquitto_conf(access.broker).encode(),
    }
    for name in SEALED:
        desk.put(place / name, content[name], PRIVATE, uid)
    seal = "".join(f"{hashlib.sha256(content[name]).hexdigest()}  {name}\n" for name in SEALED)
    desk.put(place / "sealed.sha256", seal.encode(), PRIVATE, uid)


def _script(name: str) -> bytes:
    return (files("cellkeeper.policy") / name).read_bytes()


def _health_check(access: Access, site_id: str) -> bytes:
    broker = access.broker
    told = {
        b"@SITE@": site_id,
        b"@HOST@": broker.local_host,
        b"@PASSWORD_PORT@": str(broker.readers_port),
        b"@CERTIFICATE_PORT@": str(broker.readers_certificate_port),
    }
    script = _script("healthy.sh")
    for word, value in told.items():
        script = script.replace(word, value.encode())
    return script


def _drop_secrets_of_others(desk: Desk, wanted: set[str]) -> None:
    """Remove the keys of services that the site has no more: the policy knows them no longer either."""
    for place in sorted((desk.folder.path / "secrets").iterdir()):
        if place.is_dir() and place.name not in wanted and (place / "client.key").exists():
            shutil.rmtree(place)
            desk.changes.append(f"removed  {place.relative_to(desk.folder.path)}")
