"""What a start finds: journals are read back, torn tails cut, leftovers of a crash removed."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from historian.receipts import StreamBook
from historian.seq_spans import SeqSpans
from historian.stores.embedded.journal import cut_journal, journal_numbers, journal_path, read_journal
from historian.stores.embedded.manifest import Manifest
from historian.stores.embedded.record import Record, ScanRecord
from historian.stores.port import Notice


@dataclass(slots=True)
class Recovered:
    """What the journals gave.

    Attributes:
        rows: scans that lie in no Parquet file yet, with the number of their journal, in order of arrival.
        books: accounted numbers by string and stream, manifest and journals together.
        journals: by number, the strings that still have something only there.
        next_journal: the first number that was never used.
        notices: damage that a person has to know.
    """

    rows: list[tuple[int, ScanRecord]] = field(default_factory=list)
    books: dict[str, dict[str, StreamBook]] = field(default_factory=dict)
    journals: dict[int, set[str]] = field(default_factory=dict)
    next_journal: int = 1
    notices: list[Notice] = field(default_factory=list)


def recover(directory: Path, manifest: Manifest) -> Recovered:
    """Return what the journals in `directory` add to the manifest.

    Raises:
        StoreVersionError: a newer program wrote a journal.
    """
    found = Recovered(books=manifest.positions())
    packed = {(int(str(number)), str(string)) for number, string in manifest.rows("SELECT * FROM packed")}
    numbers = journal_numbers(directory)
    seen: dict[tuple[str, str], SeqSpans] = {}
    for number in numbers:
        found.journals[number] = set()
        for record in _records(directory, number, is_newest=number == numbers[-1], notices=found.notices):
            if (number, record.string) in packed:
                continue
            found.journals[number].add(record.string)
            _take(found, number, record, seen)
    found.next_journal = max([0, *numbers, *(number for number, _ in packed)]) + 1
    return found


def _records(directory: Path, number: int, *, is_newest: bool, notices: list[Notice]) -> Iterator[Record]:
    path = journal_path(directory, number)
    contents = read_journal(path)
    if not contents.is_whole:
        lost = contents.total_bytes - contents.good_bytes
        if not is_newest:
            shutil.copyfile(path, path.with_suffix(".damaged"))
            notices.append(
                Notice(
                    "store.damaged",
                    "error",
                    f"journal {path.name} is damaged at byte {contents.good_bytes}; {lost} bytes could not be read and "
                    f"are kept as {path.with_suffix('.damaged').name}; check the disk",
                )
            )
        cut_journal(path, contents.good_bytes)
    yield from contents.records


def _take(found: Recovered, number: int, record: Record, seen: dict[tuple[str, str], SeqSpans]) -> None:
    book = found.books.setdefault(record.string, {}).setdefault(record.stream, StreamBook())
    if not isinstance(record, ScanRecord):
        if record.lost:
            book.accounted.add(record.first, record.last)
        else:
            book.store(record.first, record.last)
        return
    already = seen.setdefault((record.string, record.stream), SeqSpans())
    if record.seq in already:  # a failed write left it behind and it was written again
        return
    already.add(record.seq, record.seq)
    book.store(record.seq, record.seq)
    found.rows.append((number, record))
