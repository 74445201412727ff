"""The impedance test of a module: started, running for its duration, and the record that stays, section 7."""

import struct
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from twin.bus.devices import Flag, LineReading, LineSource
from twin.bus.wire_codec import Code, TemperatureCode
from twin.firmware import bleed
from twin.firmware.bleed import BleedByte
from twin.firmware.module_state import ModuleState, Moment

DC_PULSE: Final = 1
AC: Final = 2
REPEAT_S: Final = 10.0
OVERHEAD_MS: Final = 400  # settling before and after the test current
LONGEST_MS: Final = 10_000
AC_PERIODS: Final = 20
HIGHEST_TENTH_HZ: Final = 50_000
HIGHEST_MA: Final = 10_000
REACHED_FRAC: Final = 0.998  # the sources of these modules stay a little below what is asked
UNCERTAINTY_FRAC: Final = 0.003
OHM_PER_COUNT: Final = 1e-7


@dataclass(frozen=True, slots=True)
class Running:
    """A test that runs until `end_wire_s`."""

    seq: int
    method: int
    par: int
    test_ma: int
    duration_ms: int
    end_wire_s: float
    voltage: int


@dataclass(frozen=True, slots=True)
class Record:
    """How a test ended: a result, or a code that says why there is none."""

    test: Running
    code: Code
    ended: Moment
    r_ohm: float = 0.0
    temperature: int = TemperatureCode.NOT_AVAILABLE


@dataclass(slots=True)
class TestBench:
    """The tests of a line's modules by row, and the last record of each."""

    __test__ = False  # not a test case
    running: dict[int, Running] = field(default_factory=dict)
    records: dict[int, Record] = field(default_factory=dict)

    def next_end_s(self) -> float:
        """Return the wire time at which the next test ends; infinity when none runs."""
        return min((test.end_wire_s for test in self.running.values()), default=float("inf"))

    def start(self, state: ModuleState, row: int, payload: bytes, source: LineSource, now: Moment) -> bytes:
        """Return the reply to IMP_START, code and duration; starts the test when the code is OK."""
        if len(payload) != 6:
            return _started(Code.BAD_VALUE)
        seq, method, par, test_ma = struct.unpack("<BBHH", payload)
        known = self._known(row, seq, now)
        if known is not None:
            return _started(Code.OK, known.duration_ms)
        if row in self.running:
            return _started(Code.BUSY)
        duration_ms = _duration_ms(method, par)
        reading = source.live()
        code = _refusal(state, row, (seq, method, test_ma, duration_ms), reading)
        if code is not Code.OK:
            return _started(code)
        voltage = round(float(reading.value[row] / state.rated.unit[row]))
        end_s = now.wire_s + duration_ms / 1000.0
        self.records.pop(row, None)
        self.running[row] = Running(seq, method, par, test_ma, duration_ms, end_s, voltage)
        state.duty[row] = 0
        state.bleed_code[row] = 0
        state.touch()
        return _started(Code.OK, duration_ms)

    def read(self, row: int, payload: bytes, now: Moment) -> bytes:
        """Return the reply to IMP_READ."""
        if len(payload) != 1:
            return bytes((Code.BAD_VALUE,))
        seq = payload[0]
        if row in self.running and self.running[row].seq == seq:
            return bytes((Code.RUNNING, seq))
        record = self.records.get(row)
        if record is None or record.test.seq != seq:
            return bytes((Code.NO_RECORD, seq))
        if record.code is not Code.OK:
            return bytes((record.code, seq))
        return _record_payload(record, now)

    def abort(self, state: ModuleState, row: int, now: Moment, code: Code = Code.ABORTED) -> None:
        """End a test without a result; nothing when none runs."""
        test = self.running.pop(row, None)
        if test is not None:
            self.records[row] = Record(test, code, now)
            state.touch()

    def forget(self, row: int) -> None:
        """Lose test and record, as in a reset."""
        self.running.pop(row, None)
        self.records.pop(row, None)

    def finish(self, state: ModuleState, source: LineSource, now: Moment) -> None:
        """Keep the results of all tests that have ended by now."""
        for row in [row for row, test in self.running.items() if test.end_wire_s <= now.wire_s]:
            test = self.running.pop(row)
            late_s = now.wire_s - test.end_wire_s
            ended = Moment(test.end_wire_s, now.event_s - late_s)
            pulse_s = test.par / 1000.0 if test.method == DC_PULSE else 5.0 / test.par
            r_ohm = source.impedance_ohm(row, pulse_s)
            degc = float(source.live().degc[row])
            temperature = round(degc * 100.0) if np.isfinite(degc) else TemperatureCode.OPEN
            code = Code.OK if np.isfinite(r_ohm) else Code.CONTACT
            self.records[row] = Record(test, code, ended, r_ohm, temperature)
            state.touch()

    def supervise(self, state: ModuleState, reading: LineReading, now: Moment) -> None:
        """End tests whose checks fail while they run."""
        if not self.running:
            return
        failed = bleed.failed_checks(state, reading)
        for row in [row for row in self.running if failed[row]]:
            self.abort(state, row, now, Code.CONTACT if failed[row] == BleedByte.NOT_CONNECTED else Code.ABORTED)

    def _known(self, row: int, seq: int, now: Moment) -> Running | None:
        """Return the test with this seq if it runs or ended a moment ago: the request is a repetition."""
        if row in self.running and self.running[row].seq == seq:
            return self.running[row]
        record = self.records.get(row)
        recent = record is not None and now.wire_s - record.ended.wire_s < REPEAT_S
        return record.test if record is not None and recent and record.test.seq == seq else None


def _refusal(state: ModuleState, row: int, asked: tuple[int, int, int, int], reading: LineReading) -> Code:
    seq, method, test_ma, duration_ms = asked
    flags = state.rated.specs[row].flags
    if not flags & (Flag.DC_PULSE | Flag.AC):
        return Code.UNSUPPORTED
    if seq == 0 or not 0 < test_ma <= HIGHEST_MA or not 0 < duration_ms <= LONGEST_MS:
        return Code.BAD_VALUE
    counts = reading.value[row] / state.rated.unit[row]
    rated = state.rated.rated_min[row] <= counts <= state.rated.rated_max[row]
    check = bleed.failed_checks(state, reading)[row]
    if check == BleedByte.NOT_CONNECTED:
        return Code.REFUSED_STATE
    if check == BleedByte.BELOW_FLOOR or not rated:
        return Code.REFUSED_VOLTAGE
    if check == BleedByte.TEMPERATURE:
        return Code.REFUSED_TEMPERATURE
    fitted = {DC_PULSE: Flag.DC_PULSE, AC: Flag.AC}.get(method, Flag(0))
    return Code.OK if flags & fitted else Code.UNSUPPORTED


def _duration_ms(method: int, par: int) -> int:
    """Return how long a test takes, 0 when it cannot be."""
    if method == DC_PULSE and par > 0:
        return OVERHEAD_MS + par
    if method == AC and 0 < par <= HIGHEST_TENTH_HZ:
        return OVERHEAD_MS + round(AC_PERIODS * 10_000.0 / par)
    return 1 if method not in {DC_PULSE, AC} else 0  # an unknown method is refused as such, not for its parameter


def _started(code: Code, duration_ms: int = 0) -> bytes:
    return struct.pack("<BH", code, duration_ms)


def _record_payload(record: Record, now: Moment) -> bytes:
    test = record.test
    reached_ma = round(REACHED_FRAC * test.test_ma)
    counts = min(round(record.r_ohm / OHM_PER_COUNT), 0xFFFF_FFFF)
    sd = min(round(UNCERTAINTY_FRAC * record.r_ohm / OHM_PER_COUNT), 0xFFFF)
    age_s = min(max(int(now.event_s - record.ended.event_s), 0), 0xFFFF)
    head = struct.pack("<BBBBHH", Code.OK, test.seq, test.method, 0, test.par, reached_ma)
    return head + struct.pack("<IHhiH", counts, sd, record.temperature, test.voltage, age_s)
