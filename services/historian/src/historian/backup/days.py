"""Days of history as Parquet, asked from a running historian: for stores whose files are a server's.

Only days that are over are written. A day is written again when rows came late: its daily values say so, they are
computed again for every window that a late row touches. Layout, below `days/` of a backup:

    <string>/<day>.cell.parquet      every reading of every unit, as the API answers it
    <string>/<day>.string.parquet    the string's own values with stream and number
    <string>/<day>.tiers.parquet     all coarser tiers, with a column `tier`
    <string>/<day>.balance.parquet   states of balancing; mode, estimate and cell_estimate likewise
    <string>/sweeps.jsonl, events/<day>.jsonl
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from cellkeeper.backup.book import FileEntry
from cellkeeper.backup.place import Draft
from cellkeeper.contract.moment import from_ms, to_ms
from cellkeeper.contract.series import DAY_MS, FULL, TIERS, TierName

from historian.export.asking import Historian, Measurement, Piece, pieces_of
from historian.export.files import write_parquet
from historian.stores.state_rows import NAMES, StateName

FOLDER: Final = "days"
BOTH: Final[tuple[Measurement, ...]] = ("cell", "string")
DAILY: Final = TIERS[-1].name
EVENTS_AT_ONCE: Final = 10_000
LATE_DAYS: Final = 7  # events and states wait at most an hour in a broker's session; a week is far beyond


def day_name(day: int) -> str:
    """Return the name of a day, counted from 1970."""
    return from_ms(day * DAY_MS).strftime("%Y-%m-%d")


def day_number(name: str) -> int:
    """Return the day of a name, counted from 1970; raises ValueError."""
    return to_ms(datetime.strptime(name, "%Y-%m-%d").replace(tzinfo=UTC)) // DAY_MS


@dataclass(frozen=True, slots=True)
class DayCopy:
    """Copies closed days into a backup.

    Attributes:
        historian: answers.
        draft: the backup.
        today: the day that is not over, counted from 1970.
    """

    historian: Historian
    draft: Draft
    today: int

    def run(self) -> Iterator[FileEntry]:
        """Yield the files of all closed days.

        Raises:
            HistoryUnavailableError: the historian does not answer.
            OSError: the disk refused.
        """
        for string in self.historian.strings():
            yield from self._string(string)
            for name in NAMES:
                yield from self._states(string, name)
            sweeps = b"".join(line + b"\n" for line in self.historian.sweeps(string, 0, self.today * DAY_MS))
            yield self.draft.keep(sweeps, f"{FOLDER}/{string}/sweeps.jsonl")
        yield from self._events()

    def _string(self, string: str) -> Iterator[FileEntry]:
        end_ms = self.today * DAY_MS
        full = _days_of(self.historian.spans(string, 0, end_ms, FULL.name))
        marks = self._marks(string)
        for day in sorted(full | marks.keys()):
            base, mark = f"{FOLDER}/{string}/{day_name(day)}", marks.get(day, "")
            if day in full:
                for measurement in BOTH:
                    rows = self._rows(string, day, measurement, FULL.name)
                    yield self._file(f"{base}.{measurement}.parquet", mark, rows)
            yield self._file(f"{base}.tiers.parquet", mark, self._tiers(string, day))

    def _marks(self, string: str) -> dict[int, str]:
        """Return, by day, what changes when a row of that day comes late."""
        texts: dict[int, list[bytes]] = {}
        for measurement in BOTH:
            spans = self.historian.spans(string, 0, self.today * DAY_MS, DAILY)
            for piece in pieces_of(string, spans, DAILY):
                for day, text in _texts_by_day(self.historian.table(piece, measurement, DAILY)):
                    texts.setdefault(day, []).append(text)
        return {day: hashlib.sha256(b"".join(parts)).hexdigest() for day, parts in texts.items()}

    def _rows(self, string: str, day: int, measurement: Measurement, tier: TierName) -> Iterator[pa.Table]:
        for piece in pieces_of(string, [(day * DAY_MS, (day + 1) * DAY_MS)], tier):
            yield self.historian.table(piece, measurement, tier)

    def _tiers(self, string: str, day: int) -> Iterator[pa.Table]:
        for tier in TIERS:
            for measurement in BOTH:
                for rows in self._rows(string, day, measurement, tier.name):
                    names = pa.array([tier.name] * rows.num_rows, pa.string())
                    yield rows.append_column("tier", names)

    def _states(self, string: str, name: StateName) -> Iterator[FileEntry]:
        """Yield the days with rows of a measurement; older ones than a week are taken from the backup before."""
        ours = f"{FOLDER}/{string}/"
        kept = {n: e for n, e in self.draft.known.items() if n.startswith(ours) and n.endswith(f".{name}.parquet")}
        days = sorted(_days_of(self.historian.spans(string, 0, self.today * DAY_MS, DAILY)))
        first_new = (
            max(self.today - LATE_DAYS, days[0] if days else self.today) if kept else min(days, default=self.today)
        )
        yield from (entry for known, entry in kept.items() if known < f"{ours}{day_name(first_new)}")
        for day in (each for each in days if each >= first_new):
            piece = Piece(string, day * DAY_MS, (day + 1) * DAY_MS)
            states = self.historian.whole_table(piece, name, FULL.name)
            if states.num_rows:
                yield self._file(f"{ours}{day_name(day)}.{name}.parquet", "", [states])

    def _file(self, restores: str, mark: str, tables: Iterable[pa.Table]) -> FileEntry:
        known = self.draft.unchanged(restores, mark) if mark else None
        if known is not None:
            return known
        beside = self.draft.folder / "day.parquet"
        write_parquet(beside, _with_rows(tables))
        entry = self.draft.share(beside, restores, mark)
        beside.unlink()
        return entry

    def _events(self) -> Iterator[FileEntry]:
        """Yield a file for each day with events; older ones than a week are taken from the backup before."""
        kept = {name: entry for name, entry in self.draft.known.items() if name.startswith(f"{FOLDER}/events/")}
        from_day = self.today - LATE_DAYS if kept else 0
        by_day: dict[int, list[bytes]] = {}
        end_ms = self.today * DAY_MS
        seen: set[bytes] = set()
        while page := self.historian.events(from_day * DAY_MS, end_ms, EVENTS_AT_ONCE):
            for at_ms, body in page:
                if body not in seen:
                    by_day.setdefault(at_ms // DAY_MS, []).append(body)
            seen = {body for at_ms, body in page if at_ms == page[-1][0]}  # of one millisecond, they come again
            if len(page) < EVENTS_AT_ONCE or page[-1][0] + 1 >= end_ms:
                break
            end_ms = page[-1][0] + 1
        first_new = f"{FOLDER}/events/{day_name(from_day)}.jsonl"
        yield from (entry for known, entry in kept.items() if known < first_new)
        for day, bodies in sorted(by_day.items()):
            content = b"".join(body + b"\n" for body in reversed(bodies))
            yield self.draft.keep(content, f"{FOLDER}/events/{day_name(day)}.jsonl")


def _with_rows(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield the tables that have rows; of none that has any, the last one, for its columns."""
    some, empty = False, None
    for table in tables:
        if table.num_rows:
            some = True
            yield table
        empty = table
    if not some and empty is not None:
        yield empty


def _texts_by_day(rows: pa.Table) -> Iterator[tuple[int, bytes]]:
    """Yield the daily rows of each day as text, always in the same order."""
    rows = rows.sort_by([(name, "ascending") for name in ("measured_at", "cell", "life", "field")])
    days, starts = np.unique(rows["measured_at"].cast(pa.int64()).to_numpy() // DAY_MS, return_index=True)
    ends = [*starts.tolist(), rows.num_rows][1:]
    for day, start, end in zip(days.tolist(), starts.tolist(), ends, strict=True):
        sink = pa.BufferOutputStream()
        pa_csv.write_csv(rows.slice(start, end - start), sink)
        yield day, sink.getvalue().to_pybytes()


def _days_of(spans: Iterable[tuple[int, int]]) -> set[int]:
    return {day for start, end in spans for day in range(start // DAY_MS, -(-end // DAY_MS))}
