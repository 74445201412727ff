"""The twin's own codec against the written protocol: vectors, hand-worked figures, and any noise."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twin.bus.wire_codec import (
    FastFields,
    FrameHunter,
    Kind,
    LongFrame,
    TemperatureCode,
    Type,
    ValueCode,
    crc8,
    crc16,
    fast_replies,
    long_frame,
)

VECTORS = tomllib.loads((Path(__file__).parents[3] / "docs" / "bus-protocol-vectors.toml").read_text())["vector"]
KIND = {
    "cell": Kind.CELL,
    "block": Kind.BLOCK,
    "current": Kind.CURRENT,
    "current_large": Kind.CURRENT_LARGE,
    "current_float": Kind.CURRENT_FLOAT,
    "string_voltage": Kind.STRING_VOLTAGE,
    "ripple_current": Kind.RIPPLE_CURRENT,
    "ripple_voltage": Kind.RIPPLE_VOLTAGE,
    "aux": Kind.AUX,
    "ambient": Kind.AMBIENT,
}


def fields_of(replies: list[dict[str, object]]) -> FastFields:
    def value(reply: dict[str, object]) -> int:
        return int(reply["value_counts"]) if "value_counts" in reply else ValueCode[reply["value_code"]]

    def temperature(reply: dict[str, object]) -> int:
        return round(reply["degc"] * 100) if "degc" in reply else TemperatureCode[reply["degc_code"]]

    return FastFields(
        kind=np.array([KIND[r["kind"]] for r in replies], dtype=np.uint8),
        address=np.array([r["address"] for r in replies], dtype=np.uint16),
        value=np.array([value(r) for r in replies], dtype=np.int32),
        sample=np.array([r["sample"] for r in replies], dtype=np.uint8),
        temperature=np.array([temperature(r) for r in replies], dtype=np.int16),
        aux=np.array([r["aux"] for r in replies], dtype=np.uint8),
        status=np.array([r["status"] for r in replies], dtype=np.uint8),
    )


FAST = [v for v in VECTORS if any(r["form"] == "fast" for r in v.get("reply_means", []))]


@pytest.mark.parametrize("vector", FAST, ids=lambda v: v["name"])
def test_fast_replies_are_the_documents_bytes(vector):
    assert fast_replies(fields_of(vector["reply_means"])).tobytes() == bytes.fromhex(vector["reply"])


@pytest.mark.parametrize("vector", [v for v in VECTORS if "request" in v], ids=lambda v: v["name"])
def test_requests_are_found_and_built_as_written(vector):
    raw, means = bytes.fromhex(vector["request"]), vector["request_means"]
    (frame,) = FrameHunter().feed(raw)
    assert (frame.address, frame.tag, frame.end, frame.punctual) == (means["address"], means["tag"], len(raw), True)
    if means["type"] in Type.__members__:
        assert frame.type == Type[means["type"]]
    assert long_frame(frame.type, frame.address, frame.tag, frame.payload) == raw


@pytest.mark.parametrize("vector", [v for v in VECTORS if v.get("hunt") == "long"], ids=lambda v: v["name"])
def test_hunting_in_damaged_streams(vector):
    hunter = FrameHunter()
    found = hunter.feed(bytes.fromhex(vector["stream"])) + hunter.abandon()
    assert [(f.type, f.address, f.tag) for f in found] == [
        (Type[a["type"]], a["address"], a["tag"]) for a in vector["accepted"]
    ]
    assert hunter.holding == 0


def test_checks_of_the_text():
    assert crc16(b"123456789") == 0x29B1
    assert crc8(b"123456789") == 0xF4
    assert crc8(bytes.fromhex("c512ffff0600")) == 0x65
    assert crc16(bytes.fromhex("c512ffff060065")) == 0xF017


def test_a_frame_behind_a_false_start_that_had_to_be_abandoned_is_late():
    false_start = bytes.fromhex("c510010004f0b9")  # believed header of 240 bytes
    good = bytes.fromhex("c512ffff060065f017")
    by_silence, by_crc = FrameHunter(), FrameHunter()
    assert by_silence.feed(false_start + good) == []
    assert [f.punctual for f in by_silence.abandon()] == [False]
    assert [f.punctual for f in by_crc.feed(false_start + good + bytes(240))] == [False]
    assert [f.punctual for f in FrameHunter().feed(b"\xc5\x00" + bytes(5) + good)] == [True]


@given(payload=st.binary(max_size=240), kind=st.integers(1, 0x7F), address=st.integers(0, 0xFFFF), data=st.data())
def test_what_is_built_is_found_in_any_portions(payload, kind, address, data):
    raw = long_frame(kind, address, 7, payload)
    cut = data.draw(st.integers(0, len(raw)))
    hunter = FrameHunter()
    assert hunter.feed(raw[:cut]) + hunter.feed(raw[cut:]) == [LongFrame(kind, address, 7, payload, len(raw))]


@given(st.lists(st.binary(max_size=400), max_size=6))
def test_noise_never_raises_and_holds_at_most_one_frame(chunks):
    hunter = FrameHunter()
    for chunk in chunks:
        hunter.feed(chunk)
        assert hunter.holding <= 249
    hunter.abandon()
    assert (hunter.holding, hunter.received) == (0, sum(map(len, chunks)))


@given(st.binary(max_size=60))
def test_a_good_frame_behind_noise_is_found(noise):
    good = bytes.fromhex("c512ffff060065f017")
    hunter = FrameHunter()
    found = hunter.feed(noise + good) + hunter.abandon()
    assert (0x12, 0xFFFF) in [(f.type, f.address) for f in found]
