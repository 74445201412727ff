"""What we say to a broker and understand of it, in bytes written by hand from the MQTT 5.0 specification."""

import asyncio
from collections.abc import Sequence

import pytest
from cellkeeper.runtime.broker_link import LOOK_S, SILENCE_S, BrokerLink
from cellkeeper.runtime.errors import LinkLostError
from cellkeeper.runtime.mqtt_talk import (
    Denied,
    Farewell,
    Heard,
    Hello,
    Incoming,
    LastWill,
    MqttTalk,
    Subscribed,
    Wanted,
    Welcome,
)
from cellkeeper.runtime.session import is_under
from hypothesis import given
from hypothesis import strategies as st

CONNACK = bytes.fromhex("20 03 00 00 00")  # 3.2: no session, success, no properties
CONNACK_OF_TWO = bytes.fromhex("20 06 00 00 03 21 0002")  # 3.2.2.3.3: receive maximum 2
NOT_AUTHORIZED = bytes.fromhex("20 03 00 87 00")
SUBACK_SECOND_DENIED = bytes.fromhex("90 05 ffff 00 01 87")  # 3.9: number 65535, granted QoS 1, not authorized
PUBLISH = bytes.fromhex("33 0a 0003 612f62 0007 00 00ff")  # 3.3: QoS 1, retained, "a/b", number 7, two bytes
PUBLISH_ANSWERING = bytes.fromhex("30 11 0001 72 0c 08 0003 782f79 09 0003 010203 7a")  # 3.3.2.3.5 and .6
TAKEN_OVER = bytes.fromhex("e0 01 8e")  # 3.14
PINGREQ = bytes.fromhex("c0 00")
PINGRESP = bytes.fromhex("d0 00")


def puback(number: int, code: str = "") -> bytes:
    body = number.to_bytes(2, "big") + bytes.fromhex(code)
    return bytes((0x40, len(body))) + body


def publish(talk: MqttTalk, payload: bytes, qos: int = 1) -> bytes:
    talk.publish("t", payload, qos=qos, retain=False, expires_s=None, correlation=None)
    return talk.take_out()


def welcomed(connack: bytes = CONNACK) -> MqttTalk:
    talk = MqttTalk()
    talk.greet(Hello("me"))
    assert list(talk.feed(connack)) == [Welcome()]
    talk.take_out()
    return talk


def test_we_introduce_ourselves_with_a_will_and_keep_no_session():
    talk = MqttTalk()
    talk.greet(Hello("me", LastWill("w", b"gone")))
    said = talk.take_out()
    assert said[0] == 0x10
    assert said[2:9] == b"\x00\x04MQTT\x05"
    assert said[9] == 0x2E  # 3.1.2: will retained, will QoS 1, will, clean start
    assert said[10:12] == (10).to_bytes(2, "big")
    assert said.endswith(b"\x00\x02me\x00\x00\x01w\x00\x04gone")
    talk.greet(Hello("me", keep_session=True))
    kept = talk.take_out()
    assert kept[9] == 0x00
    assert b"\x11" + (3600).to_bytes(4, "big") in kept  # 3.1.2.11.2: session expiry


def test_what_is_published_is_what_the_specification_draws():
    talk = MqttTalk()
    talk.publish("a/b", b"x", qos=0, retain=True, expires_s=60.9, correlation=None)
    assert talk.take_out() == bytes.fromhex("31 0c 0003 612f62 05 02 0000003c 78")
    talk.publish("a/b", b"x", qos=1, retain=False, expires_s=None, correlation=b"id")
    assert talk.take_out() == bytes.fromhex("32 0e 0003 612f62 0001 05 09 0002 6964 78")
    talk.subscribe([Wanted("c/#", with_retained=False), Wanted("+", qos=0)])
    assert talk.take_out() == bytes.fromhex("82 0d ffff 00 0003 632f23 29 0001 2b 08")


def test_a_message_of_qos_1_is_acknowledged_and_handed_on():
    talk = welcomed()
    assert list(talk.feed(PUBLISH)) == [Incoming("a/b", b"\x00\xff", retained=True)]
    assert talk.take_out() == puback(7)
    assert list(talk.feed(PUBLISH_ANSWERING)) == [
        Incoming("r", b"z", retained=False, response_topic="x/y", correlation=b"\x01\x02\x03")
    ]
    assert not talk.has_out


@pytest.mark.parametrize(
    ("data", "heard"),
    [
        (NOT_AUTHORIZED, Farewell("not authorized")),
        (TAKEN_OVER, Farewell("session taken over")),
        (puback(1, "87"), Denied("not authorized")),
        (puback(1, "10"), None),  # no matching subscribers: taken all the same
        (PINGRESP, None),
    ],
)
def test_what_the_broker_holds_against_us_is_said_in_words(data: bytes, heard: Heard | None):
    assert list(welcomed().feed(data)) == ([heard] if heard else [])


def test_denied_subscriptions_are_named():
    talk = welcomed()
    talk.subscribe([Wanted("a"), Wanted("b/#")])
    assert list(talk.feed(SUBACK_SECOND_DENIED)) == [Subscribed(denied=("b/#",))]


def test_no_more_is_under_way_than_the_broker_takes_and_order_is_kept():
    talk = welcomed(CONNACK_OF_TWO)
    said = [publish(talk, payload) for payload in (b"1", b"2", b"3", b"4")]
    assert [data[-1:] for data in said] == [b"1", b"2", b"", b""]
    assert publish(talk, b"quick", qos=0).endswith(b"quick")
    assert talk.unanswered == 4
    assert not list(talk.feed(puback(2)))
    assert talk.take_out().endswith(b"3")
    assert not list(talk.feed(puback(1) + puback(3)))
    assert talk.take_out().endswith(b"4")
    assert talk.unanswered == 1


def test_a_number_is_free_only_when_it_was_answered():
    talk = welcomed()
    for _ in range(4):
        publish(talk, b"")
    list(talk.feed(puback(2)))
    rest = [publish(talk, b"") for _ in range(65_534 - 3)]
    numbers = [int.from_bytes(said[5:7], "big") for said in rest]
    assert sorted(numbers) == [2, *range(5, 65_535)]  # 65535 is the subscription's


@given(data=st.data())
def test_chunk_borders_never_change_what_is_heard(data: st.DataObject):
    packets = data.draw(st.lists(st.sampled_from([PUBLISH, PUBLISH_ANSWERING, PINGRESP, puback(9, "87")]), max_size=6))
    stream = b"".join(packets)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    whole, cut = welcomed(), welcomed()
    heard: list[Heard] = []
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        heard += cut.feed(stream[start:stop])
    assert heard == list(whole.feed(stream))
    assert cut.take_out() == whole.take_out()


@given(noise=st.binary(max_size=200))
def test_noise_ends_the_talk_and_nothing_else(noise: bytes):
    try:
        list(welcomed().feed(noise))
    except LinkLostError as exc:
        assert "MQTT 5" in str(exc)  # noqa: PT017  # most noise is no packet, some waits for more, some is one


def test_a_packet_without_end_is_not_collected():
    endless = bytes.fromhex("30 ff ff ff 7f 0001 61 00")  # announces 268 MB
    with pytest.raises(LinkLostError, match="more than"):
        list(welcomed().feed(endless + bytes(400_000)))


class Wire(asyncio.Transport):
    """The other end of a link, as far as asyncio shows it."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        del high, low

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def resume_reading(self) -> None:
        pass


async def linked() -> tuple[BrokerLink, Wire]:
    link, wire = BrokerLink(lambda _reason: None), Wire()
    link.connection_made(wire)
    begun = asyncio.create_task(link.begin(Hello("me"), []))
    await asyncio.sleep(0)
    link.data_received(CONNACK)
    await begun
    wire.writes.clear()
    return link, wire


async def test_a_turn_of_the_loop_is_one_write_in_order():
    link, wire = await linked()
    assert all(link.publish("t", payload, qos=1) for payload in (b"1", b"2", b"3"))
    assert wire.writes == []
    link.data_received(PUBLISH)
    await asyncio.sleep(0)
    assert len(wire.writes) == 1
    assert wire.writes[0].endswith(b"3" + puback(7))
    assert link.backlog() == 3
    link.data_received(b"".join(puback(number) for number in (1, 2, 3)))
    assert link.backlog() == 0
    link.connection_lost(None)


async def test_messages_before_the_end_are_handed_on_and_then_the_reason():
    link, wire = await linked()
    link.data_received(PUBLISH + TAKEN_OVER)
    assert wire.closed
    assert not link.publish("t", b"", qos=0)
    assert await link.arrived() == [Incoming("a/b", b"\x00\xff", retained=True)]
    with pytest.raises(LinkLostError, match="session taken over"):
        await link.arrived()


async def test_a_link_that_takes_no_more_says_so_until_it_does():
    link, _wire = await linked()
    link.pause_writing()
    assert not link.publish("t", b"", qos=0)
    link.resume_writing()
    assert link.publish("t", b"", qos=0)
    link.connection_lost(None)


async def test_a_broker_that_says_nothing_is_asked_and_then_given_up():
    link, wire = await linked()
    link._heard_s -= LOOK_S
    link._look_alive()
    assert wire.writes == [PINGREQ]
    link.data_received(PINGRESP)
    link._heard_s -= SILENCE_S
    link._look_alive()
    assert wire.closed
    with pytest.raises(LinkLostError, match="silent for 15 s"):
        await link.arrived()


async def test_who_is_refused_is_told_why():
    link, wire = BrokerLink(lambda _reason: None), Wire()
    link.connection_made(wire)
    begun = asyncio.create_task(link.begin(Hello("me"), []))
    await asyncio.sleep(0)
    link.data_received(NOT_AUTHORIZED)
    with pytest.raises(LinkLostError, match="not authorized"):
        await begun


def test_topics_are_told_apart_by_level():
    cases: Sequence[tuple[str, str, bool]] = [
        ("a/b", "a/b", True),
        ("a/b", "a/+", True),
        ("a/b", "+", False),
        ("a", "a/+", False),
        ("a/b/c", "a/#", True),
        ("a", "a/#", True),
        ("b/a", "a/#", False),
        ("a/b/c", "a/+/c", True),
        ("a/b/d", "a/+/c", False),
        ("a/b/c", "a/b", False),
        ("", "#", True),
    ]
    assert [is_under(topic, topic_filter) for topic, topic_filter, _ in cases] == [wanted for *_, wanted in cases]
