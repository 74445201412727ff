"""A backup of files comes back row by row; what is damaged, cut off or in the way is refused by name."""

import gzip
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cellkeeper.backup.book import BOOK, FileEntry, write_book
from cellkeeper.backup.errors import BackupFailedError
from cellkeeper.backup.place import BackupPlace, Draft
from cellkeeper.cli.main import main
from cellkeeper.testing.builders import scan_of
from historian.backup.embedded_files import ATTEMPTS, copy_store
from historian.backup.putting_back import put_store_back
from historian.stores.embedded.store import EmbeddedStore
from historian.stores.port import LivedScan, WriteBatch

from .backup_rooms import back_up, make_site, require_same, restore
from .test_migration import at_ms, embedded, fill, tend

NOW = datetime(2026, 12, 1, 2, 0, tzinfo=UTC)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a site's folder, made by init, with state below it."""
    return make_site(tmp_path)


@pytest.fixture
def store(site: Path) -> Iterator[EmbeddedStore]:
    """Return the open store of a running historian, some of its rows in the journal only."""
    opened = embedded(site / "state/historian/history")
    fill(opened)
    yield opened
    opened.close()


def test_an_embedded_store_comes_back_row_by_row_while_the_original_runs(site, store, monkeypatch, capsys):
    assert back_up(site) == 0
    assert "private keys" in capsys.readouterr().out
    assert restore(site, monkeypatch, "--history") == 0
    with closing(embedded(site.parent / "new/historian/history")) as second:
        assert store.stats().rows_waiting > 0, "the journal is part of the test"
        require_same(store, second)
        assert store.positions() == second.positions()


def test_the_next_backup_copies_only_what_is_new(site, store, capsys):
    assert back_up(site, "--only", "history") == 0
    first = capsys.readouterr().out
    assert " 0 bytes were new" not in first
    place = BackupPlace(site.parent / "backups")
    before = {path: path.stat().st_ino for path in place.root.glob("files/**/*.parquet")}
    _next_second(place)
    assert back_up(site, "--only", "history") == 0
    assert " 0 bytes were new" in capsys.readouterr().out
    for seq in range(700, 1000):
        store.write(WriteBatch(scans=[LivedScan(scan_of(4, seq, measured_ms=at_ms(seq)))]))
    tend(store)
    _next_second(place)
    assert back_up(site, "--only", "history") == 0
    after = {path: path.stat().st_ino for path in place.root.glob("files/**/*.parquet")}
    assert before.items() <= after.items(), "what was there was not written again"
    assert len(after) > len(before)


def _next_second(place: BackupPlace) -> None:
    """Rename the newest backup to a time long ago: names are whole seconds, and a test waits for none."""
    newest = place.stamps()[-1]
    older = f"2020-01-01T00-00-{len(place.stamps()):02d}Z"
    (place.root / newest).rename(place.root / older)


def test_old_backups_go_and_take_only_their_own_files_along(site, store, monkeypatch):
    place = BackupPlace(site.parent / "backups")
    for _ in range(3):
        assert back_up(site) == 0
        _next_second(place)
    (place.root / "files/left-over.parquet").write_bytes(b"of a run that was cut off")
    assert back_up(site, "--keep", "2") == 0
    assert len(place.stamps()) == 2
    assert not (place.root / "files/left-over.parquet").exists()
    assert restore(site, monkeypatch, "--at", place.stamps()[0]) == 0


DAMAGES = {
    "a bit of history": ("files/**/*.parquet", lambda raw: raw[:-9] + bytes([raw[-9] ^ 1]) + raw[-8:]),
    "half of history": ("files/**/*.parquet", lambda raw: raw[: len(raw) // 2]),
    "the manifest": ("files/history/manifest.*", lambda raw: raw[:-1] + b"x"),
    "the keys": ("*Z/site.tar.gz", lambda raw: raw[:100] + bytes([raw[100] ^ 8]) + raw[101:]),
    "half of the keys": ("*Z/site.tar.gz", lambda raw: raw[:500]),
    "the book": (f"*Z/{BOOK}", lambda raw: raw.replace(b'"hh1"', b'"hh2"')),
    "half of the book": (f"*Z/{BOOK}", lambda raw: raw[:300]),
    "all of the book's seal": ("*Z/*.sha256", lambda raw: b""),
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a room with a site and one backup of it, to be copied and spoiled."""
    room = tmp_path_factory.mktemp("kept")
    make_site(room)
    with closing(embedded(room / "site/state/historian/history")) as opened:
        fill(opened)
        assert back_up(room / "site") == 0
    return room


@pytest.fixture
def copied(kept: Path, tmp_path: Path) -> Path:
    """Return the site of a copy of that room."""
    shutil.copytree(kept, tmp_path / "room")
    return tmp_path / "room/site"


@pytest.mark.parametrize("what", DAMAGES)
def test_damage_is_named_and_nothing_is_written(what, copied, monkeypatch, capsys):
    site = copied
    pattern, spoil = DAMAGES[what]
    path = min((site.parent / "backups").glob(pattern))
    path.write_bytes(spoil(path.read_bytes()))
    new = site.parent / "new-site"
    capsys.readouterr()
    assert restore(site, monkeypatch, "--history", "--site", str(new)) == 1
    said = capsys.readouterr().err
    assert path.name.removesuffix(".sha256") in said
    assert not new.exists()
    assert not (site.parent / "new/historian/history").exists()


def test_a_damaged_backup_is_named_and_keeps_nobody_from_the_next(copied, monkeypatch, capsys):
    site = copied
    place = BackupPlace(site.parent / "backups")
    _next_second(place)
    book = place.root / place.stamps()[0] / BOOK
    book.write_bytes(b"{")
    assert back_up(site) == 1
    assert str(book) in capsys.readouterr().err
    assert len(place.stamps()) == 2
    assert restore(site, monkeypatch, "--history") == 0


def test_a_file_that_is_gone_is_named(copied, monkeypatch, capsys):
    site = copied
    path = min((site.parent / "backups").glob("files/**/*.parquet"))
    path.unlink()
    assert restore(site, monkeypatch) == 1
    assert path.name in capsys.readouterr().err


def test_what_is_not_empty_is_refused(copied, monkeypatch, capsys):
    site = copied
    assert restore(site, monkeypatch, "--site", str(site)) == 1
    assert "is not empty" in capsys.readouterr().err
    assert restore(site, monkeypatch, "--history", state=site / "state") == 1
    assert "is not empty" in capsys.readouterr().err


def test_a_power_cut_in_the_middle_leaves_the_backup_before(copied, monkeypatch):
    site = copied
    place = BackupPlace(site.parent / "backups")
    before = place.stamps()
    child = os.fork()
    if child == 0:  # ends in the middle, as a power cut does: no clean-up of ours runs
        with place.drafting(NOW, "embedded") as draft:
            copy_store(site / "state/historian/history", draft, lambda _: None)
            os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert list(place.root.glob(".*Z.new")), "the cut left its draft"
    assert place.stamps() == before
    assert restore(site, monkeypatch, "--history") == 0
    _next_second(place)
    assert back_up(site) == 0
    assert not list(place.root.glob(".*Z.new"))


def test_two_backups_at_once_are_one(site, capsys):
    place = BackupPlace(site.parent / "backups")
    with place.drafting(NOW, None):
        assert back_up(site) == 1
    assert "another backup" in capsys.readouterr().err


def test_upkeep_that_never_rests_is_said_and_leaves_nothing(site, store, tmp_path):
    history = site / "state/historian/history"
    place = BackupPlace(tmp_path / "backups")
    waits: list[float] = []
    segment = min(history.glob("full/**/*.parquet"))
    moved = segment.with_suffix(".away")
    segment.rename(moved)  # the manifest names a file that is gone, as for a moment after a merge
    with pytest.raises(BackupFailedError, match="upkeep"), place.drafting(NOW, "embedded") as draft:
        copy_store(history, draft, waits.append)
    assert len(waits) == ATTEMPTS
    assert place.stamps() == []
    with place.drafting(NOW, "embedded") as draft:  # and it is looked at again, not given up at once
        files = copy_store(history, draft, lambda _: moved.rename(segment))
    assert any(entry.restores.endswith(segment.name) for entry in files)


class PackingDraft(Draft):
    """A draft during whose first copy of a journal upkeep packs that journal away."""

    meanwhile: Callable[[], object] | None = None

    def keep(self, content: bytes, restores: str, mark: str = "") -> FileEntry:
        if "/journal/" in restores and self.meanwhile is not None:
            work, self.meanwhile = self.meanwhile, None
            work()
        return Draft.keep(self, content, restores, mark)


@pytest.mark.parametrize("steps", [1, 100], ids=["packed", "packed and dropped"])
def test_rows_that_upkeep_packs_meanwhile_are_there_once(steps, site, store, tmp_path):
    tend(store)
    for seq in range(1001, 1150):
        store.write(WriteBatch(scans=[LivedScan(scan_of(4, seq, measured_ms=at_ms(seq)))]))
    store.rotate()
    root, waits = tmp_path / "b", []
    (root / "new").mkdir(parents=True)
    draft = PackingDraft(root, root / "new", "new")
    draft.meanwhile = lambda: [store.upkeep() for _ in range(steps)]
    files = copy_store(site / "state/historian/history", draft, waits.append)
    assert len(waits) == 1, "it saw that a journal was packed, and looked again"
    put_store_back(root, files, tmp_path / "new/history", "hh1")
    with closing(embedded(tmp_path / "new/history")) as second:
        require_same(store, second)


def test_keys_come_back_with_modes_and_owners(site, monkeypatch, tmp_path):
    if os.geteuid() == 0:
        os.chown(site / "secrets/historian/client.key", 10_001, 10_001)
    assert back_up(site, "--only", "site") == 0
    archive = next((tmp_path / "backups").glob("*Z/site.tar.gz"))
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    assert restore(site, monkeypatch, "--site", str(tmp_path / "again/site")) == 0
    for path in (p for p in site.rglob("*") if "state" not in p.relative_to(site).parts):
        found, told = (tmp_path / "again/site" / path.relative_to(site)).stat(), path.stat()
        assert (found.st_mode, found.st_uid, found.st_gid) == (told.st_mode, told.st_uid, told.st_gid), path
        if path.is_file():
            assert (tmp_path / "again/site" / path.relative_to(site)).read_bytes() == path.read_bytes()
    assert not (tmp_path / "again/site/state").exists()
    assert main(["certificates", "show", str(tmp_path / "again/site")]) == 0


def test_keys_go_through_the_persons_program_and_back(site, monkeypatch, capsys, tmp_path):
    assert back_up(site, "--only", "site", "--encrypt", "gzip -c") == 0
    assert "not encrypted" not in capsys.readouterr().out
    (archive,) = (tmp_path / "backups").glob("*Z/site.tar.gz.encrypted")
    assert gzip.decompress(archive.read_bytes())[:2] == b"\x1f\x8b", "the program got the archive"
    new = tmp_path / "again"
    assert restore(site, monkeypatch, "--site", str(new)) == 1
    assert "--decrypt" in capsys.readouterr().err
    assert restore(site, monkeypatch, "--site", str(new), "--decrypt", "cat") == 1  # not what it was encrypted with
    assert not new.exists()
    assert restore(site, monkeypatch, "--site", str(new), "--decrypt", "gzip -dc") == 0
    assert (new / "ca/services-0.key").read_bytes() == (site / "ca/services-0.key").read_bytes()


@pytest.mark.parametrize("program", ["false", "no-such-program-here", "head -c 10"])
def test_a_program_that_fails_makes_no_backup(program, site, tmp_path):
    done = back_up(site, "--only", "site", "--encrypt", program)
    if program.startswith("head"):  # it ends well and loses the rest: only a restore sees that
        assert done in {0, 1}
        return
    assert done == 1
    assert BackupPlace(tmp_path / "backups").stamps() == []


def test_a_backup_of_a_later_format_says_which_program_restores_it(site, monkeypatch, capsys, tmp_path):
    assert back_up(site, "--only", "site") == 0
    place = BackupPlace(tmp_path / "backups")
    stamp, book = place.read()
    later = book.model_copy(update={"format": 2, "made_by": "9.0.0"})
    write_book(place.root / stamp, later)
    assert restore(site, monkeypatch) == 1
    assert "restore it with 9.0.0 or newer" in capsys.readouterr().err
