"""No SNMP SET and no Modbus write anywhere: no library for it, and no other way out of the house."""

import ast
import re
from pathlib import Path

from cellkeeper.contract import channels

ROOT = Path(__file__).resolve().parents[2]
WRITERS = re.compile(r"snmp|modbus|bacnet|bacpypes|opcua|asyncua|easymib|pyasn1|netconf", re.IGNORECASE)
# Whoever opens a connection or a listener, and to whom. A new name here needs a reason.
NETWORK = {
    "socket": {
        "cellkeeper/runtime/session.py",  # TCP_NODELAY towards the broker
        "cellkeeper/runtime/broker.py",  # looks whether our own broker listens
        "cellkeeper/cli/suite_run.py",  # the same
        "cellkeeper/cli/init.py",  # asks the name of this machine, for the broker's certificate
        "cellkeeper/runtime/tls.py",  # asks our broker why it refuses TLS
        "cellkeeper/testing/real_brokers.py",  # waits until a test's broker listens
        "bus_gateway/line/serial_port.py",  # a module bus behind a serial server
        "historian/api_server.py",  # listens on loopback
        "twin/control.py",  # a UNIX socket for the twin's operator
    },
    "urllib.request": {
        "cellkeeper/testing/suite.py",  # tests ask the historian
        "cellkeeper/testing/influxd.py",  # tests set an InfluxDB up
        "cellkeeper/cli/doctor_site.py",  # asks our services' pages on loopback how they are
        "cellkeeper/cli/support_bundle.py",  # the same, for their metrics
    },
    "httpx": {"cellkeeper/runtime/history_api.py"},  # asks the historian, which is read-only
    "serial": {"bus_gateway/line/serial_port.py"},
    "paho": {"cellkeeper/testing/floating_string.py"},  # a gateway that tests play, on their own broker
}
NETWORK_MODULES = {
    "socket", "serial", "httpx", "urllib.request", "http.client", "telnetlib", "ftplib", "smtplib", "requests",
    "aiohttp", "asyncssh", "paramiko", "aiomqtt", "paho", "websockets", "xmlrpc",
}  # fmt: skip


def sources() -> dict[str, ast.Module]:
    """Every module of the suite by its path below a `src` folder."""
    found = {}
    for part in (ROOT / "libs", ROOT / "services"):
        for path in part.glob("*/src/**/*.py"):
            below_src = path.relative_to(next(parent for parent in path.parents if parent.name == "src"))
            found[below_src.as_posix()] = ast.parse(path.read_text("utf-8"))
    return found


def imports(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_no_library_that_writes_to_a_ups_or_charger_is_installed_or_imported():
    locked = re.findall(r"^([A-Za-z0-9_.-]+)==", (ROOT / "requirements.lock").read_text("utf-8"), re.MULTILINE)
    assert len(locked) > 20
    assert [name for name in locked if WRITERS.search(name)] == []
    for project in ROOT.glob("*/*/pyproject.toml"):
        assert not WRITERS.search(project.read_text("utf-8")), project
    found = sources()
    assert len(found) > 100
    assert {path for path, tree in found.items() if any(WRITERS.search(name) for name in imports(tree))} == set()


def test_only_known_files_reach_the_network():
    seen: dict[str, set[str]] = {}
    for path, tree in sources().items():
        for name in imports(tree):
            for module in NETWORK_MODULES:
                if name == module or name.startswith(module + "."):
                    seen.setdefault(module, set()).add(path)
    unknown = {module: paths - NETWORK.get(module, set()) for module, paths in seen.items()}
    assert {module: paths for module, paths in unknown.items() if paths} == {}


def test_no_file_opens_a_stream_or_datagram_beside_a_library():
    openers = {"open_connection", "create_connection", "create_datagram_endpoint", "sendto"}
    calls = {
        (path, node.func.attr)
        for path, tree in sources().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in openers
    }
    beside = {(path, opens) for path, opens in calls if path not in NETWORK["socket"]}
    assert beside == {("cellkeeper/runtime/broker_link.py", "create_connection")}  # to the broker


def test_no_command_topic_is_retained_and_no_other_topic_asks():
    asking = [channel for channel in channels.CHANNELS if "command" in channel.template]
    assert [channel.template for channel in asking] == [channels.COMMAND.template]
    assert not channels.COMMAND.retain
