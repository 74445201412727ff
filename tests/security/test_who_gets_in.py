"""Who the broker lets in at all: certificates, passwords, versions of TLS and MQTT, on every Mosquitto here."""

import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from cellkeeper.policy.access import BrokerAccess
from cellkeeper.runtime.certificates import KeyPair, new_authority, new_client
from cellkeeper.site_folder.furnish import load_access
from cellkeeper.site_folder.layout import SiteFolder
from cellkeeper.testing.patience import PATIENCE_S
from cellkeeper.testing.real_brokers import SecuredBroker
from guarded_site import HOST, ROOT, Outsiders, PlainClient, RefusedError, context_of

NOW = datetime.now(UTC).replace(microsecond=0)


@dataclass
class Door:
    site: SiteFolder
    broker: BrokerAccess
    tmp_path: Path

    def authority(self, name: str) -> KeyPair:
        place = self.site.authorities
        return KeyPair((place / f"{name}-0.key").read_bytes(), (place / f"{name}-0.crt").read_bytes())

    def papers(self, pair: KeyPair) -> ssl.SSLContext:
        (self.tmp_path / "ca.crt").write_bytes(self.authority("services").certificate)
        (self.tmp_path / "client.crt").write_bytes(pair.certificate)
        (self.tmp_path / "client.key").write_bytes(pair.key)
        return context_of(self.tmp_path)

    def anybody(self) -> ssl.SSLContext:
        return context_of(self.site.secrets_of("cli"), with_certificate=False)


@pytest.fixture
def door(every_broker: SecuredBroker, guarded_site: SiteFolder, tmp_path: Path) -> Door:
    return Door(guarded_site, load_access(guarded_site).broker, tmp_path)


def foreign(door: Door) -> ssl.SSLContext:
    return door.papers(new_client("bus-gateway", new_authority("Somebody else", NOW), NOW))


def expired(door: Door) -> ssl.SSLContext:
    return door.papers(new_client("bus-gateway", door.authority("services"), NOW - timedelta(days=91)))


def not_yet_valid(door: Door) -> ssl.SSLContext:
    return door.papers(new_client("bus-gateway", door.authority("services"), NOW + timedelta(days=2)))


def of_readers(door: Door) -> ssl.SSLContext:
    return door.papers(new_client("bus-gateway", door.authority("readers"), NOW))


def for_servers(door: Door) -> ssl.SSLContext:
    place = door.site.broker
    return door.papers(KeyPair((place / "broker.key").read_bytes(), (place / "broker.crt").read_bytes()))


def without(door: Door) -> ssl.SSLContext:
    return door.anybody()


@pytest.mark.parametrize("papers", [without, foreign, expired, not_yet_valid, of_readers, for_servers])
def test_services_need_a_valid_certificate_of_their_own_authority(door: Door, papers: Callable[[Door], ssl.SSLContext]):
    with pytest.raises(RefusedError):
        PlainClient().connect(door.broker.services_port, papers(door))
    good = PlainClient().connect(door.broker.services_port, context_of(door.site.secrets_of("bus-gateway")))
    good.close()


def test_services_speak_tls_1_3_alone(door: Door):
    context = context_of(door.site.secrets_of("bus-gateway"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection((HOST, door.broker.services_port), timeout=PATIENCE_S) as plain,
        pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"),
    ):
        context.wrap_socket(plain, server_hostname=HOST)


def of_services(door: Door) -> ssl.SSLContext:
    return context_of(door.site.secrets_of("bus-gateway"))


def expired_reader(door: Door) -> ssl.SSLContext:
    return door.papers(new_client("operator", door.authority("readers"), NOW - timedelta(days=91)))


@pytest.mark.parametrize("papers", [without, foreign, expired_reader, of_services])
def test_readers_with_a_certificate_need_one_of_theirs(door: Door, papers: Callable[[Door], ssl.SSLContext]):
    with pytest.raises(RefusedError):
        PlainClient().connect(door.broker.readers_certificate_port, papers(door))


@pytest.mark.parametrize(
    ("user", "password"),
    [
        (None, None),
        ("scada", None),
        ("scada", ""),
        ("scada", "password"),
        ("scada", "of the other one"),
        ("nobody", "password"),
        ("bus-gateway", None),
        ("bus-gateway", "x"),
        ("operator", "x"),
        ("cli", "x"),
        ("admin", "admin"),
        ("democlient", "x"),
    ],
)
def test_no_password_opens_that_was_not_given(door: Door, outsiders: Outsiders, user: str | None, password: str | None):
    if password == "of the other one":
        password = outsiders.passwords["scada3"]
    with pytest.raises(RefusedError, match=r"(?i)not authori[sz]ed|bad user name"):
        PlainClient().connect(door.broker.readers_port, door.anybody(), user=user, password=password)


def test_a_certificate_of_somebody_removed_opens_nothing(door: Door):
    former = PlainClient().connect(
        door.broker.readers_certificate_port, door.papers(new_client("former", door.authority("readers"), NOW))
    )
    assert former.subscribe_all([ROOT + "#", ROOT + "meta"]) == [False, False]
    assert former.publish_all([(ROOT + "meta", b"{}")]) == [False]
    former.close()


def test_mqtt_3_of_a_reader_works_and_what_it_publishes_goes_nowhere(door: Door, outsiders: Outsiders):
    context = door.anybody()
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    old = PlainClient(mqtt.MQTTv311).connect(  # without an id of its own
        door.broker.readers_port, context, user="scada", password=outsiders.passwords["scada"]
    )
    historian = PlainClient().connect(door.broker.services_port, context_of(door.site.secrets_of("historian")))
    gateway = PlainClient().connect(door.broker.services_port, context_of(door.site.secrets_of("bus-gateway")))
    assert old.subscribe_all([ROOT + "string/+/scan"]) == [True]
    assert historian.subscribe_all([ROOT + "string/+/scan"]) == [True]
    assert old.publish_all([(ROOT + "string/s1/scan", b"forged")]) == [True]  # acknowledged: 3.1.1 has no way to refuse
    assert gateway.publish_all([(ROOT + "string/s1/scan", b"measured")]) == [True]
    for reader in (old, historian):
        assert reader.until(ROOT + "string/s1/scan", b"measured") == []
    for client in (old, historian, gateway):
        client.close()


def test_two_readers_of_one_name_do_not_push_each_other_out(door: Door, outsiders: Outsiders):
    login = {"user": "scada", "password": outsiders.passwords["scada"]}
    two = [
        PlainClient(client_id=name).connect(door.broker.readers_port, door.anybody(), **login)
        for name in ("plc", "hmi")
    ]
    assert [client.subscribe_all([ROOT + "#"]) for client in two] == [[True], [True]]
    assert all(client.is_connected() for client in two)
    for client in two:
        client.close()


def test_services_speak_mqtt_5_alone_where_the_broker_can_demand_it(door: Door, every_broker: SecuredBroker):
    old = PlainClient(mqtt.MQTTv311, client_id="bus-gateway")
    context = context_of(door.site.secrets_of("bus-gateway"))
    if every_broker.mosquitto.version.startswith("2.0"):
        old.connect(door.broker.services_port, context).close()  # 2.0 has no such option; no service of ours does it
        return
    with pytest.raises(RefusedError, match=r"(?i)protocol version"):
        old.connect(door.broker.services_port, context)
