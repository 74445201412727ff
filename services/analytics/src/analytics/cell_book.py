"""The cell ledger of a site: what `site.toml`, modules and people tell of cells, in the ledger and on disk."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog
from cellkeeper.contract.channels import MODULE
from cellkeeper.contract.moment import to_ms
from cellkeeper.contract.site import Site
from cellkeeper.contract.telemetry import ModuleState
from cellkeeper.contract.wire import PayloadRefusedError, decode
from cellkeeper.runtime.clock import Clock
from cellkeeper.runtime.refusals import RefusalLog
from cellkeeper.runtime.service import ServiceVoice
from cellkeeper.runtime.session import Incoming

from analytics.cells import said_of
from analytics.errors import MemoryUnreadableError, NotKeptError
from analytics.ledger import CellLedger, Change, Place, Seat
from analytics.ledger_file import read_ledger, write_ledger

SETTLED_S: Final = 300.0  # event time; a gateway tells of a changed module within some 10 s of seeing it
MAX_HEARD: Final = 10_000  # modules: twice the largest site
UNDO: Final = "if that is not so: cellkeeper cells exchange"

log = structlog.get_logger()


@dataclass(kw_only=True)
class CellBook:
    """Keeps the ledger.

    Attributes:
        site: its description.
        path: of the file.
        clock: event time.
        voice: for events.
        ledger: as it is.
    """

    site: Site
    path: Path
    clock: Clock
    voice: ServiceVoice
    ledger: CellLedger
    refusals: RefusalLog = field(default_factory=RefusalLog)
    _heard: dict[str, Seat] = field(default_factory=dict)
    _has_news: bool = False
    _heard_s: float = 0.0
    _is_saved: bool = True

    @classmethod
    def opened(cls, site: Site, path: Path, clock: Clock, voice: ServiceVoice) -> "CellBook":
        """Return the book as the file and `site.toml` have it; a file that cannot be read begins anew and is told."""
        try:
            known = read_ledger(path)
        except MemoryUnreadableError as exc:
            known = CellLedger()
            text = f"{exc}; which cell was where begins anew with site.toml; restore the file from a backup"
            voice.event("cell.ledger_lost", "error", text)
        ledger, changes = known.describe(said_of(site), clock.now_ms() / 1000.0)
        book = cls(site=site, path=path, clock=clock, voice=voice, ledger=known)
        book._be(ledger, changes)
        return book

    def subscribe(self) -> None:
        """Ask for the modules of the site."""
        self.voice.session.subscribe(MODULE.filter(site=self.site.site.id), self.on_module)

    def on_module(self, message: Incoming) -> None:
        """Take a module that introduces itself, or that is gone."""
        ids = MODULE.match(message.topic)
        if ids is None:
            return
        serial, seat = ids["serial"], None
        if message.payload:
            try:
                told = decode(ModuleState, message.payload)
            except PayloadRefusedError as exc:
                self.refusals.add(message.topic, str(exc))
                return
            if told.string is not None and told.cell is not None and told.serial == serial:
                seat = Seat((told.string, told.cell), to_ms(told.at) / 1000.0)
        before = self._heard.get(serial)
        if seat is None:
            self._heard.pop(serial, None)
        elif len(self._heard) < MAX_HEARD or before is not None:
            self._heard[serial] = seat
        if (before and before.place) != (seat and seat.place):
            self._has_news, self._heard_s = True, self.clock.monotonic_s()

    def look(self) -> bool:
        """Look at what modules told since the last time; True when a cell is elsewhere now."""
        is_settled = self.clock.monotonic_s() - self._heard_s >= SETTLED_S
        if not self._has_news:
            return False
        now_s = self.clock.now_ms() / 1000.0
        many = Counter(seat.place for seat in self._heard.values())
        heard = {
            serial: Seat(seat.place, min(seat.from_s, now_s))
            for serial, seat in self._heard.items()
            if many[seat.place] == 1 and self.ledger.present(seat.place) is not None
        }
        self._has_news = not is_settled
        return self._be(*self.ledger.see(heard, now_s, is_settled=is_settled))

    def exchange(self, one: Place, other: Place, at_s: float, by: str) -> Change | None:
        """Take that two cells changed places; return why not, None when it is on disk and in the ledger.

        Raises:
            NotKeptError: the disk does not take it.
        """
        moved = self.ledger.move({one: other, other: one}, at_s, f"exchanged, as {by} told")
        if isinstance(moved, Change):
            return moved
        if not write_ledger(self.path, moved):
            raise NotKeptError(f"{self.path} cannot be written; make room")
        self.ledger, self._is_saved = moved, True
        text = f"cell {one[1]} of {one[0]} and cell {other[1]} of {other[0]} changed places, as {by} told"
        self._tell(Change("moved", one, text))
        return None

    def save(self) -> None:
        """Write what the disk did not take when it changed."""
        if not self._is_saved:
            self._is_saved = write_ledger(self.path, self.ledger)

    def _be(self, ledger: CellLedger, changes: tuple[Change, ...]) -> bool:
        """Take a ledger, write it and tell what changed; True when a cell is elsewhere or another one now."""
        if ledger == self.ledger:
            return False
        is_other = ledger.stays != self.ledger.stays
        self.ledger = ledger
        was_saved, self._is_saved = self._is_saved, write_ledger(self.path, ledger)
        if was_saved and not self._is_saved:
            text = f"{self.path} cannot be written: which cell is where is lost when this process ends; make room"
            self.voice.event("cell.not_saved", "error", text)
        for change in changes:
            self._tell(change)
        return is_other

    def _tell(self, change: Change) -> None:
        string = change.place[0]
        match change.kind:
            case "moved":
                self.voice.event("cell.moved", "warning", f"{change.text}; {UNDO}", string=string)
            case "unclear":
                self.voice.event("cell.unclear", "warning", f"{change.text}; {UNDO}", string=string)
            case "refused":
                self.voice.event("cell.refused", "warning", change.text, string=string)
            case "module":
                self.voice.event("module.exchanged", "info", change.text, string=string)
            case "replaced" | "withdrawn":
                log.info("cell.life", string=string, cell=change.place[1], text=change.text)
