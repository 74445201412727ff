"""The whole suite at work: cores used, time from the wire to the store, and how many cells two cores carry."""

import http.client
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

from cellkeeper.testing.suite import Suite, running_suite

from bench.figure import Figure

BAUD = 3_000_000
WARM_S = 45.0  # modules are introduced in the first half minute; that work is not steady
CPU_S = 30.0
POLL_S = 0.01
REST_S = 0.5  # the next sample is a second after the last one, and its row some 0.2 s later
E2E_SCANS = 25
MOST_LATE_MS = 900.0  # below the second after which the next scan of a string would take its place
LOAD_S = 30.0
READING = ("bus-gateway", "historian", "broker")


def figures() -> list[Figure]:
    """Return pipeline_reading_cpu_4096, gateway_rss_mb, historian_rss_mb, e2e_p99_ms: 16 strings of 256, a bus each."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running_suite(folder, room_text(folder, 16, 256, 1), "twin", "historian", "bus-gateway") as suite:
            wait_for_strings(suite, 16)
            cores = cores_used(suite, CPU_S)
            rss_mb = {service: memory_mb(suite.pid(service)) for service in READING}
            late_ms = latencies_ms(suite)
    split = ", ".join(f"{service} {used:.3f}" for service, used in cores.items())
    percentile_99 = statistics.quantiles(late_ms, n=100)[98]
    return [
        Figure("pipeline_reading_cpu_4096", sum(cores.values()), "cores", 0.10, note=split),
        Figure("gateway_rss_mb", rss_mb["bus-gateway"], "MB", 120.0, note="4096 cells"),
        Figure("historian_rss_mb", rss_mb["historian"], "MB", 200.0, note="4096 cells"),
        Figure(
            "e2e_p99_ms",
            percentile_99,
            "ms",
            100.0,
            note=f"median {statistics.median(late_ms):.0f}; from the real write of the last byte; asked every "
            f"{POLL_S * 1e3:g} ms, when all strings have come not for {REST_S:g} s",
        ),
    ]


def largest_room() -> list[Figure]:
    """Return max_cells_1hz: rooms twice as large each time, until one does not keep up."""
    carried = 0
    note = "largest tried kept up"
    for cells in (16_384, 32_768, 65_536):
        ok, why = carries(cells)
        if not ok:
            note = f"{cells}: {why}"
            break
        carried = cells
    return [Figure("max_cells_1hz", carried, "cells", 65_536, "higher", note)]


def carries(cells: int) -> tuple[bool, str]:
    """Return whether a room of `cells` is read at 1 Hz and stored without a growing backlog, and why not."""
    strings = cells // 512
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running_suite(folder, room_text(folder, strings, 512, 8), "twin", "historian", "bus-gateway") as suite:
            wait_for_strings(suite, strings)
            time.sleep(WARM_S)
            before = newest_ms(suite)
            time.sleep(LOAD_S)
            after = newest_ms(suite)
            behind_s = max(time.time() - ms / 1000.0 for ms in after.values())
            rates = [(after[string] - before[string]) / 1000.0 / LOAD_S for string in before]
            if min(rates) < 0.97:
                return False, f"slowest string stored {min(rates):.2f} s of readings a second"
            return behind_s < 3.0, f"{behind_s:.1f} s behind"


def room_text(folder: Path, strings: int, cells: int, strings_per_bus: int) -> str:
    """Return a site whose buses carry several strings each."""
    parts = ['[site]\nid = "hh1"\nname = "Large room"\n', '[[dcbus]]\nid = "ups1"\n']
    buses = range(1, strings // strings_per_bus + 1)
    parts += [f'[[bus]]\nid = "b{bus}"\nport = "{folder / f"b{bus}"}"\nbaud = {BAUD}\n' for bus in buses]
    for index in range(strings):
        bus, place = index // strings_per_bus + 1, index % strings_per_bus
        parts.append(
            f'[[string]]\nid = "s{index + 1}"\ndcbus = "ups1"\ncells = {cells}\n'
            'chemistry = "vrla_agm"\nrated_ah = 100.0\n'
            f'[[string.modules]]\nbus = "b{bus}"\nfirst_address = {1 + place * cells}\ncount = {cells}\n'
            f'[[string.sensor]]\nkind = "current"\nbus = "b{bus}"\naddress = {10_001 + 2 * place}\n'
            f'[[string.sensor]]\nkind = "string_voltage"\nbus = "b{bus}"\naddress = {10_002 + 2 * place}\n'
        )
    return "\n".join(parts)


def wait_for_strings(suite: Suite, strings: int) -> None:
    """Wait until every string has a scan in the store."""

    def stored() -> bool:
        try:
            return len(suite.ask("strings")) == strings
        except OSError:
            return False

    suite.wait_until(stored, f"{strings} strings in the store", 120.0)
    time.sleep(WARM_S)


def newest_ms(suite: Suite) -> dict[str, int]:
    """Return the newest stored time of every string."""
    return {entry["string"]: entry["measured_ms"] for entry in suite.ask("strings")}


def cores_used(suite: Suite, span_s: float) -> dict[str, float]:
    """Return CPU seconds per second of every process of the reading path."""
    before = {service: cpu_s(suite.pid(service)) for service in READING}
    start_s = time.monotonic()
    time.sleep(span_s)
    elapsed_s = time.monotonic() - start_s
    return {service: (cpu_s(suite.pid(service)) - before[service]) / elapsed_s for service in READING}


def latencies_ms(suite: Suite) -> list[float]:
    """Return, per string and scan, real milliseconds from its last byte in the master's port to the row in an answer.

    The twin notes when it really wrote that byte. Rows are looked for every `POLL_S` on one kept connection, so half of
    that is in the figure; when all strings of a second are there, nothing is asked for `REST_S`.
    """
    link = http.client.HTTPConnection("127.0.0.1", suite.http_port, timeout=10)
    seen: dict[str, int] = {}
    found: list[tuple[str, int, float]] = []
    missing: set[str] = set()
    end_s = time.monotonic() + E2E_SCANS
    while time.monotonic() < end_s:
        link.request("GET", "/v1/strings")
        entries = json.loads(link.getresponse().read())
        now_ms = time.time() * 1000.0
        for entry in entries:
            string, at_ms = entry["string"], entry["measured_ms"]
            if seen.get(string, at_ms) != at_ms:
                found.append((string, at_ms, now_ms))
                missing.discard(string)
            seen[string] = at_ms
        time.sleep(POLL_S if missing else REST_S)
        missing = missing or set(seen)
    status = json.loads(suite.tell("twin", "status", "--json"))
    handed_ms = {bus["id"].replace("b", "s"): [at_ms for _, at_ms in bus["handed_ms"]] for bus in status["buses"]}
    late_ms = []
    for string, measured_ms, now_ms in found:
        after = [at_ms for at_ms in handed_ms[string] if measured_ms <= at_ms < measured_ms + MOST_LATE_MS]
        if len(after) != 1:
            raise RuntimeError(f"{len(after)} sweeps of {string} ended in the second after a scan")
        late_ms.append(now_ms - after[0])
    return late_ms


def cpu_s(pid: int) -> float:
    """Return the CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """Return a process's resident memory in MB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
