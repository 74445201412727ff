"""The gateway on a real Mosquitto with a fake driver: what a reader outside sees."""

import asyncio
import json

import pytest
from bus_gateway.driver import ModuleRecord
from bus_gateway.uplink.retained import ShownFile
from cellkeeper import __version__
from cellkeeper.contract.channels import AUX, CELL, DCBUS, MODULE, PRESENCE, SITE_META, STRING_META, SUMMARY
from cellkeeper.contract.moment import from_ms
from cellkeeper.contract.notices import Presence
from cellkeeper.contract.telemetry import CellState, DcBusState, SiteMeta, StringMeta, StringSummary
from cellkeeper.contract.wire import decode, encode
from cellkeeper.runtime.session import BrokerAddress, Session
from cellkeeper.testing.broker import running_broker
from cellkeeper.testing.patience import until
from gateway_room import Reader, running_room, site_of


@pytest.fixture
def broker(tmp_path):
    with running_broker(tmp_path / "broker") as broker:
        yield broker


def reader_of(broker, *filters, gives_receipts=True, client_id="reader"):
    reader = Reader(Session(address=BrokerAddress("127.0.0.1", broker.port), client_id=client_id), gives_receipts)
    for each in filters:
        reader.also(each)
    return reader


async def test_scans_flow_in_order_and_receipts_free_the_journal(broker, tmp_path):
    async with running_room(site_of(strings=2), tmp_path / "gw", broker) as room:
        await until(lambda: len(room.reader.seen) >= 20, "20 scans")
        await until(lambda: room.gateway.keeper.book.waiting_scans() <= 2, "receipts")
        assert room.voice.state == "ready"
    for string in ("s1", "s2"):
        (seqs,) = room.reader.seqs(string).values()
        assert seqs == list(range(1, len(seqs) + 1))
    assert set(map(tuple, room.reader.topics.values())) == {("scan",)}


async def test_every_seq_arrives_after_broker_kill_and_none_is_new_after_its_receipt(broker, tmp_path):
    async with running_room(site_of(strings=2, scan_s=0.1), tmp_path / "gw", broker) as room:
        await until(lambda: len(room.reader.seen) >= 10, "first scans")
        broker.kill()
        kept = room.gateway.keeper.book.given_to(room.gateway.keeper.book.key_of("s1"))
        await until(
            lambda: room.gateway.keeper.book.given_to(room.gateway.keeper.book.key_of("s1")) >= kept + 20, "outage"
        )
        broker.start()
        await until(lambda: room.reader.session.counters.connects >= 2, "reader back")
        await until(
            lambda: room.gateway.keeper.book.waiting_scans() <= 4 and len(room.reader.seen) >= 2 * kept + 40,
            "backfill",
        )
    for string in ("s1", "s2"):
        (seqs,) = room.reader.seqs(string).values()
        assert seqs == list(range(1, len(seqs) + 1))
    assert any("backfill" in topics for topics in room.reader.topics.values())


async def test_restart_goes_on_in_the_same_stream_and_sends_what_nobody_stored(broker, tmp_path):
    async with running_room(site_of(), tmp_path / "gw", broker, reader=reader_of(broker, gives_receipts=False)) as room:
        await until(lambda: len(room.reader.seen) >= 10, "first scans")
    first = room.reader.seqs("s1")
    async with running_room(site_of(), tmp_path / "gw", broker) as room:
        await until(lambda: room.gateway.keeper.book.covered_to(room.gateway.keeper.book.key_of("s1")) > 12, "stored")
    assert room.reader.seqs("s1").keys() == first.keys()
    (seqs,) = room.reader.seqs("s1").values()
    assert seqs[:12] == list(range(1, 13))


async def test_retained_topics_describe_the_site_and_pass_the_contract(broker, tmp_path):
    topics = {
        SITE_META: SiteMeta,
        STRING_META: StringMeta,
        SUMMARY: StringSummary,
        CELL: CellState,
        DCBUS: DcBusState,
    }
    async with running_room(site_of(), tmp_path / "gw", broker) as room:
        await until(lambda: room.gateway.uplink.counters.cells >= 8, "cells shown")
        await until(lambda: room.voice.state == "ready", "ready")
        late = reader_of(broker, *(channel.filter() for channel in topics), PRESENCE.filter(), client_id="late")
        task = asyncio.create_task(late.session.run())
        await until(lambda: len({message.topic for message in late.messages if message.retained}) >= 13, "retained")
        await until(lambda: any(b'"on_battery":"no"' in message.payload for message in late.messages), "dc bus")
        task.cancel()
    for message in late.messages:
        for channel, model in topics.items():
            if channel.match(message.topic):
                decode(model, message.payload)
    dcbus = [decode(DcBusState, m.payload) for m in late.messages if DCBUS.match(m.topic)][-1]
    assert dcbus.total_a.value == pytest.approx(0.1)


async def test_a_dead_port_shows_as_silence_and_degraded_presence(broker, tmp_path):
    async with running_room(site_of(), tmp_path / "gw", broker, reader=reader_of(broker, SUMMARY.filter())) as room:
        await until(lambda: room.voice.state == "ready", "ready")
        room.driver.dead = True
        await until(lambda: room.voice.state == "degraded", "degraded")
        await until(lambda: any(json.loads(m.payload)["good"] == 0 for m in room.reader.messages), "silent summary")
        room.driver.dead = False
        await until(lambda: room.voice.state == "ready", "ready again")
    (seqs,) = room.reader.seqs("s1").values()
    assert seqs == list(range(1, len(seqs) + 1))


def record_at(serial, address):
    place = {"bus": "b1", "address": address, "string": "s1", "cell": address}
    versions = {"type": "C44", "hardware": "1.0", "firmware": "1.0.0"}
    return ModuleRecord(serial, f"{address:016x}", "cell", **versions, **place, status=0, resets=0, silent=False)


async def test_no_topic_is_shown_before_it_is_remembered(broker, tmp_path):
    reader = reader_of(broker)
    unknown, known = [], set()

    def look(message):
        remembered = set(ShownFile(tmp_path / "gw/shown-topics.json").read("hh1").topics())
        (known.add if message.topic in remembered else unknown.append)(message.topic)

    for channel in (CELL, MODULE, AUX, STRING_META, SITE_META, SUMMARY):
        reader.session.subscribe(channel.filter(), look)
    async with running_room(site_of(cells=4), tmp_path / "gw", broker, reader=reader) as room:
        room.driver.known = [record_at("C44-0000001", 1), record_at("C44-0000002", 2)]
        await until(lambda: any(map(MODULE.match, known)), "modules shown")
        await until(lambda: sum(map(bool, map(CELL.match, known))) == 4, "cells shown")
    assert unknown == []


async def test_what_site_toml_no_longer_has_loses_its_topics(broker, tmp_path):
    async with running_room(site_of(strings=2, cells=4), tmp_path / "gw", broker) as room:
        await until(lambda: room.gateway.uplink.counters.cells >= 8, "cells shown")
    async with running_room(site_of(strings=1, cells=3), tmp_path / "gw", broker) as room:
        await until(lambda: room.voice.state == "ready", "ready")
        await until(room.gateway.showcase.board.flush, "cleared")
        await asyncio.sleep(0.2)
        late = reader_of(broker, "cellkeeper/v1/hh1/string/#", client_id="late")
        task = asyncio.create_task(late.session.run())
        await until(lambda: sum(m.retained for m in late.messages) >= 6, "retained")
        task.cancel()
    topics = {message.topic for message in late.messages if message.retained}
    assert not [topic for topic in topics if "/s2/" in topic and not topic.endswith("/stored")]
    assert "cellkeeper/v1/hh1/string/s1/cell/4" not in topics
    assert "cellkeeper/v1/hh1/string/s1/cell/3" in topics


async def test_the_site_names_every_service_it_knows_of_and_every_one_that_was_seen(broker, tmp_path):
    async with running_room(site_of(), tmp_path / "gw", broker, reader=reader_of(broker, SITE_META.filter())) as room:

        def meta() -> SiteMeta:
            return decode(SiteMeta, room.reader.messages[-1].payload)

        def speaks(service: str, version: str) -> None:
            body = Presence(service=service, state="gone", at=from_ms(0), version=version)
            topic = PRESENCE.topic(site="hh1", service=service)
            room.reader.session.publish(topic, encode(body), qos=1, retain=True)

        await until(lambda: bool(room.reader.messages), "site meta")
        assert (meta().services, meta().versions) == (["bus-gateway"], {"bus-gateway": __version__})
        speaks("historian", "0.9.3")
        await until(lambda: meta().services == ["bus-gateway", "historian"], "a service that was seen")
        assert meta().versions["historian"] == "0.9.3"
        speaks("historian", "0.9.4")
        await until(lambda: meta().versions["historian"] == "0.9.4", "its new version")
        room.reader.session.publish(PRESENCE.topic(site="hh1", service="historian"), b"", qos=1, retain=True)
        await until(lambda: meta().services == ["bus-gateway"], "a service whose topic was cleared")
