"""What we and a broker say to each other, MQTT 5 without any input or output; the only file that knows an MQTT library.

The library turns packets into bytes and back. Here is what spans several packets: numbers of messages, who still waits
for an answer, and the broker's bound of them. QoS 0 and 1; a talk is for one connection and never goes on.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import mqtt5

from cellkeeper.contract.wire import MAX_PAYLOAD_BYTES
from cellkeeper.runtime.errors import LinkLostError

KEEPALIVE_S: Final = 10  # what we promise the broker; it gives up on us after one and a half of it
SESSION_KEPT_S: Final = 3600  # a broker queue is an optimisation: receipts and backfill make up for what it drops
MAX_PACKET_BYTES: Final = MAX_PAYLOAD_BYTES + 80 * 1024  # the longest topic and properties beside the payload
_SUBSCRIBING: Final = 65_535  # the one number that no message gets
_REFUSED: Final = 0x80  # and above: values of reason codes that say no (the codes themselves do not compare)


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message as it arrived."""

    topic: str
    payload: bytes
    retained: bool
    response_topic: str | None = None
    correlation: bytes | None = None


@dataclass(frozen=True, slots=True)
class LastWill:
    """What the broker says for us when we vanish; retained."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Hello:
    """How we introduce ourselves: our id, our last will, and if the broker keeps our session while we are away."""

    client_id: str
    will: LastWill | None = None
    keep_session: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """A topic filter to subscribe to; without `with_retained` what is retained does not come."""

    topic_filter: str
    qos: int = 1
    with_retained: bool = True


@dataclass(frozen=True, slots=True)
class Welcome:
    """The broker takes us."""


@dataclass(frozen=True, slots=True)
class Subscribed:
    """What came of our subscriptions; `denied` are filters we may not read."""

    denied: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Denied:
    """The broker's policy refuses a message of ours."""

    reason: str


@dataclass(frozen=True, slots=True)
class Farewell:
    """The broker does not want us, or not any more."""

    reason: str


type Heard = Incoming | Welcome | Subscribed | Denied | Farewell


class MqttTalk:
    """Our side of one connection: say things, send `take_out`, feed what arrives."""

    def __init__(self) -> None:
        self._out: list[bytes] = []
        self._received = b""
        self._wanted: Sequence[Wanted] = ()
        self._last_id = 0
        self._unanswered: set[int] = set()
        self._held: deque[bytes] = deque()
        self._most_under_way = _SUBSCRIBING

    @property
    def unanswered(self) -> int:
        """How many messages of QoS 1 the broker has not acknowledged."""
        return len(self._unanswered)

    @property
    def has_out(self) -> bool:
        """Whether there are bytes to send."""
        return bool(self._out)

    def take_out(self) -> bytes:
        """Return what is to be sent now, in order, and forget it."""
        out, self._out = self._out, []
        return b"".join(out)

    def greet(self, hello: Hello) -> None:
        """Ask to be taken; `Welcome` or `Farewell` answers."""
        packet = mqtt5.ConnectPacket(
            hello.client_id,
            will=None if hello.will is None else _will_of(hello.will),
            clean_start=not hello.keep_session,
            session_expiry_interval=SESSION_KEPT_S if hello.keep_session else 0,
            keep_alive=KEEPALIVE_S,
            max_packet_size=MAX_PACKET_BYTES,
        )
        self._out.append(packet.write())

    def subscribe(self, wanted: Sequence[Wanted]) -> None:
        """Ask for topics; `Subscribed` answers."""
        self._wanted = wanted
        self._out.append(mqtt5.SubscribePacket(_SUBSCRIBING, [_filter_of(each) for each in wanted]).write())

    def publish(  # what a message can have
        self, topic: str, payload: bytes, *, qos: int, retain: bool, expires_s: float | None, correlation: bytes | None
    ) -> None:
        """Say a message; one of QoS 1 waits here while the broker takes no more of them."""
        packet = mqtt5.PublishPacket(
            topic,
            payload,
            qos=mqtt5.QoS.AT_LEAST_ONCE if qos else mqtt5.QoS.AT_MOST_ONCE,
            retain=retain,
            packet_id=self._next_id() if qos else None,
            message_expiry_interval=None if expires_s is None else max(1, int(expires_s)),
            correlation_data=correlation,
        )
        if qos and self._under_way > self._most_under_way:
            self._held.append(packet.write())
        else:
            self._out.append(packet.write())

    def ping(self) -> None:
        """Ask for a sign of life."""
        self._out.append(mqtt5.PingReqPacket().write())

    def take_leave(self) -> None:
        """Say that we go, so that the last will is not said."""
        self._out.append(mqtt5.DisconnectPacket().write())

    def feed(self, data: bytes) -> Iterator[Heard]:
        """Take bytes that arrived in any portions and yield what they say.

        Raises:
            LinkLostError: they are not MQTT 5, or a packet of them is larger than we said we take.
        """
        stream = self._received + data if self._received else data
        view, position = memoryview(stream), 0
        while position < len(stream):
            try:
                packet, size = mqtt5.read(view[position:])
            except IndexError:  # the library's word for a packet that is not all there yet
                break
            except ValueError as exc:
                raise LinkLostError(f"the broker sent something that is not MQTT 5: {exc}") from exc
            position += size
            yield from self._heard(packet)
        self._received = stream[position:]
        if len(self._received) > MAX_PACKET_BYTES:
            raise LinkLostError(f"the broker sends a packet of more than {MAX_PACKET_BYTES} bytes")

    def _heard(self, packet: mqtt5.Packet) -> Iterator[Heard]:
        match packet:
            case mqtt5.PublishPacket():
                if packet.packet_id is not None:
                    self._out.append(mqtt5.PubAckPacket(packet.packet_id).write())
                yield Incoming(
                    packet.topic, packet.payload, packet.retain, packet.response_topic, packet.correlation_data
                )
            case mqtt5.PubAckPacket():
                self._acknowledged(packet.packet_id)
                if packet.reason_code.value >= _REFUSED:
                    yield Denied(_words(packet.reason_code))
            case mqtt5.ConnAckPacket():
                self._most_under_way = packet.receive_max
                yield Farewell(_words(packet.reason_code)) if packet.reason_code.value else Welcome()
            case mqtt5.SubAckPacket():
                answers = zip(self._wanted, packet.reason_codes, strict=False)
                yield Subscribed(tuple(wanted.topic_filter for wanted, code in answers if code.value >= _REFUSED))
            case mqtt5.DisconnectPacket():
                yield Farewell(packet.reason_str or _words(packet.reason_code))
            case _:
                pass  # PINGRESP: that it came is all it says

    @property
    def _under_way(self) -> int:
        return len(self._unanswered) - len(self._held)

    def _acknowledged(self, number: int) -> None:
        self._unanswered.discard(number)
        while self._held and self._under_way < self._most_under_way:
            self._out.append(self._held.popleft())

    def _next_id(self) -> int:
        while True:
            self._last_id = self._last_id % (_SUBSCRIBING - 1) + 1
            if self._last_id not in self._unanswered:
                self._unanswered.add(self._last_id)
                return self._last_id


def _will_of(will: LastWill) -> mqtt5.Will:
    return mqtt5.Will(will.topic, payload=will.payload, qos=mqtt5.QoS.AT_LEAST_ONCE, retain=True)


def _filter_of(wanted: Wanted) -> mqtt5.TopicFilter:
    return mqtt5.TopicFilter(
        wanted.topic_filter,
        max_qos=mqtt5.QoS(wanted.qos),
        retain_as_published=True,
        retain_handling=mqtt5.RetainHandling.SEND_ALWAYS if wanted.with_retained else mqtt5.RetainHandling.SEND_NEVER,
    )


def _words(code: IntEnum) -> str:
    return code.name.lower().replace("_", " ")
