"""The gateway is killed with a bleed on: every module has ended it within 60 s, with nobody left to tell it.

Real processes on one scaled clock, eight times as fast: the 59 s of a module's hold last 7.4 s.
"""

import os
import select
import termios
import time
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cellkeeper.contract.channels import SCAN
from cellkeeper.contract.commands import BleedCells
from cellkeeper.contract.outcomes import Applied
from cellkeeper.contract.scan_columns import ScanColumns, decode_scan
from cellkeeper.runtime.asking import Asker, asking
from cellkeeper.runtime.clock import ScaledClock
from cellkeeper.runtime.session import BrokerAddress, Incoming
from cellkeeper.testing.patience import until
from cellkeeper.testing.suite import Suite, running_suite, site_text
from twin.bus.wire_codec import FAST_LENGTH, Type, crc16, long_frame

SPEED = 8.0
HOLD_EXPIRED = 249  # bus-protocol.md, 5.3
DUTY = 100  # in 1/200
CELLS = 6


@asynccontextmanager
async def person(suite: Suite, clock: ScaledClock) -> AsyncIterator[tuple[Asker, list[ScanColumns]]]:
    """Somebody who sends commands and sees the newest scan, once it is good in every cell."""
    newest: list[ScanColumns] = []

    def on_scan(message: Incoming) -> None:
        newest[:] = [decode_scan(message.payload)]

    broker = BrokerAddress("127.0.0.1", suite.broker.port)
    async with asking(broker, "hh1", clock, {SCAN.filter(site="hh1"): on_scan}) as asker:
        await until(lambda: bool(newest) and not newest[0].quality.any(), "a scan that is good in every cell")
        yield asker, newest


async def bleed(asker: Asker, cells: list[int], newest: list[ScanColumns]) -> None:
    """Have the gateway set and confirm half a duty, and see it in a scan."""
    half = [0.5] * len(cells)
    outcome = await asker.ask(
        "bus-gateway", "bleed", BleedCells, 20.0, string="s1", cells=cells, bleed_frac=half, hold_s=60.0
    )
    assert isinstance(outcome, Applied), outcome
    await until(lambda: all(newest[0].bleed_frac[cell - 1] == 0.5 for cell in cells), "the duty in a scan")


def bleed_bytes(line: Path) -> list[int]:
    """Ask every module of the line, as a technician with a tool of his own would, and return the bleed bytes."""
    fd = os.open(line, os.O_RDWR | os.O_NOCTTY)
    try:
        tty.setraw(fd, termios.TCSANOW)
        termios.tcflush(fd, termios.TCIFLUSH)
        os.write(fd, long_frame(Type.TRAIN, 1, 77, bytes((CELLS, 0, 0))))
        data = b""
        while len(data) < CELLS * FAST_LENGTH and select.select([fd], [], [], 5.0)[0]:
            data += os.read(fd, 4096)
    finally:
        os.close(fd)
    frames = [data[at : at + FAST_LENGTH] for at in range(0, len(data), FAST_LENGTH)]
    assert [crc16(frame) for frame in frames] == [0] * CELLS
    return [frame[8] for frame in frames]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("dies", ["bus-gateway", "broker"])
async def test_a_bleed_ends_within_60_s_when_its_master_or_the_broker_is_gone(tmp_path: Path, dies: str):
    clock = ScaledClock(int(time.time() * 1000), SPEED, time.monotonic())
    with running_suite(tmp_path, site_text(tmp_path, 1, CELLS), "twin", "bus-gateway", clock=str(clock)) as suite:
        async with person(suite, clock) as (asker, newest):
            await bleed(asker, [2, 3], newest)
        suite.kill(dies)
        killed_s = clock.monotonic_s()
        if dies == "broker":
            await clock.sleep(killed_s + 61.0 - clock.monotonic_s())
            suite.kill("bus-gateway")  # it reads the line as long as it lives
            assert all(byte in {0, HOLD_EXPIRED} for byte in bleed_bytes(tmp_path / "b1-1"))
            return
        assert bleed_bytes(tmp_path / "b1-1") == [0, DUTY, DUTY, 0, 0, 0], "nothing bled when the gateway was killed"
        await clock.sleep(killed_s + 60.0 - clock.monotonic_s())
        assert bleed_bytes(tmp_path / "b1-1") == [0, HOLD_EXPIRED, HOLD_EXPIRED, 0, 0, 0]


@pytest.mark.timeout(600)
async def test_a_bleed_that_an_older_gateway_left_is_not_kept_alive_by_a_new_one(tmp_path: Path):
    clock = ScaledClock(int(time.time() * 1000), SPEED, time.monotonic())
    with running_suite(tmp_path, site_text(tmp_path, 1, CELLS), "twin", "bus-gateway", clock=str(clock)) as suite:
        async with person(suite, clock) as (asker, newest):
            await bleed(asker, [2, 3], newest)
            suite.kill("bus-gateway")
            killed_s = clock.monotonic_s()
            suite.start("bus-gateway")
        async with person(suite, clock) as (asker, newest):
            await bleed(asker, [5], newest)
            await clock.sleep(killed_s + 62.0 - clock.monotonic_s())
            assert newest[0].bleed_frac[[1, 2]].tolist() == [0.0, 0.0]
