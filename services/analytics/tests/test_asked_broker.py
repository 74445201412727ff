"""What people and the BMS tell the analytics, on a real Mosquitto: tests that are announced, cells that moved."""

import asyncio

import pytest
from analytics.dossier.record_file import load_record
from analytics.ledger_file import read_ledger
from cellkeeper.contract.channels import COMMAND
from cellkeeper.runtime.session import BrokerAddress, Session
from cellkeeper.testing.broker import running_broker
from cellkeeper.testing.clock import ManualClock
from cellkeeper.testing.patience import until
from service_room import BEGIN_MS, Room, running_room, site_of
from test_analytics_broker import floating, outage

METHOD = "capacity {test}, 3 h to 1.80 V"  # braces: a method is text, never a pattern
PLAN = {"string": "s1", "method": METHOD, "planned_s": 3600.0}


@pytest.fixture
def broker(tmp_path):
    with running_broker(tmp_path / "broker") as broker:
        yield broker


def refusal(outcome: dict) -> str:
    assert outcome["kind"] == "refused", outcome
    return outcome["reason"]


async def mode_is(room: Room, mode: str) -> None:
    await until(lambda: room.modes and room.modes[-1]["mode"] == mode, f"mode {mode}")


async def test_an_announced_test_is_the_mode_the_record_and_the_dossier(broker, tmp_path):
    async with running_room(tmp_path / "state", broker.port, dossier=True) as room:
        await room.scans(65, floating, 0.05)
        await mode_is(room, "float")
        assert (await room.ask("announce_test", **PLAN))["kind"] == "applied"
        await outage(room)
        await until(lambda: "discharge.dossier" in room.kinds(), "the dossier")
        modes = [told["mode"] for told in room.modes]
        assert "discharge" not in modes
        assert any(METHOD in told["why"] for told in room.modes if told["mode"] == "test")
        await until(lambda: "test.ended" in room.kinds(), "its end is told")
        await mode_is(room, "recharge")
        (announced,) = (event for event in room.events if event["kind"] == "test.announced")
        assert METHOD in announced["text"]
        assert announced["data"]["by"] == "bms"
        folder = tmp_path / "state/analytics"
        (path,) = (folder / "events").glob("s1_*_test.json")
        record = load_record(path).record
        assert (record.kind, record.method, record.led_by) == ("test", METHOD, "bms")
        (summary,) = (folder / "dossiers").glob("s1_*_test-summary.csv")
        assert f'method,"{METHOD}",' in summary.read_text()
        assert (folder / "dossiers" / f"{path.stem}.pdf").read_bytes().startswith(b"%PDF")
        assert "test (" in next(event["text"] for event in room.events if event["kind"] == "discharge.ended")


async def test_an_announced_test_asks_nobody_for_anything(broker, tmp_path):
    asked: list[str] = []
    async with running_room(tmp_path / "state", broker.port) as room:
        await room.scans(30, floating, 0.05)
        ears = Session(address=BrokerAddress("127.0.0.1", broker.port), client_id="ears")
        ears.subscribe(COMMAND.filter(site="hh1"), lambda message: asked.append(message.topic))
        listening = asyncio.create_task(ears.run(), name="ears")
        await until(lambda: ears.is_up, "a link of its own")
        await room.ask("announce_test", **PLAN)
        await until(lambda: asked, "it hears commands")
        await outage(room)
        await until(lambda: "test.ended" in room.kinds(), "the whole test")
        await room.ask("announce_test", **PLAN | {"method": "a second one"})  # commands in order: nothing is under way
        own = COMMAND.topic(site="hh1", service="analytics", name="announce_test", issuer="bms")
        await until(lambda: len(asked) >= 2, "both of our own")
        listening.cancel()
    assert set(asked) == {own}


async def test_a_test_ends_when_it_is_said_and_the_next_discharge_is_an_outage(broker, tmp_path):
    async with running_room(tmp_path / "state", broker.port) as room:
        await room.scans(30, floating, 0.05)
        await room.ask("announce_test", **PLAN)
        await room.scans(3, floating, 0.05)
        await mode_is(room, "test")
        assert (await room.ask("end_test", string="s1"))["kind"] == "applied"
        await room.scans(10, floating, 0.05)
        await mode_is(room, "float")
        await outage(room)
        await until(lambda: list((tmp_path / "state/analytics/events").glob("s1_*_outage.json")), "a record")


async def test_a_test_that_takes_longer_than_planned_is_one_no_more(broker, tmp_path):
    async with running_room(tmp_path / "state", broker.port) as room:
        await room.scans(65, floating, 0.05)
        await room.ask("announce_test", **PLAN | {"planned_s": 60.0})
        await room.scans(50, lambda n: 1.98 - 0.0004 * n, -40.0)
        await mode_is(room, "test")
        await room.scans(20, lambda n: 1.96 - 0.0004 * n, -40.0)
        await mode_is(room, "discharge")
        (ended,) = (event for event in room.events if event["kind"] == "test.ended")
        assert "planned to be over" in ended["text"]


async def test_an_announcement_outlives_a_restart(broker, tmp_path):
    clock = ManualClock(BEGIN_MS)
    async with running_room(tmp_path / "state", broker.port, clock=clock) as room:
        await room.scans(30, floating, 0.05)
        await room.ask("announce_test", **PLAN)
        seq = room.seq
    async with running_room(tmp_path / "state", broker.port, clock=clock) as room:
        room.seq = seq
        await room.scans(5, floating, 0.05)
        await mode_is(room, "test")
        assert refusal(await room.ask("announce_test", **PLAN)) == "in_test"


async def test_what_cannot_be_is_refused_and_changes_nothing(broker, tmp_path):
    async with running_room(tmp_path / "state", broker.port) as room:
        await room.scans(30, floating, 0.05)
        assert refusal(await room.ask("announce_test", **PLAN | {"string": "s9"})) == "unknown_target"
        for wrong in (
            {"method": "ab"},
            {"method": "two\nlines"},
            {"planned_s": 5.0},
            {"planned_s": 1e7},
            {"load_a": 9},
        ):
            assert refusal(await room.ask("announce_test", **PLAN | wrong)) == "malformed"
        assert refusal(await room.ask("end_test", string="s1")) == "unknown_target"
        assert refusal(await room.ask("switch_load", string="s1")) == "unknown_command"
        for cells in (
            {"cell": 1, "other_cell": 1},
            {"cell": 1, "other_cell": 2, "happened_at": "2099-01-01T00:00:00.000Z"},
        ):
            assert refusal(await room.ask("exchange_cells", string="s1", **cells)) == "out_of_range"
        assert refusal(await room.ask("exchange_cells", string="s1", cell=1, other_cell=99)) == "unknown_target"
        await room.scans(5, floating, 0.05)
        assert room.modes[-1]["mode"] == "float"
        assert not {"test.announced", "cell.moved"} & set(room.kinds())


async def test_nothing_is_confirmed_that_the_disk_does_not_take(broker, tmp_path):
    async with running_room(tmp_path / "state", broker.port) as room:
        await room.scans(30, floating, 0.05)
        folder = tmp_path / "state/analytics"
        for name in ("learned.ckm", "learned.cells.json"):
            (folder / name).unlink(missing_ok=True)
            (folder / name).mkdir()
            (folder / name / "in-the-way").touch()
        assert refusal(await room.ask("announce_test", **PLAN)) == "busy"
        assert refusal(await room.ask("exchange_cells", string="s1", cell=1, other_cell=2)) == "busy"
        await room.scans(5, floating, 0.05)
        assert room.modes[-1]["mode"] == "float"
        assert room.analytics.book.ledger.present(("s1", 1)).cell == "s1/1/1"
        assert not {"test.announced", "cell.moved"} & set(room.kinds()), "what was refused is not told as done"


async def test_a_ledger_that_the_disk_did_not_take_is_written_when_it_does(broker, tmp_path):
    async with running_room(tmp_path / "state", broker.port) as room:
        path = tmp_path / "state/analytics/learned.cells.json"
        path.unlink(missing_ok=True)
        path.mkdir()
        (path / "in-the-way").touch()
        for cell in range(1, 9):
            room.module(f"M-{cell}00", cell)
        await until(lambda: "cell.not_saved" in room.kinds(), "the trouble is told")
        (path / "in-the-way").unlink()
        path.rmdir()
        await until(path.is_file, "it is written")
        assert len(read_ledger(path).seats) == len(room.analytics.book.ledger.seats)


async def test_modules_whose_addresses_change_places_take_their_cells_along(broker, tmp_path):
    clock = ManualClock(BEGIN_MS)
    async with running_room(tmp_path / "state", broker.port, clock=clock) as room:
        for cell in range(1, 9):
            room.module(f"M-{cell}00", cell)
        await until(lambda: len(room.analytics.book.ledger.seats) == 8, "modules")
        await room.scans(130, floating, 0.05)
        marks = room.analytics.engine.memory.soh.lives.tolist()
        room.module("M-200", 5)
        room.module("M-500", None)
        room.module("M-500", 2)
        await until(lambda: "cell.moved" in room.kinds(), "it is told")
        (told,) = (event for event in room.events if event["kind"] == "cell.moved")
        assert "cell 5 of s1 is now cell 2 of s1" in told["text"]
        assert "cellkeeper cells exchange" in told["text"]
        after = room.analytics.engine.memory.soh.lives.tolist()
        assert (after[1], after[4]) == (marks[4], marks[1])
        assert [m for at, m in enumerate(after) if at not in {1, 4}] == [
            m for at, m in enumerate(marks) if at not in {1, 4}
        ]
        seq = room.seq
    async with running_room(tmp_path / "state", broker.port, clock=clock) as room:
        room.seq = seq
        await room.scans(5, floating, 0.05)
        await until(lambda: len(room.analytics.book._heard) == 8, "retained modules")
        await asyncio.sleep(0)
        assert room.analytics.book.ledger.present(("s1", 2)).cell == "s1/5/1"
        assert room.analytics.engine.memory.soh.lives.tolist() == after
        assert "cell.moved" not in room.kinds()


async def test_a_person_corrects_what_was_concluded(broker, tmp_path):
    async with running_room(tmp_path / "state", broker.port) as room:
        await room.scans(10, floating, 0.05)
        answer = await room.ask("exchange_cells", string="s1", cell=2, other_cell=5)
        assert answer["kind"] == "applied"
        assert room.analytics.book.ledger.present(("s1", 2)).cell == "s1/5/1"
        await room.clock.advance(10.0)
        assert (await room.ask("exchange_cells", string="s1", cell=2, other_cell=5))["kind"] == "applied"
        assert room.analytics.book.ledger.present(("s1", 2)).cell == "s1/2/1"
        assert [event["string"] for event in room.events if event["kind"] == "cell.moved"] == ["s1", "s1"]


async def test_a_cell_that_site_toml_replaces_begins_a_new_life_and_the_old_one_is_kept(broker, tmp_path):
    clock = ManualClock(BEGIN_MS)
    async with running_room(tmp_path / "state", broker.port, clock=clock) as room:
        await room.scans(65, floating, 0.05)
        before, seq = room.analytics.engine.memory.soh.lives.tolist(), room.seq
    site = site_of("s1", more='[string.life]\n3 = { life = 2, since = 2027-01-10T00:00:00Z, name = "SN 4711" }')
    async with running_room(tmp_path / "state", broker.port, clock=clock, site=site) as room:
        room.seq = seq
        await room.scans(65, floating, 0.05)
        ledger = room.analytics.book.ledger
        assert ledger.names == {"s1/3/2": "SN 4711"}
        assert [(stay.cell, stay.life) for stay in ledger.stays["s1", 3]] == [("s1/3/1", 1), ("s1/3/2", 2)]
        memory = room.analytics.engine.memory
        assert [at for at, mark in enumerate(memory.soh.lives.tolist()) if mark != before[at]] == [2]
        assert memory.life.born_s[2] == pytest.approx(1_799_539_200.0), "the date, not the restart"


async def test_a_ledger_that_cannot_be_read_is_told_and_begins_anew(broker, tmp_path):
    (tmp_path / "state/analytics").mkdir(parents=True)
    (tmp_path / "state/analytics/learned.cells.json").write_text("{")
    async with running_room(tmp_path / "state", broker.port) as room:
        await until(lambda: "cell.ledger_lost" in room.kinds(), "it is told")
        assert room.analytics.book.ledger.present(("s1", 1)).cell == "s1/1/1"
