"""Which cell is at each place of the layout, as numbers; what was learned goes with the cell, or ends. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Self

import numpy as np
from cellkeeper.contract.site import Site

from analytics.ledger import LONG_AGO_S, CellLedger, Described, Place, cell_key
from analytics.lives import Counts
from analytics.readings import Floats, Layout

ABOVE_LIVES: Final = 10_000  # a life is 9999 at most: a mark is never taken for one, nor for 0, which is none


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells of a layout, (N,).

    Attributes:
        marks: a number per cell that goes with it wherever it is.
        born_s: event time at which it came to the site; minus infinity where it was there always.
    """

    marks: Counts
    born_s: Floats

    @classmethod
    def of(cls, layout: Layout, ledger: CellLedger) -> Self:
        """Return the cells that are at each place now, as the ledger has it."""
        marks, born_s = np.zeros(layout.units, dtype=np.int64), np.full(layout.units, LONG_AGO_S)
        for at, place in enumerate(places_of(layout)):
            stay = ledger.present(place)
            marks[at] = mark_of(cell_key(place, 1) if stay is None else stay.cell)
            if stay is not None and stay.from_s != LONG_AGO_S:
                born_s[at] = ledger.born_s(stay)
        return cls(marks, born_s)

    @classmethod
    def described(cls, layout: Layout, site: Site) -> Self:
        """Return the cells as `site.toml` alone describes them."""
        ledger, _ = CellLedger().describe(said_of(site), 0.0)
        return cls.of(layout, ledger)


def places_of(layout: Layout) -> list[Place]:
    """Return string and position (N) of each unit."""
    strings = enumerate(layout.strings)
    return [
        (string, 1 + at) for place, string in strings for at in range(layout.first[place + 1] - layout.first[place])
    ]


def said_of(site: Site) -> Mapping[Place, Described]:
    """Return what `site.toml` says of the cell at every place."""
    said: dict[Place, Described] = {}
    for string in site.string:
        for cell in range(1, string.cells + 1):
            told = string.life.get(cell)
            since_s = None if told is None or told.since is None else told.since.timestamp()
            said[string.id, cell] = Described() if told is None else Described(told.life, since_s, told.name)
    return said


def mark_of(cell: str) -> int:
    """Return the mark of a cell by its key."""
    return ABOVE_LIVES + int.from_bytes(blake2b(cell.encode(), digest_size=7).digest())


def order_of(before: Counts, now: Counts) -> "np.ndarray[tuple[int], np.dtype[np.intp]] | None":
    """Return from which place (N,) each cell of now came, its own where it is unknown; None when none has moved."""
    away = np.flatnonzero(before != now)
    if not len(away):
        return None
    was = {int(before[at]): int(at) for at in away.tolist() if before[at]}
    order = np.arange(len(now))
    for at in away.tolist():
        order[at] = was.get(int(now[at]), at)
    return order if (order != np.arange(len(now))).any() else None
