"""The receiver of section 2.3: portions, noise, bounds, and the two ways of computing the check."""

import runpy
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from bus_gateway.wire.frame import (
    LONGEST_BYTES,
    FrameReader,
    LongFrame,
    crc8,
    crc16,
    fast_residues,
    find_frames,
    long_frame,
)
from hypothesis import given
from hypothesis import strategies as st

FAST = bytes.fromhex("a00100db80a0c1081802e50f")
marks = st.sampled_from([b"\xc5", b"\xa0", b"\xa9", b"\xaa", FAST, FAST[:7], long_frame(0x81, 7, 3, b"abc")])
streams = st.lists(st.one_of(st.binary(max_size=40), marks), max_size=30).map(b"".join)


def bitwise_crc16(data: bytes) -> int:
    register = 0xFFFF
    for byte in data:
        register ^= byte << 8
        for _ in range(8):
            register = (register << 1 ^ 0x1021) & 0xFFFF if register & 0x8000 else register << 1
    return register


@given(stream=streams, cuts=st.lists(st.integers(0, 1200), max_size=8), fast=st.booleans())
def test_chunk_borders_never_change_the_frames(stream, cuts, fast):
    whole, split = FrameReader(fast=fast, long=True), FrameReader(fast=fast, long=True)
    expected = whole.feed(stream) + whole.flush()
    found = []
    borders = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    for start, stop in pairwise(borders):
        found += split.feed(stream[start:stop])
    assert found + split.flush() == expected


@given(stream=streams)
def test_arbitrary_bytes_are_never_held_beyond_one_frame(stream):
    reader = FrameReader(fast=True, long=True)
    for byte in stream:
        reader.feed(bytes((byte,)))
        assert reader.held_bytes <= LONGEST_BYTES
    reader.flush()
    assert reader.held_bytes == 0


@given(noise=st.binary(max_size=300), payload=st.binary(max_size=240), tag=st.integers(0, 255))
def test_a_good_frame_is_found_behind_any_noise(noise, payload, tag):
    frame = LongFrame(0x99, 0x1234, tag, payload)
    found, _ = find_frames(noise + long_frame(0x99, 0x1234, tag, payload), fast=False, long=True)
    is_inside_a_bigger_frame = any(isinstance(other, LongFrame) and other != frame for other in found)
    assert frame in found or is_inside_a_bigger_frame


@given(rows=st.binary(min_size=12, max_size=240).map(lambda raw: raw[: len(raw) // 12 * 12]))
def test_vectorised_check_equals_the_bitwise_one(rows):
    table = np.frombuffer(rows, dtype=np.uint8).reshape(-1, 12)
    assert fast_residues(table).tolist() == [bitwise_crc16(row.tobytes()) for row in table]
    assert crc16(rows) == bitwise_crc16(rows)


def test_checks_of_the_written_protocol():
    assert (crc16(b"123456789"), crc8(b"123456789")) == (0x29B1, 0xF4)


def test_too_long_a_payload_is_refused():
    with pytest.raises(ValueError, match="240"):
        long_frame(1, 1, 1, bytes(241))


def test_a_million_random_and_mutated_frames():
    fuzz = runpy.run_path(str(Path(__file__).parents[3] / "bench/fuzz_frames.py"))
    random = np.random.default_rng(20261121)
    taken = sum(fuzz["fuzz_rows"](random, 100_000) for _ in range(10))
    assert taken > 10_000  # a third has a right CRC, of these one in sixteen the asked nibble, or a code
    assert fuzz["fuzz_stream"](random, 200_000) > 100
