"""Modules get the settings of their unit: once, read back, never while a battery may be in use, and told if refused."""

import struct

import pytest
from bus_gateway.line.unit_settings import settings_of
from bus_gateway.wire.decode import Kind
from cellkeeper.contract.chemistry import profiles
from cellkeeper.contract.site import Site
from cellkeeper.testing.patience import until
from tiny_line import TinyLine, cells, one_sweep, pty_line, running, site_of

CONFIG = 0x31
LFP_CELL = struct.pack("<Bih", 1, 30_000, 5_500)


@pytest.fixture(autouse=True)
def quick_care(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bus_gateway.line.line_care.CARE_PAUSE_S", 0.01)


def configured(line: TinyLine) -> list[int]:
    return [frame.address for frame in line.requests if frame.type == CONFIG]


def block_site(port: str, **string: object) -> Site:
    """Return a site with 6 V blocks: three lead cells each."""
    body = site_of({"a": port}, [("a", 4)]).model_dump(exclude_none=True)
    body["string"][0] |= {"chemistry": "vrla_agm", "module_type": "c24", "cells_per_unit": 3} | string
    return Site.model_validate(body)


@pytest.mark.parametrize("chemistry", profiles())
def test_floor_and_cells_of_every_chemistry_are_those_of_the_unit(chemistry):
    body = site_of({"a": "/dev/null"}, [("a", 4)]).model_dump(exclude_none=True)
    body["string"][0] |= {"chemistry": chemistry, "module_type": "c24", "cells_per_unit": 3}
    string = Site.model_validate(body).string[0]
    wanted = settings_of(string)
    profile = profiles()[chemistry]
    assert (wanted.kind, wanted.cells_per_unit) == (Kind.BLOCK, 3)
    assert wanted.bleed_floor_v == pytest.approx(3 * profile.bleed_floor_v)
    assert profile.cutoff_v < profile.bleed_floor_v < profile.float_v, "not empty, and not at float"


async def test_a_6_v_block_gets_its_own_floor_and_keeps_it():
    async with pty_line() as (port, line):
        line.counts = dict.fromkeys(range(1, 5), 13600)
        line.kind = dict.fromkeys(range(1, 5), 1)
        async with running(block_site(port), lambda _strings: True) as driver:
            await one_sweep(driver)
            await until(lambda: len(line.stored) == 4)
            await until(lambda: any(n.kind == "module.configured" for n in driver.take_notices()))
            line.requests.clear()
            line.status = dict.fromkeys(range(1, 5), 18)
            await one_sweep(driver)
            await until(lambda: [f.type for f in line.requests].count(0x30) >= 4)
            assert configured(line) == [], "what is stored is not stored again, a reset changes nothing"
    assert set(line.stored.values()) == {struct.pack("<Bih", 3, 12_000, 5_500)}, "6.0 V at 0.5 mV a count"


async def test_a_module_that_lost_its_settings_gets_them_again_after_its_reset():
    async with pty_line() as (port, line):
        line.counts = cells(3)
        line.stored = dict.fromkeys(range(1, 4), LFP_CELL)
        async with running(site_of({"a": port}, [("a", 3)]), lambda _strings: True) as driver:
            await one_sweep(driver)
            await until(lambda: len(driver.modules()) == 3)
            assert configured(line) == []
            del line.stored[2]
            line.status[2] = 18
            await one_sweep(driver)
            await until(lambda: line.stored.get(2) == LFP_CELL)
    assert configured(line) == [2]


async def test_nothing_is_written_while_a_string_may_be_on_battery_or_a_unit_bleeds():
    is_calm, asked = [False], []

    def permits(strings):
        asked.append(list(strings))
        return is_calm[0]

    async with pty_line() as (port, line):
        line.counts = cells(2)
        async with running(site_of({"a": port}, [("a", 2)]), permits) as driver:
            await one_sweep(driver)
            await until(lambda: len(asked) >= 20)
            assert configured(line) == []
            assert asked[0] == ["s1"]
            line.duty[1] = 100
            await one_sweep(driver)
            is_calm[0] = True
            await until(lambda: 2 in line.stored)
            assert configured(line) == [2], "the unit that bleeds has to wait"
            line.duty.clear()
            await one_sweep(driver)
            await until(lambda: 1 in line.stored)


@pytest.mark.parametrize("fault", ["refuses", "lies", "is silent"])
async def test_a_module_that_does_not_take_its_settings_is_told_and_left_alone_for_a_while(fault):
    async with pty_line() as (port, line):
        line.counts = cells(2)
        match fault:
            case "refuses":
                line.config_code = 11
            case "lies":
                line.deaf = {1, 2}
            case _:
                line.configure = lambda _frame: None
        async with running(site_of({"a": port}, [("a", 2)]), lambda _strings: True) as driver:
            await one_sweep(driver)
            told: list[str] = []

            def both_told() -> bool:
                told.extend(n.text for n in driver.take_notices() if n.kind == "module.config_refused")
                return len(told) >= 2

            await until(both_told)
            tries = len(configured(line))
            for _ in range(2):  # the second reset is acknowledged after the first one's turn has ended
                line.status = {1: 18, 2: 18}
                await one_sweep(driver)
                await until(lambda: line.status == {1: 2, 2: 2})
            assert len(configured(line)) == tries
    assert line.stored == {}
    assert {"refuses": "store_failed", "lies": "keeps other settings", "is silent": "does not answer"}[fault] in told[0]


async def test_a_module_of_another_kind_and_a_driver_without_permission_write_nothing():
    async with pty_line() as (port, line):
        line.counts = cells(2)
        line.kind = {2: 1}
        async with running(site_of({"a": port}, [("a", 2)]), lambda _strings: True) as driver:
            await one_sweep(driver)
            await until(lambda: 1 in line.stored and len(driver.modules()) == 2)
        assert configured(line) == [1]
    async with pty_line() as (port, line):
        line.counts = cells(2)
        async with running(site_of({"a": port}, [("a", 2)])) as driver:
            await one_sweep(driver)
            await until(lambda: len(driver.modules()) == 2)
        assert configured(line) == []
