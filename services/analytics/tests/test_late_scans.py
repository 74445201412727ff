"""Scans that come later, over a real broker: a discharge that nobody saw is recorded as if it had been seen."""

import random
from pathlib import Path

import numpy as np
import pytest
from analytics.catching_up import CatchUp
from analytics.discharge.record import DischargeRecord
from analytics.dossier.record_file import load_record
from cellkeeper.contract.channels import BACKFILL
from cellkeeper.testing.broker import running_broker
from cellkeeper.testing.patience import until
from service_room import BEGIN_MS, FLOAT_V, Room, running_room

FLOAT, LOAD, AFTER = 70, 200, 90
LENGTH = FLOAT + LOAD + AFTER


@pytest.fixture
def broker(tmp_path):
    with running_broker(tmp_path / "broker") as broker:
        yield broker


def reading(second: int) -> tuple[float, float]:
    """Return volts per cell and current of a second of the story: float, a load, the charger's return."""
    if second <= FLOAT:
        return FLOAT_V, 0.05
    if second <= FLOAT + LOAD:
        return 1.98 - 0.0004 * (second - FLOAT), -40.0
    return 2.15 + 0.0005 * (second - FLOAT - LOAD), 15.0


def publish(room: Room, second: int, **changes) -> None:
    cell_v, current_a = reading(second)
    room.seq = second - 1  # `scan` counts it up: the number of a scan is its second
    room.scan(cell_v, current_a, measured_ms=BEGIN_MS + 1000 * second, **changes)


async def live(room: Room, first: int, last: int) -> None:
    """Let seconds of the story pass, each with its live scan."""
    for second in range(first, last + 1):
        await room.clock.advance((BEGIN_MS + 1000 * second - room.clock.now_ms()) / 1000.0)
        publish(room, second)
    await room.taken()


def late(room: Room, seconds: list[int]) -> None:
    for second in seconds:
        publish(room, second, channel=BACKFILL)


def the_record(folder: Path) -> DischargeRecord:
    (path,) = (folder / "analytics/events").glob("s1_*.json")
    return load_record(path).record


async def seen_whole(broker, folder: Path) -> DischargeRecord:
    async with running_room(folder, broker.port) as room:
        await live(room, 1, LENGTH)
        await until(lambda: list((folder / "analytics/events").glob("s1_*.json")), "the record")
    return the_record(folder)


def caught_up(room: Room) -> bool:
    return room.analytics.late.catch_up.is_idle


GAPS = {
    "within it": (FLOAT + 60, FLOAT + 120),
    "over its onset": (FLOAT - 20, FLOAT + 60),
    "over its end": (FLOAT + 120, FLOAT + LOAD + 30),
    "over all of it": (FLOAT - 20, FLOAT + LOAD + 30),
}


@pytest.mark.parametrize("where", GAPS)
async def test_a_discharge_with_a_gap_is_recorded_as_if_all_of_it_had_been_seen(broker, tmp_path, where: str):
    whole = await seen_whole(broker, tmp_path / "whole")
    first, last = GAPS[where]
    folder = tmp_path / "gap"
    async with running_room(folder, broker.port) as room:
        await live(room, 1, first - 1)
        await live(room, last + 1, last + 3)
        missed = list(range(first, last + 1))
        late(room, [*missed[:9], *missed[:5], *missed[9:], *missed])  # some come twice
        await until(lambda: caught_up(room), "all late scans")
        await live(room, last + 4, LENGTH)
        await until(lambda: list((folder / "analytics/events").glob("s1_*.json")), "the record")
        assert room.analytics.late.catch_up.counts["taken"] == len(missed)
        await until(lambda: room.modes[-1]["mode"] == "recharge", "the live mode")
    record = the_record(folder)
    assert record.moved_ah == pytest.approx(whole.moved_ah, rel=1e-6)
    for name in ("kind", "began_s", "ended_s", "ended_by", "scans", "missing_s"):
        assert getattr(record, name) == getattr(whole, name), name
    assert record.at_s.tolist() == whole.at_s.tolist()
    assert np.array_equal(record.unit_v, whole.unit_v)


async def test_a_discharge_that_began_and_ended_unseen_is_told_and_its_mode_is_not(broker, tmp_path):
    async with running_room(tmp_path, broker.port) as room:
        first, last = GAPS["over all of it"]
        await live(room, 1, first - 1)
        await live(room, last + 1, last + 3)
        told = len(room.modes)
        late(room, list(range(first, last + 1)))
        await until(lambda: "discharge.ended" in room.kinds(), "it is told")
        (event,) = (each for each in room.events if each["kind"] == "discharge.ended")
        assert "came to light with" in event["text"]
        assert "discharge" not in {mode["mode"] for mode in room.modes[told:]}
        await until(lambda: list((tmp_path / "analytics/events").glob("s1_*.json")), "the record")
        assert any("came later" in note for note in the_record(tmp_path).notes)


async def test_scans_in_any_order_break_nothing_and_no_time_is_counted_twice(broker, tmp_path):
    whole = await seen_whole(broker, tmp_path / "whole")
    async with running_room(tmp_path / "gap", broker.port) as room:
        first, last = GAPS["over all of it"]
        await live(room, 1, first - 1)
        await live(room, last + 1, last + 3)
        seconds = list(range(first - 30, last + 20)) * 2
        random.Random(5).shuffle(seconds)
        late(room, seconds)
        room.gateway.publish("cellkeeper/v1/hh1/string/s1/backfill", b"{", qos=1)
        late(room, [last])
        await until(lambda: caught_up(room), "an end")
        await live(room, last + 4, LENGTH)
        counts = room.analytics.late.catch_up.counts
        assert counts["taken"] + counts["needless"] + counts["repeated"] >= 1
        assert room.analytics.refusals.count == 1
        await until(lambda: room.modes[-1]["mode"] == "recharge", "the live side goes on")
    records = [load_record(path).record for path in (tmp_path / "gap/analytics/events").glob("s1_*.json")]
    assert all(record.moved_ah <= 1.001 * whole.moved_ah for record in records)


async def test_late_scans_without_a_gap_are_needless_and_change_nothing(broker, tmp_path):
    async with running_room(tmp_path, broker.port) as room:
        await live(room, 1, 40)
        memory = room.analytics.engine.memory
        late(room, list(range(1, 40)))
        publish(room, 41)
        await room.clock.advance(1.0)
        publish(room, 42)
        await until(lambda: room.analytics.intake.counts["taken"] == 42, "the next live scans")
        assert caught_up(room)
        assert room.analytics.late.catch_up.counts == {"taken": 0, "needless": 0, "repeated": 0, "dropped": 0}
        assert room.analytics.engine.memory.recorder.strings[0].running is None
        assert memory.mode.strings[0].mode == room.analytics.engine.memory.mode.strings[0].mode


async def test_a_gap_that_nothing_fills_is_given_up(broker, tmp_path):
    async with running_room(tmp_path, broker.port) as room:
        await live(room, 1, 40)
        await live(room, 80, 82)
        catch_up: CatchUp = room.analytics.late.catch_up
        assert not caught_up(room)
        assert catch_up.step(5, 1e12) == [], "long after"
        assert caught_up(room)
        await live(room, 83, 90)
        await until(lambda: room.modes[-1]["mode"] in {"float", "discharge"}, "the live side")
