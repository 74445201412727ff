"""The driver on a real pty or socket, against a tiny line of modules."""

import asyncio
import select
import socket
from itertools import count
from random import Random

import numpy as np
import pytest
from bus_gateway.drivers.c44 import C44Driver
from bus_gateway.errors import PortLostError, PortTakenError
from bus_gateway.line.serial_port import open_port
from bus_gateway.wire.frame import long_frame
from cellkeeper.contract.outcomes import Applied, NoReply, Refused
from cellkeeper.runtime.clock import SystemClock
from cellkeeper.testing.patience import PATIENCE_S, until
from tiny_line import cells, one_sweep, pty_line, running, site_of


async def test_a_string_over_two_lines_and_its_sensors_come_in_one_sample():
    async with pty_line() as (port_a, line_a), pty_line() as (port_b, line_b):
        line_a.counts = cells(70) | {900: -12_400, 901: -600, 902: 23_100}
        line_a.kind = {900: 2, 901: 2, 902: 5}
        line_b.counts = cells(30)
        sensors = [
            {"kind": "current", "bus": "a", "address": 900},
            {"kind": "current", "bus": "a", "address": 901, "reversed": True},
            {"kind": "string_voltage", "bus": "a", "address": 902},
            {"kind": "ambient", "bus": "a", "address": 903},
        ]
        async with running(site_of({"a": port_a, "b": port_b}, [("a", 70), ("b", 30)], sensors)) as driver:
            read = await one_sweep(driver)
    assert not read.quality.any()
    assert read.cell_v.tolist() == [(33_000 + n) / 1e4 for n in [*range(1, 71), *range(1, 31)]]
    assert (read.cell_degc == 22.41).all()
    assert read.scalars == {"current_a": -11.8, "string_v": 231.0, "ambient_degc": None}
    assert read.scalar_quality == {"current_a": 0, "string_v": 0, "ambient_degc": 4}
    assert [f.payload[0] for f in line_a.requests if f.type == 1] == [
        f.payload[0] for f in line_b.requests if f.type == 1
    ]
    assert [f.type for f in line_a.requests if f.type in {1, 2}] == [1, 2, 2], "70 modules are two trains"


async def test_a_missing_parallel_sensor_voids_the_sum():
    async with pty_line() as (port, line):
        line.counts = cells(4) | {900: 1000}
        line.kind = {900: 2}
        sensors = [{"kind": "current", "bus": "a", "address": address} for address in (900, 901)]
        async with running(site_of({"a": port}, [("a", 4)], sensors)) as driver:
            read = await one_sweep(driver)
    assert (read.scalars["current_a"], read.scalar_quality["current_a"]) == (None, 4)


async def test_silent_damaged_and_wrong_modules_cost_only_themselves():
    async with pty_line() as (port, line):
        line.counts = cells(100)
        del line.counts[20]
        line.kind = {30: 1}
        line.spoil = lambda data: data.replace(
            line.reply(40, line.held or 0), line.reply(40, line.held or 0)[:-1] + b"\x00"
        )
        async with running(site_of({"a": port}, [("a", 100)])) as driver:
            read = await one_sweep(driver)
            notices = {notice.kind for notice in driver.take_notices()}
    assert (read.quality[19], read.quality[29], read.quality[39]) == (4, 5, 5)
    assert np.isnan(read.cell_v[[19, 29, 39]]).all()
    assert int((read.quality == 0).sum()) == 97
    assert "module.wrong_type" in notices


async def test_a_reply_damaged_once_is_asked_again_in_the_same_sweep():
    async with pty_line() as (port, line):
        line.counts = cells(10)
        left = [1]

        def spoil_once(data: bytes) -> bytes:
            return data[:5] + b"\xff" + data[6:] if left and left.pop() else data

        line.spoil = spoil_once
        async with running(site_of({"a": port}, [("a", 10)])) as driver:
            read = await one_sweep(driver)
            assert driver.counters["a"].retries >= 1
    assert not read.quality.any()


async def test_a_dead_line_leaves_the_other_one_alone():
    async with pty_line() as (port_a, line_a), pty_line() as (port_b, _):
        line_a.counts = cells(8)
        async with running(site_of({"a": port_a, "b": port_b}, [("a", 8), ("b", 5)])) as driver:
            read = await one_sweep(driver)
    assert read.quality.tolist() == [0] * 8 + [4] * 5


async def test_a_port_that_is_not_there_is_a_bus_error_and_a_notice(tmp_path):
    async with pty_line() as (port, line):
        line.counts = cells(3)
        driver = C44Driver(
            site_of({"a": port, "b": str(tmp_path / "no-port")}, [("a", 3), ("b", 2)]),
            "bus-gateway",
            SystemClock(),
            Random(1),
        )
        keeper = asyncio.create_task(driver.keep_open())
        await until(lambda: driver.is_tried)
        read = await one_sweep(driver)
        keeper.cancel()
    assert read.quality.tolist() == [0, 0, 0, 5, 5]
    assert "port.lost" in {notice.kind for notice in driver.take_notices()}


async def test_resets_are_told_once_and_acknowledged():
    async with pty_line() as (port, line):
        line.counts = cells(6)
        line.status = dict.fromkeys(range(1, 7), 18)
        async with running(site_of({"a": port}, [("a", 6)])) as driver:
            read = await one_sweep(driver)
            assert (read.status == 18).all()
            await until(lambda: not any(status & 16 for status in line.status.values()))
            told = [notice for notice in driver.take_notices() if notice.kind == "module.reset"]
    assert [notice.data["modules"] for notice in told] == [6]


async def test_modules_introduce_themselves():
    async with pty_line() as (port, line):
        line.counts = cells(3)
        async with running(site_of({"a": port}, [("a", 3)])) as driver:
            await one_sweep(driver)
            await until(lambda: len(driver.modules()) == 3)
            second = driver.modules()[1]
    assert (second.serial, second.string, second.cell, second.type, second.firmware) == (
        "C44-000002",
        "s1",
        2,
        "c44",
        "1.4.2",
    )
    assert not second.silent


async def test_bleeds_are_set_confirmed_and_stopped():
    async with pty_line() as (port, line):
        line.counts = cells(6)
        async with running(site_of({"a": port}, [("a", 6)])) as driver:
            await one_sweep(driver)
            assert await driver.set_bleed("s1", [2, 5], [0.12, 1.0]) == Applied()
            assert line.duty == {2: 24, 5: 200}
            read = await one_sweep(driver)
            assert read.bleed_frac.tolist() == [0.0, 0.12, 0.0, 0.0, 1.0, 0.0]
            await driver.renew_hold(["s1"])
            await until(lambda: line.requests[-1].type == 0x12)
            assert await driver.stop_bleed() == Applied()
            assert line.duty == {}


async def test_a_bleed_that_is_not_obeyed_is_refused_and_a_silent_cell_is_named():
    async with pty_line() as (port, line):
        line.counts = cells(4)
        line.deaf = {2}
        async with running(site_of({"a": port}, [("a", 4)])) as driver:
            outcome = await driver.set_bleed("s1", [2], [0.5])
            assert isinstance(outcome, Refused)
            assert outcome.reason == "module_refused"
            del line.counts[3]
            outcome = await driver.set_bleed("s1", [3], [0.5])
            assert isinstance(outcome, NoReply)
            assert outcome.cells == [3]
            assert await driver.set_bleed("s1", [9], [0.5]) == await driver.set_bleed("s9", [1], [0.5])


async def test_identify_asks_each_cell():
    async with pty_line() as (port, line):
        line.counts = cells(4)
        async with running(site_of({"a": port}, [("a", 4)])) as driver:
            assert await driver.identify("s1", [1, 4], 30.0) == Applied()
            assert await driver.identify_address("a", 3, 0.0) == Applied()
            assert isinstance(await driver.identify("s1", [1], 3000.0), Refused)
    blinking = [(frame.address, frame.payload[:2]) for frame in line.requests if frame.type == 0x18]
    assert blinking == [(1, b"\x1e\x00"), (4, b"\x1e\x00"), (3, b"\x00\x00")]


async def test_a_second_master_silences_this_one():
    async with pty_line() as (port, line):
        line.counts = cells(4)
        async with running(site_of({"a": port}, [("a", 4)])) as driver:
            sample = long_frame(0x01, 0xFFFF, 77, b"\x05\x1e")

            looks = count()

            def is_noticed() -> bool:
                """A master goes on asking; a single frame may meet our own sending and be lost as on a real line."""
                if next(looks) % 50 == 0:
                    line.write(sample)
                return not driver.open_buses["a"]

            await until(is_noticed)
            read = await one_sweep(driver)
            kinds = {notice.kind for notice in driver.take_notices()}
    assert (read.quality == 5).all()
    assert "bus.second_master" in kinds


async def test_a_port_serves_one_process_and_its_loss_is_told():
    async with pty_line() as (port, _):
        first = open_port(port, 115_200)
        with pytest.raises(PortTakenError):
            open_port(port, 115_200)
        first.close()
        open_port(port, 115_200).close()
    with pytest.raises(PortLostError):
        open_port(port, 115_200)


async def test_a_tcp_line_reads_writes_and_is_locked_by_name():
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"socket://127.0.0.1:{server.getsockname()[1]}"
        port = open_port(url, 115_200)
        peer, _ = server.accept()
        with pytest.raises(PortTakenError):
            open_port(url, 115_200)
        port.write(b"\xc5")
        assert peer.recv(10) == b"\xc5"
        assert port.read() == b""
        peer.close()
        await asyncio.to_thread(select.select, [port], [], [], PATIENCE_S)
        with pytest.raises(PortLostError):
            port.read()
        port.close()
