"""CPU of the gateway's way up per cell: readings -> journal -> published scan, summary, cell view at rest.

No broker: the session is replaced below `publish` by a counter, so that what is measured is our own work; the client
library's share is in `gateway_us_per_cell`, which has real bytes and a real broker.
"""

import asyncio
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from bus_gateway.driver import StringReadings
from bus_gateway.journal.files import JournalFiles
from bus_gateway.journal.scan_draft import Draft
from bus_gateway.journal.scan_keeper import KeeperLimits, ScanKeeper
from bus_gateway.uplink.retained import RetainedBoard
from bus_gateway.uplink.uplink import Uplink, outlet_of
from cellkeeper.contract.site_file import parse_site
from cellkeeper.runtime.clock import SystemClock
from cellkeeper.runtime.session import BrokerAddress, Session

from bench.figure import Figure

CELLS = 240
STRINGS = 17
SCANS = 40


class CountingSession(Session):
    """Takes every message and counts its bytes."""

    def publish(self, topic: str, payload: bytes, **_: object) -> bool:  # type: ignore[override]  # takes any options
        assert topic
        self.counters.sent += 1
        self.counters.received += len(payload)
        return True


def site_of(cells: int, strings: int) -> bytes:
    parts = ['[site]\nid = "bench"\nname = "Bench"\n[[bus]]\nid = "b1"\nport = "/dev/null"\n']
    parts += [
        f'[[string]]\nid = "s{number}"\ncells = {cells}\nchemistry = "vrla_agm"\nrated_ah = 100.0\n'
        f'[[string.modules]]\nbus = "b1"\nfirst_address = {1 + number * 512}\ncount = {cells}\n'
        for number in range(strings)
    ]
    return "".join(parts).encode()


def readings(string: str, scan: int, rng: np.random.Generator) -> StringReadings:
    return StringReadings(
        string=string,
        measured_ms=1_795_237_200_000 + 1000 * scan,
        cell_v=np.round(2.25 + 0.0003 * rng.standard_normal(CELLS), 4),
        cell_degc=np.round(22.0 + 0.03 * rng.standard_normal(CELLS), 2),
        bleed_frac=np.zeros(CELLS),
        quality=np.zeros(CELLS, dtype=np.uint8),
        degc_quality=np.zeros(CELLS, dtype=np.uint8),
        status=np.full(CELLS, 2, dtype=np.uint8),
        scalars={"current_a": 0.05, "string_v": 540.1},
        scalar_quality={"current_a": 0, "string_v": 0},
    )


async def measure(folder: Path) -> tuple[float, float]:
    """Return CPU microseconds per cell (median of the scans, every thread counted) and written bytes per cell."""
    site = parse_site(site_of(CELLS, STRINGS))
    session = CountingSession(address=BrokerAddress("127.0.0.1", 1), client_id="bench")
    files = JournalFiles(folder / "journal")
    keeper = ScanKeeper(
        site="bench",
        files=files,
        recovered=files.recover(),
        limits=KeeperLimits(1_000_000_000),
        new_stream=lambda: "beef",
        on_kept=lambda _: None,
        say=lambda _: None,
    )
    uplink = Uplink(
        site=site.site,
        session=session,
        keeper=keeper,
        board=RetainedBoard(session, 180.0),
        clock=SystemClock(),
        outlets={string.id: outlet_of(site.site, string) for string in site.string},
        backfill_per_s=500.0,
    )
    keeper.on_kept = uplink.on_kept
    await keeper.open()
    cells_task = asyncio.create_task(uplink.run_cells())
    rng = np.random.default_rng(7)
    spent = []
    for scan in range(SCANS):
        batch = [readings(string, scan, rng) for string in uplink.outlets]
        begun_s = time.process_time()
        for each in batch:
            keeper.add(Draft(replace(each), each.measured_ms, "synced", time.monotonic()))
        await keeper.commit()
        while any(outlet.cells.waiting for outlet in uplink.outlets.values()):  # noqa: ASYNC110  # nobody else waits
            await asyncio.sleep(0.02)
        spent.append(time.process_time() - begun_s)
        for key in list(keeper.book.waiting()):
            keeper.receipt(key, keeper.book.given_to(key))
    cells_task.cancel()
    written = keeper.written_bytes / (SCANS * STRINGS * CELLS)
    await keeper.close()
    return sorted(spent[5:])[len(spent[5:]) // 2] / (STRINGS * CELLS) * 1e6, written


def gateway_uplink() -> list[Figure]:
    with tempfile.TemporaryDirectory(dir=".") as folder:
        us_per_cell, written = asyncio.run(measure(Path(folder)))
    note = f"{STRINGS} strings of {CELLS} cells at rest, fdatasync included, without the MQTT library"
    return [
        Figure("gateway_uplink_us_per_cell", us_per_cell, "us", 2.0, "lower", note),
        Figure("gateway_journal_bytes_per_cell", written, "B", None, "lower", note),
    ]


if __name__ == "__main__":
    for figure in gateway_uplink():
        print(figure.line())
