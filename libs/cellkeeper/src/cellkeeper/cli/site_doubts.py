"""What is possible in a site.toml but hardly meant: dates in the future, kilowatts for watts. Pure."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from cellkeeper.contract.site import Site

LONGEST_H: Final = 100.0  # that a battery room is built for; telecommunication sites have up to 72
SHORTEST_H: Final = 1.0 / 60.0


def site_doubts(site: Site, now: datetime) -> Iterator[str]:
    """Yield what a person should look at again, with what to do.

    Args:
        site: the description.
        now: by the clock of this machine.
    """
    yield from _dates(site, now)
    for bus in site.dcbus:
        stored_wh = sum(
            string.cells * string.cells_per_unit * string.profile.nominal_v * string.rated_ah
            for string in site.string
            if string.dcbus == bus.id
        )
        if bus.load_w is None or not stored_wh:
            continue
        hours = stored_wh / bus.load_w
        if not SHORTEST_H <= hours <= LONGEST_H:
            lasts = f"{hours:.0f} h" if hours > LONGEST_H else f"{3600.0 * hours:.0f} s"
            yield f"dcbus {bus.id}: load_w {bus.load_w:g} would last {lasts}; write watts, of all its strings together"


def _dates(site: Site, now: datetime) -> Iterator[str]:
    for string in site.string:
        if string.commissioned is not None and string.commissioned > now.date():
            yield f"string {string.id}: commissioned {string.commissioned} lies in the future; ages begin anew there"
        for cell, life in string.life.items():
            if life.since is not None and life.since > now:
                told = life.since.isoformat(timespec="seconds")
                yield f"string {string.id}: since {told} of cell {cell} lies in the future; it counts from now on"
