"""`cellkeeper init`: the folder that a site server runs from, with certificates, policy and secrets of its own."""

import os
import re
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Final

import typer
from pydantic import ValidationError

from cellkeeper.cli.suite_plan import installed_services, instances
from cellkeeper.contract.site import Site
from cellkeeper.policy.access import Access, BrokerAccess, ServicesAccess
from cellkeeper.runtime.certificate_facts import utc
from cellkeeper.runtime.errors import StartRefusedError
from cellkeeper.site_folder.furnish import Wish, furnish
from cellkeeper.site_folder.identities import all_certificates
from cellkeeper.site_folder.layout import SiteFolder
from cellkeeper.site_folder.readers import Readers

ROOT_UID: Final = 0
SERVICES_UID: Final = 10_001  # as the images run
BROKER_UID: Final = 1883  # as Mosquitto's own image runs
EVERYWHERE: Final = "0.0.0.0"  # noqa: S104  # inside a container; what is published decides who gets there
LOOPBACK: Final = "127.0.0.1"
IN_STACK: Final = ("broker", "localhost")  # as the services of docker-compose.yml and the broker's own probe call it


def init(  # noqa: PLR0913  # options of a command line, each with a default
    folder: Annotated[Path, typer.Argument(help="the site's folder; made when it is not there")],
    *,
    site: Annotated[Path | None, typer.Option(help="a site.toml to begin with; else the commented example")] = None,
    host: Annotated[
        list[str] | None, typer.Option(help="a name or address under which clients reach the broker; may be repeated")
    ] = None,
    listen: Annotated[str, typer.Option(help="where readers are listened for; 0.0.0.0 for the network")] = LOOPBACK,
    container: Annotated[bool, typer.Option("--container", help="the broker runs in a container")] = False,
    uid: Annotated[int | None, typer.Option(min=0, help="the user that services run as; root only")] = None,
    broker_uid: Annotated[int | None, typer.Option(min=0, help="the user that the broker runs as; root only")] = None,
    renew: Annotated[bool, typer.Option("--renew", help="also renew certificates that are near their end")] = False,
) -> None:
    """Make a site's folder: config, certificates, broker policy, secrets. A second run changes nothing.

    After an edit of site.toml or access.toml, run it again: it renders what follows and says what it changed.
    """
    place = SiteFolder(folder)
    is_new = not place.access_file.exists()
    access = _access(host, listen, container=container, uid=uid, broker_uid=broker_uid)
    wish = wish_for(_starter(site), access, renew=renew)
    changes = furnish(place, wish)
    for line in changes:
        typer.echo(line)
    typer.echo("\n".join(_next_steps(place) if is_new else [_summary(changes, renewed=renew)]))
    for warning in near_their_end(place, wish.now):
        typer.echo(warning, err=True)


def wish_for(
    site_text: bytes,
    access: Access,
    *,
    renew: bool = False,
    readers: Readers | None = None,
) -> Wish:
    """Return what a folder is furnished with on this machine, now."""
    return Wish(
        site_text=site_text,
        access=access,
        kinds_of=_kinds_of,
        now=datetime.now(UTC).replace(microsecond=0),
        owner=os.geteuid(),
        readers=readers,
        renew=renew,
    )


def _kinds_of(site: Site) -> Mapping[str, str]:
    return instances(site, installed_services(), ())


def starter_site() -> bytes:
    """Return the commented example of a site."""
    return (files("cellkeeper.cli") / "starter_site.toml").read_bytes()


def _starter(site: Path | None) -> bytes:
    if site is None:
        return starter_site()
    try:
        return site.read_bytes()
    except OSError as exc:
        raise StartRefusedError(f"{site}: {exc.strerror}; name an existing site.toml, or leave --site out") from exc


def _access(
    hosts: list[str] | None, listen: str, *, container: bool, uid: int | None, broker_uid: int | None
) -> Access:
    own = os.geteuid()
    if own != ROOT_UID and {uid, broker_uid} - {None, own}:
        raise StartRefusedError("only root gives files to other users; run `sudo cellkeeper init`, or leave --uid out")
    try:
        return Access(
            broker=BrokerAccess(
                hosts=list(dict.fromkeys([*(hosts or _own_names()), *(IN_STACK if container else ())])),
                uid=_first(broker_uid, BROKER_UID if own == ROOT_UID else own),
                services_bind=EVERYWHERE if container else LOOPBACK,
                readers_bind=EVERYWHERE if container else listen,
            ),
            services=ServicesAccess(uid=_first(uid, SERVICES_UID if own == ROOT_UID else own)),
        )
    except ValidationError as exc:
        told = exc.errors()[0]
        raise typer.BadParameter(f"{'.'.join(map(str, told['loc']))}: {told['msg']} (here {told['input']!r})") from exc


def _first(given: int | None, otherwise: int) -> int:
    return otherwise if given is None else given


def _own_names() -> list[str]:
    own = socket.gethostname()
    return ["localhost", "127.0.0.1", "broker", *([own] if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*", own) else [])]


def _next_steps(folder: SiteFolder) -> list[str]:
    return [
        "",
        f"1. describe the room in {folder.site_file}, then: cellkeeper init {folder.path}",
        f"2. where readers connect, and under which names: {folder.access_file}, then the same",
        f"3. a reader (SCADA, Telegraf, Home Assistant): cellkeeper readers add {folder.path} NAME",
        f"4. run it: cellkeeper up --broker --site {folder.path}",
        f"5. look at it: set -a; . {folder.secrets_of('cli') / 'env'}; set +a; cellkeeper watch",
        f"Every day by a timer: cellkeeper certificates renew {folder.path}",
    ]


def _summary(changes: list[str], *, renewed: bool) -> str:
    if not changes:
        return "everything is as it should be; nothing was changed"
    advice = "the broker takes renewed certificates on SIGHUP; " if renewed else ""
    if any("broker/policy" in line or "broker/mosquitto" in line for line in changes):
        return f"{advice}the broker takes a new policy or configuration when it is started again"
    return advice.removesuffix("; ") or f"{len(changes)} files were changed"


def near_their_end(folder: SiteFolder, now: datetime) -> list[str]:
    """Return a line for each certificate that should have been renewed."""
    return [
        f"{path.relative_to(folder.path)} {'expired' if found.not_after <= now else 'ends'} on {utc(found.not_after)}; "
        f"run `cellkeeper certificates renew {folder.path}`"
        for path, found in all_certificates(folder)
        if path.parent != folder.authorities and found.left(now).days < 30
    ]
