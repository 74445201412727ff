"""What the gateway is unable to say on a bus, whatever it is asked: no relay, no broadcast duty, no firmware."""

import ast
from pathlib import Path

import numpy as np
import pytest
from bus_gateway.line.bleeding import set_point_frames
from bus_gateway.wire import encode
from bus_gateway.wire.decode import Kind
from bus_gateway.wire.frame import BROADCAST, LongFrame, find_frames
from hypothesis import given
from hypothesis import strategies as st
from twin.bus.devices import fixed_source, unit_modules
from twin.bus.line import TwinLine
from twin.bus.wire_codec import Type as TwinType
from twin.bus.wire_codec import long_frame as twin_frame

GATEWAY = Path(encode.__file__).parent.parent
HIGHEST_ADDRESS = 0xFFEF
SENT_TYPES = {
    "SAMPLE", "TRAIN", "LIST", "BLEED_SET", "STOP_ALL", "RENEW_HOLD", "IDENTIFY", "IMP_START", "IMP_READ", "IMP_ABORT",
    "IDENT", "CONFIG", "STATS", "ACK_RESET", "WHO", "MUTE", "ASSIGN", "CLEAR",
}  # fmt: skip
NEVER_SENT = {0x40, 0x50, 0x51, *range(0x60, 0x80)}  # RELAY_SET, baud, firmware, attestation: bus-protocol.md, 4


def calls_of(name: str) -> list[tuple[str, ast.Call]]:
    """Every call of a function in the gateway, with the file it stands in."""
    found = []
    for path in sorted(GATEWAY.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
                if called == name:
                    found.append((path.relative_to(GATEWAY).as_posix(), node))
    return found


def test_no_relay_baud_or_firmware_frame_can_be_built():
    assert {member.name for member in encode.Type} == SENT_TYPES
    assert not NEVER_SENT & {int(member) for member in encode.Type}
    assert TwinType.RELAY_SET in NEVER_SENT
    built = [(file, ast.unparse(call.args[0])) for file, call in calls_of("long_frame")]
    by_encode = [first for file, first in built if file == "wire/encode.py"]
    assert len(by_encode) > 15
    assert {first for first in by_encode if not first.startswith("Type.")} == set()
    # one other place rebuilds a frame that was received, to compare it with what was sent: an echo
    assert [entry for entry in built if entry[0] != "wire/encode.py"] == [("line/line_turns.py", "frame.type")]


def test_bytes_reach_a_port_in_one_place_alone():
    written = [file for file, call in calls_of("write") if ast.unparse(call.func).endswith("_port.write")]
    assert written == ["line/line_turns.py"]
    assert {file for file, _ in calls_of("bleed_set")} == {"line/bleeding.py"}


def test_settings_of_a_unit_leave_in_one_place_and_never_for_everybody():
    assert {file for file, _ in calls_of("config")} == {"line/line_configuring.py"}
    frame = find_frames(encode.config(7, Kind.CELL, 6, 10.8, 55.0, 1), fast=False, long=True)[0][0]
    assert isinstance(frame, LongFrame)
    assert (frame.type, frame.address) == (encode.Type.CONFIG, 7)
    with pytest.raises(ValueError, match="one module"):
        encode.config(BROADCAST, Kind.CELL, 6, 10.8, 55.0, 1)


@given(
    wanted=st.dictionaries(st.integers(1, HIGHEST_ADDRESS), st.integers(0, encode.DUTY_STEPS), min_size=1, max_size=300)
)
def test_a_duty_reaches_exactly_who_was_named_and_never_everybody(wanted: dict[int, int]):
    reached: dict[int, int] = {}
    for frame in set_point_frames(list(wanted), list(wanted.values())):
        sent = find_frames(frame.encoded(1), fast=False, long=True)[0][0]
        assert isinstance(sent, LongFrame)
        assert sent.address != BROADCAST
        assert 1 <= sent.address <= sent.address + len(sent.payload) - 1 <= HIGHEST_ADDRESS
        for place, duty in enumerate(sent.payload):
            if duty != encode.LEAVE_DUTY:
                assert sent.address + place not in reached
                reached[sent.address + place] = duty
    assert reached == wanted


@given(duties=st.lists(st.integers(0, 255), min_size=1, max_size=200))
def test_a_module_ignores_a_broadcast_duty_and_obeys_a_broadcast_zero(duties: list[int]):
    line = TwinLine(unit_modules(4), fixed_source(np.full(4, 3.3)), baud=115_200)
    state = line.bank.state
    line.feed(twin_frame(TwinType.BLEED_SET, BROADCAST, 1, bytes(duties)), 0.0)
    assert state.duty.tolist() == [0] * 4
    line.feed(encode.bleed_set(1, [50] * 4, 2), 1.0)
    assert state.duty.tolist() == [50] * 4
    line.feed(twin_frame(TwinType.BLEED_SET, BROADCAST, 3, bytes(duties)), 2.0)
    assert state.duty.tolist() == [50] * 4, "a broadcast set-point was obeyed"
    line.feed(encode.stop_all(4), 3.0)
    assert state.duty.tolist() == [0] * 4


def test_what_the_gateway_broadcasts_changes_no_relay_and_starts_no_bleed():
    uid = "0011223344556677"
    broadcasts = [
        encode.sample(7, 1), encode.listed([1, 2], 7, 0, 2), encode.stop_all(3), encode.renew_hold(4),
        encode.mute([uid], 5), encode.who(BROADCAST, 1, 4, forget_mutes=True, tag=6), encode.assign(uid, 9, 7),
        encode.clear(uid, 8), encode.ident_uid(uid, 9), encode.impedance_abort(BROADCAST, 10),
    ]  # fmt: skip
    line = TwinLine(unit_modules(4), fixed_source(np.full(4, 3.3)), baud=115_200)
    line.bank.state.relays.commanded[:] = 0b0101
    for number, frame in enumerate(broadcasts):
        line.feed(frame, float(number))
    assert line.bank.state.duty.tolist() == [0] * 4
    assert line.bank.state.relays.commanded.tolist() == [0b0101] * 4
