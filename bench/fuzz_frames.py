"""Random and mutated frames into receiver and decoder for a bounded time: `python bench/fuzz_frames.py [seconds]`.

No exception, no growth, and nothing accepted whose check is wrong.
"""

import sys
import time

import numpy as np
from bus_gateway.wire.decode import columns, intact
from bus_gateway.wire.decode_long import identity, impedance_record, met, reply_code, uid_in
from bus_gateway.wire.frame import FAST_BYTES, LONGEST_BYTES, FrameReader, LongFrame, crc16, fast_residues, long_frame
from numpy.typing import NDArray

BATCH = 50_000
_SEED_ROW = bytes.fromhex("a00100db80a0c1081802e50f")


def random_rows(random: np.random.Generator, count: int) -> NDArray[np.uint8]:
    """Return rows of 12 bytes: noise, damaged good replies, and wild content with a right CRC, a third of each."""
    rows = random.integers(0, 256, (count, FAST_BYTES), dtype=np.uint8)
    third = count // 3
    rows[:third] = np.frombuffer(_SEED_ROW, dtype=np.uint8)
    rows[np.arange(third), random.integers(0, FAST_BYTES, third)] ^= random.integers(1, 256, third, dtype=np.uint8)
    rows[third : 2 * third, 0] = 0xA0 + random.integers(0, 10, third)
    bodies = rows[third : 2 * third, :10].tobytes()
    checks = np.array([crc16(bodies[at : at + 10]) for at in range(0, len(bodies), 10)], dtype=np.uint16)
    rows[third : 2 * third, 10] = checks >> 8  # sent high byte first
    rows[third : 2 * third, 11] = checks & 0xFF
    return rows


def fuzz_rows(random: np.random.Generator, count: int) -> int:
    """Decode `count` rows; return how many were accepted."""
    rows = random_rows(random, count)
    third = count // 3
    residues = fast_residues(rows)
    assert residues[:third].all(), "a reply with one damaged byte passed"
    addresses = (rows[:, 1].astype(np.uint16) | rows[:, 2].astype(np.uint16) << np.uint16(8)).astype(np.uint16)
    good = intact(rows, addresses, 0x2A)
    assert not (good & (residues != 0)).any()
    replies = columns(rows)
    no_code = np.ones(count, dtype=bool) if replies.code is None else replies.code == 0
    assert (np.isnan(replies.value) == (~no_code | (replies.kind > 9))).all()
    return int(good.sum())


def fuzz_stream(random: np.random.Generator, size: int) -> int:
    """Hunt through `size` bytes of noise with frames in it, in random portions; return how many were found."""
    noise = random.integers(0, 256, size, dtype=np.uint8)
    marks = random.random(size) < 0.05
    noise[marks] = random.choice(np.array([0xC5, 0xA0, 0xA9], dtype=np.uint8), int(marks.sum()))
    stream = bytearray(noise.tobytes())
    for start in random.integers(0, size - 300, size // 400):
        payload = random.bytes(int(random.integers(0, 241)))
        frame = long_frame(int(random.integers(0x80, 0x100)), int(random.integers(0, 0x10000)), 1, payload)
        stream[start : start + len(frame)] = frame
    reader = FrameReader(fast=True, long=True)
    found, position = 0, 0
    while position < size:
        step = int(random.integers(1, 2000))
        for frame in reader.feed(bytes(stream[position : position + step])):
            found += 1
            if isinstance(frame, LongFrame):
                identity(frame), impedance_record(frame, 0), met(frame), reply_code(frame), uid_in(frame)
            else:
                assert crc16(frame) == 0
        assert reader.held_bytes <= LONGEST_BYTES
        position += step
    reader.flush()
    assert reader.held_bytes == 0
    return found


def fuzz(seconds: float, seed: int) -> tuple[int, int, int]:
    """Return rows decoded, bytes hunted through and frames found within `seconds`."""
    random = np.random.default_rng(seed)
    end_s = time.monotonic() + seconds
    rows = hunted = found = 0
    while time.monotonic() < end_s:
        found += fuzz_rows(random, BATCH)
        rows += BATCH
        found += fuzz_stream(random, BATCH)
        hunted += BATCH
    return rows, hunted, found


if __name__ == "__main__":
    wanted_s = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    used_seed = int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns() % 2**32
    done_rows, done_bytes, taken = fuzz(wanted_s, used_seed)
    print(f"fuzz_frames {done_rows} rows and {done_bytes} bytes, {taken} frames taken, seed {used_seed}")
