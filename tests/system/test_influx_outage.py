"""The real suite with history in a real InfluxDB that is killed: every seq exactly once, events wait and come after."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cellkeeper.testing.influxd import Influxd, missing_influxd, running_influxd
from cellkeeper.testing.machine import peak_memory_kb
from cellkeeper.testing.suite import Suite, running_suite, site_text

from .test_nothing_lost import assert_all_once, is_stored, newest_seq

AWAY_S = 8.0  # 40 scans of each string


@pytest.fixture
def influxd(tmp_path: Path) -> Iterator[Influxd]:
    if why := missing_influxd():
        pytest.skip(why)
    with running_influxd(tmp_path / "influx") as server:
        yield server


def store_events(suite: Suite) -> list[str]:
    """Return what the store was said to do, oldest first."""
    found = suite.ask("events?start=2026-01-01T00:00:00Z&limit=1000")["events"]
    return [event["kind"] for event in reversed(found) if event["kind"].startswith("store.")]


def assert_one_outage(suite: Suite) -> None:
    once = ["store.failed", "store.writing_again"]  # the first one waited in the file, and upkeep brings it
    suite.wait_until(lambda: set(once) <= set(store_events(suite)), "the events of the outage")
    assert store_events(suite) == once


def start_with_influx(suite: Suite, influxd: Influxd, secrets: Path) -> None:
    suite.tell("provision", "--url", influxd.url, "--tokens", str(secrets), "--keep-full-days", "0")
    suite.extra |= {
        "CELLKEEPER_STORE": "influx",
        "CELLKEEPER_INFLUX_URL": influxd.url,
        "CELLKEEPER_INFLUX_TOKEN_FILE": str(secrets / "historian.token"),
    }
    suite.start("twin", "historian", "bus-gateway")


@pytest.mark.timeout(600)
def test_a_database_that_is_killed_loses_and_doubles_nothing(tmp_path: Path, read, influxd: Influxd):
    with running_suite(tmp_path / "site", site_text(tmp_path / "site", 2, 12, scan_s=0.2)) as suite:
        start_with_influx(suite, influxd, tmp_path / "secrets")
        reader = read(suite.broker.port)
        reader.wait(lambda r: r.bodies("string/s1/stored") and r.bodies("string/s2/stored"), "receipts of both")
        influxd.kill()
        reader.wait(lambda r: r.last("service/historian")["state"] == "degraded", "a historian that says so")
        assert "InfluxDB" in reader.last("service/historian")["why"]
        stands = reader.last("string/s1/stored")["seq"]
        before = newest_seq(reader, "s1")[1]
        time.sleep(AWAY_S / 2)
        suite.kill("bus-gateway")
        suite.start("bus-gateway")
        time.sleep(AWAY_S / 2)
        assert reader.last("string/s1/stored")["seq"] == stands, "a receipt for what no database has"
        influxd.start()
        reader.wait(lambda r: newest_seq(r, "s1")[1] > before + 20, "live scans")
        reader.wait(lambda r: r.last("service/historian")["state"] == "ready", "a historian at work")
        again = "store.writing_again"
        reader.wait(
            lambda r: again in [event["kind"] for event in r.bodies("event/historian")], "the end of the outage"
        )
        suite.kill("historian")
        suite.start("historian")
        for string in ("s1", "s2"):
            stream, seq = newest_seq(reader, string)
            reader.wait(lambda r, key=(string, stream, seq): is_stored(r, *key), "everything stored")
            assert_all_once(suite, string, stream, seq)
        assert_one_outage(suite)


@pytest.mark.soak
@pytest.mark.timeout(3 * 3600)
def test_an_hour_without_a_database_at_4096_cells(tmp_path: Path, read, influxd: Influxd):
    """In real time; CELLKEEPER_SOAK_AWAY_S makes it shorter."""
    away_s = float(os.environ.get("CELLKEEPER_SOAK_AWAY_S", "3600"))
    strings = [f"s{n}" for n in range(1, 17)]
    with running_suite(tmp_path / "site", site_text(tmp_path / "site", 16, 256)) as suite:
        start_with_influx(suite, influxd, tmp_path / "secrets")
        reader = read(suite.broker.port, keep=1)
        reader.wait(lambda r: all(r.bodies(f"string/{string}/stored") for string in strings), "the first receipts")
        influxd.kill()
        before, before_kb = newest_seq(reader, "s1")[1], peak_memory_kb(suite.pid("historian"))
        time.sleep(away_s)
        most_kb = peak_memory_kb(suite.pid("historian"))
        influxd.start()
        stands = {string: newest_seq(reader, string) for string in strings}
        assert stands["s1"][1] > before + 0.9 * away_s, "the room was read on"
        begin_s = time.monotonic()
        for string, (stream, seq) in stands.items():
            reader.wait(lambda r, key=(string, stream, seq): is_stored(r, *key), f"all of {string}", away_s + 300.0)
        print(f"caught up in {time.monotonic() - begin_s:.0f} s; {before_kb >> 10} to {most_kb >> 10} MB, with them "
              f"{peak_memory_kb(suite.pid('historian')) >> 10} MB")  # fmt: skip
        for string, (_, seq) in stands.items():
            asked = "start=2020-01-01T00:00:00Z&end=2099-01-01T00:00:00Z"
            seqs = suite.ask(f"strings/{string}/string?{asked}")["columns"]["seq"]
            assert seqs == list(range(1, len(seqs) + 1))
            assert len(seqs) >= seq
            good = suite.ask(f"strings/{string}/cells/256?tier=full&points=20000&{asked}")["columns"]["n_good"]
            assert sum(good) >= seq
        assert peak_memory_kb(suite.pid("historian")) < before_kb + 300_000
        assert_one_outage(suite)
