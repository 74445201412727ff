"""A room's scans as the store sees them: synthetic float charge with noise, and the child that a run is measured in.

Noise of 0.1 mV and 0.01 degC rms is quiet, three times that is noisy; resolution 0.1 mV and 0.01 degC. Cells drift
slowly, 5 % of them bleed now and then, one reading in ten thousand is missing or implausible, times jitter by 3 ms.
"""

import json
import resource
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from cellkeeper.contract.scan_columns import ScanColumns
from historian.errors import StoreBusyError
from historian.stores.embedded.options import EmbeddedOptions
from historian.stores.embedded.store import EmbeddedStore
from historian.stores.port import LivedScan, WriteBatch

START_MS = 1_795_219_200_000  # 2026-11-21T00:00:00Z
BLOCK = 600


def scans(string: str, cells: int, seconds: int, noise: float, seed: int) -> Iterator[ScanColumns]:
    """Yield a scan a second."""
    rng = np.random.default_rng(seed)
    level_v, level_degc = 2.25 + rng.normal(0, 0.003, cells), 22.0 + rng.normal(0, 0.5, cells)
    walk_v, walk_degc = np.zeros(cells), np.zeros(cells)
    bleed = np.zeros(cells)
    for second in range(seconds):
        if second % BLOCK == 0:
            walk_v += rng.normal(0, 0.0003, cells)
            walk_degc += rng.normal(0, 0.05, cells)
            bleed = np.where(rng.random(cells) < 0.05, np.round(rng.random(cells), 1), 0.0)
        cell_v = level_v + walk_v + 0.0002 * np.sin(second / 300.0) + rng.normal(0, 1e-4 * noise, cells)
        cell_degc = level_degc + walk_degc + rng.normal(0, 1e-2 * noise, cells)
        quality = np.zeros(cells, np.uint8)
        bad = np.flatnonzero(rng.random(cells) < 1e-4)
        quality[bad] = rng.choice([2, 4], len(bad))
        cell_v[quality == 4] = np.nan
        yield ScanColumns(
            site="hh1",
            string=string,
            stream="b7f2",
            seq=second + 1,
            oldest_seq=max(1, second - 5),
            measured_ms=START_MS + 1000 * second + int(rng.integers(0, 4)),
            clock="synced",
            cell_v=np.round(cell_v, 4),
            cell_degc=np.round(cell_degc, 2),
            bleed_frac=bleed,
            quality=quality,
            degc_quality=np.zeros(cells, np.uint8),
            status=np.full(cells, 2, np.uint8),
            scalars={"current_a": round(float(rng.normal(0.05, 0.01)), 3), "string_v": round(2.25 * cells, 2)},
            scalar_quality={"current_a": 0, "string_v": 0},
        )


def written_bytes() -> int:
    """Return what this process has written to block devices so far."""
    for line in Path("/proc/self/io").read_text().splitlines():
        if line.startswith("write_bytes"):
            return int(line.split()[1])
    raise RuntimeError("no write_bytes in /proc/self/io")


def live_room(folder: Path, strings: int, cells: int, seconds: int) -> dict[str, float]:
    """Write a room as it runs, upkeep beside it, each string a group of its own; return what that cost."""
    import historian.main  # noqa: F401, PLC0415 - the whole service is in memory, as in production

    store = EmbeddedStore(folder, "hh1", EmbeddedOptions(reserve_bytes=0))
    ended = threading.Event()

    def tend() -> None:
        while not ended.is_set() or store.upkeep().more:
            time.sleep(0.02 if store.upkeep().more else 0.05)

    upkeep = threading.Thread(target=tend)
    upkeep.start()
    before, pauses = written_bytes(), []
    room = [scans(f"s{n}", cells, seconds, 1.0, n) for n in range(strings)]
    for _ in range(seconds):
        for string in room:
            pauses.append(_write(store, next(string)))  # noqa: PERF401 - a write, not a list
    ended.set()
    upkeep.join()
    rows = strings * cells * seconds
    store.close()
    return {
        "written": (written_bytes() - before) / rows,
        "pause_ms": max(pauses) * 1e3,
        "pause_p99_ms": sorted(pauses)[int(len(pauses) * 0.99)] * 1e3,
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _write(store: EmbeddedStore, scan: ScanColumns) -> float:
    begin = time.perf_counter()
    while True:
        try:
            store.write(WriteBatch(scans=[LivedScan(scan)]))
        except StoreBusyError:  # the run is faster than a room: upkeep may need a moment
            time.sleep(0.05)
            begin = time.perf_counter()
        else:
            return time.perf_counter() - begin


if __name__ == "__main__":
    sys.stdout.write(json.dumps(live_room(Path(sys.argv[1]), *map(int, sys.argv[2:5]))))
