"""Units for sites without Docker: as systemd reads them, and as far from everything as the containers are."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from cellkeeper.cli.init import BROKER_UID, SERVICES_UID

UNITS = Path(__file__).parents[2] / "deploy/systemd"
SERVICES = ("broker", "historian", "bus-gateway", "balancer", "analytics")


def lines(name: str) -> list[str]:
    return (UNITS / f"cellkeeper-{name}.service").read_text("utf-8").splitlines()


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_is_locked_down(name: str):
    wanted = {
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "PrivateTmp=yes",
        "MemoryDenyWriteExecute=yes",
    }
    assert wanted <= set(lines(name))
    assert [line for line in lines(name) if re.match(r"User=cellkeeper(-broker)?$", line)]
    assert [line for line in lines(name) if re.match(r"MemoryMax=\d+[MG]$", line)]
    secret = [line for line in lines(name) if line.startswith("BindReadOnlyPaths=")]
    assert secret == [f"BindReadOnlyPaths=/etc/cellkeeper/{'broker' if name == 'broker' else f'secrets/{name}'}"]


def test_services_that_need_this_machine_alone_reach_nothing_else():
    for name in ("historian", "balancer", "analytics"):
        assert {"IPAddressDeny=any", "IPAddressAllow=localhost"} <= set(lines(name))


def test_the_broker_takes_renewed_certificates_on_the_smallest_server_and_starts_without_network():
    assert "ExecReload=/bin/sh -c 'kill -HUP $MAINPID'" in lines("broker"), "/bin/kill is not everywhere"
    assert not [line for line in lines("broker") if "network-online" in line and not line.startswith("#")]
    assert "ExecStartPost=/bin/systemctl try-reload-or-restart cellkeeper-broker.service" in lines("certificates")


def test_devices_are_the_gateways_alone():
    assert "PrivateDevices=yes" in lines("broker")
    assert "PrivateDevices=yes" in lines("historian")
    assert "PrivateDevices=yes" in lines("balancer")
    allowed = [line for line in lines("bus-gateway") if line.startswith("DeviceAllow=")]
    numbers = {"ttyUSB": 188, "ttyACM": 166, "ttyS": 4}  # by name, an adapter whose driver comes late is refused
    assert allowed == [f"DeviceAllow=char-{number} rw" for number in numbers.values()]
    assert "DevicePolicy=closed" in lines("bus-gateway")


def test_a_backup_is_made_every_night_by_a_root_that_may_only_read_and_give_away():
    assert "cellkeeper-backup.timer" in (UNITS / "cellkeeper.target").read_text("utf-8")
    told = lines("backup")
    assert "ExecStart=/opt/cellkeeper/bin/cellkeeper backup /etc/cellkeeper" in told
    assert "CapabilityBoundingSet=CAP_DAC_READ_SEARCH CAP_DAC_OVERRIDE CAP_CHOWN" in told
    assert {"NoNewPrivileges=yes", "PrivateDevices=yes", "IPAddressDeny=any", "IPAddressAllow=localhost"} <= set(told)


def test_an_upgrade_waits_for_the_page_of_every_service():
    pages = [re.search(r"CELLKEEPER_HTTP_PORT=(\d+)", "\n".join(lines(name))) for name in SERVICES]
    upgrade = (UNITS.parent / "bundle/upgrade.sh").read_text("utf-8")
    assert f"${{CELLKEEPER_PAGES:-{' '.join(sorted(page[1] for page in pages if page))}}}" in upgrade


def test_users_are_those_that_init_gives_files_to():
    users = dict(re.findall(r"^u (\S+) (\d+)", (UNITS / "cellkeeper.sysusers").read_text("utf-8"), re.MULTILINE))
    assert users == {"cellkeeper": str(SERVICES_UID), "cellkeeper-broker": str(BROKER_UID)}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not on this machine")
def test_an_influxdb_of_the_distribution_is_watched(tmp_path: Path):
    theirs = (
        "[Service]\nType=forking\nPIDFile=/var/lib/influxdb/influxd.pid\nExecStart=/bin/false\nRestart=on-failure\n"
    )
    (tmp_path / "influxdb.service").write_text(theirs, "utf-8")
    (tmp_path / "influxdb.service.d").mkdir()
    text = (UNITS / "influxdb.service.d/cellkeeper.conf").read_text("utf-8")
    (tmp_path / "influxdb.service.d/cellkeeper.conf").write_text(text, "utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", tmp_path / "influxdb.service"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.strip()) == (0, "")
    started = [line for line in text.splitlines() if line.startswith("ExecStart=")]
    assert started[0] == "ExecStart=", "theirs is replaced"
    assert "deploy/influxdb/watched run /var/lib/influxdb " in started[1]
    assert (UNITS.parent / "influxdb/watched").exists()
    assert "Restart=always" in text.splitlines()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not on this machine")
def test_systemd_understands_every_line(tmp_path: Path):
    for unit in UNITS.glob("cellkeeper*.*"):
        if unit.suffix != ".sysusers":
            text = re.sub(r"/opt/cellkeeper/bin/\w+", "/bin/true", unit.read_text("utf-8"))
            (tmp_path / unit.name).write_text(text, "utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", *tmp_path.iterdir()],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.strip()) == (0, "")
