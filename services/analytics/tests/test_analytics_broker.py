"""Analytics on a real Mosquitto: what they tell and when, what they leave out, and what survives."""

import asyncio
import dataclasses
from itertools import groupby

import numpy as np
import pytest
from analytics.packing import packed
from cellkeeper.contract.channels import CELL_ESTIMATE, ESTIMATE, MODE
from cellkeeper.contract.estimate_state import CellEstimate, StringEstimate
from cellkeeper.contract.telemetry import StringMode
from cellkeeper.runtime.session import BrokerAddress, Session
from cellkeeper.testing.broker import running_broker
from cellkeeper.testing.clock import ManualClock
from cellkeeper.testing.patience import until
from service_room import BEGIN_MS, CELLS, FLOAT_V, running_room, site_of


@pytest.fixture
def broker(tmp_path):
    with running_broker(tmp_path / "broker") as broker:
        yield broker


def floating(_n: int) -> float:
    return FLOAT_V


def sinking(n: int) -> float:
    return 1.98 - 0.0004 * n


async def outage(room, seconds: int = 70) -> None:
    """A minute of float, a load of 40 A, the charger's return."""
    await room.scans(65, floating, 0.05)
    await room.scans(seconds, sinking, -40.0)
    await room.scans(20, lambda n: 2.15 + 0.002 * n, 20.0)
    await room.scans(60, lambda n: 2.20, 15.0)


async def test_mode_and_estimates_are_told_and_are_payloads_of_the_contract(broker, tmp_path):
    async with running_room(tmp_path / "state", broker.port) as room:
        await room.scans(30, floating, 0.05)
        await until(lambda: room.modes and room.modes[-1]["mode"] == "float", "the mode")
        await until(lambda: room.estimates, "an estimate")
        await until(lambda: len(room.cells) == CELLS, "every unit")
        StringMode.model_validate(room.modes[-1])
        told = StringEstimate.model_validate(room.estimates[-1])
        assert told.string == "s1"
        assert len(told.soc_frac) == len(told.r_state) == CELLS
        assert told.not_validated == [
            "charge curves of vrla_agm", "runtime: rule of thumb, no battery type", "impedance limits",
            "odds of failing",
        ], "nobody has held these against real cells, and the wire says so"  # fmt: skip
        assert CellEstimate.model_validate(room.cells[3]).soc_source == told.soc_source[2]
        await until(lambda: room.presences[-1]["state"] == "ready", "ready")
        assert [each for each in room.kinds() if each.startswith("estimate.")] == []


async def test_what_is_retained_comes_to_a_latecomer(broker, tmp_path):
    async with running_room(tmp_path / "state", broker.port) as room:
        await room.scans(15, floating, 0.05)
        await until(lambda: len(room.cells) == CELLS and room.estimates, "everything told")
        found: list[str] = []
        late = Session(address=BrokerAddress("127.0.0.1", broker.port), client_id="late")
        late.subscribe("cellkeeper/v1/hh1/string/#", lambda message: found.append(message.topic))
        topics = {MODE.topic(site="hh1", string="s1"), ESTIMATE.topic(site="hh1", string="s1")}
        topics |= {CELL_ESTIMATE.topic(site="hh1", string="s1", cell=cell) for cell in range(1, CELLS + 1)}
        running = asyncio.create_task(late.run(), name="late")
        await until(lambda: topics <= set(found), "all of it")
        running.cancel()


async def test_a_string_in_float_is_told_every_ten_seconds_at_most(broker, tmp_path):
    async with running_room(tmp_path / "state", broker.port) as room:
        await room.scans(120, floating, 0.05)
        assert room.analytics.counters.estimates <= 13
        assert room.analytics.counters.batches >= 2


async def test_foreign_repeated_and_impossible_scans_decide_nothing(broker, tmp_path):
    async with running_room(tmp_path / "state", broker.port) as room:
        await room.scans(3, floating, 0.05)
        counts = room.analytics.intake.counts
        for _ in range(2):
            room.scan(cells=CELLS + 1)
        room.scan(seq=1, measured_ms=BEGIN_MS)
        room.scan(string="s9")
        room.gateway.publish("cellkeeper/v1/hh1/string/s1/scan", b"{}", qos=1)
        await until(lambda: room.analytics.refusals.count == 1, "what is no payload is counted")
        await until(lambda: "estimate.wrong_size" in room.kinds(), "another size is told")
        assert counts == {"taken": 3, "repeated": 0, "late": 1, "wrong_size": 2, "foreign": 1}
        assert room.kinds().count("estimate.wrong_size") == 1, "once"


async def test_an_outage_is_a_mode_events_a_record_and_a_dossier(broker, tmp_path):
    async with running_room(tmp_path / "state", broker.port, dossier=True) as room:
        await outage(room)
        await until(lambda: "discharge.dossier" in room.kinds(), "the dossier")
        changes = [mode for mode, _ in groupby(told["mode"] for told in room.modes)]
        assert changes[-3:] == ["float", "discharge", "recharge"], changes
        began, ended = (next(e for e in room.events if e["kind"] == f"discharge.{k}") for k in ("began", "ended"))
        assert began["severity"] == "warning"
        assert "recharge" in ended["text"]
        folder = tmp_path / "state/analytics"
        assert len(list((folder / "events").glob("s1_*_outage.npz"))) == 1
        (paper,) = (folder / "dossiers").glob("s1_*_outage.pdf")
        assert paper.read_bytes().startswith(b"%PDF")
        (told,) = (event for event in room.events if event["kind"] == "discharge.dossier")
        assert str(paper) in told["text"]


async def test_a_dossier_that_could_not_be_made_is_told_and_made_after_a_restart(broker, tmp_path):
    state = tmp_path / "state"
    async with running_room(state, broker.port, dossier=True) as room:
        (state / "analytics/dossiers").write_text("in the way")
        await outage(room)
        await until(lambda: "discharge.dossier_failed" in room.kinds(), "the failure")
        assert room.analytics.papers.counters.records == 1
        clock = room.clock
    (state / "analytics/dossiers").unlink()
    async with running_room(state, broker.port, clock=clock, dossier=True) as room:
        await until(lambda: "discharge.dossier" in room.kinds(), "the dossier of the last run")


async def test_a_record_that_the_disk_does_not_take_is_kept_until_it_does(broker, tmp_path):
    async with running_room(tmp_path / "state", broker.port) as room:
        events = tmp_path / "state/analytics/events"
        events.write_text("in the way")
        await outage(room)
        await until(lambda: "discharge.not_saved" in room.kinds(), "the trouble is told")
        events.unlink()
    assert len(list(events.glob("*.json"))) == 1, "written at the end of the process"


async def test_a_restart_goes_on_where_it_was(broker, tmp_path):
    state, clock = tmp_path / "state", ManualClock(BEGIN_MS)
    async with running_room(state, broker.port, clock=clock) as room:
        await room.scans(65, floating, 0.05)
        await room.scans(30, sinking, -40.0)
        before, seq = room.analytics.engine.memory, room.seq
        soc = room.analytics.newest.units.soc_frac
    async with running_room(state, broker.port, clock=clock) as room:
        assert packed(room.analytics.engine.memory) == packed(before)
        room.seq = seq
        await room.scans(2, lambda n: sinking(30 + n), -40.0)
        after = room.analytics.newest
        assert np.allclose(after.units.soc_frac, soc, atol=0.002, equal_nan=True)
        assert after.modes[0].mode == "discharge"
        assert after.modes[0].since_s == before.mode.strings[0].since_s
        assert "discharge.began" not in room.kinds(), "it was told before"


async def test_a_process_that_is_killed_in_an_outage_loses_seconds_of_it_and_not_a_minute(broker, tmp_path):
    async with running_room(tmp_path / "state", broker.port, save_s=3600.0) as room:
        await room.scans(65, floating, 0.05)
        await room.scans(3, sinking, -40.0)
        memory, engine = room.analytics.memory, room.analytics.engine

        def seconds_lost() -> float:
            kept = memory.read(engine.memory, engine.layout).memory if memory.path.exists() else None
            is_there = kept is not None and kept.recorder.strings[0].running is not None
            return room.clock.now_ms() / 1000.0 - kept.recorder.strings[0].at_s if is_there else float("inf")

        await until(lambda: seconds_lost() < 60.0, "the onset is written down")
        await room.scans(30, lambda n: sinking(3 + n), -40.0)
        await until(lambda: seconds_lost() < 10.0, "what followed, too")


async def test_a_memory_that_cannot_be_read_is_told_and_begins_anew(broker, tmp_path):
    folder = tmp_path / "state/analytics"
    folder.mkdir(parents=True)
    (folder / "learned.ckm").write_bytes(b"nothing of this kind")
    async with running_room(tmp_path / "state", broker.port) as room:
        await until(lambda: room.kinds() == ["estimate.memory_lost"], "the loss")
        await room.scans(3, floating, 0.05)
    (kept,) = folder.glob("learned.before-*.ckm")
    assert kept.read_bytes() == b"nothing of this kind", "an older version may not destroy what a newer one learned"


async def test_a_string_of_another_size_is_told_and_what_was_learned_is_kept_beside(broker, tmp_path):
    state, clock = tmp_path / "state", ManualClock(BEGIN_MS)
    async with running_room(state, broker.port, clock=clock) as room:
        await room.scans(3, floating, 0.05)
    before = (state / "analytics/learned.ckm").read_bytes()
    async with running_room(state, broker.port, clock=clock, site=site_of(cells=CELLS - 1)) as room:
        await until(lambda: "estimate.anew" in room.kinds(), "the loss")
        assert await room.analytics.save()
    (kept,) = (state / "analytics").glob("learned.before-*.ckm")
    assert kept.read_bytes() == before
    async with running_room(
        state, broker.port, "s1", "s2", clock=clock, site=site_of("s1", "s2", cells=CELLS - 1)
    ) as room:
        await room.clock.advance(1.0)
        assert "estimate.anew" not in room.kinds(), "a string that comes new loses nothing"


async def test_a_memory_that_cannot_be_written_is_told_once(broker, tmp_path):
    async with running_room(tmp_path / "state", broker.port) as room:
        await room.scans(3, floating, 0.05)
        room.analytics.memory = dataclasses.replace(room.analytics.memory, path=tmp_path / "nowhere/learned.ckm")
        await until(lambda: "estimate.not_saved" in room.kinds(), "the trouble is told")
        room.analytics.memory = dataclasses.replace(room.analytics.memory, path=tmp_path / "learned.ckm")
        await until((tmp_path / "learned.ckm").exists, "written again")
        assert room.kinds().count("estimate.not_saved") == 1


async def test_a_string_that_falls_silent_is_unknown_and_the_service_says_so(broker, tmp_path):
    async with running_room(tmp_path / "state", broker.port, "s1", "s2") as room:
        for _ in range(12):
            await room.clock.advance(1.0)
            room.scan()
            room.scan(string="s2")
        await room.taken()
        await until(lambda: {told["string"] for told in room.modes if told["mode"] == "float"} == {"s1", "s2"}, "float")
        await room.scans(15, floating, 0.05)
        await until(lambda: room.modes[-1]["string"] == "s2" and room.modes[-1]["mode"] == "unknown", "s2 is silent")
        await until(lambda: room.presences[-1]["why"] == "no fresh scan of s2", "degraded")
        await room.clock.advance(30.0)
        await until(lambda: room.modes[-1]["string"] == "s1" and room.modes[-1]["mode"] == "unknown", "s1 too")


async def test_a_room_without_any_scan_yet_is_told(broker, tmp_path):
    async with running_room(tmp_path, broker.port, "s1", "s2") as room:
        await room.clock.advance(3.0)
        await until(lambda: room.presences and room.presences[-1]["why"] == "no fresh scan of s1, s2", "degraded")


async def test_a_broker_that_comes_back_empty_gets_everything_again(broker, tmp_path):
    async with running_room(tmp_path / "state", broker.port) as room:
        await room.scans(15, floating, 0.05)
        await until(lambda: len(room.cells) == CELLS and room.estimates and room.modes, "everything told")
        broker.stop()
        await until(lambda: not room.voice.session.is_up, "the link is gone")
        for told in (room.modes, room.estimates, room.cells):
            told.clear()
        broker.start()
        await until(lambda: len(room.cells) == CELLS and room.estimates and room.modes, "everything again")
