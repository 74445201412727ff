"""A tiny line of modules behind a real pty, written from the protocol's tables, and a driver that reads it."""

import asyncio
import contextlib
import os
import tty
from collections.abc import AsyncIterator, Callable
from random import Random

from bus_gateway.driver import StringReadings
from bus_gateway.drivers.c44 import C44Driver
from bus_gateway.line.line_configuring import Permit
from bus_gateway.wire.frame import FrameReader, LongFrame, crc16, long_frame
from cellkeeper.contract.site import Site
from cellkeeper.runtime.clock import SystemClock
from cellkeeper.testing.patience import PATIENCE_S, until

FACTORY_CELL = b"\x00" + (20_000).to_bytes(4, "little") + (5_500).to_bytes(2, "little")
"""Not configured, floor 2.0 V, hot 55 degC: docs/bus-protocol.md, section 6, CONFIG."""


class TinyLine:
    """Modules at addresses, as plain data; what a fault needs is changed by the test.

    Attributes:
        counts: value by address, of the sample; absent addresses are silent.
        kind: by address, cell where absent.
        spoil: called with the bytes of each train.
        stored: payload of CONFIG by address; `config_code` is what a module answers to one.
    """

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self.write = write
        self.reader = FrameReader(fast=False, long=True)
        self.counts: dict[int, int] = {}
        self.kind: dict[int, int] = {}
        self.duty: dict[int, int] = {}
        self.status: dict[int, int] = {}
        self.uids: dict[int, int] = {}
        self.deaf: set[int] = set()
        self.stored: dict[int, bytes] = {}
        self.config_code = 0
        self.held: int | None = None
        self.requests: list[LongFrame] = []
        self.spoil: Callable[[bytes], bytes] = lambda data: data

    def feed(self, chunk: bytes) -> None:
        for frame in self.reader.feed(chunk):
            assert isinstance(frame, LongFrame)
            self.requests.append(frame)
            self.obey(frame)

    def obey(self, frame: LongFrame) -> None:  # noqa: C901, PLR0912  # one case per type
        body = frame.payload
        match frame.type:
            case 0x01:
                self.held = body[0]
            case 0x02:
                self.slots(range(frame.address, frame.address + body[0]), body[1])
            case 0x03:
                self.slots([body[at] | body[at + 1] << 8 for at in range(2, len(body), 2)], body[0])
            case 0x10:
                for at, duty in enumerate(body):
                    if duty != 255 and frame.address + at not in self.deaf:
                        self.duty[frame.address + at] = duty
            case 0x11:
                self.duty.clear()
            case 0x18:
                self.answer(frame, frame.address, b"\x00")
            case 0x30:
                self.answer(frame, frame.address, self.identity(frame.address))
            case 0x31:
                self.configure(frame)
            case 0x33:
                for address in range(frame.address, frame.address + body[0]):
                    self.status[address] = self.status.get(address, 2) & ~16
            case 0x38:
                for address in [a for a in self.counts if a == frame.address]:
                    self.answer(frame, address, self.uid(address).to_bytes(8, "little") + b"\x00")

    def configure(self, frame: LongFrame) -> None:
        if self.config_code == 0 and frame.address not in self.deaf:
            self.stored[frame.address] = frame.payload
        self.answer(frame, frame.address, bytes((self.config_code,)))

    def uid(self, address: int) -> int:
        return self.uids.get(address, 0xABC000 + address)

    def identity(self, address: int) -> bytes:
        body = bytearray(65)
        body[1], body[2], body[3], body[4] = 1, self.kind.get(address, 0), 1, 23
        body[5:7] = (0x0044).to_bytes(2, "little")
        body[8:12] = bytes((1, 4, 2, 0))
        body[12:20] = self.uid(address).to_bytes(8, "little")
        body[32:39] = self.stored.get(address, FACTORY_CELL)
        body[54] = 10
        body[55:65] = f"C44-{address:06d}".encode()
        return bytes(body)

    def answer(self, frame: LongFrame, address: int, payload: bytes) -> None:
        if address in self.counts:
            self.write(long_frame(frame.type | 0x80, address, frame.tag, payload))

    def slots(self, addresses, sample_id: int) -> None:
        data = b"".join(self.reply(address, sample_id) for address in addresses if address in self.counts)
        if data := self.spoil(data):
            self.write(data)

    def reply(self, address: int, sample_id: int) -> bytes:
        is_held = self.held == sample_id
        value = self.counts[address] & 0xFFFFF if is_held else 0x80000
        word = value | ((self.held or 0) & 15) << 20
        degc = 2241 if is_held else 0x8003
        body = bytes((0xA0 | self.kind.get(address, 0),)) + address.to_bytes(2, "little") + word.to_bytes(3, "little")
        body += degc.to_bytes(2, "little") + bytes((self.duty.get(address, 0), self.status.get(address, 2)))
        return body + crc16(body).to_bytes(2, "big")


def site_of(ports: dict[str, str], runs: list[tuple[str, int]], sensors=()) -> Site:
    """Return a site with one string whose modules lie on these buses."""
    return Site.model_validate(
        {
            "site": {"id": "t", "name": "test", "scan_s": 0.5},
            "bus": [{"id": bus, "port": port, "baud": 1_000_000} for bus, port in ports.items()],
            "string": [
                {
                    "id": "s1",
                    "cells": sum(count for _, count in runs),
                    "chemistry": "lfp",
                    "rated_ah": 100.0,
                    "modules": [{"bus": bus, "first_address": 1, "count": count} for bus, count in runs],
                    "sensor": list(sensors),
                }
            ],
        }
    )


@contextlib.asynccontextmanager
async def pty_line() -> AsyncIterator[tuple[str, TinyLine]]:
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    line = TinyLine(lambda data: os.write(master, data) and None)
    loop = asyncio.get_running_loop()

    def read() -> None:
        with contextlib.suppress(OSError):
            line.feed(os.read(master, 65_536))

    loop.add_reader(master, read)
    try:
        yield os.ttyname(slave), line
    finally:
        loop.remove_reader(master)
        os.close(master)
        os.close(slave)


@contextlib.asynccontextmanager
async def running(site: Site, permits: Permit | None = None) -> AsyncIterator[C44Driver]:
    driver = C44Driver(site, "bus-gateway", SystemClock(), Random(5), permits=permits)
    keeper = asyncio.create_task(driver.keep_open())
    try:
        await until(lambda: all(driver.open_buses.values()))
        yield driver
    finally:
        keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeper


async def one_sweep(driver: C44Driver) -> StringReadings:
    taken: list[StringReadings] = []
    async with asyncio.timeout(PATIENCE_S):
        await driver.sweep(taken.append)
    assert len(taken) == 1
    return taken[0]


def cells(count: int) -> dict[int, int]:
    return {address: 33_000 + address for address in range(1, count + 1)}
