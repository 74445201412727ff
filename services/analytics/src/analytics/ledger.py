"""The cell ledger: which real cell was at which place of a string, and when; so history follows the cell.

Readings are stored by string, position and time, under the `life` that `site.toml` says. The ledger maps intervals of
time at a place to cells and back. A cell leaves its place when it is replaced (the next life begins, now or back-dated)
or when cells or addresses change places (the lives of the places stay what they are). A module may be exchanged without
its cell, and may get another address while it stays wired to its cell: the serials that were seen tell these apart.
Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

FOREVER_S: Final = float("inf")
LONG_AGO_S: Final = float("-inf")
AHEAD_S: Final = 3600.0  # by which a person's clock may be ahead of the site's
MAX_SEATS: Final = 20_000  # serials that are remembered: five times the largest site; the ones seen longest ago go

type Place = tuple[str, int]
"""String and position in it, from 1."""


@dataclass(frozen=True, slots=True)
class Stay:
    """One cell at one place.

    Attributes:
        cell: which one: string, position and life by which it was first known; never changes.
        place: where.
        life: under which readings of the place are stored.
        from_s, to_s: event time, from inclusive, to exclusive; infinite where open.
        why: what began it, for people.
    """

    cell: str
    place: Place
    life: int
    from_s: float
    to_s: float
    why: str

    def holds(self, at_s: float) -> bool:
        """Whether the cell was there at that time."""
        return self.from_s <= at_s < self.to_s


@dataclass(frozen=True, slots=True)
class Described:
    """What `site.toml` says of the cell at a place.

    Attributes:
        life: counts up with each replacement.
        since_s: event time of the replacement; None where nobody wrote it down.
        name: what people call the cell; empty for nothing.
    """

    life: int = 1
    since_s: float | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Seat:
    """Where a module was heard last, and since when it is there."""

    place: Place
    from_s: float


@dataclass(frozen=True, slots=True)
class Change:
    """Something that the log book should hold.

    Attributes:
        kind: `replaced`, `withdrawn` (a replacement that was a mistake), `moved` (cells), `module` (exchanged, its cell
            stayed), `unclear` (a module came whose cell may or may not have come along), `refused`.
        place: where.
        text: for people, and what to do where a person has to decide.
    """

    kind: Literal["replaced", "withdrawn", "moved", "module", "unclear", "refused"]
    place: Place
    text: str


@dataclass(frozen=True, slots=True)
class CellLedger:
    """All stays of a site by place, each in order; the names people gave; where modules were heard last, by serial."""

    stays: Mapping[Place, tuple[Stay, ...]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    seats: Mapping[str, Seat] = field(default_factory=dict)

    def at(self, place: Place, at_s: float) -> Stay | None:
        """Return which cell was at a place at a time; None where the ledger knows of none."""
        return next((stay for stay in self.stays.get(place, ()) if stay.holds(at_s)), None)

    def present(self, place: Place) -> Stay | None:
        """Return the stay that has not ended."""
        known = self.stays.get(place, ())
        return known[-1] if known else None

    def history(self, cell: str) -> tuple[Stay, ...]:
        """Return all stays of a cell in order: where and when to look for its readings."""
        found = (stay for known in self.stays.values() for stay in known if stay.cell == cell)
        return tuple(sorted(found, key=lambda stay: stay.from_s))

    def born_s(self, stay: Stay) -> float:
        """Return when the cell of a stay came to the site; minus infinity where it was there always."""
        return self.history(stay.cell)[0].from_s

    def describe(self, said: Mapping[Place, Described], now_s: float) -> tuple["CellLedger", tuple[Change, ...]]:
        """Return the ledger after `site.toml` was read, and what that changes; nothing when it is the first word.

        Args:
            said: every place of the site.
            now_s: event time; a replacement without a date happened now.
        """
        stays, names, changes = dict(self.stays), dict(self.names), []
        for place, each in said.items():
            known = stays.get(place, ())
            stays[place], change = _described(known, place, each, now_s) if known else _first(place, each, now_s)
            if each.name and stays[place][-1].cell == cell_key(place, each.life):
                names[stays[place][-1].cell] = each.name
            if change is not None:
                changes.append(change)
        return replace(self, stays=stays, names=names), tuple(changes)

    def move(self, comes_from: Mapping[Place, Place], at_s: float, why: str) -> "CellLedger | Change":
        """Return the ledger after cells changed places, or their modules' addresses did.

        Args:
            comes_from: by place, the place from which its cell came; the same places on both sides.
            at_s: event time, later than any of these cells came to its place.
            why: for people.
        """
        before = {place: self.present(place) for place in comes_from}
        first = next(iter(comes_from), ("", 0))
        if set(comes_from) != set(comes_from.values()) or any(stay is None for stay in before.values()):
            return Change("refused", first, "cells can only change places where a cell is at each of them")
        latest_s = max((stay.from_s for stay in before.values() if stay is not None), default=LONG_AGO_S)
        if not at_s > latest_s:
            return Change(
                "refused", first, "one of the cells is at its place only since then or later; say a later time"
            )
        stays = dict(self.stays)
        for place, source in comes_from.items():
            goes, comes = before[place], before[source]
            if goes is None or comes is None or place == source:
                continue
            ended = (*stays[place][:-1], replace(goes, to_s=at_s))
            stays[place] = (*ended, Stay(comes.cell, place, goes.life, at_s, FOREVER_S, why))
        return replace(self, stays=stays)

    def see(
        self, heard: Mapping[str, Seat], now_s: float, *, is_settled: bool
    ) -> tuple["CellLedger", tuple[Change, ...]]:
        """Return the ledger after modules introduced themselves, and what that shows.

        Modules that are found at each other's places, in pairs or in a ring, kept their cells: the addresses changed
        places. A module that was never heard took the place of another one: the cell stays. A module that came from
        elsewhere without such a ring may have brought its cell or not: the cells stay, and a person is asked; but only
        once it is settled, because a ring is heard one module after the other.

        Args:
            heard: by serial, where each module is that is known to be there now, and when it told so; each place once.
            now_s: event time.
            is_settled: nothing was heard for long enough to believe that this is all.
        """
        holders = {seat.place: serial for serial, seat in self.seats.items()}  # the newest at a place is last
        moved = {
            now.place: seat.place
            for serial, now in heard.items()
            if (seat := self.seats.get(serial)) is not None
            and seat.place != now.place
            and holders[seat.place] == serial
        }
        told_s = {now.place: now.from_s for now in heard.values()}
        ledger, changes, rings = self, [], _rings(moved)
        for ring in rings:
            ledger, change = ledger._turned(ring, max(told_s[place] for place in ring), now_s)
            changes.append(change)
        open_moves = set(moved) - {place for ring in rings for place in ring}
        seats = dict(self.seats)
        for serial, now in heard.items():
            place = now.place
            if (serial in seats and seats[serial].place == place) or (place in open_moves and not is_settled):
                continue
            if place in open_moves:
                changes.append(Change("unclear", place, _unclear_text(serial, moved[place], place)))
            elif place in holders and place not in moved:
                text = f"module {serial} took the place of {holders[place]} at {_named(place)}; the cell stayed"
                changes.append(Change("module", place, text))
            seats.pop(serial, None)
            seats[serial] = now
        return replace(ledger, seats=dict(list(seats.items())[-MAX_SEATS:])), tuple(changes)

    def _turned(self, ring: Mapping[Place, Place], told_s: float, now_s: float) -> tuple["CellLedger", Change]:
        """Return the ledger after addresses changed places, and what to tell; as of when it was told, else of now."""
        why = "the addresses of their modules changed places"
        shown = self.move(ring, told_s, why)
        if isinstance(shown, Change):
            shown = self.move(ring, now_s, why)
        if isinstance(shown, Change):
            return self, shown
        return shown, Change("moved", min(ring), _ring_text(ring))


def cell_key(place: Place, life: int) -> str:
    """Return the key of a cell: of the place and life by which it was first known."""
    return f"{place[0]}/{place[1]}/{life}"


def _first(place: Place, said: Described, now_s: float) -> tuple[tuple[Stay, ...], Change | None]:
    """Return the stays of a place that nobody described before, and what is wrong with what was said."""
    now = Stay(cell_key(place, said.life), place, said.life, LONG_AGO_S, FOREVER_S, "first known")
    if said.since_s is None or said.life == 1:
        return (now,), None
    at_s, refused = said.since_s, None
    if at_s > now_s + AHEAD_S:
        at_s, text = (
            now_s,
            f"life {said.life} of {_named(place)} begins now; its date lies in the future: correct `since`",
        )
        refused = Change("refused", place, text)
    before = Stay(cell_key(place, said.life - 1), place, said.life - 1, LONG_AGO_S, at_s, "first known")
    return (before, replace(now, from_s=at_s, why="replaced")), refused


def _described(
    known: tuple[Stay, ...], place: Place, said: Described, now_s: float
) -> tuple[tuple[Stay, ...], Change | None]:
    """Return the stays of a place after a description, and what that changes."""
    last = known[-1]
    if said.life > last.life:
        return _replaced(known, place, said, now_s)
    if said.life < last.life:
        return _withdrawn(known, place, said)
    is_other_date = said.since_s is not None and said.since_s != last.from_s and last.cell == cell_key(place, said.life)
    if not is_other_date or len(known) < 2 or said.since_s is None:
        return known, None
    if not known[-2].from_s < said.since_s <= now_s + AHEAD_S:
        return known, None
    dated = (*known[:-2], replace(known[-2], to_s=said.since_s), replace(last, from_s=said.since_s))
    return dated, Change("replaced", place, f"life {said.life} of {_named(place)} has another date now")


def _replaced(
    known: tuple[Stay, ...], place: Place, said: Described, now_s: float
) -> tuple[tuple[Stay, ...], Change | None]:
    last = known[-1]
    at_s, change = said.since_s if said.since_s is not None else now_s, "replaced"
    text = f"life {said.life} of {_named(place)} begins: the cell was replaced"
    if at_s > now_s + AHEAD_S:
        at_s, change = max(now_s, last.from_s + 0.001), "refused"
        text += "; from now on, because its date lies in the future: correct `since`"
    elif not at_s > last.from_s:
        at_s = max(now_s, last.from_s + 0.001)
        change = "refused"
        text += "; from now on, because its date lies before the cell that it replaces came there: correct `since`"
    new = Stay(cell_key(place, said.life), place, said.life, at_s, FOREVER_S, "replaced")
    kind: Literal["replaced", "refused"] = "replaced" if change == "replaced" else "refused"
    return (*known[:-1], replace(last, to_s=at_s), new), Change(kind, place, text)


def _withdrawn(known: tuple[Stay, ...], place: Place, said: Described) -> tuple[tuple[Stay, ...], Change | None]:
    """Return the stays after the count was set back: what was told by mistake has never been."""
    kept = tuple(stay for stay in known if stay.life <= said.life)
    text = f"{_named(place)} is in its life {said.life} again, as site.toml says: the later ones have never been"
    if not kept:
        return (replace(known[0], cell=cell_key(place, said.life), life=said.life),), Change("withdrawn", place, text)
    if any(stay.cell != cell_key(place, stay.life) for stay in known[len(kept) :]):
        text = (
            f"{_named(place)} had life {known[-1].life}, and cells changed places since: site.toml cannot set it back"
        )
        return known, Change("refused", place, text)
    return (*kept[:-1], replace(kept[-1], to_s=FOREVER_S)), Change("withdrawn", place, text)


def _rings(moved: Mapping[Place, Place]) -> list[dict[Place, Place]]:
    """Return the closed rings of moves; `moved` gives by place where its module was before."""
    left, rings = dict(moved), []
    while left:
        start = next(iter(left))
        ring: dict[Place, Place] = {}
        place = start
        while place in left:
            ring[place] = place = left.pop(place)
        if place == start:
            rings.append(ring)
    return rings


def _named(place: Place) -> str:
    return f"cell {place[1]} of {place[0]}"


def _ring_text(ring: Mapping[Place, Place]) -> str:
    steps = ", ".join(f"{_named(source)} is now {_named(place)}" for place, source in sorted(ring.items())[:8])
    more = f" and {len(ring) - 8} more" if len(ring) > 8 else ""
    return f"modules were found at each other's addresses: {steps}{more}"


def _unclear_text(serial: str, before: Place, now: Place) -> str:
    return f"module {serial} was at {_named(before)} and is at {_named(now)} now; its cell is taken to have stayed"
