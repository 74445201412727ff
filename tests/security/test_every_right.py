"""Who may publish, subscribe and receive what: every user × every topic on real brokers, by a table written by hand."""

import orjson
import pytest
from cellkeeper.contract.channels import CHANNELS
from cellkeeper.contract.examples import command_examples, telemetry_examples
from cellkeeper.contract.wire import MAX_PAYLOAD_BYTES, encode
from cellkeeper.site_folder.furnish import load_access
from cellkeeper.site_folder.layout import SiteFolder
from cellkeeper.testing.real_brokers import SecuredBroker
from guarded_site import KINDS, ROOT, Outsiders, PlainClient, context_of, everybody

G1, G2, H, B, A = KINDS
CLI, PROBE, OPERATOR, SCADA = "cli", "probe", "operator", "scada"
USERS = (G1, G2, H, B, A, CLI, PROBE, OPERATOR, SCADA)
VIEWERS = (CLI, OPERATOR, SCADA)
ALL_SERVICES = (G1, G2, H, B, A)

# topic below the site: who may write it, which services (and the probe) may read it
TOPICS = {
    "meta": ((G1,), (A, H)),
    "string/s1/meta": ((G1,), (A, B)),
    "string/s2/meta": ((G2,), (A, B)),
    "string/removed/meta": ((G1, G2), (A, B)),  # what site.toml no longer names can still be cleared
    "string/s1/scan": ((G1,), (A, B, H)),
    "string/s2/scan": ((G2,), (A, B, H)),
    "string/s1/backfill": ((G1,), (A, H)),
    "string/s2/backfill": ((G2,), (A, H)),
    "string/s1/stored": ((H,), (G1, G2)),
    "string/s1/summary": ((G1,), ()),
    "string/s1/impedance": ((G1,), (A, H)),
    "string/s1/cell/17": ((G1,), ()),
    "string/s2/cell/240": ((G2,), ()),
    "string/s1/mode": ((A,), (B, G1, G2, H)),
    "string/s1/estimate": ((A,), (H,)),
    "string/s1/cell/17/estimate": ((A,), ()),
    "string/s1/balance": ((B,), (A, H)),
    "dcbus/ups1/state": ((G1,), (A, B)),
    "dcbus/ups2/state": ((G2,), (A, B)),
    "module/C44-00C0FFEE": ((G1, G2), (A,)),
    "aux/AUX-0000A1": ((G1, G2), (A,)),
    "event/bus-gateway": ((G1,), (A, H)),
    "event/historian": ((H,), (A, H)),
    "event/balancer": ((B,), (A, H)),
    "service/bus-gateway": ((G1,), (*ALL_SERVICES, PROBE)),
    "service/bus-gateway-2": ((G2,), (*ALL_SERVICES, PROBE)),
    "service/analytics": ((A,), (*ALL_SERVICES, PROBE)),
    "service/somebody": ((), (*ALL_SERVICES, PROBE)),
    "command/bus-gateway/bleed/balancer": ((B,), (G1,)),
    "command/bus-gateway-2/bleed/balancer": ((B,), (G2,)),
    "command/bus-gateway/stop_bleed/balancer": ((B,), (G1,)),
    "command/bus-gateway/identify/balancer": ((), (G1,)),
    "command/bus-gateway/measure_impedance/analytics": ((A,), (G1,)),
    "command/bus-gateway/bleed/analytics": ((), (G1,)),
    "command/bus-gateway/identify/operator": ((OPERATOR,), (G1,)),
    "command/bus-gateway-2/identify/operator": ((), (G2,)),
    "command/bus-gateway/bleed/operator": ((), (G1,)),
    "command/bus-gateway/identify/scada": ((), (G1,)),
    "command/bus-gateway/identify/cli": ((CLI,), (G1,)),
    "command/bus-gateway-2/search_modules/cli": ((CLI,), (G2,)),
    "command/historian/bleed/balancer": ((), (H,)),
    "outcome/bus-gateway/balancer": ((G1,), (B,)),
    "outcome/bus-gateway/operator": ((G1,), (OPERATOR,)),
    "outcome/bus-gateway-2/cli": ((G2,), (CLI,)),
    "outcome/historian/balancer": ((H,), (B,)),
    "outcome/bus-gateway/scada": ((G1,), ()),
}
OUTSIDE = ("cellkeeper/v1/hh2/meta", "cellkeeper/v1/hh2/string/s1/scan", "anything", "$CONTROL/dynamic-security/v1")
MARKER = ROOT + "service/historian"  # everybody may receive it

# filters with wildcards: who gets them
FILTERS = {
    "#": (),
    "+/#": (),
    "cellkeeper/#": (),
    "cellkeeper/v1/+/meta": (),
    "cellkeeper/v1/hh2/#": (),
    "$SYS/#": (),
    "$CONTROL/#": (),
    "$share/group/" + ROOT + "#": (),
    ROOT + "#": VIEWERS,
    ROOT + "+/+/scan": VIEWERS,
    ROOT + "command/#": VIEWERS,  # granted, and nothing is delivered
    ROOT + "string/+/scan": (*VIEWERS, A, B, H),
    ROOT + "string/+/stored": (*VIEWERS, G1, G2),
    ROOT + "string/+/cell/+": VIEWERS,
    ROOT + "string/+/cell/+/estimate": VIEWERS,
    ROOT + "string/+/estimate": (*VIEWERS, H),
    ROOT + "service/+": (*VIEWERS, *ALL_SERVICES, PROBE),
    ROOT + "event/+": (*VIEWERS, A, H),
    ROOT + "command/bus-gateway/+/+": (*VIEWERS, G1),
    ROOT + "outcome/+/balancer": (*VIEWERS, B),
}


def may_publish(user: str, topic: str) -> bool:
    return topic.startswith(ROOT) and user in TOPICS[topic.removeprefix(ROOT)][0]


def may_subscribe(user: str, topic: str) -> bool:
    if topic in FILTERS:
        return user in FILTERS[topic]
    return topic.startswith(ROOT) and (user in VIEWERS or user in TOPICS[topic.removeprefix(ROOT)][1])


def may_receive(user: str, name: str) -> bool:
    readers = TOPICS[name][1]
    return user in readers or (user in VIEWERS and name.split("/", maxsplit=1)[0] not in {"command", "outcome"})


def payload_of(name: str) -> bytes:
    """The example of the channel that a topic is of, so that every payload travels through the policy."""
    channel = next(each for each in CHANNELS if each.match(ROOT + name))
    if channel.name == "command":
        return encode(command_examples()[name.split("/")[2]])
    return encode(telemetry_examples()[channel.name])


def test_every_right_is_as_the_table_says(every_broker: SecuredBroker, guarded_site: SiteFolder, outsiders: Outsiders):
    topics = [*(ROOT + name for name in TOPICS), *OUTSIDE]
    filters = [*topics, *FILTERS]
    wrong = []
    with everybody(guarded_site, outsiders.passwords) as clients:
        assert tuple(clients) == USERS
        for user, client in clients.items():
            accepted = client.publish_all([(topic, b"{}") for topic in topics])
            wrong += [
                ("publish", user, topic, done)
                for topic, done in zip(topics, accepted, strict=True)
                if done != may_publish(user, topic)
            ]
        for user, client in clients.items():
            granted = client.subscribe_all(filters)
            wrong += [
                ("subscribe", user, each, done)
                for each, done in zip(filters, granted, strict=True)
                if done != may_subscribe(user, each)
            ]
        sent = {name: payload_of(name) for name, (writers, _) in TOPICS.items() if writers}
        for name, payload in sent.items():
            assert clients[TOPICS[name][0][0]].publish_all([(ROOT + name, payload)]) == [True]
        assert clients[H].publish_all([(MARKER, b"the end")]) == [True]
        for user, client in clients.items():
            received = {
                (message.topic.removeprefix(ROOT), message.payload) for message in client.until(MARKER, b"the end")
            }
            expected = {(name, payload) for name, payload in sent.items() if may_receive(user, name)}
            wrong += [("receive", user, name) for name, _ in received ^ expected]
    assert wrong == []
    cells = len(USERS) * (len(topics) + len(filters) + len(sent))
    assert cells > 1000


def test_the_table_is_complete():
    named = {next(each.name for each in CHANNELS if each.match(ROOT + name)) for name in TOPICS}
    assert named == {channel.name for channel in CHANNELS}


def whole_room(name: str) -> bytes:
    """An example with its columns of a string of 512 units."""
    body = orjson.loads(encode(telemetry_examples()[name]))
    units = max((len(value) for value in body.values() if isinstance(value, list)), default=0)
    for key, value in body.items():
        if isinstance(value, list) and units > 1 and len(value) == units and not isinstance(value[0], dict):
            body[key] = (value * 512)[:512]
    return orjson.dumps(body)


COLUMNAR = {"scan": G1, "backfill": G1, "impedance": G1, "estimate": A}


@pytest.mark.parametrize("name", COLUMNAR)
def test_a_string_of_512_units_passes_whole(
    every_broker: SecuredBroker, guarded_site: SiteFolder, outsiders: Outsiders, name: str
):
    topic = f"{ROOT}string/s1/{name}"
    payload = whole_room(name)
    assert 10_000 < len(payload) < MAX_PAYLOAD_BYTES
    with everybody(guarded_site, outsiders.passwords) as clients:
        assert clients[H].subscribe_all([topic, MARKER]) == [True, True]
        assert clients[SCADA].subscribe_all([ROOT + "#"]) == [True]
        assert clients[COLUMNAR[name]].publish_all([(topic, payload)]) == [True]
        assert clients[H].publish_all([(MARKER, b"the end")]) == [True]
        for reader in (clients[H], clients[SCADA]):
            assert [message.payload for message in reader.until(MARKER, b"the end")] == [payload]


def test_limits_are_announced(every_broker: SecuredBroker, guarded_site: SiteFolder, outsiders: Outsiders):
    with everybody(guarded_site, outsiders.passwords) as clients:
        for user in (G1, SCADA, OPERATOR):
            assert clients[user].connack.MaximumPacketSize == MAX_PAYLOAD_BYTES, user


def test_client_ids_of_services_cannot_be_taken(
    every_broker: SecuredBroker, guarded_site: SiteFolder, outsiders: Outsiders
):
    with everybody(guarded_site, outsiders.passwords) as clients:
        thief = PlainClient(client_id="bus-gateway")
        thief.connect(load_access(guarded_site).broker.services_port, context_of(guarded_site.secrets_of("analytics")))
        clients[A].until_closed()  # it is analytics, whatever it calls itself
        assert clients[G1].publish_all([(ROOT + "string/s1/scan", b"{}")]) == [True]
        thief.close()
