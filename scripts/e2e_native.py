"""Checks of `make e2e-systemd`: what a person does on a site without Docker, as docs/deploy.md says it."""

import re
import shlex
import shutil
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from e2e_machine import CELLKEEPER, PYTHON, SERVICES, Machine, lost
from e2e_stack import ROOT, require, until

sys.path.append(str(ROOT / "tests"))
from stack.bundles import next_version

BUNDLES = "/root/bundle"
SITE = "/etc/cellkeeper"
GOOD, BROKEN = "0.1.1", "0.1.2"  # this version under a later name, and one that cannot start
UPGRADE_WAIT_S, BROKEN_WAIT_S = 120, 20
UPGRADED, WENT_BACK = 0, 3
NEAR_END = timedelta(days=10)
LIMIT_S = 600.0
SECOND = "/etc/systemd/system/cellkeeper-bus-gateway-2.service"
TWIN = f"""\
[Unit]
Description=The battery-room twin in the place of hardware
[Service]
ExecStart={PYTHON} -m twin
Environment=CELLKEEPER_SITE_FILE={SITE}/site.toml CELLKEEPER_STATE_DIR=/var/lib/e2e-twin PYTHONDONTWRITEBYTECODE=1
StateDirectory=e2e-twin
DynamicUser=yes
Restart=always
[Install]
WantedBy=multi-user.target
"""
# as the package of InfluxDB 2 has it, whose start script waits for the server's page with curl
INFLUXDB = """\
[Unit]
Description=InfluxDB
After=network-online.target
[Service]
User=influxdb
Group=influxdb
LimitNOFILE=65536
Environment=INFLUXD_BOLT_PATH=/var/lib/influxdb/influxd.bolt INFLUXD_ENGINE_PATH=/var/lib/influxdb/engine
Environment=INFLUXD_SQLITE_PATH=/var/lib/influxdb/influxd.sqlite INFLUXD_HTTP_BIND_ADDRESS=127.0.0.1:8086
Environment=INFLUXD_REPORTING_DISABLED=true
ExecStart=/bin/false
Type=forking
PIDFile=/var/lib/influxdb/influxd.pid
StateDirectory=influxdb
Restart=on-failure
[Install]
WantedBy=multi-user.target
"""


def check_install(machine: Machine, bundle: Path) -> str:
    """Boot a machine that reaches nothing, and install from the bundle."""
    folder = machine.unpack(bundle, BUNDLES)
    boot_s = machine.power_on()
    devices = machine.do("ls", "/sys/class/net").split()
    require(devices == ["lo"], f"the machine has a network: {devices}")
    begun_s = time.monotonic()
    told = machine.shell(f"umask 077; {folder}/install.sh --system 2>&1", timeout_s=LIMIT_S)
    seconds = time.monotonic() - begun_s
    next_line = told.strip().splitlines()[-1]
    require(next_line == f"next: {CELLKEEPER} init {SITE}, then systemctl enable --now cellkeeper.target", told[-500:])
    machine.do("udevadm", "verify", "/etc/udev/rules.d/99-cellkeeper-serial.rules")
    return f"booted in {boot_s:.1f} s, installed in {seconds:.0f} s without network"


def check_start(machine: Machine) -> str:
    """Make the site's folder and start everything, with the twin as the device."""
    machine.put(
        "/root/site.toml", (ROOT / "deploy/demo/site.toml").read_text("utf-8").replace("//twin:", "//127.0.0.1:")
    )
    machine.put("/etc/systemd/system/e2e-twin.service", TWIN)
    machine.shell("systemctl disable --now mosquitto")
    # whoever waits for the network after a boot waits in vain here, and longer than a boot may take
    machine.shell("systemctl enable systemd-networkd systemd-networkd-wait-online")
    machine.shell(f"umask 077; {CELLKEEPER} init {SITE} --site /root/site.toml")
    machine.shell("systemctl enable --now e2e-twin")
    begun_s = time.monotonic()
    machine.shell("systemctl enable --now cellkeeper.target")
    machine.wait_until_well()
    ready_s = time.monotonic() - begun_s
    machine.wait_for_data()
    return f"all ready {ready_s:.0f} s after `enable --now`, stored data after {time.monotonic() - begun_s:.0f} s"


def check_doctor(machine: Machine) -> str:
    """Ask the doctor, systemd and the journal whether all is well."""
    settings = f"set -a; . {SITE}/secrets/cli/env; CELLKEEPER_STATE_DIR=/var/lib/cellkeeper; set +a"
    told = machine.shell(f"{settings}; {CELLKEEPER} doctor --backups /var/backups/cellkeeper 2>&1 || true")
    require("nothing is wrong here" in told, f"the doctor says:\n{told}")
    notes = [line.split(maxsplit=2)[1] for line in told.splitlines() if line.startswith("note")]
    failed = machine.do("systemctl", "list-units", "--failed", "--plain", "--no-legend").strip()
    require(not failed, f"units have failed: {failed}")
    counts = {}
    for name in SERVICES:
        lines = machine.do("journalctl", "--no-pager", "--output=cat", f"--identifier=cellkeeper-{name}").splitlines()
        wrong = [line for line in lines if re.search(r"Traceback|Permission denied|Operation not permitted", line)]
        require(lines and not wrong, f"the journal of {name} has {len(lines)} lines, among them {wrong[:3]}")
        counts[name] = len(lines)
    boots = len(machine.do("journalctl", "--list-boots", "--no-pager", "--quiet").splitlines()) - 1
    lines = ", ".join(f"{name} {count}" for name, count in counts.items())
    noted = ", ".join(notes) or "none"
    return f"nothing is wrong (notes: {noted}), no failed unit; journal of {boots} boots: {lines} lines"


def _near_its_end(machine: Machine) -> None:
    """Give the broker a certificate that ends in days, signed by the site's own authority."""
    folder = machine.disk / SITE.lstrip("/")
    file = folder / "broker/broker.crt"
    old = x509.load_pem_x509_certificate(file.read_bytes())
    key = serialization.load_pem_private_key((folder / "ca/services-0.key").read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    now = datetime.now(UTC)
    maker = x509.CertificateBuilder(old.issuer, old.subject, old.public_key(), x509.random_serial_number())
    maker = maker.not_valid_before(now - timedelta(days=80)).not_valid_after(now + NEAR_END)
    for each in old.extensions:
        maker = maker.add_extension(each.value, each.critical)
    file.write_bytes(maker.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


def _shown_by_broker(machine: Machine) -> int:
    """Return the serial number of the certificate that the broker shows a reader now."""
    code = "import ssl; print(ssl.get_server_certificate(('127.0.0.1', 8884), timeout=5))"
    return x509.load_pem_x509_certificate(machine.do(PYTHON, "-c", code).encode("ascii")).serial_number


def check_certificates(machine: Machine) -> str:
    """Let the daily unit find a certificate near its end: the broker shows the new one without a restart."""
    _near_its_end(machine)
    machine.do("systemctl", "restart", "cellkeeper-broker.service")
    machine.wait_until_well()
    before, process = _shown_by_broker(machine), machine.pid_of("broker")
    machine.do("systemctl", "start", "cellkeeper-certificates.service")
    until("the renewed certificate", 30.0, lambda: True if _shown_by_broker(machine) != before else None)
    require(machine.pid_of("broker") == process, "the broker was restarted for it")
    machine.wait_until_well()
    machine.wait_for_data()
    return f"one of {NEAR_END.days} days left was renewed and is shown by the same process; data went on"


def check_backup(machine: Machine) -> str:
    """Let the nightly unit make a backup; check it."""
    machine.do("systemctl", "start", "cellkeeper-backup.service", timeout_s=LIMIT_S)
    told = machine.do(CELLKEEPER, "restore", "/var/backups/cellkeeper").strip().splitlines()
    timers = machine.do("systemctl", "list-timers", "--all", "--no-pager", "cellkeeper-*")
    require(timers.count("cellkeeper-") >= 4, f"not both timers wait: {timers}")
    return f"{told[0]}; both timers wait"


def _version(machine: Machine) -> str:
    return machine.do(PYTHON, "-c", "import importlib.metadata as m; print(m.version('cellkeeper'))").strip()


def _upgrade(machine: Machine, number: str, spoil: dict[str, bytes], wait_s: int) -> tuple[int, str]:
    """Upgrade to a bundle of another number; return exit code and words."""
    source = next((machine.disk / BUNDLES.lstrip("/")).iterdir())
    folder = f"/root/{number}"
    next_version(source, machine.disk / folder.lstrip("/"), number, spoil)
    line = f"UPGRADE_WAIT_S={wait_s} {folder}/upgrade.sh --system 2>&1; echo $?"
    told = machine.shell(f"set +e; {line}", timeout_s=LIMIT_S).strip()
    shutil.rmtree(machine.disk / folder.lstrip("/"))
    words, _, code = told.rpartition("\n")
    return int(code), words


def check_upgrade(machine: Machine) -> str:
    """Upgrade to a later version, then to one that cannot start: it goes back by itself."""
    before = _version(machine)
    processes = {name: machine.pid_of(name) for name in SERVICES}
    code, told = _upgrade(machine, GOOD, {}, UPGRADE_WAIT_S)
    require(code == UPGRADED and _version(machine) == GOOD, f"upgrade to {GOOD}: {code}, {told[-700:]}")
    require("8420 8421 8422 8423" in told, f"not every service was watched: {told[-300:]}")
    machine.wait_for_data()
    old = [name for name, process in processes.items() if machine.pid_of(name) == process]
    require(not old, f"after the upgrade the old processes of {old} still run")
    machine.put(SECOND, "[Service]\nExecStart=/bin/true\n")  # somebody's own, as for a second gateway
    files = _files_of_site(machine)
    broken = {"historian/main.py": b'raise SystemExit("this version is broken on purpose")\n'}
    code, told = _upgrade(machine, BROKEN, broken, BROKEN_WAIT_S)
    require(code == WENT_BACK, f"upgrade to a broken version: {code}, {told[-700:]}")
    require((_version(machine), _files_of_site(machine)) == (GOOD, files), "version or site are not as they were")
    require((machine.disk / SECOND.lstrip("/")).exists(), "the way back removed somebody's own unit")
    machine.wait_until_well()
    machine.wait_for_data()
    until("every scan stored", 20.0, lambda: None if lost(machine.rows()) else True)
    return f"{before} to {GOOD}; to a broken one and back to {GOOD} by itself; every scan of every stream is stored"


def _files_of_site(machine: Machine) -> str:
    return machine.shell(
        f"cd {SITE} && find . -type f -exec stat -c '%n %a %u %g' {{}} + -exec sha256sum {{}} + | sort"
    )


def check_influxdb(machine: Machine, influxd: Path) -> str:
    """Let an InfluxDB of this machine take history, run and watched by systemd with the drop-in."""
    if not influxd.is_file():
        return "not seen: scripts/real-servers has built no InfluxDB here"
    shutil.copy(influxd, machine.disk / "usr/bin/influxd")
    machine.put("/usr/lib/sysusers.d/influxdb.conf", "u influxdb - InfluxDB /var/lib/influxdb\n")
    machine.put("/usr/lib/systemd/system/influxdb.service", INFLUXDB)
    machine.shell(
        "systemd-sysusers; cp -r /opt/cellkeeper/share/deploy/systemd/influxdb.service.d /etc/systemd/system/"
    )
    machine.shell("systemctl daemon-reload; systemctl enable --now influxdb")
    tokens = f"{SITE}/secrets/historian/influx.token"
    words = [CELLKEEPER, "provision", "--tokens", f"{SITE}/secrets/provision", "--historian-token", tokens]
    words += ["--reader-token", f"{SITE}/secrets/grafana/reader.token"]
    health = f"{PYTHON} -c \"import urllib.request as r; r.urlopen('http://127.0.0.1:8086/health')\" 2>/dev/null"
    machine.shell(f"for i in $(seq 60); do {health} && break; sleep 1; done; {shlex.join(words)}", timeout_s=LIMIT_S)
    machine.put(f"{SITE}/historian.env", f"CELLKEEPER_STORE=influx\nCELLKEEPER_INFLUX_TOKEN_FILE={tokens}\n")
    machine.do("systemctl", "restart", "cellkeeper-historian")
    machine.wait_until_well()
    machine.wait_for_data()
    begun_s = time.monotonic()
    machine.do("systemctl", "kill", "--signal=KILL", "influxdb")
    until("InfluxDB again", 60.0, lambda: machine.property_of("ActiveState", "influxdb") == "active" or None)
    machine.wait_until_well()
    machine.wait_for_data()
    back_s = time.monotonic() - begun_s
    until("every scan stored", 30.0, lambda: None if lost(machine.rows(), from_the_first=False) else True)
    begun_s = time.monotonic()
    machine.do("systemctl", "stop", "influxdb")
    require(machine.property_of("Result", "influxdb") == "success", "InfluxDB did not end in order")
    stop_s = time.monotonic() - begun_s
    return f"data again {back_s:.0f} s after it was killed, every scan stored; ends in order in {stop_s:.1f} s"
