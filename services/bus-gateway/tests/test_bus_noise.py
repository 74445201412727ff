"""With 1 % of all bytes damaged no wrong value is graded good, and the string keeps flowing."""

import numpy as np
from bus_gateway.readings.plausibility import Plausibility
from bus_gateway.readings.scan_assembly import StringDraft
from bus_gateway.wire.decode import columns, intact
from bus_gateway.wire.frame import crc16, fast_residues, find_frames
from cellkeeper.contract.physical import Quality
from cellkeeper.contract.site import StringTable

CELLS = 240
SCANS = 1200
DAMAGE = 0.01
ADDRESSES = np.arange(1, CELLS + 1, dtype=np.uint16)
STRING = StringTable.model_validate(
    {
        "id": "s1",
        "cells": CELLS,
        "chemistry": "vrla_agm",
        "rated_ah": 100.0,
        "modules": [{"bus": "line1", "first_address": 1, "count": CELLS}],
    }
)


def checks() -> np.ndarray:
    """The CRC of ten bytes as a table over positions, from the scalar function alone."""
    zeros = crc16(bytes(10))
    parts = np.zeros((10, 256), dtype=np.uint16)
    for at in range(10):
        for byte in range(256):
            body = bytearray(10)
            body[at] = byte
            parts[at, byte] = crc16(bytes(body)) ^ zeros
    return parts


PARTS = checks()


def replies(counts: np.ndarray, sample_id: int) -> np.ndarray:
    """Rows that modules send, written field by field."""
    rows = np.zeros((len(counts), 12), dtype=np.uint8)
    word = counts & 0xFFFFF | (sample_id & 15) << 20
    rows[:, 0] = 0xA0
    rows[:, 1], rows[:, 2] = ADDRESSES & 0xFF, ADDRESSES >> 8
    for byte in range(3):
        rows[:, 3 + byte] = word >> 8 * byte & 0xFF
    rows[:, 6], rows[:, 7] = 2200 & 0xFF, 2200 >> 8
    rows[:, 9] = 2
    check = np.bitwise_xor.reduce(PARTS[np.arange(10), rows[:, :10]], axis=1) ^ crc16(bytes(10))
    rows[:, 10], rows[:, 11] = check >> 8, check & 0xFF
    assert not fast_residues(rows).any()
    return rows


def test_no_wrong_value_is_good_in_a_long_noisy_run():
    random = np.random.default_rng(42)
    judge = Plausibility(STRING)
    level = 22_500 + random.integers(-100, 100, CELLS)
    good = wrong = passed = 0
    for scan in range(SCANS):
        counts = level + random.integers(-3, 4, CELLS)
        rows = replies(counts, scan & 0xFF)
        hit = random.random(rows.shape) < DAMAGE
        rows[hit] = random.integers(0, 256, int(hit.sum()), dtype=np.uint8)
        if scan % 100 == 50:  # what a CRC lets pass once in 65536 times, here by force
            victim = int(random.integers(CELLS))
            forged = counts.copy()
            forged[victim] = int(random.integers(-500_000, 500_000))
            rows[victim] = replies(forged, scan & 0xFF)[victim]
            passed += 1
        answered = intact(rows, ADDRESSES, scan & 0xFF)
        draft = StringDraft.empty("s1", CELLS)
        draft.put_some(0, columns(rows), 0, answered, ~answered)
        judged = judge.judge(draft.readings(1_795_237_200_000 + 1000 * scan))
        is_good = judged.quality == Quality.GOOD
        is_wrong = ~np.isclose(judged.cell_v, counts / 1e4)
        good += int(is_good.sum())
        wrong += int((is_good & is_wrong).sum())
    assert wrong == 0
    assert passed == SCANS // 100
    assert 0.86 < good / (SCANS * CELLS) < 0.91, "eleven of a hundred frames are hit, all others flow"


def test_inserted_and_lost_bytes_cost_only_the_frames_they_hit():
    random = np.random.default_rng(7)
    counts = np.full(CELLS, 22_500)
    for _ in range(200):
        rows = replies(counts, 5)[:64]
        stream = bytearray(rows.tobytes())
        at = int(random.integers(len(stream)))
        if random.random() < 0.5:
            del stream[at]
        else:
            stream.insert(at, int(random.integers(256)))
        found, _ = find_frames(bytes(stream), fast=True, long=True)
        assert len(found) >= 63
        assert set(found) <= {row.tobytes() for row in rows}
