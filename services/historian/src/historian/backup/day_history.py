"""Days in a backup, read as history: what `migration.Move` puts into any store."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from cellkeeper.backup.book import FileEntry
from cellkeeper.backup.errors import BackupDamagedError
from cellkeeper.contract.moment import to_ms
from cellkeeper.contract.notices import Event
from cellkeeper.contract.series import DAY_MS, FULL, TierName
from cellkeeper.contract.telemetry import ImpedanceSweep
from cellkeeper.contract.wire import PayloadRefusedError, decode

from historian.backup.days import FOLDER, day_number
from historian.receipts import Positions
from historian.stores.plain_tables import AT, CELL_SCHEMA, SCALAR_SCHEMA, TIER_SCHEMA
from historian.stores.port import EventQuestion, LivedSweep, StateQuestion, StringQuestion
from historian.stores.state_rows import schema_of

TIERS_OF_A_DAY = "tiers"


@dataclass(frozen=True)
class DayHistory:
    """A `History` of the days of one backup.

    Attributes:
        root: the folder of all backups.
        entries: files of this one, already checked against their hashes.
        since_ms: by tier, what is older is left out, because the store would refuse it.
    """

    root: Path
    entries: tuple[FileEntry, ...]
    since_ms: Mapping[TierName, int] = field(default_factory=dict)

    @cached_property
    def _files(self) -> dict[tuple[str, str], dict[int, Path]]:
        """Files by string and kind, then day."""
        found: dict[tuple[str, str], dict[int, Path]] = {}
        for entry in self.entries:
            parts = entry.restores.split("/")
            if len(parts) == 3 and parts[0] == FOLDER and parts[2].endswith(".parquet"):  # folder/string/file
                day, kind, _ = parts[2].split(".")
                found.setdefault((parts[1], kind), {})[day_number(day)] = self.root / entry.path
        return {key: dict(sorted(days.items())) for key, days in found.items()}

    def strings(self) -> list[str]:
        """See `History.strings`."""
        return sorted({string for string, _ in self._files})

    def positions(self) -> Positions:
        """See `History.positions`: numbers follow from the rows."""
        return {}

    def spans(self, question: StringQuestion) -> list[tuple[int, int]]:
        """See `History.spans`: whole days of a tier; of the full tier where its files have rows."""
        kind = "string" if question.tier == FULL.name else TIERS_OF_A_DAY
        since_ms = max(question.start_ms, self.since_ms.get(question.tier, 0))
        found: list[tuple[int, int]] = []
        for day, path in self._files.get((question.string, kind), {}).items():
            held = _held(path) if question.tier == FULL.name else [(day * DAY_MS, (day + 1) * DAY_MS)]
            found += [(max(start, since_ms), min(end, question.end_ms)) for start, end in held]
        return [(start, end) for start, end in found if start < end]

    def string_series(self, question: StringQuestion) -> pa.Table:
        """See `History.string_series`."""
        full = question.tier == FULL.name
        days = self._files.get((question.string, question.measurement if full else TIERS_OF_A_DAY), {})
        schema = TIER_SCHEMA if not full else CELL_SCHEMA if question.measurement == "cell" else SCALAR_SCHEMA
        since_ms = max(question.start_ms, self.since_ms.get(question.tier, 0))
        tables = [schema.empty_table()]
        for day, path in days.items():
            if day * DAY_MS < question.end_ms and (day + 1) * DAY_MS > since_ms:
                tables.append(_read(path, question, since_ms).select(schema.names))
        return pa.concat_tables(tables)

    def states(self, question: StateQuestion) -> pa.Table:
        """See `History.states`."""
        schema = schema_of(question.measurement)
        at, tables = pc.field("measured_at"), [schema.empty_table()]
        wanted = (at >= pa.scalar(question.start_ms, AT)) & (at < pa.scalar(question.end_ms, AT))
        if question.milestones:
            wanted &= ~pc.field("body").is_null()
        for day, path in self._files.get((question.string, question.measurement), {}).items():
            if day * DAY_MS < question.end_ms and (day + 1) * DAY_MS > question.start_ms:
                tables.append(_rows_in(path, wanted).select(schema.names))
        return pa.concat_tables(tables)

    def impedance(self, string: str, start_ms: int, end_ms: int) -> tuple[LivedSweep, ...]:
        """See `History.impedance`."""
        found: list[LivedSweep] = []
        for entry in self.entries:
            if entry.restores == f"{FOLDER}/{string}/sweeps.jsonl":
                found += self._lines(entry, _lived_sweep)
        return tuple(each for each in found if start_ms <= to_ms(each.sweep.measured_at) < end_ms)

    def events(self, question: EventQuestion) -> tuple[Event, ...]:
        """See `History.events`."""
        ours = sorted((e for e in self.entries if e.restores.startswith(f"{FOLDER}/events/")), key=lambda e: e.restores)
        found: list[Event] = []
        for entry in reversed(ours):
            day = day_number(Path(entry.restores).stem)
            if day * DAY_MS >= question.end_ms or (day + 1) * DAY_MS <= question.start_ms:
                continue
            if len(found) >= question.limit:
                break
            of_day = [e for e in self._lines(entry, _event) if question.start_ms <= to_ms(e.at) < question.end_ms]
            found += [e for e in reversed(of_day) if _asked(e, question)]
        return tuple(found[: question.limit])

    def _lines[P](self, entry: FileEntry, read: Callable[[bytes], P]) -> list[P]:
        path = self.root / entry.path
        try:
            return [read(line) for line in path.read_bytes().splitlines()]
        except (OSError, PayloadRefusedError, orjson.JSONDecodeError, KeyError, TypeError) as exc:
            raise BackupDamagedError(f"{path}: {exc}") from exc


def _event(line: bytes) -> Event:
    return decode(Event, line)


def _lived_sweep(line: bytes) -> LivedSweep:
    """Return the sweep of a line; of backups from before cells had lives, a line is the bare payload."""
    body = orjson.loads(line)
    if "sweep" not in body:
        return LivedSweep(decode(ImpedanceSweep, line))
    lives = body["lives"]
    return LivedSweep(decode(ImpedanceSweep, orjson.dumps(body["sweep"])), None if lives is None else tuple(lives))


def _asked(event: Event, question: EventQuestion) -> bool:
    return question.kind in (None, event.kind) and question.service in (None, event.service)


def _held(path: Path) -> list[tuple[int, int]]:
    """Return from when to when each row group of a file has rows, without reading them."""
    try:
        told = pq.read_metadata(path)
    except (OSError, pa.ArrowInvalid) as exc:
        raise BackupDamagedError(f"{path}: {exc}") from exc
    found = []
    for group in range(told.num_row_groups):
        times = told.row_group(group).column(0).statistics  # of `measured_at`
        if times is not None and times.min is not None and times.max is not None:
            found.append((to_ms(times.min), to_ms(times.max) + 1))
    return found


def _read(path: Path, question: StringQuestion, since_ms: int) -> pa.Table:
    """Return what a file has for a question; whole row groups of another time are not read."""
    at = pc.field("measured_at")
    wanted = (at >= pa.scalar(since_ms, AT)) & (at < pa.scalar(question.end_ms, AT))
    if question.tier != FULL.name:
        wanted &= pc.field("tier") == pc.scalar(question.tier)
        own = pc.field("cell") == pc.scalar(0)
        wanted &= own if question.measurement == "string" else ~own
    return _rows_in(path, wanted)


def _rows_in(path: Path, wanted: pc.Expression) -> pa.Table:
    try:
        return pq.read_table(path, filters=wanted)
    except (OSError, pa.ArrowInvalid) as exc:
        raise BackupDamagedError(f"{path}: {exc}") from exc


def days_with_rows(entries: Iterable[FileEntry]) -> int:
    """Return how many days of strings a backup holds at full resolution."""
    return sum(entry.restores.endswith(".string.parquet") for entry in entries)
