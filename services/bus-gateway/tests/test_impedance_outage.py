"""An outage that begins while units are tested: what runs is aborted, what waits never starts."""

from datetime import UTC, datetime
from uuid import uuid4

import numpy as np
from bus_gateway.line.impedance import UnitUnderTest, measure
from bus_gateway.wire.decode import Kind
from bus_gateway.wire.encode import Type
from bus_gateway.wire.frame import LongFrame
from cellkeeper.contract.commands import MeasureImpedance
from cellkeeper.contract.outcomes import Refused
from cellkeeper.runtime.clock import SystemClock

OK_RUNS_FOR_50_MS = bytes([0, 50, 0])  # bus-protocol.md, section 7: code, duration_ms
TYPE = 1  # offset in a long frame, section 2.1


class RecordingExchange:
    """A line whose modules accept every test and every abort."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def next_tag(self) -> int:
        return len(self.asked) & 0xFF

    async def ask(self, request: bytes, reply_length: int, *, address: int) -> LongFrame:
        self.asked.append(request[TYPE])
        payload = OK_RUNS_FOR_50_MS if request[TYPE] == Type.IMP_START else bytes(1)
        return LongFrame(request[TYPE] | 0x80, address, 0, payload)


async def test_an_outage_aborts_what_runs_and_nothing_more_starts():
    line = RecordingExchange()
    cells = [1, 2, 3, 4]
    wanted = MeasureImpedance(id=uuid4(), expires_at=datetime.now(UTC), string="s1", cells=cells)
    on_battery = Refused(reason="on_battery", detail="the battery carries the load")
    answers = iter([None, on_battery, on_battery])
    units = {cell: UnitUnderTest(line, cell, Kind.CELL) for cell in cells}
    found = await measure(wanted, units, 1, SystemClock(), lambda: next(answers))
    assert found == on_battery
    first_pass = 2  # units 1 and 3; their neighbours would be tested after them
    assert np.count_nonzero(np.array(line.asked) == Type.IMP_START) == first_pass
    assert np.count_nonzero(np.array(line.asked) == Type.IMP_ABORT) == first_pass
    assert Type.IMP_READ not in line.asked


async def test_nothing_starts_when_it_is_forbidden_from_the_beginning():
    line = RecordingExchange()
    wanted = MeasureImpedance(id=uuid4(), expires_at=datetime.now(UTC), string="s1", cells=[7])
    refused = Refused(reason="state_unknown")
    found = await measure(wanted, {7: UnitUnderTest(line, 7, Kind.CELL)}, 1, SystemClock(), lambda: refused)
    assert found == refused
    assert line.asked == []
