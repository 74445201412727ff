"""The whole twin in simulated time: what the physics does arrives as bytes, and every fault shows on the wire."""

import json
import tomllib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from cellkeeper.contract.site_file import parse_site
from twin import control
from twin.bus.wire_codec import FAST_LENGTH, Kind, TemperatureCode, Type, ValueCode, crc16, long_frame
from twin.commands import app
from twin.errors import TwinUseError
from twin.faults import KINDS, FaultRequest
from twin.physics.sensors import PERFECT
from twin.physics.ups import UpsEvent
from twin.script.scenario import SHIPPED, Scenario, WireEvent
from twin.script.trace_options import traced_units
from twin.settings import TwinSettings
from twin.twin_room import TwinOptions, TwinRoom
from typer.testing import CliRunner

SITE = """
[site]
id = "hh1"
name = "Test room"
[[bus]]
id = "line1"
port = "/nowhere/line1"
baud = 115200
[[bus]]
id = "line2"
port = "/nowhere/line2"
baud = 115200
[[dcbus]]
id = "ups1"
[[string]]
id = "s1"
dcbus = "ups1"
cells = 24
chemistry = "vrla_agm"
rated_ah = 100.0
[[string.modules]]
bus = "line1"
first_address = 1
count = 16
[[string.modules]]
bus = "line2"
first_address = 1
count = 8
[[string.sensor]]
kind = "current"
bus = "line1"
address = 1001
range_a = 300.0
[[string.sensor]]
kind = "current"
bus = "line1"
address = 1002
range_a = 300.0
reversed = true
[[string.sensor]]
kind = "float_current"
bus = "line1"
address = 1003
[[string.sensor]]
kind = "string_voltage"
bus = "line1"
address = 1004
[[string.sensor]]
kind = "ambient"
bus = "line1"
address = 1005
[[string]]
id = "block"
cells = 1
cells_per_unit = 6
chemistry = "vrla_agm"
module_type = "c20"
rated_ah = 17.0
[[string.modules]]
bus = "line2"
first_address = 101
count = 1
"""


class Master:
    """Reads a room once per sample, one fast reply per address."""

    def __init__(self, scenario: Scenario | None = None, *, seed: int = 1):
        options = TwinOptions(seed=seed, errors=PERFECT, strict=False)
        if scenario is not None:
            options = TwinOptions(seed=seed, errors=PERFECT, strict=False, scenario=scenario)
        self.room = TwinRoom(parse_site(SITE.encode()), options)
        self.now_s = 0.0
        self.sample_id = 0

    def send(self, bus: str, frame_type: int, address: int, payload: bytes = b"") -> bytes:
        emitted = self.room.feed(bus, long_frame(frame_type, address, 1, payload), self.now_s)
        return b"".join(data for _, data in emitted)

    def sweep(self, *, after_s: float = 1.0) -> dict[tuple[str, int], dict[str, float]]:
        self.now_s += after_s
        self.sample_id = (self.sample_id + 1) % 256
        for bus in ("line1", "line2"):
            self.send(bus, Type.SAMPLE, 0xFFFF, bytes((self.sample_id, 30)))
        self.now_s += 0.2
        found = {}
        for bus, first, count in (("line1", 1, 16), ("line1", 1001, 5), ("line2", 1, 8), ("line2", 101, 1)):
            data = self.send(bus, Type.TRAIN, first, bytes((count, self.sample_id, 0)))
            for at in range(0, len(data), FAST_LENGTH):
                frame = data[at : at + FAST_LENGTH]
                if crc16(frame) == 0:
                    found[bus, frame[1] | frame[2] << 8] = decoded(frame)
        return found

    def fault(self, kind: str, cell: int | None = None, **more) -> int:
        return self.room.begin_fault(FaultRequest(kind, "s1", cell, **more))


def decoded(frame: bytes) -> dict[str, float]:
    word = int.from_bytes(frame[3:6], "little") & 0xFFFFF
    value = word - ((word & 0x80000) << 1)
    degc = int.from_bytes(frame[6:8], "little", signed=True)
    return {"kind": frame[0] & 15, "value": value, "degc": degc, "aux": frame[8], "status": frame[9]}


def test_every_device_shows_the_room_in_its_own_unit():
    master = Master()
    found = master.sweep()
    truth = master.room.physics.truth("s1")
    shown = [found["line1", a]["value"] for a in range(1, 17)] + [found["line2", a]["value"] for a in range(1, 9)]
    assert shown == np.rint(truth.v / 1e-4).tolist()
    assert [found["line1", a]["degc"] for a in range(1, 17)] == np.rint(truth.degc[:16] * 100).tolist()
    assert found["line2", 101]["value"] == round(master.room.physics.truth("block").v[0] / 5e-4)
    halves = found["line1", 1001]["value"], found["line1", 1002]["value"]
    assert halves[0] == -halves[1]
    assert found["line1", 1003]["value"] == pytest.approx(truth.string_a / 1e-4, abs=1)
    assert found["line1", 1004]["value"] == round(truth.string_v / 1e-2)
    assert found["line1", 1005]["value"] == ValueCode.NOT_FITTED
    assert found["line1", 1005]["degc"] > 1500
    kinds = [found["line1", a]["kind"] for a in (1, 1001, 1003, 1004, 1005)]
    assert kinds == [Kind.CELL, Kind.CURRENT, Kind.CURRENT_FLOAT, Kind.STRING_VOLTAGE, Kind.AMBIENT]


def test_the_same_seed_gives_the_same_bytes():
    first, second, other = Master(seed=4), Master(seed=4), Master(seed=5)
    assert first.sweep() == second.sweep() != other.sweep()


def test_an_outage_shows_in_the_next_sample_and_ends():
    master = Master()
    before = master.sweep()
    master.room.outage(600.0, None)
    during = [master.sweep() for _ in range(3)][-1]
    assert during["line1", 1001]["value"] < -5000  # half of the current, discharge is negative
    assert during["line1", 3]["value"] < before["line1", 3]["value"] - 200
    assert during["line1", 1003]["value"] == ValueCode.SATURATED
    after = [master.sweep(after_s=60.0) for _ in range(12)][-1]
    assert after["line1", 1001]["value"] > 500


def test_a_bleed_by_bytes_draws_charge_from_its_unit_alone():
    master = Master()
    before = master.sweep()
    master.send("line1", Type.BLEED_SET, 3, bytes((200,)))
    for _ in range(60):
        shown = master.sweep(after_s=10.0)
        master.send("line1", Type.RENEW_HOLD, 0xFFFF)
    assert (shown["line1", 3]["aux"], shown["line1", 4]["aux"]) == (200, 0)
    assert master.room.physics.bank.bleed_frac[:5].tolist() == [0, 0, 1.0, 0, 0]
    moved = {a: shown["line1", a]["value"] - before["line1", a]["value"] for a in range(1, 17)}
    assert moved.pop(3) < min(moved.values()) - 5
    master.room.advance(master.now_s + 60.0)
    assert master.sweep()["line1", 3]["aux"] == 249
    assert not master.room.physics.bank.bleed_frac.any()


def test_wire_faults_show_as_the_document_says_and_leave_no_trace():
    master = Master()
    healthy = set(master.sweep())
    seen = {}
    for kind, cell, more in [
        ("silent", 3, {}),
        ("cut", 15, {}),
        ("duplicate", 3, {"value": 4.0}),
        ("glitch", 3, {"value": 9.99}),
        ("wrong_type", 3, {}),
        ("fuse_open", 3, {}),
        ("lead_off", 3, {}),
        ("shorted_temperature_sensor", 3, {}),
        ("open_temperature_sensor", 3, {}),
        ("unaddressed", 3, {}),
        ("bit_flip", 3, {}),
    ]:
        number = master.fault(kind, cell, **more)
        seen[kind] = master.sweep()
        master.room.faults.clear(number)
        restored = master.sweep()
        assert set(restored) == healthy, kind
    three = "line1", 3
    assert {kind: healthy - set(found) for kind, found in seen.items() if healthy - set(found)} == {
        "silent": {three},
        "cut": {("line1", a) for a in (15, 16, 1001, 1002, 1003, 1004, 1005)},
        "duplicate": {three, ("line1", 4)},
        "unaddressed": {three},
        "bit_flip": {three},
    }
    assert seen["glitch"][three]["value"] == 99_900
    assert seen["wrong_type"][three]["kind"] == Kind.BLOCK
    assert seen["wrong_type"][three]["value"] == pytest.approx(4500, abs=100)
    assert (seen["fuse_open"][three]["value"], seen["fuse_open"][three]["status"] & 12) == (ValueCode.NOT_CONNECTED, 4)
    assert seen["lead_off"][three]["status"] & 12 == 8
    assert seen["shorted_temperature_sensor"][three]["degc"] == TemperatureCode.SHORTED
    assert seen["open_temperature_sensor"][three]["degc"] == TemperatureCode.OPEN


def test_a_reset_shows_and_passes():
    master = Master()
    master.send("line1", Type.ACK_RESET, 1, bytes((16,)))
    master.sweep()
    master.fault("reset", 3)
    assert ("line1", 3) not in master.sweep(after_s=0.0)  # it starts while the others sample
    shown = master.sweep()
    assert shown["line1", 3]["status"] & 16
    assert not shown["line1", 4]["status"] & 16


def test_faults_end_by_themselves_and_physical_ones_reach_the_room():
    master = Master()
    before = master.sweep()
    master.fault("silent", 3, for_s=5.0)
    master.fault("sensor_offset", 4, value=0.05, for_s=5.0)
    during = master.sweep()
    assert ("line1", 3) not in during
    assert during["line1", 4]["value"] == pytest.approx(before["line1", 4]["value"] + 500, abs=5)
    master.room.advance(20.0)
    master.now_s = 20.0
    after = master.sweep()
    assert after["line1", 4]["value"] == pytest.approx(before["line1", 4]["value"], abs=20)
    assert ("line1", 3) in after
    assert master.room.faults.acting == ()


def test_noise_belongs_to_a_line_and_ends():
    master = Master()
    number = master.room.begin_fault(FaultRequest("noise", bus="line1", value=0.5))
    found = master.sweep()
    assert {bus for bus, _ in found} == {"line2"}
    master.room.faults.clear(number)
    assert {bus for bus, _ in master.sweep()} == {"line1", "line2"}


def test_a_script_acts_in_its_time_and_refusals_are_kept():
    scenario = Scenario(
        name="x",
        wire=(
            WireEvent(at_s=10.0, kind="silent", string="s1", cell=2, for_s=10.0),
            WireEvent(at_s=12.0, kind="silent", string="s1", cell=200),
        ),
    )
    master = Master(scenario)
    present = {}
    for _ in range(25):
        there = ("line1", 2) in master.sweep()
        present[master.now_s] = there
    assert present == {at_s: not 10.0 <= at_s - 0.2 < 20.0 for at_s in present}
    assert len(master.room.refusals) == 1
    assert "no cell 200" in master.room.refusals[0]


def test_a_scenario_can_be_played_later():
    master = Master()
    master.sweep()
    master.room.play(Scenario(name="now", ups=(UpsEvent(at_s=5.0, act="outage"),)))
    currents = [master.sweep()["line1", 1001]["value"] for _ in range(10)]
    assert currents[0] > 0 > currents[-1]


@pytest.mark.parametrize("request_", [FaultRequest(kind, "nowhere", 1) for kind in KINDS], ids=lambda r: r.kind)
def test_faults_in_places_that_are_not_there_are_refused(request_):
    with pytest.raises(TwinUseError):
        Master().room.begin_fault(request_)


def test_ten_thousand_times_real_time_keeps_every_scan():
    master = Master()
    seen = [master.sweep(after_s=9.8) for _ in range(100)]
    assert {len(found) for found in seen} == {30}
    assert master.room.physics.now_s == pytest.approx(master.now_s - 0.2, abs=1.1)


# --- recordings


def recording(folder: Path) -> Path:
    """A short recording of a 12 V block with a gap, as a file."""
    path = folder / "block.csv"
    rows = ["time,voltage,current,temperature"]
    rows += [f"{t},{13.305 - 0.0123 * t:.4f},{-1.5 - 0.01 * t:.2f},{22 + 0.1 * t:.2f}" for t in (0, 1, 2, 3, 20, 21)]
    path.write_text("\n".join(rows))
    return path


def test_a_recording_travels_as_bytes_with_the_modules_resolution(tmp_path):
    path = recording(tmp_path)
    master = Master()
    for traced in traced_units(f"string=block,cell=1,file={path},degc=temperature,current=current,hold_s=5"):
        master.room.physics.follow_trace(traced)
    shown = {round(master.now_s, 1): master.sweep(after_s=0.8).get(("line2", 101)) for _ in range(24)}
    by_second = {second + 0.8: reading for second, reading in shown.items()}
    for at_s, reading in by_second.items():
        row = max((t for t in (0, 1, 2, 3, 20, 21) if t <= at_s + 1e-6), default=0)
        if at_s - row > 5.0:
            assert reading is None, at_s  # a gap is silence, not an old value
        else:
            assert reading is not None
            assert reading["value"] == round((13.305 - 0.0123 * row) / 5e-4)
            assert reading["degc"] == round((22 + 0.1 * row) * 100)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("string=block,cell=1", "file is missing"),
        ("string=block,cell=one,file={file}", "numbers"),
        ("string=block,cell=1,file={file},delimiter=x", "delimiter is one of"),
        ("banana=1", "not known"),
    ],
)
def test_wrong_trace_options_say_what_to_do(tmp_path, text, why):
    with pytest.raises(TwinUseError, match=why):
        traced_units(text.format(file=recording(tmp_path)))


# --- commands


@pytest.fixture
def answered(monkeypatch):
    """The commands talk to a room in this process."""
    room = Master().room
    monkeypatch.setattr(control, "ask", lambda _folder, request: _replied(room, request))
    return room


def _replied(room: TwinRoom, request: dict) -> dict:
    reply = control.obey(room, json.dumps(request).encode())
    if not reply.pop("ok"):
        raise TwinUseError(reply["why"])
    return json.loads(json.dumps(reply))


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


def test_the_commands_of_a_person(answered, tmp_path, monkeypatch):
    monkeypatch.setenv("CELLKEEPER_STATE_DIR", str(tmp_path))
    assert run("fault", "silent", "--string", "s1", "--cell", "17") == (0, "fault 1 acts\n")
    assert run("fault", "noise", "--bus", "line1", "--value", "0.02", "--seconds", "30") == (0, "fault 2 acts\n")
    code, text = run("status")
    assert code == 0
    assert "bus line2: 8 of 9 modules at 115200 Bd" in text
    assert "fault 1: silent string s1 cell 17" in text
    assert json.loads(run("status", "--json")[1])["dcbuses"][0]["phase"] == "float"
    assert run("fault", "clear", "--cell", "17") == (0, "cleared 1: 1\n")
    assert run("fault", "clear") == (0, "cleared 1: 2\n")
    assert run("fault", "clear") == (0, "cleared 0: none matched\n")
    code, text = run("fault", "silent", "--cell", "99")
    assert (code, "no cell 99" in text) == (1, True)
    assert run("outage", "--seconds", "600")[0] == 0
    assert run("play", "weak_cell")[0] == 0
    assert run("play", "doom")[0] == 1
    answered.advance(5.0)
    assert "outage" in run("status")[1]


def test_scenarios_are_listed_with_what_they_do():
    code, text = run("scenarios")
    assert code == 0
    shipped = [path.stem for path in SHIPPED.glob("*.toml")]
    assert all(name in text for name in shipped)


def test_commands_are_registered_for_the_one_command_line():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]["entry-points"]
    assert project == {
        "cellkeeper.commands": {"twin": "twin.commands:app"},
        "cellkeeper.scenarios": {"twin": "twin.scenario_check:problems"},
        "cellkeeper.services": {"twin": "twin.main:main"},
    }
    assert TwinSettings(service="twin").twin_pace is True
    assert all(a < b for a, b in pairwise(KINDS))
