"""Balancing with real processes: it begins by itself, is seen in the modules, and ends when any part of it is gone.

All processes share one clock, ten times as fast; lithium cells, whose last charging phase needs no hour of rest first.
"""

import time
from pathlib import Path
from uuid import uuid4

import pytest
from cellkeeper.contract.moment import format_ms
from cellkeeper.runtime.clock import ScaledClock
from cellkeeper.testing.suite import Suite, running_suite, site_text

SPEED = 10.0
SCAN_S = 2.0
CELLS = 8
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


def until_nothing_bleeds(reader, clock: ScaledClock, suite: Suite, within_s: float) -> None:
    """Wait until a scan shows no bleed; it has to be there within so many event seconds and one scan."""
    begin_s = clock.monotonic_s()
    reader.wait(lambda r: newest_duties(r) and sum(newest_duties(r)) == 0.0, "the end of the bleed")
    # The machine of a test may be slow; what a module did is in its own clock, which is this one.
    assert clock.monotonic_s() - begin_s < within_s + 3 * SCAN_S + 5.0 * SPEED, suite.last_words()


@pytest.mark.timeout(600)
def test_a_string_is_balanced_and_the_end_of_any_process_ends_it(tmp_path: Path, read):
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
        until_nothing_bleeds(reader, clock, suite, 60.0)

        suite.start("balancer")
        until_it_bleeds(reader)

        suite.tell("twin", "outage", "--seconds", "120")
        reader.wait(lambda r: r.last("string/s1/balance")["inhibit"] == "phase", "the outage forbids")
        until_nothing_bleeds(reader, clock, suite, 20.0)


@pytest.mark.timeout(600)
def test_wishes_of_people_are_kept_and_written_down(tmp_path: Path, read):
    clock = scaled()
    with running_suite(tmp_path, lithium_site(tmp_path), *SERVICES, clock=str(clock)) as suite:
        reader = read(suite.broker.port)
        until_it_bleeds(reader)
        until = format_ms(clock.now_ms() + 36_000_000)
        outcome = ask(reader, clock, "pause", string="s1", reason="a test on Saturday", until=until)
        assert outcome["kind"] == "applied"
        reader.wait(lambda r: r.last("string/s1/balance")["inhibit"] == "paused", "the pause")
        until_nothing_bleeds(reader, clock, suite, 20.0)
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
