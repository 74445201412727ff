"""Checks of `make e2e-systemd`: what the units forbid is really forbidden, tried from inside each of them.

A probe runs in the place of each service: its unit, file by file the one that is installed, with another program.
"""

import json
import re
import stat
from pathlib import Path

from e2e_machine import PYTHON, SERVICES, Machine
from e2e_stack import require, run

EXPOSURE_GOALS = {"services": 2.0, "one-shots": 4.0}  # of systemd-analyze security: 0 is nothing, 10 everything
ONE_SHOTS = ("backup", "certificates")
LOCAL_ONLY = ("historian", "balancer", "analytics")
ELSEWHERE = "192.0.2.1"  # kept for documentation; here an address of the machine's own loopback device
USERS = {
    "broker": "1883",
    "historian": "10001",
    "bus-gateway": "10001",
    "balancer": "10001",
    "analytics": "10001",
}
PROBE = """
import ctypes, errno, json, mmap, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
def tried(act):
    try: act()
    except OSError as exc: return errno.errorcode.get(exc.errno, str(exc))
    return "done"
def made(path): os.close(os.open(path, os.O_WRONLY | os.O_CREAT))
def opened(path): os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY))
def called(name, *words):
    if getattr(libc, name)(*words): raise OSError(ctypes.get_errno(), name)
def listed(path):
    try: return sorted(os.listdir(path))
    except OSError as exc: return errno.errorcode[exc.errno]
state = os.environ.get("STATE_DIRECTORY") or os.environ["RUNTIME_DIRECTORY"]
print(json.dumps({
    "written": {path: tried(lambda: made(path + "/probe")) for path in
                ("/etc", "/usr", "/opt/cellkeeper", "/var", "/var/lib", "/etc/cellkeeper", state)},
    "homes": [listed("/root"), listed("/home")],
    "site": {name: listed("/etc/cellkeeper/" + name) for name in ("secrets", "ca", "broker")},
    "init": os.path.exists("/proc/1"), "memory": os.path.exists("/proc/meminfo"),
    "adapter": tried(lambda: opened("/dev/ttyUSB99")), "device": tried(lambda: opened("/dev/cellkeeper-e2e")),
    "namespace": tried(lambda: called("unshare", 0x10000000)),
    "mount": tried(lambda: called("mount", b"/", b"/", None, 4096, None)),
    "code": tried(lambda: mmap.mmap(-1, 4096, prot=7)),
    "packets": tried(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
    "here": tried(lambda: socket.create_connection(("127.0.0.1", 9), 3)),
    "elsewhere": tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"", (sys.argv[1], 9))),
}))
"""
# gives the loopback device a second address
ADDRESS = """
import fcntl, socket, struct, sys
name = struct.pack("16sH2s4s8s", b"lo:1", socket.AF_INET, b"", socket.inet_aton(sys.argv[1]), b"")
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one: fcntl.ioctl(one, 0x8916, name)
"""
HOG = """
import sys
held = bytearray(int(sys.argv[1]))
for at in range(0, len(held), 4096): held[at] = 1
print("held all")
"""


def check_exposure(machine: Machine) -> str:
    """Compare what systemd says of each unit with the goal."""
    told = {}
    for name in (*SERVICES, *ONE_SHOTS):
        text = machine.do("systemd-analyze", "security", "--no-pager", f"cellkeeper-{name}.service")
        found = re.search(r"Overall exposure level for \S+: ([\d.]+)", text)
        require(found, f"systemd-analyze says nothing of {name}")
        assert found is not None
        told[name] = float(found[1])
        goal = EXPOSURE_GOALS["services" if name in SERVICES else "one-shots"]
        require(told[name] <= goal, f"{name} is exposed by {told[name]}, goal {goal}")
    return ", ".join(f"{name} {value}" for name, value in told.items())


def check_processes(machine: Machine) -> str:
    """Look at the processes as they run: user, capabilities, new privileges, filter of system calls."""
    for name in SERVICES:
        status = machine.do("cat", f"/proc/{machine.pid_of(name)}/status")
        facts = dict(re.findall(r"^(\w+):\s+(\S+)", status, re.MULTILINE))
        require(facts["Uid"] == USERS[name], f"{name} runs as user {facts['Uid']}")
        require(int(facts["CapBnd"], 16) == 0, f"{name} may have capabilities {facts['CapBnd']}")
        require((facts["NoNewPrivs"], facts["Seccomp"]) == ("1", "2"), f"{name}: no filter, or new privileges")
    return f"{', '.join(SERVICES)}: users of their own, no capability, no new privileges, filtered system calls"


def check_sandbox(machine: Machine) -> str:
    """Try from inside each unit what it must not be able to do, and what it must."""
    _make_devices(machine)
    machine.do(PYTHON, "-c", ADDRESS, ELSEWHERE)
    machine.put("/usr/local/lib/cellkeeper-e2e/probe.py", PROBE)
    for name in SERVICES:
        _judge(name, json.loads(_from_inside(machine, name, f"/usr/local/lib/cellkeeper-e2e/probe.py {ELSEWHERE}")))
    out = "the system, others' secrets, processes, devices and addresses are out of reach"
    return f"from inside {', '.join(SERVICES)}: {out}"


def check_limits(machine: Machine) -> str:
    """Take more memory than a unit allows."""
    there = machine.do("cat", "/sys/fs/cgroup/cgroup.controllers").split()
    if "memory" not in there:
        return (
            "not seen: the memory controller of this machine's kernel belongs to cgroup v1, out of a container's reach"
        )
    machine.put("/usr/local/lib/cellkeeper-e2e/hog.py", HOG)
    most = int(machine.property_of("MemoryMax", "cellkeeper-balancer.service"))
    told = _from_inside(machine, "balancer", f"/usr/local/lib/cellkeeper-e2e/hog.py {most + 2**26}", may_fail=True)
    require("held all" not in told, f"a balancer may take {most + 2**26} bytes")
    return f"a balancer that takes more than {most // 2**20} MiB is ended"


def _make_devices(machine: Machine) -> None:
    """Make a serial adapter and memory, open to everybody, so that only the units forbid them."""
    devices = {"ttyUSB99": (188, 99), "cellkeeper-e2e": (1, 1)}
    for name, (major, minor) in devices.items():
        run("mknod", "--mode=0666", machine.outside(f"/dev/{name}"), "c", str(major), str(minor))
    for name in devices:
        require(stat.S_ISCHR(Path(machine.outside(f"/dev/{name}")).stat().st_mode), f"/dev/{name} is no device")


def _from_inside(machine: Machine, name: str, program: str, *, may_fail: bool = False) -> str:
    """Run a Python program in the place of a service; return what it printed."""
    unit = f"cellkeeper-{name}.service"
    kept = []
    for line in machine.do("cat", f"/etc/systemd/system/{unit}").splitlines():
        if re.match(r"Exec|Restart|SyslogIdentifier", line):
            continue
        # the folder of a service that runs would be gone when the probe ends
        kept.append(line.replace("RuntimeDirectory=cellkeeper-broker", "RuntimeDirectory=cellkeeper-e2e"))
        if line == "[Service]":
            kept += ["Type=oneshot", f"ExecStart={PYTHON} {program}", f"StandardOutput=truncate:/run/e2e-{name}.out"]
    machine.put(f"/etc/systemd/system/e2e-{name}.service", "\n".join(kept) + "\n")
    machine.do("systemctl", "daemon-reload")
    machine.do("systemctl", "start", f"e2e-{name}.service", may_fail=may_fail)
    machine.do("systemctl", "reset-failed", f"e2e-{name}.service", may_fail=True)
    (machine.disk / f"etc/systemd/system/e2e-{name}.service").unlink()
    return machine.do("cat", f"/run/e2e-{name}.out")


def _judge(name: str, told: dict) -> None:
    written = told["written"]
    *system, own = written
    open_folders = [path for path in system if written[path] != "EROFS"]
    require(not open_folders, f"{name} writes or nearly writes to {open_folders}: {written}")
    require(written[own] == "done", f"{name} may not write to its own {own}: {written[own]}")
    require(all(home in ([], "EACCES") for home in told["homes"]), f"{name} sees homes: {told['homes']}")
    site = told["site"]
    if name == "broker":
        require(site["secrets"] == site["ca"] == "ENOENT", f"the broker sees {site}")
    else:
        require(site == {"secrets": [name], "ca": [], "broker": []}, f"{name} sees {site}")
    require(not told["init"] and not told["memory"], f"{name} sees processes of others, or the machine's memory")
    adapter = {"ENXIO", "ENODEV", "done"} if name == "bus-gateway" else {"ENOENT"}  # no driver behind it here
    require(told["adapter"] in adapter, f"{name} opens a serial adapter: {told['adapter']}")
    require(told["device"] in {"EPERM", "EACCES", "ENOENT"}, f"{name} opens memory: {told['device']}")
    for act in ("namespace", "mount", "code"):
        require(told[act] in {"EPERM", "EACCES"}, f"{name}, {act}: {told[act]}")
    require(told["packets"] == "EAFNOSUPPORT", f"{name} gets a packet socket: {told['packets']}")
    require(told["here"] == "ECONNREFUSED", f"{name} may not connect to this machine: {told['here']}")
    elsewhere = "EPERM" if name in LOCAL_ONLY else "done"
    require(told["elsewhere"] == elsewhere, f"{name} sends elsewhere: {told['elsewhere']}, not {elsewhere}")
