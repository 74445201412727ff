"""Pure parts around a sweep: who is asked, what silence means, set-points, passes of an impedance test."""

from itertools import pairwise

import numpy as np
import pytest
from bus_gateway.line.bleeding import HOLD_S, SetPoints, set_point_frames
from bus_gateway.line.impedance import passes
from bus_gateway.line.slot_damage import damaged_slots
from bus_gateway.line.sweep import plan_line, re_asks, runs
from bus_gateway.notices import MAX_NOTICES, NoticeBoard
from bus_gateway.readings.scan_assembly import StringDraft
from bus_gateway.wire.decode import columns
from bus_gateway.wire.timing import LineTiming
from cellkeeper.contract.bus_time import WINDOW_S, scan_takes_s
from cellkeeper.contract.site import BAUD_RATES, AuxTable, Site, StringTable
from hypothesis import given
from hypothesis import strategies as st


def string(name: str, runs_of: list[tuple[str, int, int]], sensors=()) -> StringTable:
    return StringTable.model_validate(
        {
            "id": name,
            "cells": sum(count for _, _, count in runs_of),
            "chemistry": "vrla_agm",
            "rated_ah": 100.0,
            "modules": [{"bus": bus, "first_address": first, "count": count} for bus, first, count in runs_of],
            "sensor": list(sensors),
        }
    )


def test_sensors_first_then_trains_over_string_borders():
    sensors = [
        {"kind": "ripple", "bus": "a", "address": 903},
        {"kind": "current", "bus": "a", "address": 901},
        {"kind": "ambient", "bus": "b", "address": 1},
    ]
    strings = [string("s1", [("a", 1, 100), ("b", 50, 20)], sensors), string("s2", [("a", 101, 60)])]
    plan = plan_line(strings, [AuxTable(bus="a", address=902)], "a")
    assert plan.addresses[:3].tolist() == [901, 902, 903]
    assert plan.pages[:4].tolist() == [0, 0, 1, 0]
    assert [(ask.first, ask.count, ask.page) for ask in plan.asks] == [
        (None, 2, 0), (None, 1, 1), (1, 64, 0), (65, 64, 0), (129, 32, 0),
    ]  # fmt: skip
    assert [(part.string, part.start, part.stop, part.first_cell) for part in plan.segments] == [
        ("s1", 3, 103, 0), ("s2", 103, 163, 0),
    ]  # fmt: skip
    assert plan_line(strings, [], "b").segments[0].first_cell == 100


@pytest.mark.parametrize(("baud", "cells", "sweep_s"), [(115_200, 512, 0.591), (3_000_000, 4096, 0.2121)])
def test_wire_time_is_the_table_of_the_protocol(baud, cells, sweep_s):
    strings = [string(f"s{n}", [("a", 1 + 512 * n, 512)]) for n in range(cells // 512)]
    timing = LineTiming(baud, 0.0)
    assert plan_line(strings, [], "a").wire_s(timing) == pytest.approx(sweep_s, rel=2e-3)


@pytest.mark.parametrize("baud", BAUD_RATES)
def test_what_validate_computes_is_what_the_plan_needs(baud):
    sensors = [{"kind": kind, "bus": "a", "address": 900 + n} for n, kind in enumerate(("current", "ripple"))]
    body = string("s1", [("a", 1, 150)], sensors).model_dump()
    site = Site.model_validate(
        {"site": {"id": "t", "name": "t"}, "bus": [{"id": "a", "port": "/p", "baud": baud}], "string": [body]}
    )
    planned_s = plan_line(site.string, [], "a").wire_s(LineTiming(baud, 0.0))
    assert scan_takes_s(site, site.bus[0]) - WINDOW_S == pytest.approx(planned_s, rel=0.02)


@given(missing=st.sets(st.integers(0, 119), min_size=1))
def test_everything_missing_is_asked_again_once(missing):
    plan = plan_line([string("s1", [("a", 7, 120)])], [], "a")
    rows = np.array(sorted(missing), dtype=np.intp)
    asked = []
    for part, first in re_asks(plan, rows):
        if first is not None:
            assert plan.addresses[part].tolist() == list(range(first, first + len(part)))
        asked += part.tolist()
    assert sorted(asked) == sorted(missing)


@given(addresses=st.sets(st.integers(1, 400), min_size=1), longest=st.integers(1, 64))
def test_runs_cover_all_addresses_in_order(addresses, longest):
    ordered = sorted(addresses)
    covered = [a for start, stop in runs(ordered, longest) for a in ordered[start:stop]]
    assert covered == ordered
    assert all(stop - start <= longest for start, stop in runs(ordered, longest))


def test_bytes_between_two_replies_came_from_the_slots_between_them():
    unknown = np.zeros(5, dtype=np.bool_)
    assert damaged_slots([(0, 0), (2, 12), (4, 36)], 5, 48, unknown).tolist() == [False, False, False, True, False]
    assert damaged_slots([(0, 0)], 5, 12, unknown).tolist() == [False] * 5
    assert damaged_slots([], 5, 0, np.array([1, 0, 0, 0, 0], dtype=np.bool_)).tolist() == [True, *[False] * 4]


@given(duties=st.dictionaries(st.integers(1, 3000), st.integers(0, 200), min_size=1, max_size=80))
def test_set_points_reach_exactly_their_modules(duties):
    frames = set_point_frames(list(duties), list(duties.values()))
    reached = [(frame.first + at, duty) for frame in frames for at, duty in enumerate(frame.duties) if duty != 255]
    assert reached == sorted(duties.items())
    assert all(1 <= len(frame.duties) <= 200 for frame in frames)


def test_set_points_are_repeated_ended_and_forgotten_with_their_hold():
    points = SetPoints(3)
    rows = np.array([0, 1], dtype=np.intp)
    points.ask(rows, np.array([24, 100], dtype=np.uint8), 0.0)
    everyone = np.ones(3, dtype=np.bool_)
    shown = np.array([24, 0, 0], dtype=np.uint8)
    first = points.judge(shown, everyone, 1.0)
    assert first is not None
    assert not len(first.repeat)
    second = points.judge(shown, everyone, 2.0)
    assert second is not None
    assert second.repeat.tolist() == [1]
    ended = points.judge(np.array([24, 250, 0], dtype=np.uint8), everyone, 3.0)
    assert ended is not None
    assert ended.ended.tolist() == [1]
    points.renew(30.0)
    assert points.judge(np.array([24, 0, 0], dtype=np.uint8), everyone, 31.0) is None
    for sweep in range(6):
        late = points.judge(np.array([24, 0, 0], dtype=np.uint8), everyone, 31.0 + HOLD_S + sweep)
    assert late is not None
    assert late.disobedient.tolist() == [0], "it still bleeds although its hold has run out"
    assert points.renewals_stopped


@given(cells=st.sets(st.integers(1, 512), min_size=1))
def test_neighbours_are_never_tested_at_once(cells):
    groups = passes(sorted(cells))
    assert sorted(cell for group in groups for cell in group) == sorted(cells)
    for group in groups:
        assert all(second - first >= 2 for first, second in pairwise(group))


def row(counts: int, degc: int = 2200, aux: int = 0, status: int = 2, kind: int = 0) -> bytes:
    word = (counts & 0xFFFFF).to_bytes(3, "little")
    return bytes((0xA0 | kind, 1, 0)) + word + (degc & 0xFFFF).to_bytes(2, "little") + bytes((aux, status, 0, 0))


@pytest.mark.parametrize(
    ("reply", "quality", "degc_quality"),
    [
        (row(22_500), 0, 0),
        (row(22_500, aux=252), 6, 0),
        (row(-3_125, status=64, aux=252), 3, 0),
        (row(450_000), 3, 0),
        (row(-524_288, degc=-32_765), 5, 5),
        (row(-524_287, degc=-32_765), 5, 5),
        (row(-524_286), 3, 0),
        (row(-524_284, status=12), 5, 0),
        (row(-524_283, degc=-32_765, aux=253), 7, 7),
        (row(22_500, aux=253), 7, 7),
        (row(-524_280), 5, 0),
        (row(22_500, kind=1), 5, 5),
        (row(22_500, degc=-32_768), 0, 3),
        (row(22_500, degc=-32_766), 0, 4),
        (row(22_500, degc=-30_000), 0, 5),
        (row(22_500, degc=32_000), 0, 3),
    ],
)
def test_what_a_module_says_becomes_a_quality(reply, quality, degc_quality):
    draft = StringDraft.empty("s1", 2)
    draft.put(1, columns(np.frombuffer(bytearray(reply), dtype=np.uint8).reshape(1, 12)), 0)
    assert draft.quality.tolist() == [5, quality]
    assert draft.degc_quality.tolist() == [5, degc_quality]
    counts = int.from_bytes(reply[3:6], "little") << 12 & 0xFFFFFFFF
    is_within = quality in {0, 3, 6} and counts not in {0x80002000, 450_000 << 12}
    assert np.isnan(draft.cell_v[1]) == (not is_within)
    assert np.isnan(draft.cell_degc[1]) == (degc_quality != 0)


def test_notices_are_bounded_and_do_not_repeat_themselves():
    now = [0.0]
    board = NoticeBoard(lambda: now[0])
    for _ in range(5):
        board.say("port.lost", "error", "gone", "line1", {})
    assert len(board.take()) == 1
    now[0] = 61.0
    for number in range(MAX_NOTICES + 10):
        board.say("module.reset", "info", "x" * 1000, str(number), {})
    taken = board.take()
    assert len(taken) == MAX_NOTICES
    assert board.lost == 10
    assert len(taken[0].text) == 500
    assert not board.take()
