"""`cellkeeper readers`: who may read from outside the suite, and which commands they may give."""

import shutil
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cellkeeper.cli.init import starter_site, wish_for
from cellkeeper.contract.identity import ID_PATTERN
from cellkeeper.contract.site_file import load_site
from cellkeeper.runtime.errors import StartRefusedError
from cellkeeper.site_folder.furnish import Wish, furnish, load_access
from cellkeeper.site_folder.identities import Registry
from cellkeeper.site_folder.layout import Desk, SiteFolder
from cellkeeper.site_folder.readers import Reader, Readers, load_readers, with_password

Folder = Annotated[Path, typer.Argument(help="the site's folder, as `cellkeeper init` made it")]
Name = Annotated[str, typer.Argument(help="the reader's name: a-z, 0-9, _ and -")]

readers = typer.Typer(name="readers", help="Let SCADA, tools and people read.", no_args_is_help=True)


@readers.command("add")
def add(
    folder: Folder,
    name: Name,
    *,
    certificate: Annotated[bool, typer.Option("--certificate", help="with a certificate, not a password")] = False,
    may_command: Annotated[
        list[str] | None, typer.Option(help="a command it may give, for example bus-gateway/identify; may be repeated")
    ] = None,
) -> None:
    """Add a reader and show its credentials, once."""
    place, known = _open(folder)
    if known.named(name) is not None:
        raise StartRefusedError(f"reader {name!r} is there already; remove it first, or choose another name")
    commands = tuple(may_command or ())
    password = None
    try:
        if certificate:
            reader = Reader(name=name, login="certificate", commands=commands)
        else:
            reader, password = with_password(name, commands)
    except ValueError as exc:
        raise typer.BadParameter(f"{name!r} is no name; it has to match {ID_PATTERN}") from exc
    wish = _wish(place, known.with_one(reader))
    furnish(place, wish)
    _show_once(place, wish, reader, password)


@readers.command("renew")
def renew(folder: Folder, name: Name) -> None:
    """Make a new password or certificate for a reader and show it, once; the old password ends with the next start."""
    place, known = _open(folder)
    old = _require(known, name)
    reader, password = (old, None) if old.login == "certificate" else with_password(name, old.commands)
    wish = _wish(place, known.without(name).with_one(reader))
    furnish(place, wish)
    _show_once(place, wish, reader, password)


@readers.command("remove")
def remove(folder: Folder, name: Name) -> None:
    """Remove a reader: the broker knows it no longer from its next start on, whatever certificate it has."""
    place, known = _open(folder)
    _require(known, name)
    furnish(place, _wish(place, known.without(name)))
    shutil.rmtree(place.handover_of(name), ignore_errors=True)
    typer.echo(f"{name} is removed; start the broker again now, until then it is still let in")


@readers.command("list")
def list_all(folder: Folder) -> None:
    """Show every reader with what it may ask for."""
    _, known = _open(folder)
    table = Table("name", "login", "may command")
    for reader in known.readers:
        table.add_row(reader.name, reader.login, ", ".join(reader.commands) or "nothing")
    Console().print(table)


def _open(folder: Path) -> tuple[SiteFolder, Readers]:
    place = SiteFolder(folder)
    place.require()
    return place, load_readers(place)


def _require(known: Readers, name: str) -> Reader:
    found = known.named(name)
    if found is None:
        there = ", ".join(reader.name for reader in known.readers) or "none"
        raise StartRefusedError(f"there is no reader {name!r}; there are {there}")
    return found


def _wish(place: SiteFolder, wanted: Readers) -> Wish:
    return wish_for(starter_site(), load_access(place), readers=wanted)


def _show_once(place: SiteFolder, wish: Wish, reader: Reader, password: str | None) -> None:
    access, site = load_access(place), load_site(place.site_file)
    broker, topic = access.broker, f"cellkeeper/v1/{site.site.id}/#"
    authority = place.secrets_of("cli") / "ca.crt"
    typer.echo("start the broker again, so that it knows this reader. What it needs, shown only now:\n")
    if password is not None:
        typer.echo(f"user      {reader.name}\npassword  {password}\nport      {broker.readers_port} (TLS 1.2 or newer)")
        typer.echo(f"authority {authority}\n")
        login = f"-p {broker.readers_port} --cafile {authority} -u {reader.name} -P '{password}'"
    else:
        registry = Registry(Desk(place), site.site.id, access, wish.now, renew=False, owner=wish.owner)
        papers = registry.hand_over(reader.name)
        typer.echo(f"files     {papers} (hand them over, then delete the folder)")
        typer.echo(f"port      {broker.readers_certificate_port} (TLS 1.2 or newer)\n")
        login = f"-p {broker.readers_certificate_port} --cafile {papers}/ca.crt --cert {papers}/client.crt"
        login += f" --key {papers}/client.key"
    typer.echo(f"mosquitto_sub -h {broker.hosts[0]} {login} -v -t '{topic}'")
