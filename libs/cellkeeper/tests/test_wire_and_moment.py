"""Payloads at the border: caps, versions, instants, what is absent and what is null."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import orjson
import pytest
from cellkeeper.contract.commands import GATEWAY_COMMANDS, BleedCells
from cellkeeper.contract.moment import format_ms, from_ms, parse_ms, to_ms
from cellkeeper.contract.notices import Event, Presence
from cellkeeper.contract.outcomes import Applied, CommandOutcome, NoReply, Refused
from cellkeeper.contract.wire import MAX_PAYLOAD_BYTES, PayloadRefusedError, decode, encode
from cellkeeper.testing.strategies import instants_ms
from hypothesis import given
from hypothesis import strategies as st

AT = datetime(2026, 11, 21, 5, tzinfo=UTC)
ID = UUID("6f0f6a0e-5d3c-4e55-9f7b-0d8a51a0c001")


@given(instants_ms())
def test_an_instant_survives_the_wire(ms: int):
    text = format_ms(ms)
    assert parse_ms(text) == ms
    assert to_ms(from_ms(ms)) == ms
    assert len(text) == 24


@given(st.integers(0, 4_000_000_000_000_000), st.integers(-12, 12))
def test_zones_are_left_behind_and_microseconds_cut(us: int, zone_h: int):
    at = (from_ms(0) + timedelta(microseconds=us)).astimezone(timezone(timedelta(hours=zone_h)))
    assert to_ms(at) == us // 1000


@pytest.mark.parametrize("text", ["", "2026-11-21T05:00:00Z", "2026-11-21T05:00:00.0000Z", "2026-11-21 05:00:00.000Z",
    "2026-11-21T05:00:00.000+00:00", "2026-02-30T05:00:00.000Z", "2026-11-21T24:00:01.000Z", "x" * 9999])  # fmt: skip
def test_what_is_no_instant_of_the_wire_is_refused(text: str):
    with pytest.raises(ValueError, match=r"instant|day|hour|month"):
        parse_ms(text)


def test_an_instant_travels_with_milliseconds():
    body = orjson.loads(encode(Presence(service="historian", state="ready", at=AT, version="1")))
    assert body["at"] == "2026-11-21T05:00:00.000Z"
    assert body["v"] == 1


def test_a_naive_time_is_refused():
    with pytest.raises(PayloadRefusedError, match="at"):
        decode(Presence, b'{"v":1,"service":"a","state":"ready","at":"2026-11-21T05:00:00","version":"1"}')


def test_telemetry_survives_new_fields_and_commands_do_not():
    presence = b'{"v":1,"service":"a","state":"ready","at":"2026-11-21T05:00:00.000Z","version":"1","new":1}'
    assert decode(Presence, presence).service == "a"
    stop = b'{"v":1,"id":"%s","expires_at":"2026-11-21T05:00:00.000Z","newww":1}' % str(ID).encode()
    with pytest.raises(PayloadRefusedError, match="newww"):
        decode(GATEWAY_COMMANDS["stop_bleed"], stop)


def test_another_version_is_refused():
    with pytest.raises(PayloadRefusedError, match="v"):
        decode(Presence, b'{"v":2,"service":"a","state":"ready","at":"2026-11-21T05:00:00.000Z","version":"1"}')


def test_absent_is_not_null():
    event = Event(id="0" * 8, at=AT, service="a", kind="disk.full", severity="error", text="x")
    assert "cell" not in orjson.loads(encode(event))
    assert orjson.loads(encode(event.model_copy(update={"cell": 3})))["cell"] == 3


def test_a_payload_the_broker_would_drop_is_neither_sent_nor_parsed():
    event = Event(
        id="0" * 8,
        at=AT,
        service="a",
        kind="disk.full",
        severity="error",
        text="x",
        data={"k": "y" * MAX_PAYLOAD_BYTES},
    )
    with pytest.raises(PayloadRefusedError, match="limit"):
        encode(event)
    with pytest.raises(PayloadRefusedError, match="limit"):
        decode(Event, b"{" + b" " * MAX_PAYLOAD_BYTES)


def test_not_a_number_never_comes_in():
    with pytest.raises(PayloadRefusedError):
        decode(
            BleedCells,
            b'{"v":1,"id":"%s","expires_at":"2026-11-21T05:00:00.000Z","string":"s1","cells":[1],"bleed_frac":[NaN],"hold_s":5}'
            % str(ID).encode(),
        )


BEYOND: tuple[dict[str, object], ...] = (
    {"hold_s": 61.0},
    {"hold_s": 0.0},
    {"cells": [1, 1]},
    {"cells": [1]},
    {"cells": [0, 1]},
    {"bleed_frac": [0.5, 1.1]},
    {"bleed_frac": [0.5, -0.1]},
    {"cells": [], "bleed_frac": []},
    {"string": "S1"},
    {"id": "1"},
)


@pytest.mark.parametrize("change", BEYOND, ids=str)
def test_a_bleed_beyond_its_borders_is_refused(change: dict[str, object]):
    good = {
        "v": 1,
        "id": str(ID),
        "expires_at": "2026-11-21T05:00:00.000Z",
        "string": "s1",
        "cells": [1, 2],
        "bleed_frac": [0.5, 1.0],
        "hold_s": 30.0,
    }
    assert decode(BleedCells, orjson.dumps(good)).hold_s == 30.0
    with pytest.raises(PayloadRefusedError):
        decode(BleedCells, orjson.dumps(good | change))


@pytest.mark.parametrize(
    "ending", [Applied(), Refused(reason="on_battery", detail="wait"), NoReply(waited_s=0.2, cells=[17])]
)
def test_every_ending_of_a_command_survives_the_wire(ending: Applied | Refused | NoReply):
    outcome = CommandOutcome(id=ID, command="bleed", at=AT, outcome=ending)
    assert decode(CommandOutcome, encode(outcome)) == outcome


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_with_one_kind_of_error(raw: bytes):
    with pytest.raises(PayloadRefusedError):
        decode(Presence, raw)
