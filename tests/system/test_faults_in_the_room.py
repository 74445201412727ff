"""Faults of modules, lines and batteries, through real bytes: quality changes where they are, all else flows."""

import statistics
import time
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import pytest
from cellkeeper.contract.moment import format_ms
from cellkeeper.testing.suite import running_suite, site_text

SERVICES = ("twin", "historian", "bus-gateway")


def next_scans(reader, string: str, count: int) -> list[dict]:
    before = len(reader.bodies(f"string/{string}/scan"))
    reader.wait(lambda r: len(r.bodies(f"string/{string}/scan")) >= before + count, f"{count} more scans of {string}")
    return reader.bodies(f"string/{string}/scan")[before : before + count]


def current_a(scan: dict) -> float:
    """The current of a scan, 0 where the sensor did not answer."""
    return scan["current_a"] or 0.0


def command(reader, name: str, **body) -> dict:
    request = {"v": 1, "id": str(uuid4()), "expires_at": format_ms(int(time.time() * 1000) + 30_000), **body}
    reader.publish(f"command/bus-gateway/{name}/tester", request)

    def outcome(seen):
        return next((o for o in seen.bodies("outcome/bus-gateway/tester") if o["id"] == request["id"]), None)

    reader.wait(outcome, f"the outcome of {name}")
    return outcome(reader)["outcome"]


def applied(reader, name: str, **body) -> dict:
    """The outcome of a command, which is given again while a stalled machine leaves the gateway without fresh cells."""
    for _ in range(20):
        outcome = command(reader, name, **body)
        if outcome["kind"] == "applied" or outcome["reason"] not in {"stale_cells", "state_unknown"}:
            break
        next_scans(reader, body["string"], 2)
    assert outcome["kind"] == "applied", outcome
    return outcome


def wait_until_all_good(reader, string: str, what: str) -> None:
    """Wait for two scans in a row that are good in every unit; all before are from another time."""
    before = len(reader.bodies(f"string/{string}/scan"))
    good = [0] * 20

    def in_a_row(seen) -> bool:
        since = [scan["quality"] == good for scan in seen.bodies(f"string/{string}/scan")[before:]]
        return any(map(all, pairwise(since)))

    reader.wait(in_a_row, what)


@pytest.mark.timeout(600)
def test_silent_module_noise_cut_line_and_lost_port(tmp_path: Path, read):
    with running_suite(tmp_path, site_text(tmp_path, 2, 20, scan_s=0.3), *SERVICES) as suite:
        reader = read(suite.broker.port)
        wait_until_all_good(reader, "s1", "a healthy string")

        suite.tell("twin", "fault", "silent", "--string", "s1", "--cell", "7")
        reader.wait(lambda r: r.last("string/s1/scan")["quality"][6] == 4, "module 7 silent")
        assert all(scan["cell_v"][6] is None for scan in next_scans(reader, "s1", 4))
        but_one = [4 if cell == 6 else 0 for cell in range(20)]
        reader.wait(lambda r: r.last("string/s1/scan")["quality"] == but_one, "all but that module read")
        wait_until_all_good(reader, "s2", "the other string")
        suite.tell("twin", "fault", "clear")
        reader.wait(lambda r: r.last("string/s1/scan")["quality"] == [0] * 20, "module 7 back")

        suite.tell("twin", "fault", "noise", "--bus", "b1-1", "--value", "0.01")
        noisy = next_scans(reader, "s1", 60)
        wait_until_all_good(reader, "s2", "the other string beside the noise")
        suite.tell("twin", "fault", "clear")
        good = [v for scan in noisy for v, quality in zip(scan["cell_v"], scan["quality"], strict=True) if quality == 0]
        assert len(good) > 60 * 20 * 0.5, "the sweep goes on"
        middle = statistics.median(good)
        assert max(abs(v - middle) for v in good) < 0.1, "a wrong value was published as good"

        suite.kill("twin")
        reader.wait(lambda r: set(r.last("string/s1/scan")["quality"]) <= {4, 5}, "scans go on without the bus")
        suite.start("twin")
        reader.wait(lambda r: r.last("string/s1/scan")["quality"] == [0] * 20, "the port is opened again")
        kinds = {event["kind"] for event in reader.bodies("event/bus-gateway")}
        assert {"port.lost", "port.open"} <= kinds


@pytest.mark.timeout(600)
def test_the_onset_of_an_outage_is_good_at_once_and_forbids_bleeding(tmp_path: Path, read):
    with running_suite(tmp_path, site_text(tmp_path, 1, 20, scan_s=0.3), *SERVICES) as suite:
        reader = read(suite.broker.port)
        floating = next_scans(reader, "s1", 8)[-1]
        suite.tell("twin", "outage", "--seconds", "20")
        reader.wait(lambda r: current_a(r.last("string/s1/scan")) < -1.0, "discharge")
        scans = reader.bodies("string/s1/scan")
        onset = next(scan for scan in scans if current_a(scan) < -1.0)
        assert onset["quality"] == [0] * 20
        assert statistics.mean(onset["cell_v"]) < statistics.mean(floating["cell_v"]) - 0.05
        refused = command(reader, "bleed", string="s1", cells=[1], bleed_frac=[0.5], hold_s=30)
        assert (refused["kind"], refused["reason"]) == ("refused", "on_battery")
        reader.wait(lambda r: current_a(r.last("string/s1/scan")) > 1.0, "recharge")


@pytest.mark.timeout(600)
def test_commands_take_effect_are_seen_and_end(tmp_path: Path, read):
    with running_suite(tmp_path, site_text(tmp_path, 1, 20, scan_s=0.3), *SERVICES) as suite:
        reader = read(suite.broker.port)
        next_scans(reader, "s1", 8)
        applied(reader, "bleed", string="s1", cells=[3, 5], bleed_frac=[0.5, 0.25], hold_s=6)
        reader.wait(lambda r: r.last("string/s1/scan")["bleed_frac"][2] == 0.5, "the duty")
        assert reader.last("string/s1/scan")["bleed_frac"][4] == 0.25
        reader.wait(lambda r: sum(r.last("string/s1/scan")["bleed_frac"]) == 0, "the end of the hold")

        applied(reader, "identify", string="s1", cells=[4], on_s=60)
        reader.wait(lambda r: r.last("string/s1/scan")["status"][3] & 32, "the LED of unit 4")

        measured = applied(
            reader, "measure_impedance", string="s1", cells=[2, 9], method="dc_pulse", pulse_s=0.1, test_a=2.0
        )
        assert all(1e-5 < r_ohm < 1e-1 for r_ohm in measured["impedance_ohm"])
        reader.wait(lambda r: r.bodies("string/s1/impedance"), "the impedance topic")
        reader.wait(lambda r: (r.last("string/s1/cell/2") or {})["impedance_ohm"] is not None, "impedance for SCADA")

        late = {"v": 1, "id": str(uuid4()), "expires_at": "2020-01-01T00:00:00.000Z"}
        reader.publish("command/bus-gateway/stop_bleed/tester", late)
        reader.wait(
            lambda r: any(o["outcome"].get("reason") == "expired" for o in r.bodies("outcome/bus-gateway/tester")),
            "an expired command refused",
        )
        found = command(reader, "search_modules", bus="b1-1")
        assert found["kind"] == "applied"


@pytest.mark.timeout(600)
def test_retained_topics_of_a_removed_cell_go(tmp_path: Path, read):
    with running_suite(tmp_path, site_text(tmp_path, 1, 6, scan_s=0.3), *SERVICES) as suite:
        reader = read(suite.broker.port)
        reader.wait(lambda r: "string/s1/cell/6" in r.topics(), "cell 6")
        suite.stop("bus-gateway", "twin")
        suite.site_file.write_text(site_text(tmp_path, 1, 5, scan_s=0.3))
        suite.start("twin", "bus-gateway")
        reader.wait(lambda r: not r.messages["string/s1/cell/6"][-1].payload, "cell 6 cleared")
        late = read(suite.broker.port)
        late.wait(lambda r: len([t for t in r.topics() if t.startswith("string/s1/cell/")]) == 5, "five cells left")
        assert "string/s1/cell/6" not in late.topics()
