"""Every vector of the written protocol, read from the file beside it."""

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bus_gateway.wire import encode
from bus_gateway.wire.decode import DegcCode, Kind, ValueCode, columns, intact
from bus_gateway.wire.decode_long import identity, impedance_record, met, reply_code, uid_in
from bus_gateway.wire.decode_long import test_duration_s as duration_s
from bus_gateway.wire.encode import Method
from bus_gateway.wire.frame import REPLY_BIT, LongFrame, find_frames, long_frame

VECTORS = tomllib.loads((Path(__file__).parents[3] / "docs/bus-protocol-vectors.toml").read_text("utf-8"))["vector"]
SENT_BY_OTHERS = {"LED_SET", "RELAY_SET", "SET_BAUD", "SAVE_BAUD", "CERT"}
KINDS = {
    "cell": 0, "block": 1, "current": 2, "current_large": 3, "current_float": 4, "string_voltage": 5,
    "ripple_current": 6, "ripple_voltage": 7, "aux": 8, "ambient": 9,
}  # fmt: skip


def name_of(vector: dict[str, Any]) -> str:
    return vector["name"]


def request_of(means: dict[str, Any]) -> bytes:  # noqa: C901, PLR0911, PLR0912  # one case per type
    tag, address = means["tag"], means["address"]
    match means["type"]:
        case "SAMPLE":
            assert means["window"] == encode.WINDOW_UNITS
            return encode.sample(means["sample_id"], tag)
        case "TRAIN":
            return encode.train(address, means["count"], means["sample_id"], means["page"], tag)
        case "LIST":
            return encode.listed(means["addresses"], means["sample_id"], means["page"], tag)
        case "BLEED_SET":
            return encode.bleed_set(address, means["duty"], tag)
        case "STOP_ALL":
            return encode.stop_all(tag)
        case "RENEW_HOLD":
            return encode.renew_hold(tag)
        case "IMP_START":
            method = Method(means["method"])
            par = means["par"] / (1000.0 if method is Method.DC_PULSE else 10.0)
            return encode.impedance_start(address, means["seq"], method, par, means["test_ma"] / 1000.0, tag)
        case "IMP_READ":
            return encode.impedance_read(address, means["seq"], tag)
        case "IMP_ABORT":
            return encode.impedance_abort(address, tag)
        case "IDENT":
            return encode.ident(address, tag)
        case "CONFIG":
            floor_v = means["bleed_floor_counts"] / 1e4
            return encode.config(address, Kind.CELL, means["cells_per_unit"], floor_v, means["bleed_hot_degc"], tag)
        case "STATS":
            return encode.stats(address, tag)
        case "ACK_RESET":
            return encode.ack_reset(address, means["count"], tag)
        case "WHO":
            return encode.who(address, means["seed"], means["bits"], forget_mutes=means["flags"] == 1, tag=tag)
        case "MUTE":
            return encode.mute(means["uids"], tag)
        case "ASSIGN":
            return encode.assign(means["uid"], means["new_address"], tag)
        case "CLEAR":
            return encode.clear(means["uid"], tag)
        case "IDENTIFY":
            return encode.identify(address, means["seconds"], tag)
    raise AssertionError(means["type"])


def is_ours(vector: dict[str, Any]) -> bool:
    means = vector.get("request_means")
    return (
        means is not None
        and means["type"] not in SENT_BY_OTHERS
        and not (means["type"] == "IDENTIFY" and "uid" in means)
    )


@pytest.mark.parametrize("vector", [v for v in VECTORS if is_ours(v)], ids=name_of)
def test_requests_are_the_written_bytes(vector):
    assert request_of(vector["request_means"]).hex(" ") == vector["request"]


def assert_fast(raw: bytes, means: dict[str, Any], sample_id: int) -> None:
    rows = np.frombuffer(bytearray(raw), dtype=np.uint8).reshape(1, 12)
    assert intact(rows, np.array([means["address"]], dtype=np.uint16), sample_id).all()
    replies = columns(rows)
    assert replies.kind[0] == KINDS[means["kind"]]
    if "value" in means:
        assert replies.value[0] == means["value"]
        assert replies.code is None
    else:
        assert np.isnan(replies.value[0])
        assert ValueCode(replies.code[0]).name == means["value_code"]
    if "degc" in means:
        assert replies.degc[0] == means["degc"]
        assert replies.degc_code is None
    else:
        assert np.isnan(replies.degc[0])
        assert DegcCode(replies.degc_code[0]).name == means["degc_code"]
    assert (replies.aux[0], replies.status[0]) == (means["aux"], means["status"])


def assert_long(frame: LongFrame, means: dict[str, Any], *, is_reply: bool) -> None:
    if is_reply:
        assert frame.type & REPLY_BIT
    assert (frame.address, frame.tag) == (means["address"], means["tag"])
    if "code" in means:
        assert reply_code(frame) == means["code"]
    match means["type"]:
        case "IDENT":
            who = identity(frame)
            assert who is not None
            assert (who.uid, who.serial, who.firmware, who.kind) == (means["uid"], means["serial"], means["fw"], 0)
            assert (who.rated_min, who.rated_max, who.bleed_max_a) == (0.7, 4.8, 0.3)
            assert who.bleed_floor_v == means["bleed_floor_counts"] / 1e4
            assert (who.cells_per_unit, who.bleed_hot_degc) == (means["cells_per_unit"], means["bleed_hot_degc"])
            assert (who.resets, who.flags, who.model, who.uptime_s) == (3, 23, 68, 3600)
        case "IMP_START" if is_reply:
            assert duration_s(frame) == means["duration_ms"] / 1000.0
        case "IMP_READ" if is_reply and "r_uohm" in means:
            record = impedance_record(frame, Kind.CELL)
            assert record is not None
            assert record.r_ohm == pytest.approx(means["r_uohm"] * 1e-6, rel=1e-12)
            assert record.r_sd_ohm == pytest.approx(means["r_sd_uohm"] * 1e-6)
            assert (record.test_a, record.degc, record.cell_v, record.age_s) == (0.998, 22.41, 3.2987, 2.0)
        case "WHO" if is_reply:
            module = met(frame)
            assert module is not None
            assert (module.uid, module.kind) == (means["uid"], means["kind"])
        case "ASSIGN" | "CLEAR" if is_reply:
            assert uid_in(frame) == means["uid"]


@pytest.mark.parametrize("vector", [v for v in VECTORS if "reply" in v], ids=name_of)
def test_replies_mean_what_is_written(vector):
    raw = bytes.fromhex(vector["reply"])
    is_fast = vector["reply_means"][0]["form"] == "fast"
    found, _ = find_frames(raw, fast=is_fast, long=not is_fast)
    assert len(found) == len(vector["reply_means"])
    for frame, means in zip(found, vector["reply_means"], strict=True):
        if isinstance(frame, LongFrame):
            assert_long(frame, means, is_reply=True)
        else:
            assert_fast(frame, means, vector["request_means"]["sample_id"])


@pytest.mark.parametrize("vector", [v for v in VECTORS if "stream" in v], ids=name_of)
def test_streams_deliver_what_is_written(vector):
    is_fast = vector["hunt"] == "fast"
    found, _ = find_frames(bytes.fromhex(vector["stream"]), fast=is_fast, long=not is_fast)
    assert len(found) == len(vector["accepted"])
    for frame, means in zip(found, vector["accepted"], strict=True):
        if isinstance(frame, LongFrame):
            assert_long(frame, means, is_reply=False)
        else:
            assert_fast(frame, means, 0x2A)


def test_there_are_vectors_of_all_forms():
    assert len(VECTORS) >= 55
    assert sum("stream" in vector for vector in VECTORS) >= 9


def test_frame_worked_by_hand():
    assert long_frame(0x12, 0xFFFF, 6).hex(" ") == "c5 12 ff ff 06 00 65 f0 17"
