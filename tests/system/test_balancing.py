"""Balancing with real processes: it begins by itself, is seen in the modules, and ends when any part of it is gone.

All processes share one clock, ten times as fast; lithium cells, whose last charging phase needs no hour of rest first.
"""

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import pytest
from cellkeeper.contract.moment import format_ms, to_ms
from cellkeeper.runtime.clock import ScaledClock
from cellkeeper.testing.suite import Suite, running_suite, site_text

SPEED = 10.0
SCAN_S = 2.0
CELLS = 8
ON_BATTERY_A = 5.0
SERVICES = ("twin", "historian", "bus-gateway", "balancer")
BALANCE = """
[string.balance]
permitted_by = "test room, paper 1"
enter_v = 3.37
leave_v = 3.34
bleed_above_v = 3.36
"""


def scaled() -> ScaledClock:
    return ScaledClock(int(time.time() * 1000), SPEED, time.monotonic())


def lithium_site(folder: Path) -> str:
    text = site_text(folder, 1, CELLS, scan_s=SCAN_S).replace('"vrla_agm"', '"lfp"')
    return text.replace("rated_ah = 100.0\n", f"rated_ah = 100.0\n{BALANCE}")


def newest_duties(reader) -> list[float]:
    return [each or 0.0 for each in (reader.last("string/s1/scan") or {"bleed_frac": []})["bleed_frac"]]


def until_it_bleeds(reader) -> None:
    reader.wait(lambda r: sum(newest_duties(r)) > 0.0, "a bleed in a scan")


def first_scan(reader, fits: Callable[[dict], bool], what: str) -> int:
    """Return when the first such scan was taken, in ms of event time; however late it is seen here."""

    def found(seen) -> int | None:
        return next((measured_ms(scan) for scan in seen.bodies("string/s1/scan") if fits(scan)), None)

    reader.wait(found, what)
    return found(reader)


def measured_ms(scan: dict) -> int:
    return to_ms(datetime.fromisoformat(scan["measured_at"]))


def assert_it_ends(reader, suite: Suite, since_ms: int, within_s: float) -> None:
    """Require a scan without any bleed so many event seconds after `since_ms`, and one scan."""

    def is_quiet(scan: dict) -> bool:
        return measured_ms(scan) >= since_ms and all(duty == 0.0 for duty in scan["bleed_frac"])

    at_ms = first_scan(reader, is_quiet, "the end of the bleed")
    # The machine of a test may be slow; what a module did is in its own clock, which is this one.
    assert at_ms - since_ms < (within_s + 3 * SCAN_S + 5.0 * SPEED) * 1000.0, suite.last_words()


@pytest.mark.timeout(600)
def test_a_string_is_balanced_until_its_balancer_dies_or_the_grid_fails(tmp_path: Path, read):
    clock = scaled()
    with running_suite(tmp_path, lithium_site(tmp_path), *SERVICES, clock=str(clock)) as suite:
        reader = read(suite.broker.port)
        reader.wait(lambda r: r.last("string/s1/balance"), "a balance state")
        assert reader.last("string/s1/balance")["duty_frac"] == [0.0] * CELLS, (
            "nothing is bled before the phase is known"
        )

        until_it_bleeds(reader)
        state = reader.last("string/s1/balance")
        assert (state["phase"], state["inhibit"], state["strategy"]) == ("final", "", "top")
        lowest = reader.last("string/s1/scan")["cell_v"]
        assert newest_duties(reader)[lowest.index(min(lowest))] == 0.0, "the lowest cell is never bled"
        outcomes = reader.bodies("outcome/bus-gateway/balancer")
        assert outcomes
        assert {each["outcome"]["kind"] for each in outcomes} == {"applied"}

        suite.kill("balancer")
        assert_it_ends(reader, suite, clock.now_ms(), 60.0)

        suite.start("balancer")
        until_it_bleeds(reader)

        before_ms = clock.now_ms()
        suite.tell("twin", "outage", "--seconds", "600")
        began_ms = first_scan(
            reader, lambda scan: measured_ms(scan) > before_ms and scan["current_a"] < -ON_BATTERY_A, "the outage"
        )
        assert_it_ends(reader, suite, began_ms, 20.0)
        reader.wait(lambda r: r.last("string/s1/balance")["inhibit"] == "phase", "the outage forbids")


@pytest.mark.timeout(600)
def test_wishes_of_people_are_kept_and_written_down(tmp_path: Path, read):
    clock = scaled()
    with running_suite(tmp_path, lithium_site(tmp_path), *SERVICES, clock=str(clock)) as suite:
        reader = read(suite.broker.port)
        until_it_bleeds(reader)
        until = format_ms(clock.now_ms() + 36_000_000)
        asked_ms = clock.now_ms()
        outcome = ask(reader, clock, "pause", string="s1", reason="a test on Saturday", until=until)
        assert outcome["kind"] == "applied"
        reader.wait(lambda r: r.last("string/s1/balance")["inhibit"] == "paused", "the pause")
        assert_it_ends(reader, suite, asked_ms, 20.0)
        assert (
            ask(reader, clock, "pause", string="s9", reason="no such string", until=until)["reason"] == "unknown_target"
        )
        suite.stop("balancer")
        suite.start("balancer")
        count = len(reader.bodies("string/s1/balance"))
        reader.wait(lambda r: len(r.bodies("string/s1/balance")) > count, "a state after the restart")
        assert reader.last("string/s1/balance")["inhibit"] == "paused", "a restart ends no pause"
        assert ask(reader, clock, "resume", string="s1")["kind"] == "applied"
        until_it_bleeds(reader)
        asked = [event for event in reader.bodies("event/balancer") if event["kind"] == "balance.asked"]
        assert [event["data"]["by"] for event in asked] == ["tester", "tester"]
        assert "a test on Saturday" in asked[0]["text"]


def ask(reader, clock: ScaledClock, name: str, **fields) -> dict:
    """Send a command to the balancer and return its outcome."""
    body = {"v": 1, "id": str(uuid4()), "expires_at": format_ms(clock.now_ms() + 1_800_000), **fields}
    reader.publish(f"command/balancer/{name}/tester", body)

    def mine(seen):
        return next((each for each in seen.bodies("outcome/balancer/tester") if each["id"] == body["id"]), None)

    reader.wait(mine, f"the outcome of {name}")
    return mine(reader)["outcome"]
