"""Impedance tests of some units of a string, never of two neighbours at once: docs/bus-protocol.md, section 7."""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import numpy as np
from cellkeeper.contract.commands import MeasureImpedance
from cellkeeper.contract.outcomes import NoReply, Refused
from cellkeeper.contract.physical import Quality
from cellkeeper.runtime.clock import Clock

from bus_gateway.driver import ImpedanceReadings
from bus_gateway.errors import ModuleSilentError
from bus_gateway.line.exchange import Exchange
from bus_gateway.wire import encode
from bus_gateway.wire.decode_long import ImpedanceRecord, ReplyCode, impedance_record, reply_code, test_duration_s
from bus_gateway.wire.encode import Method

DEFAULT_PULSE_S: Final = 0.1
DEFAULT_FREQUENCY_HZ: Final = 1000.0
MAX_TEST_S: Final = 10.0
BEGIN_S: Final = 0.020  # a test begins within this after the reply
MAX_POLLS: Final = 20
MAX_AT_ONCE: Final = 64
_SEQ_MODULUS: Final = 255
LOOK_S: Final = 0.2  # how soon a test ends after an outage was seen; a scan takes longer


@dataclass(frozen=True, slots=True)
class UnitUnderTest:
    """Where a unit is, and of which kind its module is."""

    exchange: Exchange
    address: int
    kind: int


type TestResult = ImpedanceRecord | ReplyCode | None
"""A record, why there is none, or None where the module was silent."""


def passes(cells: Sequence[int]) -> list[list[int]]:
    """Return cells in groups of which no two are within one position of each other, at most 64 in each."""
    groups: list[list[int]] = []
    for parity in (1, 0):
        chosen = sorted(cell for cell in cells if cell % 2 == parity)
        groups += [chosen[start : start + MAX_AT_ONCE] for start in range(0, len(chosen), MAX_AT_ONCE)]
    return groups


async def measure(
    wanted: MeasureImpedance,
    units: Mapping[int, UnitUnderTest],
    seq: int,
    clock: Clock,
    forbidden: Callable[[], Refused | None],
) -> ImpedanceReadings | Refused | NoReply:
    """Test the wanted cells pass by pass, until `forbidden` gives a reason: then what runs is aborted.

    Args:
        wanted: the command.
        units: of the string, by cell number.
        seq: names this measurement, 1 to 255.
        clock: event time of the results.
        forbidden: asked before every pass and while one runs; an outage may begin at any moment.

    Raises:
        PortLostError, SecondMasterError: a line has ended.
    """
    method = Method.DC_PULSE if wanted.method == "dc_pulse" else Method.AC
    par = (
        (wanted.pulse_s or DEFAULT_PULSE_S)
        if method is Method.DC_PULSE
        else (wanted.frequency_hz or DEFAULT_FREQUENCY_HZ)
    )
    results: dict[int, TestResult] = {}
    at_ms: dict[int, int] = {}
    for group in passes(wanted.cells):
        if reason := forbidden():
            return reason
        running, refused = await _start(group, units, (seq, method, par, wanted.test_a))
        results |= refused
        begun_ms = clock.now_ms()
        if reason := await _wait(max(running.values(), default=0.0) + BEGIN_S, forbidden):
            for cell in running:
                await _abort(units[cell])
            return reason
        for cell in running:
            results[cell] = await _read(units[cell], seq)
            at_ms[cell] = begun_ms
    return _conclude(wanted, method, par, results, at_ms)


async def _wait(wait_s: float, forbidden: Callable[[], Refused | None]) -> Refused | None:
    """Wait for a pass to end, or until it must not go on."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + wait_s
    while (left_s := end_s - loop.time()) > 0.0:
        await asyncio.sleep(min(left_s, LOOK_S))
        if reason := forbidden():
            return reason
    return None


async def _abort(unit: UnitUnderTest) -> None:
    with suppress(ModuleSilentError):  # its test ends by itself within 10 s
        await unit.exchange.ask(encode.impedance_abort(unit.address, unit.exchange.next_tag()), 1, address=unit.address)


async def _start(
    group: Sequence[int], units: Mapping[int, UnitUnderTest], test: tuple[int, Method, float, float]
) -> tuple[dict[int, float], dict[int, TestResult]]:
    running: dict[int, float] = {}
    refused: dict[int, TestResult] = {}
    for cell in group:
        unit = units[cell]
        request = encode.impedance_start(unit.address, *test, unit.exchange.next_tag())
        try:
            reply = await unit.exchange.ask(request, 3, address=unit.address)
        except ModuleSilentError:
            refused[cell] = None
            continue
        code = reply_code(reply)
        if code is ReplyCode.OK:
            running[cell] = min(test_duration_s(reply), MAX_TEST_S)
        else:
            refused[cell] = code
    return running, refused


async def _read(unit: UnitUnderTest, seq: int) -> TestResult:
    for _ in range(MAX_POLLS):
        request = encode.impedance_read(unit.address, seq, unit.exchange.next_tag())
        try:
            reply = await unit.exchange.ask(request, 22, address=unit.address)
        except ModuleSilentError:
            return None
        record = impedance_record(reply, unit.kind)
        if record is not None:
            return record
        code = reply_code(reply)
        if code is not ReplyCode.RUNNING:
            return code if code is not ReplyCode.OK else ReplyCode.BAD_VALUE
        await asyncio.sleep(MAX_TEST_S / MAX_POLLS)
    return ReplyCode.RUNNING


def _conclude(
    wanted: MeasureImpedance,
    method: Method,
    par: float,
    results: Mapping[int, TestResult],
    at_ms: Mapping[int, int],
) -> ImpedanceReadings | Refused | NoReply:
    records = {cell: result for cell, result in results.items() if isinstance(result, ImpedanceRecord)}
    if not records:
        reasons = {result for result in results.values() if isinstance(result, ReplyCode)}
        if reasons:
            return Refused(reason="module_refused", detail=", ".join(sorted(reason.name.lower() for reason in reasons)))
        return NoReply(waited_s=0.0, cells=list(wanted.cells))
    found = [records.get(cell) for cell in wanted.cells]
    return ImpedanceReadings(
        string=wanted.string,
        cells=list(wanted.cells),
        method=wanted.method,
        frequency_hz=par if method is Method.AC else None,
        pulse_s=par if method is Method.DC_PULSE else None,
        test_a=float(np.mean([record.test_a for record in records.values()])),
        r_ohm=np.array([math.nan if record is None else record.r_ohm for record in found]),
        measured_ms=[at_ms.get(cell) if cell in records else None for cell in wanted.cells],
        cell_degc=np.array([math.nan if record is None else record.degc for record in found]),
        cell_v=np.array([math.nan if record is None else record.cell_v for record in found]),
        quality=np.array([_quality_of(results[cell]) for cell in wanted.cells], dtype=np.uint8),
    )


def _quality_of(result: TestResult) -> Quality:
    if result is None:
        return Quality.SILENT
    if isinstance(result, ReplyCode):
        return Quality.BUS_ERROR
    return Quality.IMPLAUSIBLE if result.noisy else Quality.GOOD
