"""`cellkeeper home-assistant`: a site for Home Assistant's MQTT discovery, as lines that a person publishes."""

from pathlib import Path
from typing import Annotated

import orjson
import typer

from cellkeeper.contract.home_assistant import discovery
from cellkeeper.contract.site_file import load_site


def home_assistant(
    site_file: Annotated[
        Path, typer.Argument(metavar="SITE.TOML", envvar="CELLKEEPER_SITE_FILE", help="the description of a site")
    ] = Path("site.toml"),
    *,
    remove: Annotated[
        bool, typer.Option("--remove", help="print lines that take every device away again: topics without a payload")
    ] = False,
) -> None:
    """Print a line per string for Home Assistant's MQTT discovery: a topic, a tab, its payload; to be retained."""
    for topic, payload in discovery(load_site(site_file)):
        typer.echo(f"{topic}\t{'' if remove else orjson.dumps(payload).decode()}")
