"""The twin as a process on a real pseudo-terminal and a real socket, driven by plain os and termios."""

import os
import select
import signal
import socket
import subprocess
import sys
import termios
import time
import tty
from pathlib import Path

import pytest
from cellkeeper.contract.site_file import parse_site
from cellkeeper.testing.patience import PATIENCE_S
from twin import control
from twin.bus.ports import TwinPortError, port_for
from twin.bus.transmitter import Emission
from twin.bus.wire_codec import FAST_LENGTH, crc16, long_frame
from twin.errors import TwinAwayError, TwinUseError
from twin.twin_room import TwinOptions, TwinRoom

SITE = """
[site]
id = "hh1"
name = "Test room"
[[bus]]
id = "line1"
port = "{port}"
baud = 3000000
[[string]]
id = "s1"
cells = 64
chemistry = "vrla_agm"
rated_ah = 100.0
[[string.modules]]
bus = "line1"
first_address = 1
count = 64
[[string.sensor]]
kind = "current"
bus = "line1"
address = 1001
[[aux]]
bus = "line1"
address = 2001
"""


def start(folder: Path, port: str, **extra: str) -> subprocess.Popen[bytes]:
    (folder / "site.toml").write_text(SITE.format(port=port))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CELLKEEPER_")}
    environment |= {"CELLKEEPER_SITE_FILE": str(folder / "site.toml"), "CELLKEEPER_STATE_DIR": str(folder / "state")}
    with (folder / "twin.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "twin"],
            env=environment | {"CELLKEEPER_DIE_WITH_PARENT": "1"} | extra,
            stderr=log,
        )


def wait_for(what, process: subprocess.Popen[bytes], folder: Path):
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s and process.poll() is None:
        found = what()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError((folder / "twin.log").read_text())


@pytest.fixture
def twin(tmp_path):
    running: list[subprocess.Popen[bytes]] = []

    def run(port: str, **extra: str) -> subprocess.Popen[bytes]:
        running.append(start(tmp_path, port, **extra))
        wait_for(lambda: "twin.ready" in (tmp_path / "twin.log").read_text(), running[0], tmp_path)
        return running[0]

    yield run
    for process in running:
        process.kill()
        process.wait()


def read_exactly(fd: int, count: int) -> bytes:
    data = b""
    while len(data) < count and select.select([fd], [], [], PATIENCE_S)[0]:
        data += os.read(fd, count - len(data))
    return data


def asked(folder: Path) -> dict:
    return control.ask(folder / "state" / "twin", {"do": "status"})


def test_a_train_over_a_real_terminal(tmp_path, twin):
    port = tmp_path / "ports" / "line1"
    process = twin(str(port), CELLKEEPER_TWIN_NOISE="false")
    fd = os.open(port, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(fd, termios.TCSANOW)
    os.write(fd, long_frame(0x01, 0xFFFF, 1, bytes((42, 30))))
    time.sleep(0.15)  # the window is real time: 100 ms and 5 ms to compute
    end_s = time.monotonic() + PATIENCE_S
    os.write(fd, long_frame(0x02, 1, 2, bytes((64, 42, 0))))
    while not select.select([fd], [], [], 1.0)[0]:  # a twin that came late to the first frame is still sampling
        assert time.monotonic() < end_s, (tmp_path / "twin.log").read_text()
        os.write(fd, long_frame(0x02, 1, 2, bytes((64, 42, 0))))
    data = read_exactly(fd, 64 * FAST_LENGTH)
    frames = [data[at : at + FAST_LENGTH] for at in range(0, len(data), FAST_LENGTH)]
    assert [crc16(frame) for frame in frames] == [0] * 64
    assert [frame[1] | frame[2] << 8 for frame in frames] == list(range(1, 65))
    assert all(2.1 < int.from_bytes(frame[3:5], "little") * 1e-4 < 2.4 for frame in frames)

    control.ask(tmp_path / "state" / "twin", {"do": "fault", "fault": {"kind": "silent", "string": "s1", "cell": 17}})
    before_ms = time.time() * 1000
    os.write(fd, long_frame(0x02, 1, 3, bytes((64, 42, 0))))
    data = read_exactly(fd, 63 * FAST_LENGTH)
    assert [data[at + 1] for at in range(0, len(data), FAST_LENGTH)] == [a for a in range(1, 65) if a != 17]
    found = asked(tmp_path)
    assert (found["buses"][0]["hearing"], found["buses"][0]["modules"]) == (65, 66)
    assert found["buses"][0]["replies"] == 64 + 63
    ((sample_id, handed_ms),) = found["buses"][0]["handed_ms"]
    assert sample_id == 42
    assert before_ms <= handed_ms <= time.time() * 1000

    assert control.ask(tmp_path / "state" / "twin", {"do": "clear"}) == {"cleared": [1]}
    os.close(fd)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0
    assert not port.is_symlink()
    with pytest.raises(TwinAwayError):
        asked(tmp_path)


def test_a_port_that_goes_away_comes_back(tmp_path, twin):
    port = tmp_path / "line1"
    process = twin(str(port))
    control.ask(tmp_path / "state" / "twin", {"do": "fault", "fault": {"kind": "port_lost", "bus": "line1"}})
    wait_for(lambda: not port.is_symlink(), process, tmp_path)
    control.ask(tmp_path / "state" / "twin", {"do": "clear", "fault": {"kind": "port_lost"}})
    wait_for(port.is_symlink, process, tmp_path)
    fd = os.open(port, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(fd, termios.TCSANOW)
    os.write(fd, long_frame(0x30, 5, 9, b""))
    assert read_exactly(fd, 7)[:5] == bytes((0xC5, 0xB0, 5, 0, 9))
    os.close(fd)


def test_a_master_over_tcp(tmp_path, twin):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number = probe.getsockname()[1]
    twin(f"socket://127.0.0.1:{number}", CELLKEEPER_TWIN_PACE="false")
    with socket.create_connection(("127.0.0.1", number), 5.0) as master:
        master.sendall(long_frame(0x32, 7, 1, b""))
        assert master.recv(38, socket.MSG_WAITALL)[1] == 0xB2
        with socket.create_connection(("127.0.0.1", number), 5.0) as second:
            assert second.recv(1) == b""


def test_a_start_that_cannot_work_says_what_to_do(tmp_path):
    (tmp_path / "taken").write_text("a file of somebody else")
    process = start(tmp_path, str(tmp_path / "taken"))
    assert process.wait(PATIENCE_S) == 1
    assert "does not replace it" in (tmp_path / "twin.log").read_text()
    assert (tmp_path / "taken").read_text() == "a file of somebody else"
    process = start(tmp_path, str(tmp_path / "line1"), CELLKEEPER_SCENARIO="doom")
    assert process.wait(PATIENCE_S) == 1
    assert "there are imbalance, outage" in (tmp_path / "twin.log").read_text()


class Still:
    """A line on which nothing happens."""

    waiting = False

    def feed(self, data: bytes) -> list[Emission]:
        return [(0.0, data)]

    def idle(self) -> list[Emission]:
        return []

    def handed_over(self, end_s: float) -> None:
        pass


@pytest.mark.parametrize("address", ["socket://nowhere", "socket://127.0.0.1:0", "socket://:70000"])
def test_impossible_addresses(address):
    with pytest.raises(TwinPortError, match="socket://127"):
        port_for(address, Still(), paced=True)


@pytest.fixture
def room():
    site = parse_site(SITE.format(port="/tmp/never-opened").encode())
    return TwinRoom(site, TwinOptions(strict=False))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"", "Invalid JSON"),
        (b"[1]", "object"),
        (b'{"do": "explode"}', "explode"),
        (b'{"do": "fault", "fault": {"kind": "gremlin", "cell": 1}}', "there are babble"),
        (b'{"do": "fault", "fault": {"kind": "silent", "cell": 99}}', "no cell 99"),
        (b'{"do": "fault", "fault": {"kind": "noise", "value": 7}}', "at most 1"),
        (b'{"do": "fault", "fault": {"kind": "silent", "cell": 1, "typo": 1}}', "typo"),
        (b'{"do": "clear", "number": 5}', "does not act"),
        (b'{"do": "outage", "dcbus": "nowhere"}', "not there"),
        (b'{"do": "input", "bus": "line1", "address": 3, "number": 1, "active": true}', "no AUX"),
    ],
)
def test_wrong_requests_are_answered_with_what_to_do(room, line, why):
    reply = control.obey(room, line)
    assert reply["ok"] is False
    assert why in reply["why"]


def test_an_input_travels_to_the_bus(room):
    assert control.obey(room, b'{"do": "input", "bus": "line1", "address": 2001, "number": 3, "active": true}')["ok"]
    room.feed("line1", long_frame(0x01, 0xFFFF, 1, bytes((1, 30))), 1.0)
    ((_, data),) = room.feed("line1", long_frame(0x02, 2001, 1, bytes((1, 1, 0))), 1.2)
    assert data[3] == 0b0100


def test_nobody_to_ask(tmp_path):
    with pytest.raises(TwinAwayError, match="start it"):
        control.ask(tmp_path, {"do": "status"})
    assert issubclass(TwinUseError, Exception)
