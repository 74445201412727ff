"""Records of a line's devices follow what the devices say, and are made anew only where something changed."""

from dataclasses import replace

import pytest
from bus_gateway.line.line import Line
from bus_gateway.line.module_records import ModuleRecords
from bus_gateway.line.sweep import plan_line
from bus_gateway.notices import NoticeBoard
from bus_gateway.wire.decode_long import Identity
from cellkeeper.contract.site import Site

CELLS = 4
SENSOR = 100
WHO = Identity(
    address=0, kind=0, pages=1, flags=0, model=1, hardware=2, firmware="1.4.0", uid="0", rated_min=0.7, rated_max=4.8,
    bleed_max_a=0.1, cells_per_unit=1, bleed_floor_v=2.0, bleed_hot_degc=55.0, uptime_s=9, resets=0, last_reset=0,
    serial="C44-0",
)  # fmt: skip


@pytest.fixture
def line() -> Line:
    site = Site.model_validate(
        {
            "site": {"id": "hh1", "name": "Room"},
            "bus": [{"id": "line1", "port": "/dev/null"}],
            "string": [
                {
                    "id": "s1",
                    "cells": CELLS,
                    "chemistry": "vrla_agm",
                    "rated_ah": 100.0,
                    "modules": [{"bus": "line1", "first_address": 11, "count": CELLS}],
                    "sensor": [{"kind": "current", "bus": "line1", "address": SENSOR}],
                }
            ],
        }
    )
    line = Line(site.bus[0], plan_line(site.string, [], "line1"), NoticeBoard(lambda: 0.0))
    for address in range(11, 11 + CELLS):
        line.introduced(address, replace(WHO, address=address, serial=f"C44-{address}"))
    line.introduced(SENSOR, replace(WHO, address=SENSOR, serial="C44-S", kind=2))
    line.introduced(999, replace(WHO, address=999, serial="C44-X"))  # nobody that the site describes
    return line


def test_a_device_is_known_by_its_place(line: Line):
    records = {record.serial: record for record in ModuleRecords(line).newest()}
    assert {serial: (record.string, record.cell, record.address) for serial, record in records.items()} == {
        "C44-11": ("s1", 1, 11), "C44-12": ("s1", 2, 12), "C44-13": ("s1", 3, 13), "C44-14": ("s1", 4, 14),
        "C44-S": ("s1", None, SENSOR),
    }  # fmt: skip
    assert all(record.silent for record in records.values()), "no port is open"


def test_only_what_changed_is_made_anew(line: Line):
    records = ModuleRecords(line)
    before = records.newest()
    row = line.row_of(12)
    line.status[row] = 4
    line.identities[13] = replace(line.identities[13], serial="C44-NEW")
    del line.identities[14]
    after = {record.address: record for record in records.newest()}
    assert after[12].status == 4
    assert after[13].serial == "C44-NEW"
    assert 14 not in after
    kept = [record.address for record in before if after.get(record.address) is record]
    assert kept == [11, SENSOR]


def test_a_bit_that_is_not_shown_changes_nothing(line: Line):
    records = ModuleRecords(line)
    before = records.newest()
    line.status[:] |= 64
    assert all(new is old for new, old in zip(records.newest(), before, strict=True))
