"""CPU of the gateway's bus half: bytes of 4096 modules in, graded readings out.

The other end of the pty is a child process that answers TRAIN with ready-made rows, so that only the gateway's own work
is counted. `python bench/profile_bus_path.py [cells] [sweeps]`
"""

import asyncio
import os
import sys
import time
import tty
from random import Random

import numpy as np
from bus_gateway.driver import StringReadings
from bus_gateway.drivers.c44 import C44Driver
from bus_gateway.readings.plausibility import Plausibility
from bus_gateway.wire.frame import crc16
from cellkeeper.contract.site import Site
from cellkeeper.runtime.clock import SystemClock

PER_STRING = 256


def rows_of(cells: int) -> list[bytes]:
    """Return the replies of all modules for each low nibble of a sample id."""
    tables = []
    random = np.random.default_rng(3)
    counts = 22500 + random.integers(-20, 20, cells)
    for nibble in range(16):
        rows = bytearray()
        for index in range(cells):
            word = int(counts[index]) | nibble << 20
            body = b"\xa0" + (index + 1).to_bytes(2, "little") + word.to_bytes(3, "little") + b"\xc4\x09\x00\x02"
            rows += body + crc16(body).to_bytes(2, "big")
        tables.append(bytes(rows))
    return tables


def answer_trains(line: int, tables: list[bytes]) -> None:
    """Answer TRAIN until the other end hangs up."""
    pending = b""
    while True:
        try:
            pending += os.read(line, 4096)
        except OSError:
            return
        while len(pending) >= 7 and len(pending) >= 9 + pending[5]:
            frame, pending = pending[: 9 + pending[5]], pending[9 + pending[5] :]
            if frame[1] == 0x02:
                first = frame[2] | frame[3] << 8
                table = tables[frame[8] & 0x0F]
                os.write(line, table[(first - 1) * 12 : (first - 1 + frame[7]) * 12])


def site_of(cells: int, port: str) -> Site:
    """Return a site of strings of 256 cells on one line at 3 MBd."""
    strings = [
        {
            "id": f"s{n}",
            "cells": PER_STRING,
            "chemistry": "vrla_agm",
            "rated_ah": 100.0,
            "modules": [{"bus": "line1", "first_address": n * PER_STRING + 1, "count": PER_STRING}],
        }
        for n in range(cells // PER_STRING)
    ]
    return Site.model_validate(
        {
            "site": {"id": "b", "name": "bench"},
            "bus": [{"id": "line1", "port": port, "baud": 3_000_000}],
            "string": strings,
        }
    )


async def measure(cells: int, sweeps: int) -> None:
    """Print CPU per cell with and without plausibility."""
    master, slave = os.openpty()
    tty.setraw(slave)
    tables = rows_of(cells)
    child = os.fork()
    if not child:
        os.close(slave)
        answer_trains(master, tables)
        os._exit(0)
    os.close(master)
    site = site_of(cells, os.ttyname(slave))
    driver = C44Driver(site, "bus-gateway", SystemClock(), Random(1))
    taken: list[StringReadings] = []
    keeper = asyncio.create_task(driver.keep_open())
    while not all(driver.open_buses.values()):  # noqa: ASYNC110  # a moment before the measurement
        await asyncio.sleep(0.01)
    await driver.sweep(taken.append)
    good = sum(int((reading.quality == 0).sum()) for reading in taken)
    judge = {string.id: Plausibility(string) for string in site.string}
    for reading in taken:
        judge[reading.string].judge(reading)  # the first scan has no history, and loads what only it needs
    spent = {"readings": 0.0, "plausibility": 0.0}

    def take(reading: StringReadings) -> None:
        begun_s = time.thread_time()
        judge[reading.string].judge(reading)
        spent["plausibility"] += time.thread_time() - begun_s

    begun_s, wall_s, kernel_s = time.thread_time(), time.monotonic(), os.times().system
    for _ in range(sweeps):
        await driver.sweep(take)
    spent["readings"] = time.thread_time() - begun_s - spent["plausibility"]
    wall_s = time.monotonic() - wall_s
    spent["readings_in_kernel"] = os.times().system - kernel_s
    keeper.cancel()
    os.close(slave)
    for name, cpu_s in spent.items():
        print(f"bus_{name}_us_per_cell {cpu_s / sweeps / cells * 1e6:.3f} us")
    print(f"{good} of {cells} good; {wall_s / sweeps * 1e3:.0f} ms per sweep; {driver.counters['line1']}")
    os.kill(child, 9)
    os.waitpid(child, 0)  # noqa: ASYNC222  # nothing else runs any more


if __name__ == "__main__":
    asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 4096, int(sys.argv[2]) if len(sys.argv) > 2 else 20))
