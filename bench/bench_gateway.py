"""CPU of the real gateway process per cell reading, and of the usual way to do the same, in one run.

The gateway runs as `python -m bus_gateway` with the real broker and historian (so receipts come back); the twin, which
plays the 4096 modules over four ptys, is another process, as are all the others: only the gateway is counted. Once as
often as it can sweep, where the work per reading decides, and once at 1 Hz, where timers, refreshes, cold caches and
the care of lines between sweeps weigh as much.
"""

import asyncio
import json
import multiprocessing
import os
import statistics
import tempfile
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import aiomqtt
import paho.mqtt.client as mqtt
import serial
from bus_gateway.wire.encode import train
from bus_gateway.wire.frame import crc16
from cellkeeper.contract.channels import CELL, MODULE, SCAN
from cellkeeper.testing.suite import Suite, running_suite
from paho.mqtt.enums import CallbackAPIVersion

from bench.bench_pipeline import cpu_s, room_text
from bench.figure import Figure
from bench.profile_bus_path import answer_trains, rows_of

NAMES = ("gateway_us_per_cell", "gateway_vs_serial_ratio", "gateway_process_us_per_cell")
STRINGS, CELLS_EACH = 16, 256
CELLS = STRINGS * CELLS_EACH
FAST_SCAN_S = 0.2  # the sample window is 106 ms of it
ROUNDS = 3
ROUND_S = 8.0
SETTLE_S = 15.0
START_DEADLINE_S = 180.0
SAMPLE_CELLS = 1024


def figures() -> list[Figure]:
    """Return the figures of NAMES."""
    gateway_us: list[float] = []
    usual_us: list[float] = []
    rate = 0.0
    with running_room(FAST_SCAN_S) as (suite, counted), usual_port() as port:
        for _ in range(ROUNDS):
            us, rate = us_per_cell(suite, counted)
            gateway_us.append(us)
            usual_us.append(asyncio.run(usual_us_per_cell(port, suite.broker.port)))
    with running_room(1.0) as (suite, counted):
        at_1_hz_us = [us_per_cell(suite, counted)[0] for _ in range(ROUNDS)]
    ratios = [usual / ours for usual, ours in zip(usual_us, gateway_us, strict=True)]
    included = "process CPU (user, system, all threads), journal with fdatasync, cell view at rest, QoS 1 with receipts"
    return [
        Figure(
            "gateway_us_per_cell",
            statistics.median(gateway_us),
            "us",
            3.0,
            note=f"{included}; {CELLS} cells at {rate / CELLS:.1f} Hz, median of {ROUNDS}, start-up over",
        ),
        Figure(
            "gateway_vs_serial_ratio",
            statistics.median(ratios),
            "ratio",
            10.0,
            "higher",
            f"pyserial request and reply, CRC, JSON, aiomqtt publish per cell: {statistics.median(usual_us):.0f} us",
        ),
        Figure(
            "gateway_process_us_per_cell",
            statistics.median(at_1_hz_us),
            "us",
            note=f"the same at 1 Hz: {statistics.median(at_1_hz_us) * CELLS / 1e6:.3f} cores, all housekeeping in it",
        ),
    ]


class Counted:
    """What a reader of the broker has seen: scans since the start, and how many modules are known."""

    def __init__(self, port: int) -> None:
        self.scans = 0
        self.modules: set[str] = set()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.message_callback_add(SCAN.filter(site="hh1"), self._on_scan)
        self._client.message_callback_add(MODULE.filter(site="hh1"), self._on_module)
        self._client.connect("127.0.0.1", port)
        self._client.subscribe([(SCAN.filter(site="hh1"), 0), (MODULE.filter(site="hh1"), 0)])
        self._client.loop_start()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_scan(self, _client: mqtt.Client, _data: object, _message: mqtt.MQTTMessage) -> None:
        self.scans += 1

    def _on_module(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        self.modules.add(message.topic)


@contextmanager
def running_room(scan_s: float) -> Iterator[tuple[Suite, Counted]]:
    """Run the reading path on a room of 4096 cells until its start-up work is done."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        site = room_text(folder, STRINGS, CELLS_EACH, 4).replace('id = "hh1"\n', f'id = "hh1"\nscan_s = {scan_s}\n', 1)
        with running_suite(folder, site) as suite:
            counted = Counted(suite.broker.port)
            try:
                suite.start("twin", CELLKEEPER_TWIN_PACE="0")
                suite.start("historian", "bus-gateway")
                suite.wait_until(lambda: len(counted.modules) >= CELLS, "every module known", START_DEADLINE_S)
                time.sleep(SETTLE_S)
                yield suite, counted
            finally:
                counted.close()


def us_per_cell(suite: Suite, counted: Counted) -> tuple[float, float]:
    """Return the gateway's CPU microseconds per cell reading, and the readings per second."""
    pid = suite.pid("bus-gateway")
    cpu_before_s, scans_before, start_s = cpu_s(pid), counted.scans, time.monotonic()
    time.sleep(ROUND_S)
    spent_s, scans, span_s = cpu_s(pid) - cpu_before_s, counted.scans - scans_before, time.monotonic() - start_s
    if not scans:
        raise RuntimeError(f"no scan in {ROUND_S} s\n{suite.last_words()}")
    return spent_s / (scans * CELLS_EACH) * 1e6, scans * CELLS_EACH / span_s


@contextmanager
def usual_port() -> Iterator[str]:
    """Run a child process that answers on a pty; yield the pty's name."""
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=respond, args=(theirs,), daemon=True)
    child.start()
    try:
        yield ours.recv()
    finally:
        child.kill()
        child.join()


def respond(link: Connection) -> None:
    """Answer requests on a new pty until killed."""
    master, slave = os.openpty()
    tty.setraw(slave)
    tables = rows_of(SAMPLE_CELLS)
    link.send(os.ttyname(slave))
    answer_trains(master, tables)


async def usual_us_per_cell(port: str, broker_port: int) -> float:
    """Return the CPU of asking cell by cell and of awaiting one publish for each; requests are made beforehand."""
    asked = [(train(1 + n, 1, 0, 0, n & 0xFF), topic_of(n)) for n in range(SAMPLE_CELLS)]
    async with aiomqtt.Client("127.0.0.1", broker_port, protocol=aiomqtt.ProtocolVersion.V5) as client:
        with serial.Serial(port, 3_000_000, timeout=1.0) as device:
            begun_s = time.process_time()
            for request, topic in asked:
                device.write(request)
                await client.publish(topic, cell_payload(device.read(12)), qos=0)
            return (time.process_time() - begun_s) / SAMPLE_CELLS * 1e6


def topic_of(index: int) -> str:
    return CELL.topic(site="usual", string=f"s{1 + index // CELLS_EACH}", cell=1 + index % CELLS_EACH)


def cell_payload(row: bytes) -> bytes:
    """Check and decode one reply, as plain Python does; raises RuntimeError when it is damaged."""
    if len(row) != 12 or crc16(row):
        raise RuntimeError(f"no intact reply: {row.hex()}")
    now_ms = time.time_ns() // 1_000_000
    state = {
        "v": 1,
        "cell_v": round((row[3] | row[4] << 8 | (row[5] & 0x0F) << 16) * 1e-4, 4),
        "cell_degc": int.from_bytes(row[6:8], "little", signed=True) / 100,
        "bleed_frac": row[8] / 200,
        "quality": 0,
        "status": row[9],
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now_ms // 1000)) + f".{now_ms % 1000:03d}Z",
        "measured_ms": now_ms,
    }
    return json.dumps(state).encode()
