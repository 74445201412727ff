"""Two of a kind are refused or reported, never silently mixed."""

from pathlib import Path

import pytest
from cellkeeper.testing.suite import running_suite, site_text


@pytest.mark.timeout(600)
def test_a_second_process_with_the_same_service_id_is_refused(tmp_path: Path, read):
    with running_suite(tmp_path, site_text(tmp_path), "twin", "bus-gateway") as suite:
        reader = read(suite.broker.port)
        reader.wait(lambda r: r.bodies("string/s1/scan"), "the first scan")
        first = suite._running.pop("bus-gateway")
        suite.start("bus-gateway")
        assert suite.exit_code("bus-gateway") == 1
        suite._running["bus-gateway"] = first
        assert "already runs" in suite.log_of("bus-gateway").read_text()
        seen = len(reader.bodies("string/s1/scan"))
        reader.wait(lambda r: len(r.bodies("string/s1/scan")) > seen + 2, "the first one going on")
        assert len({scan["stream"] for scan in reader.bodies("string/s1/scan")}) == 1


@pytest.mark.timeout(600)
def test_a_second_gateway_cannot_take_a_port_that_is_in_use(tmp_path: Path, read):
    with running_suite(tmp_path, site_text(tmp_path), "twin", "bus-gateway") as suite:
        reader = read(suite.broker.port)
        reader.wait(lambda r: r.bodies("string/s1/scan"), "the first scan")
        other = tmp_path / "other.toml"
        gateways = "".join(f'\n[[gateway]]\nservice = "{name}"\n' for name in ("bus-gateway-2", "bus-gateway"))
        other.write_text(suite.site_file.read_text().replace("baud =", 'gateway = "bus-gateway-2"\nbaud =') + gateways)
        suite.start("bus-gateway-2", CELLKEEPER_SITE_FILE=str(other))
        reader.wait(lambda r: (r.last("service/bus-gateway-2") or {}).get("state") == "degraded", "it says so")
        assert "another process holds the port" in reader.last("service/bus-gateway-2")["why"]
        assert "port.taken" in {event["kind"] for event in reader.bodies("event/bus-gateway-2")}
        seen = len(reader.bodies("string/s1/scan"))
        reader.wait(lambda r: len(r.bodies("string/s1/scan")) > seen + 3, "the first one going on")
        scans = reader.bodies("string/s1/scan")
        assert len({scan["stream"] for scan in scans}) == 1, "two writers in one topic"
        assert scans[-1]["quality"] == [0] * 8
