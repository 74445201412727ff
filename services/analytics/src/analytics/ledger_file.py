"""The cell ledger on disk: one JSON file that a person can read, replaced as a whole."""

from pathlib import Path
from typing import Annotated, Final, Literal

from cellkeeper.contract.identity import Cell, Id, Serial
from cellkeeper.runtime.whole_file import whole_file
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from analytics.errors import MemoryUnreadableError
from analytics.ledger import FOREVER_S, LONG_AGO_S, CellLedger, Place, Seat, Stay

FILE: Final = "learned.cells.json"  # `learned.*` is what a backup takes


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Stay(_Row):
    """Null is always: no beginning, no end."""

    cell: Annotated[str, Field(max_length=64)]
    string: Id
    position: Cell
    life: Annotated[int, Field(ge=1, le=9999)]
    from_s: float | None
    to_s: float | None
    why: Annotated[str, Field(max_length=300)]


class _Seat(_Row):
    serial: Serial
    string: Id
    position: Cell
    from_s: float


class _Book(_Row):
    format: Literal[1] = 1
    stays: list[_Stay]
    names: dict[str, str]
    seats: list[_Seat]


def read_ledger(path: Path) -> CellLedger:
    """Return the ledger of a file; an empty one where there is none.

    Raises:
        MemoryUnreadableError: the file is damaged, of another form, or may not be read.
    """
    try:
        book = _Book.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return CellLedger()
    except (OSError, ValidationError) as exc:
        raise MemoryUnreadableError(f"{path}: {str(exc).splitlines()[0]}") from exc
    stays: dict[Place, list[Stay]] = {}
    for row in book.stays:
        from_s = LONG_AGO_S if row.from_s is None else row.from_s
        to_s = FOREVER_S if row.to_s is None else row.to_s
        place = (row.string, row.position)
        stays.setdefault(place, []).append(Stay(row.cell, place, row.life, from_s, to_s, row.why))
    seats = {row.serial: Seat((row.string, row.position), row.from_s) for row in book.seats}
    return CellLedger({place: tuple(known) for place, known in stays.items()}, book.names, seats)


def write_ledger(path: Path, ledger: CellLedger) -> bool:
    """Replace the file; False when the disk does not take it."""
    rows = [
        _Stay(
            cell=stay.cell,
            string=stay.place[0],
            position=stay.place[1],
            life=stay.life,
            from_s=None if stay.from_s == LONG_AGO_S else stay.from_s,
            to_s=None if stay.to_s == FOREVER_S else stay.to_s,
            why=stay.why[:300],
        )
        for known in ledger.stays.values()
        for stay in known
    ]
    seats = [
        _Seat(serial=serial, string=seat.place[0], position=seat.place[1], from_s=seat.from_s)
        for serial, seat in ledger.seats.items()
    ]
    book = _Book(stays=rows, names=dict(ledger.names), seats=seats)
    try:
        with whole_file(path) as sink:
            sink.write(book.model_dump_json().encode() + b"\n")
    except OSError:
        return False
    return True
