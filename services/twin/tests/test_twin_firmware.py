"""The module as a state machine: the rows of section 12, and what sections 5 to 10 say of each."""

import struct
from dataclasses import replace

import numpy as np
import pytest
from twin.bus.devices import Flag, fixed_source, unit_modules
from twin.bus.line import LineOptions, TwinLine
from twin.bus.wire_codec import Code, Kind, Type, ValueCode, long_frame
from twin.firmware.module_state import Moment

FAST = 12


class Bench:
    """Four cells on a line, and a master that speaks to them one frame at a time."""

    def __init__(self, count: int = 4, *, spread_frac: float = 0.0, first_address: int = 1, kind: Kind = Kind.CELL):
        value = 3.3 if kind is Kind.CELL else 13.2
        modules = unit_modules(count, first_address=first_address, kind=kind)
        self.source = fixed_source(np.full(count, value))
        options = LineOptions(clock_spread_frac=spread_frac)
        self.line = TwinLine(modules, self.source, baud=115_200, options=options)
        self.state = self.line.bank.state
        self.now_s = 0.0

    def wait(self, seconds: float) -> None:
        """Let time pass in steps of the modules' own checks."""
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.now_s = min(end_s, self.now_s + 0.5)
            self.line.bank.supervise(Moment(self.now_s, self.now_s))

    def send(self, frame_type: int, address: int = 0xFFFF, payload: bytes = b"") -> bytes:
        data = b"".join(d for _, d in self.line.feed(long_frame(frame_type, address, 7, payload), self.now_s))
        self.now_s += 0.1
        return data

    def ask(self, frame_type: int, address: int, payload: bytes = b"") -> bytes:
        """Return the payload of the one long reply."""
        reply = self.send(frame_type, address, payload)
        assert reply[1] == frame_type | 0x80
        assert reply[4] == 7
        return reply[7:-2]

    def sample(self, sample_id: int = 42) -> None:
        self.send(Type.SAMPLE, payload=bytes((sample_id, 30)))
        self.now_s += 0.2

    def fast(self, address: int = 1, sample_id: int = 42, page: int = 0) -> dict[str, int]:
        data = self.send(Type.TRAIN, address, bytes((1, sample_id, page)))
        if not data:
            return {}
        assert len(data) == FAST
        word = int.from_bytes(data[3:6], "little")
        value = word & 0xFFFFF
        value -= (value & 0x80000) << 1
        degc = int.from_bytes(data[6:8], "little", signed=True)
        return {"value": value, "sample": word >> 20, "temperature": degc, "aux": data[8], "status": data[9]}

    def bleed(self, *duties: int, first: int = 1) -> None:
        self.send(Type.BLEED_SET, first, bytes(duties))

    def duty(self, address: int = 1) -> int:
        return self.fast(address)["aux"]


# --- sample


def test_sample_stays_until_the_next_is_complete():
    b = Bench()
    b.sample(1)
    b.source.reading.value[:] = 3.4
    b.send(Type.SAMPLE, payload=bytes((2, 30)))
    b.now_s -= 0.05  # 50 ms into the window
    assert b.fast(sample_id=1)["value"] == 33000
    b.now_s -= 0.07
    assert (b.fast(sample_id=2)["value"], b.fast(sample_id=2)["value"]) == (ValueCode.NOT_FINISHED, 34000)
    assert b.fast(sample_id=1)["value"] == ValueCode.NO_SAMPLE


def test_a_second_sample_starts_the_window_anew():
    b = Bench()
    b.send(Type.SAMPLE, payload=bytes((1, 30)))
    b.send(Type.SAMPLE, payload=bytes((2, 30)))
    b.now_s += 0.2
    assert b.fast(sample_id=1)["value"] == ValueCode.NO_SAMPLE
    assert b.fast(sample_id=2)["value"] == 33000


def test_the_same_id_discards_the_finished_result_at_once():
    b = Bench()
    b.sample(5)
    b.send(Type.SAMPLE, payload=bytes((5, 30)))
    b.now_s -= 0.06
    reply = b.fast(sample_id=5)
    assert (reply["value"], reply["sample"]) == (ValueCode.NOT_FINISHED, 5)


def test_the_whole_id_is_compared_not_its_nibble():
    b = Bench()
    b.sample(0x1A)
    reply = b.fast(sample_id=0x2A)
    assert (reply["value"], reply["sample"], reply["temperature"]) == (ValueCode.NO_SAMPLE, 0x0A, -32765)


def test_a_result_is_dropped_after_a_minute():
    b = Bench()
    b.sample()
    b.wait(59.0)
    assert b.fast()["value"] == 33000
    b.wait(1.5)
    assert b.fast()["value"] == ValueCode.NO_SAMPLE


def test_reset_loses_the_sample_and_says_so_until_acknowledged():
    b = Bench()
    b.send(Type.ACK_RESET, 1, bytes((4,)))
    b.sample()
    assert b.fast()["status"] & 16 == 0
    b.bleed(50)
    b.line.bank.reset([0], "watchdog", Moment(b.now_s, b.now_s))
    assert b.fast() == {}  # boot
    b.now_s += 0.5
    reply = b.fast()
    assert (reply["value"], reply["sample"], reply["aux"], reply["status"] & 16) == (ValueCode.NO_SAMPLE, 0, 0, 16)
    assert b.fast(2)["value"] == 33000
    ident = b.ask(Type.IDENT, 1)
    assert struct.unpack_from("<HB", ident, 51) == (2, 3)
    b.send(Type.ACK_RESET, 1, bytes((1,)))
    assert b.fast()["status"] & 16 == 0


def test_a_unipolar_sensor_shows_zero_and_the_low_bit():
    spec = replace(unit_modules(1)[0], kind=Kind.CURRENT, flags=Flag(0), rated_min=0.0, rated_max=100.0)
    b = Bench(1)
    b.line = TwinLine([spec], fixed_source(np.array([-5.0])), baud=115_200)
    b.sample()
    reply = b.fast()
    assert (reply["value"], reply["status"] & 192) == (0, 64)


# --- bleed


def test_bleed_ends_within_60_s_without_renewal_on_any_clock():
    b = Bench(64, spread_frac=0.0025)
    b.state.clock_frac[:2] = (-0.0025, 0.0025)
    b.bleed(*[100] * 64)
    begun_s = b.now_s - 0.1
    b.wait(58.0)
    assert (b.state.duty == 100).all()
    b.wait(begun_s + 60.0 - b.now_s)
    assert (b.state.duty == 0).all()
    assert b.duty() == 249


def test_renewal_holds_and_starts_nothing():
    b = Bench()
    b.bleed(24, 0)
    for _ in range(8):
        b.wait(15.0)
        b.send(Type.RENEW_HOLD)
    b.sample()
    assert (b.duty(1), b.duty(2)) == (24, 0)
    b.wait(60.0)
    b.send(Type.RENEW_HOLD)
    assert b.duty(1) == 249


def test_leave_does_not_renew_and_zero_clears_the_code():
    b = Bench()
    b.bleed(24, 24)
    b.wait(30.0)
    b.bleed(255, 24)
    b.wait(29.5)
    assert (b.duty(1), b.duty(2)) == (249, 24)
    b.bleed(255, 255)
    assert b.duty(1) == 249
    b.bleed(0)
    assert b.duty(1) == 0


def test_stop_all_is_zero_for_all_and_clears_codes():
    b = Bench()
    b.state.lead_off[3] = True
    b.bleed(10, 20, 30, 40)
    assert [b.duty(a) for a in (1, 2, 3, 4)] == [10, 20, 30, 248]
    b.send(Type.STOP_ALL)
    assert [b.duty(a) for a in (1, 2, 3, 4)] == [0, 0, 0, 0]


@pytest.mark.parametrize("spoil", [201, 254])
def test_one_forbidden_value_spoils_the_whole_frame(spoil):
    b = Bench()
    b.bleed(10, spoil)
    assert b.duty(1) == 0
    b.send(Type.BLEED_SET, 0xFFFF, bytes((0,)))
    b.send(Type.BLEED_SET, 0xFFEF, bytes((0, 0)))


@pytest.mark.parametrize(
    ("fault", "code"), [("lead", 248), ("fuse", 248), ("open", 250), ("hot", 250), ("shorted", 250), ("low", 251)]
)
def test_a_failed_check_refuses_and_ends_and_never_resumes(fault, code):
    def apply(b: Bench, *, on: bool) -> None:
        b.state.lead_off[0] = on and fault == "lead"
        b.state.fuse_open[0] = on and fault == "fuse"
        b.state.degc_shorted[0] = on and fault == "shorted"
        b.source.reading.degc[0] = {"open": np.nan, "hot": 55.01}.get(fault, 22.0) if on else 22.0
        b.source.reading.value[0] = 1.999 if on and fault == "low" else 3.3
        b.state.touch()

    refused = Bench()
    apply(refused, on=True)
    refused.bleed(50, 50)
    assert (refused.duty(1), refused.duty(2)) == (code, 50)
    ended = Bench()
    ended.bleed(50, 50)
    apply(ended, on=True)
    ended.wait(1.0)  # no frame arrives meanwhile
    apply(ended, on=False)
    ended.wait(2.0)
    ended.send(Type.RENEW_HOLD)
    assert (ended.duty(1), ended.duty(2)) == (code, 50)


def test_a_silent_bus_ends_the_bleed_by_itself():
    b = Bench()
    b.bleed(50)
    b.line.bank.deafen([0], by=1)
    b.send(Type.RENEW_HOLD)
    b.wait(60.0)
    assert b.state.duty[0] == 0


def test_config_moves_the_floor_and_is_kept_over_a_reset():
    b = Bench()
    assert b.ask(Type.CONFIG, 1, struct.pack("<Bih", 1, 33500, 5500)) == bytes((Code.OK,))
    b.line.bank.reset([0], "pin", Moment(b.now_s, b.now_s))
    b.now_s += 1.0
    b.bleed(50, 50)
    assert (b.duty(1), b.duty(2)) == (251, 50)


@pytest.mark.parametrize("values", [(0, 1, 0), (25, 1, 0), (1, 0, 0), (1, 1, -1), (1, 1, 7001)])
def test_impossible_config_is_refused(values):
    b = Bench()
    assert b.ask(Type.CONFIG, 1, struct.pack("<Bih", *values)) == bytes((Code.BAD_VALUE,))
    assert b.state.bleed_floor[0] == 20_000


# --- impedance test

PULSE = struct.pack("<BBHH", 7, 1, 100, 1000)


def test_a_test_ends_the_bleed_shows_itself_and_leaves_a_record():
    b = Bench()
    b.bleed(50)
    assert b.ask(Type.IMP_START, 1, PULSE) == struct.pack("<BH", 0, 500)
    assert b.duty() == 252
    b.bleed(50)  # no set-point during a test
    assert b.ask(Type.IMP_READ, 1, b"\x07") == bytes((Code.RUNNING, 7))
    b.wait(1.0)
    assert b.duty() == 0
    assert struct.unpack_from("<I", b.ask(Type.IMP_READ, 1, b"\x07"), 8)[0] == 4125
    assert b.ask(Type.IMP_READ, 1, b"\x08") == bytes((Code.NO_RECORD, 8))


def test_repeating_a_start_is_safe_and_another_is_busy():
    b = Bench()
    first = b.ask(Type.IMP_START, 1, PULSE)
    assert b.ask(Type.IMP_START, 1, PULSE) == first
    assert b.ask(Type.IMP_START, 1, struct.pack("<BBHH", 8, 1, 100, 1000)) == struct.pack("<BH", Code.BUSY, 0)
    b.wait(5.0)
    assert b.ask(Type.IMP_START, 1, PULSE) == first
    assert b.line.bank.bench.running == {}
    b.wait(10.0)
    b.ask(Type.IMP_START, 1, PULSE)
    assert 0 in b.line.bank.bench.running


def test_abort_and_failed_checks_and_reset():
    b = Bench()
    b.ask(Type.IMP_START, 1, PULSE)
    assert b.ask(Type.IMP_ABORT, 1) == bytes((0,))
    assert b.ask(Type.IMP_READ, 1, b"\x07") == bytes((Code.ABORTED, 7))
    assert b.ask(Type.IMP_ABORT, 1) == bytes((0,))
    b.ask(Type.IMP_START, 2, PULSE)
    b.source.reading.value[1] = 1.0
    b.wait(0.2)
    assert b.ask(Type.IMP_READ, 2, b"\x07") == bytes((Code.ABORTED, 7))
    b.ask(Type.IMP_START, 3, PULSE)
    assert b.send(Type.IMP_ABORT) == b""
    assert b.ask(Type.IMP_READ, 3, b"\x07") == bytes((Code.ABORTED, 7))
    b.line.bank.reset([2], "power", Moment(b.now_s, b.now_s))
    b.now_s += 1.0
    assert b.ask(Type.IMP_READ, 3, b"\x07") == bytes((Code.NO_RECORD, 7))


def test_a_test_whose_current_does_not_flow_says_contact():
    b = Bench()
    b.source.ohm = float("nan")
    b.ask(Type.IMP_START, 1, PULSE)
    b.wait(1.0)
    assert b.ask(Type.IMP_READ, 1, b"\x07") == bytes((Code.CONTACT, 7))


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (struct.pack("<BBHH", 0, 1, 100, 1000), Code.BAD_VALUE),
        (struct.pack("<BBHH", 1, 1, 0, 1000), Code.BAD_VALUE),
        (struct.pack("<BBHH", 1, 1, 10_000, 1000), Code.BAD_VALUE),
        (struct.pack("<BBHH", 1, 2, 1, 1000), Code.BAD_VALUE),
        (struct.pack("<BBHH", 1, 1, 100, 0), Code.BAD_VALUE),
        (struct.pack("<BBHH", 1, 3, 100, 1000), Code.UNSUPPORTED),
        (b"\x01", Code.BAD_VALUE),
    ],
)
def test_impossible_tests_are_refused(payload, code):
    assert Bench().ask(Type.IMP_START, 1, payload) == struct.pack("<BH", code, 0)


def test_tests_are_refused_when_cold_checks_fail():
    b = Bench()
    b.state.fuse_open[0] = True
    b.source.reading.degc[1] = 60.0
    b.source.reading.value[2] = 4.9
    codes = [b.ask(Type.IMP_START, address, PULSE)[0] for address in (1, 2, 3)]
    assert codes == [Code.REFUSED_STATE, Code.REFUSED_TEMPERATURE, Code.REFUSED_VOLTAGE]


# --- LEDs, addresses, AUX, baud


def test_identify_ends_by_itself_and_leds_have_their_order():
    b = Bench()
    b.sample()
    b.send(Type.ACK_RESET, 1, bytes((4,)))
    assert b.fast()["status"] == 2
    b.send(Type.LED_SET, 1, bytes((5,)))
    assert b.fast()["status"] == 1
    assert b.ask(Type.IDENTIFY, 1, struct.pack("<HB", 5, 2)) == b"\x00"
    assert b.fast()["status"] == 2 | 32
    b.wait(5.0)
    assert b.fast()["status"] == 1
    b.send(Type.LED_SET, 1, bytes((4,)))  # a flash without its LED spoils the frame
    assert b.fast()["status"] == 1
    b.send(Type.LED_SET, 1, bytes((0x80,)))
    assert b.fast()["status"] == 2
    assert b.send(Type.IDENTIFY, 0xFFFF, struct.pack("<HB", 9, 1)) == b""
    assert b.fast(3)["status"] == 1 | 32
    assert b.ask(Type.IDENTIFY, 1, struct.pack("<HB", 601, 0)) == bytes((Code.BAD_VALUE,))


def uid(n: int) -> bytes:
    return n.to_bytes(8, "little")


def test_unaddressed_modules_answer_search_and_uid_forms_alone():
    b = Bench(1, first_address=0)
    b.sample()
    assert b.fast() == {}
    assert b.send(Type.IDENT, 0) == b""
    assert b.send(Type.BLEED_SET, 1, b"\x32") == b""
    assert b.ask(Type.IDENT, 0xFFFF, uid(1))[12:20] == uid(1)
    assert b.ask(Type.ASSIGN, 0xFFFF, uid(1) + struct.pack("<H", 9)) == b"\x00" + uid(1)
    assert b.fast(9)["value"] == ValueCode.NO_SAMPLE
    assert b.state.duty[0] == 0


def test_assign_is_refused_while_bleeding_and_clear_is_not():
    b = Bench()
    b.bleed(50)
    refused = b.send(Type.ASSIGN, 0xFFFF, uid(1) + struct.pack("<H", 9))
    assert (refused[2], refused[7]) == (1, Code.REFUSED_STATE)
    assert b.ask(Type.ASSIGN, 0xFFFF, uid(2) + struct.pack("<H", 0xFFF0))[0] == Code.BAD_VALUE
    cleared = b.send(Type.CLEAR, 0xFFFF, uid(1))
    assert (cleared[2], cleared[7]) == (0, Code.OK)
    assert (b.state.duty[0], b.state.address[0]) == (0, 0)


def test_mutes_end_by_flag_by_time_at_reset_and_at_assign():
    b = Bench(1, first_address=0)
    asked = bytes((1, 0, 0, 0))

    def answers(flags: int = 0) -> bool:
        return bool(b.send(Type.WHO, 0, asked[:3] + bytes((flags,))))

    def mute() -> None:
        b.send(Type.MUTE, 0xFFFF, uid(1))
        assert not answers()

    mute()
    assert answers(flags=1)
    mute()
    b.wait(600.0)
    assert answers()
    mute()
    b.line.bank.reset([0], "software", Moment(b.now_s, b.now_s))
    b.now_s += 1.0
    assert answers()
    mute()
    b.send(Type.ASSIGN, 0xFFFF, uid(1) + struct.pack("<H", 4))
    assert b.send(Type.WHO, 4, asked)


def test_the_button_unaddresses_only_between_10_and_15_seconds():
    b = Bench()
    for held_s in (9.9, 15.0):
        b.line.bank.press_button(0, held_s)
    assert b.state.address[0] == 1
    b.line.bank.press_button(0, 10.0)
    assert b.state.address[0] == 0


def test_relays_keep_their_state_over_everything():
    spec = replace(unit_modules(1)[0], kind=Kind.AUX, address=5, flags=Flag.TEMPERATURE)
    b = Bench(1)
    b.line = TwinLine([spec], fixed_source(np.zeros(1)), baud=115_200)
    assert b.ask(Type.RELAY_SET, 5, bytes((5, 5, 0xFA, 0xFA))) == bytes((Code.OK, 5))
    b.line.bank.reset([0], "brown_out", Moment(b.now_s, b.now_s))
    b.now_s += 1.0
    for broadcast in (Type.STOP_ALL, Type.RENEW_HOLD, Type.SAMPLE):
        b.send(broadcast, payload=bytes((42, 30)) if broadcast is Type.SAMPLE else b"")
    b.send(Type.ASSIGN, 0xFFFF, uid(1) + struct.pack("<H", 6))
    b.sample()
    assert b.fast(6)["value"] == 0x550
    assert b.ask(0x41, 6) == bytes((Code.UNSUPPORTED,))
    assert Bench().ask(Type.RELAY_SET, 1, bytes((5, 5, 0xFA, 0xFA))) == bytes((Code.UNSUPPORTED,))


def set_baud(baud: int) -> bytes:
    return struct.pack("<IHB", baud, 100, 10)


def test_a_baud_on_trial_goes_back_when_nobody_speaks():
    b = Bench()
    b.send(Type.SET_BAUD, payload=set_baud(1_000_000))
    b.now_s += 1.0
    assert b.ask(Type.STATS, 1)
    assert b.line.timing.baud == 1_000_000
    b.wait(59.0)
    assert b.line.timing.baud == 1_000_000
    b.wait(2.0)
    assert b.ask(Type.STATS, 1)
    assert b.line.timing.baud == 115_200


def test_a_saved_baud_stays():
    b = Bench()
    b.send(Type.SET_BAUD, payload=set_baud(1_000_000))
    b.now_s += 1.0
    b.send(Type.SAVE_BAUD, payload=struct.pack("<I", 3_000_000))  # not the one they run at
    assert (b.state.stored_baud == 115_200).all()
    b.send(Type.SAVE_BAUD, payload=struct.pack("<I", 1_000_000))
    b.wait(200.0)
    assert b.ask(Type.STATS, 1)
    assert b.line.timing.baud == 1_000_000


@pytest.mark.parametrize("frame_type", [0x04, 0x17, 0x60, 0x72, 0x7F])
def test_unknown_types_are_answered_when_asked_of_one(frame_type):
    assert Bench().ask(frame_type, 2, b"\x01\x02") == bytes((Code.UNSUPPORTED,))


@pytest.mark.parametrize("frame_type", [Type.IDENT, Type.STATS, Type.IDENTIFY, Type.IMP_READ, Type.IMP_ABORT])
def test_wrong_lengths_are_answered_when_asked_of_one(frame_type):
    assert Bench().ask(frame_type, 2, bytes(9)) == bytes((Code.BAD_VALUE,))


def test_blocks_count_in_half_millivolts():
    b = Bench(1, kind=Kind.BLOCK)
    b.sample()
    assert b.fast()["value"] == 26_400
    b.bleed(50)
    assert b.duty() == 50
    b.source.reading.value[0] = 11.9
    b.wait(1.0)
    assert b.duty() == 251
