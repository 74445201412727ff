"""Which processes a site needs, the demo's room and clock, and `up` with stand-in services and a real broker."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cellkeeper.cli.demo import demo, make_clock, remember_clock
from cellkeeper.cli.demo_room import DemoSettings, settings_from_environment, site_toml
from cellkeeper.cli.demo_scenario import refuse_unknown_scenario, shipped_scenarios
from cellkeeper.cli.main import main
from cellkeeper.cli.suite_plan import SuiteSettings, http_ports, instances, metrics_pages, service_plans
from cellkeeper.cli.suite_run import is_open
from cellkeeper.contract.site_file import parse_site
from cellkeeper.runtime.broker import free_port
from cellkeeper.runtime.clock import ScaledClock, SystemClock
from cellkeeper.runtime.errors import StartRefusedError
from cellkeeper.runtime.service import only_instance
from cellkeeper.testing.patience import PATIENCE_S, wait_until
from hypothesis import given
from hypothesis import strategies as st

INSTALLED = {"bus-gateway": "bus_gateway.main", "historian": "historian.main", "twin": "twin.main"}


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("DEMO_", "CELLKEEPER_"))]:
        monkeypatch.delenv(name)


def site(**changes: str):
    text = site_toml(DemoSettings(strings=1, cells=4), Path("/ports"))
    for old, new in changes.items():
        text = text.replace(old, new)
    return parse_site(text.encode())


def test_every_gateway_is_a_process_and_the_twin_only_on_request():
    two = parse_site(
        site_toml(DemoSettings(strings=1, cells=4), Path("/p"))
        .replace(
            '[[gateway]]\nservice = "bus-gateway"',
            '[[gateway]]\nservice = "bus-gateway"\n[[gateway]]\nservice = "bus-gateway-2"',
        )
        .encode()
    )
    assert instances(two, INSTALLED, ()) == {
        "historian": "historian",
        "bus-gateway": "bus-gateway",
        "bus-gateway-2": "bus-gateway",
    }
    assert list(instances(two, INSTALLED, ("twin",)))[:2] == ["historian", "twin"]
    with pytest.raises(StartRefusedError, match="there are none"):
        instances(two, {}, ())
    with pytest.raises(StartRefusedError, match="'balancer'"):
        instances(two, INSTALLED, ("balancer",))


def test_each_process_is_told_who_it_is():
    found = instances(site(), INSTALLED, ("twin",))
    ports = http_ports(found, 8421)
    settings = SuiteSettings(Path("/s/site.toml"), Path("/s/state"), "127.0.0.1", 1999, ports, "1:2.0:3.0")
    plans = service_plans(settings, found, INSTALLED)
    told = {plan.name: plan.environment for plan in plans}
    assert {name: each["CELLKEEPER_HTTP_PORT"] for name, each in told.items()} == {
        "historian": "8421",
        "twin": "0",
        "bus-gateway": "8422",
    }
    assert all(each["CELLKEEPER_SERVICE"] == name for name, each in told.items())
    assert all(each["CELLKEEPER_CLOCK"] == "1:2.0:3.0" for each in told.values())
    assert all(each["CELLKEEPER_DIE_WITH_PARENT"] == "1" for each in told.values())
    assert plans[-1].command[1:] == ("-m", "bus_gateway")


def test_pages_follow_the_historians_port_and_leave_out_what_is_taken():
    found = {"bus-gateway": "bus-gateway", "historian": "historian", "twin": "twin", "bus-gateway-2": "bus-gateway"}
    taken = {8420, 8422}
    ports = http_ports(found, 8420, lambda port: next(n for n in range(port, 9000) if n not in taken))
    assert ports == {"historian": 8421, "bus-gateway": 8423, "bus-gateway-2": 8424}
    assert "bus-gateway-2 http://127.0.0.1:8424/metrics" in metrics_pages(ports)


@given(st.integers(1, 64), st.integers(1, 512), st.floats(0.01, 12.0))
def test_every_room_of_the_demo_is_a_good_site(strings: int, cells: int, speed: float):
    settings = DemoSettings(strings=strings, cells=cells, speed=speed)
    described = parse_site(site_toml(settings, Path("/ports")).encode())
    assert [string.cells for string in described.string] == [cells] * strings
    assert max(run.count for string in described.string for run in string.modules) <= 120
    chemistry_of: dict[str, set[str]] = {}
    for string in described.string:
        chemistry_of.setdefault(str(string.dcbus), set()).add(string.chemistry)
    assert all(len(chemistries) == 1 for chemistries in chemistry_of.values())
    assert 1.0 <= described.site.scan_s <= 10.0


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("DEMO_SPEED", "100", "highest speed here is 20"),
        ("DEMO_SPEED", "0", "DEMO_SPEED"),
        ("DEMO_CELLS", "513", "DEMO_CELLS"),
        ("DEMO_STRINGS", "many", "DEMO_STRINGS"),
        ("DEMO_PORT", "70000", "DEMO_PORT"),
    ],
)
def test_what_the_demo_cannot_do_is_refused(name: str, value: str, told: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(StartRefusedError, match=told):
        settings_from_environment()


def test_event_time_goes_on_where_the_last_demo_stopped(tmp_path: Path):
    file = tmp_path / "clock.json"
    assert isinstance(make_clock(file, 1.0), SystemClock)
    ahead = ScaledClock(SystemClock().now_ms() + 3_600_000, 10.0, time.monotonic())
    remember_clock(file, ahead)
    for speed in (1.0, 5.0):
        clock = make_clock(file, speed)
        assert isinstance(clock, ScaledClock)
        assert clock.speed == speed
        assert clock.start_ms > ahead.start_ms
    file.write_text("not json", "utf-8")
    assert isinstance(make_clock(file, 1.0), SystemClock)


def test_a_persons_scenario_is_judged_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    mine = tmp_path / "mine.toml"
    mine.write_text("name = 'mine'\n[[wire]]\nat_s = 1.0\nkind = 'silent'\ncell = 77\n", "utf-8")
    monkeypatch.setenv("DEMO_SCENARIO", str(mine))
    monkeypatch.setenv("DEMO_STRINGS", "1")
    monkeypatch.setenv("DEMO_CELLS", "8")
    monkeypatch.setenv("DEMO_DIR", str(tmp_path / "demo"))
    assert main(["demo"]) == 2
    assert f"{mine}:2: fault silent: string 's1' has no cell 77" in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()


def test_only_a_scenario_that_is_there_is_taken(tmp_path: Path):
    assert {"quiet", "outage"} <= set(shipped_scenarios())
    own = tmp_path / "own.toml"
    own.write_text("", "utf-8")
    for good in (None, "quiet", str(own)):
        refuse_unknown_scenario(good)
    for wrong in ("nonsense", str(tmp_path / "absent.toml")):
        with pytest.raises(StartRefusedError, match="imbalance, outage, quiet, uneven, weak_cell"):
            refuse_unknown_scenario(wrong)


def test_a_second_demo_in_the_same_folder_names_demo_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DEMO_DIR", str(tmp_path))
    with only_instance(tmp_path, "demo"), pytest.raises(StartRefusedError, match=rf"process {os.getpid()}.*DEMO_DIR"):
        demo()


STAND_IN = """
import os, signal, sys, time
from cellkeeper.runtime.service import end_with_parent
signal.signal(signal.SIGTERM, lambda *_: (print("ends", flush=True), sys.exit(0)))
end_with_parent()
print(os.environ["CELLKEEPER_SERVICE"], "runs as", os.getpid(), flush=True)
while True:
    time.sleep(0.1)
"""


@pytest.fixture
def stand_ins(tmp_path: Path) -> dict[str, str]:
    """Install packages that stand in for the services, by entry points of a distribution of their own."""
    for package in ("gatewayish", "historianish"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("")
        (tmp_path / package / "__main__.py").write_text(STAND_IN)
    info = tmp_path / "standins-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: standins\nVersion: 1\n")
    entries = "[cellkeeper.services]\nstand-gateway = gatewayish.main:main\nstand-historian = historianish.main:main\n"
    (info / "entry_points.txt").write_text(entries)
    text = site_toml(DemoSettings(strings=1, cells=4), tmp_path).replace(
        'service = "bus-gateway"', 'service = "stand-gateway"'
    )
    text = text.replace("[[dcbus]]\n", '[[dcbus]]\ngateway = "stand-gateway"\n').replace(
        "[[bus]]\n", '[[bus]]\ngateway = "stand-gateway"\n'
    )
    (tmp_path / "site.toml").write_text(text)
    isolated = "import sys; sys.path.insert(0, sys.argv.pop(1)); " + ONLY_STAND_INS
    (tmp_path / "run.py").write_text(isolated)
    return os.environ | {"PYTHONPATH": str(tmp_path)}


ONLY_STAND_INS = """
from cellkeeper.cli import suite_plan
installed = suite_plan.entry_points
suite_plan.entry_points = lambda **q: [entry for entry in installed(**q) if entry.name.startswith("stand-")]
from cellkeeper.cli.main import main
sys.exit(main())
"""


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_up_runs_a_site_and_leaves_nothing_behind(end: signal.Signals, tmp_path: Path, stand_ins: dict[str, str]):
    port = free_port()
    command = [sys.executable, str(tmp_path / "run.py"), str(tmp_path), "up", "--broker", "--port", str(port)]
    command += ["--site", str(tmp_path / "site.toml"), "--state", str(tmp_path / "state")]
    log = tmp_path / "log"
    with log.open("w") as output, subprocess.Popen(command, env=stand_ins, stdout=output, stderr=output) as process:
        wait_until(lambda: log.read_text().count("runs as") == 2 or process.poll() is not None, "two at work")
        assert process.poll() is None, log.read_text()
        pids = [int(line.split()[-1]) for line in log.read_text().splitlines() if "runs as" in line]
        assert is_open("127.0.0.1", port)
        process.send_signal(end)
        code = process.wait(PATIENCE_S)
    wait_until(lambda: not any(is_running(pid) for pid in pids) and not is_open("127.0.0.1", port), "nobody left")
    assert code == (0 if end is not signal.SIGKILL else -9), log.read_text()
    if end is not signal.SIGKILL:
        assert log.read_text().splitlines()[-1].endswith("stopped")
