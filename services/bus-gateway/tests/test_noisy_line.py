"""Noise takes requests as well as replies: who was never asked is a bus error, who stays silent is silent."""

import random

import numpy as np
from bus_gateway.line.row_buffer import LOST_AFTER_SWEEPS
from bus_gateway.uplink.gauges import LINE_MEANINGS
from cellkeeper.contract.physical import Quality
from tiny_line import TinyLine, cells, one_sweep, pty_line, running, site_of

TRAIN, LIST = 2, 3


def lose_requests(line: TinyLine) -> list[bool]:
    """Let the modules miss every TRAIN and LIST while the returned flag is set, as if noise had hit it."""
    is_lost = [False]
    obey = line.obey

    def obey_or_miss(frame) -> None:
        if not (is_lost[0] and frame.type in {TRAIN, LIST}):
            obey(frame)

    line.obey = obey_or_miss
    return is_lost


def damage_one_reply(line: TinyLine, address: int) -> None:
    reply = line.reply(address, line.held or 0)
    line.spoil = lambda data: data.replace(reply[:3], b"\xa0\xff\xff")


async def test_on_a_noisy_line_a_request_that_nobody_heard_is_a_bus_error_until_it_lasts():
    async with pty_line() as (port, line):
        line.counts = cells(20)
        is_lost = lose_requests(line)
        async with running(site_of({"a": port}, [("a", 20)])) as driver:
            damage_one_reply(line, 7)
            read = await one_sweep(driver)
            assert np.flatnonzero(read.quality).tolist() == [6]
            assert read.quality[6] == Quality.BUS_ERROR
            figures = driver.line_figures()["a"]
            assert figures.keys() >= LINE_MEANINGS.keys()
            assert (figures["is_open"], figures["damaged_devices"], figures["silent_devices"]) == (1.0, 1, 0)
            assert figures["retries"] >= 1
            is_lost[0] = True
            for _ in range(LOST_AFTER_SWEEPS):
                assert (await one_sweep(driver)).quality.tolist() == [Quality.BUS_ERROR] * 20
            assert (await one_sweep(driver)).quality.tolist() == [Quality.SILENT] * 20


async def test_on_a_quiet_line_nobody_who_answers_is_silence_at_once():
    async with pty_line() as (port, line):
        line.counts = cells(20)
        is_lost = lose_requests(line)
        async with running(site_of({"a": port}, [("a", 20)])) as driver:
            assert not (await one_sweep(driver)).quality.any()
            is_lost[0] = True
            assert (await one_sweep(driver)).quality.tolist() == [Quality.SILENT] * 20


async def test_one_silent_module_of_a_noisy_line_is_silent_at_once():
    async with pty_line() as (port, line):
        line.counts = cells(20)
        async with running(site_of({"a": port}, [("a", 20)])) as driver:
            damage_one_reply(line, 7)
            await one_sweep(driver)
            del line.counts[12]
            read = await one_sweep(driver)
    assert (read.quality[6], read.quality[11]) == (Quality.BUS_ERROR, Quality.SILENT)


async def test_a_lost_request_to_a_whole_line_is_asked_again_in_the_same_sweep():
    async with pty_line() as (port, line):
        line.counts = cells(20)
        is_lost = lose_requests(line)
        async with running(site_of({"a": port}, [("a", 20)])) as driver:
            await one_sweep(driver)
            is_lost[0] = True
            spared = line.obey

            def only_the_first_is_lost(frame) -> None:
                spared(frame)
                is_lost[0] &= frame.type not in {TRAIN, LIST}

            line.obey = only_the_first_is_lost
            assert not (await one_sweep(driver)).quality.any()


async def test_noise_in_both_directions_makes_no_module_silent():
    dice = random.Random(3)

    def noisy(data: bytes, part_frac: float = 0.05) -> bytes:
        return bytes(dice.randrange(256) if dice.random() < part_frac else byte for byte in data)

    async with pty_line() as (port, line):
        line.counts = cells(60)
        line.spoil = noisy
        feed = line.feed
        line.feed = lambda chunk: feed(
            noisy(chunk, 0.03)
        )  # a third of the trains is never heard, one in a million four times running
        seen = []
        async with running(site_of({"a": port}, [("a", 60)])) as driver:
            for _ in range(10):
                read = await one_sweep(driver)
                seen.append(read.quality)
                values = read.cell_v[read.quality == 0]
                assert np.isin(values, [count / 1e4 for count in line.counts.values()]).all()
    found = np.concatenate(seen[1:])
    assert set(found.tolist()) <= {Quality.GOOD, Quality.BUS_ERROR}
    assert (found == Quality.GOOD).any()
    assert (found == Quality.BUS_ERROR).any()
