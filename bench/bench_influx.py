"""InfluxDB behind the historian's port, on a real server: bytes, client CPU beside `Point` objects, rows a second."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from cellkeeper.contract.scan_columns import ScanColumns
from cellkeeper.contract.series import CELL, USABLE_CODES
from cellkeeper.testing.influxd import Influxd, running_influxd
from historian.stores.influx.options import InfluxOptions
from historian.stores.influx.provision import plan_for, provision
from historian.stores.influx.server import Server, Target
from historian.stores.influx.store import InfluxStore
from historian.stores.port import LivedScan, WriteBatch
from influxdb_client import Point
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS

from bench.figure import Figure
from bench.store_load import scans

NAMES = ("influx_bytes_per_row", "influx_client_us_per_row", "influx_vs_point_ratio", "influx_rows_per_s")
NOISE = 3.0  # times 0.1 mV and 0.01 degC rms
STRINGS, CELLS = 16, 256
LIVE_S, POINT_S, FAST_S = 60, 4, 240
GROUP_S = 30  # seconds of a whole room in one write, as the historian groups what a gateway catches up with
DISK_CELLS, DISK_S, DISK_GROUP_S = 240, 7200, 120
SETTLE_DEADLINE_S = 90.0
EAGER = ("--storage-cache-snapshot-write-cold-duration", "2s", "--storage-compact-full-write-cold-duration", "2s")


def figures() -> list[Figure]:
    """Return the influx_* figures but panel_ms_max."""
    with tempfile.TemporaryDirectory() as folder, running_influxd(Path(folder) / "server") as server:
        room = _Room(server, Path(folder))
        live_us = room.client_us_per_row()
        point_us = room.point_us_per_row()
        rows_per_s = room.rows_per_s()
    with tempfile.TemporaryDirectory() as folder, running_influxd(Path(folder) / "server", *EAGER) as server:
        total, note = _Room(server, Path(folder)).bytes_per_row()
    note_cpu = f"{STRINGS} strings of {CELLS} in one request, once a second; Point {point_us:.1f} us"
    return [
        Figure("influx_bytes_per_row", total, "B/row", 2.5, note=note),
        Figure("influx_client_us_per_row", live_us, "us", 1.0, note=note_cpu),
        Figure("influx_vs_point_ratio", point_us / live_us, "ratio", 20.0, better="higher"),
        Figure("influx_rows_per_s", rows_per_s, "rows/s", 200_000.0, better="higher",
               note="client and server on this machine, a catching-up historian"),
    ]  # fmt: skip


class _Room:
    def __init__(self, server: Influxd, folder: Path) -> None:
        self.server, self.folder = server, folder

    def _target(self, database: str) -> Target:
        tokens = self.folder / database
        target = Target(self.server.url, "cellkeeper", tokens / "historian.token", database)
        plan = plan_for(target, tokens, dict.fromkeys(("full", "1m", "15m", "1d"), 0))
        for _ in provision(plan.with_operator(self.folder / "operator.token")):
            pass
        return target

    def _store(self, database: str) -> InfluxStore:
        options = InfluxOptions(self._target(database), self.folder / database / "state", lambda: 0)
        store = InfluxStore("hh1", options)
        store.begin()
        return store

    def client_us_per_row(self) -> float:
        """CPU of this process, decoded scan to acknowledged row, local books included."""
        store = self._store("live")
        spent_s = 0.0
        for batch in _batches(LIVE_S + 5, 1):
            begin = time.process_time()
            store.write(batch)
            spent_s += time.process_time() - begin if batch.scans[0].scan.seq > 5 else 0.0  # the first ones warm up
        store.close()
        return spent_s / (LIVE_S * STRINGS * CELLS) * 1e6

    def point_us_per_row(self) -> float:
        """CPU for the same fields of the same rows as `Point` objects, one request per second as well."""
        target = self._target("points")
        token = target.token_file.read_text("utf-8").strip()
        with InfluxDBClient(target.url, token=token, org=target.org) as client:
            writer = client.write_api(write_options=SYNCHRONOUS)
            begin = time.process_time()
            for batch in _batches(POINT_S, 1):
                points = [point for lived in batch.scans for point in _points(lived.scan)]
                writer.write("points/full", target.org, points)
            spent_s = time.process_time() - begin
        return spent_s / (POINT_S * STRINGS * CELLS) * 1e6

    def rows_per_s(self) -> float:
        """Rows per second of real time into the server."""
        store = self._store("fast")
        batches = list(_batches(FAST_S, GROUP_S))
        begin = time.perf_counter()
        for batch in batches:
            store.write(batch)
        spent_s = time.perf_counter() - begin
        store.close()
        return FAST_S * STRINGS * CELLS / spent_s

    def bytes_per_row(self) -> tuple[float, str]:
        """Bytes of all buckets of a database after compaction, per row of the full tier."""
        store = self._store("disk")
        waiting: list[LivedScan] = []
        for scan in scans("s1", DISK_CELLS, DISK_S, NOISE, 7):
            waiting.append(LivedScan(scan))
            if len(waiting) == DISK_GROUP_S:
                store.write(WriteBatch(scans=waiting))
                waiting = []
                while store.upkeep().more:
                    pass
        store.close()
        full, tiers = self._settled("disk")
        rows = DISK_CELLS * DISK_S
        note = f"2 h of {DISK_CELLS} cells, TSM files; {full / rows:.2f} full tier, {tiers / rows:.2f} the others"
        return (full + tiers) / rows, note

    def _settled(self, database: str) -> tuple[int, int]:
        """Return the bytes of the full tier and of the others, once snapshots are written and compacted."""
        buckets = self._bucket_folders(database)
        end_s, known = time.monotonic() + SETTLE_DEADLINE_S, (-1, -1)
        quiet = 0
        while quiet < 5 and time.monotonic() < end_s:
            time.sleep(2.0)
            sizes = [_tsm_bytes(folder) for folder in buckets]
            now = sizes[0], sum(sizes[1:])
            quiet = quiet + 1 if now == known and now[0] else 0
            known = now
        return known

    def _bucket_folders(self, database: str) -> list[Path]:
        operator = Target(self.server.url, "cellkeeper", self.folder / "operator.token", database)
        server = Server(operator)
        found = server.manage("GET", "/api/v2/buckets", org="cellkeeper", limit="100")["buckets"]
        server.close()
        ids = {bucket["name"]: bucket["id"] for bucket in found}
        names = [f"{database}/{tier}" for tier in ("full", "1m", "15m", "1d", "log")]
        return [self.server.folder / "engine" / "data" / ids[name] for name in names]


def _tsm_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.tsm"))


def _batches(seconds: int, at_once: int) -> Iterator[WriteBatch]:
    """Yield a room's scans, `at_once` seconds of all strings in each batch."""
    strings = [scans(f"s{n}", CELLS, seconds, NOISE, n) for n in range(1, STRINGS + 1)]
    for _ in range(0, seconds, at_once):
        yield WriteBatch(scans=[LivedScan(next(string)) for string in strings for _ in range(at_once)])


def _points(scan: ScanColumns) -> Sequence[Point]:
    v, degc, bleed = (CELL.field(name).stored for name in ("cell_v", "degc", "bleed_frac"))
    at_ns = scan.measured_ms * 1_000_000
    found = []
    for cell in range(scan.cells):
        point = Point(CELL.name).tag("site", scan.site).tag("string", scan.string)
        point.tag("cell", cell + 1).tag("life", 1)
        usable = int(scan.quality[cell]) in USABLE_CODES and not np.isnan(scan.cell_v[cell])
        if usable:
            point.field(v, int(np.rint(scan.cell_v[cell] * 1e4)))
        point.field(degc, int(np.rint(scan.cell_degc[cell] * 1e2)))
        point.field(bleed, int(np.rint(scan.bleed_frac[cell] * 1e3)))
        if scan.quality[cell]:
            point.field("quality", int(scan.quality[cell]))
        found.append(point.time(at_ns))
    return found


if __name__ == "__main__":
    for figure in figures():
        print(figure.line(), "-", figure.note)
