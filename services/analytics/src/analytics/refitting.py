"""Gives what was remembered of strings to a site that was described anew: strings that stayed keep it. Pure."""

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np

from analytics.readings import Layout

type Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Move:
    """From the layout of a file to that of today.

    Attributes:
        before, now: the layouts.
        kept: places of strings that are in both with as many units, (place before, place now).
    """

    before: Layout
    now: Layout
    kept: tuple[tuple[int, int], ...]

    @classmethod
    def between(cls, before: Layout, now: Layout) -> "Move":
        """Return how strings moved."""
        places = {string: at for at, string in enumerate(before.strings)}
        kept = tuple(
            (places[string], at)
            for at, string in enumerate(now.strings)
            if string in places and _shape(before, places[string]) == _shape(now, at)
        )
        return cls(before, now, kept)

    @property
    def anew(self) -> tuple[str, ...]:
        """Strings of today of which nothing is remembered."""
        stayed = {at for _, at in self.kept}
        return tuple(string for at, string in enumerate(self.now.strings) if at not in stayed)

    @property
    def changes_nothing(self) -> bool:
        """Whether the layouts are the same."""
        return self.before.strings == self.now.strings and not self.anew


def _shape(layout: Layout, place: int) -> tuple[float, ...]:
    return tuple(layout.cells_per_unit[layout.span(place)].tolist())


def refitted[M](memory: M, empty: M, move: Move) -> M:
    """Return the memory for today's layout: of strings that stayed what was remembered, of others what `empty` holds.

    Args:
        memory: of the layout before; arrays (…, N, …) and (…, S, …), and tuples of S, are taken apart by string.
        empty: of today's layout, never used.
        move: between the two.
    """
    if move.changes_nothing:
        return memory
    made: M = _refit(memory, empty, move)
    return made


def _refit(old: Any, new: Any, move: Move) -> Any:  # noqa: ANN401  # any part of a memory
    if isinstance(old, np.ndarray) and isinstance(new, np.ndarray):
        return _array(old, new, move)
    if isinstance(old, tuple) and isinstance(new, tuple):
        if len(old) == len(move.before.strings) and len(new) == len(move.now.strings):
            held = list(new)
            for before, now in move.kept:
                held[now] = old[before]
            return tuple(held)
        return old
    if is_dataclass(old) and not isinstance(old, type) and type(old) is type(new):
        parts = {f.name: _refit(getattr(old, f.name), getattr(new, f.name), move) for f in fields(old) if f.init}
        return replace(old, **parts)
    return old


def _array(old: Array, new: Array, move: Move) -> Array:
    axis = _axis_of_units(old, new, move.before.units, move.now.units)
    if axis is not None:
        return _copied(old, new, axis, [(move.before.span(a), move.now.span(b)) for a, b in move.kept])
    axis = _axis_of_units(old, new, len(move.before.strings), len(move.now.strings))
    if axis is not None:
        return _copied(old, new, axis, [(slice(a, a + 1), slice(b, b + 1)) for a, b in move.kept])
    return old


def _axis_of_units(old: Array, new: Array, before: int, now: int) -> int | None:
    """Return the first axis along which units (or strings) lie, None where there is none."""
    if old.ndim != new.ndim:
        return None
    return next((at for at in range(old.ndim) if (old.shape[at], new.shape[at]) == (before, now)), None)


def _copied(old: Array, new: Array, axis: int, spans: list[tuple[slice, slice]]) -> Array:
    held = np.moveaxis(new.copy(), axis, 0)
    source = np.moveaxis(old, axis, 0)
    for before, now in spans:
        held[now] = source[before]
    return np.moveaxis(held, 0, axis)
