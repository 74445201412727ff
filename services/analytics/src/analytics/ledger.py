"""The cell ledger: which real cell was at which place of a string, and when; so history follows the cell.

Readings are stored by string, position and `life`. A life is one stay of one cell at one position: it counts up at a
position whenever another cell comes there, by a replacement or because cells or addresses changed places. The ledger
maps intervals of time to cells and back. A module may be exchanged without its cell, and a module may get another
address while it stays wired to its cell: the serials that were seen at the positions tell the two apart. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Self

FOREVER_S: Final = float("inf")
LONG_AGO_S: Final = float("-inf")


@dataclass(frozen=True, slots=True)
class Stay:
    """One cell at one position.

    Attributes:
        string, position: where; position from 1.
        life: counts up at this position.
        cell: name of the real cell, unique in the site.
        from_s, to_s: event time, from inclusive, to exclusive; infinite where open.
        why: what began it, for people.
    """

    string: str
    position: int
    life: int
    cell: str
    from_s: float
    to_s: float
    why: str

    def holds(self, at_s: float) -> bool:
        """Whether the cell was there at that time."""
        return self.from_s <= at_s < self.to_s


@dataclass(frozen=True, slots=True)
class Seat:
    """One module at one position, from when on."""

    string: str
    position: int
    serial: str
    from_s: float


@dataclass(frozen=True, slots=True)
class Refused:
    """A change that would contradict what the ledger knows, and what to do."""

    why: str


@dataclass(frozen=True, slots=True)
class CellLedger:
    """All stays and all seats of a site, each in order of their beginning."""

    stays: tuple[Stay, ...] = ()
    seats: tuple[Seat, ...] = field(default=())

    @classmethod
    def of(cls, strings: Mapping[str, int], lives: Mapping[tuple[str, int], int] | None = None) -> Self:
        """Return the ledger of strings with so many positions, whose first cells were there always.

        Args:
            strings: positions by string id.
            lives: life of the present cell by string and position, as `site.toml` gives it; 1 by default.
        """
        known = lives or {}
        stays = [
            Stay(string, position, life, cell_name(string, position, life), LONG_AGO_S, FOREVER_S, "first known")
            for string, count in strings.items()
            for position in range(1, count + 1)
            for life in (known.get((string, position), 1),)
        ]
        return cls(tuple(stays))

    def stay_at(self, string: str, position: int, at_s: float) -> Stay | None:
        """Return which cell was at a position at a time; None where the ledger knows of none."""
        return next((stay for stay in self._of(string, position) if stay.holds(at_s)), None)

    def present(self, string: str, position: int) -> Stay | None:
        """Return the stay that has not ended."""
        return next((stay for stay in self._of(string, position) if stay.to_s == FOREVER_S), None)

    def life_at(self, string: str, position: int, life: int) -> Stay | None:
        """Return the stay by the key under which readings are stored."""
        return next((stay for stay in self._of(string, position) if stay.life == life), None)

    def history(self, cell: str) -> tuple[Stay, ...]:
        """Return all stays of a cell in order: where its readings are stored, by position, life and time."""
        return tuple(sorted((stay for stay in self.stays if stay.cell == cell), key=lambda stay: stay.from_s))

    def replaced(
        self, string: str, position: int, at_s: float, cell: str = "", why: str = "replaced"
    ) -> "CellLedger | Refused":
        """Return the ledger after a cell was replaced, now or at a time that has passed.

        The new stay has the next life. What was stored since a back-dated replacement keeps its old life; `stay_at`
        goes by time, so it finds the right cell for it.

        Args:
            string: id of the string.
            position: in it, from 1.
            at_s: event time of the replacement.
            cell: name of the new one; made from place and life by default.
            why: for people.
        """
        now = self.present(string, position)
        if now is None:
            return Refused(f"{string} has no cell at position {position} that could be replaced")
        if not at_s > now.from_s:
            return Refused(f"{now.cell} is at {string}/{position} only since then or later; give a later time")
        life = 1 + max(stay.life for stay in self._of(string, position))
        name = cell or cell_name(string, position, life)
        if any(stay.cell == name and stay.to_s > at_s for stay in self.stays):
            return Refused(f"a cell {name} is somewhere else at that time; end that stay first, or give another name")
        return self._with(now, Stay(string, position, life, name, at_s, FOREVER_S, why), at_s)

    def exchanged(
        self, one: tuple[str, int], other: tuple[str, int], at_s: float, why: str = "changed places"
    ) -> "CellLedger | Refused":
        """Return the ledger after the cells of two positions changed places, or their modules' addresses did."""
        stays = [self.present(*place) for place in (one, other)]
        if one == other or stays[0] is None or stays[1] is None:
            return Refused("two different positions with a cell each are needed")
        if not all(at_s > stay.from_s for stay in stays if stay is not None):
            return Refused("one of the cells is there only since then or later; give a later time")
        ledger = self
        for place, goes, comes in ((one, stays[0], stays[1]), (other, stays[1], stays[0])):
            life = 1 + max(stay.life for stay in self._of(*place))
            ledger = ledger._with(goes, Stay(*place, life, comes.cell, at_s, FOREVER_S, why), at_s)
        return ledger

    def seen(self, string: str, modules: Mapping[int, str], at_s: float) -> "CellLedger":
        """Return the ledger after modules introduced themselves at positions of a string.

        Two modules that are found at each other's positions kept their cells: their addresses changed places, and the
        cells are found at the other position from now on. A module that was never seen before took the place of
        another one: the cell stays. Everything else (a module that came from another string, a longer round) leaves
        the cells where they are, for a person to say; the seats are kept.

        Args:
            string: id.
            modules: serials by position, those that were heard.
            at_s: event time.
        """
        before = {seat.position: seat.serial for seat in self.seats if seat.string == string}
        changed = {position: serial for position, serial in modules.items() if before.get(position) != serial}
        if not changed:
            return self
        ledger = self
        for position, serial in changed.items():
            other = next((p for p, was in before.items() if was == serial and p != position), None)
            if other is None or other < position or modules.get(other) != before.get(position):
                continue
            swapped = ledger.exchanged((string, position), (string, other), at_s, "module addresses changed places")
            ledger = swapped if isinstance(swapped, CellLedger) else ledger
        seats = [seat for seat in ledger.seats if not (seat.string == string and seat.position in changed)]
        seats += [Seat(string, position, serial, at_s) for position, serial in changed.items()]
        return replace(ledger, seats=tuple(seats))

    def lives(self, string: str) -> dict[int, int]:
        """Return the life of the present cell by position."""
        return {stay.position: stay.life for stay in self.stays if stay.string == string and stay.to_s == FOREVER_S}

    def _of(self, string: str, position: int) -> list[Stay]:
        return [stay for stay in self.stays if stay.string == string and stay.position == position]

    def _with(self, ended: Stay, begun: Stay, at_s: float) -> "CellLedger":
        kept = tuple(replace(stay, to_s=at_s) if stay == ended else stay for stay in self.stays)
        return replace(self, stays=(*kept, begun))


def cell_name(string: str, position: int, life: int) -> str:
    """Return the name of a cell that nobody has named: of the place and life it was first known by."""
    return f"{string}/{position}/{life}"
