"""The command frame: exit codes, help, and a broken plug-in that costs one line."""

import socket
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

import pytest
import typer
from cellkeeper.cli import frame
from cellkeeper.cli.doctor import broker, clock_finding, presence_findings
from cellkeeper.cli.main import main
from cellkeeper.contract.notices import Presence
from cellkeeper.runtime.broker import free_port
from cellkeeper.runtime.errors import StartRefusedError

EXAMPLE = Path(__file__).parents[3] / "examples" / "site.toml"


def fail() -> None:
    """Fail in words."""
    raise StartRefusedError("port 1 is taken; name another")


def greet(name: str) -> None:
    """Greet somebody."""
    typer.echo(f"hello {name}")


group = typer.Typer(help="Things of a plug-in.")
group.command()(greet)
group.command()(fail)


@pytest.fixture(autouse=True)
def _plug_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("plugged_in")
    module.__dict__.update({"greet": greet, "group": group, "fail": fail, "number": 3})
    monkeypatch.setitem(sys.modules, "plugged_in", module)
    values = {"greet": "greet", "things": "group", "failing": "fail", "number": "number", "absent": "nothing"}
    entries = [EntryPoint(name, f"plugged_in:{value}", frame.COMMANDS_GROUP) for name, value in values.items()]
    entries.append(EntryPoint("lost", "no_such_package_here.main:app", frame.COMMANDS_GROUP))
    monkeypatch.setattr(frame, "entry_points", lambda **_: entries)


def test_a_function_and_a_group_become_commands(capsys: pytest.CaptureFixture[str]):
    assert main(["greet", "you"]) == 0
    assert main(["things", "greet", "me"]) == 0
    assert capsys.readouterr().out.splitlines() == ["hello you", "hello me"]


@pytest.mark.parametrize("arguments", [["failing"], ["things", "fail"]])
def test_what_fails_is_one_line_and_code_1(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    assert main(arguments) == 1
    assert capsys.readouterr().err == "cellkeeper: port 1 is taken; name another\n"


@pytest.mark.parametrize("name", ["absent", "lost", "number"])
def test_a_broken_plug_in_is_one_clear_line(name: str, capsys: pytest.CaptureFixture[str]):
    assert main([name, "--some", "option", "word"]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"cellkeeper: command {name!r} is broken (")
    assert told.count("\n") == 1


def test_a_command_whose_extra_is_left_out_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (entry,) = (each for each in entry_points(group=frame.COMMANDS_GROUP) if each.name == "analyse")
    for module in [name for name in sys.modules if name.startswith("analytics.analyse")]:
        monkeypatch.delitem(sys.modules, module)
    for module in ("pyarrow", "pyarrow.parquet", "pyarrow.compute", "pyarrow.csv"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(frame, "entry_points", lambda **_: [entry])
    assert main(["analyse", "file.csv"]) == 1
    assert "needs pyarrow, which this installation leaves out" in (told := capsys.readouterr().err)
    assert "cellkeeper-analytics[analyse]" in told


def test_help_lists_everything_and_says_what_is_broken(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "160")
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    for name in ("validate", "up", "watch", "doctor", "demo", "greet", "things", "lost"):
        assert name in shown
    assert "NOT USABLE" in shown


@pytest.mark.parametrize("command", ["validate", "up", "watch", "doctor", "demo", "greet", "things"])
def test_every_command_has_help(command: str):
    assert main([command, "--help"]) == 0


@pytest.mark.parametrize(
    "arguments", [["nobody"], ["greet"], ["--wrong"], ["up", "--port", "x"], ["up", "--port", "0"], []]
)
def test_wrong_use_is_code_2(arguments: list[str]):
    assert main(arguments) == 2


def test_validate_says_what_is_good_and_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["validate", str(EXAMPLE)]) == 0
    assert "2 strings with 241 units" in capsys.readouterr().out
    wrong = tmp_path / "site.toml"
    wrong.write_text(EXAMPLE.read_text("utf-8").replace("scan_s = 1.0", "scan_s = 0.0\nspeed = 3"), "utf-8")
    assert main(["validate", str(wrong)]) == 1
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert all(line.startswith(f"{wrong}:") for line in told)


def test_up_refuses_what_cannot_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["up", "--site", str(tmp_path / "none.toml")]) == 1
    assert main(["up", "--site", str(EXAMPLE), "--clock", "noon"]) == 1
    assert "start_ms:speed:origin_s" in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["up", "--site", str(EXAMPLE), "--http-port", port]) == 1
    assert f"port {port}, for health and metrics" in capsys.readouterr().err


def test_doctor_finds_what_is_wrong_and_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    wrong = tmp_path / "site.toml"
    wrong.write_text("[site]\n", "utf-8")
    assert main(["doctor", "--site", str(wrong), "--state", str(tmp_path), "--port", "1"]) == 1
    told = capsys.readouterr().out
    assert f"{wrong}:" in told
    assert "nobody listens at 127.0.0.1:1" in told


@pytest.mark.parametrize(
    ("year", "synced", "verdict"), [(1970, None, "wrong"), (2026, True, "good"), (2026, False, "note")]
)
def test_the_clock_is_judged(year: int, synced: bool | None, verdict: str):
    assert clock_finding(year, synced=synced).verdict == verdict


def test_a_broker_that_was_named_must_answer():
    port = free_port()
    assert [finding.verdict for finding in broker("127.0.0.1", port, asked=True)][-1] == "wrong"
    assert [finding.verdict for finding in broker("127.0.0.1", port, asked=False)][-1] == "note"


def test_doctor_names_services_that_are_gone_or_degraded():
    def said(state: str, why: str = "") -> Presence:
        at = "2026-01-01T00:00:00.000Z"
        return Presence.model_validate({"service": "x", "state": state, "why": why, "at": at, "version": "1"})

    told = {"a/historian": said("degraded", "disk full"), "a/twin": said("gone"), "a/bus-gateway": said("ready")}
    findings = list(presence_findings(told))
    assert [(one.verdict, one.text.partition(";")[0]) for one in findings] == [
        ("wrong", "a/historian is degraded: disk full"),
        ("wrong", "a/twin is gone"),
        ("good", "at work: a/bus-gateway"),
    ]
    assert list(presence_findings({})) == []
    assert [one.verdict for one in presence_findings(None)] == ["wrong"]


def test_ctrl_c_during_the_imports_is_no_traceback(monkeypatch: pytest.MonkeyPatch):
    class Interrupting:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "cellkeeper.cli.frame":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "cellkeeper.cli.frame")
    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])
    assert main(["--help"]) == 130
