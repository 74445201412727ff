"""`cellkeeper certificates`: how long each is valid, and renewal of those that are near their end."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cellkeeper.cli.init import near_their_end, starter_site, wish_for
from cellkeeper.site_folder.furnish import furnish, load_access
from cellkeeper.site_folder.identities import all_certificates
from cellkeeper.site_folder.layout import SiteFolder

FAILED = 1

Folder = Annotated[Path, typer.Argument(help="the site's folder, as `cellkeeper init` made it")]

certificates = typer.Typer(name="certificates", help="Show and renew the certificates of a site.", no_args_is_help=True)


@certificates.command("show")
def show(folder: Folder) -> None:
    """Show every certificate with the days it has left; exit code 1 when one should have been renewed."""
    place, now = SiteFolder(folder), datetime.now(UTC)
    place.require()
    table = Table("certificate", "name", "valid from", "until", "days left")
    for path, found in all_certificates(place):
        valid = (f"{found.not_before:%Y-%m-%d}", f"{found.not_after:%Y-%m-%d}", str(found.left(now).days))
        table.add_row(str(path.relative_to(folder)), found.name, *valid)
    Console().print(table)
    due = near_their_end(place, now)
    for line in due:
        typer.echo(line, err=True)
    if due:
        raise typer.Exit(FAILED)


@certificates.command("renew")
def renew(folder: Folder) -> None:
    """Renew what has less than 30 days left; run it every day. Clients take the new files at their next connection.

    Authorities get a successor two years before they end; the old one stays trusted.
    """
    place = SiteFolder(folder)
    place.require()
    changes = furnish(place, wish_for(starter_site(), load_access(place), renew=True))
    for line in changes:
        typer.echo(line)
    if any("broker.crt" in line for line in changes):
        typer.echo("let the broker read its new certificate: send it SIGHUP (`cellkeeper up` does so by itself)")
    elif not changes:
        typer.echo("nothing is near its end")
    by_hand = [line for line in near_their_end(place, datetime.now(UTC)) if line.startswith("handover/")]
    for line in by_hand:
        typer.echo(f"{line.split(';')[0]}; hand a new one over: `cellkeeper readers renew`", err=True)
