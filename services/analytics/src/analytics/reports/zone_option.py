"""The zone of the times that a command shows: one that is not known is refused, and never shown as another."""

import typer

from analytics.dossier.words import known_zone


def zone_option(text: str) -> str:
    """Return the name of a zone; a usage error when this machine does not know it."""
    try:
        return known_zone(text)
    except ValueError as exc:
        raise typer.BadParameter(str(exc)) from exc
