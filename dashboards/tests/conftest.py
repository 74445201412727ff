"""A real InfluxDB that our own store filled: 35 days of two strings, with faults, bleeds, impedances and events."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from cellkeeper.contract.balance_state import BalanceState
from cellkeeper.contract.estimate_state import StringEstimate
from cellkeeper.contract.notices import Event
from cellkeeper.contract.series import DATABASE, DAY_MS
from cellkeeper.contract.telemetry import ImpedanceSweep
from cellkeeper.testing.builders import balance_of, estimate_of, mode_of, scan_of
from cellkeeper.testing.influxd import missing_influxd, running_influxd
from dashboards.rehearsal import InfluxQuestioner
from historian.stores.estimate_rows import cell_estimate_row, estimate_row
from historian.stores.influx.options import InfluxOptions
from historian.stores.influx.provision import plan_for, provision
from historian.stores.influx.server import Target
from historian.stores.influx.store import InfluxStore
from historian.stores.port import LivedScan, LivedSweep, WriteBatch
from historian.stores.state_rows import balance_row, mode_row

CELLS = {"s1": 6, "s2": 3}
SCALARS = {"current_a": 0.05, "string_v": 13.5, "ambient_degc": 21.5, "ripple_a_rms": 1.25}
OLD_STEP_MS, NEW_STEP_MS, NEW_MS = 6 * 3_600_000, 10_000, 1_200_000
CHOSEN = {"site": "hh1", "string": "s1", "cell": "2"}


@dataclass(frozen=True)
class Filled:
    """The server, the time of the newest scan, and what a person chose on the boards."""

    questioner: InfluxQuestioner
    end_ms: int
    chosen: dict[str, str]
    cells: int
    url: str
    token: str


def a_scan(string: str, seq: int, at_ms: int) -> Any:
    cells = CELLS[string]
    level = 2.25 + 0.01 * np.arange(cells)
    quality = np.zeros(cells, np.uint8)
    quality[1], quality[-1] = (2, 4) if seq % 3 == 0 else (0, 0)
    level[1] = 3.9 if quality[1] else level[1]
    bleed = np.where(np.arange(cells) == 1, 0.5, 0.0)
    return scan_of(
        cells, seq, string=string, measured_ms=at_ms, quality=quality, bleed_frac=bleed,
        cell_v=np.where(quality == 4, np.nan, level), clock="synced" if string == "s1" else "holdover",
        scalars=dict(SCALARS), scalar_quality=dict.fromkeys(SCALARS, 0),
    )  # fmt: skip


def times_ms(end_ms: int) -> list[int]:
    old = range(end_ms - 35 * DAY_MS, end_ms - NEW_MS, OLD_STEP_MS)
    return [*old, *range(end_ms - NEW_MS, end_ms + 1, NEW_STEP_MS)]


def an_event(n: int, at_ms: int) -> Event:
    return Event(
        id=f"{n:08x}", at=datetime.fromtimestamp(at_ms / 1000, UTC), service="bus-gateway", kind="cell.silent",
        severity="warning", text="cell 2 of s1 was silent", string="s1", cell=2,
    )  # fmt: skip


def a_finding(n: int, at_ms: int) -> Event:
    return Event(
        id=f"f{n:08x}", at=datetime.fromtimestamp(at_ms / 1000, UTC), service="balancer", kind="balance.leak",
        severity="warning", text="cell 5 of s1 loses 21 mA", string="s1", cell=5,
    )  # fmt: skip


def a_dossier(n: int, at_ms: int) -> Event:
    return Event(
        id=f"d{n:08x}", at=datetime.fromtimestamp(at_ms / 1000, UTC), service="analytics", kind="discharge.dossier",
        severity="info", text="dossier of s1: dossiers/s1.pdf", string="s1",
    )  # fmt: skip


def a_state(string: str, at_ms: int) -> BalanceState:
    return balance_of(at_ms, string=string, held_out_spread_v=0.06, inhibit="" if string == "s1" else "paused")


def an_estimate(string: str, at_ms: int) -> StringEstimate:
    cells = CELLS[string]
    columns = {name: getattr(estimate_of(at_ms), name) for name in StringEstimate.model_fields}
    whole = {name: (each[:2] * 3)[:cells] for name, each in columns.items() if isinstance(each, list) and each[1:]}
    return estimate_of(at_ms, string=string, **whole)


def a_sweep(at_ms: int) -> ImpedanceSweep:
    at, cells = datetime.fromtimestamp(at_ms / 1000, UTC), CELLS["s1"]
    return ImpedanceSweep(
        string="s1", measured_at=at, method="ac", frequency_hz=1000.0, test_a=2.0, mode="float",
        cells=list(range(1, cells + 1)), r_ohm=[0.0003] * cells, cell_measured_at=[at] * cells,
        degc=[22.0] * cells, cell_v=[2.25] * cells, quality=[0] * cells,
    )  # fmt: skip


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    if why := missing_influxd():
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("boards")
    end_ms = int(time.time()) * 1000
    with running_influxd(folder / "server") as server:
        target = Target(server.url, "cellkeeper", folder / "historian.token", DATABASE)
        for _ in provision(plan_for(target, folder, dict.fromkeys(("full", "1m", "15m", "1d"), 0))):
            pass
        store = InfluxStore("hh1", InfluxOptions(target, folder / "history", lambda: end_ms))
        store.begin()
        scans = [
            LivedScan(a_scan(string, seq, at_ms))
            for seq, at_ms in enumerate(times_ms(end_ms), start=1)
            for string in CELLS
        ]
        log_times = [end_ms - minutes * 60_000 for minutes in (30, 600, 20_000)]
        told_ms = [end_ms - minutes * 60_000 for minutes in (5, 30, 120, 600, 20_000)]
        store.write(
            WriteBatch(
                states=[
                    row
                    for at_ms in told_ms
                    for string in CELLS
                    for row in (
                        balance_row(a_state(string, at_ms)),
                        mode_row(mode_of(at_ms, string=string)),
                        estimate_row(an_estimate(string, at_ms)),
                    )
                ],
                cell_states=[
                    cell_estimate_row(an_estimate(string, at_ms), None) for at_ms in told_ms for string in CELLS
                ],
                scans=scans,
                sweeps=[LivedSweep(a_sweep(at_ms)) for at_ms in log_times],
                events=[
                    *(an_event(n, at_ms) for n, at_ms in enumerate(log_times)),
                    *(a_finding(n, at_ms) for n, at_ms in enumerate(log_times)),
                    *(a_dossier(n, at_ms) for n, at_ms in enumerate(log_times)),
                ],
            )
        )
        while store.upkeep().more:
            pass
        store.close()
        token = (folder / "reader.token").read_text("utf-8").strip()
        with InfluxQuestioner(server.url, DATABASE, token) as questioner:
            yield Filled(questioner, end_ms, CHOSEN, CELLS["s1"], server.url, token)
