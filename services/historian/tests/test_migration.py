"""History moves between a real InfluxDB and the embedded store, both ways, and nothing differs afterwards."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from cellkeeper.cli.main import main
from cellkeeper.contract.moment import from_ms
from cellkeeper.contract.notices import Event
from cellkeeper.contract.series import DAY_MS
from cellkeeper.runtime.service import only_instance
from cellkeeper.testing.builders import START_MS, balance_of, estimate_of, mode_of, scan_of, sweep_of
from cellkeeper.testing.suite import site_text
from historian.migration.moving import ALWAYS, Difference, Move, Progress
from historian.receipts import LostSpan
from historian.stores.embedded.options import EmbeddedOptions
from historian.stores.embedded.store import EmbeddedStore
from historian.stores.estimate_rows import cell_estimate_row, estimate_row
from historian.stores.port import (
    EventQuestion,
    LivedScan,
    LivedSweep,
    StateQuestion,
    Store,
    StringQuestion,
    WriteBatch,
)
from historian.stores.state_rows import balance_row, mode_row, rows_of

from .conftest import InfluxSite, open_influx

KEEP = {"full": 1, "1m": 0, "15m": 0, "1d": 0}
SWEEP = LivedSweep(sweep_of([1]), (2,))


BALANCES = [balance_row(balance_of(START_MS + n * DAY_MS, is_milestone=n == 1)) for n in range(3)]
MODES = [mode_row(mode_of(START_MS + n * DAY_MS)) for n in range(2)]
ESTIMATES = [estimate_row(estimate_of(START_MS + n * DAY_MS)) for n in range(3)]
OF_UNITS = [cell_estimate_row(estimate_of(START_MS + n * DAY_MS), (1, 2, 1) if n else None) for n in range(3)]
STATES = {"balance": BALANCES, "mode": MODES, "estimate": ESTIMATES, "cell_estimate": OF_UNITS}


def at_ms(seq: int) -> int:
    return START_MS + seq // 200 * DAY_MS + seq % 200 * 10_007


def fill(store: Store) -> None:
    """Write half an hour of each of three days: a replaced unit, gaps, suspects, two scans of one time, a log."""
    rng = np.random.default_rng(1)
    scans = []
    for seq in (*range(5, 300), *range(320, 601)):
        quality = np.zeros(4, np.uint8)
        v = np.round(2.25 + rng.normal(0, 0.01, 4), 4)
        if seq % 50 == 0:
            quality[1], v[1] = 2, 9.0
        if seq % 70 == 0:
            quality[2], v[2] = 4, np.nan
        bleed = np.where(rng.random(4) < 0.3, 0.5, 0.0)
        scan = scan_of(4, seq, measured_ms=at_ms(seq), cell_v=v, quality=quality, bleed_frac=bleed)
        scans.append(LivedScan(scan, (1, 1, 2, 1) if seq > 250 else None))
    same = scan_of(4, 1, stream="c0de", measured_ms=at_ms(600), cell_v=np.full(4, 2.0))
    scans += [LivedScan(same), LivedScan(scan_of(6, 1, string="s2", scalars={}, scalar_quality={}))]
    for first in range(0, len(scans), 200):
        store.write(WriteBatch(scans=scans[first : first + 200]))
        tend(store)
    events = [
        Event(id=f"{n:032x}", at=from_ms(START_MS + n), service="auth", kind="user.added", severity="info", text=str(n))
        for n in range(7)
    ]
    store.write(WriteBatch(events=events, sweeps=[SWEEP], lost=[LostSpan("s1", "b7f2", 0, 4)]))
    store.write(WriteBatch(states=[*BALANCES, *MODES, *ESTIMATES], cell_states=OF_UNITS))


def tend(store: Store) -> None:
    while store.upkeep().more:
        pass


def embedded(folder: Path, **keep: int) -> EmbeddedStore:
    return EmbeddedStore(folder, "hh1", EmbeddedOptions(reserve_bytes=0, scans_per_journal=200, keep_days=KEEP | keep))


@pytest.fixture
def stores(influx_site: InfluxSite, tmp_path: Path) -> Iterator[tuple[EmbeddedStore, Store, EmbeddedStore]]:
    opened = (
        embedded(tmp_path / "first"),
        open_influx(tmp_path, influx_site.target()),
        embedded(tmp_path / "second", full=0),
    )
    yield opened
    for store in opened:
        store.close()


def differences(move: Move) -> list[Difference]:
    return [step for step in move.compare() if isinstance(step, Difference)]


def moved(steps: Iterator[Progress]) -> int:
    return sum(step.moved for step in steps if step.part.startswith(("scans", "1m", "15m", "1d")))


def test_history_moves_to_influx_and_back_and_says_the_same(stores):
    first, influx, second = stores
    fill(first)
    tend(first)
    kept_ms = first.kept_from_ms("s1")
    assert kept_ms is not None, "retention took full rows, so that tiers reach back further"
    there = Move(first, influx, "hh1")
    assert len(list(islice(there.run(), 3))) == 3  # cut off
    assert moved(there.run()) > 500
    assert differences(there) == []
    assert moved(there.run()) == 0
    back = Move(influx, second, "hh1")
    assert moved(back.run()) > 500
    assert differences(back) == []
    assert differences(Move(first, second, "hh1")) == []
    for store in (influx, second):
        assert store.positions()["s1"]["b7f2"].receipt_seq == 299
        assert len(store.events(EventQuestion(*ALWAYS, 100))) == 7
        assert store.impedance("s1", *ALWAYS) == (SWEEP,)
        for name, rows in STATES.items():
            assert rows_of(store.states(StateQuestion(name, "s1", *ALWAYS)), name, "s1") == rows
        days = store.string_series(StringQuestion("s1", "cell", *ALWAYS, "1d"))
        assert min(days["measured_at"].to_pylist()) == from_ms(START_MS // DAY_MS * DAY_MS)


def test_a_difference_is_found(stores):
    first, influx, _ = stores
    first.write(WriteBatch(scans=[LivedScan(scan_of(4, seq)) for seq in range(1, 40)]))
    influx.write(WriteBatch(scans=[LivedScan(scan_of(4, seq)) for seq in range(1, 39)]))
    influx.write(WriteBatch(scans=[LivedScan(scan_of(4, 39, cell_v=np.full(4, 2.3)))]))
    found = differences(Move(first, influx, "hh1"))
    assert {each.tier for each in found} == {"full", "1m", "15m", "1d"}


def test_the_command_moves_compares_and_keeps_off_a_running_historian(
    influx_site: InfluxSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    target = influx_site.target()
    (tmp_path / "site.toml").write_text(site_text(tmp_path, 1, 4), "utf-8")
    told = {
        "SITE_FILE": str(tmp_path / "site.toml"),
        "STATE_DIR": str(tmp_path / "state"),
        "RESERVE_MB": "0",
        "INFLUX_URL": target.url,
        "INFLUX_DATABASE": target.database,
        "INFLUX_TOKEN_FILE": str(target.token_file),
    }
    for name, value in told.items():
        monkeypatch.setenv(f"CELLKEEPER_{name}", value)
    store = embedded(tmp_path / "state" / "historian" / "history")
    store.write(WriteBatch(scans=[LivedScan(scan_of(4, seq)) for seq in range(1, 200)]))
    store.close()
    assert main(["migrate", "--to", "influx"]) == 0
    said = capsys.readouterr().err
    assert "199 new" in said
    assert said.endswith("both stores say the same\n")
    assert main(["migrate", "--to", "influx", "--compare"]) == 0
    with only_instance(tmp_path / "state", "historian"):
        assert main(["migrate", "--to", "embedded"]) == 1
    assert "already runs here" in capsys.readouterr().err
