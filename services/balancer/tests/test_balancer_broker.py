"""The balancer on a real Mosquitto: what it asks of a gateway, what it tells, and what it takes from people."""

from uuid import uuid4

import orjson
import pytest
from balancer.dispatch import REFUSED_WAIT_S
from cellkeeper.contract.channels import COMMAND, MODE
from cellkeeper.contract.commands import ForceBleed, PauseBalance, ResumeBalance, SpareNewBattery
from cellkeeper.contract.moment import from_ms
from cellkeeper.contract.outcomes import Refused
from cellkeeper.contract.telemetry import StringMode
from cellkeeper.contract.wire import encode
from cellkeeper.testing.broker import running_broker
from cellkeeper.testing.patience import until
from desk_room import CELLS, running_room

UNEVEN = [3.45, 3.42, 3.46, 3.44, 3.47, 3.43]
LOWEST = 1


@pytest.fixture
def broker(tmp_path):
    with running_broker(tmp_path / "broker") as broker:
        yield broker


async def bleeding(room) -> None:
    """Bring the room to where it bleeds: a minute in the last charging phase."""
    await room.scans(UNEVEN, 66)
    await until(lambda: room.commands, "a command")


async def ask(room, name: str, model, **fields):
    expires = from_ms(room.clock.now_ms() + 60_000)
    command = model(id=uuid4(), expires_at=expires, **fields)
    topic = COMMAND.topic(site="hh1", service="balancer", name=name, issuer="tester")
    room.gateway.publish(topic, encode(command), qos=1)
    await until(lambda: any(each.id == command.id for each in room.outcomes), f"the outcome of {name}")
    return next(each for each in room.outcomes if each.id == command.id).outcome


async def test_one_command_for_the_whole_string_is_renewed_and_ended(broker, tmp_path):
    async with running_room(tmp_path / "bal", broker.port) as room:
        await bleeding(room)
        first = room.commands[0]
        assert first.cells == [1, 3, 4, 5, 6], "all but the lowest"
        assert first.hold_s == 60.0
        await room.scans(UNEVEN, 45)
        await until(lambda: len(room.commands) >= 3, "renewals")
        assert all(command.cells == first.cells for command in room.commands)
        await room.scans([3.30] * CELLS, 2)  # the charger went away
        await until(lambda: room.commands[-1].bleed_frac == [0.0] * 5, "zero")
        count = len(room.commands)
        await room.scans([3.30] * CELLS, 25)
        assert len(room.commands) == count, "nothing is sent while nothing bleeds"
        kinds = [event["kind"] for event in room.events]
        assert kinds == ["balance.began"]


async def test_old_foreign_and_wrong_scans_decide_nothing(broker, tmp_path):
    async with running_room(tmp_path / "bal", broker.port) as room:
        await room.scans(UNEVEN, 3)
        taken = room.balancer.counters.scans
        room.scan(UNEVEN, age_s=11.0)
        room.scan(UNEVEN, age_s=-11.0)
        room.scan(UNEVEN, cells=CELLS + 1)
        room.gateway.publish("cellkeeper/v1/hh1/string/s1/scan", b"{}", qos=1)
        room.gateway.publish("cellkeeper/v1/hh1/string/s9/scan", b"{}", qos=1)
        await until(lambda: room.balancer.refusals.count == 2, "the two that cannot be used are counted")
        assert room.balancer.counters.scans == taken


async def test_a_gateway_that_refuses_is_told_once_and_asked_again_later(broker, tmp_path):
    async with running_room(tmp_path / "bal", broker.port) as room:
        room.answer = lambda _command: Refused(reason="state_unknown", detail="no fresh scan")
        await bleeding(room)
        await until(lambda: room.balancer.counters.refused == 1, "the refusal")
        left_s = int(room.balancer.loops["s1"].sent.wait_until_s - room.clock.now_ms() / 1000.0)
        assert REFUSED_WAIT_S - 10 < left_s <= REFUSED_WAIT_S
        await room.scans(UNEVEN, left_s - 2)
        assert len(room.commands) == 1, "not hammered"
        await room.scans(UNEVEN, 4)
        await until(lambda: len(room.commands) == 2, "asked again")
        await until(lambda: room.states[-1]["inhibit"] == "refused", "the refusal shows")
        refused = [event for event in room.events if event["kind"] == "balance.refused"]
        assert len(refused) == 1
        assert "state_unknown" in refused[0]["text"]


async def test_a_lost_answer_counts_as_unknown(broker, tmp_path):
    async with running_room(tmp_path / "bal", broker.port) as room:
        room.answer = lambda _command: None
        await bleeding(room)
        await room.scans(UNEVEN, 60)
        await until(lambda: len(room.commands) >= 2, "sent again after the wait")
        assert room.commands[-1].cells == [1, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("mode", "forbids"), [("discharge", True), ("test", True), ("unknown", True), ("float", False)]
)
async def test_a_published_mode_can_only_forbid(broker, tmp_path, mode, forbids):
    async with running_room(tmp_path / "bal", broker.port) as room:
        await bleeding(room)
        at = from_ms(room.clock.now_ms())
        body = StringMode(string="s1", mode=mode, since=at, measured_at=at, why="test")
        room.gateway.publish(MODE.topic(site="hh1", string="s1"), encode(body), qos=1, retain=True)
        await until(lambda: room.balancer._modes, "the mode")
        await room.scans(UNEVEN, 2)
        await until(lambda: (room.states[-1]["inhibit"] == "mode_forbids") == forbids, "its effect")
        assert (sum(room.balancer.loops["s1"].duty) == 0.0) == forbids
        await room.scans(UNEVEN, 185)  # a mode that is not renewed for three minutes says nothing any more
        assert sum(room.balancer.loops["s1"].duty) > 0.0


async def test_wishes_of_people(broker, tmp_path):
    async with running_room(tmp_path / "bal", broker.port) as room:
        await bleeding(room)
        until_ = from_ms(room.clock.now_ms() + 3_600_000)
        assert (await ask(room, "pause", PauseBalance, string="s1", reason="test day", until=until_)).kind == "applied"
        await room.scans(UNEVEN, 1)
        assert sum(room.balancer.loops["s1"].duty) == 0.0
        await until(lambda: room.states[-1]["inhibit"] == "paused", "the pause shows")
        assert (await ask(room, "resume", ResumeBalance, string="s1")).kind == "applied"
        await room.scans(UNEVEN, 1)
        assert sum(room.balancer.loops["s1"].duty) > 0.0

        spare = await ask(room, "new_battery", SpareNewBattery, string="s1", cells=[5], until=until_)
        assert spare.kind == "applied"
        await room.scans(UNEVEN, 1)
        assert room.balancer.loops["s1"].duty[4] == 0.0

        forced = await ask(room, "force", ForceBleed, string="s1", cells=[LOWEST + 1], bleed_frac=0.5, for_s=60.0)
        assert forced.kind == "applied"
        await room.scans(UNEVEN, 1)
        assert room.balancer.loops["s1"].duty[LOWEST] > 0.0
        await room.scans(UNEVEN, 61)
        assert room.balancer.loops["s1"].duty[LOWEST] == 0.0, "it ends by itself"

        past = from_ms(room.clock.now_ms() - 1000)
        assert (
            await ask(room, "pause", PauseBalance, string="s1", reason="too late", until=past)
        ).reason == "out_of_range"
        wrong = await ask(room, "force", ForceBleed, string="s1", cells=[CELLS + 1], bleed_frac=0.5, for_s=60.0)
        assert wrong.reason == "unknown_target"
        assert (await ask(room, "resume", ResumeBalance, string="s7")).reason == "unknown_target"
        asked = [event["data"]["by"] for event in room.events if event["kind"] == "balance.asked"]
        assert asked == ["tester"] * 4, "what was refused is in the outcome, not in the log book"


async def test_a_restart_goes_on_with_what_was_learned(broker, tmp_path):
    async with running_room(tmp_path / "bal", broker.port) as room:
        await bleeding(room)
        clock, duty = room.clock, room.duty
        before = room.balancer.loops["s1"].memories[0]
    async with running_room(tmp_path / "bal", broker.port, clock=clock) as room:
        room.duty = duty
        after = room.balancer.loops["s1"].memories[0]
        assert after.phase == before.phase
        assert after.duty.tolist() == before.duty.tolist()
        assert after.findings.moved_ah.tolist() == before.findings.moved_ah.tolist()
        await room.scans(UNEVEN, 1)
        assert sum(room.balancer.loops["s1"].duty) > 0.0, "no second minute of waiting"


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"format":2,"strings":{}}', b'{"format":1,"strings":[]}', b"\xff\xfe"]
)
async def test_a_memory_that_cannot_be_read_begins_anew_and_says_so(broker, tmp_path, content):
    place = tmp_path / "bal" / "balancer"
    place.mkdir(parents=True)
    (place / "learned.json").write_bytes(content)
    async with running_room(tmp_path / "bal", broker.port) as room:
        await until(lambda: [e for e in room.events if e["kind"] == "balance.memory_lost"], "the event")
        await room.scans(UNEVEN, 3)
        await until(lambda: room.states and room.states[-1]["inhibit"] == "settling", "a state")


async def test_a_memory_of_another_string_is_left_out(broker, tmp_path):
    place = tmp_path / "bal" / "balancer"
    async with running_room(tmp_path / "bal", broker.port) as room:
        await bleeding(room)
    known = orjson.loads((place / "learned.json").read_bytes())
    known["strings"]["s1"]["packs"][0]["units"] = CELLS - 2
    (place / "learned.json").write_bytes(orjson.dumps(known))
    async with running_room(tmp_path / "bal", broker.port, clock=room.clock) as room:
        await room.scans(UNEVEN, 3)
        await until(lambda: room.states and room.states[-1]["inhibit"] == "settling", "it begins anew")


async def test_a_pause_is_on_disk_before_it_is_confirmed(broker, tmp_path):
    async with running_room(tmp_path / "bal", broker.port) as room:
        ends = from_ms(room.clock.now_ms() + 3_600_000)
        assert (await ask(room, "pause", PauseBalance, string="s1", reason="test day", until=ends)).kind == "applied"
        known = orjson.loads((tmp_path / "bal/balancer/learned.json").read_bytes())  # as a kill -9 would leave it
        assert known["strings"]["s1"]["orders"]["pause_reason"] == "test day"


async def test_a_disk_that_takes_nothing_is_told_once_and_stops_no_balancing(broker, tmp_path):
    async with running_room(tmp_path / "bal", broker.port) as room:
        (tmp_path / "bal/balancer/.learned.json.new").mkdir(parents=True)  # what is written beside cannot be made
        await bleeding(room)
        room.balancer.save()
        await until(lambda: [e for e in room.events if e["kind"] == "balance.not_saved"], "the event")
        room.balancer.save()
        await room.scans(UNEVEN, 2)
        assert len([e for e in room.events if e["kind"] == "balance.not_saved"]) == 1


async def test_silence_shows_as_stale_and_degraded(broker, tmp_path):
    async with running_room(tmp_path / "bal", broker.port) as room:
        await room.scans(UNEVEN, 3)
        await until(lambda: room.voice.state == "ready", "ready")
        await room.clock.advance(30.0)
        await until(lambda: room.states[-1]["inhibit"] == "stale", "stale")
        await until(lambda: room.voice.state == "degraded", "degraded")
        assert "s1" in room.voice.why


async def test_units_that_are_held_out_are_never_bled_and_compared(broker, tmp_path):
    async with running_room(tmp_path / "bal", broker.port, "hold_out = [1, 5]") as room:
        await bleeding(room)
        assert room.commands[0].cells == [3, 4, 6]
        await until(lambda: room.states[-1]["reason"][0] == "held_out", "the reason")
        assert room.states[-1]["held_out_spread_v"] == pytest.approx(0.02, abs=0.001)
