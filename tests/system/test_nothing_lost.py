"""Whatever is killed, and whenever: every seq that the gateway gave is in the store exactly once."""

import os
import time
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from cellkeeper.contract.moment import format_ms
from cellkeeper.runtime.clock import ScaledClock
from cellkeeper.testing.suite import Suite, running_suite, site_text

SERVICES = ("twin", "historian", "bus-gateway")


def newest_seq(reader, string: str) -> tuple[str, int]:
    scan = reader.last(f"string/{string}/scan")
    return (scan["stream"], scan["seq"]) if scan else ("", 0)


def is_stored(reader, string: str, stream: str, seq: int) -> bool:
    receipt = reader.last(f"string/{string}/stored")
    return receipt is not None and receipt["stream"] == stream and receipt["seq"] >= seq


def assert_all_once(suite: Suite, string: str, stream: str, last: int) -> None:
    until = next(scan for scan in suite.ask("latest")["scans"] if scan["string"] == string)["measured_at"]
    span = f"start={format_ms(0)}&end={until}"

    def found() -> Counter[tuple[str, int]]:
        rows = suite.ask(f"strings/{string}/string?{span}")["columns"]
        return Counter(zip(rows["stream"], rows["seq"], strict=True))

    def agree() -> bool:  # scans after the last that is asked for may still be on their way between the two answers
        cells = suite.ask(f"strings/{string}/cell?{span}")
        return cells["rows"] == len(found()) * max(cells["columns"]["cell"])

    suite.wait_until(agree, f"every stored scan of {string} has all its cells")
    stored = found()
    assert [key for key, times in stored.items() if times != 1] == []
    missing = [seq for seq in range(1, last) if (stream, seq) not in stored]
    assert missing == [], f"{string}: {len(missing)} of {last} scans are not in the store"


def kill_rounds(tmp_path: Path, read, rounds: int, seed: int) -> None:
    rng = Random(seed)
    with running_suite(tmp_path, site_text(tmp_path, 2, 12, scan_s=0.2), *SERVICES) as suite:
        reader = read(suite.broker.port)
        reader.wait(lambda r: r.bodies("string/s2/scan"), "the first scan")
        for _ in range(rounds):
            time.sleep(rng.uniform(0.3, 1.5))
            victims = rng.choice(
                [("bus-gateway",), ("historian",), ("broker",), ("bus-gateway", "historian"), ("broker", "historian")]
            )
            for victim in victims:
                suite.kill(victim)
            time.sleep(rng.uniform(0.0, 1.0))
            for victim in victims:
                suite.broker.start() if victim == "broker" else suite.start(victim)
        before = len(reader.bodies("string/s1/scan"))
        reader.wait(lambda r: len(r.bodies("string/s1/scan")) > before + 10, "scans after the last round")
        for string in ("s1", "s2"):
            stream, seq = newest_seq(reader, string)
            reader.wait(lambda r, key=(string, stream, seq): is_stored(r, *key), f"receipt of {string} {seq}")
            assert_all_once(suite, string, stream, seq)


@pytest.mark.timeout(600)
def test_ten_rounds_of_kill_9_lose_and_double_nothing(tmp_path: Path, read):
    kill_rounds(tmp_path, read, 10, seed=20261121)


@pytest.mark.soak
@pytest.mark.timeout(1500)
def test_fifty_rounds_of_kill_9_lose_and_double_nothing(tmp_path: Path, read):
    kill_rounds(tmp_path, read, 50, seed=int(os.environ.get("CELLKEEPER_SOAK_SEED", "1")))


@pytest.mark.timeout(600)
def test_a_broker_that_is_away_for_ten_minutes_of_scans(tmp_path: Path, read):
    """600 scans at eight times the speed: each of them is in the store afterwards, in order, none twice."""
    clock = str(ScaledClock(int(time.time() * 1000), 8.0, time.monotonic()))
    with running_suite(tmp_path, site_text(tmp_path, 1, 12), *SERVICES, clock=clock) as suite:
        reader = read(suite.broker.port)
        reader.wait(lambda r: r.bodies("string/s1/stored"), "the first receipt")
        suite.kill("broker")
        away_s = time.monotonic()
        time.sleep(600 / 8.0)
        assert time.monotonic() - away_s >= 75.0
        suite.broker.start()
        stream = newest_seq(reader, "s1")[0]
        before = newest_seq(reader, "s1")[1]
        reader.wait(lambda r: newest_seq(r, "s1")[1] > before + 590, "live scans after the broker is back")
        _, seq = newest_seq(reader, "s1")
        reader.wait(lambda r: is_stored(r, "s1", stream, seq), "everything stored")
        assert_all_once(suite, "s1", stream, seq)
        sent = Counter(scan["seq"] for scan in reader.bodies("string/s1/backfill"))
        repeated = [seq for seq, times in sent.items() if times > 1]
        assert repeated in ([], [min(sent)]), "only the probe may go more than once, until the historian is back too"
        live = {scan["seq"] for scan in reader.bodies("string/s1/scan")}
        away = min(each for each in live if each > before) - before  # at 8 Hz a busy machine skips some instants
        assert away > 400, "an outage that is worth the name"
        assert len(sent) > 0.8 * away, "what was read while the broker was away comes on backfill"


@pytest.mark.soak
@pytest.mark.timeout(1500)
def test_a_broker_that_is_away_for_ten_real_minutes(tmp_path: Path, read):
    with running_suite(tmp_path, site_text(tmp_path, 4, 60), *SERVICES) as suite:
        reader = read(suite.broker.port)
        reader.wait(lambda r: r.bodies("string/s4/stored"), "the first receipt")
        suite.kill("broker")
        time.sleep(600)
        suite.broker.start()
        before = len(reader.bodies("string/s1/scan"))
        reader.wait(lambda r: len(r.bodies("string/s1/scan")) > before, "live scans")
        for string in ("s1", "s4"):
            stream, seq = newest_seq(reader, string)
            reader.wait(lambda r, key=(string, stream, seq): is_stored(r, *key), "everything stored", 300.0)
            assert_all_once(suite, string, stream, seq)
