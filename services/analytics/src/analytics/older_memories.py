"""What older versions did not remember, or remembered otherwise: begun once, right behind the file. Pure.

A field that a file lacks has its default when it is read, which holds no entries. Here it gets its beginning, so that
estimators find every field in today's shape. They do not check it: with a single string an array without entries
passes through their sums unnoticed. Only what depends on the site or on other fields needs a row; where the default
itself is the beginning, nothing is to be done. A row may go when no version that upgrades are made from wrote without
it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final
from zlib import crc32

import numpy as np

from analytics.cells import ABOVE_LIVES, mark_of, places_of
from analytics.estimating import Memory
from analytics.impedance.track import Track
from analytics.ledger import cell_key
from analytics.lives import Counts
from analytics.readings import Layout
from analytics.soc.memory import Owed, Parts


@dataclass(frozen=True, slots=True)
class Newer:
    """Fields that older memories lack, or whose meaning is newer.

    Attributes:
        fields: by part of `Memory`.
        since: what they came with. All files are of format 1: which fields one has shows in what it names.
        begun: the memory with them; the same one where they are there.
    """

    fields: tuple[str, ...]
    since: str
    begun: Callable[[Memory, Layout], Memory]


def completed(memory: Memory, layout: Layout) -> Memory:
    """Return a memory in today's shape.

    Args:
        memory: as a file gave it back, of any version.
        layout: of today, which it has been given.
    """
    for each in NEWER:
        memory = each.begun(memory, layout)
    return memory


def _marks(memory: Memory, layout: Layout) -> Memory:
    """Cells have the marks that their lives stand for: a cell that was never moved is where it was."""
    lives = memory.soh.lives
    soh, life = _marked(lives, layout), _marked(memory.life.lives, layout)
    if soh is lives and life is memory.life.lives:
        return memory
    tracks = tuple(_renamed(track, lives, soh, layout) for track in memory.impedance.tracks)
    return replace(
        memory,
        soh=replace(memory.soh, lives=soh),
        life=replace(memory.life, lives=life),
        impedance=replace(memory.impedance, tracks=tracks),
    )


def _marked(lives: Counts, layout: Layout) -> Counts:
    """Return marks (N,) for lives, which name a cell too; the same array where it holds no life."""
    if not ((lives > 0) & (lives < ABOVE_LIVES)).any():
        return lives
    found = lives.copy()
    for at, place in enumerate(places_of(layout)):
        if 0 < lives[at] < ABOVE_LIVES:
            found[at] = mark_of(cell_key(place, int(lives[at])))
    return found


def _renamed(track: Track, lives: Counts, marks: Counts, layout: Layout) -> Track:
    """Return a track whose marks name the cells; before they were made of lives, and of no kind of terminal."""
    if track.string not in layout.strings:
        return track
    span = layout.span(layout.strings.index(track.string))
    was = np.array([crc32(f"{life}|".encode()) for life in lives[span].tolist()], dtype=np.int64)
    now = np.array([crc32(f"{mark}|".encode()) for mark in marks[span].tolist()], dtype=np.int64)
    return replace(track, fitted=np.where(track.fitted == was, now, track.fitted)) if len(was) == len(now) else track


def _owed(memory: Memory, layout: Layout) -> Memory:
    """Nothing is owed: the units were carried on in every scan."""
    if len(memory.soc.owed.s):
        return memory
    return replace(memory, soc=replace(memory.soc, owed=Owed.nothing(len(layout.strings), layout.units)))


def _parts(memory: Memory, layout: Layout) -> Memory:  # noqa: ARG001  # as all rows
    """The whole error is one of the start: what is told is no surer than before."""
    if len(memory.soc.parts.start_frac):
        return memory
    return replace(memory, soc=replace(memory.soc, parts=Parts.begin(memory.soc.sd_frac)))


def _held(memory: Memory, layout: Layout) -> Memory:
    """The instruments of no string were held together yet."""
    if len(memory.runtime.held):
        return memory
    return replace(memory, runtime=replace(memory.runtime, held=np.full(len(layout.strings), np.nan)))


NEWER: Final = (
    Newer(("soh.lives", "life.lives", "impedance.tracks"), "cells have a ledger; before, lives stood there", _marks),
    Newer(("soc.owed",), "scans are summed up per string", _owed),
    Newer(("soc.parts",), "bounds are told by what they are made of", _parts),
    Newer(("runtime.held",), "the wiring is seen where volts are measured at the UPS", _held),
)
