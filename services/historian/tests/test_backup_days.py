"""Days of history out of a real InfluxDB, into a backup and back into either store; backups of old formats."""

import asyncio
import json
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from cellkeeper.backup.book import BackupBook
from cellkeeper.backup.place import BackupPlace
from cellkeeper.cli.suite_run import is_open
from cellkeeper.contract.series import DAY_MS
from cellkeeper.runtime.broker import free_port
from cellkeeper.runtime.history_api import history_at
from cellkeeper.testing.builders import START_MS, scan_of
from cellkeeper.testing.clock import ManualClock
from cellkeeper.testing.patience import PATIENCE_S
from historian.api import make_api
from historian.api_server import serve_api
from historian.backup.day_history import DayHistory
from historian.backup.days import DayCopy
from historian.export.asking import Historian
from historian.migration.moving import ALWAYS, Move
from historian.stores.port import EventQuestion, LivedScan, Store, StringQuestion, WriteBatch
from prometheus_client import CollectorRegistry

from .backup_rooms import difference, make_site, require_same, restore
from .conftest import InfluxSite, open_influx
from .test_migration import at_ms, embedded, fill, tend

TODAY = START_MS // DAY_MS + 10
NOW = datetime(2026, 12, 1, 2, 0, tzinfo=UTC)
OLD = Path(__file__).parent / "data/backups-of-format-1"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a site's folder."""
    return make_site(tmp_path)


@contextmanager
def historian_of(store: Store) -> Iterator[Historian]:
    """Serve a store over HTTP as the service does."""
    api = make_api(store, ManualClock(ALWAYS[1]), CollectorRegistry(), lambda: None, lambda: True)
    port, loop = free_port(), asyncio.new_event_loop()
    serving = loop.create_task(serve_api(api, port))
    with ThreadPoolExecutor(1) as pool, history_at(f"http://127.0.0.1:{port}") as asked:
        ended = pool.submit(run_until_cancelled, loop, serving)
        try:
            wait_for(port)
            yield Historian(asked)
        finally:
            asked.client.close()
            loop.call_soon_threadsafe(serving.cancel)
            ended.result(PATIENCE_S)


def run_until_cancelled(loop: asyncio.AbstractEventLoop, task: "asyncio.Task[None]") -> None:
    with suppress(asyncio.CancelledError):
        loop.run_until_complete(task)
    while connections := asyncio.all_tasks(loop):
        loop.run_until_complete(asyncio.wait(connections))
    loop.run_until_complete(asyncio.sleep(0.05))  # a connection that the client closed is seen with the next turn
    loop.close()


def wait_for(port: int) -> None:
    end_s = time.monotonic() + 20.0
    while not is_open("127.0.0.1", port):
        assert time.monotonic() < end_s, "the API does not listen"
        time.sleep(0.01)


def copy_days(place: BackupPlace, store: Store, now: datetime) -> BackupBook:
    """Make a backup of days as the command does, at a time of its own."""
    with place.drafting(now, "influx") as draft, historian_of(store) as historian:
        files = tuple(DayCopy(historian, draft, TODAY).run())
        book = BackupBook(made_by="test", site="hh1", made_at=now, complete_to=now, store="influx", files=files)
        place.finish(draft, book)
    return place.read()[1]


def test_days_of_influx_come_back_into_influx_and_into_files(influx_site: InfluxSite, tmp_path: Path):
    place = BackupPlace(tmp_path / "backups")
    with (
        closing(open_influx(tmp_path / "a", influx_site.target())) as first,
        closing(open_influx(tmp_path / "b", influx_site.target())) as second,
        closing(embedded(tmp_path / "files", full=0)) as third,
    ):
        fill(first)
        tend(first)
        book = copy_days(place, first, NOW)
        source = DayHistory(place.root, book.files)
        assert difference(source, first) == []
        for target in (second, third):
            for _ in Move(source, target, "hh1").run():
                pass
            require_same(first, target)
            assert target.positions()["s1"]["b7f2"].stored == first.positions()["s1"]["b7f2"].stored


def test_the_command_restores_into_influx_once_and_goes_on_when_told(
    influx_site: InfluxSite, site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    shutil.copytree(OLD / "influx", site.parent / "backups")
    target = influx_site.target()
    told = {"STORE": "influx", "INFLUX_URL": target.url, "INFLUX_DATABASE": target.database}
    told |= {"INFLUX_TOKEN_FILE": str(target.token_file)}
    told |= {f"KEEP_{tier}_DAYS": "0" for tier in ("FULL", "1M", "15M", "1D")}
    for name, value in told.items():
        monkeypatch.setenv(f"CELLKEEPER_{name}", value)
    assert restore(site, monkeypatch, "--history") == 0
    assert "the store says what the backup says" in capsys.readouterr().err
    assert restore(site, monkeypatch, "--history") == 1
    assert "--go-on" in capsys.readouterr().err
    assert restore(site, monkeypatch, "--history", "--go-on") == 0
    shutil.copytree(OLD / "embedded", site.parent / "backups", dirs_exist_ok=True)
    newest = BackupPlace(site.parent / "backups").stamps()[-1]
    assert restore(site, monkeypatch, "--history", "--at", newest) == 1
    assert "cellkeeper migrate --to influx" in capsys.readouterr().err


def test_a_late_row_writes_its_day_again_and_no_other(influx_site: InfluxSite, tmp_path: Path):
    place = BackupPlace(tmp_path / "backups")
    with closing(open_influx(tmp_path / "a", influx_site.target())) as store:
        fill(store)
        tend(store)
        before = {entry.restores: entry.path for entry in copy_days(place, store, NOW).files}
        late = scan_of(4, 310, measured_ms=at_ms(310), cell_v=np.full(4, 2.1))
        store.write(WriteBatch(scans=[LivedScan(late)]))
        tend(store)
        after = {entry.restores: entry.path for entry in copy_days(place, store, NOW.replace(hour=3)).files}
    changed = {name for name in after if after[name] != before.get(name)}
    day = "2026-11-22"
    assert changed == {f"days/s1/{day}.{kind}.parquet" for kind in ("cell", "string", "tiers")}


def test_a_day_that_is_not_over_is_not_copied(tmp_path: Path):
    place = BackupPlace(tmp_path / "backups")
    with closing(embedded(tmp_path / "history", full=0)) as store, place.drafting(NOW, "influx") as draft:
        fill(store)
        tend(store)
        with historian_of(store) as historian:
            copied = {entry.restores for entry in DayCopy(historian, draft, START_MS // DAY_MS + 1).run()}
    assert "days/s1/2026-11-21.cell.parquet" in copied
    assert not any("2026-11-22" in name for name in copied)


@pytest.mark.parametrize("kind", ["embedded", "influx"])
def test_backups_of_the_first_format_still_restore(kind, site, monkeypatch):
    """Origin: `cellkeeper backup` of version 0.1.0, 2026-11-26, of 40 scans; `influx` are its day files."""
    shutil.copytree(OLD / kind, site.parent / "backups")
    told = json.loads((OLD / kind / "told.json").read_text("utf-8"))
    assert restore(site, monkeypatch, "--history") == 0
    with closing(embedded(site.parent / "new/historian/history", full=0)) as found:
        rows = found.string_series(StringQuestion("s1", "cell", *ALWAYS))
        assert rows.num_rows == told["rows"]
        assert [round(v * 1e4) for v in rows["cell_v"].to_pylist()[:12] if v is not None] == told["first_v_e4"]
        assert len(found.events(EventQuestion(*ALWAYS, 100))) == told["events"]
        days = found.string_series(StringQuestion("s1", "cell", *ALWAYS, "1d"))
        assert days.num_rows == told["daily_rows"]
    if kind == "embedded":
        assert restore(site, monkeypatch, "--site", str(site.parent / "again")) == 0
        assert 'id = "hh1"' in (site.parent / "again/site.toml").read_text("utf-8")
