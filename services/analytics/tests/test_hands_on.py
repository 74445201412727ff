"""`cellkeeper test` and `cellkeeper cells` against a real broker and running analytics, as a person types them."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from analytics.ledger import CellLedger, Described, Seat
from analytics.ledger_file import FILE, write_ledger
from cellkeeper.cli.main import main
from cellkeeper.cli.site_feed import kept_presence
from cellkeeper.contract.channels import MODULE
from cellkeeper.contract.moment import from_ms
from cellkeeper.contract.telemetry import ModuleState
from cellkeeper.contract.wire import encode
from cellkeeper.runtime.address import BrokerAddress
from cellkeeper.runtime.clock import SystemClock
from cellkeeper.testing.floating_string import floating_string
from cellkeeper.testing.suite import Suite, running_suite, site_text
from paho.mqtt import client as mqtt

CELLS = 8
NOW_S = 1_795_237_200.0

type Run = Callable[..., tuple[int, str, str]]


def show_module(link: mqtt.Client, serial: str, cell: int) -> None:
    told = ModuleState(
        serial=serial, at=from_ms(SystemClock().now_ms()), type="c44", hardware="1", firmware="1.0.0", bus="b1",
        address=cell, string="s1", cell=cell, led="off", fuse_open=False, disconnected=False, resets=0, silent=False,
    )  # fmt: skip
    link.publish(MODULE.topic(site="hh1", serial=serial), encode(told), qos=1, retain=True)


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    folder = tmp_path_factory.mktemp("hands-on")
    with running_suite(folder, site_text(folder, 1, CELLS), "analytics") as running:

        def is_there() -> bool:
            told = asyncio.run(kept_presence(BrokerAddress("127.0.0.1", running.broker.port), "hh1", 0.5)) or {}
            return "hh1/analytics" in told

        running.wait_until(is_there, "analytics")
        yield running


@pytest.fixture(scope="module")
def gateway(suite: Suite) -> Iterator[mqtt.Client]:
    with floating_string(suite.broker.port, CELLS) as link:
        yield link


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.delenv("CELLKEEPER_CLOCK", raising=False)
    monkeypatch.setenv("COLUMNS", "200")

    def command(*words: str) -> tuple[int, str, str]:
        code = main(list(words))
        said = capsys.readouterr()
        return code, said.out, said.err

    return command


@pytest.fixture
def run(suite: Suite, gateway: mqtt.Client, typed: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("CELLKEEPER_SITE_FILE", str(suite.site_file))
    monkeypatch.setenv("CELLKEEPER_MQTT_PORT", str(suite.broker.port))
    monkeypatch.setenv("CELLKEEPER_STATE_DIR", str(suite.folder / "state"))
    return typed


def until(suite: Suite, run: Run, words: tuple[str, ...], text: str) -> str:
    found: list[str] = []

    def shown() -> bool:
        found.append(run(*words)[1])
        return text in found[-1]

    suite.wait_until(shown, text)
    return found[-1]


def test_a_test_is_announced_seen_and_ended(suite: Suite, run: Run):
    until(suite, run, ("test", "status"), "s1: float")
    code, out, _ = run("test", "start", "s1", "--method", "capacity, 3 h to 1.80 V", "--for", "4h")
    assert (code, "nothing was switched" in out) == (0, True)
    until(suite, run, ("test", "status"), "s1: test, announced as capacity, 3 h to 1.80 V")
    code, _, err = run("test", "start", "s1", "--method", "another", "--for", "4h")
    assert (code, "refused (in_test)" in err) == (1, True)
    assert run("test", "stop", "s1")[0] == 0
    until(suite, run, ("test", "status"), "s1: float")
    code, _, err = run("test", "stop", "s1")
    assert (code, "no test of s1 is announced" in err) == (1, True)


@pytest.mark.parametrize(
    "words",
    [
        ("test", "start", "s9", "--method", "capacity", "--for", "4h"),
        ("test", "start", "s1", "--method", "capacity", "--for", "4"),
        ("test", "start", "s1", "--method", "capacity", "--for", "9d"),
        ("test", "start", "s1", "--method", "x", "--for", "4h"),
        ("cells", "exchange", "s1", "1", "9"),
        ("cells", "exchange", "s1", "1", "2", "--at", "yesterday"),
    ],
)
def test_what_is_typed_wrong_asks_nobody(run: Run, words: tuple[str, ...]):
    assert run(*words)[0] == 2


def test_cells_follow_their_modules_and_a_person_sees_and_corrects_it(suite: Suite, gateway: mqtt.Client, run: Run):
    for cell in range(1, CELLS + 1):
        show_module(gateway, f"M-{cell}00", cell)
    until(suite, run, ("cells", "history", "s1", "2"), "module heard there last: M-200")
    assert "every one of 8 positions has had one cell only" in run("cells", "list")[1]
    show_module(gateway, "M-200", 5)
    show_module(gateway, "M-500", 2)
    shown = until(suite, run, ("cells", "history", "s1", "2"), "at s1 2 now: s1/5/1")
    assert "the addresses of their modules changed places" in shown
    assert "s1/2/1" in run("cells", "history", "s1", "5")[1]
    code, out, err = run("cells", "exchange", "s1", "2", "5")
    assert (code, "changed places" in out) == (0, True), err
    until(suite, run, ("cells", "history", "s1", "2"), "at s1 2 now: s1/2/1")
    listed = run("cells", "list")[1]
    assert "as cli-" in listed
    code, _, err = run("cells", "history", "s1", "99")
    assert (code, "knows no cell 99" in err) == (1, True)


def test_nobody_there_is_told(typed: Run, suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CELLKEEPER_SITE_FILE", str(suite.site_file))
    monkeypatch.setenv("CELLKEEPER_MQTT_PORT", "1")
    code, _, err = typed("test", "stop", "s1")
    assert (code, "no broker" in err) == (1, True)
    code, _, err = typed("cells", "list", "--state", str(tmp_path))
    assert (code, "give the suite's state" in err) == (1, True)


def test_names_and_dates_of_a_replaced_cell_are_shown(typed: Run, tmp_path: Path):
    said = {("s1", cell): Described() for cell in (1, 2)}
    ledger, _ = CellLedger().describe(said, NOW_S)
    ledger, _ = ledger.describe(said | {("s1", 2): Described(2, NOW_S - 86_400.0, "SN 4711")}, NOW_S)
    ledger, _ = ledger.see({"M-100": Seat(("s1", 2), NOW_S)}, NOW_S, is_settled=True)
    (tmp_path / "analytics").mkdir()
    assert write_ledger(tmp_path / "analytics" / FILE, ledger)
    code, out, _ = typed("cells", "history", "s1", "2", "--state", str(tmp_path))
    assert code == 0
    assert "at s1 2 now: SN 4711 (s1/2/2)" in out
    assert out.count("2026-11-20 05:00") >= 2, "the end of one and the begin of the other"
    assert "module heard there last: M-100" in out
    assert "SN 4711 (s1/2/2)" in typed("cells", "list", "--state", str(tmp_path))[1]
