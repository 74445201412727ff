"""Our own session over mutual TLS: words for what is wrong, renewal while it runs, and who comes second stops."""

import asyncio
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
import structlog
from cellkeeper.contract.channels import EVENT, PRESENCE, SCAN, STORED
from cellkeeper.policy.access import BrokerAccess
from cellkeeper.runtime.address import BrokerAddress
from cellkeeper.runtime.broker import running_broker
from cellkeeper.runtime.certificates import KeyPair, facts, new_authority, new_client
from cellkeeper.runtime.errors import DuplicateServiceError
from cellkeeper.runtime.session import Incoming, LastWill, Session
from cellkeeper.runtime.tls import TlsFiles
from cellkeeper.site_folder.furnish import furnish, load_access
from cellkeeper.site_folder.layout import SiteFolder
from cellkeeper.testing.patience import PATIENCE_S, until
from cellkeeper.testing.real_brokers import HOST, Mosquitto, SecuredBroker, wish_of
from cellkeeper.testing.sessions import linked
from guarded_site import KINDS, TWO_GATEWAYS, Outsiders, new_site, secured, served_certificate

NOW = datetime.now(UTC).replace(microsecond=0)
SCAN_TOPIC = SCAN.topic(site="hh1", string="s1")


@pytest.fixture
def site(guarded_site: SiteFolder, tmp_path: Path) -> SiteFolder:
    """A copy that a test may damage."""
    shutil.copytree(guarded_site.path, tmp_path / "site")
    return SiteFolder(tmp_path / "site")


@pytest.fixture
def broker(site: SiteFolder, mosquitto: Mosquitto, tmp_path: Path) -> Iterator[SecuredBroker]:
    with secured(site, mosquitto, tmp_path / "run") as running:
        yield running


@pytest.fixture
def one_broker(site: SiteFolder, newest: Mosquitto, tmp_path: Path) -> Iterator[SecuredBroker]:
    """For what is told on our side of the connection, whichever broker is on the other."""
    with secured(site, newest, tmp_path / "run") as running:
        yield running


def access_of(site: SiteFolder) -> BrokerAccess:
    return load_access(site).broker


def secured_address(site: SiteFolder, port: int) -> BrokerAddress:
    return BrokerAddress(HOST, port, TlsFiles(site.secrets_of("historian")))


def session_of(site: SiteFolder, service: str, **changes: object) -> Session:
    address = BrokerAddress(HOST, access_of(site).services_port, TlsFiles(site.secrets_of(service)))
    values = {"address": address, "client_id": f"hh1-{service}", "rng": Random(1)}
    return Session(**(values | changes))  # type: ignore[arg-type]


async def reason_of(session: Session) -> str:
    """Return what is told of a link that does not come to be."""
    with structlog.testing.capture_logs() as logs:
        task = asyncio.create_task(session.run())
        try:
            await until(lambda: any(line["event"] == "broker.lost" for line in logs))
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    assert not session.is_up
    return next(str(line["reason"]) for line in logs if line["event"] == "broker.lost")


def put(site: SiteFolder, service: str, pair: KeyPair) -> None:
    place = site.secrets_of(service)
    for name, content in (("client.key", pair.key), ("client.crt", pair.certificate)):
        (place / name).unlink()
        (place / name).write_bytes(content)


def authority_of(site: SiteFolder, name: str = "services") -> KeyPair:
    return KeyPair((site.authorities / f"{name}-0.key").read_bytes(), (site.authorities / f"{name}-0.crt").read_bytes())


def expire(site: SiteFolder) -> None:
    put(site, "historian", new_client("historian", authority_of(site), NOW - timedelta(days=100)))


def come_early(site: SiteFolder) -> None:
    put(site, "historian", new_client("historian", authority_of(site), NOW + timedelta(days=3)))


def lose_the_key(site: SiteFolder) -> None:
    (site.secrets_of("historian") / "client.key").unlink()


def mix_the_keys(site: SiteFolder) -> None:
    place = site.secrets_of("historian") / "client.key"
    place.unlink()
    shutil.copy(site.secrets_of("balancer") / "client.key", place)


def damage(site: SiteFolder) -> None:
    (site.secrets_of("historian") / "client.crt").write_bytes(b"-----BEGIN CERTIFICATE-----\nnonsense\n")


def come_from_elsewhere(site: SiteFolder) -> None:
    put(site, "historian", new_client("historian", new_authority("Somebody else", NOW), NOW))


def trust_somebody_else(site: SiteFolder) -> None:
    other = new_authority("Somebody else", NOW)
    put(site, "historian", new_client("historian", other, NOW))
    (site.secrets_of("historian") / "ca.crt").write_bytes(other.certificate)


def be_a_reader(site: SiteFolder) -> None:
    put(site, "historian", new_client("historian", authority_of(site, "readers"), NOW))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (expire, r"client\.crt expired on .*cellkeeper certificates renew"),
        (come_early, r"client\.crt is not yet valid.*this machine's clock shows .*set the clock"),
        (lose_the_key, r"client\.key: No such file.*cellkeeper init"),
        (mix_the_keys, r"client\.key does not belong to .*client\.crt"),
        (damage, r"client\.crt is not a PEM certificate"),
        (come_from_elsewhere, r"the broker does not trust .*client\.crt"),
        (trust_somebody_else, r"the broker's certificate is not from the authority in .*ca\.crt"),
        (be_a_reader, r"the broker does not trust .*client\.crt"),
    ],
)
async def test_it_says_what_is_wrong_with_its_papers(
    one_broker: SecuredBroker,
    site: SiteFolder,
    change: Callable[[SiteFolder], None],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(
        "cellkeeper.runtime.broker_link.CONNECT_DEADLINE_S", 1.0
    )  # a refusal looks like silence until then
    change(site)
    reason = await reason_of(session_of(site, "historian"))
    assert re.search(told, reason), reason


async def test_a_port_without_tls_or_without_anybody_is_told(site: SiteFolder, tmp_path: Path):
    with running_broker(tmp_path / "plain") as plain:
        reason = await reason_of(session_of(site, "historian", address=secured_address(site, plain.port)))
    assert "nobody speaks TLS on this port" in reason
    assert "Connection refused" in await reason_of(session_of(site, "historian"))


async def test_a_certificate_that_is_renewed_is_used_without_a_restart(one_broker: SecuredBroker, site: SiteFolder):
    expire(site)
    session = session_of(site, "historian")
    task = asyncio.create_task(session.run())
    with structlog.testing.capture_logs() as logs:
        await until(lambda: any(line["event"] == "broker.lost" for line in logs))
    changes = furnish(site, replace(wish_of(TWO_GATEWAYS, load_access(site), KINDS), renew=True))
    assert "changed  secrets/historian/client.crt" in changes
    await until(lambda: session.is_up)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_after_two_months_all_are_renewed_and_no_session_ends(
    tmp_path: Path, mosquitto: Mosquitto, outsiders: Outsiders
):
    site = new_site(tmp_path, outsiders, now=NOW - timedelta(days=61))
    port = access_of(site).services_port
    with secured(site, mosquitto, tmp_path / "run") as broker:
        writer, reader = session_of(site, "bus-gateway"), session_of(site, "historian")
        seen: list[Incoming] = []
        reader.subscribe(SCAN.filter(site="hh1"), seen.append)
        async with linked(writer, reader):
            before = served_certificate(site, port)
            changes = furnish(site, replace(wish_of(TWO_GATEWAYS, load_access(site), KINDS, now=NOW), renew=True))
            assert {"changed  broker/broker.crt", "changed  secrets/historian/client.crt"} <= set(changes)
            assert not any("policy" in line or "ca.crt" in line or "ca/" in line for line in changes)
            os.kill(broker.pid, signal.SIGHUP)
            renewed = (site.broker / "broker.crt").read_bytes()
            await until(lambda: served_certificate(site, port) == renewed)
            assert renewed != before
            assert facts(renewed, "broker.crt").left(NOW) == timedelta(days=90)
            assert writer.publish(SCAN_TOPIC, b"still here", qos=1)
            await until(lambda: [message.payload for message in seen] == [b"still here"])
        assert (writer.counters.connects, reader.counters.connects) == (1, 1)
        async with linked(session_of(site, "historian")):
            assert furnish(site, replace(wish_of(TWO_GATEWAYS, load_access(site), KINDS, now=NOW), renew=True)) == []


async def test_who_comes_second_stops_and_the_first_keeps_its_session(broker: SecuredBroker, site: SiteFolder):
    topic = PRESENCE.topic(site="hh1", service="historian")

    def historian(word: bytes) -> Session:
        session = session_of(site, "historian", keep_session=True)
        session.will = LastWill(topic, word + b" gone")
        session.on_link(lambda: session.publish(topic, word, qos=1, retain=True))
        session.subscribe(EVENT.filter(site="hh1"), seen.append)
        return session

    seen: list[Incoming] = []
    first, second = historian(b"first"), historian(b"second")
    async with linked(first):
        first.short_link_s = 0.0  # it has been there for long
        with pytest.raises(DuplicateServiceError, match="another process speaks as hh1-historian"):
            async with asyncio.timeout(PATIENCE_S):
                await second.run()
        await until(lambda: first.is_up)
        gateway = session_of(site, "bus-gateway")
        async with linked(gateway):
            assert gateway.publish(EVENT.topic(site="hh1", service="bus-gateway"), b"{}", qos=1)
            await until(lambda: len(seen) == 1)


async def test_a_denied_subscription_is_told(broker: SecuredBroker, site: SiteFolder):
    nosy = session_of(site, "historian")
    nosy.subscribe(STORED.filter(site="hh1"), lambda _: None)
    assert "denied the subscription to cellkeeper/v1/hh1/string/+/stored" in await reason_of(nosy)


async def test_a_denied_publish_is_counted_and_told_once(broker: SecuredBroker, site: SiteFolder):
    session = session_of(site, "historian")
    with structlog.testing.capture_logs() as logs:
        async with linked(session):
            for payload in (b"1", b"2"):
                assert session.publish(SCAN_TOPIC, payload, qos=1)
            assert session.publish(STORED.topic(site="hh1", string="s1"), b"{}", qos=1)
            await until(lambda: session.counters.denied == 2 and session.backlog() == 0)
    told = [line for line in logs if line["event"] == "publish.denied"]
    assert [line["reason"] for line in told] == ["not authorized"]
