"""What was learned of a cell follows it to the place where it is now. Pure.

Every estimator keeps its memory by place. When cells change places their columns change with them; what is remembered
of a cell that is gone stays in its column and is dropped by the estimator that meets another cell's mark there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import numpy as np

from analytics.cells import Cells, order_of
from analytics.estimating import Memory
from analytics.impedance.track import Track, columns_of
from analytics.readings import Layout, Places

_SOC: Final = ("soc_frac", "sd_frac", "gain_cov", "source", "anchored_at_s", "held")
_LIFE: Final = ("years", "pace", "born_s", "age_frac", "news", "state", "p_6m", "p_12m", "lives")


@dataclass(frozen=True, slots=True)
class Brought:
    """A memory whose columns are those of the cells that are there now, and which strings had a change of places."""

    memory: Memory
    strings: tuple[str, ...] = ()


def brought(memory: Memory, cells: Cells, layout: Layout) -> Brought:
    """Return the memory with the columns of each cell at the place where the cell is now.

    Args:
        memory: of the batch before.
        cells: of now.
        layout: of the site.
    """
    order = order_of(memory.soh.lives, cells.marks)
    if order is None:
        return Brought(memory)
    moved = np.flatnonzero(order != np.arange(layout.units))
    touched = sorted({int(place) for place in layout.string_of[moved]})
    soh = replace(
        memory.soh,
        learned=_all(memory.soh.learned, order),
        lives=memory.soh.lives[order],
        waiting=tuple(None if at in touched else each for at, each in enumerate(memory.soh.waiting)),
    )
    after = replace(
        memory,
        soc=replace(
            memory.soc,
            unit=_all(memory.soc.unit, order),
            kalman=_all(memory.soc.kalman, order),
            parts=_all(memory.soc.parts, order),
            **_named(memory.soc, _SOC, order),
        ),
        runtime=replace(
            memory.runtime,
            learned=_all(memory.runtime.learned, order),
            before_degc=memory.runtime.before_degc[order],
        ),
        recorder=replace(memory.recorder, beliefs=_all(memory.recorder.beliefs, order)),
        soh=soh,
        impedance=replace(memory.impedance, tracks=_tracks(memory.impedance.tracks, order, layout)),
        life=replace(memory.life, **_named(memory.life, _LIFE, order)),
    )
    return Brought(after, tuple(layout.strings[at] for at in touched))


def _all[P: Any](part: P, order: Places) -> P:
    """Return a part of which every array lies along the units, in another order."""
    taken: P = replace(part, **{each.name: getattr(part, each.name)[..., order] for each in fields(part)})
    return taken


def _named(part: object, names: tuple[str, ...], order: Places) -> Mapping[str, Any]:
    return {name: getattr(part, name)[order] for name in names}


def _tracks(tracks: tuple[Track, ...], order: Places, layout: Layout) -> tuple[Track, ...]:
    """Return the tracks with the columns of each cell at its place; across strings a trend begins anew."""
    after = []
    for track in tracks:
        if track.string not in layout.strings:
            after.append(track)
            continue
        span = layout.span(layout.strings.index(track.string))
        own = order[span] - span.start
        is_inside = (own >= 0) & (own < len(own))
        after.append(columns_of(track, np.where(is_inside, own, np.arange(len(own)))))
    return tuple(after)
