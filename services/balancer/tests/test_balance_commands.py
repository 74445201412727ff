"""`cellkeeper balance` against a real broker, a running balancer and a historian that has a past."""

import asyncio
import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from cellkeeper.cli.main import main
from cellkeeper.cli.site_feed import kept_presence
from cellkeeper.contract.channels import EVENT
from cellkeeper.contract.moment import format_ms, from_ms
from cellkeeper.contract.notices import Event
from cellkeeper.contract.wire import decode
from cellkeeper.runtime.address import BrokerAddress
from cellkeeper.runtime.broker import free_port
from cellkeeper.testing.builders import START_MS, balance_of, scan_of
from cellkeeper.testing.floating_string import floating_string
from cellkeeper.testing.suite import Suite, running_suite, site_text
from historian.stores.embedded.options import EmbeddedOptions
from historian.stores.embedded.store import EmbeddedStore
from historian.stores.port import LivedScan, WriteBatch
from historian.stores.state_rows import balance_row
from paho.mqtt import client as mqtt

CELLS = 8
HOURS = 6
RANGE = ("--since", format_ms(START_MS), "--until", format_ms(START_MS + HOURS * 3_600_000))

type Run = Callable[..., tuple[int, str, str]]


def fill(folder: Path) -> None:
    """Write six hours in which seven units come together and the third does not."""
    store = EmbeddedStore(folder, "hh1", EmbeddedOptions(reserve_bytes=0))
    scans, states = [], []
    for minute in range(HOURS * 60):
        at_ms = START_MS + minute * 60_000
        off_v = 0.01 * (np.arange(CELLS) - 3.5) * 0.5 ** (minute / 60.0)
        off_v[2] = 0.05
        bleed = np.where(off_v > 0.001, 0.5, 0.0)
        scans.append(
            LivedScan(scan_of(CELLS, minute + 1, measured_ms=at_ms, cell_v=2.25 + off_v.round(4), bleed_frac=bleed))
        )
        columns = {
            "duty_frac": bleed.tolist(),
            "moved_ah": [minute / 600.0] * CELLS,
            "heat_wh": [minute / 300.0] * CELLS,
            "leak_a": [None, None, 0.02] + [None] * (CELLS - 3),
            "reason": ["bleeding", "even", "leak"] + ["bleeding"] * (CELLS - 3),
        }
        whole = minute in {0, HOURS * 60 - 1}
        state = balance_of(
            at_ms, spread_v=float(np.ptp(off_v)), began_at=from_ms(START_MS), is_milestone=whole, **columns
        )
        states.append(balance_row(state))
    store.write(WriteBatch(scans=scans, states=states))
    while store.upkeep().more:
        pass
    store.close()


class LogBook:
    """Remembers the events of the site."""

    def __init__(self, link: mqtt.Client) -> None:
        self.events: list[Event] = []
        link.on_message = lambda *told: self.events.append(decode(Event, told[2].payload))
        link.subscribe(EVENT.filter(site="hh1"), 1)

    def said(self, kind: str) -> list[str]:
        return [event.text for event in self.events if event.kind == kind]


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    folder = tmp_path_factory.mktemp("balance")
    (folder / "state" / "historian").mkdir(parents=True)
    fill(folder / "state" / "historian" / "history")
    with running_suite(folder, site_text(folder, 2, CELLS), "balancer", "historian") as running:
        wait_until_ready(running)
        yield running


def wait_until_ready(suite: Suite) -> None:
    def both() -> bool:
        told = asyncio.run(kept_presence(BrokerAddress("127.0.0.1", suite.broker.port), "hh1", 0.5)) or {}
        there = {name for name, presence in told.items() if presence.state in {"ready", "degraded"}}
        return {"hh1/balancer", "hh1/historian"} <= there and answers(suite)

    suite.wait_until(both, "balancer and historian are there")


def answers(suite: Suite) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{suite.http_port}/readyz", timeout=5.0).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def book(suite: Suite) -> Iterator[LogBook]:
    """What is told while a string floats."""
    with floating_string(suite.broker.port, CELLS) as link:
        yield LogBook(link)


@pytest.fixture
def run(suite: Suite, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("CELLKEEPER_SITE_FILE", str(suite.site_file))
    monkeypatch.setenv("CELLKEEPER_MQTT_PORT", str(suite.broker.port))
    monkeypatch.delenv("CELLKEEPER_CLOCK", raising=False)

    def command(*words: str) -> tuple[int, str, str]:
        code = main(["balance", *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return command


def until(suite: Suite, run: Run, words: tuple[str, ...], holds: Callable[[str], bool], what: str) -> str:
    found: list[str] = []

    def asked() -> bool:
        found.append(run(*words)[1])
        return holds(found[-1])

    suite.wait_until(asked, what)
    return found[-1]


def test_the_status_tells_each_string_and_fails_for_one_of_which_nobody_speaks(suite: Suite, book: LogBook, run: Run):
    shown = until(suite, run, ("status",), lambda out: f"/{CELLS}" in out, "a state of s1")
    assert "s2" in shown
    assert "silent" in shown
    code, _, err = run("status")
    assert code == 1
    assert "nobody speaks of s2" in err


def test_a_pause_is_seen_and_resumed(suite: Suite, book: LogBook, run: Run):
    code, out, _ = run("pause", "s1", "--for", "8h", "--reason", "acceptance test of the room")
    assert (code, "pauses until" in out) == (0, True)
    until(suite, run, ("status",), lambda out: "s1: nothing is bled: paused until" in out, "the pause in the status")
    assert run("resume", "s1")[0] == 0
    until(suite, run, ("status",), lambda out: "paused" not in out, "no pause any more")
    suite.wait_until(lambda: len(book.said("balance.asked")) >= 2, "both in the log book")
    assert any("acceptance test of the room" in text for text in book.said("balance.asked"))


def test_forced_bleeds_and_new_batteries_are_taken(suite: Suite, book: LogBook, run: Run):
    code, out, _ = run("force", "s1", "--cell", "2", "--cell", "5", "--duty", "0.4", "--for", "30min")
    assert (code, "cells 2, 5 of s1 bleed with 0.4" in out) == (0, True)
    code, out, _ = run("new-battery", "s1", "--cell", "7", "--for", "2w")
    assert (code, "cells 7 of s1 are left alone until" in out) == (0, True)
    code, out, _ = run("new-battery", "s1", "--until", "2001-01-01T00:00:00Z")
    assert code == 2
    suite.wait_until(lambda: any("cells 2, 5 of s1" in text for text in book.said("balance.asked")), "an event")


def test_what_the_balancer_refuses_is_a_failure(run: Run, book: LogBook):
    code, _, err = run("pause", "s1", "--for", "60w", "--reason", "too long")
    assert code == 1
    assert "refused (out_of_range)" in err


@pytest.mark.parametrize(
    "words",
    [
        ("pause", "s1", "--reason", "neither"),
        ("pause", "s1", "--for", "8h", "--until", "2030-01-01", "--reason", "both"),
        ("pause", "s1", "--for", "8 hours", "--reason", "unreadable"),
        ("pause", "s1", "--for", "8h"),
        ("pause", "s9", "--for", "8h", "--reason", "unknown"),
        ("force", "s1"),
        ("force", "s1", "--cell", "9"),
        ("force", "s1", "--cell", "1", "--for", "5h"),
        ("force", "s1", "--cell", "1", "--duty", "50"),
        ("report", "s9"),
        ("report", "s1", "--out", "report.pdf"),
        ("report", "s1", "--since", "yesterday"),
        ("report", "s1", "--since", "2026-01-02", "--until", "2026-01-01"),
    ],
)
def test_wrong_use_is_told(run: Run, words: tuple[str, ...]):
    code, _, err = run(*words)
    assert code == 2
    assert "Error" in err


def test_a_report_of_the_past_with_its_files(suite: Suite, run: Run, tmp_path: Path):
    url = f"http://127.0.0.1:{suite.http_port}"
    outs = [str(tmp_path / f"s1{suffix}") for suffix in (".svg", ".png", ".csv")]
    named = [word for out in outs for word in ("--out", out)]
    code, out, err = run("report", "s1", *RANGE, "--url", url, *named)
    assert code == 0, err
    assert "spread 85.0 mV before, 50.6 mV after" in out
    assert "cell 3 does not converge" in out
    assert "inferred leaks above the median unit: #3 20.0 mA" in out
    assert "Gini 0.00" in out
    rows = list(csv.DictReader((tmp_path / "s1.csv").read_text("utf-8").splitlines()))
    assert [row["does_not_converge"] for row in rows] == ["no", "no", "yes", *["no"] * 5]
    assert {row["moved_ah"] for row in rows} == {"0.5983"}
    assert rows[2]["duty_frac"] == "0.5000"
    assert all((tmp_path / f"s1{suffix}").stat().st_size > 10_000 for suffix in (".svg", ".png"))


def test_a_report_without_history_or_historian_says_so(suite: Suite, run: Run):
    url = f"http://127.0.0.1:{suite.http_port}"
    empty = ("--since", "2020-01-01", "--until", "2020-02-01")
    code, _, err = run("report", "s1", *empty, "--url", url)
    assert (code, "nothing was told of balancing of s1" in err) == (1, True)
    code, _, err = run("report", "s2", *empty, "--url", url)
    assert (code, "has no history of s2" in err) == (1, True)
    code, _, err = run("report", "s1", *empty, "--url", f"http://127.0.0.1:{free_port()}")
    assert (code, "no historian answers" in err) == (1, True)


def test_without_a_broker_commands_say_so(run: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CELLKEEPER_MQTT_PORT", str(free_port()))
    for words in (("status",), ("resume", "s1")):
        code, _, err = run(*words)
        assert (code, "no broker on" in err) == (1, True)


def test_without_a_balancer_a_wish_says_so(suite: Suite, run: Run, book: LogBook):
    suite.kill("balancer")
    try:
        suite.wait_until(lambda: run("resume", "s1")[0] == 1, "the last will")
        assert "no balancer runs" in run("resume", "s1")[2]
    finally:
        suite.start("balancer")
        wait_until_ready(suite)
