"""Records of discharges and the papers made of them: saved at once, drawn in a child process, bounded in number.

A record is on disk before anything is drawn of it, so a paper that a crash, a full disk or a mistake prevented is made
at the next start. Nothing here can stop the estimates: every failure is an event.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Final

import structlog
from cellkeeper.contract.moment import format_ms
from cellkeeper.runtime.mailbox import Mailbox
from cellkeeper.runtime.service import ServiceVoice

from analytics.discharge.record import DischargeRecord
from analytics.dossier.context import DossierBasis, DossierContext, EarlierResult
from analytics.dossier.errors import DossierError
from analytics.dossier.model import dossier_of, result_of
from analytics.dossier.record_file import load_record, name_of, save_record
from analytics.drawers import Drawers

RETRY_S: Final = 30.0  # real time between two tries on a disk that does not take a record
MAX_WAITING: Final = 64  # discharges of a site that end together: one of each string
EARLIER: Final = 8  # results of earlier discharges that a paper compares with
MAX_SAID: Final = 300

log = structlog.get_logger()


@dataclass(slots=True)
class PaperCounters:
    """What was kept and drawn since the start."""

    records: int = 0
    dossiers: int = 0
    failed: int = 0


@dataclass(slots=True, kw_only=True)
class Papers:
    """The records and papers of one site.

    Attributes:
        folder: of the service; `events/` and `dossiers/` are below it.
        context_of: battery and surroundings of a string.
        voice: for events.
        keep: records and papers that are kept of each string; the oldest go first.
        draws: whether papers are made at all.
    """

    folder: Path
    context_of: Callable[[str], DossierContext]
    voice: ServiceVoice
    keep: int
    draws: bool = True
    counters: PaperCounters = field(default_factory=PaperCounters)
    _unsaved: list[DischargeRecord] = field(default_factory=list)
    _is_saved: bool = True
    _box: Mailbox[DischargeRecord] = field(default_factory=lambda: Mailbox(MAX_WAITING))

    @property
    def events(self) -> Path:
        """Where records are."""
        return self.folder / "events"

    @property
    def dossiers(self) -> Path:
        """Where papers are."""
        return self.folder / "dossiers"

    def put(self, record: DischargeRecord) -> None:
        """Take the record of a discharge that is over."""
        if not self._box.put(record):
            self._failed(record.string, f"{MAX_WAITING} discharges wait already")

    async def run(self) -> None:
        """Save and draw until cancelled; what an earlier run left undrawn comes first.

        All that wait are saved before the first is drawn. What waits to be drawn is a path each, of a record on disk.
        """
        drawers = Drawers(self.dossiers)
        try:
            async with asyncio.TaskGroup() as tasks:
                for path in await asyncio.to_thread(self.undrawn):
                    tasks.create_task(self._draw(path, drawers), name=f"draw {path.stem}")
                while True:
                    for path in await self._all_saved():
                        tasks.create_task(self._draw(path, drawers), name=f"draw {path.stem}")
        finally:
            await drawers.close()

    async def _all_saved(self) -> list[Path]:
        """Return where the records that waited are now; waits for the next one."""
        self._unsaved += await self._box.take_all()
        paths = []
        while self._unsaved:
            paths.append(await self._saved_at_last(self._unsaved[0]))
            del self._unsaved[0]
        return paths

    async def _saved_at_last(self, record: DischargeRecord) -> Path:
        """Return where a record was written, tried until the disk takes it."""
        for wait_s in repeat(RETRY_S):
            path = await asyncio.to_thread(self._saved, record)
            if path is not None:
                return path
            await asyncio.sleep(wait_s)
        raise AssertionError  # it repeats for ever

    def save_waiting(self) -> None:
        """Save what waits, at the end of the process; it is drawn at the next start."""
        for record in [*self._unsaved, *self._box.drain()]:
            self._saved(record)

    def undrawn(self) -> list[Path]:
        """Return records that have no paper, oldest first."""
        if not self.draws:
            return []
        found = [path for path in _records(self.events) if not (self.dossiers / f"{path.stem}.pdf").exists()]
        return sorted(found, key=_onset)

    def _saved(self, record: DischargeRecord) -> Path | None:
        """Write a record and delete what is too old; None when the disk does not take it."""
        try:
            earlier = self._earlier(record)
            path = save_record(self.events, DossierBasis(record, self.context_of(record.string), earlier))
            self._drop_parts(record, path)
            self._trim(record.string)
        except (DossierError, OSError) as exc:
            if self._is_saved:
                text = f"the record of a discharge of {record.string} is not on disk: {str(exc)[:MAX_SAID]}"
                self.voice.event("discharge.not_saved", "error", f"{text}; it is tried again", string=record.string)
            self._is_saved = False
            return None
        self._is_saved = True
        self.counters.records += 1
        return path

    def _earlier(self, record: DischargeRecord) -> tuple[EarlierResult, ...]:
        """Return what the newest earlier discharges of the string gave; one that cannot be read is left out.

        The record before this one holds what came before it: one has to be judged, not all of them again.
        """
        paths = [path for path in sorted(_records(self.events), key=_onset) if _string(path) == record.string]
        for path in reversed(paths):
            try:
                basis = load_record(path)
            except DossierError as exc:
                log.warning("discharge.unreadable", path=str(path), why=str(exc)[:MAX_SAID])
                continue
            if basis.record.began_s < record.began_s:
                return (*basis.earlier, result_of(dossier_of(basis)))[-EARLIER:]
        return ()

    def _drop_parts(self, record: DischargeRecord, own: Path) -> None:
        """Delete records of parts of this discharge, made before late scans showed the whole."""
        began, ended = name_of(record.began_s), name_of(record.ended_s)
        for path in _records(self.events):
            if _string(path) == record.string and path != own and began <= _onset(path) < ended:
                self._delete(path)

    def _delete(self, path: Path) -> None:
        for each in (path, path.with_suffix(".npz"), *self.dossiers.glob(f"{path.stem}[.-]*")):
            each.unlink(missing_ok=True)

    def _trim(self, string: str) -> None:
        ours = sorted((path for path in _records(self.events) if _string(path) == string), key=_onset)
        for path in ours[: -self.keep]:
            self._delete(path)

    async def _draw(self, path: Path, drawers: Drawers) -> None:
        if not self.draws:
            return
        string, drawn = _string(path), await drawers.draw(path)
        if drawn.failed:
            self._failed(string, drawn.failed)
            return
        self.counters.dossiers += 1
        pdf = drawn.files[0]
        self.voice.event("discharge.dossier", "info", f"dossier of {string}: {pdf}", string=string, path=pdf)

    def _failed(self, string: str, why: str) -> None:
        self.counters.failed += 1
        text = f"the dossier of a discharge of {string} could not be made: {why[:MAX_SAID]}"
        self.voice.event("discharge.dossier_failed", "error", text, string=string)


def _records(folder: Path) -> list[Path]:
    return list(folder.glob("*_*Z_*.json"))


def _string(path: Path) -> str:
    """Return the string of a record by its name, which is string, onset and kind."""
    return path.stem.rsplit("_", 2)[0]


def _onset(path: Path) -> str:
    return path.stem.rsplit("_", 2)[1]


def ended_text(record: DischargeRecord) -> str:
    """Return what the log book says of a discharge that is over."""
    minutes = (record.ended_s - record.began_s) / 60.0
    moved = "" if record.moved_ah != record.moved_ah else f", {record.moved_ah:.1f} Ah"  # NaN
    began = format_ms(round(record.began_s * 1000.0))
    what = f"{record.kind} ({record.method})" if record.method else record.kind
    return f"{what} of {record.string} from {began} is over after {minutes:.1f} min{moved}: {record.ended_by}"
