"""Estimates with real processes: charge with its bounds, a crash without a jump, an outage and the paper about it.

All processes share one clock, ten times as fast.
"""

import time
from itertools import pairwise
from pathlib import Path

import pytest
from cellkeeper.contract.moment import format_ms
from cellkeeper.runtime.clock import ScaledClock
from cellkeeper.testing.suite import Suite, running_suite, site_text

SPEED = 10.0
SCAN_S = 2.0
CELLS = 8
OUTAGE_S = 150
LEARNED = "state/analytics/learned.ckm"


def changes(words: list[str]) -> list[str]:
    return [after for before, after in pairwise(["", *words]) if after != before]


def charge(reader) -> tuple[list[float | None], list[float | None]]:
    told = reader.last("string/s1/estimate") or {"soc_frac": [None], "soc_sd_frac": [None]}
    return told["soc_frac"], told["soc_sd_frac"]


def is_known(reader) -> bool:
    soc, sd = charge(reader)
    return None not in soc and None not in sd


def restart(suite: Suite, reader) -> None:
    """End the analytics as `kill -9` does, start them, and wait until they tell something."""
    told, learned, asked_s = len(reader.bodies("string/s1/estimate")), suite.folder / LEARNED, time.time()
    suite.wait_until(lambda: learned.exists() and learned.stat().st_mtime > asked_s, "what was learned is on disk")
    suite.kill("analytics")
    suite.start("analytics", CELLKEEPER_SAVE_S="1")
    reader.wait(lambda r: len(r.bodies("string/s1/estimate")) > told, "an estimate after the restart")


@pytest.mark.timeout(600)
def test_charge_crash_outage_and_dossier(tmp_path: Path, read):
    clock = ScaledClock(int(time.time() * 1000), SPEED, time.monotonic())
    begin_ms = clock.now_ms()
    site = site_text(tmp_path, 1, CELLS, scan_s=SCAN_S)
    with running_suite(tmp_path, site, "twin", "historian", "bus-gateway", clock=str(clock)) as suite:
        suite.start("analytics", CELLKEEPER_SAVE_S="1")
        reader = read(suite.broker.port)
        reader.wait(lambda r: (r.last("string/s1/mode") or {}).get("mode") == "float", "float")
        reader.wait(is_known, "a charge of every unit with its bounds")
        soc, sd = charge(reader)
        assert all(0.8 < each <= 1.0 for each in soc)
        assert all(0.0 < each < 0.1 for each in sd)
        reader.wait(lambda r: r.last("string/s1/cell/8/estimate"), "an estimate of a single unit")

        restart(suite, reader)
        assert charge(reader)[0] == pytest.approx(soc, abs=0.005), "no jump"
        assert reader.last("string/s1/mode")["mode"] == "float"

        suite.tell("twin", "outage", "--seconds", str(OUTAGE_S))
        reader.wait(lambda r: r.last("string/s1/mode")["mode"] == "discharge", "the outage")
        since = reader.last("string/s1/mode")["since"]
        restart(suite, reader)
        assert (reader.last("string/s1/mode")["mode"], reader.last("string/s1/mode")["since"]) == ("discharge", since)

        reader.wait(lambda r: r.last("string/s1/mode")["mode"] == "recharge", "the charger's return")
        reader.wait(
            lambda r: [e for e in r.bodies("event/analytics") if e["kind"] == "discharge.dossier"], "the dossier"
        )
        kinds = [event["kind"] for event in reader.bodies("event/analytics")]
        assert kinds.count("discharge.began") == kinds.count("discharge.ended") == 1, kinds
        folder = tmp_path / "state/analytics"
        (paper,) = folder.glob("dossiers/s1_*_outage.pdf")
        assert paper.read_bytes().startswith(b"%PDF")
        assert len(list(folder.glob("events/s1_*_outage.json"))) == 1

        asked = f"?start={format_ms(begin_ms)}&end={format_ms(clock.now_ms() + 1000)}"
        suite.wait_until(lambda: "recharge" in suite.ask(f"strings/s1/mode{asked}")["columns"]["mode"], "stored modes")
        stored = changes(suite.ask(f"strings/s1/mode{asked}")["columns"]["mode"])
        assert [each for each in stored if each != "unknown"][-3:] == ["float", "discharge", "recharge"]
        units = suite.ask(f"strings/s1/estimates{asked}&units=true")["columns"]
        assert set(units["cell"]) == set(range(1, CELLS + 1))
        assert any(each is not None for each in units["soc_frac"])
