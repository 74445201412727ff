"""Times of a stream under any clock."""

import pytest
from bus_gateway.timekeeping import SLEW_FRAC, Timekeeper
from hypothesis import given
from hypothesis import strategies as st

START_MS = 1_795_237_200_000
STEPS_S = st.sampled_from([0.0, 0.0, 0.0, -3600.0, 3600.0, -31_536_000.0, 31_536_000.0, -1.5, -120.0, 1.5, -290.0, 2.5])


@given(ticks=st.lists(st.tuples(st.floats(0.1, 5.0), STEPS_S), min_size=1, max_size=60))
def test_a_stream_never_repeats_or_runs_backwards_and_spans_are_true(ticks):
    keeper = Timekeeper({})
    wall_ms, passed_s, last_ms, last_s = START_MS, 0.0, None, 0.0
    keeper.watch(wall_ms, passed_s, "synced")
    for span_s, step_s in ticks:
        passed_s += span_s
        wall_ms += round((span_s + step_s) * 1000.0)
        told = keeper.watch(wall_ms, passed_s, "synced")
        assert (told is not None) >= (abs(step_s) > 2.1)
        stamp = keeper.stamp("s1", wall_ms)
        if step_s < -301.0 and last_ms is not None:
            assert stamp.new_stream
        if last_ms is not None and not stamp.new_stream:
            assert stamp.measured_ms > last_ms
            if step_s <= 0.0 and not told:
                true_ms = (passed_s - last_s) * 1000.0
                assert (1.0 - SLEW_FRAC) * true_ms - 3 <= stamp.measured_ms - last_ms <= true_ms + 3
        if stamp.new_stream:
            assert stamp.measured_ms == pytest.approx(wall_ms, abs=1)
        last_ms, last_s = stamp.measured_ms, passed_s


def test_a_step_is_told_once_and_shows_for_a_minute():
    keeper = Timekeeper({})
    keeper.watch(START_MS, 0.0, "synced")
    assert keeper.state == "synced"
    step = keeper.watch(START_MS + 3_601_000, 1.0, "synced")
    assert step is not None
    assert step.by_s == pytest.approx(3600.0)
    assert not step.new_streams
    assert keeper.state == "holdover"
    assert keeper.watch(START_MS + 3_602_000, 2.0, "synced") is None
    keeper.watch(START_MS + 3_662_000, 62.0, "synced")
    assert keeper.state == "synced"


def test_without_a_time_service_the_clock_is_holdover_then_unsynced():
    keeper = Timekeeper({})
    keeper.watch(START_MS, 0.0, "synced")
    keeper.watch(START_MS + 1000, 1.0, "unsynced")
    assert keeper.state == "holdover"
    keeper.watch(START_MS + 90_000_000, 90_000.0, "unsynced")
    assert keeper.state == "unsynced"


@pytest.mark.parametrize(("back_s", "new_stream"), [(10, False), (299, False), (301, True), (31_536_000, True)])
def test_a_clock_set_back_while_nothing_ran(back_s, new_stream):
    keeper = Timekeeper({"s1": START_MS})
    now_ms = START_MS - back_s * 1000
    keeper.watch(now_ms, 0.0, "synced")
    first = keeper.stamp("s1", now_ms)
    assert first.new_stream == new_stream
    assert first.measured_ms == (now_ms if new_stream else START_MS + 1)
    keeper.watch(now_ms + 1000, 1.0, "synced")
    second = keeper.stamp("s1", now_ms + 1000)
    assert 899 <= second.measured_ms - first.measured_ms <= 1001


def test_recorded_times_are_used_as_they_are_and_never_twice():
    keeper = Timekeeper({"s1": 5000})
    assert keeper.stamp_as_recorded("s1", 5000) is None
    stamp = keeper.stamp_as_recorded("s1", 5001)
    assert stamp is not None
    assert stamp.measured_ms == 5001
    assert keeper.stamp_as_recorded("s1", 4000) is None
