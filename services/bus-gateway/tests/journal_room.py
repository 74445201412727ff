"""Keepers in a folder, and what they still hold."""

from random import Random

from bus_gateway.journal.files import JournalFiles
from bus_gateway.journal.kept_reader import KeptReader
from bus_gateway.journal.scan_draft import Draft
from bus_gateway.journal.scan_keeper import KeeperLimits, ScanKeeper
from fake_driver import readings_of


def keeper_in(folder, *, journal_bytes=10_000_000, segment_bytes=4_000_000, memory_bytes=1_000_000, now_s=lambda: 0.0):
    files = JournalFiles(folder)
    numbers = iter(range(1000, 9999))
    said = []
    kept = []
    keeper = ScanKeeper(
        site="hh1",
        files=files,
        recovered=files.recover(),
        limits=KeeperLimits(journal_bytes, memory_bytes, segment_bytes),
        new_stream=lambda: f"{Random(str(folder)).getrandbits(16):04x}{next(numbers):04d}",
        on_kept=kept.extend,
        say=said.append,
        now_s=now_s,
    )
    return keeper, kept, said


def draft(string="s1", at=0, cells=2):
    return Draft(readings_of(string, cells), 1_795_237_200_000 + 1000 * at, "synced", 0.0)


async def everything(keeper):
    """Return (key, seq) of everything that can still be sent, in the order in which it would be."""
    book = keeper.book
    wanted = {key: (book.oldest_seq(key), book.given_to(key)) for key in book.waiting()}
    return [(key, seq) for key, seq, _ in await KeptReader(keeper).fetch(wanted, 100_000)]
