"""What services learned and the papers that they made come back with history; what is there already stays."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cellkeeper.backup.place import BackupPlace
from historian.stores.embedded.store import EmbeddedStore

from .backup_rooms import back_up, make_site, restore
from .test_migration import embedded, fill

LEARNED = {
    "analytics/learned.ckm": b"capacities",
    "analytics/events/s1_outage.npz": b"curves",
    "analytics/dossiers/s1_outage.pdf": b"%PDF",
    "balancer/learned.json": b"{}",
    "balancer-2/learned.json": b"{2}",
}
LEFT = {"analytics/analytics.lock": b"", "bus-gateway/journal/1.seg": b"scans", "analytics/.learned.ckm.new": b"half"}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    made = make_site(tmp_path)
    for inner, content in (LEARNED | LEFT).items():
        path = made / "state" / inner
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return made


@pytest.fixture
def store(site: Path) -> Iterator[EmbeddedStore]:
    opened = embedded(site / "state/historian/history")
    fill(opened)
    yield opened
    opened.close()


def found_below(state: Path) -> dict[str, bytes]:
    files = (
        path
        for path in state.rglob("*")
        if path.is_file() and not path.relative_to(state).parts[0].startswith("historian")
    )
    return {path.relative_to(state).as_posix(): path.read_bytes() for path in files}


def test_what_was_learned_comes_back_and_nothing_else(site, store, monkeypatch, capsys):
    assert back_up(site) == 0
    assert f"{len(LEARNED)} of what services learned" in capsys.readouterr().out
    assert restore(site, monkeypatch, "--history") == 0
    assert found_below(site.parent / "new") == LEARNED


def test_what_is_there_already_stays(site, store, monkeypatch, capsys):
    assert back_up(site) == 0
    newer = site.parent / "new/analytics/learned.ckm"
    newer.parent.mkdir(parents=True)
    newer.write_bytes(b"newer")
    assert restore(site, monkeypatch, "--history") == 0
    assert f"{len(LEARNED) - 1} of {len(LEARNED)} files of what services learned" in capsys.readouterr().out
    assert found_below(site.parent / "new") == LEARNED | {"analytics/learned.ckm": b"newer"}


def test_a_damaged_one_stops_the_restore_before_anything_is_written(site, store, monkeypatch, capsys):
    assert back_up(site) == 0
    (paper,) = (site.parent / "backups/files").rglob("s1_outage.*.pdf")
    paper.write_bytes(b"%XXX")
    assert restore(site, monkeypatch, "--history") == 1
    assert paper.name in capsys.readouterr().err
    assert not (site.parent / "new/analytics").exists()


def test_papers_are_shared_between_backups_and_go_with_the_last_of_them(site, store):
    assert back_up(site) == 0
    place = BackupPlace(site.parent / "backups")
    (first,) = place.stamps()
    (place.root / first).rename(place.root / "2020-01-01T00-00-00Z")
    (site / "state/analytics/events/s1_outage.npz").unlink()
    assert back_up(site, "--keep", "2") == 0
    held = {path.name.split(".")[0] for path in (place.root / "files/analytics").rglob("*.*")}
    assert held == {"learned", "s1_outage"}
    (place.root / place.stamps()[-1]).rename(place.root / "2020-01-02T00-00-00Z")
    assert back_up(site, "--keep", "1") == 0
    assert not list((place.root / "files/analytics/events").iterdir())
    assert list((place.root / "files/analytics/dossiers").iterdir())


def kept_apart(site: Path, *services: str) -> Path:
    """Move folders of services out of the shared state, as containers with volumes of their own have them."""
    apart = site.parent / "apart"
    for name in services:
        (apart / name).mkdir(parents=True)
        (site / "state" / name).rename(apart / name / name)
    return apart


def test_services_with_folders_apart_are_in_the_backup_under_the_same_names(site, store, monkeypatch):
    apart = kept_apart(site, "analytics", "balancer")
    stale = site / "state/balancer/learned.json"
    stale.parent.mkdir()
    stale.write_bytes(b"of nobody who runs")
    assert back_up(site, "--apart", str(apart)) == 0
    assert restore(site, monkeypatch, "--history") == 0
    assert found_below(site.parent / "new") == LEARNED


def test_each_gets_back_into_its_own_folder_what_it_learned(site, store, monkeypatch):
    assert back_up(site) == 0
    apart = site.parent / "volumes"
    for name in ("analytics", "balancer", "balancer-2"):
        (apart / name).mkdir(parents=True)
    assert restore(site, monkeypatch, "--history", "--apart", str(apart)) == 0
    assert found_below(apart) == {f"{inner.partition('/')[0]}/{inner}": held for inner, held in LEARNED.items()}
    assert found_below(site.parent / "new") == {}


def test_what_would_come_to_a_place_that_nobody_reads_stops_the_restore(site, store, monkeypatch, capsys):
    assert back_up(site) == 0
    apart = site.parent / "volumes"
    for name in ("analytics", "balancer"):
        (apart / name).mkdir(parents=True)
    assert restore(site, monkeypatch, "--history", "--apart", str(apart)) == 1
    told = capsys.readouterr().err
    assert "balancer-2" in told
    assert str(apart / "balancer-2") in told
    assert found_below(apart) == {}
    assert not (site.parent / "new/historian/history").exists()
