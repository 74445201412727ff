"""Commands over a real Mosquitto: at most once, only when it is safe, and always answered."""

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import numpy as np
import pytest
from cellkeeper.contract.channels import COMMAND, IMPEDANCE, MODE, OUTCOME
from cellkeeper.contract.moment import from_ms
from cellkeeper.contract.outcomes import CommandOutcome
from cellkeeper.contract.telemetry import ImpedanceSweep, StringMode
from cellkeeper.contract.wire import decode, encode
from cellkeeper.runtime.session import BrokerAddress, Session
from cellkeeper.testing.broker import running_broker
from cellkeeper.testing.patience import until
from gateway_room import Reader, running_room, site_of


@pytest.fixture
def broker(tmp_path):
    with running_broker(tmp_path / "broker") as broker:
        yield broker


class Asker:
    """Sends commands through the room's reader and waits for outcomes by id."""

    def __init__(self, broker):
        self.reader = Reader(Session(address=BrokerAddress("127.0.0.1", broker.port), client_id="reader"))
        self.reader.also(OUTCOME.filter())
        self.reader.also(IMPEDANCE.filter())

    def body(self, expires_s=30.0, **fields):
        expires = (datetime.now(UTC) + timedelta(seconds=expires_s)).isoformat(timespec="milliseconds")
        return {"v": 1, "id": str(uuid4()), "expires_at": expires.replace("+00:00", "Z"), **fields}

    async def ask(self, name, body, *, retain=False, raw=None):
        topic = COMMAND.topic(site="hh1", service="bus-gateway", name=name, issuer="tester")
        before = len(self.outcomes())
        payload = raw if raw is not None else json.dumps(body).encode()
        assert self.reader.session.publish(topic, payload, qos=1, retain=retain)
        await until(lambda: len(self.outcomes()) > before, f"outcome of {name}")
        return self.outcomes()[-1]

    def outcomes(self):
        return [decode(CommandOutcome, m.payload) for m in self.reader.messages if OUTCOME.match(m.topic)]


def bleed(asker, duty=0.5, **changes):
    return asker.body(**({"string": "s1", "cells": [2, 3], "bleed_frac": [duty, duty], "hold_s": 30.0} | changes))


async def ready(room):
    """Wait until the gateway can tell that its string is not on battery: before its first scan it refuses, rightly."""
    await until(lambda: room.voice.state == "ready" and room.reader.session.is_up, "ready")
    await until(lambda: room.reader.seen, "the first scan")


async def test_a_bleed_is_applied_held_renewed_and_stopped(broker, tmp_path):
    asker = Asker(broker)
    async with running_room(site_of(), tmp_path / "gw", broker, reader=asker.reader) as room:
        await ready(room)
        body = bleed(asker)
        answer = await asker.ask("bleed", body)
        assert (answer.outcome.kind, str(answer.id)) == ("applied", body["id"])
        assert room.driver.bleed == {"s1": {2: 0.5, 3: 0.5}}
        assert room.gateway.actions.holds.held == ("s1",)
        again = await asker.ask("bleed", body)
        assert (again.outcome.kind, again.outcome.reason) == ("refused", "repeated")
        assert len(room.driver.asked) == 1
        stopped = await asker.ask("stop_bleed", asker.body())
        assert stopped.outcome.kind == "applied"
        assert room.driver.bleed == {}
        assert room.gateway.actions.holds.held == ()


async def test_ids_are_remembered_across_restarts(broker, tmp_path):
    asker = Asker(broker)
    async with running_room(site_of(), tmp_path / "gw", broker, reader=asker.reader) as room:
        await ready(room)
        body = bleed(asker)
        assert (await asker.ask("bleed", body)).outcome.kind == "applied"
    async with running_room(site_of(), tmp_path / "gw", broker, reader=asker.reader) as room:
        await ready(room)
        assert (await asker.ask("bleed", body)).outcome.reason == "repeated"
        assert room.driver.asked == []


async def test_what_cannot_be_a_command_is_refused_and_nothing_happens(broker, tmp_path):
    asker = Asker(broker)
    async with running_room(site_of(), tmp_path / "gw", broker, reader=asker.reader) as room:
        await ready(room)
        cases = [
            ("bleed", bleed(asker) | {"expires_at": "2020-01-01T00:00:00.000Z"}, "expired"),
            ("bleed", bleed(asker, expires_s=1.0) | asker.body(expires_s=7200.0), "too_far_ahead"),
            ("bleed", bleed(asker) | {"extra": 1}, "malformed"),
            ("bleed", bleed(asker) | {"hold_s": 61.0}, "malformed"),
            ("close_breaker", asker.body(), "unknown_command"),
            ("bleed", bleed(asker, string="s9"), "unknown_target"),
            ("bleed", bleed(asker, cells=[2, 9]), "unknown_target"),
            ("search_modules", asker.body(bus="b7"), "unknown_target"),
        ]
        for name, body, reason in cases:
            answer = await asker.ask(name, body)
            assert answer.outcome.reason == reason, (name, reason)
        assert (await asker.ask("bleed", None, raw=b"\xff")).outcome.reason == "malformed"
        retained = await asker.ask("bleed", bleed(asker), retain=True)
        assert (retained.outcome.reason, retained.outcome.detail) == ("malformed", "a command must not be retained")
        assert room.driver.asked == []


async def test_nothing_stresses_a_string_on_battery_or_unknown_or_forbidden(broker, tmp_path):
    asker = Asker(broker)
    async with running_room(site_of(), tmp_path / "gw", broker, reader=asker.reader) as room:
        await ready(room)
        situations = {
            "on_battery": {"scalars": {"current_a": -40.0}},
            "state_unknown": {"scalars": {}, "cell_v": np.full(8, 2.2)},
            "stale_cells": {"quality": np.array([0, 2, 0, 0, 0, 0, 0, 0], dtype=np.uint8)},
        }
        for reason, changes in situations.items():
            room.driver.changes["s1"] = changes
            done = room.driver.sweeps
            await until(lambda done=done: room.driver.sweeps > done + 2, "next scans")
            assert (await asker.ask("bleed", bleed(asker))).outcome.reason == reason
            if reason != "stale_cells":
                assign = asker.body(bus="b1", uid="0011223344556677", address=9)
                assert (await asker.ask("assign_address", assign)).outcome.reason == reason
        assert (await asker.ask("bleed", bleed(asker, duty=0.0))).outcome.kind == "applied"
        room.driver.changes.clear()
        done = room.driver.sweeps
        await until(lambda: room.driver.sweeps > done + 2, "next scans")
        now = from_ms(room.gateway.clock.now_ms())
        mode = StringMode(string="s1", mode="discharge", since=now, measured_at=now, why="test")
        room.reader.session.publish(MODE.topic(site="hh1", string="s1"), encode(mode), qos=1, retain=True)
        await until(lambda: room.gateway.actions.tower.mode("s1") == "discharge", "mode")
        assert (await asker.ask("bleed", bleed(asker))).outcome.reason == "mode_forbids"
        assert [each for each in room.driver.asked if each[0] != "set_bleed" or any(each[3])] == []


async def test_impedance_is_measured_published_and_shown_per_cell(broker, tmp_path):
    asker = Asker(broker)
    async with running_room(site_of(), tmp_path / "gw", broker, reader=asker.reader) as room:
        await ready(room)
        answer = await asker.ask("measure_impedance", asker.body(string="s1", cells=[1, 8]))
        assert answer.outcome.impedance_ohm == [0.0005, 0.0005]
        await until(lambda: any(IMPEDANCE.match(m.topic) for m in asker.reader.messages), "impedance topic")
    sweep = next(decode(ImpedanceSweep, m.payload) for m in asker.reader.messages if IMPEDANCE.match(m.topic))
    assert (sweep.cells, sweep.r_ohm, sweep.mode) == ([1, 8], [0.0005, 0.0005], "unknown")


async def test_a_bleed_ends_when_the_string_goes_on_battery(broker, tmp_path):
    asker = Asker(broker)
    async with running_room(site_of(), tmp_path / "gw", broker, reader=asker.reader) as room:
        await ready(room)
        assert (await asker.ask("bleed", bleed(asker))).outcome.kind == "applied"
        room.driver.changes["s1"] = {"scalars": {"current_a": -40.0}}
        await until(lambda: room.driver.bleed["s1"] == {2: 0.0, 3: 0.0}, "zero")
        await until(lambda: room.gateway.actions.holds.held == (), "no hold")
