"""The session against a real Mosquitto: it comes back, it never mixes, nothing old reaches who obeys."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from cellkeeper.runtime.broker import Broker, running_broker
from cellkeeper.runtime.errors import DuplicateServiceError
from cellkeeper.runtime.session import BrokerAddress, Incoming, LastWill, Session
from cellkeeper.testing.patience import PATIENCE_S, until
from cellkeeper.testing.sessions import linked

MORTAL = """
import asyncio, sys
from cellkeeper.runtime.session import BrokerAddress, LastWill, Session
address = BrokerAddress("127.0.0.1", int(sys.argv[1]))
session = Session(address=address, client_id="mortal", will=LastWill("will", b"gone"))
session.on_link(lambda: session.publish("here", b"1", qos=1))
asyncio.run(session.run())
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with running_broker(tmp_path) as running:
        yield running


def session_to(broker: Broker, client_id: str, **changes: object) -> Session:
    return Session(address=BrokerAddress("127.0.0.1", broker.port), client_id=client_id, rng=Random(1), **changes)  # type: ignore[arg-type]


def collect(session: Session, topic_filter: str, **options: object) -> list[Incoming]:
    seen: list[Incoming] = []
    session.subscribe(topic_filter, seen.append, **options)  # type: ignore[arg-type]
    return seen


async def test_a_message_travels_as_it_is(broker: Broker):
    reader, writer = session_to(broker, "reader"), session_to(broker, "writer")
    seen = collect(reader, "a/+")
    async with linked(reader, writer):
        assert writer.publish("a/b", b"\x00\xff", qos=1, correlation=b"id")
        await until(lambda: len(seen) == 1)
        await until(lambda: writer.backlog() == 0)
    assert seen == [Incoming("a/b", b"\x00\xff", retained=False, response_topic=None, correlation=b"id")]


async def test_without_a_link_publish_says_so():
    session = Session(address=BrokerAddress("127.0.0.1", 1), client_id="x")
    assert not session.publish("a", b"", qos=1)
    assert session.counters.refused == 1


async def test_it_comes_back_after_the_broker_was_killed(broker: Broker):
    reader, writer = session_to(broker, "reader"), session_to(broker, "writer")
    links: list[int] = []
    writer.on_link(lambda: links.append(writer.counters.connects))
    seen = collect(reader, "a")
    async with linked(reader, writer):
        broker.kill()
        await until(lambda: not writer.is_up and not reader.is_up)
        assert not writer.publish("a", b"lost", qos=1)
        await asyncio.to_thread(broker.start)
        await until(lambda: writer.is_up and reader.is_up)
        assert writer.publish("a", b"again", qos=1)
        await until(lambda: len(seen) == 1)
    assert [message.payload for message in seen] == [b"again"]
    assert links == [1, 2]


async def test_the_last_will_is_said_when_the_process_vanishes(broker: Broker):
    reader = session_to(broker, "reader")
    seen, presence = collect(reader, "will"), collect(reader, "here")
    async with linked(reader):
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", MORTAL, str(broker.port))
        await until(lambda: len(presence) == 1)
        process.kill()
        await process.wait()
        await until(lambda: len(seen) == 1)
    assert seen[0].payload == b"gone"


async def test_who_comes_second_with_the_same_id_stops_and_the_first_goes_on(broker: Broker):
    first, second = session_to(broker, "twice"), session_to(broker, "twice")
    for session, word in ((first, b"first"), (second, b"second")):
        session.will = LastWill("service/twice", b"gone")
        session.on_link(lambda s=session, w=word: s.publish("service/twice", w, qos=1, retain=True))
    running_first = asyncio.create_task(first.run())
    await until(lambda: first.is_up)
    first.short_link_s = 0.0  # it has been there for long
    with pytest.raises(DuplicateServiceError, match="another process speaks as twice"):
        async with asyncio.timeout(PATIENCE_S):
            await second.run()
    await until(lambda: first.is_up)
    assert not running_first.done()
    running_first.cancel()


async def test_what_is_retained_does_not_reach_who_obeys(broker: Broker):
    writer = session_to(broker, "writer")
    async with linked(writer):
        writer.publish("command/x", b"old", qos=1, retain=True)
        await until(lambda: writer.backlog() == 0)
        obeying, viewing = session_to(broker, "obeying"), session_to(broker, "viewing")
        commands = collect(obeying, "command/#", with_retained=False)
        views = collect(viewing, "command/#")
        async with linked(obeying, viewing):
            await until(lambda: len(views) == 1)
            assert views[0].retained
            writer.publish("command/x", b"new", qos=1)
            await until(lambda: len(commands) == 1)
    assert [message.payload for message in commands] == [b"new"]


async def test_nothing_old_waits_for_who_obeys_and_something_for_who_records(broker: Broker):
    obeying, recording = session_to(broker, "obeying"), session_to(broker, "recording", keep_session=True)
    commands, records = collect(obeying, "x"), collect(recording, "x")
    async with linked(obeying, recording):
        pass
    writer = session_to(broker, "writer")
    async with linked(writer):
        writer.publish("x", b"while away", qos=1)
        await until(lambda: writer.backlog() == 0)
        async with linked(obeying, recording):
            await until(lambda: len(records) == 1)
            writer.publish("x", b"live", qos=1)
            await until(lambda: len(records) == 2)
            await until(lambda: len(commands) == 1)
    assert [message.payload for message in commands] == [b"live"]
    assert [message.payload for message in records] == [b"while away", b"live"]


async def test_an_expired_picture_is_not_shown_to_a_latecomer(broker: Broker):
    writer = session_to(broker, "writer")
    async with linked(writer):
        writer.publish("kept", b"1", qos=1, retain=True)
        writer.publish("expiring", b"1", qos=1, retain=True, expires_s=1.0)
        await until(lambda: writer.backlog() == 0)
        await asyncio.sleep(2.2)  # the broker counts whole real seconds: there is no clock to move in it
        late = session_to(broker, "late")
        seen = collect(late, "#")
        async with linked(late):
            await until(lambda: len(seen) >= 1)
            writer.publish("end", b"", qos=1)
            await until(lambda: seen[-1].topic == "end")
    assert [message.topic for message in seen] == ["kept", "end"]


async def test_a_burst_of_a_large_room_arrives_whole(broker: Broker):
    reader, writer = session_to(broker, "reader"), session_to(broker, "writer")
    seen = collect(reader, "cell/+", qos=0)
    async with linked(reader, writer):
        taken = [writer.publish(f"cell/{cell}", b"x" * 150, qos=0, retain=True) for cell in range(4096)]
        await until(lambda: len(seen) == 4096)
    assert all(taken)
    assert {message.topic for message in seen} == {f"cell/{cell}" for cell in range(4096)}
