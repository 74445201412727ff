"""Which services a site has: named ones stay, seen ones have a version, inventions are bounded and counted."""

import pytest
from bus_gateway.uplink.service_register import MAX_SERVICES, ServiceRegister
from cellkeeper.contract.channels import PRESENCE
from cellkeeper.contract.moment import from_ms
from cellkeeper.contract.notices import Presence
from cellkeeper.contract.wire import encode
from cellkeeper.runtime.session import Incoming


@pytest.fixture
def register() -> ServiceRegister:
    return ServiceRegister(["bus-gateway", "bus-gateway-2"], "bus-gateway", "1.0.0")


def presence(topic_of: str, said_by: str | None = None, version: str = "1.1.0") -> Incoming:
    body = Presence(service=said_by or topic_of, state="ready", at=from_ms(0), version=version)
    return Incoming(PRESENCE.topic(site="hh1", service=topic_of), encode(body), retained=True)


def test_a_named_gateway_that_never_spoke_has_no_version(register):
    assert (register.services, register.versions) == (["bus-gateway", "bus-gateway-2"], {"bus-gateway": "1.0.0"})
    register.on_presence(presence("bus-gateway-2"))
    assert register.versions == {"bus-gateway": "1.0.0", "bus-gateway-2": "1.1.0"}
    register.on_presence(Incoming(PRESENCE.topic(site="hh1", service="bus-gateway-2"), b"", retained=True))
    assert (register.services, register.versions) == (["bus-gateway", "bus-gateway-2"], {"bus-gateway": "1.0.0"})


def test_what_the_broker_kept_of_our_last_run_is_not_our_version(register):
    register.on_presence(presence("bus-gateway", version="0.9.0"))
    assert register.versions == {"bus-gateway": "1.0.0"}
    assert register.refused == 0


def test_garbage_lies_and_too_many_are_counted_and_change_nothing(register):
    register.on_presence(Incoming(PRESENCE.topic(site="hh1", service="x"), b"{", retained=False))
    register.on_presence(presence("x", said_by="y"))
    assert (register.services, register.refused) == (["bus-gateway", "bus-gateway-2"], 2)
    for number in range(MAX_SERVICES + 10):
        register.on_presence(presence(f"s{number}"))
    assert len(register.versions) == MAX_SERVICES
    assert register.refused == 2 + 11
